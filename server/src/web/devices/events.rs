//! Events as people read them.

use serde_json::Value;
use servicing::{HResult, error_code};

use crate::views::EventLine;
use crate::web::frame::Frame;
use crate::web::parts::{Icon, State as Chip, Tone, When, number};

/// Longest text of an event whose kind is not known.
const LONGEST: usize = 300;

/// One event.
pub struct EventRow {
    /// When it was received.
    pub at: When,
    /// What happened.
    pub what: Chip,
    /// More of it.
    pub detail: String,
}

impl EventRow {
    /// An event of a device.
    pub fn of(event: &EventLine, frame: &Frame) -> Self {
        Self {
            at: frame.when(event.received_at),
            what: what(&event.kind, &event.body),
            detail: detail(&event.kind, &event.body),
        }
    }
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn count(body: &Value, field: &str) -> u64 {
    body.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// Seconds as people say them: the two largest units.
pub fn lasting(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) if seconds % 60 == 0 => format!("{m} min"),
        (0, 0, m) => format!("{m} min {} s", seconds % 60),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

/// What happened, as icon and word.
pub fn what(kind: &str, body: &Value) -> Chip {
    let run = |icon, word: &str| Chip::quiet(Tone::Run, icon, word);
    let mute = |icon, word: &str| Chip::quiet(Tone::Mute, icon, word);
    let bad = |icon, word: &str| Chip::quiet(Tone::Bad, icon, word);
    let step = |word: &str| match (count(body, "step"), count(body, "of")) {
        (0, _) => word.to_owned(),
        (step, 0) => format!("{word}, step {step}"),
        (step, of) => format!("{word}, step {step} of {of}"),
    };
    match kind {
        "heartbeat" => mute(Icon::Clock, "Alive"),
        "inventory_changed" => mute(Icon::Log, "Inventory changed"),
        "oobe_started" => run(Icon::Timer, "OOBE began"),
        "oobe_phase_reached" => run(Icon::Timer, &oobe_phase(text(body, "phase"))),
        "oobe_completed" => Chip::quiet(Tone::Ok, Icon::OkRing, "OOBE complete"),
        "oobe_failed" => bad(Icon::X, "OOBE failed"),
        "download_progress" => run(Icon::Down, "Downloading"),
        "download_done" => run(Icon::Check, "Downloaded"),
        "not_ready" => Chip::quiet(Tone::Wait, Icon::Triangle, "Not ready"),
        "not_applicable" => mute(Icon::Off, "Not applicable"),
        "order_refused" => bad(Icon::X, "Order refused by the agent"),
        "restart_agreed" => run(Icon::Restart, "Restart agreed"),
        "restart_postponed" => Chip::quiet(Tone::Wait, Icon::Clock, "Restart postponed"),
        "permitted" => run(Icon::Check, "Permit granted"),
        "step_started" => run(Icon::Down, &step("Started")),
        "step_done" => run(Icon::Check, &step("Done")),
        "restart_pending" => run(Icon::Restart, &step("Waits for a restart")),
        "restarted" => run(Icon::Restart, &step("Restarted")),
        "verified" if body.get("packages_installed") == Some(&Value::Bool(false)) => {
            bad(Icon::X, "Read after the restart")
        }
        "verified" => Chip::quiet(Tone::Ok, Icon::OkRing, "Read after the restart"),
        "failed" => bad(Icon::X, &step("Failed")),
        "rolled_back" => bad(Icon::X, "Rolled back by Windows"),
        "machine_unusable" => bad(Icon::Stop, "Machine unusable"),
        "remediation_started" => run(Icon::Timer, "Repair began"),
        "remediation_done" => run(Icon::Check, "Repair ended"),
        "overdue" => Chip::quiet(Tone::Wait, Icon::Clock, "Slower than usual"),
        "hang_suspected" => Chip::quiet(Tone::Hung, Icon::Hourglass, "Hang suspected"),
        "lost" => mute(Icon::Gone, "Silent"),
        "repair_given_up" => bad(Icon::Hourglass, "Repair given up"),
        other => mute(Icon::Log, &other.replace('_', " ")),
    }
}

/// A phase of an Out-of-Box Experience.
pub fn oobe_phase(phase: &str) -> String {
    match phase {
        "specialize" => "Specialize",
        "oobe_network" => "Network",
        "oobe_update" => "Installing updates",
        "ppkg" => "Provisioning packages",
        "esp_device" => "Device setup (ESP)",
        "esp_account" => "Account setup (ESP)",
        "complete" => "Complete",
        other => other,
    }
    .replace('_', " ")
}

/// A code with its name and meaning, as far as they are known.
pub fn code(text: &str) -> String {
    let known = text.parse::<HResult>().ok().and_then(error_code);
    match known {
        Some(known) => format!("{text} {}. {}", known.name, known.meaning),
        None => text.to_owned(),
    }
}

/// What helps against the failure that an event tells of.
pub fn remedy(kind: &str, body: &Value) -> Option<&'static str> {
    let failed = matches!(kind, "failed" | "rolled_back");
    let code = text(body, "code")
        .parse::<HResult>()
        .ok()
        .filter(|_| failed)?;
    error_code(code).map(|known| known.remediation.as_str())
}

/// More of what happened, as a sentence.
pub fn detail(kind: &str, body: &Value) -> String {
    let seconds = |field| lasting(i64::try_from(count(body, field)).unwrap_or(i64::MAX));
    match kind {
        "heartbeat" => text(body, "phase").to_owned(),
        "inventory_changed" | "download_done" | "restarted" | "restart_pending" | "overdue"
        | "step_started" | "hang_suspected" | "lost" | "repair_given_up" | "oobe_phase_reached" => {
            String::new()
        }
        "oobe_started" => match text(body, "image_revision") {
            "" => String::new(),
            image => format!("Image {image}"),
        },
        "oobe_completed" => format!("In {}", seconds("duration_s")),
        "oobe_failed" => format!(
            "{} {}",
            oobe_phase(text(body, "phase")),
            code(text(body, "code"))
        ),
        "download_progress" => {
            let (bytes, total) = (count(body, "bytes"), count(body, "total"));
            format!("{} of {} bytes", number(bytes), number(total))
        }
        "not_ready" | "not_applicable" | "order_refused" => text(body, "reason").replace('_', " "),
        "restart_agreed" => format!("In {}", seconds("restart_in_s")),
        "restart_postponed" => format!("By {}", seconds("by_s")),
        "permitted" => {
            let (no, steps) = (count(body, "permit_no"), count(body, "steps"));
            let steps = if steps == 1 {
                "1 step".to_owned()
            } else {
                format!("{steps} steps")
            };
            match text(body, "expected") {
                "" => format!("Permit {no}, {steps}"),
                build => format!("Permit {no}, {steps} to {build}"),
            }
        }
        "step_done" => {
            let state = text(body, "package_state").replace('_', " ");
            let restart = body.get("restart_needed") == Some(&Value::Bool(true));
            let restart = if restart { ", a restart is needed" } else { "" };
            format!("{}, package {state}{restart}", text(body, "code"))
        }
        "verified" => {
            let all = body.get("packages_installed") == Some(&Value::Bool(true));
            let packages = if all {
                "all packages installed"
            } else {
                "packages are missing"
            };
            format!("{}, {packages}", text(body, "build"))
        }
        "failed" | "rolled_back" => code(text(body, "code")),
        "machine_unusable" => text(body, "signal").replace('_', " "),
        "remediation_started" | "remediation_done" => {
            let ok = match body.get("ok") {
                Some(Value::Bool(true)) => ", it worked",
                Some(Value::Bool(false)) => ", it did not work",
                _ => "",
            };
            format!("{}{ok}", text(body, "action").replace('_', " "))
        }
        // Kinds of later agents: what they said, as they said it.
        _ => body.to_string().chars().take(LONGEST).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_said_in_its_two_largest_units() {
        let said: Vec<String> = [0, 59, 60, 61, 3600, 3720, 86_400, 180_000]
            .map(lasting)
            .into();
        insta::assert_snapshot!(said.join(" | "), @"0 s | 59 s | 1 min | 1 min 1 s | 1 h | 1 h 2 min | 1 d | 2 d 2 h");
    }

    #[test]
    fn a_failure_says_what_its_code_means_and_a_kind_of_a_later_agent_is_shown_as_it_is() {
        let body = json!({ "code": "0x80073712", "step": 1 });
        assert!(
            detail("failed", &body).starts_with("0x80073712 ERROR_SXS_COMPONENT_STORE_CORRUPT")
        );
        assert_eq!(what("failed", &body).word, "Failed, step 1");
        assert_eq!(what("fan_speed", &json!({})).word, "fan speed");
        assert!(detail("fan_speed", &json!({ "rpm": 900 })).contains("900"));
    }
}
