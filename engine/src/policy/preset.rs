//! The named sets of stage policies.

use chrono_tz::Tz;

use super::{
    FailureLimit, Growth, Limits, MOST_TRIES, Percent, Preset, RestartPolicy, Sample, StagePolicy,
    expedite,
};

/// The part that a ring plays, whatever its name and however many rings there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// First of several: a few machines of the IT department, all of which must be fine.
    Test,
    /// Second of three and more: first contact with real users.
    Pilot,
    /// Between the second and the last.
    Limited,
    /// The last: everyone who is left. An only ring is this one, because it is everyone.
    Broad,
}

fn part(position: usize, rings: usize) -> Part {
    match position {
        _ if position + 1 >= rings => Part::Broad,
        0 => Part::Test,
        1 => Part::Pilot,
        _ => Part::Limited,
    }
}

/// The policy of the ring at `position` (from 0) of `rings`.
///
/// | | Test | Pilot | Limited | Broad |
/// |---|---|---|---|---|
/// | soak, working hours | 24 | 48 | 48 | 48 |
/// | sample | all | 20 | 60 | 60 |
/// | failures | none | at most 15 % | at most 5 % | at most 5 % |
/// | approvals before it opens | 0 | 0 | 1 | 2 |
///
/// The last ring is Broad, the first Test, the second Pilot, all between Limited. Coverage is 90 %, telemetry 95 %.
#[must_use]
pub fn preset(preset: Preset, position: usize, rings: usize, time_zone: Tz) -> StagePolicy {
    let part = part(position, rings);
    let standard = StagePolicy {
        soak_hours: if part == Part::Test { 24 } else { 48 },
        sample: match part {
            Part::Test => Sample::All,
            Part::Pilot => Sample::AtLeast(20),
            // 59 clean devices show 5 %, and one more for a round number.
            Part::Limited | Part::Broad => Sample::AtLeast(60),
        },
        failures: match part {
            Part::Test => FailureLimit::None,
            Part::Pilot => FailureLimit::Bound(Percent(15.0)),
            Part::Limited | Part::Broad => FailureLimit::Bound(Percent(5.0)),
        },
        coverage: Percent(90.0),
        telemetry: Percent(95.0),
        minimum_age_days: 0,
        approvals: match part {
            Part::Test | Part::Pilot => 0,
            Part::Limited => 1,
            Part::Broad => 2,
        },
        growth: Growth::Standard,
        limits: Limits::default(),
        restart: RestartPolicy::default(),
        tries: MOST_TRIES,
        time_zone,
    };
    match preset {
        Preset::Standard => standard,
        Preset::Cautious => StagePolicy {
            growth: Growth::Cautious,
            ..standard
        },
        Preset::Fast => StagePolicy {
            growth: Growth::Fast,
            ..standard
        },
        // A repair may go to a handful of devices, which can never show a bound of 15 %: so a clean handful
        // passes, and after a soak this short any failure at all is for a person to judge.
        Preset::Expedited => StagePolicy {
            sample: if position == 0 {
                Sample::All
            } else {
                Sample::AtLeast(20)
            },
            failures: FailureLimit::None,
            approvals: if position == 0 { 2 } else { 0 },
            ..expedite(&standard)
        },
        // Rings of 3 to 27 devices prove little by numbers: so every device, no failure, and more time.
        Preset::Small => StagePolicy {
            soak_hours: 72,
            sample: Sample::All,
            failures: FailureLimit::None,
            coverage: Percent(100.0),
            ..standard
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(which: Preset, rings: usize) -> Vec<StagePolicy> {
        (0..rings)
            .map(|i| preset(which, i, rings, Tz::UTC))
            .collect()
    }

    #[test]
    fn the_standard_of_four_rings_is_the_published_one() {
        let rings = all(Preset::Standard, 4);
        assert_eq!(
            rings.iter().map(|p| p.soak_hours).collect::<Vec<_>>(),
            [24, 48, 48, 48]
        );
        assert_eq!(
            rings.iter().map(|p| p.approvals).collect::<Vec<_>>(),
            [0, 0, 1, 2]
        );
        assert_eq!(rings[0].sample, Sample::All);
        assert_eq!(rings[1].sample, Sample::AtLeast(20));
        assert_eq!(rings[3].sample, Sample::AtLeast(60));
        assert_eq!(rings[0].failures, FailureLimit::None);
        assert_eq!(rings[1].failures, FailureLimit::Bound(Percent(15.0)));
        assert_eq!(rings[2].failures, FailureLimit::Bound(Percent(5.0)));
    }

    #[test]
    fn everyone_is_never_reached_without_two_approvals_however_many_rings_there_are() {
        for rings in 1..=6 {
            for which in [
                Preset::Cautious,
                Preset::Standard,
                Preset::Fast,
                Preset::Small,
            ] {
                assert_eq!(
                    all(which, rings).last().unwrap().approvals,
                    2,
                    "{which:?} of {rings}"
                );
            }
        }
        let approvals = |rings| {
            all(Preset::Standard, rings)
                .iter()
                .map(|p| p.approvals)
                .collect::<Vec<_>>()
        };
        assert_eq!(approvals(3), [0, 0, 2]);
        assert_eq!(approvals(6), [0, 0, 1, 1, 1, 2]);
    }

    #[test]
    fn an_expedited_repair_takes_two_people_before_its_first_device() {
        let rings = all(Preset::Expedited, 4);
        assert_eq!(
            rings.iter().map(|p| p.approvals).collect::<Vec<_>>(),
            [2, 0, 0, 0]
        );
        assert!(rings.iter().all(|p| p.soak_hours == 4
            && p.failures == FailureLimit::None
            && p.restart.deadline_hours == Some(24)));
    }

    #[test]
    fn a_small_fleet_waits_for_every_device() {
        let rings = all(Preset::Small, 3);
        assert!(
            rings
                .iter()
                .all(|p| p.soak_hours == 72 && p.sample == Sample::All)
        );
        assert!(
            rings
                .iter()
                .all(|p| p.failures == FailureLimit::None && p.coverage == Percent(100.0))
        );
    }

    #[test]
    fn every_preset_is_valid() {
        for which in [
            Preset::Cautious,
            Preset::Standard,
            Preset::Fast,
            Preset::Expedited,
            Preset::Small,
        ] {
            for rings in 1..=6 {
                assert!(all(which, rings).iter().all(|p| p.validate().is_ok()));
            }
        }
    }
}
