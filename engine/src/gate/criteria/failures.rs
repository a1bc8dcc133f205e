//! Failure rates: the bound of the installation, and that of the Out-of-Box Experience.

use super::{Reading, Soaked, line};
use crate::gate::{Criterion, CriterionReport, Verdict, clean_sample_needed, failure_upper_bound};
use crate::policy::{FailureLimit, Percent};
use crate::words;

impl Reading<'_> {
    /// Failed, pending and suspected devices among the permitted ones.
    ///
    /// `readable`: sample, soak and coverage are met.
    pub(in crate::gate) fn failures(&self, readable: bool) -> CriterionReport {
        let counts = &self.stage.counts;
        let ended_badly = counts.resolved.saturating_sub(counts.ok);
        let (failures, trials) = if self.soaked == Soaked::Passed {
            (ended_badly, counts.resolved)
        } else {
            (counts.started.saturating_sub(counts.ok), counts.started)
        };
        let in_flight = failures.saturating_sub(ended_badly);
        let bound = failure_upper_bound(failures, trials);
        let (verdict, limit, sentence) = match self.stage.policy.failures {
            FailureLimit::None => {
                let verdict = match (trials, failures, ended_badly) {
                    (0, ..) => Verdict::Wait,
                    (_, 0, _) => Verdict::Pass,
                    (.., 0) => Verdict::Wait,
                    _ => Verdict::Inconclusive,
                };
                (
                    verdict,
                    "none".to_owned(),
                    none_sentence(trials, ended_badly, in_flight),
                )
            }
            FailureLimit::Bound(limit) => {
                let verdict = self.bound_verdict(readable, bound, limit);
                let mut sentence = bound_sentence(failures, in_flight, trials, bound, limit);
                if let (Verdict::Inconclusive, Soaked::Since(_, Some(again))) =
                    (verdict, self.soaked)
                    && !self.complete()
                {
                    sentence += &format!(" It is read again at {} outcomes.", words::number(again));
                }
                (
                    verdict,
                    format!("at most {}", words::limit(limit.0)),
                    sentence,
                )
            }
        };
        CriterionReport {
            sample: Some(trials),
            bound: Some(bound),
            ..line(
                Criterion::Failures,
                verdict,
                limit,
                words::part(failures, trials),
                sentence,
            )
        }
    }

    fn bound_verdict(&self, readable: bool, bound: f64, limit: Percent) -> Verdict {
        let counts = &self.stage.counts;
        let holds = bound <= limit.share();
        if let Soaked::Since(_, Some(again)) = self.soaked {
            // It was read and missed. Reading at every tick until it happens to hold would be hunting; with
            // every outcome in there is nothing left to hunt in.
            if counts.resolved < again && !self.complete() {
                return Verdict::Inconclusive;
            }
        }
        if holds {
            return Verdict::Pass;
        }
        if self.soaked == Soaked::Passed {
            return Verdict::Inconclusive;
        }
        // Only devices in flight spoil it: their outcomes are waited for, they are no failures to judge by.
        let ended_badly = counts.resolved.saturating_sub(counts.ok);
        let in_flight = counts.started > counts.resolved;
        let spoiled_by_flight =
            in_flight && failure_upper_bound(ended_badly, counts.started) <= limit.share();
        if readable && !spoiled_by_flight {
            Verdict::Inconclusive
        } else {
            Verdict::Wait
        }
    }

    /// As for installations, once there are attempts enough to show the limit, or one that failed.
    pub(in crate::gate) fn oobe_failures(&self) -> CriterionReport {
        let off =
            |sentence: String| line(Criterion::OobeFailures, Verdict::Off, "–", "–", sentence);
        let Some(oobe) = self.stage.oobe.filter(|o| o.attempts > 0) else {
            return off("No OOBE attempt on a machine that has the sequence.".to_owned());
        };
        let bound = failure_upper_bound(oobe.failed, oobe.attempts);
        let (holds, limit, needed) = match self.stage.policy.failures {
            FailureLimit::None => (oobe.failed == 0, "none".to_owned(), 1),
            FailureLimit::Bound(limit) => (
                bound <= limit.share(),
                format!("at most {}", words::limit(limit.0)),
                clean_sample_needed(limit.share()),
            ),
        };
        let sentence = format!(
            "{} among {} {} at most {}.",
            words::count(oobe.failed, "failed or pending OOBE attempt"),
            words::number(oobe.attempts),
            if oobe.failed == 1 { "shows" } else { "show" },
            words::share(bound),
        );
        // Fewer attempts than could ever show the limit must not be worse than none at all.
        let verdict = if holds {
            Verdict::Pass
        } else if oobe.failed == 0 && oobe.attempts < needed {
            return CriterionReport {
                sample: Some(oobe.attempts),
                bound: Some(bound),
                limit,
                observed: words::part(0, oobe.attempts),
                ..off(format!(
                    "{sentence} {} would be judged.",
                    words::number(needed)
                ))
            };
        } else {
            Verdict::Inconclusive
        };
        CriterionReport {
            sample: Some(oobe.attempts),
            bound: Some(bound),
            ..line(
                Criterion::OobeFailures,
                verdict,
                limit,
                words::part(oobe.failed, oobe.attempts),
                sentence,
            )
        }
    }
}

fn none_sentence(trials: u64, ended_badly: u64, in_flight: u64) -> String {
    if trials == 0 {
        return "No device has a permit yet, and none may fail.".to_owned();
    }
    match (ended_badly, in_flight) {
        (0, 0) => format!("No failure among {}.", words::devices(trials)),
        (0, _) => format!(
            "{} in flight; none has failed, and none may.",
            words::part(in_flight, trials)
        ),
        _ => format!(
            "{} failed, or are suspected to hang or to be lost; none may. A person decides.",
            words::part(ended_badly, trials)
        ),
    }
}

fn bound_sentence(
    failures: u64,
    in_flight: u64,
    trials: u64,
    bound: f64,
    Percent(limit): Percent,
) -> String {
    let needed = format!(
        "{} without a failure are needed for {}.",
        words::number(clean_sample_needed(limit / 100.0)),
        words::limit(limit)
    );
    if trials == 0 {
        return format!("No device has a permit yet; {needed}");
    }
    // A device in flight counts as failed here, and is not called so.
    let counted = match (failures - in_flight, in_flight) {
        (failed, 0) => words::count(failed, "failure"),
        (0, flight) => format!(
            "{} still in flight, counted as failed,",
            words::number(flight)
        ),
        (failed, flight) => format!(
            "{} and {} still in flight, counted as failed,",
            words::count(failed, "failure"),
            words::number(flight)
        ),
    };
    let shown = format!(
        "{counted} among {} {} at most {}",
        words::devices(trials),
        if failures == 1 { "shows" } else { "show" },
        words::share(bound),
    );
    if bound <= limit / 100.0 {
        format!("{shown}.")
    } else {
        format!("{shown}; {needed}")
    }
}
