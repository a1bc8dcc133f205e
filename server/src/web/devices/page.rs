//! `/devices/{id}`: what a device is, what it has, and how it got there.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::rollout::{RolloutState, Scope};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::lanes::Timeline;
use super::ledger::Compared;
use super::or_dash;
use super::rule::ring;
use super::shown::{DeviceShown, EVENTS};
use super::standing::past;
use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::error::OpError;
use crate::http::At;
use crate::store::devices::{self, Device};
use crate::store::{self, events, populations, rollouts, sequences, tracks};
use crate::views::{DevicePage, EventLine};
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};

/// Events of a timeline.
const STORY: i64 = 200;

/// Rollouts of a track among which the baseline is looked for.
const RECENT: i64 = 50;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/devices/{id}", get(one))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<i64>,
}

async fn one(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
    Filter(asked): Filter<Asked>,
) -> Shown {
    let person = caller.caller().clone();
    let mut tx = store::reading(&app.pool).await?;
    let missing = OpError::NotFound { what: "device" };
    let device = devices::by_id(&mut tx, id).await?.ok_or(missing)?;
    let track = caller.over("device", device.track_id)?.track();
    let track = tracks::by_id(&mut tx, track).await?;
    let zone = track.as_ref().map(|t| t.time_zone);
    let name = or_dash(&device.identity.host_name);
    let here = match asked.before {
        Some(before) => format!("/devices/{id}?before={before}"),
        None => format!("/devices/{id}"),
    };
    let frame = Frame::within(&mut tx, &app, &person, Nav::Devices, &name, here, zone).await?;
    let seen = app.picture.last_seen(device.device_no);
    let mut view = DevicePage::read(&mut tx, &app.catalogue, device.clone(), seen).await?;
    if let Some(before) = asked.before {
        let older = events::before(&mut tx, device.device_no, before, EVENTS).await?;
        view.events = older.into_iter().map(EventLine::from).collect();
    }
    let ring = ring(&mut tx, &device).await?;
    let compared = compared(&mut tx, &app, &device, &frame).await?;
    let timeline = timeline(&mut tx, &view, &frame).await?;
    let past = past(&mut tx, &app, &view, &person, &frame).await?;
    drop(tx);
    let mut page = DeviceShown::of(frame, &device, &view, track.map(|t| t.name));
    page.may_act = person.may::<kinds::Admin>(device.track_id);
    (page.ring.text, page.ring_why, page.ring_query) = ring;
    page.compared = compared;
    page.timeline = timeline;
    page.parts.extend(past);
    if asked.before.is_some() {
        page.newest = Some(format!("/devices/{id}"));
    }
    show(page)
}

/// Its ledger against the newest sequence that is rolled out, or was, to devices like this one.
async fn compared(
    conn: &mut PgConnection,
    app: &App,
    device: &Device,
    frame: &Frame,
) -> anyhow::Result<Option<Compared>> {
    let track = [device.track_id];
    let mut first = None;
    for stored in rollouts::page(&mut *conn, Some(&track), None, RECENT).await? {
        let r = &stored.rollout;
        let counts = matches!(
            r.state,
            RolloutState::Active | RolloutState::Completed { .. }
        );
        let is_for = r.scope == Scope::Track
            || populations::is_listed(&mut *conn, r.id.0, device.device_no).await?;
        if !counts || !is_for {
            continue;
        }
        let Some(sequence) = app.catalogue.get(&mut *conn, r.digest).await? else {
            continue;
        };
        let fits = sequence.variant_for(&device.facts).is_ok();
        if first.is_none() || fits {
            first = Some((sequence, stored.sequence_id));
        }
        if fits {
            break;
        }
    }
    let Some((sequence, id)) = first else {
        return Ok(None);
    };
    let withdrawn = sequences::withdrawn(conn).await?;
    let has = (&device.facts, &device.ledger);
    Ok(Some(Compared::of(
        &sequence,
        format!("/sequences/{id}"),
        has,
        &withdrawn,
        frame,
    )))
}

/// The story of the newest rollout that it began.
async fn timeline(
    conn: &mut PgConnection,
    view: &DevicePage,
    frame: &Frame,
) -> anyhow::Result<Option<Timeline>> {
    let newest = view.assignments.first();
    let place = newest.and_then(|a| view.rollouts.iter().find(|p| p.rollout.0 == a.rollout));
    let story = events::story(conn, view.device_no, newest.map(|a| a.rollout), STORY).await?;
    let kb = place
        .and_then(|p| p.kb)
        .map_or_else(|| "Update".to_owned(), |kb| kb.to_string());
    let hung = newest.is_some_and(|a| matches!(a.state, "hang_suspected" | "lost"));
    Ok(Timeline::of(&story, kb, hung, frame))
}
