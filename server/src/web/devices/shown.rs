//! The page of one device, ready to be shown.

use askama::Template;
use uuid::Uuid;

use super::events::EventRow;
use super::lanes::Timeline;
use super::ledger::Compared;
use super::list::barred;
use super::or_dash;
use super::standing::{Part, sentences, stands};
use crate::store::devices::{Device, DeviceStatus};
use crate::views::{DevicePage, Place};
use crate::web::frame::Frame;
use crate::web::parts::{Link, State as Chip, When, device_list, term};

/// Events of a page.
pub const EVENTS: i64 = 50;

#[derive(Template)]
#[template(path = "pages/device.html")]
pub struct DeviceShown {
    frame: Frame,
    id: Uuid,
    name: String,
    crumbs: Vec<Link>,
    chips: Vec<Chip>,
    /// What it is.
    sub: String,
    /// How it stands.
    sentence: String,
    seen: Option<When>,
    cloned: bool,
    revoked: bool,
    waits: bool,
    /// The caller may admit, revoke and pin.
    pub may_act: bool,
    /// Its ring.
    pub ring: Link,
    /// Which rule took it there.
    pub ring_why: String,
    /// Query of that rule.
    pub ring_query: Option<String>,
    pinned: bool,
    /// Label and value.
    facts: Vec<(&'static str, String)>,
    tags: Vec<Link>,
    /// `edr: Contoso Sensor 7.2`.
    attributes: Vec<Link>,
    /// How it got there.
    pub timeline: Option<Timeline>,
    /// What it has, against what it should have.
    pub compared: Option<Compared>,
    /// Its part in rollouts.
    pub parts: Vec<Part>,
    events: Vec<EventRow>,
    /// Back to the newest events.
    pub newest: Option<String>,
    older: Option<String>,
}

impl DeviceShown {
    /// A device; what takes further reading is filled in afterwards.
    pub fn of(frame: Frame, device: &Device, view: &DevicePage, track: Option<String>) -> Self {
        let track = track.unwrap_or_default();
        let line = |place: &Place| {
            view.assignments
                .iter()
                .find(|a| a.rollout == place.rollout.0)
        };
        let newest = view.rollouts.iter().rev().find(|p| p.place != "not_listed");
        let sentence = match newest {
            Some(place) => stands(place, line(place), &frame),
            None => "No rollout is live on its track.".to_owned(),
        };
        let mut chips = barred(device);
        let works = device.status == DeviceStatus::Admitted;
        chips.extend(newest.filter(|_| works).map(|p| Chip::of_device(&p.place)));
        // Rollouts for others do not concern it.
        let own = view.rollouts.iter().filter(|p| p.place != "not_listed");
        let parts = own.rev().map(|place| Part {
            link: Link::new(
                place
                    .kb
                    .map_or_else(|| "Unknown".to_owned(), |kb| kb.to_string()),
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
                Link::new(track.clone(), device_list(&term("track", &track))),
            ],
            chips,
            sub: match model.trim() {
                "" => format!("Model not known, {}, {}.", f.architecture, f.edition),
                model => format!("{model}, {}, {}.", f.architecture, f.edition),
            },
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
            pinned: view.pin.is_some(),
            facts: facts(view, &frame),
            tags: f
                .tags
                .iter()
                .map(|tag| Link::new(tag, device_list(&term("tag", tag))))
                .collect(),
            attributes: f
                .attributes
                .iter()
                .map(|(name, value)| {
                    let found = format!("attribute:{name}=\"{value}\"");
                    Link::new(format!("{name}: {value}"), device_list(&found))
                })
                .collect(),
            timeline: None,
            compared: None,
            parts,
            events: view
                .events
                .iter()
                .map(|e| EventRow::of(e, &frame))
                .collect(),
            newest: None,
            older: last.map(|e| format!("/devices/{}?before={}", view.id, e.event_no)),
            frame,
        }
    }
}

fn facts(view: &DevicePage, frame: &Frame) -> Vec<(&'static str, String)> {
    const GIB: u64 = 1 << 30;
    let f = &view.facts;
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    vec![
        (
            "Build",
            format!("{}, {} {}, {}", f.build, f.product, f.edition, f.series),
        ),
        (
            "Model",
            or_dash([f.manufacturer.trim(), f.model.trim()].join(" ").trim()),
        ),
        ("BIOS", or_dash(&f.bios_version)),
        ("Architecture", f.architecture.to_string()),
        (
            "Disk free",
            format!(
                "{}.{} GiB",
                f.free_disk_bytes / GIB,
                f.free_disk_bytes % GIB * 10 / GIB
            ),
        ),
        ("Restart pending", yes(f.restart_pending)),
        ("Component store", f.store_health.word().replace('_', " ")),
        ("On battery", yes(f.on_battery)),
        ("OOBE finished", yes(f.oobe_complete)),
        (
            "Updates come from",
            f.update_authority.word().replace('_', " "),
        ),
        (
            "Agent",
            format!(
                "{}, enrolled {}",
                or_dash(&view.agent_version),
                frame.when(view.enrolled_at).text()
            ),
        ),
        ("Incarnation", view.incarnation.to_string()),
        ("Serial", or_dash(&view.serial)),
    ]
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
