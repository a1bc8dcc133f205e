//! After how long a device is slow, learned from how long earlier good updates took.
//!
//! ```text
//! overdue = (1000 * 150 min + n * p99) / (1000 + n),  between 60 min and 24 h
//! ```
//!
//! *n* devices succeeded with earlier updates of the track, of which one in a hundred took longer than p99: time that they were
//! powered on, from the permit to the verified build. 150 minutes without any history, and little history moves it little: the
//! prior weighs as a thousand devices. Slow is not broken, so this brakes and never halts.

use super::FEWEST_UPDATES;
use crate::assignment::Deadlines;

/// Successes from which on a percentile of one in a hundred says something: three of them are beyond it.
pub const FEWEST_SUCCESSES: u64 = 300;

/// As how many devices the time without history weighs.
const PRIOR_DEVICES: u64 = 1000;

/// A fleet of fast machines is not called slow for an hour.
const LEAST_S: u64 = 3600;

/// What takes longer than a day is not waited for.
const MOST_S: u64 = 24 * 3600;

/// How long earlier good updates took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Updates.
    pub updates: u32,
    /// Devices that succeeded and whose time is known.
    pub devices: u64,
    /// Seconds that 99 of 100 of them did not exceed.
    pub p99_s: u64,
}

/// Seconds after which a device is slow; none where too little is known.
#[must_use]
pub fn learn_slow(pace: &Pace) -> Option<i64> {
    if pace.updates < FEWEST_UPDATES || pace.devices < FEWEST_SUCCESSES {
        return None;
    }
    let usual = Deadlines::default().overdue_s.unsigned_abs();
    let n = u128::from(pace.devices);
    let prior = u128::from(PRIOR_DEVICES);
    let mean = (prior * u128::from(usual) + n * u128::from(pace.p99_s)) / (prior + n);
    let seconds = u64::try_from(mean)
        .unwrap_or(u64::MAX)
        .clamp(LEAST_S, MOST_S);
    i64::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(updates: u32, devices: u64, p99_s: u64) -> Option<i64> {
        learn_slow(&Pace {
            updates,
            devices,
            p99_s,
        })
    }

    #[test]
    fn too_little_history_teaches_nothing() {
        assert_eq!(learned(2, 5000, 4000), None);
        assert_eq!(learned(3, 299, 4000), None);
        assert!(learned(3, 300, 4000).is_some());
    }

    #[test]
    fn the_time_is_that_of_the_vectors() {
        // (1000 * 9000 + n * p99) / (1000 + n)
        for (devices, p99_s, expected) in [
            (300, 9000, 9000),
            (1000, 6000, 7500),
            (9000, 6000, 6300),
            (500, 18_000, 12_000),
            (1_000_000, 600, 3600),
            (1_000_000, 1_000_000, 86_400),
        ] {
            assert_eq!(
                learned(3, devices, p99_s),
                Some(expected),
                "{devices} at {p99_s}"
            );
        }
    }
}
