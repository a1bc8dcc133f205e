//! What the evidence says now: halt, brake, or neither.

use std::collections::BTreeSet;

use super::e_value::reaches;
use super::{ALL_DEVICES, HaltCause, HaltPolicy, Stream, log_e_value, log_silence_e_value, weight};
use crate::evidence::{CohortKind, Counts, Evidence};
use crate::ids::CohortId;

/// Weighted E-value of all devices from which exposure is braked: a tenth of what halts.
pub(super) const BRAKE_ALL: f64 = 10.0;
/// Raw E-value of a cohort from which its exposure is braked.
pub(super) const BRAKE_COHORT: f64 = 30.0;
/// Baseline of the cohort brake: looser than that of the halt, because it is read without a weight.
pub(super) const BRAKE_COHORT_BASELINE: f64 = 0.025;

/// What the evidence says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assessment {
    /// Strongest cause to halt that nobody cleared.
    pub halt: Option<HaltCause>,
    /// Exposure of the rollout grows slowly.
    pub brake_all: bool,
    /// Cohorts whose exposure grows slowly.
    pub braked: BTreeSet<CohortId>,
}

impl Assessment {
    /// Whether the cap of a cohort, or of all devices, grows slowly.
    #[must_use]
    pub fn brakes(&self, cohort: CohortId) -> bool {
        if cohort == CohortId::ALL {
            self.brake_all
        } else {
            self.braked.contains(&cohort)
        }
    }

    /// Whether anything is braked.
    #[must_use]
    pub fn any_brake(&self) -> bool {
        self.brake_all || !self.braked.is_empty()
    }
}

/// Reads the evidence. A cause that a person cleared halts again only with more failures than then.
#[must_use]
pub fn assess(evidence: &Evidence, cleared: &[HaltCause], policy: &HaltPolicy) -> Assessment {
    let mut halt: Option<(f64, HaltCause)> = None;
    for (strength, cause) in strengths(evidence, policy) {
        let known = cleared.iter().any(|c| {
            c.stream == cause.stream && c.cohort == cause.cohort && cause.failures <= c.failures
        });
        if !known
            && halt
                .as_ref()
                .is_none_or(|(strongest, _)| strength > *strongest)
        {
            halt = Some((strength, cause));
        }
    }
    let all = &evidence.all;
    let brakes = |stream, failures| {
        let p = policy.baseline(stream, CohortId::ALL, None);
        let log_e = log_e_value(failures, all.started, p);
        reaches(log_e, weight(stream, None, 1, 0), BRAKE_ALL)
    };
    Assessment {
        halt: halt.map(|(_, cause)| cause),
        brake_all: brakes(Stream::Failure, all.failed) || brakes(Stream::Overdue, all.overdue),
        braked: evidence
            .cohorts
            .iter()
            .filter(|(_, cohort)| {
                let Counts {
                    failed, started, ..
                } = cohort.counts;
                // Editions are shown only: they take no part in a halt, and none in a brake.
                cohort.kind != CohortKind::Edition
                    && reaches(
                        log_e_value(failed, started, BRAKE_COHORT_BASELINE),
                        1.0,
                        BRAKE_COHORT,
                    )
            })
            .map(|(id, _)| *id)
            .collect(),
    }
}

/// Everything that halts by this evidence, cleared or not, ring first.
#[must_use]
pub fn causes(evidence: &Evidence, policy: &HaltPolicy) -> Vec<HaltCause> {
    strengths(evidence, policy)
        .into_iter()
        .map(|(_, cause)| cause)
        .collect()
}

/// The causes with how far their weighted logarithmic E-value is up.
fn strengths(evidence: &Evidence, policy: &HaltPolicy) -> Vec<(f64, HaltCause)> {
    let mut found = Vec::new();
    let mut look = |log_e: f64, weight: f64, cause: &dyn Fn() -> HaltCause| {
        if reaches(log_e, weight, 1.0 / policy.alpha) {
            found.push((log_e + weight.ln(), cause()));
        }
    };
    let all = &evidence.all;
    for (stream, failures) in [(Stream::Failure, all.failed), (Stream::Severe, all.severe)] {
        let p = policy.baseline(stream, CohortId::ALL, None);
        let log_e = log_e_value(failures, all.started, p);
        let cause = || HaltCause {
            stream,
            cohort: CohortId::ALL,
            name: ALL_DEVICES.to_owned(),
            failures,
            started: all.started,
        };
        look(log_e, weight(stream, None, 1, 0), &cause);
    }
    // Silence of one cohort has no control of its own: it is judged on all devices only.
    let silence = || HaltCause {
        stream: Stream::Silence,
        cohort: CohortId::ALL,
        name: ALL_DEVICES.to_owned(),
        failures: treated_silences(evidence),
        started: all.started,
    };
    look(
        log_silence_e_value(&evidence.silences),
        weight(Stream::Silence, None, 1, 0),
        &silence,
    );
    let tried = all.relapsed + all.recovered;
    let relapse = || HaltCause {
        stream: Stream::Relapse,
        cohort: CohortId::ALL,
        name: ALL_DEVICES.to_owned(),
        failures: all.relapsed,
        started: tried,
    };
    let p = policy.baseline(Stream::Relapse, CohortId::ALL, None);
    look(
        log_e_value(all.relapsed, tried, p),
        weight(Stream::Relapse, None, 1, 0),
        &relapse,
    );
    let added = added_kinds(evidence);
    for (id, cohort) in &evidence.cohorts {
        let counts = &cohort.counts;
        let values = values_of(evidence, cohort.kind);
        for (stream, failures) in [
            (Stream::Failure, counts.failed),
            (Stream::Severe, counts.severe),
        ] {
            let log_e = log_e_value(
                failures,
                counts.started,
                policy.baseline(stream, *id, Some(cohort.kind)),
            );
            let cause = || HaltCause {
                stream,
                cohort: *id,
                name: cohort.value.clone(),
                failures,
                started: counts.started,
            };
            let weight = weight(stream, Some(cohort.kind), values, added);
            look(log_e, weight, &cause);
        }
    }
    found
}

/// Among how many values a kind shares its weight.
pub(super) fn values_of(evidence: &Evidence, kind: CohortKind) -> usize {
    evidence
        .cohorts
        .values()
        .filter(|cohort| cohort.kind == kind)
        .count()
}

/// How many kinds of cohorts people added.
pub(super) fn added_kinds(evidence: &Evidence) -> usize {
    let kinds = evidence.cohorts.values().map(|cohort| cohort.kind);
    let added: BTreeSet<CohortKind> = kinds.filter(|kind| kind.is_attribute()).collect();
    added.len()
}

/// Updated devices that went silent while there was a control to compare with.
pub(super) fn treated_silences(evidence: &Evidence) -> u64 {
    evidence
        .silences
        .iter()
        .filter(|s| s.treated && s.at_risk_control > 0)
        .map(|s| s.devices)
        .sum()
}
