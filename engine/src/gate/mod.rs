//! When the next ring may open: all criteria, else it waits and says why.
//!
//! For promotion a device that is pending or silent counts as FAILED, so missing data can never promote.

mod bound;
mod criteria;
mod evaluate;
mod working_time;

use serde::{Deserialize, Serialize};

pub(crate) use criteria::opening_blocks;

pub(crate) use bound::beta_quantile;
pub use bound::{clean_sample_needed, failure_upper_bound};
pub use evaluate::{GateInput, evaluate};
pub use working_time::{working_end, working_start, working_time};

/// OOBE attempts on machines that have the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OobeEvidence {
    /// Attempts.
    pub attempts: u64,
    /// Of these, failed or hung; pending counts.
    pub failed: u64,
    /// Median duration, seconds; none until one completed.
    pub median_s: Option<u64>,
    /// Median of the control.
    pub control_median_s: Option<u64>,
}

/// A device counts as heard of for so many hours of working days: a weekend makes nobody silent.
pub const HEARD_WITHIN_H: u32 = 24;

/// Whether reports can be trusted to have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelemetryHealth {
    /// Ingest takes in reports.
    pub ingest_running: bool,
    /// Permitted devices heard of since their outcome or within [`HEARD_WITHIN_H`].
    pub heard: u64,
    /// Permitted devices.
    pub of: u64,
}

/// What was decided about one criterion or a whole gate. `#[must_use]`: a wait without its reason is a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[must_use]
pub enum Verdict {
    /// Does not apply here.
    Off,
    /// Holds.
    Pass,
    /// Not yet.
    Wait,
    /// The data can not show it; a person decides, or more outcomes come.
    Inconclusive,
    /// Must stop.
    Halt,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// No halt, no brake, not withdrawn, no severe cluster.
    NotHalted,
    /// Time since the sample.
    Soak,
    /// Outcomes.
    Sample,
    /// Upper bound of the failure rate.
    Failures,
    /// Resolved share.
    Coverage,
    /// OOBE failures.
    OobeFailures,
    /// OOBE duration against control.
    OobeDuration,
    /// Drift caused by this rollout.
    Drift,
    /// Telemetry health.
    Telemetry,
    /// Known issues and age since release.
    KnownIssues,
}

/// One line of a gate report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriterionReport {
    /// What is asked.
    pub criterion: Criterion,
    /// Verdict.
    pub verdict: Verdict,
    /// Limit, display-ready.
    pub limit: String,
    /// Observed, display-ready.
    pub observed: String,
    /// Sample size, where there is one.
    pub sample: Option<u64>,
    /// 95 % bound as a share 0 to 1, where there is one.
    pub bound: Option<f64>,
    /// A sentence for people.
    pub sentence: String,
}

/// A whole gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// The worst verdict of all criteria, in the order pass, wait, inconclusive, halt.
    pub verdict: Verdict,
    /// All criteria.
    pub criteria: Vec<CriterionReport>,
}

impl GateReport {
    /// All criteria hold.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.verdict == Verdict::Pass
    }

    /// One line, where the report has it.
    #[must_use]
    pub fn criterion(&self, criterion: Criterion) -> Option<&CriterionReport> {
        self.criteria.iter().find(|c| c.criterion == criterion)
    }

    /// The criterion holds or does not apply. A line that is missing does not.
    #[must_use]
    pub fn holds(&self, criterion: Criterion) -> bool {
        self.criterion(criterion)
            .is_some_and(|c| matches!(c.verdict, Verdict::Pass | Verdict::Off))
    }
}
