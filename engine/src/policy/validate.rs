//! Ranges outside of which a policy would promise what it can not hold.

use servicing::FieldError;

use super::{FailureLimit, MOST_TRIES, Percent, Sample, StagePolicy};

/// Coverage below half says nothing about a ring.
const COVERAGE: (f64, f64) = (50.0, 100.0);
/// A bound below 0.5 % needs 598 clean devices; one above 50 % is none.
const BOUND: (f64, f64) = (0.5, 50.0);
/// 30 working days: longer than the month until the next update.
const MAX_SOAK_HOURS: u32 = 720;
/// 30 days: longer than the month until the next update.
const MAX_DEADLINE_HOURS: u32 = 720;
/// A week.
const MAX_GRACE_HOURS: u32 = 168;
/// A year.
const MAX_AGE_DAYS: u32 = 365;
/// More approvers than that are not asked for in earnest.
const MAX_APPROVALS: u8 = 5;

impl StagePolicy {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// All values that are not, with what would be right.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut check = |holds: bool, field: &str, expected: String| {
            if !holds {
                errors.push(FieldError {
                    field: field.to_owned(),
                    expected,
                });
            }
        };
        let between = |Percent(p): Percent, (low, high): (f64, f64)| (low..=high).contains(&p);
        let range = |(low, high): (f64, f64)| format!("a share between {low} % and {high} %");

        check(
            self.soak_hours <= MAX_SOAK_HOURS,
            "soak_hours",
            format!("at most {MAX_SOAK_HOURS} hours of working days"),
        );
        if let Sample::AtLeast(n) = self.sample {
            check(
                n >= 1,
                "sample",
                "at least 1 device: an empty sample never passes".to_owned(),
            );
        }
        if let FailureLimit::Bound(bound) = self.failures {
            check(between(bound, BOUND), "failures", range(BOUND));
        }
        check(
            between(self.coverage, COVERAGE),
            "coverage",
            range(COVERAGE),
        );
        check(
            between(self.telemetry, (0.0, 100.0)),
            "telemetry",
            range((0.0, 100.0)),
        );
        check(
            self.minimum_age_days <= MAX_AGE_DAYS,
            "minimum_age_days",
            format!("at most {MAX_AGE_DAYS} days"),
        );
        check(
            self.approvals <= MAX_APPROVALS,
            "approvals",
            format!("at most {MAX_APPROVALS}"),
        );
        check(
            self.tries <= MOST_TRIES,
            "tries",
            format!("at most {MOST_TRIES}"),
        );
        if let Some(limit) = self.limits.devices_at_once {
            check(
                limit >= 1,
                "limits.devices_at_once",
                "at least 1 device".to_owned(),
            );
        }
        if let Some(Percent(p)) = self.limits.percent_per_day {
            let expected = "a share above 0 % and at most 100 %".to_owned();
            check(p > 0.0 && p <= 100.0, "limits.percent_per_day", expected);
        }
        if let Some(hours) = self.restart.deadline_hours {
            check(
                (1..=MAX_DEADLINE_HOURS).contains(&hours),
                "restart.deadline_hours",
                format!("1 to {MAX_DEADLINE_HOURS} hours"),
            );
        }
        check(
            self.restart.grace_hours <= MAX_GRACE_HOURS,
            "restart.grace_hours",
            format!("at most {MAX_GRACE_HOURS} hours"),
        );
        check(
            self.restart.grace_hours == 0 || self.restart.deadline_hours.is_some(),
            "restart.grace_hours",
            "0 where there is no deadline".to_owned(),
        );
        check(
            self.restart.set_at.is_none(),
            "restart.set_at",
            "nothing: it is noted when a rollout is expedited".to_owned(),
        );
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Limits, Preset, RestartPolicy, preset};

    fn wrong(change: impl FnOnce(&mut StagePolicy)) -> Vec<String> {
        let mut policy = preset(Preset::Standard, 1, 4, chrono_tz::Tz::UTC);
        change(&mut policy);
        policy
            .validate()
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|e| e.field)
            .collect()
    }

    #[test]
    fn grace_is_given_after_a_deadline_alone() {
        let restart = |deadline_hours, grace_hours| {
            wrong(|p| {
                p.restart = RestartPolicy {
                    deadline_hours,
                    grace_hours,
                    set_at: None,
                }
            })
        };
        assert!(restart(Some(72), 24).is_empty());
        let set_at = Some(chrono::DateTime::UNIX_EPOCH);
        assert_eq!(wrong(|p| p.restart.set_at = set_at), ["restart.set_at"]);
        assert!(restart(None, 0).is_empty());
        assert_eq!(restart(None, 1), ["restart.grace_hours"]);
        assert_eq!(restart(Some(0), 0), ["restart.deadline_hours"]);
        assert_eq!(
            restart(Some(721), 169),
            ["restart.deadline_hours", "restart.grace_hours"]
        );
    }

    #[test]
    fn a_policy_outside_its_ranges_is_refused_field_by_field() {
        assert!(wrong(|_| {}).is_empty());
        assert_eq!(wrong(|p| p.coverage = Percent(49.9)), ["coverage"]);
        assert_eq!(wrong(|p| p.coverage = Percent(f64::NAN)), ["coverage"]);
        assert_eq!(wrong(|p| p.telemetry = Percent(100.1)), ["telemetry"]);
        assert_eq!(wrong(|p| p.soak_hours = 721), ["soak_hours"]);
        assert_eq!(
            wrong(|p| p.failures = FailureLimit::Bound(Percent(0.4))),
            ["failures"]
        );
        assert_eq!(
            wrong(|p| p.failures = FailureLimit::Bound(Percent(51.0))),
            ["failures"]
        );
        assert_eq!(wrong(|p| p.sample = Sample::AtLeast(0)), ["sample"]);
        assert_eq!(wrong(|p| p.approvals = 6), ["approvals"]);
        assert_eq!(wrong(|p| p.minimum_age_days = 366), ["minimum_age_days"]);
        let limits = Limits {
            devices_at_once: Some(0),
            percent_per_day: Some(Percent(0.0)),
            ..Limits::default()
        };
        assert_eq!(
            wrong(|p| p.limits = limits),
            ["limits.devices_at_once", "limits.percent_per_day"]
        );
    }
}
