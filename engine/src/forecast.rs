//! What a rollout would come to before it starts: how long each ring takes, whether a good update passes its gates, what a
//! bad one would harm. Counted over [simulated](crate::simulation) courses of the very rollout.

use serde::{Deserialize, Serialize};

use crate::decide::Refused;
use crate::gate::failure_upper_bound;
use crate::ids::CohortId;
use crate::simulation::{
    Dice, End, Fault, Minute, Passage, Plan, Played, Symptom, Victims, roll_out,
};

/// Minutes of a day.
const DAY: f64 = 1440.0;

/// A time in days from the start: of ten rollouts one is faster than `low`, five are faster than `median`, nine faster than
/// `high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Days {
    /// A tenth is faster.
    pub low: f64,
    /// Half are faster.
    pub median: f64,
    /// A tenth is slower.
    pub high: f64,
}

/// A share of courses, with bounds of which each holds with 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// Courses in which it came so.
    pub of: u32,
    /// Courses in which it could have.
    pub among: u32,
    /// Lower bound, 0 to 1.
    pub low: f64,
    /// Upper bound, 0 to 1.
    pub high: f64,
}

/// One ring of a good update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingForecast {
    /// When it opens; none where it never did.
    pub opens: Option<Days>,
    /// When its gate passes; none where it never did.
    pub passes: Option<Days>,
    /// How often its gate passed by itself where it had opened.
    pub pass: Chance,
}

/// What a bad update would harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HarmForecast {
    /// Share of the devices that it can hit and does hit, 0 to 1.
    pub share: f64,
    /// Whom it can hit; none: all devices.
    pub cohort: Option<CohortId>,
    /// Devices harmed, on average.
    pub harmed: f64,
    /// Devices harmed in the worse tenth of the courses, at least.
    pub harmed_high: u64,
    /// How often it was stopped before the last ring had passed: halted, or held for a person.
    pub stopped: Chance,
}

/// What a rollout would come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Its rings, the first one first.
    pub rings: Vec<RingForecast>,
    /// How often a good update completes without anybody deciding but its approvers.
    pub completes: Chance,
    /// When.
    pub completed: Option<Days>,
    /// What bad updates would harm.
    pub harm: Vec<HarmForecast>,
}

/// Shares of all devices on which a bad update fails, for which harm is forecast.
pub const BAD_SHARES: [f64; 3] = [1.0, 0.2, 0.05];

/// Plays a good update `runs` times and each bad one as often. `plan.fault` is not read. `dice` makes the randomness of a
/// course by its number: the same dice give the same forecast. `cohort` is the one on whose every device the last of the bad
/// updates fails; none: there is no such update.
///
/// # Errors
/// When the rules refuse the rollout.
pub fn forecast<D: Dice>(
    plan: &Plan,
    runs: u32,
    cohort: Option<CohortId>,
    mut dice: impl FnMut(u32) -> D,
) -> Result<Forecast, Refused> {
    let mut play = |fault: Option<Fault>| {
        let plan = Plan {
            fault,
            ..plan.clone()
        };
        (0..runs)
            .map(|run| roll_out(&plan, &mut dice(run)))
            .collect::<Result<Vec<Played>, Refused>>()
    };
    let good = play(None)?;
    let bad = BAD_SHARES
        .map(|share| (share, None))
        .into_iter()
        .chain(cohort.map(|cohort| (1.0, Some(cohort))));
    let harm = bad
        .map(|(share, cohort)| {
            let fault = Fault {
                victims: cohort.map_or(Victims::All, Victims::Cohort),
                share,
                symptom: Symptom::Reports,
            };
            Ok(harm(share, cohort, &play(Some(fault))?))
        })
        .collect::<Result<_, Refused>>()?;
    let rings = (0..plan.rings.len()).map(|n| ring(n, &good)).collect();
    let completed: Vec<Minute> = good
        .iter()
        .filter(|played| played.end == End::Completed)
        .map(|played| played.ended_at)
        .collect();
    Ok(Forecast {
        rings,
        completes: chance(completed.len(), good.len()),
        completed: days(completed),
        harm,
    })
}

fn ring(n: usize, courses: &[Played]) -> RingForecast {
    let times = |of: fn(&Passage) -> Option<Minute>| {
        let rings = courses.iter().filter_map(|played| played.rings.get(n));
        rings.filter_map(of).collect::<Vec<Minute>>()
    };
    let (opened, passed) = (times(|r| r.opened_at), times(|r| r.passed_at));
    RingForecast {
        pass: chance(passed.len(), opened.len()),
        opens: days(opened),
        passes: days(passed),
    }
}

#[allow(clippy::cast_precision_loss, reason = "devices are far below 2^52")]
fn harm(share: f64, cohort: Option<CohortId>, courses: &[Played]) -> HarmForecast {
    let mut harmed: Vec<u64> = courses.iter().map(|played| played.harmed).collect();
    harmed.sort_unstable();
    let stopped = courses.iter().filter(|played| played.end != End::Completed);
    HarmForecast {
        share,
        cohort,
        harmed: harmed.iter().sum::<u64>() as f64 / harmed.len().max(1) as f64,
        harmed_high: quantile(&harmed, 0.9).unwrap_or(0),
        stopped: chance(stopped.count(), courses.len()),
    }
}

fn days(mut minutes: Vec<Minute>) -> Option<Days> {
    minutes.sort_unstable();
    let at = |share| Some(f64::from(quantile(&minutes, share)?) / DAY);
    Some(Days {
        low: at(0.1)?,
        median: at(0.5)?,
        high: at(0.9)?,
    })
}

/// The value that so large a share of the sorted ones does not exceed.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "places in a short list"
)]
fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// Bounds by Clopper and Pearson, as gates bound a rate.
fn chance(of: usize, among: usize) -> Chance {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Chance {
        of: u32::try_from(of).unwrap_or(u32::MAX),
        among: u32::try_from(among).unwrap_or(u32::MAX),
        low: 1.0 - failure_upper_bound(count(among - of), count(among)),
        high: failure_upper_bound(count(of), count(among)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=10).collect();
        assert_eq!(quantile(&values, 0.1), Some(1));
        assert_eq!(quantile(&values, 0.5), Some(5));
        assert_eq!(quantile(&values, 0.9), Some(9));
        assert_eq!(quantile(&values, 1.0), Some(10));
        assert_eq!(quantile(&[7], 0.1), Some(7));
        assert_eq!(quantile::<u64>(&[], 0.5), None);
    }

    #[test]
    fn a_chance_says_how_sure_it_is() {
        let sure = chance(40, 40);
        assert_eq!((sure.of, sure.among, sure.high), (40, 40, 1.0));
        assert!((0.92..0.93).contains(&sure.low), "{sure:?}");
        let never = chance(0, 0);
        assert_eq!((never.low, never.high), (0.0, 1.0));
    }
}
