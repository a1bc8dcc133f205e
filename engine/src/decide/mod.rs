//! One place where a rollout moves.

mod apply;
mod people;
mod reasons;
pub(crate) mod requests;
mod tick;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use servicing::Sha256;

use crate::admission::Freeze;
use crate::approval::{Request, VoidReason};
use crate::evidence::{Evidence, sparse};
use crate::gate::GateReport;
use crate::halt::{Assessment, HaltCause, assess};
use crate::ids::{PersonId, RequestId, RolloutId, StageId};
use crate::policy::StagePolicy;
use crate::rollout::{Rollout, RolloutState};
use crate::stage::{Stage, StageState};

/// Someone, as far as approvals care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// May sign in.
    pub enabled: bool,
    /// May approve on this track.
    pub approver: bool,
    /// Is an admin of this track.
    pub admin: bool,
}

/// Everything read, in one transaction, before a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The rollout.
    pub rollout: Rollout,
    /// Its stages, first ring first.
    pub stages: Vec<Stage>,
    /// Evidence over all of them.
    #[serde(serialize_with = "sparse::evidence")]
    pub evidence: Evidence,
    /// Open requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Request>,
    /// The sequence was withdrawn, with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// When the sequence was released, if known.
    pub released_at: Option<DateTime<Utc>>,
    /// The change freeze of the track that is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
    /// Everyone with a role on this track, and everyone who approved or asks.
    pub people: BTreeMap<PersonId, Person>,
    /// The service clock: soak and deadlines run on it.
    pub service_now: DateTime<Utc>,
}

/// What happens to a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "input")]
pub enum Input {
    /// Time passed, or evidence came. Takes no hints and may come twice.
    Tick,
    /// The author hands it in. Starts at once unless `not_before` is later.
    Submit {
        /// Who.
        by: PersonId,
        /// Not before.
        not_before: Option<DateTime<Utc>>,
    },
    /// Stop for now.
    Pause {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// Go on after a pause.
    Resume {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// Stop.
    Halt {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// Clear a halt: an admin with a reason. The evidence stays; a halt that its evidence still calls for comes back only when it worsens.
    ClearHalt {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// Give up.
    Cancel {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// A newer rollout of the same track, product and family started.
    Supersede {
        /// Which.
        newer: RolloutId,
    },
    /// Say yes.
    Approve {
        /// Who.
        by: PersonId,
        /// To what.
        request: RequestId,
        /// The hash that was shown.
        hash: Sha256,
    },
    /// Say no.
    Reject {
        /// Who.
        by: PersonId,
        /// To what.
        request: RequestId,
        /// Why.
        reason: String,
    },
    /// Ask that the current stage pass although its gate did not. A second person approves it.
    RequestOverride {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// Ask that what is left of the rollout soak and wait less. Two more people approve it.
    RequestExpedite {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
}

/// A change of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum RequestChange {
    /// New.
    Opened {
        /// It.
        request: Box<Request>,
    },
    /// A yes was added; `done` when it was the last one needed.
    Approved {
        /// Which.
        request: RequestId,
        /// Who.
        by: PersonId,
        /// By the only admin there is.
        alone: bool,
        /// Enough.
        done: bool,
    },
    /// A lone admin's delay is over.
    Effective {
        /// Which.
        request: RequestId,
    },
    /// No.
    Rejected {
        /// Which.
        request: RequestId,
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// Void.
    Voided {
        /// Which.
        request: RequestId,
        /// Why.
        reason: VoidReason,
    },
    /// Seven days passed.
    Expired {
        /// Which.
        request: RequestId,
    },
}

/// Why a rollout is where it is, in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable word, such as `soak`.
    pub code: String,
    /// A sentence.
    pub sentence: String,
}

/// What was decided. `changed()` tells whether anything is to be stored but the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Decision {
    /// The rollout's next state, if it changes.
    pub rollout: Option<RolloutState>,
    /// The halts cleared so far, if they change.
    pub cleared: Option<Vec<HaltCause>>,
    /// Stages that change.
    pub stages: Vec<(StageId, StageState)>,
    /// Policies of stages that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<(StageId, StagePolicy)>,
    /// Requests that change.
    pub requests: Vec<RequestChange>,
    /// What happened: a stable word and a sentence, for feed and audit. Present exactly when something changed.
    pub event: Option<Reason>,
    /// Gate of the stage that is open, as of now; of the one before, while none is open.
    pub report: Option<(StageId, GateReport)>,
    /// Why it is where it is after this decision.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Nothing happens.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// Something happens.
    pub(crate) fn event(code: &str, sentence: impl Into<String>) -> Self {
        Self {
            event: Some(Reason::new(code, sentence)),
            ..Self::default()
        }
    }

    /// Something is to be stored, with an audit entry.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.event.is_some()
    }
}

/// Not done, and why. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{sentence}")]
pub struct Refused {
    /// Stable word, such as `four_eyes`, `state`, `hash`, `role`, `reason`.
    pub code: String,
    /// A sentence for the person who asked.
    pub sentence: String,
}

impl Refused {
    pub(crate) fn new(code: &str, sentence: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            sentence: sentence.into(),
        }
    }
}

impl Reason {
    pub(crate) fn new(code: &str, sentence: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            sentence: sentence.into(),
        }
    }
}

impl Snapshot {
    /// The stage that is on: the first that has not passed. None once all have.
    #[must_use]
    pub fn current(&self) -> Option<usize> {
        self.stages
            .iter()
            .position(|stage| !matches!(stage.state, StageState::Passed { .. }))
    }

    /// What the evidence says by the rollout's own baselines, but for what people cleared.
    #[must_use]
    pub fn assess(&self) -> Assessment {
        let rollout = &self.rollout;
        assess(&self.evidence, &rollout.cleared, &rollout.halt)
    }

    fn open_requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.is_open())
    }
}

/// Decides what an input does to a rollout. One decision is at most one transition: a driver ticks until nothing
/// changes. `now` is the wall clock of the caller's records; no rule reads it, all of them run on
/// `snapshot.service_now`, so a clock that jumps shortens no soak and expires no deadline.
///
/// # Errors
/// What may not be done is refused with a sentence for the person who asked; nothing changes.
pub fn decide(snapshot: &Snapshot, input: Input, _now: DateTime<Utc>) -> Result<Decision, Refused> {
    let assessment = snapshot.assess();
    let mut decision = match input {
        Input::Tick => tick::tick(snapshot, &assessment),
        other => people::act(snapshot, &assessment, other)?,
    };
    // The report is the one that was decided on, the reasons are those after the decision.
    decision.report = reasons::report(snapshot, &assessment);
    let mut after = snapshot.clone();
    after.apply(&decision);
    decision.reasons = reasons::reasons(&after);
    Ok(decision)
}
