//! What failure rate of a good update is usual here, learned from updates that completed.
//!
//! The baseline of the test is the 95 % upper bound of a rate with the prior Beta(1, b): one failure that never was, among
//! as many devices as it takes for the bound to be the fixed baseline p, b = ln(0.05) / ln(1 - p). Without history the
//! bound is p itself, and history moves it from there:
//!
//! ```text
//! w = min(1, 1000 / devices)
//! p* = 95 % quantile of Beta(1 + w failures, b + w (devices - failures)), between p / 5 and 3 p
//! ```
//!
//! History weighs as a thousand devices at most: one good update fails more often than another, and a bound that took every
//! device of the past for a device of this update would be too sure of itself. Nothing is learned from fewer than
//! [`FEWEST_UPDATES`] updates or [`FEWEST_DEVICES`] devices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{HaltPolicy, Stream};
use crate::evidence::CohortKind;
use crate::gate::beta_quantile;
use crate::ids::CohortId;

/// Updates that must have completed before anything is learned.
pub const FEWEST_UPDATES: u32 = 3;

/// Devices on which they must have been installed.
pub const FEWEST_DEVICES: u64 = 100;

/// As how many devices history weighs at most.
const MOST_DEVICES: f64 = 1000.0;

/// A learned baseline is at least the fixed one divided by this: a fleet that had luck is not held to it.
const LOWEST: f64 = 5.0;

/// And at most so many times the fixed one: a fleet that fails often is no reason to look away.
const HIGHEST: f64 = 3.0;

/// What became of earlier updates, in one cohort or all devices of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// In which fact the devices are alike; none: all devices.
    pub kind: Option<CohortKind>,
    /// Updates that completed.
    pub updates: u32,
    /// Devices that started one of them, each as often as it did.
    pub devices: u64,
    /// Of these the failures.
    pub failed: u64,
    /// Of these the unusable ones.
    pub severe: u64,
}

/// A baseline that was learned, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Baseline of failures.
    pub failure: f64,
    /// Baseline of unusable machines.
    pub severe: f64,
    /// Updates.
    pub updates: u32,
    /// Devices.
    pub devices: u64,
}

/// Baselines from history, with the fixed ones of `policy` where there is too little of it.
#[must_use]
pub fn learn(policy: &HaltPolicy, history: &BTreeMap<CohortId, History>) -> HaltPolicy {
    let enough = |of: &History| of.updates >= FEWEST_UPDATES && of.devices >= FEWEST_DEVICES;
    let learned = history
        .iter()
        // Editions are shown only.
        .filter(|(_, of)| enough(of) && of.kind != Some(CohortKind::Edition))
        .map(|(cohort, of)| {
            let bound =
                |stream, failures| bound(policy.fixed(stream, of.kind), failures, of.devices);
            let learned = Learned {
                failure: bound(Stream::Failure, of.failed),
                severe: bound(Stream::Severe, of.severe),
                updates: of.updates,
                devices: of.devices,
            };
            (*cohort, learned)
        })
        .collect();
    HaltPolicy {
        learned,
        ..policy.clone()
    }
}

/// The 95 % upper bound of a rate, given the baseline that holds without history.
#[allow(clippy::cast_precision_loss, reason = "devices are far below 2^53")]
fn bound(fixed: f64, failures: u64, devices: u64) -> f64 {
    let (failures, devices) = (failures.min(devices) as f64, devices as f64);
    let prior = 0.05_f64.ln() / (1.0 - fixed).ln();
    let weight = (MOST_DEVICES / devices.max(1.0)).min(1.0);
    beta_quantile(
        1.0 + weight * failures,
        prior + weight * (devices - failures),
    )
    .clamp(fixed / LOWEST, fixed * HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(updates: u32, devices: u64, failed: u64) -> BTreeMap<CohortId, History> {
        let of = History {
            updates,
            devices,
            failed,
            ..History::default()
        };
        BTreeMap::from([(CohortId::ALL, of)])
    }

    #[test]
    fn without_history_the_bound_is_the_fixed_baseline() {
        for fixed in [0.002, 0.015, 0.02] {
            assert!((bound(fixed, 0, 0) - fixed).abs() < 1e-12);
        }
    }

    /// Fixed baseline, failures, devices, bound: computed with another program, `scipy.stats.beta.ppf(0.95, a, b)`.
    const VECTORS: [(f64, u64, u64, f64); 12] = [
        (0.015, 0, 100, 0.009_995_295_774),
        (0.015, 1, 100, 0.015_808_086_957),
        (0.015, 3, 600, 0.009_684_868_008),
        (0.015, 10, 1000, 0.014_115_128_206),
        (0.015, 0, 1000, 0.003),
        (0.015, 900, 90_000, 0.014_115_128_206),
        (0.015, 50, 1000, 0.045),
        (0.02, 2, 150, 0.020_955_256_537),
        (0.02, 0, 5000, 0.004),
        (0.002, 0, 400, 0.001_578_474_046),
        (0.002, 1, 1000, 0.001_898_882_374),
        (0.002, 40, 20_000, 0.002_519_812_557),
    ];

    #[test]
    fn bounds_are_those_of_the_vectors() {
        for (fixed, failures, devices, expected) in VECTORS {
            let bound = bound(fixed, failures, devices);
            assert!(
                (bound - expected).abs() < 1e-9,
                "{failures} of {devices} at {fixed}: {bound}"
            );
        }
    }

    #[test]
    fn too_little_history_teaches_nothing() {
        let policy = HaltPolicy::default();
        let learned =
            |updates, devices| learn(&policy, &history(updates, devices, 0)).learned.len();
        assert_eq!(learned(2, 5000), 0);
        assert_eq!(learned(3, 99), 0);
        assert_eq!(learned(3, 100), 1);
    }

    #[test]
    fn each_stream_and_cohort_has_its_own_baseline_and_the_others_the_fixed_one() {
        let mut history = history(4, 1000, 2);
        let of = |kind| History {
            kind: Some(kind),
            updates: 4,
            devices: 400,
            failed: 40,
            severe: 0,
        };
        history.insert(CohortId(12), of(CohortKind::Model));
        history.insert(CohortId(13), of(CohortKind::Edition));
        let policy = learn(&HaltPolicy::default(), &history);
        let at = |stream, cohort, kind| policy.baseline(stream, CohortId(cohort), kind);
        assert!(at(Stream::Failure, 0, None) < 0.015);
        assert!(at(Stream::Severe, 0, None) < 0.002);
        let model = Some(CohortKind::Model);
        assert!(
            (at(Stream::Failure, 12, model) - 0.06).abs() < 1e-12,
            "at most three times the fixed one"
        );
        assert!(at(Stream::Severe, 12, model) < 0.002);
        assert!((at(Stream::Failure, 14, model) - 0.02).abs() < 1e-12);
        assert_eq!(policy.learned.len(), 2, "editions take no part");
        assert!((at(Stream::Overdue, 0, None) - 0.02).abs() < 1e-12);
    }
}
