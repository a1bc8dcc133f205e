//! Exposure grows with evidence: how many devices may have started, and which of those that ask.

mod admit;
mod caps;
mod freeze;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::halt::{HaltCause, HaltPolicy};
use crate::ids::CohortId;
use crate::policy::{Growth, Limits, WeekMinute, Window};
use crate::words;

pub use admit::admit;
pub use caps::{FAST_FROM, FIRST_CAP, QUORUM, grow, next_cap};
pub use freeze::Freeze;

/// A device that asks for a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Device.
    pub device_no: i32,
    /// Its cohorts in this rollout, without [`CohortId::ALL`].
    pub cohorts: Vec<CohortId>,
    /// Seconds until its agreed restart: the soonest go first.
    pub restart_in_s: u32,
    /// What time of the week it is for the device.
    pub local: WeekMinute,
    /// Hash of device and rollout: breaks ties, so that the same people are not always first.
    pub rank: u64,
}

/// What admission reads under the locks of the rollout's gates.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission<'a> {
    /// Evidence now, all stages.
    pub evidence: &'a Evidence,
    /// Caps as stored; a missing one is at its first size.
    pub caps: &'a BTreeMap<CohortId, u64>,
    /// How they grow.
    pub growth: Growth,
    /// Limits of the stage.
    pub limits: Limits,
    /// Devices targeted in the stage's ring.
    pub ring_size: u64,
    /// Permitted and unresolved devices of the stage.
    pub unresolved: u64,
    /// Halts that a person cleared.
    pub cleared: &'a [HaltCause],
    /// Baselines of the halt test.
    pub halt: &'a HaltPolicy,
    /// Permits of the stage on this calendar day of its time zone.
    pub today: u64,
    /// The change freeze of the track that is on.
    pub freeze: Option<&'a Freeze>,
}

impl Admission<'_> {
    /// Devices of the ring that may start on one day; none without such a limit.
    #[must_use]
    pub fn per_day(&self) -> Option<u64> {
        let percent = self.limits.percent_per_day?;
        Some(percent.of(self.ring_size).max(1))
    }

    /// What keeps a device from starting whatever room there is: a freeze, lower than which no limit is, and the window.
    #[must_use]
    pub fn closed_to(&self, asker: &Asker) -> Option<WaitReason> {
        if let Some(freeze) = self.freeze {
            return Some(WaitReason::Freeze(freeze.clone()));
        }
        let window = self.limits.window?;
        (!window.takes(asker.local, asker.restart_in_s)).then(|| WaitReason::Window {
            window,
            opens_in_min: window.opens_in(asker.local),
        })
    }
}

/// Which limit keeps a device waiting: the ruling one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum WaitReason {
    /// The generation of the rollout is full.
    Generation {
        /// Devices that may have started.
        cap: u64,
    },
    /// The generation of the device's model or BIOS version is full.
    CohortGeneration {
        /// Which.
        cohort: CohortId,
        /// Devices of it that may have started.
        cap: u64,
    },
    /// Devices at once.
    DevicesAtOnce {
        /// The limit.
        limit: u64,
    },
    /// Percent a day.
    PerDay {
        /// Devices a day.
        limit: u64,
    },
    /// A change freeze of the track.
    Freeze(Freeze),
    /// The maintenance window of the stage.
    Window {
        /// The window.
        window: Window,
        /// Minutes until it begins for the device; 0: it is on, and too short by now.
        opens_in_min: u16,
    },
}

impl WaitReason {
    /// A sentence; `cohort` is the name of the cohort whose limit it is, where it is known.
    #[must_use]
    pub fn sentence(&self, cohort: Option<&str>) -> String {
        match self {
            Self::Generation { cap } => format!(
                "{} may have started by the evidence so far, and {}; more may when {} reported.",
                words::devices(*cap),
                if *cap == 1 { "it has" } else { "they have" },
                if *cap == 1 { "it has" } else { "they have" },
            ),
            Self::CohortGeneration { cap, .. } => format!(
                "{} of {} may have started by the evidence so far, and {}; more may when {} reported.",
                words::devices(*cap),
                cohort.unwrap_or("its kind"),
                if *cap == 1 { "it has" } else { "they have" },
                if *cap == 1 { "it has" } else { "they have" },
            ),
            Self::DevicesAtOnce { limit } => format!(
                "At most {} may install at once, and so many do.",
                words::devices(*limit)
            ),
            Self::PerDay { limit } => format!(
                "At most {} of the ring may start on one day, and so many did.",
                words::devices(*limit)
            ),
            Self::Freeze(freeze) => freeze.sentence(),
            Self::Window { window, .. } => format!(
                "The maintenance window is {window}, in the time of the device; it starts and restarts within it."
            ),
        }
    }
}

/// Who may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Granted.
    pub granted: Vec<i32>,
    /// Waiting, with why.
    pub waiting: Vec<(i32, WaitReason)>,
    /// Caps after this look, to be stored where they differ.
    pub caps: BTreeMap<CohortId, u64>,
}

/// Nobody may start.
#[derive(Debug, Clone, PartialEq)]
pub enum NotAdmitted {
    /// The evidence says halt.
    Halt(HaltCause),
}
