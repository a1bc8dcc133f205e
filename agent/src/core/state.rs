//! What outlives a power loss: identity, spool and the job in hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agent_protocol::{EnrolStatus, Event, PublisherKey, RemediationAction, Settings};
use chrono::{DateTime, Utc};
use servicing::{KbNumber, Plan, Sequence};
use uuid::Uuid;

/// Everything a spool gives back when the agent starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// State; none before the first enrolment.
    pub state: Option<State>,
    /// Numbering of events; none when it was lost or never begun.
    pub mark: Option<Mark>,
    /// Events that are not acknowledged yet, in order.
    pub events: Vec<Event>,
}

/// One write to the spool: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Replaces the state.
    pub state: Option<State>,
    /// Replaces the numbering; events up to `acked` go.
    pub mark: Option<Mark>,
    /// Replaces all events instead of adding to them: a new epoch was begun.
    pub renumbered: bool,
    /// New events.
    pub events: Vec<Event>,
}

impl Change {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.is_none() && self.mark.is_none() && self.events.is_empty()
    }
}

/// Numbering of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Epoch.
    pub epoch: u32,
    /// Number of the next event.
    pub next_seq: u64,
    /// Everything up to here is committed by the server.
    pub acked: u64,
}

/// What the agent knows about itself and its work.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Who it is.
    pub identity: Identity,
    /// Newest manifest counter seen, per KB: an older manifest is never run again.
    pub counters: BTreeMap<KbNumber, u64>,
    /// Work in hand, or the last one that ended.
    pub job: Option<Job>,
    /// A repair that was begun.
    pub repair: Option<Repair>,
}

/// What enrolment gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The device's id.
    pub device_id: Uuid,
    /// Counts reimages; the first event epoch.
    pub incarnation: u32,
    /// Whether tokens may be asked for.
    pub status: EnrolStatus,
    /// Pinned keys.
    pub publisher_keys: Vec<PublisherKey>,
    /// What the server asks of every agent.
    pub settings: Settings,
}

/// A repair that was begun: reported as ended exactly once, whatever happens to the power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Rollout.
    pub rollout: Uuid,
    /// Which.
    pub action: RemediationAction,
    /// Boot in which it began.
    pub boot: String,
}

/// One rollout on this device.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Rollout.
    pub rollout: Uuid,
    /// Content digest, hex.
    pub digest: String,
    /// The sequence, once its manifest was verified.
    pub sequence: Option<Arc<Sequence>>,
    /// When the manifest expires: no first step after that.
    pub expires_at: Option<DateTime<Utc>>,
    /// The device's own plan.
    pub plan: Option<Plan>,
    /// SHA-256 of packages that are on disk and whose hash held.
    pub fetched: BTreeSet<String>,
    /// Downloads thrown away because their hash did not hold.
    pub corrupt: u8,
    /// `download_done` was reported.
    pub download_reported: bool,
    /// Reasons of `not_ready` that were reported.
    pub not_ready: BTreeSet<String>,
    /// Times that Windows took it back.
    pub rollbacks: u8,
    /// Highest permit under which a step began.
    pub spent_permit: u32,
    /// How far it is.
    pub phase: Phase,
}

impl Job {
    /// A new one.
    #[must_use]
    pub fn new(rollout: Uuid, digest: String) -> Self {
        Self {
            rollout,
            digest,
            sequence: None,
            expires_at: None,
            plan: None,
            fetched: BTreeSet::new(),
            corrupt: 0,
            download_reported: false,
            not_ready: BTreeSet::new(),
            rollbacks: 0,
            spent_permit: 0,
            phase: Phase::Preparing,
        }
    }

    /// The servicing tool runs or a restart has to come: nothing else may begin.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        match &self.phase {
            Phase::Step { stage, .. } => {
                !matches!(stage, Stage::Done { restart: false, .. } | Stage::Restarted)
            }
            Phase::Removing { stage, .. } => {
                matches!(stage, Removal::Running { .. } | Removal::Restarting { .. })
            }
            _ => false,
        }
    }

    /// Steps of the plan.
    #[must_use]
    pub fn steps(&self) -> u16 {
        self.plan.as_ref().map_or(0, |plan| {
            u16::try_from(plan.steps.len()).unwrap_or(u16::MAX)
        })
    }
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Manifest, plan and downloads are not complete.
    Preparing,
    /// Everything is on disk.
    Ready,
    /// A restart is agreed.
    Agreed {
        /// For when, in the server's time.
        at: DateTime<Utc>,
    },
    /// A permit was granted.
    Permitted {
        /// The agreed restart.
        at: DateTime<Utc>,
        /// Number of the permit.
        permit_no: u32,
        /// When step 1 must have started.
        start_by: DateTime<Utc>,
    },
    /// In the steps.
    Step {
        /// The agreed restart.
        at: DateTime<Utc>,
        /// Number of the permit.
        permit_no: u32,
        /// From 1.
        step: u16,
        /// How far this step is.
        stage: Stage,
    },
    /// Build and ledger were reported.
    Verified {
        /// As reported.
        build: String,
        /// As reported.
        packages_installed: bool,
    },
    /// A step failed.
    Failed,
    /// Windows took it back, or it was removed.
    RolledBack,
    /// It can never apply to this device.
    NotApplicable,
    /// It is being removed by order.
    Removing {
        /// What.
        kb: KbNumber,
        /// How far.
        stage: Removal,
    },
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The servicing tool was started in this boot.
    Running {
        /// Boot.
        boot: String,
    },
    /// It ended in this boot, without an error.
    Done {
        /// Boot.
        boot: String,
        /// A restart must come before anything else.
        restart: bool,
    },
    /// The restart was asked for in this boot.
    Restarting {
        /// Boot.
        boot: String,
    },
    /// The restart happened.
    Restarted,
}

/// How far a removal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A restart for it has to be agreed.
    Asking,
    /// It begins at the agreed time.
    Agreed {
        /// In the server's time.
        at: DateTime<Utc>,
    },
    /// The servicing tool was started in this boot.
    Running {
        /// Boot.
        boot: String,
    },
    /// The restart was asked for in this boot.
    Restarting {
        /// Boot.
        boot: String,
        /// What the tool returned.
        exit_code: i64,
    },
}
