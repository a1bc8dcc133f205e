//! The injected clock: it stands still until the story moves it.

use std::sync::Arc;
use std::time::Duration;

use agent::simulate::VirtualClock;
use chrono::{DateTime, SubsecRound, Utc};
use futures::future::BoxFuture;

use crate::clock::Clock;

/// Virtual time between two ticks of the drivers, and between two looks at the devices.
pub const STEP: Duration = Duration::from_secs(240);

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
