//! Out-of-Box Experience and steps of a KB on one time axis, as a picture and as a table.
//!
//! A night of waiting and a restart of a minute have to be seen in one picture: widths grow with the logarithm of the
//! time, and the page says so.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::events::{detail, lasting, oobe_phase, what};
use crate::store::events::LoggedEvent;
use crate::web::frame::Frame;
use crate::web::parts::{State as Chip, When};

/// Where lanes begin and end.
const LEFT: f64 = 96.0;
const RIGHT: f64 = 980.0;

/// Space that a label of the axis takes.
const LABEL: f64 = 104.0;

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

/// A label of the axis.
pub struct Tick {
    /// Where.
    pub x: String,
    /// Time.
    pub text: String,
    /// `start`, or `end` where the picture ends.
    pub anchor: &'static str,
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
    /// Until the next of its lane.
    pub took: String,
}

/// What goes on after an event.
enum After {
    /// This, in a colour; dark text on it, or light.
    Goes(String, &'static str, &'static str),
    /// It is over.
    Over,
    /// The same as before.
    Same,
}

fn after(kind: &str, body: &Value) -> After {
    let number = |field: &str| body.get(field).and_then(Value::as_u64).unwrap_or(0);
    let pale = |word: &str, class| After::Goes(word.to_owned(), class, "t-dark");
    match kind {
        "download_progress" => pale("Download", "d-offered"),
        "download_done" | "restart_postponed" => pale("Ready", "d-targeted"),
        "restart_agreed" => pale("Restart agreed", "d-offered"),
        "permitted" => pale("Permitted", "d-permitted"),
        "step_started" => {
            let word = format!("Installing {} of {}", number("step"), number("of"));
            After::Goes(word, "f-deep", "t-on")
        }
        "step_done" => pale("Done", "d-permitted"),
        "restart_pending" => pale("Waits for restart", "d-offered"),
        "restarted" => After::Goes("Verifying".to_owned(), "f-deep", "t-on"),
        "not_ready" => pale("Not ready", "f-waitbg"),
        "oobe_started" => After::Goes("Specialize".to_owned(), "f-deep", "t-on"),
        "oobe_phase_reached" => {
            let phase = body.get("phase").and_then(Value::as_str).unwrap_or_default();
            After::Goes(oobe_phase(phase), "f-deep", "t-on")
        }
        "verified" | "failed" | "rolled_back" | "machine_unusable" | "not_applicable"
        | "oobe_completed" | "oobe_failed" => After::Over,
        _ => After::Same,
    }
}

/// Where times lie on the axis.
struct Axis(Vec<(DateTime<Utc>, f64)>);

impl Axis {
    #[allow(clippy::cast_precision_loss)] // Seconds of a rollout fit.
    fn over(mut times: Vec<DateTime<Utc>>) -> Self {
        times.sort_unstable();
        times.dedup();
        let mut placed = Vec::new();
        let mut at = 0.0;
        for (i, time) in times.iter().enumerate() {
            if i > 0 {
                at += ((*time - times[i - 1]).num_seconds() as f64 / 60.0).ln_1p();
            }
            placed.push((*time, at));
        }
        let scale = if at > 0.0 { (RIGHT - LEFT) / at } else { 0.0 };
        for (_, x) in &mut placed {
            *x = LEFT + *x * scale;
        }
        Self(placed)
    }

    fn x(&self, time: DateTime<Utc>) -> f64 {
        let found = self.0.iter().find(|(t, _)| *t == time);
        found.map_or(RIGHT, |(_, x)| *x)
    }

    /// Labels that do not touch each other.
    fn ticks(&self, frame: &Frame) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let mut free = f64::MIN;
        for (time, x) in &self.0 {
            let ends = *x + LABEL > RIGHT;
            let from = if ends { *x - LABEL } else { *x };
            if from >= free {
                free = from + LABEL;
                ticks.push(Tick {
                    x: format!("{x:.1}"),
                    text: frame.when(*time).text().to_owned(),
                    anchor: if ends { "end" } else { "start" },
                });
            }
        }
        ticks
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
                After::Goes(..) => Some(false),
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
                let next = events[i + 1..].iter().find(|e| is_oobe(e) == is_oobe(event));
                let took = next.map(|n| lasting((n.received_at - event.received_at).num_seconds()));
                let chip = what(&event.kind, &event.body);
                let (oobe, step) = if is_oobe(event) { (Some(chip), None) } else { (None, Some(chip)) };
                StepRow {
                    at: frame.when(event.received_at),
                    oobe,
                    step,
                    detail: detail(&event.kind, &event.body),
                    took: took.unwrap_or_default(),
                }
            })
            .collect();
        let from = frame.when(events[0].received_at).text().to_owned();
        let to = frame.when(events[events.len() - 1].received_at).text().to_owned();
        let height = if lanes.len() > 1 { 118 } else { 72 };
        Some(Self {
            label: format!("{kb} on this device: first word {from}, last word {to}. The table below says the same."),
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
    fn of(name: String, place: usize, events: &[&LoggedEvent], axis: &Axis, hung: bool, frame: &Frame) -> Self {
        let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>, String, &'static str, &'static str)> = Vec::new();
        let mut open: Option<(DateTime<Utc>, String, &'static str, &'static str)> = None;
        for event in events {
            let next = match after(&event.kind, &event.body) {
                After::Same => continue,
                After::Goes(word, class, text) => Some((event.received_at, word, class, text)),
                After::Over => None,
            };
            if let (Some((_, word, ..)), Some((_, new, ..))) = (&open, &next)
                && word == new
            {
                continue;
            }
            if let Some((from, word, class, text)) = open.take() {
                spans.push((from, event.received_at, word, class, text));
            }
            open = next;
        }
        let mut bars: Vec<Lasted> = spans
            .into_iter()
            .filter_map(|(from, to, word, class, text)| Lasted::of(axis, (from, to), word, (class, text), false))
            .collect();
        if let Some((from, word, class, text)) = open {
            let class = if hung { "f-hungbg" } else { class };
            let text = if hung { "t-hung" } else { text };
            bars.extend(Lasted::of(axis, (from, frame.now), word, (class, text), hung));
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
        word: String,
        (class, text_class): (&'static str, &'static str),
        hatched: bool,
    ) -> Option<Self> {
        let (x, end) = (axis.x(from), axis.x(to));
        let width = end - x - 1.5;
        if width < 1.0 {
            return None;
        }
        let room = word.chars().count() as f64 * 6.4 + 12.0 <= width;
        Some(Self {
            x: format!("{x:.1}"),
            width: format!("{width:.1}"),
            text_x: format!("{:.1}", x + 6.0),
            word: if room { word } else { String::new() },
            class,
            text_class,
            hatched,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let widths: Vec<f64> = timeline.lanes[1].bars.iter().map(|b| b.width.parse().unwrap()).collect();
        assert!(widths.iter().all(|w| *w > 8.0), "{widths:?}");
        let all: f64 = widths.iter().sum();
        assert!(all < RIGHT - LEFT, "{widths:?}");
        assert!(timeline.lanes[1].bars.last().is_some_and(|b| b.hatched));
        assert_eq!(timeline.rows[3].took, "9 h 54 min");
    }
}
