//! A clock that stands still until a test moves it, while tasks go on ticking in real time.

use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use server::clock::Clock;

/// Where it starts: Monday, 2026-03-30, 08:00.
pub const START: DateTime<Utc> = DateTime::from_timestamp(1_774_857_600, 0).expect("a date");

/// A source of time that only a test moves.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<DateTime<Utc>>,
    largest_tick: Duration,
}

impl ManualClock {
    /// A clock at [`START`] that the service clock follows by at most `largest_tick` at once.
    #[must_use]
    pub fn new(largest_tick: Duration) -> Self {
        Self {
            now: Mutex::new(START),
            largest_tick,
        }
    }

    /// Moves it, forward or back.
    pub fn advance(&self, by: TimeDelta) {
        *self.now.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn largest_tick(&self) -> Duration {
        self.largest_tick
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(50)
    }
}
