//! Which machines there are.

use std::collections::BTreeMap;

use super::Dice;
use crate::evidence::{Cohort, CohortKind, Counts, Evidence};
use crate::ids::CohortId;

/// Machines of a ring. Each value of a fact is as frequent as every other one of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Devices.
    pub devices: u32,
    /// Models.
    pub models: u16,
    /// BIOS versions of each model.
    pub bios_versions: u16,
    /// Architectures.
    pub architectures: u16,
    /// Builds before the update.
    pub builds: u16,
}

impl Fleet {
    /// Cohort of the first of the models, for faults that hit one.
    pub const FIRST_MODEL: CohortId = CohortId(1);

    /// So many devices of 50 models with two BIOS versions each, two architectures and three builds.
    #[must_use]
    pub fn of(devices: u32) -> Self {
        Self {
            devices,
            models: 50,
            bios_versions: 2,
            architectures: 2,
            builds: 3,
        }
    }

    fn kinds(&self) -> [(CohortKind, u16); 4] {
        [
            (CohortKind::Model, self.models),
            (CohortKind::Bios, self.models * self.bios_versions),
            (CohortKind::Architecture, self.architectures),
            (CohortKind::Build, self.builds),
        ]
    }

    /// Evidence before the first permit: every cohort, with zeros.
    pub(super) fn evidence(&self) -> Evidence {
        let mut cohorts = BTreeMap::new();
        for (kind, values) in self.kinds() {
            for value in 0..values {
                let cohort = Cohort {
                    kind,
                    value: format!("{kind:?} {value}"),
                    counts: Counts::default(),
                };
                cohorts.insert(next_id(cohorts.len()), cohort);
            }
        }
        Evidence {
            cohorts,
            ..Evidence::default()
        }
    }

    /// The cohorts of a machine.
    pub(super) fn draw(&self, dice: &mut impl Dice) -> Vec<CohortId> {
        let mut one_of = |n: u16| u16::try_from(dice.below(n.into())).unwrap_or(0);
        let model = one_of(self.models);
        let bios = model * self.bios_versions + one_of(self.bios_versions);
        let values = [model, bios, one_of(self.architectures), one_of(self.builds)];
        let mut first = 0;
        let mut cohorts = Vec::with_capacity(values.len());
        for ((_, of_kind), value) in self.kinds().into_iter().zip(values) {
            cohorts.push(next_id(usize::from(first + value)));
            first += of_kind;
        }
        cohorts
    }
}

/// Ids from 1 in the order of the kinds; there are some hundreds.
fn next_id(before: usize) -> CohortId {
    CohortId(i16::try_from(before + 1).unwrap_or(i16::MAX))
}
