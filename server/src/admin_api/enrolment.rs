//! `/enrolment-tokens`: how devices come in.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::auth::Admin;
use crate::error::OpError;
use crate::http::{At, Body, Failure, Page, Query, limit};
use crate::operations::{self, NewEnrolmentToken};
use crate::store::enrolment::{self, Token};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/enrolment-tokens", get(list).post(add))
        .route("/enrolment-tokens/{id}", delete(revoke))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
    before: Option<Uuid>,
    limit: Option<i64>,
}

/// A new token, the one time it is shown.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    made: Token,
    token: String,
}

async fn list(
    State(app): State<App>,
    caller: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<Token, Uuid>>, Failure> {
    let limit = limit(asked.limit, 50, 200)?;
    let tracks = caller.asked(asked.track)?;
    let items = enrolment::token_page(
        &mut *app.pool.acquire().await?,
        tracks.as_deref(),
        asked.before,
        limit,
    )
    .await?;
    Ok(Json(Page::of(items, limit, |t| t.id)))
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    Body(new): Body<NewEnrolmentToken>,
) -> Result<(StatusCode, Json<Shown>), Failure> {
    let caller = caller.on(new.track)?;
    let (made, secret) =
        operations::add_enrolment_token(&app.pool, new, caller.person().0, app.clock.now()).await?;
    Ok((
        StatusCode::CREATED,
        Json(Shown {
            made,
            token: secret.show(),
        }),
    ))
}

async fn revoke(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<StatusCode, Failure> {
    let what = "enrolment token";
    let track = enrolment::track_of(&mut *app.pool.acquire().await?, id)
        .await?
        .ok_or(OpError::NotFound { what })?;
    let caller = caller.over(what, track)?;
    operations::revoke_enrolment_token(&app.pool, id, caller.person().0, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
