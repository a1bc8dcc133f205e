//! The arithmetic of the test, value for value that of the reference vectors.

use crate::evidence::Silence;

/// Fixed alternatives beside three times the baseline: a quarter of the devices fail, or nearly all.
const ALTERNATIVES: [f64; 2] = [0.25, 0.95];

/// How many times as often as the control updated devices fall silent, in the alternatives.
const SILENCE_RATIOS: [f64; 3] = [3.0, 10.0, 50.0];

/// More devices than any rollout has: where the search for a boundary ends.
const MANY: u64 = 10_000_000;

/// Natural logarithm of the E-value against "the failure rate is at most `p_star`".
///
/// More failures than started devices count as all of them: counters can be read between two updates.
#[must_use]
pub fn log_e_value(failures: u64, started: u64, p_star: f64) -> f64 {
    let p_star = p_star.clamp(1e-9, 0.49);
    let failures = failures.min(started);
    let (failed, fine) = (float(failures), float(started - failures));
    let [quarter, nearly_all] = ALTERNATIVES;
    let terms: Vec<f64> = [3.0 * p_star, quarter, nearly_all]
        .into_iter()
        .filter(|q| *q > p_star && *q < 1.0)
        .map(|q| failed * (q / p_star).ln() + fine * ((1.0 - q) / (1.0 - p_star)).ln())
        .collect();
    log_mean_exp(&terms)
}

/// Whether so many failures stop a rollout: weight times E-value reaches 1/alpha.
#[must_use]
pub fn halts(failures: u64, started: u64, p_star: f64, weight: f64, alpha: f64) -> bool {
    reaches(log_e_value(failures, started, p_star), weight, 1.0 / alpha)
}

/// Whether weight times an E-value, given by its logarithm, reaches a level. Weight 0 never does.
pub(super) fn reaches(log_e: f64, weight: f64, level: f64) -> bool {
    weight > 0.0 && log_e + weight.ln() >= level.ln()
}

/// Natural logarithm of the E-value against "updated devices fall silent as often as devices not yet updated".
///
/// Given that some device fell silent, it is an updated one with probability nt / (nt + nc) under that
/// hypothesis, whatever an outage does to both. Events without a control or without updated devices say nothing.
#[must_use]
pub fn log_silence_e_value(silences: &[Silence]) -> f64 {
    let mut terms = [0.0; SILENCE_RATIOS.len()];
    for silence in silences
        .iter()
        .filter(|s| s.at_risk_treated > 0 && s.at_risk_control > 0)
    {
        let (treated, control) = (
            float(silence.at_risk_treated),
            float(silence.at_risk_control),
        );
        let r = treated / (treated + control);
        for (term, ratio) in terms.iter_mut().zip(SILENCE_RATIOS) {
            let pt = ratio * r / (ratio * r + 1.0 - r);
            let factor = if silence.treated {
                pt / r
            } else {
                (1.0 - pt) / (1.0 - r)
            };
            *term += float(silence.devices) * factor.ln();
        }
    }
    log_mean_exp(&terms)
}

/// Largest number of started devices at which so many failures still halt; none where they never do.
#[must_use]
pub fn halt_boundary(failures: u64, p_star: f64, weight: f64, alpha: f64) -> Option<u64> {
    if !halts(failures, failures, p_star, weight, alpha) {
        return None;
    }
    let (mut low, mut high) = (failures, MANY);
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if halts(failures, middle, p_star, weight, alpha) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// Fewest failures at which an E-value over `started` devices (or over the failures alone, where they are more)
/// reaches a level; none where it never does.
pub(super) fn fewest_failures(started: u64, p_star: f64, weight: f64, level: f64) -> Option<u64> {
    let holds = |failures: u64| {
        reaches(
            log_e_value(failures, started.max(failures), p_star),
            weight,
            level,
        )
    };
    let (mut low, mut high) = (0, MANY);
    if !holds(high) {
        return None;
    }
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// ln of the mean of exponentials, without overflow.
fn log_mean_exp(terms: &[f64]) -> f64 {
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|t| (t - top).exp()).sum();
    top + (sum / float(terms.len() as u64)).ln()
}

#[allow(clippy::cast_precision_loss)] // Devices are far below 2^53.
fn float(n: u64) -> f64 {
    n as f64
}
