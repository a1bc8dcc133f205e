//! Out-of-Box Experience and steps of a KB on one time axis, as a picture and as a table.
//!
//! A night of waiting and a restart of a minute have to be seen in one picture: widths grow with the logarithm of the
//! time, and the page says so.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::axis::{Axis, Tick};
use super::events::{detail, lasting, oobe_phase, remedy, what};
use crate::store::events::LoggedEvent;
use crate::web::frame::Frame;
use crate::web::parts::{State as Chip, When};

/// Height of a lane with its gap, and of its bars.
const PITCH: f64 = 46.0;

/// Both lanes.
pub struct Timeline {
    /// KB of the second lane.
    pub kb: String,
    /// There was an Out-of-Box Experience.
    pub oobe: bool,
    /// What the picture shows, for those who do not see it.
    pub label: String,
    /// Height of the picture.
    pub height: u32,
    /// Lanes from top to bottom.
    pub lanes: Vec<Lane>,
    /// Labels of the axis.
    pub ticks: Vec<Tick>,
    /// The table.
    pub rows: Vec<StepRow>,
}

/// One lane.
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Middle of its text.
    pub text_y: String,
    /// Top of its bars.
    pub y: String,
    /// Its bars.
    pub bars: Vec<Lasted>,
}

/// What lasted for some time.
pub struct Lasted {
    /// Left edge.
    pub x: String,
    /// Width.
    pub width: String,
    /// Left edge of its word.
    pub text_x: String,
    /// Word, where it has room.
    pub word: String,
    /// Colour class.
    pub class: &'static str,
    /// Class of the word.
    pub text_class: &'static str,
    /// Nothing moves: hatched.
    pub hatched: bool,
}

/// A line of the table.
pub struct StepRow {
    /// When it was received.
    pub at: When,
    /// What happened in the Out-of-Box Experience.
    pub oobe: Option<Chip>,
    /// What happened to the KB.
    pub step: Option<Chip>,
    /// More of it.
    pub detail: String,
    /// What helps.
    pub remedy: Option<&'static str>,
    /// Until the next of its lane.
    pub took: String,
}

/// What goes on for a time.
struct Doing {
    word: String,
    /// Colour of the bar.
    class: &'static str,
    /// Class of the word on it.
    text: &'static str,
}

/// What goes on after an event.
enum After {
    /// This.
    Goes(Doing),
    /// It is over.
    Over,
    /// The same as before.
    Same,
}

fn after(kind: &str, body: &Value) -> After {
    let number = |field: &str| body.get(field).and_then(Value::as_u64).unwrap_or(0);
    let pale = |word: &str, class| {
        After::Goes(Doing {
            word: word.to_owned(),
            class,
            text: "t-dark",
        })
    };
    let deep = |word: String| {
        After::Goes(Doing {
            word,
            class: "f-deep",
            text: "t-on",
        })
    };
    match kind {
        "download_progress" => pale("Download", "d-offered"),
        "download_done" | "restart_postponed" => pale("Ready", "d-targeted"),
        "restart_agreed" => pale("Restart agreed", "d-offered"),
        "permitted" => pale("Permitted", "d-permitted"),
        "step_started" => deep(format!("Installing {} of {}", number("step"), number("of"))),
        "step_done" => pale("Done", "d-permitted"),
        "restart_pending" => pale("Waits for restart", "d-offered"),
        "restarted" => deep("Verifying".to_owned()),
        "not_ready" => pale("Not ready", "f-waitbg"),
        "oobe_started" => deep("Specialize".to_owned()),
        "oobe_phase_reached" => {
            let phase = body.get("phase").and_then(Value::as_str);
            deep(oobe_phase(phase.unwrap_or_default()))
        }
        "verified" | "failed" | "rolled_back" | "machine_unusable" | "not_applicable"
        | "oobe_completed" | "oobe_failed" => After::Over,
        _ => After::Same,
    }
}

fn is_oobe(event: &LoggedEvent) -> bool {
    event.kind.starts_with("oobe_")
}

impl Timeline {
    /// The story of a device in a rollout; none where nothing was said. `hung`: nothing moves.
    pub fn of(events: &[LoggedEvent], kb: String, hung: bool, frame: &Frame) -> Option<Self> {
        if events.is_empty() {
            return None;
        }
        let mut times: Vec<_> = events.iter().map(|e| e.received_at).collect();
        let over = |oobe: bool| {
            let mut own = events.iter().filter(|e| is_oobe(e) == oobe).rev();
            own.find_map(|e| match after(&e.kind, &e.body) {
                After::Over => Some(true),
                After::Goes(_) => Some(false),
                After::Same => None,
            })
        };
        if over(false) == Some(false) || over(true) == Some(false) {
            times.push(frame.now);
        }
        let axis = Axis::over(times);
        let oobe = events.iter().any(is_oobe);
        let mut lanes = Vec::new();
        for (name, which) in [("OOBE".to_owned(), true), (kb.clone(), false)] {
            let own: Vec<_> = events.iter().filter(|e| is_oobe(e) == which).collect();
            if own.is_empty() {
                continue;
            }
            lanes.push(Lane::of(name, lanes.len(), &own, &axis, hung, frame));
        }
        let rows = events
            .iter()
            .enumerate()
            .map(|(i, event)| {
                let next = events[i + 1..]
                    .iter()
                    .find(|e| is_oobe(e) == is_oobe(event));
                let took = next.map(|n| lasting((n.received_at - event.received_at).num_seconds()));
                let chip = what(&event.kind, &event.body);
                let (oobe, step) = if is_oobe(event) {
                    (Some(chip), None)
                } else {
                    (None, Some(chip))
                };
                StepRow {
                    at: frame.when(event.received_at),
                    oobe,
                    step,
                    detail: detail(&event.kind, &event.body),
                    remedy: remedy(&event.kind, &event.body),
                    took: took.unwrap_or_default(),
                }
            })
            .collect();
        let from = frame.when(events[0].received_at).text().to_owned();
        let to = frame
            .when(events[events.len() - 1].received_at)
            .text()
            .to_owned();
        let height = if lanes.len() > 1 { 118 } else { 72 };
        Some(Self {
            label: format!(
                "{kb} on this device: first word {from}, last word {to}. The table below says the same."
            ),
            kb,
            oobe,
            height,
            ticks: axis.ticks(frame),
            lanes,
            rows,
        })
    }
}

impl Lane {
    #[allow(clippy::cast_precision_loss)] // Two lanes, words of a few letters.
    fn of(
        name: String,
        place: usize,
        events: &[&LoggedEvent],
        axis: &Axis,
        hung: bool,
        frame: &Frame,
    ) -> Self {
        let mut bars = Vec::new();
        let mut open: Option<(DateTime<Utc>, Doing)> = None;
        for event in events {
            let next = match after(&event.kind, &event.body) {
                After::Same => continue,
                After::Goes(doing) => Some(doing),
                After::Over => None,
            };
            let same = |(_, now): &(_, Doing)| next.as_ref().is_some_and(|n| n.word == now.word);
            if open.as_ref().is_some_and(same) {
                continue;
            }
            if let Some((from, doing)) = open.take() {
                bars.extend(Lasted::of(axis, (from, event.received_at), doing, false));
            }
            open = next.map(|doing| (event.received_at, doing));
        }
        if let Some((from, mut doing)) = open {
            if hung {
                (doing.class, doing.text) = ("f-hungbg", "t-hung");
            }
            bars.extend(Lasted::of(axis, (from, frame.now), doing, hung));
        }
        let y = 28.0 + place as f64 * PITCH;
        Self {
            name,
            text_y: format!("{:.1}", y + 17.0),
            y: format!("{y:.1}"),
            bars,
        }
    }
}

impl Lasted {
    #[allow(clippy::cast_precision_loss)] // Words of a few letters.
    fn of(
        axis: &Axis,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        doing: Doing,
        hatched: bool,
    ) -> Option<Self> {
        let (x, end) = (axis.x(from), axis.x(to));
        let width = end - x - 1.5;
        if width < 1.0 {
            return None;
        }
        let room = doing.word.chars().count() as f64 * 6.4 + 12.0 <= width;
        Some(Self {
            x: format!("{x:.1}"),
            width: format!("{width:.1}"),
            text_x: format!("{:.1}", x + 6.0),
            word: if room { doing.word } else { String::new() },
            class: doing.class,
            text_class: doing.text,
            hatched,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::axis::{LEFT, RIGHT};
    use super::*;
    use crate::web::frame::Nav;

    fn event(minute: i64, kind: &str, body: Value) -> LoggedEvent {
        LoggedEvent {
            received_at: DateTime::from_timestamp(1_775_500_000 + minute * 60, 0).unwrap(),
            device_no: 1,
            event_no: minute,
            epoch: 1,
            seq: minute,
            kind: kind.to_owned(),
            hash: 0,
            body,
        }
    }

    fn frame() -> Frame {
        Frame::sample(Nav::Devices, "Device", "/devices/1")
    }

    #[test]
    fn a_device_that_said_nothing_has_no_picture() {
        assert!(Timeline::of(&[], "KB5086672".to_owned(), false, &frame()).is_none());
    }

    #[test]
    fn lanes_share_one_axis_and_a_long_wait_leaves_room_for_what_was_short() {
        let events = [
            event(0, "oobe_started", json!({})),
            event(4, "oobe_phase_reached", json!({ "phase": "oobe_update" })),
            event(5, "download_progress", json!({ "bytes": 1, "total": 2 })),
            event(6, "download_done", json!({})),
            event(600, "restart_agreed", json!({ "restart_in_s": 60 })),
            event(601, "permitted", json!({ "permit_no": 1, "steps": 1 })),
            event(602, "step_started", json!({ "step": 1, "of": 1 })),
            event(620, "step_done", json!({ "step": 1 })),
        ];
        let timeline = Timeline::of(&events, "KB5086672".to_owned(), true, &frame()).unwrap();
        assert_eq!(timeline.lanes.len(), 2);
        let widths: Vec<f64> = timeline.lanes[1]
            .bars
            .iter()
            .map(|b| b.width.parse().unwrap())
            .collect();
        assert!(widths.iter().all(|w| *w > 8.0), "{widths:?}");
        let all: f64 = widths.iter().sum();
        assert!(all < RIGHT - LEFT, "{widths:?}");
        assert!(timeline.lanes[1].bars.last().is_some_and(|b| b.hatched));
        assert_eq!(timeline.rows[3].took, "9 h 54 min");
    }
}
