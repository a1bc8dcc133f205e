//! Few numbers of statistics: medians, ranges, and whether something grows.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The median; of an even number of values the mean of the two in the middle.
///
/// # Panics
/// When there is no value.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        f64::midpoint(sorted[half - 1], sorted[half])
    }
}

/// The smallest and the largest value.
#[must_use]
pub fn range(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(*v), high.max(*v))
        })
}

/// How a value changes with time, by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// Change for each unit of time.
    pub slope: f64,
    /// Half the width of its 95 % interval.
    pub half_width: f64,
}

/// The slope of points (time, value); none for fewer than three. The interval takes the residuals as independent and
/// normal.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a few thousand points")]
pub fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    let n = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sxx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let sxy: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    if sxx == 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    let residuals: f64 = points
        .iter()
        .map(|p| (p.1 - y - slope * (p.0 - x)).powi(2))
        .sum();
    let degrees = n - 2.0;
    let student = StudentsT::new(0.0, 1.0, degrees).ok()?;
    let t = student.inverse_cdf(0.975);
    let half_width = t * (residuals / degrees / sxx).sqrt();
    Some(Slope { slope, half_width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
        assert_eq!(range(&[2.0, 1.0, 3.0]), (1.0, 3.0));
    }

    #[test]
    fn a_line_has_its_slope_and_no_doubt() {
        let points: Vec<_> = (0..10)
            .map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x)))
            .collect();
        let found = slope(&points).unwrap();
        assert!((found.slope - 2.0).abs() < 1e-9 && found.half_width < 1e-9);
        assert_eq!(slope(&points[..2]), None);
    }

    #[test]
    fn the_interval_is_students() {
        let points: Vec<_> = (0..8)
            .map(|x| {
                (
                    f64::from(x),
                    f64::from(x) + if x % 2 == 0 { 1.0 } else { -1.0 },
                )
            })
            .collect();
        let found = slope(&points).unwrap();
        assert!((found.slope - 0.904_761_9).abs() < 1e-6);
        // Quantile of Student's t with six degrees, as in any table: 2.446912; s = sqrt((8 - 42 * 0.0952381^2) / 6) = 1.126971
        assert!((found.half_width - 2.446_912 * 1.126_971 / 42_f64.sqrt()).abs() < 1e-4);
    }
}
