//! All criteria of one stage, read together.

use chrono::{DateTime, Utc};

use super::criteria::{Reading, Soaked};
use super::{Criterion, CriterionReport, GateReport, Verdict};
use crate::decide::Snapshot;
use crate::halt::Assessment;

/// What a gate is read from.
#[derive(Debug, Clone, Copy)]
pub struct GateInput<'a> {
    /// Everything that was read.
    pub snapshot: &'a Snapshot,
    /// Which stage, from 0.
    pub index: usize,
    /// What its evidence says about halt and brake.
    pub assessment: &'a Assessment,
}

/// Reads the gate of a stage. Of a stage that has passed it tells whether the pass would still hold: devices
/// that started since then and have not ended are no evidence against it.
///
/// A stage that does not exist never passes.
pub fn evaluate(input: &GateInput<'_>, service_now: DateTime<Utc>) -> GateReport {
    let Some(stage) = input.snapshot.stages.get(input.index) else {
        return GateReport {
            verdict: Verdict::Wait,
            criteria: Vec::new(),
        };
    };
    let reading = Reading {
        snapshot: input.snapshot,
        stage,
        assessment: input.assessment,
        now: service_now,
        soaked: Soaked::of(&stage.state),
    };
    let (sample, soak, coverage) = (reading.sample(), reading.soak(), reading.coverage());
    // The bound is read when these are met, and not hunted for before.
    let readable = [&sample, &soak, &coverage]
        .iter()
        .all(|c| c.verdict == Verdict::Pass);
    let criteria = vec![
        reading.not_halted(),
        sample,
        soak,
        reading.failures(readable),
        coverage,
        reading.oobe_failures(),
        reading.oobe_duration(),
        reading.drift(),
        reading.telemetry(),
        reading.known_issues(),
    ];
    let verdict = worst(&criteria);
    GateReport { verdict, criteria }
}

/// The worst verdict. What is off is no reason to pass: with nothing read, nothing passes.
fn worst(criteria: &[CriterionReport]) -> Verdict {
    let judged = criteria
        .iter()
        .map(|c| c.verdict)
        .filter(|v| *v != Verdict::Off);
    judged.max().unwrap_or(Verdict::Wait)
}

impl Criterion {
    /// The stable word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotHalted => "not_halted",
            Self::Soak => "soak",
            Self::Sample => "sample",
            Self::Failures => "failures",
            Self::Coverage => "coverage",
            Self::OobeFailures => "oobe_failures",
            Self::OobeDuration => "oobe_duration",
            Self::Drift => "drift",
            Self::Telemetry => "telemetry",
            Self::KnownIssues => "known_issues",
        }
    }
}
