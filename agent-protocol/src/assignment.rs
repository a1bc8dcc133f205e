//! The poll: what a device is to do now.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Answer of `GET /assignment` (`200`; an unchanged one is `304`). Header [`crate::POLL_AFTER`] goes with both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// What to do.
    #[serde(flatten)]
    pub order: Order,
    /// Why, in words for a log or a person.
    pub why: String,
    /// Digest of the inventory the server holds, hex; an agent whose own differs sends a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory_digest: Option<String>,
}

/// One order. An agent refuses what its pinned keys and its own plan do not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Order {
    /// Nothing to do.
    Nothing,
    /// Fetch the manifest and download what the plan needs, ahead of time. Report `download_progress`, then `download_done`.
    Prepare {
        /// Rollout.
        rollout: Uuid,
        /// Content digest of the sequence, hex; also the manifest's address.
        digest: String,
    },
    /// Agree a restart with whoever uses the machine. Report `restart_agreed` or `restart_postponed`.
    AgreeRestart {
        /// Rollout.
        rollout: Uuid,
        /// Seconds from now until the restart can no longer be postponed; none: no deadline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_s: Option<u64>,
        /// Seconds that people get after the deadline.
        #[serde(default)]
        grace_s: u64,
    },
    /// Claim a permit by `POST /permits`.
    RequestPermit {
        /// Rollout.
        rollout: Uuid,
    },
    /// Run step `step` of `of`.
    RunStep {
        /// Rollout.
        rollout: Uuid,
        /// Content digest, hex.
        digest: String,
        /// The permit under which this runs.
        permit_no: u32,
        /// From 1.
        step: u16,
        /// Steps of this device's plan.
        of: u16,
        /// KBs of the step's packages in order.
        packages: Vec<String>,
    },
    /// Restart now; the kernel boot tells whether it happened.
    Restart {
        /// Rollout.
        rollout: Uuid,
        /// The step that needs it.
        step: u16,
    },
    /// Read build and ledger and report `verified`.
    Verify {
        /// Rollout.
        rollout: Uuid,
        /// Build that a good installation ends on.
        expected_build: String,
    },
    /// Run one documented repair.
    Remediate {
        /// Rollout.
        rollout: Uuid,
        /// Which.
        action: RemediationAction,
    },
    /// Keep everything as it is: the rollout is halted, paused or withdrawn.
    Hold {
        /// Rollout.
        rollout: Uuid,
    },
    /// Remove the package again, where that is possible.
    RollBack {
        /// Rollout.
        rollout: Uuid,
        /// KB to remove.
        kb: String,
    },
    /// Send a full inventory.
    Reinventory,
}

impl Order {
    /// The rollout that it is about.
    #[must_use]
    pub const fn rollout(&self) -> Option<Uuid> {
        match self {
            Self::Nothing | Self::Reinventory => None,
            Self::Prepare { rollout, .. }
            | Self::AgreeRestart { rollout, .. }
            | Self::RequestPermit { rollout }
            | Self::RunStep { rollout, .. }
            | Self::Restart { rollout, .. }
            | Self::Verify { rollout, .. }
            | Self::Remediate { rollout, .. }
            | Self::Hold { rollout }
            | Self::RollBack { rollout, .. } => Some(*rollout),
        }
    }
}

/// Documented repairs. An enum, never free text: a taken-over server can not invent commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemediationAction {
    /// `DISM /Online /Cleanup-Image /RestoreHealth`.
    RestoreHealth,
    /// The same with a local source of the same build and `/LimitAccess`.
    RestoreHealthFromSource,
    /// Delete the downloaded files and fetch them again.
    ClearDownloads,
    /// Free space on the system volume by the documented means.
    FreeDiskSpace,
    /// Restart once to finish what is pending.
    Restart,
}
