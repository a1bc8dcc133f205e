//! `/approvals`: requests to open a ring or to override a gate, and people's answers.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use engine::Input;
use engine::ids::{RequestId, RolloutId};
use serde::Deserialize;
use servicing::Sha256;
use uuid::Uuid;

use super::rollouts::{Moved, act};
use crate::app::App;
use crate::auth::{Approver, Viewer};
use crate::error::OpError;
use crate::http::{All, At, Because, Body, Failure, Query, limit};
use crate::store;
use crate::store::{requests, rollouts};
use crate::views::RequestLine;

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/reject", post(reject))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    open: bool,
    track: Option<Uuid>,
    limit: Option<i64>,
}

/// The hash is that of what the approver saw.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Yes {
    hash: Sha256,
}

async fn list(
    State(app): State<App>,
    caller: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Json<All<RequestLine>>, Failure> {
    let limit = limit(asked.limit, 50, 200)?;
    let tracks = caller.asked(asked.track)?;
    let mut tx = store::reading(&app.pool).await?;
    let listed = requests::page(&mut tx, tracks.as_deref(), None, asked.open, limit).await?;
    Ok(Json(All {
        items: listed.into_iter().map(RequestLine::from).collect(),
    }))
}

/// Rollout and track of a request.
async fn of(app: &App, request: RequestId) -> Result<(RolloutId, Uuid), Failure> {
    const NONE: OpError = OpError::NotFound {
        what: "approval request",
    };
    let mut conn = app.pool.acquire().await?;
    let rollout = requests::rollout_of(&mut conn, request)
        .await?
        .ok_or(NONE)?;
    let track = rollouts::track_of(&mut conn, rollout).await?.ok_or(NONE)?;
    Ok((rollout, track.0))
}

async fn approve(
    State(app): State<App>,
    caller: Approver,
    At(id): At<Uuid>,
    Body(yes): Body<Yes>,
) -> Result<Json<Moved>, Failure> {
    let request = RequestId(id);
    let (rollout, track) = of(&app, request).await?;
    let by = caller.over("approval request", track)?.person();
    act(
        &app,
        rollout,
        Input::Approve {
            by,
            request,
            hash: yes.hash,
        },
    )
    .await
}

async fn reject(
    State(app): State<App>,
    caller: Approver,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let request = RequestId(id);
    let (rollout, track) = of(&app, request).await?;
    let by = caller.over("approval request", track)?.person();
    act(
        &app,
        rollout,
        Input::Reject {
            by,
            request,
            reason: because.text(),
        },
    )
    .await
}
