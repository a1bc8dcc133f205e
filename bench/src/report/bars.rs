//! Every figure that is measured, and what it must reach. `docs/performance.md` says why.

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
}

impl Better {
    /// Whether a value is at least as good as a bar.
    #[must_use]
    pub fn holds(self, value: f64, bar: f64) -> bool {
        match self {
            Self::Higher => value >= bar,
            Self::Lower => value <= bar,
        }
    }

    /// The sign of a bar.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Higher => "≥",
            Self::Lower => "≤",
        }
    }
}

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Stable name.
    pub id: &'static str,
    /// What it says, for people.
    pub what: &'static str,
    /// Unit; empty for a ratio.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What must be reached; none: it is told so that others can be understood.
    pub bar: Option<f64>,
    /// What would be better still.
    pub stretch: Option<f64>,
}

const fn bar(
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    better: Better,
    bar: f64,
    stretch: Option<f64>,
) -> Figure {
    Figure {
        id,
        what,
        unit,
        better,
        bar: Some(bar),
        stretch,
    }
}

const fn told(id: &'static str, what: &'static str, unit: &'static str, better: Better) -> Figure {
    Figure {
        id,
        what,
        unit,
        better,
        bar: None,
        stretch: None,
    }
}

use Better::{Higher, Lower};

/// All of them, in the order of reports.
pub const FIGURES: &[Figure] = &[
    // Start and memory
    bar("start", "start to ready", "s", Lower, 4.0, Some(2.0)),
    told("start.empty", "start to ready without a device", "s", Lower),
    bar(
        "memory",
        "memory for the devices, just started",
        "MiB",
        Lower,
        100.0,
        Some(60.0),
    ),
    told(
        "memory.peak",
        "the most memory a server took in this run",
        "MiB",
        Lower,
    ),
    bar(
        "connection",
        "idle keep-alive connection",
        "KiB",
        Lower,
        30.0,
        Some(20.0),
    ),
    // Last contacts
    bar(
        "contacts.time",
        "last contacts of all devices, one flush",
        "ms",
        Lower,
        100.0,
        None,
    ),
    bar(
        "contacts.wal",
        "last contacts of all devices, one flush, log",
        "MB",
        Lower,
        10.0,
        None,
    ),
    // Polls
    told(
        "hello",
        "axum hello-world, the ceiling R0",
        "requests/s",
        Higher,
    ),
    told(
        "hello.cpu",
        "axum hello-world, processor time",
        "µs/request",
        Lower,
    ),
    told("polls", "unchanged polls", "requests/s", Higher),
    told("polls.ratio", "unchanged polls, of R0", "", Higher),
    told(
        "polls.cpu",
        "unchanged poll, server's processor time",
        "µs/request",
        Lower,
    ),
    bar(
        "polls.cpu.ratio",
        "unchanged poll, server's processor time, of hello-world's",
        "",
        Lower,
        1.3,
        Some(1.15),
    ),
    told(
        "polls.busy",
        "polls, 5 % changed, telemetry at 20 % of its bar",
        "requests/s",
        Higher,
    ),
    bar(
        "polls.busy.ratio",
        "polls, 5 % changed, telemetry at 20 % of its bar, of R0",
        "",
        Higher,
        0.70,
        Some(0.85),
    ),
    told("polls.busy.changed", "changed polls among them", "%", Lower),
    bar(
        "polls.p99",
        "polls at 17,000/s, p99",
        "ms",
        Lower,
        5.0,
        None,
    ),
    told("polls.p50", "polls at 17,000/s, median", "ms", Lower),
    // Telemetry
    told("select", "SELECT 1 through the pool", "queries/s", Higher),
    told(
        "copy",
        "bare COPY of the same rows, the ceiling C0",
        "rows/s",
        Higher,
    ),
    told(
        "telemetry",
        "telemetry over HTTP, acknowledged after commit",
        "events/s",
        Higher,
    ),
    bar(
        "telemetry.ratio",
        "telemetry over HTTP, 10 % resent, of C0",
        "",
        Higher,
        0.15,
        Some(0.25),
    ),
    told(
        "telemetry.cpu",
        "telemetry, server's processor time",
        "µs/event",
        Lower,
    ),
    told(
        "telemetry.cpu.postgres",
        "telemetry, PostgreSQL's processor time",
        "µs/event",
        Lower,
    ),
    bar(
        "telemetry.p99",
        "telemetry at half of that load, p99",
        "ms",
        Lower,
        50.0,
        Some(20.0),
    ),
    bar(
        "telemetry.slow.ratio",
        "telemetry with 2 ms added to each fdatasync, of the same without",
        "",
        Higher,
        0.7,
        Some(0.9),
    ),
    // Permits
    bar(
        "permits",
        "permits granted on one stage, two replicas",
        "permits/s",
        Higher,
        10_000.0,
        Some(30_000.0),
    ),
    told(
        "permits.ratio",
        "permits granted, of SELECT 1 through the pool just before",
        "",
        Higher,
    ),
    bar(
        "contest.granted",
        "permits granted to 20,000 askers for 10 places",
        "permits",
        Lower,
        10.0,
        None,
    ),
    bar(
        "contest.after",
        "permits granted after a halt was committed",
        "permits",
        Lower,
        0.0,
        None,
    ),
    told("contest.time", "20,000 askers answered", "s", Lower),
    // Decisions
    bar(
        "rollout.time",
        "starting a rollout, until a poll sees it",
        "ms",
        Lower,
        100.0,
        None,
    ),
    bar(
        "rollout.wal",
        "starting a rollout, log",
        "kB",
        Lower,
        10.0,
        None,
    ),
    bar(
        "halt",
        "halt, until another replica's polls know",
        "ms",
        Lower,
        1000.0,
        Some(200.0),
    ),
    bar(
        "gate.read",
        "reading what a gate is judged by",
        "ms",
        Lower,
        1.0,
        None,
    ),
    told(
        "gate.read.ratio",
        "reading it, of SELECT 1 on the same connection",
        "",
        Lower,
    ),
    bar("gate.decide", "judging it", "µs", Lower, 50.0, Some(10.0)),
    bar("pages", "any page, p99", "ms", Lower, 100.0, Some(30.0)),
    told("recount", "recount of all counters", "s", Lower),
];

/// The figure of this name.
#[must_use]
pub fn figure(id: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|f| f.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_used_once_and_stretches_lie_beyond_bars() {
        let names: BTreeSet<_> = FIGURES.iter().map(|f| f.id).collect();
        assert_eq!(names.len(), FIGURES.len());
        for figure in FIGURES {
            if let (Some(bar), Some(stretch)) = (figure.bar, figure.stretch) {
                assert!(figure.better.holds(stretch, bar), "{}", figure.id);
            }
        }
    }
}
