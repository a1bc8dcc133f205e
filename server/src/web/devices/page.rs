//! `/devices/{id}`: what a device is, what it has, and how it got there.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::assignment::State as Step;
use engine::ids::{RolloutId, TrackId};
use engine::ring::{Subject, place};
use engine::rollout::{RolloutState, Scope};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::events::{EventRow, lasting};
use super::lanes::Timeline;
use super::ledger::Compared;
use super::list::barred;
use super::{found_by, or_dash};
use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::error::OpError;
use crate::http::At;
use crate::store::devices::{self, Device, DeviceStatus};
use crate::store::{self, events, populations, rollouts, sequences, tracks};
use crate::views::{AssignmentLine, DevicePage, EventLine, Place};
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Link, State as Chip, When};

/// Events of a page.
const EVENTS: i64 = 50;

/// Events of a timeline.
const STORY: i64 = 200;

/// Rollouts of a track among which the baseline is looked for.
const RECENT: i64 = 50;

/// Rollouts that are over of which the device's part is shown.
const PAST: usize = 20;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/devices/{id}", get(one))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<i64>,
}

/// Its part in a rollout.
struct Part {
    link: Link,
    over: Option<Chip>,
    ring: Option<String>,
    /// Where the rollout is, while it is live.
    phase: Option<&'static str>,
    state: Chip,
    sentences: Vec<String>,
    since: Option<When>,
}

#[derive(Template)]
#[template(path = "pages/device.html")]
struct DeviceShown {
    frame: Frame,
    id: Uuid,
    name: String,
    crumbs: Vec<Link>,
    chips: Vec<Chip>,
    /// What it is and how it stands.
    sub: String,
    sentence: String,
    seen: Option<When>,
    cloned: bool,
    revoked: bool,
    waits: bool,
    may_act: bool,
    ring: Link,
    ring_why: String,
    ring_query: Option<String>,
    /// Label and value.
    facts: Vec<(&'static str, String)>,
    tags: Vec<Link>,
    timeline: Option<Timeline>,
    compared: Option<Compared>,
    parts: Vec<Part>,
    events: Vec<EventRow>,
    newest: Option<String>,
    older: Option<String>,
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
    let frame = Frame::read(&app, &person, Nav::Devices, &name, here, zone).await?;
    let seen = app.picture.last_seen(device.device_no);
    let mut view = DevicePage::read(&mut tx, &app.catalogue, device.clone(), seen).await?;
    if let Some(before) = asked.before {
        let older = events::before(&mut tx, device.device_no, before, EVENTS).await?;
        view.events = older.into_iter().map(EventLine::from).collect();
    }
    let ring = ring(&mut tx, &device).await?;
    let compared = compared(&mut tx, &app, &device, &frame).await?;
    let timeline = timeline(&mut tx, &view, &frame).await?;
    let past = past(&mut tx, &app, &view).await?;
    drop(tx);
    let mut page = DeviceShown::of(frame, &device, view, track.map(|t| t.name));
    page.may_act = person.may::<kinds::Admin>(device.track_id);
    (page.ring.text, page.ring_why, page.ring_query) = ring;
    page.compared = compared;
    page.timeline = timeline;
    page.parts.extend(past.into_iter().map(|past| past.shown(&page.frame)));
    if asked.before.is_some() {
        page.newest = Some(format!("/devices/{id}"));
    }
    show(page)
}

/// Name of a device's ring, which rule took it there, and that rule.
async fn ring(
    conn: &mut PgConnection,
    device: &Device,
) -> anyhow::Result<(String, String, Option<String>)> {
    let rings = tracks::rings(conn, device.track_id).await?;
    let rules = rings.iter().map(tracks::Ring::rule).collect::<anyhow::Result<Vec<_>>>()?;
    let subject = Subject {
        facts: &device.facts,
        host_name: &device.identity.host_name,
    };
    let by_rule = place(&rules, TrackId(device.track_id), device.id, &subject, None);
    let named = |id: Uuid| rings.iter().find(|r| r.id == id);
    let own = named(device.ring_id);
    let name = own.map(|r| r.name.clone()).unwrap_or_default();
    let would = by_rule.and_then(|r| named(r.0));
    let (why, query) = match (device.pin, would) {
        (Some(_), Some(would)) if would.id == device.ring_id => {
            ("pinned; the rules would put it there as well".to_owned(), None)
        }
        (Some(_), Some(would)) => (format!("pinned; the rules would put it into {}", would.name), None),
        (Some(_), None) => ("pinned; no rule takes it".to_owned(), None),
        (None, Some(would)) if would.id == device.ring_id => by(would),
        (None, Some(would)) => (
            format!("the rules would put it into {}; it moves with its next inventory", would.name),
            None,
        ),
        (None, None) => ("no rule takes it any more, so it stays".to_owned(), None),
    };
    Ok((name, why, query))
}

/// The rule of a ring in words, and its query.
fn by(ring: &tracks::Ring) -> (String, Option<String>) {
    let n = ring.position + 1;
    let why = match (&ring.query, ring.share) {
        (None, None) => format!("by rule {n}, which takes the rest"),
        (None, Some(share)) => format!("by rule {n}: {share} % of the devices"),
        (Some(_), None) => format!("by rule {n}:"),
        (Some(_), Some(share)) => format!("by rule {n}, {share} % of"),
    };
    (why, ring.query.clone())
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
        let counts = matches!(r.state, RolloutState::Active | RolloutState::Completed { .. });
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
    Ok(Some(Compared::of(&sequence, format!("/sequences/{id}"), has, &withdrawn, frame)))
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
    let kb = place.and_then(|p| p.kb).map_or_else(|| "Update".to_owned(), |kb| kb.to_string());
    let hung = newest.is_some_and(|a| matches!(a.state, "hang_suspected" | "lost"));
    Ok(Timeline::of(&story, kb, hung, frame))
}

/// Its part in a rollout that is over.
struct Past {
    name: String,
    state: RolloutState,
    line: (Uuid, &'static str, Vec<String>, chrono::DateTime<chrono::Utc>),
}

impl Past {
    fn shown(self, frame: &Frame) -> Part {
        let (rollout, state, sentences, at) = self.line;
        Part {
            link: Link::new(self.name, format!("/rollouts/{rollout}")),
            over: Some(Chip::of_rollout(&self.state).hushed()),
            ring: None,
            phase: None,
            state: Chip::of_device(state).hushed(),
            sentences,
            since: Some(frame.when(at)),
        }
    }
}

async fn past(conn: &mut PgConnection, app: &App, view: &DevicePage) -> anyhow::Result<Vec<Past>> {
    let live = |a: &&AssignmentLine| view.rollouts.iter().all(|p| p.rollout.0 != a.rollout);
    let mut past = Vec::new();
    for line in view.assignments.iter().filter(live).take(PAST) {
        let Some(stored) = rollouts::by_id(&mut *conn, RolloutId(line.rollout)).await? else {
            continue;
        };
        let sequence = app.catalogue.get(&mut *conn, stored.rollout.digest).await?;
        past.push(Past {
            name: sequence.map_or_else(|| "Unknown".to_owned(), |s| s.kb.to_string()),
            state: stored.rollout.state,
            line: (line.rollout, line.state, sentences(line), line.progress_at),
        });
    }
    Ok(past)
}

/// What there is to say of an assignment beside its state.
fn sentences(line: &AssignmentLine) -> Vec<String> {
    let mut said = Vec::new();
    let a = &line.detail;
    match a.state {
        Step::Failed { code: Some(code), step } => {
            let meaning = servicing::error_code(code).map(|k| format!(" {}", k.meaning));
            said.push(format!("Step {step} of {}: {code}.{}", a.of, meaning.unwrap_or_default()));
        }
        Step::Failed { code: None, .. } => {
            said.push("Build or packages were not as expected afterwards.".to_owned());
        }
        Step::RolledBack { code } => said.push(format!("Windows took it back: {code}.")),
        Step::Installing { step } | Step::StepDone { step } | Step::Restarting { step } => {
            said.push(format!("Step {step} of {}.", a.of));
        }
        _ => {}
    }
    if a.regressed() {
        said.push("It came off the build afterwards.".to_owned());
    }
    if let Some(why) = line.not_ready.as_ref().filter(|_| !a.resolved) {
        said.push(format!("Not ready: {}.", why.replace('_', " ")));
    }
    said
}

/// How it stands in a rollout, in one sentence.
fn stands(place: &Place, line: Option<&AssignmentLine>, frame: &Frame) -> String {
    let kb = place.kb.map_or_else(|| "The update".to_owned(), |kb| kb.to_string());
    let ring = place.ring_name.clone().unwrap_or_else(|| "its ring".to_owned());
    let since = line.map_or_else(String::new, |line| {
        let ago = lasting((frame.now - line.progress_at).num_seconds());
        format!("since {}, for {ago}", frame.when(line.progress_at).text())
    });
    let step = line.map(sentences).unwrap_or_default().join(" ");
    let why = place.sentences.join(" ");
    match place.place.split(':').next().unwrap_or_default() {
        "succeeded" => format!("{kb} is installed and was verified."),
        "failed" => format!("{kb} failed. {step}"),
        "rolled_back" => format!("{kb} was installed and Windows took it back. {step}"),
        "hang_suspected" => format!("No progress with {kb} {since}, though the device is alive. {step}"),
        "lost" => format!("Nothing was heard {since}, since it got its permit for {kb}."),
        "targeted" => format!("{kb} is meant for it and has not begun; {ring} is {}.", place.stage_state.unwrap_or("not reached").replace('_', " ")),
        "not_ready" => format!("{kb} is meant for it and could not start now. {why}"),
        "not_applicable" => format!("{kb} is not for this device. {why}"),
        "not_listed" => format!("{kb} goes to listed devices, and this is none of them."),
        "complete" => format!("It has {kb} already."),
        "ahead" => format!("It is beyond {kb} already."),
        "installed_elsewhere" => format!("Something else put it onto the build of {kb}, or a newer one."),
        "awaiting_approval" | "revoked" => String::new(),
        word => format!("{kb}: {} {since}. {step}", word.replace('_', " ")),
    }
}

impl DeviceShown {
    fn of(frame: Frame, device: &Device, view: DevicePage, track: Option<String>) -> Self {
        let track = track.unwrap_or_default();
        let line = |place: &Place| view.assignments.iter().find(|a| a.rollout == place.rollout.0);
        let newest = view.rollouts.iter().rev().find(|p| p.place != "not_listed");
        let sentence = match newest {
            Some(place) => stands(place, line(place), &frame),
            None => "No rollout is live on its track.".to_owned(),
        };
        let mut chips = barred(device);
        let works = device.status == DeviceStatus::Admitted;
        chips.extend(newest.filter(|_| works).map(|p| Chip::of_device(&p.place)));
        let parts = view.rollouts.iter().rev().map(|place| Part {
            link: Link::new(
                place.kb.map_or_else(|| "Unknown".to_owned(), |kb| kb.to_string()),
                format!("/rollouts/{}", place.rollout),
            ),
            over: None,
            ring: place.ring_name.clone(),
            phase: Some(place.rollout_state),
            state: Chip::of_device(&place.place),
            sentences: match line(place) {
                Some(line) => sentences(line),
                None => place.sentences.clone(),
            },
            since: line(place).map(|line| frame.when(line.progress_at)),
        });
        let parts = parts.collect();
        let full = usize::try_from(EVENTS).is_ok_and(|n| view.events.len() >= n);
        let last = view.events.last().filter(|_| full);
        let f = &view.facts;
        let model = [f.manufacturer.trim(), f.model.trim()].join(" ");
        Self {
            id: device.id,
            name: or_dash(&view.host_name),
            crumbs: vec![
                Link::new("Devices", "/devices"),
                Link::new(track.clone(), found_by(&format!("track:\"{track}\""))),
            ],
            chips,
            sub: format!("{}, {}, {}.", or_dash(&model), f.architecture, f.edition),
            sentence: sentence.trim().to_owned(),
            seen: view.last_seen.map(|at| frame.when(at)),
            cloned: view.clone_suspected,
            revoked: view.status == DeviceStatus::Revoked,
            waits: view.status == DeviceStatus::AwaitingApproval,
            may_act: false,
            ring: Link::new(
                view.ring_name.clone().unwrap_or_default(),
                format!("/tracks/{}", view.track_id),
            ),
            ring_why: String::new(),
            ring_query: None,
            facts: facts(&view, &frame),
            tags: f.tags.iter().map(|tag| Link::new(tag, found_by(&format!("tag:\"{tag}\"")))).collect(),
            timeline: None,
            compared: None,
            parts,
            events: view.events.iter().map(|e| EventRow::of(e, &frame)).collect(),
            newest: None,
            older: last.map(|e| format!("/devices/{}?before={}", view.id, e.event_no)),
            frame,
        }
    }

    fn is_pinned(&self) -> bool {
        self.ring_why.starts_with("pinned")
    }
}

fn facts(view: &DevicePage, frame: &Frame) -> Vec<(&'static str, String)> {
    const GIB: u64 = 1 << 30;
    let f = &view.facts;
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    vec![
        ("Build", format!("{}, {} {}, {}", f.build, f.product, f.edition, f.series)),
        ("Model", or_dash([f.manufacturer.trim(), f.model.trim()].join(" ").trim())),
        ("BIOS", or_dash(&f.bios_version)),
        ("Architecture", f.architecture.to_string()),
        ("Disk free", format!("{}.{} GiB", f.free_disk_bytes / GIB, f.free_disk_bytes % GIB * 10 / GIB)),
        ("Restart pending", yes(f.restart_pending)),
        ("Component store", f.store_health.word().replace('_', " ")),
        ("On battery", yes(f.on_battery)),
        ("OOBE finished", yes(f.oobe_complete)),
        ("Updates come from", f.update_authority.word().replace('_', " ")),
        ("Agent", format!("{}, enrolled {}", or_dash(&view.agent_version), frame.when(view.enrolled_at).text())),
        ("Incarnation", view.incarnation.to_string()),
        ("Serial", or_dash(&view.serial)),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::web::frame::main_of;

    fn device() -> Device {
        serde_json::from_value::<servicing::Facts>(json!({
            "product": "client", "build": "26100.8116", "series": "standard", "edition": "Enterprise", "architecture": "x64",
            "manufacturer": "Dell Inc.", "model": "Latitude 5440", "bios_version": "1.2.3", "free_disk_bytes": 201_863_462_912_u64,
            "restart_pending": false, "store_health": "healthy", "on_battery": false, "oobe_complete": true,
            "update_authority": "ringfence", "tags": ["pilot"], "utc_offset_minutes": 60
        }))
        .map(|facts| Device {
            device_no: 1,
            id: Uuid::nil(),
            track_id: Uuid::nil(),
            ring_id: Uuid::nil(),
            pin: None,
            status: DeviceStatus::Admitted,
            clone_suspected: false,
            incarnation: 1,
            generation: 1,
            public_key: Vec::new(),
            identity: devices::Identity {
                serial: "PF3ABCD".to_owned(),
                smbios_uuid: Uuid::nil(),
                tpm_ek_sha256: None,
                host_name: "LAB-1".to_owned(),
            },
            agent_version: "0.1.0".to_owned(),
            cohorts: Vec::new(),
            facts,
            ledger: servicing::Ledger::default(),
            inventory_digest: Vec::new(),
            enrolled_at: chrono::DateTime::from_timestamp(1_775_000_000, 0).unwrap(),
        })
        .unwrap()
    }

    fn shown(device: &Device, places: Vec<Place>) -> DeviceShown {
        let view = DevicePage {
            id: device.id,
            device_no: 1,
            track_id: device.track_id,
            ring_id: device.ring_id,
            ring_name: Some("Pilot".to_owned()),
            pin: device.pin,
            status: device.status,
            clone_suspected: device.clone_suspected,
            incarnation: 1,
            host_name: device.identity.host_name.clone(),
            serial: device.identity.serial.clone(),
            smbios_uuid: Uuid::nil(),
            tpm_ek_sha256: None,
            key_sha256: servicing::Sha256::of(b""),
            agent_version: device.agent_version.clone(),
            enrolled_at: device.enrolled_at,
            last_seen: None,
            facts: device.facts.clone(),
            ledger: device.ledger.clone(),
            rollouts: places,
            assignments: Vec::new(),
            events: Vec::new(),
        };
        let frame = Frame::sample(Nav::Devices, "LAB-1", "/devices/1");
        let mut page = DeviceShown::of(frame, device, view, Some("Production".to_owned()));
        page.ring_why = "by rule 2:".to_owned();
        page.ring_query = Some("tag:pilot".to_owned());
        page.may_act = true;
        page
    }

    fn place(word: &str, why: &[&str]) -> Place {
        Place {
            rollout: RolloutId(Uuid::nil()),
            rollout_state: "active",
            kb: Some("KB5086672".parse().unwrap()),
            ring_name: Some("Pilot".to_owned()),
            stage_state: Some("deploying"),
            place: word.to_owned(),
            sentences: why.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    #[test]
    fn a_device_without_any_rollout() {
        insta::assert_snapshot!(main_of(&shown(&device(), Vec::new())));
    }

    #[test]
    fn a_revoked_and_cloned_device_with_a_name_without_end() {
        let mut device = device();
        device.status = DeviceStatus::Revoked;
        device.clone_suspected = true;
        device.identity.host_name = "W".repeat(200);
        insta::assert_snapshot!(main_of(&shown(&device, vec![place("revoked", &[])])));
    }

    #[test]
    fn a_device_that_waits_and_says_nothing_of_itself() {
        let mut device = device();
        device.status = DeviceStatus::AwaitingApproval;
        device.identity.host_name = String::new();
        device.identity.serial = String::new();
        device.facts.model = String::new();
        device.facts.manufacturer = String::new();
        device.facts.bios_version = String::new();
        device.facts.tags.clear();
        insta::assert_snapshot!(main_of(&shown(&device, Vec::new())));
    }

    #[test]
    fn the_sentence_says_how_it_stands() {
        let frame = Frame::sample(Nav::Devices, "LAB-1", "/devices/1");
        let said = |word: &str, why: &[&str]| stands(&place(word, why), None, &frame);
        insta::assert_snapshot!([
            said("succeeded", &[]),
            said("targeted", &[]),
            said("not_ready:disk", &["19.9 GiB free on the system volume, 20.0 GiB needed."]),
            said("not_applicable:architecture", &["The update is for another processor architecture."]),
            said("complete", &[]),
        ].join("\n"), @r"
        KB5086672 is installed and was verified.
        KB5086672 is meant for it and has not begun; Pilot is deploying.
        KB5086672 is meant for it and could not start now. 19.9 GiB free on the system volume, 20.0 GiB needed.
        KB5086672 is not for this device. The update is for another processor architecture.
        It has KB5086672 already.
        ");
    }
}
