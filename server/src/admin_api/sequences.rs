//! `/sequences`: updates as ordered packages. They belong to no track.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use servicing::{KbNumber, Sequence, SignedManifest};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Admin, Operator, Viewer};
use crate::error::OpError;
use crate::http::{At, Body, Failure, Page, Query, Why, limit};
use crate::store::sequences::{self, Stored, Summary};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/sequences", get(list).post(add))
        .route("/sequences/{id}", get(one).put(rewrite))
        .route("/sequences/{id}/publish", post(publish))
        .route("/sequences/{id}/withdraw", post(withdraw))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<Uuid>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication {
    manifest: Signed,
}

/// A [`SignedManifest`], which agents read leniently, as strictly as every other body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    payload: String,
    key_id: String,
    signature: String,
}

impl From<Signed> for SignedManifest {
    fn from(signed: Signed) -> Self {
        Self {
            payload: signed.payload,
            key_id: signed.key_id,
            signature: signed.signature,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdrawal {
    reason: Why,
    #[serde(default)]
    replaced_by: Option<KbNumber>,
}

async fn list(
    State(app): State<App>,
    _caller: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<Summary, Uuid>>, Failure> {
    let limit = limit(asked.limit, 50, 200)?;
    let items = sequences::summaries(&mut *app.pool.acquire().await?, asked.before, limit).await?;
    Ok(Json(Page::of(items, limit, |s| s.id)))
}

async fn stored(app: &App, id: Uuid) -> Result<Json<Stored>, Failure> {
    let found = sequences::by_id(&mut *app.pool.acquire().await?, id).await?;
    Ok(Json(found.ok_or(OpError::NotFound { what: "sequence" })?))
}

async fn one(
    State(app): State<App>,
    _caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Json<Stored>, Failure> {
    stored(&app, id).await
}

async fn add(
    State(app): State<App>,
    caller: Operator,
    Body(sequence): Body<Sequence>,
) -> Result<(StatusCode, Json<Stored>), Failure> {
    let id = app
        .control
        .add_sequence(&sequence, caller.caller().person())
        .await?;
    Ok((StatusCode::CREATED, stored(&app, id).await?))
}

async fn rewrite(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(sequence): Body<Sequence>,
) -> Result<Json<Stored>, Failure> {
    app.control
        .rewrite_sequence(id, &sequence, caller.caller().person())
        .await?;
    stored(&app, id).await
}

/// The publisher's signature is the permission: whoever hands it in only delivers it.
async fn publish(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(publication): Body<Publication>,
) -> Result<Json<Stored>, Failure> {
    app.control
        .publish_sequence(id, &publication.manifest.into(), caller.caller().person())
        .await?;
    stored(&app, id).await
}

/// Stops permits on every track, so it takes an admin of every track.
async fn withdraw(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(withdrawal): Body<Withdrawal>,
) -> Result<Json<Stored>, Failure> {
    let caller = caller.everywhere()?;
    app.control
        .withdraw_sequence(
            id,
            withdrawal.reason.as_str(),
            withdrawal.replaced_by,
            caller.person(),
        )
        .await?;
    stored(&app, id).await
}
