//! Means and shares with their 95 % intervals.

use statrs::distribution::{Beta, ContinuousCDF};

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A figure and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Mean of values, with the interval of the normal approximation.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "some thousand runs")]
pub fn mean(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
    let half = if values.len() < 2 {
        f64::INFINITY
    } else {
        Z * (squares / (n - 1.0) / n).sqrt()
    };
    Estimate {
        value,
        low: value - half,
        high: value + half,
    }
}

/// A share of runs, with the interval of Clopper and Pearson.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "some thousand runs")]
pub fn share(hits: usize, runs: usize) -> Estimate {
    let (hits, misses) = (hits as f64, (runs - hits) as f64);
    let quantile =
        |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
    Estimate {
        value: hits / (hits + misses),
        low: if hits > 0.0 {
            quantile(hits, misses + 1.0, 0.025)
        } else {
            0.0
        },
        high: if misses > 0.0 {
            quantile(hits + 1.0, misses, 0.975)
        } else {
            1.0
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_the_interval_of_its_scatter() {
        let estimate = mean(&[1.0, 2.0, 3.0, 4.0]);
        assert!((estimate.value - 2.5).abs() < 1e-12);
        assert!((estimate.high - 2.5 - 1.2651).abs() < 1e-3, "{estimate:?}");
    }

    #[test]
    fn a_share_has_the_exact_interval() {
        // The rule of three, and its mirror.
        let none = share(0, 300);
        assert!(
            none.low == 0.0 && (none.high - 0.01222).abs() < 1e-4,
            "{none:?}"
        );
        let all = share(300, 300);
        assert!(
            all.high == 1.0 && (all.low - 0.98778).abs() < 1e-4,
            "{all:?}"
        );
        let some = share(10, 2000);
        assert!(
            (some.low - 0.0024).abs() < 1e-4 && (some.high - 0.00918).abs() < 1e-4,
            "{some:?}"
        );
    }
}
