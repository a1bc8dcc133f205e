//! What got worse since the report that was kept.

use super::{Better, Report, figure};

/// Machines are shared and noisy: absolute figures swing by a fifth between runs, ratios within a run by a tenth.
const NOISE: f64 = 0.20;
const NOISE_OF_RATIOS: f64 = 0.10;

/// A sentence for each figure that is worse than in the report that was kept, beyond the noise.
#[must_use]
pub fn compare(kept: &Report, now: &Report) -> Vec<String> {
    let mut worse = Vec::new();
    for finding in &now.findings {
        let (Some(figure), Some(before)) = (
            figure(&finding.id),
            kept.findings.iter().find(|f| f.id == finding.id),
        ) else {
            continue;
        };
        let (before, after) = (before.median(), finding.median());
        let noise = if figure.unit.is_empty() {
            NOISE_OF_RATIOS
        } else {
            NOISE
        };
        let is_worse = match figure.better {
            Better::Higher => after < before * (1.0 - noise),
            Better::Lower => after > before * (1.0 + noise),
        };
        if is_worse {
            worse.push(format!(
                "{}: {} where it was {}",
                figure.what,
                super::markdown::number(after, figure.unit),
                super::markdown::number(before, figure.unit)
            ));
        }
    }
    worse
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::machine::Machine;
    use crate::report::Finding;

    fn report(values: &[(&str, f64)]) -> Report {
        Report {
            at: DateTime::UNIX_EPOCH,
            version: "0".into(),
            devices: 1,
            quick: true,
            machine: Machine::this(),
            postgres: Vec::new(),
            findings: values
                .iter()
                .map(|(id, v)| Finding {
                    id: (*id).into(),
                    values: vec![*v],
                })
                .collect(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn noise_is_not_worse_and_better_is_not_worse() {
        let kept = report(&[("polls.ratio", 0.80), ("start", 2.0), ("permits", 20_000.0)]);
        assert!(
            compare(
                &kept,
                &report(&[("polls.ratio", 0.73), ("start", 2.3), ("permits", 90_000.0)])
            )
            .is_empty()
        );
        let worse = compare(
            &kept,
            &report(&[("polls.ratio", 0.71), ("start", 2.5), ("permits", 9_000.0)]),
        );
        assert_eq!(worse.len(), 3);
        assert_eq!(worse[1], "start to ready: 2.50 s where it was 2.00 s");
    }
}
