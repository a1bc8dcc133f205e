//! How devices behave, and what befalls them.

use super::{Dice, Minute};
use crate::ids::CohortId;

/// What people and machines of a ring do, whatever the update does to them. [`Default`] is the published model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Habits {
    /// Minutes between two polls of a device that waits for its permit.
    pub poll: Minute,
    /// Minutes between two polls of a device to which nothing is offered: so long it may take until it knows that its ring
    /// opened.
    pub idle_poll: Minute,
    /// Median of the time from the permit to the verified restart, minutes.
    pub install_median: f64,
    /// Sigma of its logarithm.
    pub install_sigma: f64,
    /// Rate of failures of a good update.
    pub failure_rate: f64,
    /// Share of the devices under way that hang, with a good update too.
    pub hang_rate: f64,
    /// Share of the devices under way that fall silent, with a good update too. The others fall silent as often in the same
    /// time.
    pub dark_rate: f64,
    /// Restarts that people put off; none: everybody agrees at once.
    pub agreement: Option<Agreement>,
    /// Permits are granted in a window only; none: at any time.
    pub window: Option<Window>,
    /// Some devices are switched off for a while.
    pub off: Option<SilentTime>,
    /// For a while this many times as many fall silent, updated or not.
    pub telemetry_outage: Option<(SilentTime, f64)>,
    /// The service fails for a while.
    pub service_outage: Option<ServiceOutage>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            poll: 60,
            idle_poll: 0,
            install_median: 45.0,
            install_sigma: 0.5,
            failure_rate: 0.01,
            hang_rate: 0.0,
            dark_rate: 0.0,
            agreement: None,
            window: None,
            off: None,
            telemetry_outage: None,
            service_outage: None,
        }
    }
}

/// Restarts are agreed after a lognormal time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Median, minutes.
    pub median: f64,
    /// Sigma of the logarithm.
    pub sigma: f64,
    /// At the latest, minutes.
    pub at_most: Minute,
    /// Who had no permit for so long after the agreed time is asked anew, minutes; none: it holds until there is one.
    pub holds: Option<Minute>,
}

/// A time that comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From one opening to the next, minutes.
    pub every: Minute,
    /// Open for so long, minutes.
    pub lasts: Minute,
    /// Minutes between two polls of a device while it is open.
    pub poll: Minute,
}

/// A part of the devices says nothing for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilentTime {
    /// Which part, 0 to 1; not used where something else says how many.
    pub share: f64,
    /// First minute.
    pub from: Minute,
    /// Minute after the last.
    pub to: Minute,
}

impl SilentTime {
    pub(super) fn contains(&self, minute: Minute) -> bool {
        (self.from..self.to).contains(&minute)
    }
}

/// The service takes nothing in and grants nothing, once so many devices are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceOutage {
    /// Permitted and unresolved devices with which it begins.
    pub under_way: u64,
    /// How long, minutes.
    pub lasts: Minute,
}

/// What is wrong with an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Whom it can hit.
    pub victims: Victims,
    /// Share of them that it does hit, 0 to 1.
    pub share: f64,
    /// How it shows.
    pub symptom: Symptom,
}

/// Whom a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victims {
    /// Every device.
    All,
    /// Devices that are alike in a fact.
    Cohort(CohortId),
}

/// How a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// The device reports a failure when it would have been done.
    Reports,
    /// It goes on talking and never ends.
    Hangs,
    /// It is never heard of again.
    GoesDark,
}

impl Fault {
    pub(super) fn hits(&self, cohorts: &[CohortId], dice: &mut impl Dice) -> bool {
        let can = match self.victims {
            Victims::All => true,
            Victims::Cohort(cohort) => cohorts.contains(&cohort),
        };
        can && dice.strikes(self.share)
    }
}

impl Habits {
    /// From the permit to the verified restart.
    pub(super) fn install_time(&self, dice: &mut impl Dice) -> Minute {
        lognormal(self.install_median, self.install_sigma, dice)
    }

    /// Mean of that time, minutes.
    fn mean_install_time(&self) -> f64 {
        self.install_median * (self.install_sigma.powi(2) / 2.0).exp()
    }

    /// How likely a device is to fall silent in this minute, whatever the update does: the same for all, updated or not.
    pub(super) fn hazard(&self, now: Minute) -> f64 {
        let times = match self.telemetry_outage {
            Some((outage, times)) if outage.contains(now) => times,
            _ => 1.0,
        };
        times * self.dark_rate / self.mean_install_time()
    }

    /// When a device that is under way for so long falls silent by that; none where it does not.
    pub(super) fn falls_silent(
        &self,
        (from, to): (Minute, Minute),
        dice: &mut impl Dice,
    ) -> Option<Minute> {
        // Used up minute by minute.
        let mut left = dice.exponential();
        (from..to).find(|minute| {
            left -= self.hazard(*minute);
            left < 0.0
        })
    }

    /// How long after its ring opened a device knows of it.
    pub(super) fn notices_after(&self, dice: &mut impl Dice) -> Minute {
        if self.idle_poll == 0 {
            return 0;
        }
        dice.below(self.idle_poll)
    }

    /// In how long the restart of a device is that is asked now.
    pub(super) fn agrees_after(&self, dice: &mut impl Dice) -> Minute {
        self.agreement.map_or(0, |agreement| {
            lognormal(agreement.median, agreement.sigma, dice).min(agreement.at_most)
        })
    }

    /// The agreed time is over for so long that people must be asked anew.
    pub(super) fn has_lapsed(&self, agreed_at: Minute, now: Minute) -> bool {
        let holds = self.agreement.and_then(|agreement| agreement.holds);
        holds.is_some_and(|holds| agreed_at + holds < now)
    }

    /// Whether permits are granted at this time, and how often devices ask then.
    pub(super) fn asking(&self, now: Minute) -> Option<Minute> {
        match self.window {
            None => Some(self.poll),
            Some(window) => (now % window.every < window.lasts).then_some(window.poll),
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "minutes, cut off at a year"
)]
fn lognormal(median: f64, sigma: f64, dice: &mut impl Dice) -> Minute {
    dice.lognormal(median, sigma).clamp(1.0, 525_600.0) as Minute
}
