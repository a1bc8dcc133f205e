//! Which faults strike, and when: every question has its own dice, so that the answer does not depend on the
//! order in which the server gets to a device.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use serde::Serialize;
use servicing::{HResult, KbNumber};

use super::dice::dice;
use super::scenario::{Fault, Harm, Scenario};

const DAY_MIN: i64 = 24 * 60;

/// A fault that struck a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Struck {
    /// Name of the fault in the scenario.
    pub fault: String,
    /// KB that was being installed, where it was an installation.
    pub kb: Option<KbNumber>,
    /// Code that the device reports, where there is one.
    pub code: Option<HResult>,
}

/// The faults of one device.
#[derive(Debug)]
pub(super) struct Fate {
    scenario: Arc<Scenario>,
    seed: u64,
    device: u32,
    born: DateTime<Utc>,
    /// Faults of the scenario that can strike this model and BIOS, by index.
    mine: Vec<usize>,
    /// Everything that struck, in order.
    pub(super) struck: Vec<Struck>,
    /// Its component store was repaired.
    repaired: bool,
}

impl Fate {
    pub(super) fn new(
        scenario: Arc<Scenario>,
        seed: u64,
        device: u32,
        born: DateTime<Utc>,
        model: &str,
        bios: &str,
    ) -> Self {
        let meant = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|other| other == name)
        };
        let mine = scenario.faults.iter().enumerate();
        let mine =
            mine.filter(|(_, fault)| meant(&fault.models, model) && meant(&fault.bios, bios));
        let mine = mine.map(|(index, _)| index).collect();
        Self {
            scenario,
            seed,
            device,
            born,
            mine,
            struck: Vec::new(),
            repaired: false,
        }
    }

    /// The first fault that strikes this installation.
    pub(super) fn of_step(&mut self, kbs: &[KbNumber], attempt: u64) -> Option<Harm> {
        let (harm, struck) = self.faults().find_map(|fault| {
            let code = match fault.effect {
                Harm::Fails { code } | Harm::RollsBack { code } => Some(code),
                Harm::DamagedStore { code } if !self.repaired => Some(code),
                Harm::Hangs | Harm::GoesDark | Harm::PowerLoss | Harm::PowerLossInside => None,
                _ => return None,
            };
            let meant = fault.kb.is_none_or(|kb| kbs.contains(&kb));
            let struck = Struck {
                fault: fault.name.clone(),
                kb: kbs.last().copied(),
                code,
            };
            let number = match fault.effect {
                Harm::DamagedStore { .. } => 0,
                _ => attempt,
            };
            (meant && self.rolls(fault, number)).then_some((fault.effect, struck))
        })?;
        self.struck.push(struck);
        Some(harm)
    }

    /// The component store is whole from here on.
    pub(super) const fn repair_store(&mut self) {
        self.repaired = true;
    }

    /// Whether a fault of one kind strikes for the `number`th time it is asked.
    pub(super) fn strikes(&mut self, number: u64, kind: impl Fn(Harm) -> bool) -> bool {
        let name = self
            .faults()
            .find(|fault| kind(fault.effect) && self.rolls(fault, number))
            .map(|fault| fault.name.clone());
        let Some(fault) = name else { return false };
        if !self.struck.iter().any(|struck| struck.fault == fault) {
            self.struck.push(Struck {
                fault,
                kb: None,
                code: None,
            });
        }
        true
    }

    /// How many times slower than others.
    pub(super) fn slowness(&self) -> u32 {
        let slow = self
            .faults()
            .filter(|fault| self.rolls(fault, 0))
            .find_map(|fault| match fault.effect {
                Harm::Slow { factor } => Some(factor),
                _ => None,
            });
        slow.unwrap_or(1)
    }

    /// How wrong its clock is.
    pub(super) fn clock_error(&self) -> TimeDelta {
        let days = self
            .faults()
            .filter(|fault| self.rolls(fault, 0))
            .find_map(|fault| match fault.effect {
                Harm::WrongClock { max_days } => {
                    let max = i64::from(max_days);
                    Some(self.dice(&fault.name, u64::MAX).random_range(-max..=max))
                }
                _ => None,
            });
        TimeDelta::days(days.unwrap_or(0))
    }

    /// Until when it has no network, if it has none now.
    pub(super) fn offline_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = (now - self.born).num_days();
        self.faults()
            .filter_map(|fault| match fault.effect {
                Harm::Offline {
                    min_hours,
                    max_hours,
                } => Some((fault, min_hours, max_hours)),
                _ => None,
            })
            .filter_map(|(fault, min_hours, max_hours)| {
                let reach = i64::from(max_hours) / 24 + 1;
                ((today - reach).max(0)..=today)
                    .filter_map(|day| self.outage(fault, day, min_hours, max_hours))
                    .find(|(from, until)| (*from..*until).contains(&now))
                    .map(|(_, until)| until)
            })
            .max()
    }

    fn outage(
        &self,
        fault: &Fault,
        day: i64,
        min_hours: u32,
        max_hours: u32,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut rng = self.dice(&fault.name, day.unsigned_abs());
        if !rng.random_bool(fault.rate) {
            return None;
        }
        let from = self.born + TimeDelta::minutes(day * DAY_MIN + rng.random_range(0..DAY_MIN));
        let length = rng.random_range(i64::from(min_hours) * 60..=i64::from(max_hours) * 60);
        Some((from, from + TimeDelta::minutes(length)))
    }

    fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.mine.iter().map(|index| &self.scenario.faults[*index])
    }

    fn rolls(&self, fault: &Fault, number: u64) -> bool {
        self.dice(&fault.name, number).random_bool(fault.rate)
    }

    fn dice(&self, question: &str, number: u64) -> rand_chacha::ChaCha8Rng {
        dice(self.seed, self.device, question, number)
    }
}
