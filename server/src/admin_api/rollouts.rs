//! `/rollouts`: one sequence going through one track.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use engine::Input;
use engine::decide::Reason;
use engine::ids::{PersonId, RolloutId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Admin, As, OnTrack, Operator, Right, Viewer};
use crate::control::{Approvals, NewRollout};
use crate::error::OpError;
use crate::forecasts::{Assumptions, RolloutForecast};
use crate::http::{At, Because, Body, Failure, Page, Query, Why, busy, limit};
use crate::registry::NewExclusion;
use crate::store;
use crate::store::decisions::{self, Recorded};
use crate::store::rollouts;
use crate::views::{RolloutLine, RolloutPage};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/rollouts", get(list).post(create))
        .route("/rollouts/{id}", get(one))
        .route("/rollouts/{id}/decisions", get(decisions))
        .route("/rollouts/{id}/forecast", get(forecast))
        .route("/rollouts/{id}/submit", post(submit))
        .route("/rollouts/{id}/pause", post(pause))
        .route("/rollouts/{id}/resume", post(resume))
        .route("/rollouts/{id}/halt", post(halt))
        .route("/rollouts/{id}/clear-halt", post(clear_halt))
        .route("/rollouts/{id}/cancel", post(cancel))
        .route("/rollouts/{id}/request-override", post(request_override))
        .route("/rollouts/{id}/request-expedite", post(request_expedite))
        .route("/rollouts/{id}/exclusions", post(exclude))
        .route("/rollouts/{id}/roll-back", post(roll_back))
        .route("/rollouts/{id}/stop-roll-back", post(stop_rollback))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
    before: Option<Uuid>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedDecisions {
    after: Option<i64>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    #[serde(default)]
    not_before: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    devices: String,
    reason: Why,
}

/// What an action did, and the rollout after it.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// What happened.
    event: Option<Reason>,
    /// The rollout now.
    rollout: RolloutLine,
}

/// A decision with everything it was made from.
#[derive(Debug, Serialize)]
struct DecisionLine {
    version: i64,
    at: DateTime<Utc>,
    input: Value,
    decision: Value,
    snapshot: Value,
}

impl From<Recorded> for DecisionLine {
    fn from(r: Recorded) -> Self {
        Self {
            version: r.version,
            at: r.at,
            input: r.input,
            decision: r.decision,
            snapshot: r.snapshot,
        }
    }
}

/// The right over a rollout's track; a rollout that is not there and one that is hidden are the same 404.
pub async fn over<R: Right>(
    app: &App,
    caller: As<R>,
    id: RolloutId,
) -> Result<OnTrack<R>, Failure> {
    let track = rollouts::track_of(&mut *app.pool.acquire().await?, id).await?;
    caller.over(
        "rollout",
        track.ok_or(OpError::NotFound { what: "rollout" })?.0,
    )
}

async fn line(app: &App, id: RolloutId) -> Result<RolloutLine, Failure> {
    let mut conn = app.pool.acquire().await?;
    let stored = rollouts::by_id(&mut conn, id)
        .await?
        .ok_or(OpError::NotFound { what: "rollout" })?;
    Ok(RolloutLine::read(&mut conn, &app.catalogue, stored).await?)
}

/// Lets a person's input happen, and shows what came of it.
pub async fn act(app: &App, id: RolloutId, input: Input) -> Result<Json<Moved>, Failure> {
    let decision = app.control.apply(id, input).await?;
    Ok(Json(Moved {
        event: decision.event,
        rollout: line(app, id).await?,
    }))
}

/// The same for an input that has a reason and nothing else, over the rollout's track.
async fn act_because<R: Right>(
    app: &App,
    caller: As<R>,
    id: Uuid,
    because: Because,
    input: impl FnOnce(PersonId, String) -> Input,
) -> Result<Json<Moved>, Failure> {
    let id = RolloutId(id);
    let by = over(app, caller, id).await?.person();
    act(app, id, input(by, because.text())).await
}

async fn list(
    State(app): State<App>,
    caller: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<RolloutLine, Uuid>>, Failure> {
    let limit = limit(asked.limit, 50, 200)?;
    let tracks = caller.asked(asked.track)?;
    let mut tx = store::reading(&app.pool).await?;
    let mut items = Vec::new();
    for stored in rollouts::page(&mut tx, tracks.as_deref(), asked.before, limit).await? {
        items.push(RolloutLine::read(&mut tx, &app.catalogue, stored).await?);
    }
    Ok(Json(Page::of(items, limit, |r| r.id)))
}

async fn create(
    State(app): State<App>,
    caller: Operator,
    Body(new): Body<NewRollout>,
) -> Result<(StatusCode, Json<RolloutLine>), Failure> {
    let approvals = Approvals::of(caller.caller().account(), new.track);
    let caller = caller.on(new.track)?;
    let id = app.control.create(new, caller.person(), approvals).await?;
    Ok((StatusCode::CREATED, Json(line(&app, id).await?)))
}

async fn one(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Json<RolloutPage>, Failure> {
    let id = RolloutId(id);
    over(&app, caller, id).await?;
    page(&app, id).await
}

async fn page(app: &App, id: RolloutId) -> Result<Json<RolloutPage>, Failure> {
    let mut tx = store::reading(&app.pool).await?;
    let stored = rollouts::by_id(&mut tx, id)
        .await?
        .ok_or(OpError::NotFound { what: "rollout" })?;
    Ok(Json(
        RolloutPage::read(&mut tx, &app.catalogue, stored).await?,
    ))
}

async fn decisions(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
    Query(asked): Query<AskedDecisions>,
) -> Result<Json<Page<DecisionLine, i64>>, Failure> {
    let id = RolloutId(id);
    over(&app, caller, id).await?;
    let limit = limit(asked.limit, 20, 100)?;
    let found = decisions::page(
        &mut *app.pool.acquire().await?,
        id,
        asked.after.unwrap_or(0),
        limit,
    )
    .await?;
    Ok(Json(Page::of(
        found.into_iter().map(DecisionLine::from).collect(),
        limit,
        |d| d.version,
    )))
}

async fn forecast(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
    Query(assumptions): Query<Assumptions>,
) -> Result<Json<RolloutForecast>, Failure> {
    let id = RolloutId(id);
    over(&app, caller, id).await?;
    let forecast = app.forecasts.of(id, assumptions).await.map_err(busy)??;
    Ok(Json(forecast))
}

async fn submit(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(submission): Body<Submission>,
) -> Result<Json<Moved>, Failure> {
    let id = RolloutId(id);
    let by = over(&app, caller, id).await?.person();
    act(
        &app,
        id,
        Input::Submit {
            by,
            not_before: submission.not_before,
        },
    )
    .await
}

async fn pause(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::Pause { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn resume(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::Resume { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn halt(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::Halt { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn clear_halt(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::ClearHalt { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn cancel(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::Cancel { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn request_override(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::RequestOverride { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn request_expedite(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<Moved>, Failure> {
    let input = |by, reason| Input::RequestExpedite { by, reason };
    act_because(&app, caller, id, because, input).await
}

async fn roll_back(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<RolloutPage>, Failure> {
    let rollout = RolloutId(id);
    let by = over(&app, caller, rollout).await?.person();
    app.control.roll_back(rollout, &because.text(), by).await?;
    page(&app, rollout).await
}

async fn stop_rollback(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(because): Body<Because>,
) -> Result<Json<RolloutPage>, Failure> {
    let rollout = RolloutId(id);
    let by = over(&app, caller, rollout).await?.person();
    let reason = because.text();
    app.control.stop_rollback(rollout, &reason, by).await?;
    page(&app, rollout).await
}

async fn exclude(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(left_out): Body<Exclusion>,
) -> Result<(StatusCode, Json<store::holds::Stored>), Failure> {
    let new = NewExclusion {
        devices: left_out.devices,
        reason: left_out.reason.as_str().to_owned(),
    };
    let id = RolloutId(id);
    let by = over(&app, caller, id).await?.person().0;
    let added = app.exclude_devices(id, new, by).await?;
    Ok((StatusCode::CREATED, Json(added)))
}
