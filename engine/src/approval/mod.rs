//! Requests to open a stage, bound to frozen evidence, with four eyes.

mod eyes;
mod review;
mod validity;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use servicing::Sha256;
use uuid::Uuid;

use crate::canonical;
use crate::evidence::Evidence;
use crate::gate::GateReport;
use crate::ids::{PersonId, RequestId, RolloutId, StageId};
use crate::policy::StagePolicy;
use crate::rollout::Actor;

pub use eyes::{Yes, approve};
pub use review::{Review, review};

pub(crate) use eyes::{counted, lone_admin, said_yes_alone};
use validity::judged_stage;
pub(crate) use validity::{expedited, freeze, lost_lines, lost_pass, void_reason};

/// A week: whoever approves later approves an old picture.
pub const EXPIRY: Duration = Duration::days(7);

/// Four hours stand in for the second person where there is only one: time to think again, or to be noticed.
pub const LONE_ADMIN_DELAY: Duration = Duration::hours(4);

/// Growth of a ring, in percent, up to which an approval stands: ordinary joiners do not void it.
pub const GROWTH_PERCENT: u64 = 10;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "asks")]
pub enum Ask {
    /// Open the stage.
    Open,
    /// Let the stage pass although its gate did not.
    Override {
        /// Why.
        reason: String,
    },
    /// Let the stages that have not passed [soak and wait less](crate::policy::expedite).
    Expedite {
        /// Why.
        reason: String,
    },
}

impl Ask {
    /// Whether two requests about one stage ask for the same.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What is approved: any change of it voids the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Content digest.
    pub digest: Sha256,
    /// Policy of the stage that would open.
    pub policy: StagePolicy,
    /// Revision of its ring's definition.
    pub ring_revision: u32,
    /// Devices it would open for.
    pub targeted: u64,
    /// Gate of the stage before, as it passed; none before the first stage. To override or expedite a stage, its own.
    pub gate: Option<GateReport>,
    /// The policies that stages would take, where it asks for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<(StageId, StagePolicy)>,
    /// Evidence then.
    pub evidence: Evidence,
}

/// One yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: PersonId,
    /// When, service clock.
    pub at: DateTime<Utc>,
    /// Given by the only admin there is: counts four hours later, and is marked.
    pub alone: bool,
}

/// How a request ended, or that it is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RequestState {
    /// People may decide.
    Open,
    /// Enough said yes.
    Approved,
    /// Someone said no.
    Rejected {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
    /// What was approved changed.
    Void {
        /// What.
        reason: VoidReason,
    },
    /// Nobody decided in seven days.
    Expired,
}

/// Why a request is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// The gate of the stage before would no longer pass.
    EvidenceWorsened,
    /// Other content.
    DigestChanged,
    /// Other policy.
    PolicyChanged,
    /// Other membership rule.
    RingChanged,
    /// More than 10 % more devices.
    RingGrew,
    /// The rollout was halted, paused, cancelled, superseded or withdrawn meanwhile.
    RolloutStopped,
    /// The stage whose gate was to be overridden passed by itself, or nothing is left to expedite.
    NotNeeded,
}

impl VoidReason {
    /// A sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::EvidenceWorsened => "The evidence got worse than what was to be approved.",
            Self::DigestChanged => "The content changed.",
            Self::PolicyChanged => "The policy of the stage changed.",
            Self::RingChanged => "The ring's definition changed.",
            Self::RingGrew => "The ring grew by more than 10 %.",
            Self::RolloutStopped => "The rollout was stopped.",
            Self::NotNeeded => "The stage passed by itself.",
        }
    }
}

/// A request to open a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Id.
    pub id: RequestId,
    /// Stage it is about.
    pub stage: StageId,
    /// What for.
    pub ask: Ask,
    /// Who asked: the engine after a pass, or a person.
    pub requested_by: Actor,
    /// When, service clock.
    pub requested_at: DateTime<Utc>,
    /// Approvals needed, at least 1.
    pub needed: u8,
    /// What is approved.
    pub frozen: Frozen,
    /// SHA-256 over the canonical JSON of `frozen`: an approver names it.
    pub hash: Sha256,
    /// Given so far, in order.
    pub approvals: Vec<Approval>,
    /// State.
    pub state: RequestState,
}

impl Frozen {
    /// SHA-256 over the canonical JSON: what an approver names.
    ///
    /// # Panics
    /// Never: plain data has a JSON form.
    #[must_use]
    pub fn hash(&self) -> Sha256 {
        let value = serde_json::to_value(self).expect("plain data has a JSON form");
        canonical::hash(&value)
    }
}

impl Request {
    /// People may decide on it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == RequestState::Open
    }

    /// When nobody may decide any more.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.requested_at + EXPIRY
    }

    /// When the yes of the only admin counts; none where there is no such yes.
    #[must_use]
    pub fn effective_at(&self) -> Option<DateTime<Utc>> {
        said_yes_alone(self).map(|approval| approval.at + LONE_ADMIN_DELAY)
    }
}

/// Id of the request that a decision opens: the same decision opens the same request, without randomness.
#[must_use]
pub fn request_id(rollout: RolloutId, stage: StageId, version: u64) -> RequestId {
    let mut bytes = b"ringfence request".to_vec();
    bytes.extend_from_slice(rollout.0.as_bytes());
    bytes.extend_from_slice(stage.0.as_bytes());
    bytes.extend_from_slice(&version.to_be_bytes());
    let hash = Sha256::of(&bytes);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    // Version 8, variant RFC 9562: made from our own bytes.
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    RequestId(Uuid::from_bytes(id))
}
