//! `/approvals`: requests to open a ring or to override a gate, and people's answers.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use engine::Input;
use engine::approval::{Approval, Ask, Frozen, RequestState};
use engine::ids::{RequestId, RolloutId, StageId};
use engine::rollout::Actor;
use serde::{Deserialize, Serialize};
use servicing::Sha256;
use uuid::Uuid;

use super::extract::{All, At, Because, Query, limit, reading, tracks_of};
use super::rollouts::{Moved, act};
use crate::app::App;
use crate::auth::{Approver, Viewer};
use crate::error::OpError;
use crate::http::{Body, Failure};
use crate::store::requests::{self, Listed};
use crate::store::{phase, rollouts};

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

/// A request with what is approved and its hash.
#[derive(Debug, Serialize)]
pub struct RequestLine {
    id: RequestId,
    rollout: RolloutId,
    track: Uuid,
    stage: StageId,
    ring_name: String,
    ask: Ask,
    requested_by: Actor,
    requested_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    needed: u8,
    approvals: Vec<Approval>,
    /// When the yes of an only admin counts.
    effective_at: Option<DateTime<Utc>>,
    state: String,
    state_detail: RequestState,
    hash: Sha256,
    frozen: Frozen,
}

impl From<Listed> for RequestLine {
    fn from(listed: Listed) -> Self {
        let request = listed.request;
        Self {
            id: request.id,
            rollout: listed.rollout,
            track: listed.track,
            stage: request.stage,
            ring_name: listed.ring,
            expires_at: request.expires_at(),
            effective_at: request.effective_at(),
            ask: request.ask,
            requested_by: request.requested_by,
            requested_at: request.requested_at,
            needed: request.needed,
            approvals: request.approvals,
            state: phase(&request.state).unwrap_or_default(),
            state_detail: request.state,
            hash: request.hash,
            frozen: request.frozen,
        }
    }
}

async fn list(
    State(app): State<App>,
    caller: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Json<All<RequestLine>>, Failure> {
    let limit = limit(asked.limit, 50, 200)?;
    let tracks = tracks_of(caller, asked.track)?;
    let mut tx = reading(&app.pool).await?;
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
