//! `/devices`: who is there, who may work, and where a device stands.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Admin, As, OnTrack, Right, Viewer};
use crate::error::OpError;
use crate::http::{At, Body, Failure, Page, Query, limit};
use crate::registry;
use crate::store;
use crate::store::devices::{self, Device, DeviceStatus, Summary};
use crate::store::seen;
use crate::views::DevicePage;
use crate::views::device_list::{self, Within};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/devices", get(list))
        .route("/devices/{id}", get(one))
        .route("/devices/{id}/admit", post(admit))
        .route("/devices/{id}/revoke", post(revoke))
        .route("/devices/{id}/pin", post(pin))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
    status: Option<DeviceStatus>,
    q: Option<String>,
    after: Option<i32>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    /// `null` lets the rules place it again; leaving it out is a mistake.
    #[serde(deserialize_with = "Option::deserialize")]
    ring: Option<Uuid>,
}

/// A device in a list.
#[derive(Debug, Serialize)]
struct DeviceLine {
    #[serde(flatten)]
    device: Summary,
    last_seen: Option<DateTime<Utc>>,
}

/// What an action made of a device.
#[derive(Debug, Serialize)]
struct Changed {
    id: Uuid,
    track_id: Uuid,
    ring_id: Uuid,
    pin: Option<Uuid>,
    status: DeviceStatus,
}

impl From<Device> for Changed {
    fn from(d: Device) -> Self {
        Self {
            id: d.id,
            track_id: d.track_id,
            ring_id: d.ring_id,
            pin: d.pin,
            status: d.status,
        }
    }
}

async fn over<R: Right>(app: &App, caller: As<R>, id: Uuid) -> Result<OnTrack<R>, Failure> {
    let track = devices::track_of(&mut *app.pool.acquire().await?, id).await?;
    caller.over("device", track.ok_or(OpError::NotFound { what: "device" })?)
}

async fn list(
    State(app): State<App>,
    caller: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<DeviceLine, i32>>, Failure> {
    let limit = limit(asked.limit, 100, 1000)?;
    let tracks = caller.asked(asked.track)?;
    let mut query = device_list::parse(asked.q.as_deref().unwrap_or_default())?;
    if let Some(status) = asked.status {
        query = query.with_status(status);
    }
    let mut tx = store::reading(&app.pool).await?;
    let within = Within::of(
        &app.catalogue,
        &app.picture,
        app.clock.now(),
        tracks.as_deref(),
    );
    let after = asked.after.unwrap_or(0);
    let hits = device_list::find(&mut tx, &within, &query, after, limit).await?;
    let written = seen::newest(&mut tx, &hits.device_nos).await?;
    let line = |device: Summary| DeviceLine {
        last_seen: app
            .picture
            .last_seen(device.device_no)
            .max(written.get(&device.device_no).copied()),
        device,
    };
    let found = devices::summaries(&mut tx, &hits.device_nos).await?;
    Ok(Json(Page {
        items: found.into_iter().map(line).collect(),
        next: hits.next,
    }))
}

async fn one(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Json<DevicePage>, Failure> {
    over(&app, caller, id).await?;
    let mut tx = store::reading(&app.pool).await?;
    let device = devices::by_id(&mut tx, id)
        .await?
        .ok_or(OpError::NotFound { what: "device" })?;
    let here = app.picture.last_seen(device.device_no);
    Ok(Json(
        DevicePage::read(&mut tx, &app.catalogue, device, here).await?,
    ))
}

async fn admit(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<Json<Changed>, Failure> {
    let by = over(&app, caller, id).await?.person().0;
    let device = registry::admit(
        &app.pool,
        &app.catalogue,
        &app.picture,
        id,
        by,
        app.clock.now(),
    )
    .await?;
    Ok(Json(device.into()))
}

async fn revoke(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
) -> Result<Json<Changed>, Failure> {
    let by = over(&app, caller, id).await?.person().0;
    let device = registry::revoke(
        &app.pool,
        &app.catalogue,
        &app.picture,
        id,
        by,
        app.clock.now(),
    )
    .await?;
    Ok(Json(device.into()))
}

async fn pin(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Body(pin): Body<Pin>,
) -> Result<Json<Changed>, Failure> {
    let by = over(&app, caller, id).await?.person().0;
    let device = registry::pin(
        &app.pool,
        &app.catalogue,
        &app.picture,
        id,
        pin.ring,
        by,
        app.clock.now(),
    )
    .await?;
    Ok(Json(device.into()))
}
