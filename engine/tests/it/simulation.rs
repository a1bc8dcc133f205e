//! Small simulations on the rules, with fixed seeds. `cargo xtask harm` plays the large ones with the published bars; these
//! notice when the arithmetic and the growth no longer fit together.

use engine::policy::{Growth, Limits};
use engine::simulation::{
    Course, Fault, Fleet, Habits, Ring, ServiceOutage, SilentTime, Symptom, Victims, play,
};

use crate::chance::Lcg;

fn ring(devices: u32) -> Ring {
    Ring {
        fleet: Fleet::of(devices),
        habits: Habits::default(),
        fault: None,
        growth: Growth::Standard,
        limits: Limits::default(),
        patience: 30 * 24 * 60,
    }
}

fn bad(devices: u32, victims: Victims, share: f64, symptom: Symptom) -> Ring {
    Ring {
        fault: Some(Fault {
            victims,
            share,
            symptom,
        }),
        ..ring(devices)
    }
}

fn courses(ring: &Ring, runs: u64) -> Vec<Course> {
    (0..runs).map(|seed| play(ring, &mut Lcg(seed))).collect()
}

fn halted(courses: &[Course]) -> usize {
    courses.iter().filter(|c| c.halted_at.is_some()).count()
}

fn harmed(courses: &[Course]) -> u64 {
    courses.iter().map(|c| c.harmed).sum()
}

#[test]
fn the_same_dice_play_the_same_course() {
    let ring = bad(600, Victims::All, 0.1, Symptom::Hangs);
    assert_eq!(courses(&ring, 3), courses(&ring, 3));
}

#[test]
fn a_good_update_reaches_everyone_and_is_hardly_ever_halted() {
    let courses = courses(&ring(600), 15);
    assert_eq!(halted(&courses), 0);
    for course in courses.iter().filter(|c| c.halted_at.is_none()) {
        assert_eq!((course.started, course.harmed), (600, 0));
        let hours = course.done_at.unwrap() / 60;
        assert!(hours <= 48, "doubling takes few generations: {hours} h");
    }
}

#[test]
fn an_update_that_fails_everywhere_harms_two() {
    for symptom in [Symptom::Reports, Symptom::Hangs] {
        for course in courses(&bad(2_000, Victims::All, 1.0, symptom), 20) {
            assert!(
                course.halted_at.is_some() && course.harmed <= 3,
                "{course:?}"
            );
        }
    }
}

#[test]
fn one_bad_model_of_fifty_is_stopped_before_it_spreads() {
    let courses = courses(
        &bad(
            2_000,
            Victims::Cohort(Fleet::FIRST_MODEL),
            1.0,
            Symptom::Reports,
        ),
        10,
    );
    assert_eq!(halted(&courses), 10);
    assert!(
        harmed(&courses) <= 10 * 5,
        "{} of 40 devices each",
        harmed(&courses)
    );
}

#[test]
fn a_fifth_of_all_devices_failing_is_noticed_early() {
    let courses = courses(&bad(2_000, Victims::All, 0.2, Symptom::Reports), 60);
    assert_eq!(halted(&courses), 60);
    assert!(
        harmed(&courses) <= 60 * 8,
        "{} in 60 runs",
        harmed(&courses)
    );
}

#[test]
fn cautious_growth_is_no_less_safe_and_still_ends() {
    let cautious = |ring: Ring| Ring {
        growth: Growth::Cautious,
        ..ring
    };
    assert!(courses(&cautious(ring(600)), 1)[0].done_at.is_some());
    let all = cautious(bad(600, Victims::All, 1.0, Symptom::Reports));
    assert!(courses(&all, 1)[0].harmed <= 3);
}

#[test]
fn an_outage_of_six_hours_with_hundreds_under_way_halts_nothing_and_hangs_nobody() {
    let mut ring = ring(3_000);
    ring.habits.failure_rate = 0.0;
    ring.habits.service_outage = Some(ServiceOutage {
        under_way: 500,
        lasts: 360,
    });
    for course in courses(&ring, 2) {
        assert_eq!((course.halted_at, course.started), (None, 3_000));
    }
}

#[test]
fn a_good_fleet_of_which_a_part_is_switched_off_over_a_weekend_is_not_halted() {
    let mut ring = ring(3_000);
    ring.habits.failure_rate = 0.0;
    ring.habits.off = Some(SilentTime {
        share: 0.05,
        from: 6 * 60,
        to: 68 * 60,
    });
    for course in courses(&ring, 2) {
        assert_eq!((course.halted_at, course.started), (None, 3_000));
    }
}
