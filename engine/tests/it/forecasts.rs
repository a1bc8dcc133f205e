//! Whole rollouts in virtual time, and what they say before one is started.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use engine::evidence::{Cohort, CohortKind, Counts, Evidence};
use engine::forecast::{Forecast, forecast};
use engine::gate::working_time;
use engine::halt::HaltPolicy;
use engine::hold::Held;
use engine::ids::CohortId;
use engine::policy::{Preset, preset};
use engine::simulation::{
    Agreement, End, Fault, Habits, Plan, PlannedRing, Played, Symptom, Victims, roll_out,
};

use crate::chance::Lcg;

/// A Monday morning.
fn monday() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-30T07:00:00Z")
        .unwrap()
        .to_utc()
}

/// Four models, one BIOS version each.
const MODELS: i16 = 4;

fn plan(which: Preset, rings: &[u32]) -> Plan {
    let models = (1..=MODELS).map(CohortId);
    let cohort = |id: CohortId| Cohort {
        kind: CohortKind::Model,
        value: format!("Model {}", id.0),
        counts: Counts::default(),
    };
    Plan {
        starts: monday(),
        released_at: None,
        rings: rings
            .iter()
            .enumerate()
            .map(|(place, devices)| PlannedRing {
                policy: preset(which, place, rings.len(), Tz::Europe__Berlin),
                devices: *devices,
                sample: models.clone().map(|model| vec![model]).collect(),
                held: Vec::new(),
            })
            .collect(),
        evidence: Evidence {
            cohorts: models
                .clone()
                .map(|id| (id, cohort(id)))
                .collect::<BTreeMap<_, _>>(),
            ..Evidence::default()
        },
        halt: HaltPolicy::default(),
        habits: Habits {
            failure_rate: 0.0,
            ..Habits::default()
        },
        fault: None,
        approval_hours: 4,
        freezes: Vec::new(),
        patience: 40 * 24 * 60,
    }
}

fn played(plan: &Plan, seed: u64) -> Played {
    roll_out(plan, &mut Lcg(seed)).unwrap()
}

fn fault(share: f64, victims: Victims) -> Option<Fault> {
    Some(Fault {
        victims,
        share,
        symptom: Symptom::Reports,
    })
}

fn with_window(mut plan: Plan, window: &str) -> Plan {
    for ring in &mut plan.rings {
        ring.policy.limits.window = Some(window.parse().unwrap());
    }
    plan
}

fn forecasted(plan: &Plan) -> Forecast {
    forecast(plan, 12, Some(CohortId(1)), |run| Lcg(run.into())).unwrap()
}

#[test]
fn the_same_dice_play_the_same_rollout() {
    let plan = plan(Preset::Standard, &[5, 30, 80]);
    assert_eq!(played(&plan, 3), played(&plan, 3));
}

#[test]
fn rings_open_one_after_another_and_each_soaks_as_long_as_its_policy_says() {
    let plan = plan(Preset::Standard, &[5, 40, 120, 300]);
    let played = played(&plan, 1);
    assert_eq!(played.end, End::Completed);
    assert_eq!((played.started, played.harmed), (465, 0));
    let at = |minute: u32| plan.starts + TimeDelta::minutes(minute.into());
    let mut before = 0;
    for (ring, of) in played.rings.iter().zip(&plan.rings) {
        let (opened, passed) = (ring.opened_at.unwrap(), ring.passed_at.unwrap());
        assert!(before <= opened, "{played:?}");
        let worked = working_time(at(opened), at(passed), Tz::Europe__Berlin);
        assert!(worked >= TimeDelta::hours(of.policy.soak_hours.into()));
        if of.policy.approvals > 0 {
            let waited = working_time(at(before), at(opened), Tz::Europe__Berlin);
            assert!(
                waited >= TimeDelta::hours(4),
                "people need time: {played:?}"
            );
        }
        before = passed;
    }
}

#[test]
fn a_bad_update_is_stopped_in_its_first_ring_and_the_others_never_open() {
    let mut plan = plan(Preset::Standard, &[12, 60, 400]);
    plan.fault = fault(1.0, Victims::All);
    for seed in 0..5 {
        let played = played(&plan, seed);
        assert_ne!(played.end, End::Completed);
        assert!(played.harmed <= 3, "{played:?}");
        assert!(played.rings[1..].iter().all(|r| r.opened_at.is_none()));
    }
}

#[test]
fn a_gate_that_time_does_not_pass_waits_for_a_person() {
    // One of twelve fails, and in the first ring none may: too few to halt, too many to pass.
    let mut plan = plan(Preset::Standard, &[12, 60]);
    plan.habits.failure_rate = 0.1;
    let ends: Vec<End> = (0..20).map(|seed| played(&plan, seed).end).collect();
    assert!(ends.contains(&End::NeedsPerson), "{ends:?}");
    // An empty ring never passes.
    let empty = crate::forecasts::plan(Preset::Standard, &[0, 60]);
    let empty = played(&empty, 1);
    assert_eq!((empty.end, empty.started), (End::NeedsPerson, 0));
}

#[test]
fn a_ring_without_a_policy_that_holds_is_refused() {
    let mut plan = plan(Preset::Standard, &[12]);
    plan.rings[0].policy.soak_hours = 10_000;
    let refused = roll_out(&plan, &mut Lcg(1)).unwrap_err();
    assert_eq!(refused.code, "policy");
    plan.rings.clear();
    assert_eq!(roll_out(&plan, &mut Lcg(1)).unwrap_err().code, "stages");
}

#[test]
fn a_ring_larger_than_what_is_played_takes_the_time_to_double() {
    let days = |devices| {
        let played = played(&plan(Preset::Standard, &[5, 40, devices]), 1);
        assert_eq!(played.end, End::Completed);
        f64::from(played.ended_at) / 1440.0
    };
    let (at_the_limit, larger) = (days(10_000), days(80_000));
    assert!(
        (0.05..2.0).contains(&(larger - at_the_limit)),
        "{at_the_limit} and {larger}: three doublings of some hours"
    );
}

#[test]
fn people_who_put_restarts_off_and_devices_that_ask_rarely_take_longer() {
    let quick = plan(Preset::Standard, &[5, 40, 300]);
    let mut slow = quick.clone();
    slow.habits.idle_poll = 1440;
    slow.habits.agreement = Some(Agreement {
        median: 600.0,
        sigma: 0.5,
        at_most: 2 * 1440,
        holds: Some(120),
    });
    let (quick, slow) = (played(&quick, 1), played(&slow, 1));
    assert_eq!((quick.end, slow.end), (End::Completed, End::Completed));
    assert!(slow.ended_at > quick.ended_at + 1440, "{quick:?} {slow:?}");
}

#[test]
fn a_share_of_a_day_stretches_a_rollout_over_days() {
    let quick = plan(Preset::Standard, &[40, 300]);
    let mut slow = quick.clone();
    slow.rings[1].policy.limits.percent_per_day = Some(engine::policy::Percent(10.0));
    let (quick, slow) = (played(&quick, 1), played(&slow, 1));
    // 90 % of the ring at 30 a day are nine days.
    assert!(
        slow.ended_at > quick.ended_at + 5 * 1440,
        "{quick:?} {slow:?}"
    );
}

#[test]
fn a_limit_of_the_day_lets_in_whoever_polls_at_any_minute_of_the_next() {
    let mut plan = plan(Preset::Standard, &[12, 80]);
    for ring in &mut plan.rings {
        ring.policy.limits.percent_per_day = Some(engine::policy::Percent(20.0));
    }
    plan.habits.poll = 30;
    plan.habits.idle_poll = 120;
    for seed in 1..=12 {
        let played = played(&plan, seed);
        assert_eq!(played.end, End::Completed, "seed {seed}: {played:?}");
    }
}

#[test]
fn a_forecast_says_when_rings_open_and_what_a_bad_update_would_harm() {
    let forecast = forecasted(&plan(Preset::Standard, &[5, 40, 120]));
    assert_eq!(forecast.completes.of, 12);
    assert_eq!(forecast.rings.len(), 3);
    let opens: Vec<f64> = forecast
        .rings
        .iter()
        .map(|r| r.opens.unwrap().median)
        .collect();
    assert!(opens.is_sorted() && opens[0] < 0.1, "{opens:?}");
    let completed = forecast.completed.unwrap();
    assert!(completed.low <= completed.median && completed.median <= completed.high);
    assert!(completed.median > opens[2]);
    let all: Vec<(f64, Option<CohortId>)> =
        forecast.harm.iter().map(|h| (h.share, h.cohort)).collect();
    let one = Some(CohortId(1));
    assert_eq!(all, [(1.0, None), (0.2, None), (0.05, None), (1.0, one)]);
    assert!(forecast.harm[0].harmed <= 3.0);
    assert_eq!(forecast.harm[0].stopped.of, 12);
    assert!(forecast.harm[3].harmed < 30.0, "{:?}", forecast.harm[3]);
}

#[test]
fn a_gate_that_a_good_update_can_miss_says_how_often() {
    let mut plan = plan(Preset::Standard, &[12, 40, 120]);
    plan.habits.failure_rate = 0.02;
    let forecast = forecasted(&plan);
    let test = forecast.rings[0].pass;
    assert!(
        test.of < test.among,
        "in a ring of 12 where none may fail: {test:?}"
    );
    assert_eq!(forecast.rings[1].pass.among, test.of);
    assert!(test.low < test.high);
}

#[test]
fn in_a_maintenance_window_a_generation_a_night_starts() {
    let free = plan(Preset::Standard, &[80]);
    let nights = with_window(free.clone(), "daily 22:00-05:00");
    let played_free = played(&free, 5);
    let played_nights = played(&nights, 5);
    assert_eq!(played_nights.end, End::Completed);
    assert_eq!(played_nights.started, 80);
    let passed = |played: &Played| played.rings[0].passed_at.unwrap();
    assert!(
        passed(&played_nights) > passed(&played_free),
        "{played_nights:?}"
    );
    // One hour on Sundays: two devices a week, then four, then eight.
    let sundays = with_window(free, "Sun 10:00-11:00");
    let slow = played(&sundays, 5);
    assert!(
        slow.end != End::Completed || passed(&slow) > 21 * 24 * 60,
        "{slow:?}"
    );
}

#[test]
fn a_deadline_brings_forward_what_people_would_put_off() {
    let mut free = plan(Preset::Small, &[5, 12]);
    free.habits.agreement = Some(Agreement {
        median: 2.0 * 24.0 * 60.0,
        sigma: 1.0,
        at_most: 14 * 24 * 60,
        holds: Some(120),
    });
    let mut bound = free.clone();
    for ring in &mut bound.rings {
        ring.policy.restart.deadline_hours = Some(12);
        ring.policy.restart.grace_hours = 2;
    }
    let all_by = |plan: &Plan| {
        let played = played(plan, 5);
        assert_eq!(played.end, End::Completed);
        played.rings[0].passed_at.unwrap() - played.rings[0].opened_at.unwrap()
    };
    // Two generations of at most 14 hours each, some hours of installing, then three days of soak.
    let soak = 3 * 24 * 60;
    assert!(
        all_by(&bound) <= 2 * 14 * 60 + 6 * 60 + soak,
        "{}",
        all_by(&bound)
    );
    assert!(all_by(&free) > all_by(&bound) + 24 * 60);
}

#[test]
fn a_ring_with_devices_that_a_known_issue_holds_opens_when_the_issue_ends() {
    let mut plan = plan(Preset::Standard, &[5, 40, 120]);
    let before = played(&plan, 2);
    let until = monday() + TimeDelta::days(12);
    let issue = "BitLocker asks for its key".to_owned();
    plan.rings[1].held = vec![(Held { issue, devices: 3 }, until)];
    let after = played(&plan, 2);
    let opened = |played: &Played, ring: usize| played.rings[ring].opened_at.unwrap();
    assert_eq!(opened(&after, 0), opened(&before, 0));
    assert!(opened(&before, 1) < 12 * 24 * 60);
    assert!((12 * 24 * 60..12 * 24 * 60 + 61).contains(&opened(&after, 1)));
    assert_eq!(after.end, End::Completed);
    // One that ends after everybody has lost patience.
    plan.rings[1].held[0].1 = monday() + TimeDelta::days(60);
    let never = played(&plan, 2);
    assert_eq!((never.end, never.rings[1].opened_at), (End::GivenUp, None));
}
