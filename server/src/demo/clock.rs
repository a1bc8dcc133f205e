//! The injected clock: it stands still until the story moves it.

use std::sync::Arc;
use std::time::Duration;

use agent::simulate::VirtualClock;
use chrono::{DateTime, SubsecRound, Utc};
use futures::future::BoxFuture;

use crate::clock::Clock;

/// Virtual time between two ticks of the drivers, and between two looks at the devices.
pub const STEP: Duration = Duration::from_secs(240);

/// How fast the story goes, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the machine can.
    Headlong,
    /// So that a visitor can follow: this long for each step.
    Step(Duration),
    /// People are asked: a request that expires after a week of the story must not be lost to a cup of coffee.
    Asked,
}

impl Pace {
    /// A pace at which a day of the story takes so many seconds.
    pub fn day_takes(seconds: u32) -> Self {
        let steps = Duration::from_secs(24 * 3600).as_secs_f64() / STEP.as_secs_f64();
        Self::Step(Duration::from_secs_f64(f64::from(seconds) / steps))
    }

    /// What a step takes at least.
    pub const fn step(self) -> Duration {
        match self {
            Self::Headlong => Duration::ZERO,
            Self::Step(time) => time,
            Self::Asked => Duration::from_secs(2),
        }
    }
}

/// A server's view of the virtual clock.
pub struct DemoClock(pub Arc<VirtualClock>);

impl Clock for DemoClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now().trunc_subsecs(6)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.0.sleep(time))
    }

    fn largest_tick(&self) -> Duration {
        STEP * 2
    }

    fn tick(&self) -> Duration {
        STEP
    }

    fn take_part(&self, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        Box::pin(self.0.participate(work))
    }
}
