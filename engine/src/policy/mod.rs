//! What people may set, within checked ranges, and the presets.

mod expedite;
mod preset;
mod validate;
mod window;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use expedite::{EXPEDITED_RESTART, EXPEDITED_SOAK_HOURS, expedite};
pub use preset::preset;
pub use window::{EXPECTED as WINDOW, WeekMinute, Window};

/// A share, 0 to 100, with decimals.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub f64);

impl Percent {
    /// The share, 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }

    /// So many of `whole`, rounded up.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss
    )]
    pub fn of(self, whole: u64) -> u64 {
        // A rounding error of the product must not count as another device.
        (self.0 * whole as f64 / 100.0 - 1e-9).ceil().max(0.0) as u64
    }
}

/// A named set of stage policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Caps grow only when all started devices are resolved.
    Cautious,
    /// The defaults.
    Standard,
    /// From 299 clean devices on, a ring starts at 1 % and quadruples.
    Fast,
    /// Shorter soak, two approvers before the first ring.
    Expedited,
    /// About 40 devices: all resolved, no failure, three working days.
    Small,
}

/// How admission grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Doubles at 95 % OK or all resolved.
    Standard,
    /// Doubles at all resolved.
    Cautious,
    /// Quadruples, from 1 % of the ring, once 299 devices are clean.
    Fast,
}

/// Outcomes needed before a gate is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// Every targeted device, at least one.
    All,
    /// So many, capped at the ring's size.
    AtLeast(u64),
}

/// How many failures a gate tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureLimit {
    /// None.
    None,
    /// The one-sided 95 % upper bound of the rate is at most this.
    Bound(Percent),
}

/// Limits that people set on admission. The lowest rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Permitted and unresolved devices of this stage at once.
    #[serde(default)]
    pub devices_at_once: Option<u64>,
    /// Devices permitted on one day of the track's time zone, as a share of the ring.
    #[serde(default)]
    pub percent_per_day: Option<Percent>,
    /// When devices may install and restart, in their own time; none: at any time.
    #[serde(default)]
    pub window: Option<Window>,
}

/// How long people may put a restart off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartPolicy {
    /// Hours from when a device was offered the update, on the service clock; none: as long as they like.
    #[serde(default)]
    pub deadline_hours: Option<u32>,
    /// Hours that people get after the deadline to end what they do.
    #[serde(default)]
    pub grace_hours: u32,
    /// When the deadline was set, where the rollout was expedited: no deadline is over before that, and the grace follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<DateTime<Utc>>,
}

/// Everything one stage is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagePolicy {
    /// Soak from the minimum sample on, in hours of working days (24 for a working day).
    pub soak_hours: u32,
    /// Sample.
    pub sample: Sample,
    /// Failures.
    pub failures: FailureLimit,
    /// Resolved share of the targeted devices.
    pub coverage: Percent,
    /// Share of permitted devices heard of since their outcome or within a working day.
    pub telemetry: Percent,
    /// Days since release before the first permit of the stage.
    pub minimum_age_days: u32,
    /// Approvals needed before this stage opens.
    pub approvals: u8,
    /// Growth of admission.
    pub growth: Growth,
    /// Limits on admission.
    #[serde(default)]
    pub limits: Limits,
    /// How long people may put a restart off.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Repairs and further tries of a device that failed, by the ladder of its error; 0: people look at each.
    #[serde(default = "most_tries")]
    pub tries: u8,
    /// Working days and calendar days are those of this zone.
    pub time_zone: Tz,
}

/// Two tries that end alike prove that the third will.
pub const MOST_TRIES: u8 = 2;

const fn most_tries() -> u8 {
    MOST_TRIES
}
