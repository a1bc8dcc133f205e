//! What expediting makes shorter, and what it leaves alone: how exposure grows, what halts and brakes, how many failures a gate
//! bears and how many outcomes it asks for.

use super::{RestartPolicy, StagePolicy};

/// Soak of an expedited ring, working hours: long enough for a restart and a look at the machine, within a working day.
pub const EXPEDITED_SOAK_HOURS: u32 = 4;

/// Restarts of an expedited ring: a day, so that a machine that was switched off for the night still asks its user, and two
/// hours to end what they do.
pub const EXPEDITED_RESTART: RestartPolicy = RestartPolicy {
    deadline_hours: Some(24),
    grace_hours: 2,
    set_at: None,
};

/// The policy of a ring once it is expedited: a shorter soak, an earlier deadline of restarts, no minimum age, no approval of its
/// own. What is shorter already stays.
#[must_use]
pub fn expedite(policy: &StagePolicy) -> StagePolicy {
    StagePolicy {
        soak_hours: policy.soak_hours.min(EXPEDITED_SOAK_HOURS),
        minimum_age_days: 0,
        approvals: 0,
        restart: sooner(policy.restart),
        ..*policy
    }
}

fn sooner(restart: RestartPolicy) -> RestartPolicy {
    let latest =
        |of: &RestartPolicy| Some(u64::from(of.deadline_hours?) + u64::from(of.grace_hours));
    match latest(&restart) {
        Some(hours) if Some(hours) <= latest(&EXPEDITED_RESTART) => restart,
        _ => EXPEDITED_RESTART,
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::policy::{Percent, Preset, preset};

    #[test]
    fn what_is_shorter_already_stays_and_nothing_but_time_and_approvals_changes() {
        for position in 0..4 {
            let mut before = preset(Preset::Standard, position, 4, Tz::UTC);
            before.minimum_age_days = 7;
            before.limits.percent_per_day = Some(Percent(10.0));
            let after = expedite(&before);
            assert_eq!(
                (after.soak_hours, after.minimum_age_days, after.approvals),
                (4, 0, 0)
            );
            assert_eq!(after.restart, EXPEDITED_RESTART);
            let back = StagePolicy {
                soak_hours: before.soak_hours,
                minimum_age_days: before.minimum_age_days,
                approvals: before.approvals,
                restart: before.restart,
                ..after
            };
            assert_eq!(back, before);
            assert_eq!(expedite(&after), after);
        }
    }

    #[test]
    fn a_deadline_that_is_earlier_stays_with_its_grace() {
        let with = |deadline_hours, grace_hours| {
            sooner(RestartPolicy {
                deadline_hours,
                grace_hours,
                set_at: None,
            })
        };
        assert_eq!(with(Some(8), 1).deadline_hours, Some(8));
        assert_eq!(with(Some(8), 18).grace_hours, 18);
        assert_eq!(with(Some(8), 19), EXPEDITED_RESTART);
        assert_eq!(with(Some(72), 0), EXPEDITED_RESTART);
        assert_eq!(with(None, 0), EXPEDITED_RESTART);
    }
}
