//! `/people`: accounts, roles, API tokens.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{self, Admin, Grant, NewPerson, NewToken, TokenShown, Viewer};
use crate::http::{All, At, Body, Failure};
use crate::store::people::{self, Account, ApiToken};

/// Newest tokens that a list shows.
const TOKENS: i64 = 200;

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/people", get(list).post(add))
        .route("/people/{id}/roles", post(grant).put(set))
        .route("/people/{id}/disable", post(disable))
        .route("/people/{id}/enable", post(enable))
        .route("/people/{id}/sign-in-link", post(link))
        .route("/people/{id}/tokens", get(tokens).post(add_token))
        .route("/people/{id}/tokens/{token}", delete(revoke_token))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: Vec<Grant>,
}

/// Someone as others see them.
#[derive(Debug, Serialize)]
struct PersonLine {
    id: Uuid,
    name: String,
    enabled: bool,
    roles: Vec<Grant>,
}

impl From<Account> for PersonLine {
    fn from(account: Account) -> Self {
        let roles = account
            .roles
            .into_iter()
            .map(|(role, track)| Grant { role, track })
            .collect();
        Self {
            id: account.id,
            name: account.name,
            enabled: account.enabled,
            roles,
        }
    }
}

/// Names are for everyone, since history is full of ids; roles on tracks that the caller can not see are left out.
async fn list(State(app): State<App>, caller: Viewer) -> Result<Json<All<PersonLine>>, Failure> {
    let people = people::all(&mut *app.pool.acquire().await?).await?;
    let mut items: Vec<PersonLine> = people.into_iter().map(PersonLine::from).collect();
    for person in &mut items {
        person
            .roles
            .retain(|r| r.track.is_none_or(|track| caller.caller().sees(track)));
    }
    Ok(Json(All { items }))
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    Body(new): Body<NewPerson>,
) -> Result<(StatusCode, Json<PersonLine>), Failure> {
    let by = caller.everywhere()?.person().0;
    let account = auth::add_person(&app.pool, &new, by, app.clock.now()).await?;
    Ok((StatusCode::CREATED, Json(account.into())))
}

async fn grant(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(further): Body<Roles>,
) -> Result<Json<PersonLine>, Failure> {
    let by = caller.everywhere()?.person().0;
    let account = auth::grant_roles(&app.pool, id, &further.roles, by, app.clock.now()).await?;
    Ok(Json(account.into()))
}

async fn set(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(exactly): Body<Roles>,
) -> Result<Json<PersonLine>, Failure> {
    let by = caller.everywhere()?.person().0;
    let account = auth::set_roles(&app.pool, id, &exactly.roles, by, app.clock.now()).await?;
    Ok(Json(account.into()))
}

async fn disable(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<Json<PersonLine>, Failure> {
    let by = caller.everywhere()?.person().0;
    let account = auth::set_enabled(&app.pool, id, false, by, app.clock.now()).await?;
    Ok(Json(account.into()))
}

async fn enable(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<Json<PersonLine>, Failure> {
    let by = caller.everywhere()?.person().0;
    let account = auth::set_enabled(&app.pool, id, true, by, app.clock.now()).await?;
    Ok(Json(account.into()))
}

/// A link to choose a password with, the one time it is shown.
#[derive(Serialize)]
struct LinkShown {
    /// Address on this server.
    link: String,
    expires_at: DateTime<Utc>,
}

async fn link(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<(StatusCode, Json<LinkShown>), Failure> {
    let by = caller.everywhere()?.person().0;
    let (secret, expires_at) = auth::make_link(&app.pool, id, Some(by), app.clock.now()).await?;
    let link = format!("/welcome/{}", secret.show());
    Ok((StatusCode::CREATED, Json(LinkShown { link, expires_at })))
}

async fn tokens(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<Json<All<ApiToken>>, Failure> {
    caller.everywhere()?;
    let items = auth::tokens(&app.pool, id, app.clock.now(), TOKENS).await?;
    Ok(Json(All { items }))
}

async fn add_token(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<TokenShown>), Failure> {
    let by = caller.everywhere()?.person().0;
    let shown = auth::add_token(&app.pool, id, &new, by, app.clock.now()).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn revoke_token(
    State(app): State<App>,
    caller: Admin,
    At((id, token)): At<(Uuid, Uuid)>,
) -> Result<StatusCode, Failure> {
    let by = caller.everywhere()?.person().0;
    auth::revoke_token(&app.pool, id, token, by, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
