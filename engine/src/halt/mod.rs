//! When a rollout must stop: an always-valid sequential test.
//!
//! The test may be looked at after every report: under a good update (failure rate at most `p*`) each E-value is
//! a martingale that starts at 1, the weights of all streams and cohorts sum to at most 1, so the chance that
//! the weighted sum ever reaches 1/alpha is at most alpha (Ville's inequality). Devices that have started and
//! not ended count as OK here: only positive evidence of harm, or silence against a control, halts.
//! `docs/gates.md` has the reasoning.

mod assess;
mod baseline;
mod e_value;
mod slow;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assignment::Deadlines;
use crate::evidence::CohortKind;
use crate::ids::CohortId;
use crate::words;

pub use assess::{Assessment, assess, causes};
pub use baseline::{FEWEST_DEVICES, FEWEST_UPDATES, History, Learned, learn};
pub use e_value::{halt_boundary, halts, log_e_value, log_silence_e_value};
pub use slow::{FEWEST_SUCCESSES, Pace, learn_slow};
pub use watch::{Boundary, Watch, boundary, watches};

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Failed, rolled back, regressed, suspected to hang.
    Failure,
    /// Unusable machines.
    Severe,
    /// Lost, against devices not yet updated.
    Silence,
    /// Slow. Brakes, never halts.
    Overdue,
    /// Failed again with the same error after a repair that worked, among those that were repaired and had an end: the update
    /// is at fault, and not the devices.
    Relapse,
}

/// Why the test says stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HaltCause {
    /// Stream.
    pub stream: Stream,
    /// Cohort, or all devices.
    pub cohort: CohortId,
    /// The cohort's value, for people; "all devices" for all.
    pub name: String,
    /// Failures counted.
    pub failures: u64,
    /// Devices started.
    pub started: u64,
}

impl HaltCause {
    /// `4 failures among 12 devices (Latitude 5440)`, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let what = match self.stream {
            Stream::Failure => words::count(self.failures, "failure"),
            Stream::Severe => words::count(self.failures, "unusable device"),
            Stream::Silence => words::count(self.failures, "silent device"),
            Stream::Overdue => words::count(self.failures, "slow device"),
            Stream::Relapse => {
                return format!(
                    "{} failed again with the same error after a repair that worked, of {} that tried again: the update is at fault, \
                     not the devices.",
                    words::devices(self.failures),
                    words::number(self.started),
                );
            }
        };
        let among = words::devices(self.started);
        if self.cohort == CohortId::ALL {
            format!("{what} among {among}.")
        } else {
            format!("{what} among {among} ({}).", self.name)
        }
    }
}

/// Baselines and error probability of the halt test. The fixed baselines hold where nothing was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HaltPolicy {
    /// Probability at most with which a good update is ever halted.
    pub alpha: f64,
    /// Failure rate of a good update over all devices, and over large mixed cohorts (architectures).
    pub p_all: f64,
    /// Failure rate of a good update in one model, BIOS version or build: small groups differ more.
    pub p_cohort: f64,
    /// Rate of unusable machines of a good update.
    pub p_severe: f64,
    /// Rate of slow devices of a good update.
    pub p_overdue: f64,
    /// What earlier updates taught, by cohort and for all devices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub learned: BTreeMap<CohortId, Learned>,
    /// Seconds after which a device is slow, as earlier updates taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after_s: Option<i64>,
}

impl Default for HaltPolicy {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            p_all: 0.015,
            p_cohort: 0.02,
            p_severe: 0.002,
            p_overdue: 0.02,
            learned: BTreeMap::new(),
            overdue_after_s: None,
        }
    }
}

impl HaltPolicy {
    /// Nothing was learned, and nothing else is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// When a permitted device must have got somewhere.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        let usual = Deadlines::default();
        Deadlines {
            overdue_s: self.overdue_after_s.unwrap_or(usual.overdue_s),
            ..usual
        }
    }

    /// Baseline of a stream in a cohort of a kind, or in all devices.
    #[must_use]
    pub fn baseline(&self, stream: Stream, cohort: CohortId, kind: Option<CohortKind>) -> f64 {
        match (stream, self.learned.get(&cohort)) {
            (Stream::Failure, Some(learned)) => learned.failure,
            (Stream::Severe, Some(learned)) => learned.severe,
            _ => self.fixed(stream, kind),
        }
    }

    /// Baseline without history.
    ///
    /// Architectures are held to the baseline of all devices: there are two of them, so each is most of a ring.
    fn fixed(&self, stream: Stream, kind: Option<CohortKind>) -> f64 {
        match (stream, kind) {
            (Stream::Severe, _) => self.p_severe,
            (Stream::Overdue, _) => self.p_overdue,
            (Stream::Relapse, _) => P_RELAPSE,
            (Stream::Failure | Stream::Silence, None | Some(CohortKind::Architecture)) => {
                self.p_all
            }
            (Stream::Failure | Stream::Silence, Some(_)) => self.p_cohort,
        }
    }
}

/// Weight of a kind of cohorts that people add: as much as an architecture or a build has.
const ADDED_KIND: f64 = 0.05;

/// Under a good update a repair that worked helps more devices than not.
const P_RELAPSE: f64 = 0.49;

/// Name of the cohort of all devices, in sentences.
pub(crate) const ALL_DEVICES: &str = "all devices";

/// Share of the error probability that one stream of one cohort may spend. All that can halt sum to at most 1.
///
/// Overdue never halts, so its weight is no part of that sum: it brakes at the same level as a failure. Silence is judged
/// over all devices alone, because a cohort has no control of its own: it spends its whole share there. So are relapses, of which there
/// are few; they have a share of their own beyond the sum, because they are no statement about all devices that started.
///
/// Each kind that people added takes its weight out of that of models, of which there are the most values: `added` is how many
/// there are.
#[must_use]
pub fn weight(
    stream: Stream,
    kind: Option<CohortKind>,
    values_of_kind: usize,
    added: usize,
) -> f64 {
    let stream = match (stream, kind) {
        (Stream::Failure | Stream::Overdue, _) => 0.5,
        (Stream::Severe, _) => 0.25,
        (Stream::Silence | Stream::Relapse, None) => return 0.25,
        (Stream::Silence | Stream::Relapse, Some(_)) => return 0.0,
    };
    let group = match kind {
        None => return 0.3 * stream,
        Some(CohortKind::Model) => {
            let added = u32::try_from(added).unwrap_or(u32::MAX);
            0.4 - ADDED_KIND * f64::from(added)
        }
        Some(CohortKind::Bios) => 0.2,
        Some(CohortKind::Architecture | CohortKind::Build) => 0.05,
        Some(CohortKind::Edition) => 0.0,
        Some(
            CohortKind::Attribute1
            | CohortKind::Attribute2
            | CohortKind::Attribute3
            | CohortKind::Attribute4,
        ) => ADDED_KIND,
    };
    let values = u32::try_from(values_of_kind.max(1)).unwrap_or(u32::MAX);
    group / f64::from(values) * stream
}
