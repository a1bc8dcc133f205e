//! Telemetry: what happened on a device, numbered by the device without gaps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most events of one batch.
pub const MAX_BATCH_EVENTS: usize = 500;

/// Most bytes of one batch, after decompression.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;

/// Body of `POST /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventBatch {
    /// Starts with an incarnation and grows when the spool was lost; numbers start again at 1 in a new epoch.
    pub epoch: u32,
    /// In order, `seq` without gaps.
    pub events: Vec<Event>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number in the epoch, from 1.
    pub seq: u64,
    /// Device time: for people, never for deadlines.
    pub at: DateTime<Utc>,
    /// Seconds this agent was powered on and not in standby since it enrolled; never goes back.
    pub powered_s: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Kinds of events. A kind that a server does not know is stored and counted as nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum EventKind {
    /// Alive. Sent while a step runs; `phase` changes count as progress.
    Heartbeat {
        /// Rollout in progress, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollout: Option<Uuid>,
        /// Free word for what goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
    },
    /// Facts or ledger changed; the inventory itself goes by `PUT /inventory`.
    InventoryChanged {
        /// Its digest, hex.
        digest: String,
    },
    /// An Out-of-Box Experience began.
    OobeStarted {
        /// Image revision the machine was made from, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_revision: Option<String>,
    },
    /// It reached a phase.
    OobePhaseReached {
        /// Which.
        phase: OobePhase,
    },
    /// It is complete.
    OobeCompleted {
        /// Seconds from start to end.
        duration_s: u64,
    },
    /// It failed.
    OobeFailed {
        /// `0x%08X`, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Where.
        phase: OobePhase,
    },
    /// Downloading.
    DownloadProgress {
        /// Rollout.
        rollout: Uuid,
        /// Bytes on disk.
        bytes: u64,
        /// Bytes needed.
        total: u64,
    },
    /// Everything the plan needs is on disk and its hashes hold.
    DownloadDone {
        /// Rollout.
        rollout: Uuid,
    },
    /// The device can not go on; it stays in the denominator.
    NotReady {
        /// Rollout.
        rollout: Uuid,
        /// `disk`, `restart_pending`, `battery`, `oobe`, `store`.
        reason: String,
    },
    /// The device will never take this: another architecture, edition, family.
    NotApplicable {
        /// Rollout.
        rollout: Uuid,
        /// `architecture`, `edition`, `family`, `product`, `series`.
        reason: String,
    },
    /// The agent does not do what the server ordered.
    OrderRefused {
        /// Rollout.
        rollout: Uuid,
        /// Why: signature, counter, expired, plan differs, hash.
        reason: String,
    },
    /// A restart is agreed.
    RestartAgreed {
        /// Rollout.
        rollout: Uuid,
        /// Seconds from now.
        restart_in_s: u32,
    },
    /// The user postponed it.
    RestartPostponed {
        /// Rollout.
        rollout: Uuid,
        /// By so many seconds.
        by_s: u32,
    },
    /// A step started under a permit.
    StepStarted {
        /// Rollout.
        rollout: Uuid,
        /// The permit.
        permit_no: u32,
        /// From 1.
        step: u16,
        /// Steps of the plan.
        of: u16,
    },
    /// A step ended without an error. Never the verdict: that is [`EventKind::Verified`].
    StepDone {
        /// Rollout.
        rollout: Uuid,
        /// From 1.
        step: u16,
        /// As the tool returned it.
        exit_code: i64,
        /// The same as `0x%08X`.
        code: String,
        /// State of the step's last package now.
        package_state: String,
        /// A restart must come before anything else.
        restart_needed: bool,
    },
    /// Waiting for a restart.
    RestartPending {
        /// Rollout.
        rollout: Uuid,
        /// After this step.
        step: u16,
    },
    /// A kernel boot happened.
    Restarted {
        /// Rollout.
        rollout: Uuid,
        /// After this step.
        step: u16,
    },
    /// Build and ledger were read after the last restart.
    Verified {
        /// Rollout.
        rollout: Uuid,
        /// `26100.8117`.
        build: String,
        /// Every package of the plan is installed, in order.
        packages_installed: bool,
    },
    /// An installation failed.
    Failed {
        /// Rollout.
        rollout: Uuid,
        /// In this step.
        step: u16,
        /// `0x%08X`.
        code: String,
    },
    /// Windows took the update back.
    RolledBack {
        /// Rollout.
        rollout: Uuid,
        /// `0x%08X`.
        code: String,
    },
    /// Positive evidence of an unusable machine.
    MachineUnusable {
        /// Rollout.
        rollout: Uuid,
        /// `boot_loop`, `recovery_environment`, `rolled_back_twice`, `three_forced_restarts`.
        signal: String,
    },
    /// A repair began.
    RemediationStarted {
        /// Rollout.
        rollout: Uuid,
        /// Which.
        action: crate::RemediationAction,
    },
    /// A repair ended.
    RemediationDone {
        /// Rollout.
        rollout: Uuid,
        /// Which.
        action: crate::RemediationAction,
        /// Whether it worked.
        ok: bool,
    },
}

/// Phases of an Out-of-Box Experience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OobePhase {
    /// Specialize pass.
    Specialize,
    /// Waiting for or on the network page.
    OobeNetwork,
    /// Updates inside OOBE.
    OobeUpdate,
    /// Provisioning packages.
    Ppkg,
    /// Enrolment status page, device.
    EspDevice,
    /// Enrolment status page, account.
    EspAccount,
    /// Done.
    Complete,
}

/// Answer of `POST /events`, and part of its `409`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// Epoch the server is at.
    pub epoch: u32,
    /// Everything up to here is committed.
    pub acked: u64,
}
