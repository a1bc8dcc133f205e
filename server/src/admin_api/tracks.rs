//! `/tracks`: populations and their rings.

use std::collections::BTreeMap;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use engine::ids::HoldId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Admin, Operator, Viewer};
use crate::error::OpError;
use crate::http::{All, At, Body, Failure, Why};
use crate::operations::{self, NewFreeze};
use crate::registry::{NewHold, RingInput};
use crate::store;
use crate::store::freezes::Planned;
use crate::store::holds::Stored;
use crate::store::tracks::{self, Ring, Track};
use crate::store::{device_kinds, service_clock};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/tracks", get(list).post(add))
        .route("/tracks/{id}", get(one))
        .route("/tracks/{id}/rings", put(define))
        .route("/tracks/{id}/cohorts", put(choose_cohorts))
        .route("/tracks/{id}/expected-devices", post(expect))
        .route("/tracks/{id}/freezes", get(freezes).post(freeze))
        .route("/tracks/{id}/freezes/{freeze}/lift", post(lift))
        .route("/tracks/{id}/holds", get(known_issues).post(hold))
        .route("/tracks/{id}/holds/{hold}/end", post(end_hold))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTrack {
    name: String,
    #[serde(default)]
    time_zone: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    serials: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownIssue {
    devices: String,
    issue: Why,
    #[serde(default)]
    sequence: Option<Uuid>,
    #[serde(default)]
    owner: Option<Uuid>,
    expires: DateTime<Utc>,
}

/// A track with its rings, first ring first.
#[derive(Debug, Serialize)]
struct TrackPage {
    #[serde(flatten)]
    track: Track,
    rings: Vec<RingLine>,
    /// Attributes whose values are cohorts of rollouts that start from now on.
    cohort_attributes: Vec<String>,
    /// Attributes that devices report, with how many values each has.
    attributes: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    attributes: Vec<String>,
}

/// A ring with its devices by status.
#[derive(Debug, Serialize)]
struct RingLine {
    #[serde(flatten)]
    ring: Ring,
    devices: BTreeMap<String, u64>,
}

async fn list(State(app): State<App>, caller: Viewer) -> Result<Json<All<Track>>, Failure> {
    let mut items = tracks::all(&mut *app.pool.acquire().await?).await?;
    items.retain(|t| caller.caller().sees(t.id));
    Ok(Json(All { items }))
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    Body(new): Body<NewTrack>,
) -> Result<(StatusCode, Json<Track>), Failure> {
    let caller = caller.everywhere()?;
    let zone = match new.time_zone {
        Some(zone) => zone.parse::<Tz>().map_err(|_| {
            OpError::field(
                "time_zone",
                "a name of the IANA time zone database, such as Europe/Berlin",
            )
        })?,
        None => Tz::UTC,
    };
    let track = operations::add_track(
        &app.pool,
        &new.name,
        zone,
        caller.person().0,
        app.clock.now(),
    )
    .await?;
    Ok((StatusCode::CREATED, Json(track)))
}

async fn one(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Json<TrackPage>, Failure> {
    let id = caller.on(id)?.track();
    let mut tx = store::reading(&app.pool).await?;
    let track = tracks::by_id(&mut tx, id)
        .await?
        .ok_or(OpError::NotFound { what: "track" })?;
    let mut devices: BTreeMap<Uuid, BTreeMap<String, u64>> = BTreeMap::new();
    for (ring, status, n) in device_kinds::by_status(&mut tx, id).await? {
        devices.entry(ring).or_default().insert(status, n);
    }
    let rings = tracks::rings(&mut tx, id).await?;
    let rings = rings
        .into_iter()
        .map(|ring| RingLine {
            devices: devices.remove(&ring.id).unwrap_or_default(),
            ring,
        })
        .collect();
    Ok(Json(TrackPage {
        track,
        rings,
        cohort_attributes: tracks::cohort_attributes(&mut tx, id).await?,
        attributes: tracks::attributes(&mut tx, id).await?.into_iter().collect(),
    }))
}

async fn choose_cohorts(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(Chosen { attributes }): Body<Chosen>,
) -> Result<Json<Value>, Failure> {
    let caller = caller.on(id)?;
    let (track, by) = (caller.track(), caller.person().0);
    operations::set_cohort_attributes(&app.pool, track, &attributes, by, app.clock.now()).await?;
    Ok(Json(json!({ "attributes": attributes })))
}

async fn define(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(rings): Body<Vec<RingInput>>,
) -> Result<Json<All<Ring>>, Failure> {
    let caller = caller.on(id)?;
    let by = caller.person().0;
    let track = caller.track();
    let items = app.define_rings(track, rings, None, by).await?;
    Ok(Json(All { items }))
}

async fn expect(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(expected): Body<Expected>,
) -> Result<Json<Value>, Failure> {
    let caller = caller.on(id)?;
    let by = caller.person().0;
    let named = operations::expect_devices(
        &app.pool,
        caller.track(),
        &expected.serials,
        by,
        app.clock.now(),
    )
    .await?;
    Ok(Json(json!({ "expected": named })))
}

async fn freezes(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Json<All<Planned>>, Failure> {
    let track = caller.on(id)?.track();
    let mut tx = store::reading(&app.pool).await?;
    let missing = OpError::NotFound { what: "track" };
    tracks::by_id(&mut tx, track).await?.ok_or(missing)?;
    let now = app.clock.now();
    let service_now = service_clock::time(&mut tx, now).await?;
    let items = store::freezes::planned(&mut tx, track, service_now).await?;
    Ok(Json(All { items }))
}

async fn freeze(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(new): Body<NewFreeze>,
) -> Result<(StatusCode, Json<Planned>), Failure> {
    let caller = caller.on(id)?;
    let (track, by) = (caller.track(), caller.person().0);
    let added = operations::add_freeze(&app.pool, track, new, by, app.clock.now()).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn lift(
    State(app): State<App>,
    caller: Admin,
    At((id, freeze)): At<(Uuid, Uuid)>,
) -> Result<Json<Planned>, Failure> {
    let caller = caller.on(id)?;
    let (track, by) = (caller.track(), caller.person().0);
    let lifted = operations::lift_freeze(&app.pool, track, freeze, by, app.clock.now()).await?;
    Ok(Json(lifted))
}

async fn known_issues(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Json<All<Stored>>, Failure> {
    let track = caller.on(id)?.track();
    let mut tx = store::reading(&app.pool).await?;
    let missing = OpError::NotFound { what: "track" };
    tracks::by_id(&mut tx, track).await?.ok_or(missing)?;
    let items = store::holds::on(&mut tx, &[track]).await?;
    Ok(Json(All { items }))
}

async fn hold(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Body(known): Body<KnownIssue>,
) -> Result<(StatusCode, Json<Stored>), Failure> {
    let new = NewHold {
        devices: known.devices,
        issue: known.issue.as_str().to_owned(),
        sequence: known.sequence,
        owner: known.owner,
        expires: known.expires,
    };
    let caller = caller.on(id)?;
    let (track, by) = (caller.track(), caller.person().0);
    let added = app.hold_devices(track, new, by).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn end_hold(
    State(app): State<App>,
    caller: Admin,
    At((id, hold)): At<(Uuid, Uuid)>,
) -> Result<Json<Stored>, Failure> {
    let caller = caller.on(id)?;
    let (track, by) = (caller.track(), caller.person().0);
    Ok(Json(app.end_hold(track, HoldId(hold), by).await?))
}
