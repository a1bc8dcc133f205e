//! One function per criterion: its limit, what was observed, a verdict, and a sentence for people.

mod circumstances;
mod evidence;
mod failures;

use chrono::{DateTime, Utc};

use super::{Criterion, CriterionReport, Verdict};
use crate::decide::Snapshot;
use crate::halt::Assessment;
use crate::stage::{Stage, StageState};

pub(crate) use circumstances::opening_blocks;

/// Everything a criterion reads.
pub(super) struct Reading<'a> {
    pub snapshot: &'a Snapshot,
    pub stage: &'a Stage,
    pub assessment: &'a Assessment,
    pub now: DateTime<Utc>,
    pub soaked: Soaked,
}

/// How far a stage is, as its criteria see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Soaked {
    /// Not open, or its sample is not there.
    NotYet,
    /// Soaks since; an inconclusive bound is read again at so many outcomes.
    Since(DateTime<Utc>, Option<u64>),
    /// It has passed: only what can take the pass back is still judged.
    Passed,
}

impl Soaked {
    pub(super) fn of(state: &StageState) -> Self {
        match state {
            StageState::Waiting
            | StageState::AwaitingApproval { .. }
            | StageState::Deploying { .. } => Self::NotYet,
            StageState::Soaking { since, reread_at } => Self::Since(*since, *reread_at),
            StageState::Passed { .. } => Self::Passed,
        }
    }
}

impl Reading<'_> {
    /// Every targeted device has an outcome: no further one can come.
    fn complete(&self) -> bool {
        self.stage.targeted > 0 && self.stage.counts.resolved >= self.stage.targeted
    }
}

/// What never gets better by waiting asks a person once no further outcome can come.
fn wait_unless(complete: bool) -> Verdict {
    if complete {
        Verdict::Inconclusive
    } else {
        Verdict::Wait
    }
}

fn line(
    criterion: Criterion,
    verdict: Verdict,
    limit: impl Into<String>,
    observed: impl Into<String>,
    sentence: impl Into<String>,
) -> CriterionReport {
    CriterionReport {
        criterion,
        verdict,
        limit: limit.into(),
        observed: observed.into(),
        sample: None,
        bound: None,
        sentence: sentence.into(),
    }
}

fn pass_if(holds: bool) -> Verdict {
    if holds { Verdict::Pass } else { Verdict::Wait }
}
