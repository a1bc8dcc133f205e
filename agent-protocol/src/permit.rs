//! Permits: the right to install and restart now.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Body of `POST /permits`. Asked when everything is downloaded and the restart is agreed, at most an hour ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitRequest {
    /// Rollout.
    pub rollout: Uuid,
    /// Seconds from now until the agreed restart.
    pub restart_in_s: u32,
}

/// Answer of `POST /permits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "permit", rename_all = "snake_case")]
pub enum PermitAnswer {
    /// Start within the time; asked again meanwhile, the answer is the same permit.
    Granted {
        /// Counts the permits of this device in this rollout, from 1.
        permit_no: u32,
        /// Seconds in which step 1 must start.
        start_within_s: u32,
    },
    /// Not now.
    Wait {
        /// Ask again after so many seconds.
        retry_after_s: u32,
        /// Why, in words.
        why: String,
    },
    /// Not at all as things are: halted, paused, withdrawn, not in the ring, outside the window, another authority.
    Refused {
        /// Stable word for the reason, such as `halted`.
        reason: String,
        /// The same in a sentence.
        why: String,
    },
}
