//! What so many failures among so many devices show at most.

use statrs::function::beta::beta_reg;

/// Confidence of every bound shown or judged.
const CONFIDENCE: f64 = 0.95;

/// Halvings of 0 to 1: past the last bit of a double.
const HALVINGS: u32 = 1100;

/// One-sided 95 % Clopper-Pearson upper bound of the failure rate; 1 where nothing was tried or all failed.
///
/// For promotion every permitted device that is pending or silent counts as FAILED.
#[must_use]
pub fn failure_upper_bound(failures: u64, trials: u64) -> f64 {
    if trials == 0 || failures >= trials {
        return 1.0;
    }
    beta_quantile(float(failures) + 1.0, float(trials - failures))
}

/// 95 % quantile of a beta distribution.
pub(crate) fn beta_quantile(a: f64, b: f64) -> f64 {
    // Bisected on the distribution itself: no precision is lost to an approximation of its inverse.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if beta_reg(a, b, middle) < CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Devices without a failure that are needed before the bound is at most `limit` (0 to 1, exclusive).
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A positive count, far below 2^53.
pub fn clean_sample_needed(limit: f64) -> u64 {
    let limit = limit.clamp(1e-9, 1.0 - 1e-9);
    ((1.0 - CONFIDENCE).ln() / (1.0 - limit).ln()).ceil() as u64
}

#[allow(clippy::cast_precision_loss)] // Devices are far below 2^53.
fn float(n: u64) -> f64 {
    n as f64
}
