//! What people see of the test: integers, and where they stand.

use serde::{Deserialize, Serialize};

use super::assess::{
    BRAKE_ALL, BRAKE_COHORT, BRAKE_COHORT_BASELINE, added_kinds, treated_silences, values_of,
};
use super::e_value::{fewest_failures, halt_boundary, reaches};
use super::{ALL_DEVICES, HaltPolicy, Stream, log_silence_e_value, weight};
use crate::evidence::{CohortKind, Evidence, Silence};
use crate::ids::CohortId;

/// Silences in a row after which we stop looking for the one that halts.
const SILENCES_AHEAD: u64 = 200;

/// One stream of one cohort: "4 of 496; brakes at 16, halts at 21".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Stream.
    pub stream: Stream,
    /// Cohort, or all devices.
    pub cohort: CohortId,
    /// The cohort's value; "all devices" for all.
    pub name: String,
    /// Failures now.
    pub failures: u64,
    /// Devices started.
    pub started: u64,
    /// Fewest failures that brake; none where this never brakes.
    pub brakes_at: Option<u64>,
    /// Fewest failures that halt among so many started devices (all of the next ones, where so many have not
    /// started yet); none where this never halts.
    pub halts_at: Option<u64>,
}

/// Everything watched: all devices first, then every cohort that has started devices.
#[must_use]
pub fn watches(evidence: &Evidence, policy: &HaltPolicy) -> Vec<Watch> {
    let all = &evidence.all;
    let ring = |stream, failures, brakes: bool, halts: bool| {
        let (p, w) = (
            policy.baseline(stream, CohortId::ALL, None),
            weight(stream, None, 1, 0),
        );
        let at = |level| fewest_failures(all.started, p, w, level);
        Watch {
            stream,
            cohort: CohortId::ALL,
            name: ALL_DEVICES.to_owned(),
            failures,
            started: all.started,
            brakes_at: if brakes { at(BRAKE_ALL) } else { None },
            halts_at: if halts { at(1.0 / policy.alpha) } else { None },
        }
    };
    let mut watches = vec![
        ring(Stream::Failure, all.failed, true, true),
        ring(Stream::Severe, all.severe, false, true),
        Watch {
            halts_at: silence_halts_at(evidence, policy),
            ..ring(Stream::Silence, treated_silences(evidence), false, false)
        },
        ring(Stream::Overdue, all.overdue, true, false),
    ];
    let tried = all.relapsed + all.recovered;
    if tried > 0 {
        let p = policy.baseline(Stream::Relapse, CohortId::ALL, None);
        let w = weight(Stream::Relapse, None, 1, 0);
        watches.push(Watch {
            started: tried,
            halts_at: fewest_failures(tried, p, w, 1.0 / policy.alpha),
            ..ring(Stream::Relapse, all.relapsed, false, false)
        });
    }
    let added = added_kinds(evidence);
    for (id, cohort) in &evidence.cohorts {
        let counts = &cohort.counts;
        if counts.started == 0 || cohort.kind == CohortKind::Edition {
            continue;
        }
        let values = values_of(evidence, cohort.kind);
        for (stream, failures) in [
            (Stream::Failure, counts.failed),
            (Stream::Severe, counts.severe),
        ] {
            let p = policy.baseline(stream, *id, Some(cohort.kind));
            let w = weight(stream, Some(cohort.kind), values, added);
            let brakes_at =
                fewest_failures(counts.started, BRAKE_COHORT_BASELINE, 1.0, BRAKE_COHORT);
            watches.push(Watch {
                stream,
                cohort: *id,
                name: cohort.value.clone(),
                failures,
                started: counts.started,
                brakes_at: if stream == Stream::Failure {
                    brakes_at
                } else {
                    None
                },
                halts_at: fewest_failures(counts.started, p, w, 1.0 / policy.alpha),
            });
        }
    }
    watches
}

/// The line that failures of all devices must not reach, as a picture of it is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// Failures, and the largest number of started devices at which so many still brake.
    pub brakes: Vec<(u64, u64)>,
    /// The same for the halt.
    pub halts: Vec<(u64, u64)>,
}

/// Points of a line at most: more are not told apart in a picture.
const POINTS: u64 = 150;

/// The boundary over the first `started` devices: every failure up to 150, beyond that evenly spread ones.
#[must_use]
pub fn boundary(started: u64, policy: &HaltPolicy) -> Boundary {
    let p = policy.baseline(Stream::Failure, CohortId::ALL, None);
    let w = weight(Stream::Failure, None, 1, 0);
    let line = |level: f64| {
        let most = fewest_failures(started, p, w, level).unwrap_or(0);
        let step = usize::try_from(most.div_ceil(POINTS).max(1)).unwrap_or(usize::MAX);
        (1..=most)
            .step_by(step)
            .filter_map(|failures| {
                let largest = halt_boundary(failures, p, w, 1.0 / level)?;
                Some((failures, largest))
            })
            .collect()
    };
    Boundary {
        brakes: line(BRAKE_ALL),
        halts: line(1.0 / policy.alpha),
    }
}

/// At how many silent updated devices the test halts if only such ones follow, with as many at risk as at the
/// last event; none without a control.
fn silence_halts_at(evidence: &Evidence, policy: &HaltPolicy) -> Option<u64> {
    let last = evidence
        .silences
        .iter()
        .rfind(|s| s.at_risk_treated > 0 && s.at_risk_control > 0)?;
    let weight = weight(Stream::Silence, None, 1, 0);
    let mut silences = evidence.silences.clone();
    (treated_silences(evidence)..)
        .take(usize::try_from(SILENCES_AHEAD).unwrap_or(0))
        .find(|_| {
            let halts = reaches(log_silence_e_value(&silences), weight, 1.0 / policy.alpha);
            silences.push(Silence {
                treated: true,
                devices: 1,
                ..*last
            });
            halts
        })
}
