//! Where time comes from. Everything else takes time as an argument or asks a [`Clock`].

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use futures::future::BoxFuture;

/// A source of time. Real in production, virtual where a rollout of weeks is played in minutes.
pub trait Clock: Send + Sync + 'static {
    /// Now, in whole microseconds: what PostgreSQL can store, so that a hash over a time holds when it is read back.
    fn now(&self) -> DateTime<Utc>;

    /// Returns after `time` has passed on this clock.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// How far the service clock may follow this source in one tick. Five seconds, unless time runs faster here.
    fn largest_tick(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Pause between two ticks of the drivers.
    fn tick(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Wraps a task whose turns must end before time moves on. Real time waits for nobody.
    fn take_part(&self, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        work
    }
}

/// A clock that many tasks share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}
