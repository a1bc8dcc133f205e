//! The core's sense of time, and how long it waits after a failure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, RngExt};

use super::io::Moment;

/// First bound of the back-off; doubles with every failure in a row.
const BASE: Duration = Duration::from_secs(5);

/// Largest bound of the back-off: an outage of a night costs a fleet no more than half an hour afterwards on average.
const CAP: Duration = Duration::from_secs(3600);

/// The server's time, as far as it is known.
///
/// Deadlines and signatures need a time that a wrong device clock does not touch, so it is taken from the
/// `Date` of the newest answer. Until there is one, the device's own clock has to do.
#[derive(Debug, Default)]
pub(super) struct ServerTime {
    offset: TimeDelta,
}

impl ServerTime {
    /// An answer said what time it is.
    pub(super) fn learn(&mut self, date: DateTime<Utc>, now: Moment) {
        self.offset = date - now.wall;
    }

    /// The server's time now.
    pub(super) fn at(&self, now: Moment) -> DateTime<Utc> {
        now.wall + self.offset
    }

    /// When, on the steady clock, the server's time will be `when`.
    pub(super) fn steady(&self, when: DateTime<Utc>, now: Moment) -> Duration {
        now.steady + (when - self.at(now)).to_std().unwrap_or_default()
    }
}

/// Full-jitter back-off.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Duration,
}

impl Backoff {
    /// It worked: the next failure starts from the beginning.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.until = Duration::ZERO;
    }

    /// It failed: wait a random part of a bound that doubles, or what the server asks plus a random part of
    /// the first bound, so that a herd does not come back as one.
    pub(super) fn fail(&mut self, retry_after_s: Option<u64>, now: Moment, rng: &mut impl Rng) {
        let wait = match retry_after_s {
            Some(seconds) => Duration::from_secs(seconds) + BASE.mul_f64(rng.random()),
            None => {
                let bound = BASE.saturating_mul(1 << self.failures.min(16)).min(CAP);
                bound.mul_f64(rng.random()).max(Duration::from_secs(1))
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.until = now.steady + wait;
    }

    /// Until when nothing is tried.
    pub(super) fn until(&self) -> Duration {
        self.until
    }
}
