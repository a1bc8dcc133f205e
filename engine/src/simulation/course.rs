//! A ring from its first permit to its end.

use super::field::{Field, Terms};
use super::{Dice, Fault, Fleet, Habits, Minute};
use crate::halt::HaltPolicy;
use crate::policy::{Growth, Limits, WeekMinute};

/// A ring to be played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ring {
    /// Its machines.
    pub fleet: Fleet,
    /// What they do.
    pub habits: Habits,
    /// What is wrong with the update; none: it is good.
    pub fault: Option<Fault>,
    /// How exposure grows.
    pub growth: Growth,
    /// Limits that people set; but for a share of a day, since nothing here has a calendar.
    pub limits: Limits,
    /// When it is given up, minutes.
    pub patience: Minute,
}

/// What came of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// Devices that started.
    pub started: u64,
    /// Of these the ones that the update harms, whether it shows by now or not.
    pub harmed: u64,
    /// When it was halted; none: it was not.
    pub halted_at: Option<Minute>,
    /// When the last device had ended or counted as hanging or lost; none: halted before, or given up.
    pub done_at: Option<Minute>,
}

/// Plays a ring until it is halted, every device has ended, or patience is over.
pub fn play(ring: &Ring, dice: &mut impl Dice) -> Course {
    let mut field = Field::new(
        (ring.habits, ring.fault),
        (ring.fleet.evidence(), HaltPolicy::default()),
        &[ring.fleet.devices],
        |_, _, dice| ring.fleet.draw(dice),
        dice,
    );
    field.open(0, 0, None);
    let terms = Terms {
        growth: ring.growth,
        limits: ring.limits,
        day: 0,
        local: WeekMinute::default(),
    };
    let (mut halted_at, mut done_at) = (None, None);
    for now in 0..ring.patience {
        field.pass(now, dice);
        if field.is_served(now) && field.ask(0, now, terms, dice) {
            halted_at = Some(now);
            break;
        }
        if field.is_over() {
            done_at = Some(now);
            break;
        }
    }
    let (started, harmed) = field.exposed();
    Course {
        started,
        harmed,
        halted_at,
        done_at,
    }
}
