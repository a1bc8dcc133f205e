//! How many devices may start now, and which limit rules.

use engine::admission::WaitReason;
use engine::policy::Growth;
use engine::words;

use super::Read;
use crate::views::{AdmissionLine, Ruling};
use crate::web::parts::{Bar, Slice, Tally, number};

/// The panel.
pub struct Admission {
    /// Ring.
    pub ring: String,
    /// Devices in progress.
    pub unresolved: Tally,
    /// What rules, in a sentence.
    pub sentence: String,
    /// Limits.
    pub limits: Vec<Limit>,
    /// Of models and BIOS versions.
    pub cohorts: Option<String>,
}

/// One limit.
pub struct Limit {
    /// Name.
    pub name: &'static str,
    /// It keeps the next device waiting.
    pub rules: bool,
    /// How much of it is used.
    pub used: String,
    /// As a bar.
    pub bar: Bar,
    /// What it means.
    pub note: String,
}

impl Admission {
    /// The panel; none before a ring opened.
    pub fn new(read: &Read) -> Option<Self> {
        let line = read.progress.admission.as_ref()?;
        let waits = match &line.ruling {
            Ruling::Waits(reason) => Some(reason),
            _ => None,
        };
        let mut limits = Vec::new();
        if let Some(limit) = line.limits.devices_at_once {
            limits.push(Limit::new(
                "Devices at once",
                matches!(waits, Some(WaitReason::DevicesAtOnce { .. })),
                (line.unresolved, limit),
                "Set in the policy of the ring.".to_owned(),
            ));
        }
        if let (Some(limit), Some(percent)) = (line.per_day, line.limits.percent_per_day) {
            let share = words::limit(percent.0);
            limits.push(Limit::new(
                "Per day",
                matches!(waits, Some(WaitReason::PerDay { .. })),
                (line.today, limit),
                format!(
                    "{share} of {} in the ring, started today.",
                    words::devices(line.ring_size)
                ),
            ));
        }
        limits.push(Limit::new(
            "Evidence",
            matches!(waits, Some(WaitReason::Generation { .. })),
            (line.started, line.cap),
            format!(
                "Devices of the whole rollout that have started. It began with 2 and {}.",
                growth(line.growth)
            ),
        ));
        Some(Self {
            ring: line.ring.clone(),
            unresolved: Tally::plain(line.unresolved),
            sentence: sentence(line),
            limits,
            cohorts: cohorts(line),
        })
    }
}

const fn growth(growth: Growth) -> &'static str {
    match growth {
        Growth::Standard => "doubles when 95 % of them are well or all have an outcome",
        Growth::Cautious => "doubles when all of them have an outcome",
        Growth::Fast => "grows faster once 299 devices are clean",
    }
}

fn sentence(line: &AdmissionLine) -> String {
    match &line.ruling {
        Ruling::Free => "No limit is reached: a device that asks now may start.".to_owned(),
        Ruling::Waits(reason) => reason.sentence(None),
        Ruling::Halt(cause) => format!(
            "Nobody may start, the evidence says stop: {}",
            cause.sentence()
        ),
        Ruling::Stopped => "Nobody may start: the rollout does not run.".to_owned(),
    }
}

fn cohorts(line: &AdmissionLine) -> Option<String> {
    match (line.full, line.cohorts) {
        (_, 0) => None,
        (0, _) => Some("No model or BIOS version is at a limit of its own.".to_owned()),
        (full, all) => Some(format!(
            "{} of {} models and BIOS versions are at a limit of their own: their next devices wait for the first ones.",
            number(full),
            number(all)
        )),
    }
}

impl Limit {
    fn new(name: &'static str, rules: bool, (used, limit): (u64, u64), note: String) -> Self {
        let slice = Slice {
            word: "used",
            class: if rules { "f-run" } else { "f-mute" },
            n: used.min(limit),
            hatched: false,
        };
        Self {
            name,
            rules,
            used: format!("{} of {}", number(used), number(limit)),
            bar: Bar::new(name, &[slice], limit, "thin"),
            note,
        }
    }
}
