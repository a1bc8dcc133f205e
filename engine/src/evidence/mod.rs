//! Counters from which gates are evaluated. At all times equal to a recount of the stored events.

mod silence;
pub(crate) mod sparse;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use silence::{AtRisk, COUNTED_EVERY_S, Silence};

use crate::ids::CohortId;

/// In which fact the devices of a cohort are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortKind {
    /// SMBIOS model.
    Model,
    /// BIOS version of a model.
    Bios,
    /// Processor architecture.
    Architecture,
    /// Build before the update.
    Build,
    /// Edition. Watched and shown; takes no weight of the halt test.
    Edition,
    /// The first attribute that people of the track had judged when the rollout started.
    Attribute1,
    /// The second.
    Attribute2,
    /// The third.
    Attribute3,
    /// The fourth.
    Attribute4,
}

impl CohortKind {
    /// Kinds that people add, in their order.
    pub const ATTRIBUTES: [Self; 4] = [
        Self::Attribute1,
        Self::Attribute2,
        Self::Attribute3,
        Self::Attribute4,
    ];

    /// People added it.
    #[must_use]
    pub const fn is_attribute(self) -> bool {
        matches!(
            self,
            Self::Attribute1 | Self::Attribute2 | Self::Attribute3 | Self::Attribute4
        )
    }
}

/// What is counted, in devices, never in events. Each device counts at most once in each field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Permitted: from then on in the denominator for ever.
    pub started: u64,
    /// Verified on the expected build, and not regressed since.
    pub ok: u64,
    /// Failure stream: failed, rolled back, regressed, or suspected to hang (stays when the suspicion resolves).
    pub failed: u64,
    /// Severe stream: positive evidence of an unusable machine.
    pub severe: u64,
    /// Silence stream: permitted, then lost.
    pub silent: u64,
    /// Not complete in the usual time; slow is not broken.
    pub overdue: u64,
    /// Ended, suspected to hang, or lost.
    pub resolved: u64,
    /// Out of order or contaminated because of this rollout.
    pub drift: u64,
    /// Succeeded after a repair that worked.
    pub recovered: u64,
    /// Failed again with the same error after a repair that worked.
    pub relapsed: u64,
}

impl Counts {
    /// Nothing was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of [`Counts`] by one report of one device: every field is -1, 0 or 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// See [`Counts::ok`].
    pub ok: i8,
    /// See [`Counts::failed`].
    pub failed: i8,
    /// See [`Counts::severe`].
    pub severe: i8,
    /// See [`Counts::silent`].
    pub silent: i8,
    /// See [`Counts::overdue`].
    pub overdue: i8,
    /// See [`Counts::resolved`].
    pub resolved: i8,
    /// See [`Counts::drift`].
    pub drift: i8,
    /// See [`Counts::recovered`].
    pub recovered: i8,
    /// See [`Counts::relapsed`].
    pub relapsed: i8,
}

impl Delta {
    /// Nothing changes.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// One cohort of a rollout, fixed when the rollout starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// In which fact its devices are alike.
    pub kind: CohortKind,
    /// The fact's value, for people.
    pub value: String,
    /// Sum over all stages that count for this rollout.
    #[serde(default)]
    pub counts: Counts,
}

/// Everything the halt test and admission read: the sum over the rollout's stages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// All devices.
    pub all: Counts,
    /// By cohort; every cohort fixed at the start is here, also with zeros.
    pub cohorts: BTreeMap<CohortId, Cohort>,
    /// Devices that went silent, in order.
    pub silences: Vec<Silence>,
}
