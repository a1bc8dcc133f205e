//! Times in which nothing starts, whatever the evidence says.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::words;

/// A change freeze of a track that is on: no device starts before its end. What has started goes on, and so do soaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Its end, service clock.
    pub until: DateTime<Utc>,
    /// Zone in which people read it.
    pub zone: Tz,
    /// Why.
    pub reason: String,
}

impl Freeze {
    /// `Change freeze until Mon 4 Jan 08:00 CET: end of the year.`
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "Change freeze until {}: {}",
            words::time(self.until, self.zone),
            words::ended(&self.reason)
        )
    }
}
