//! One ring of one rollout, with a frozen copy of the ring's policy.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::decide::Refused;
use crate::evidence::{Counts, sparse};
use crate::gate::{OobeEvidence, TelemetryHealth};
use crate::hold::Held;
use crate::ids::{RequestId, RingId, StageId};
use crate::policy::StagePolicy;
use crate::rollout::RolloutState;

/// State of a stage, with its data. What people see is this together with the rollout's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StageState {
    /// Not open; the one before has not passed.
    Waiting,
    /// Its predecessor passed; people have to say yes.
    AwaitingApproval {
        /// The request.
        request: RequestId,
    },
    /// Open; the sample is not there yet.
    Deploying {
        /// Since, service clock.
        since: DateTime<Utc>,
    },
    /// The sample is there; time passes.
    Soaking {
        /// When the minimum sample was reached, service clock.
        since: DateTime<Utc>,
        /// Outcomes at which an inconclusive gate is read again; none while it is read at every tick.
        #[serde(default)]
        reread_at: Option<u64>,
    },
    /// The gate passed, or was overridden.
    Passed {
        /// When, service clock.
        at: DateTime<Utc>,
        /// By an override: marked as such for ever after.
        overridden: bool,
    },
}

/// A stage as the engine reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Id.
    pub id: StageId,
    /// Ring.
    pub ring: RingId,
    /// Name of the ring, for sentences.
    pub name: String,
    /// Frozen policy.
    pub policy: StagePolicy,
    /// Revision of the ring's definition (membership rule) that is in force now.
    pub ring_revision: u32,
    /// State.
    pub state: StageState,
    /// Evidence of this ring for this digest.
    #[serde(
        default,
        serialize_with = "sparse::counts",
        skip_serializing_if = "Counts::is_zero"
    )]
    pub counts: Counts,
    /// Devices of the ring that the sequence applies to, in the rollout's scope: those that hold it already by
    /// this digest's evidence included.
    pub targeted: u64,
    /// Of these, devices that said why they can not go on (disk, battery, OOBE ...).
    pub not_ready: u64,
    /// Of these, devices that known issues hold, by issue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// Worst cohort of this stage by severe reports: their number. Two are a cluster.
    pub worst_severe: u64,
    /// OOBE attempts on machines that have the sequence; none where there were no attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oobe: Option<OobeEvidence>,
    /// Whether reports can be trusted to have arrived.
    pub telemetry: TelemetryHealth,
}

impl StageState {
    /// The stable word, as in JSON.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::AwaitingApproval { .. } => "awaiting_approval",
            Self::Deploying { .. } => "deploying",
            Self::Soaking { .. } => "soaking",
            Self::Passed { .. } => "passed",
        }
    }
}

/// Whether a device of the stage may get a permit: only while the rollout is active or completed and the stage is
/// open or has passed. Those that come late install as well: a machine that was switched off on the day of the last
/// pass must not miss a security update for it.
///
/// # Errors
/// Why not.
pub fn may_permit(rollout: &RolloutState, stage: &StageState) -> Result<(), Refused> {
    if !matches!(
        rollout,
        RolloutState::Active | RolloutState::Completed { .. }
    ) {
        return Err(Refused::new(
            "rollout",
            format!("The rollout is {}.", rollout.is_what()),
        ));
    }
    match stage {
        StageState::Deploying { .. } | StageState::Soaking { .. } | StageState::Passed { .. } => {
            Ok(())
        }
        StageState::Waiting => Err(Refused::new("stage", "The ring is not open yet.")),
        StageState::AwaitingApproval { .. } => {
            Err(Refused::new("stage", "The ring waits for approval."))
        }
    }
}
