//! Small simulations on the engine's own code, with fixed seeds. The large ones with the published bars run as a
//! benchmark; these notice when the arithmetic and the growth no longer fit together.

use std::collections::BTreeMap;

use engine::admission::{Admission, Asker, NotAdmitted, admit};
use engine::evidence::{Cohort, CohortKind, Counts, Evidence};
use engine::ids::CohortId;
use engine::policy::{Growth, Limits};

/// A linear congruential generator: enough randomness for a test, the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

const MODELS: i16 = 50;

struct Outcome {
    harmed: u64,
    halted: bool,
    rounds: u32,
}

/// Devices ask each round, and what was granted ends in the round after: `rate` says how often a model fails.
fn roll_out(devices: i32, growth: Growth, seed: u64, rate: impl Fn(i16) -> f64) -> Outcome {
    let mut dice = Dice(seed);
    let cohort = |id: i16| Cohort {
        kind: CohortKind::Model,
        value: format!("Model {id}"),
        counts: Counts::default(),
    };
    let mut evidence = Evidence {
        cohorts: (1..=MODELS).map(|id| (CohortId(id), cohort(id))).collect(),
        ..Evidence::default()
    };
    let model = |device: i32| i16::try_from(device % i32::from(MODELS)).unwrap() + 1;
    let mut caps = BTreeMap::new();
    let mut left: Vec<i32> = (0..devices).collect();
    let mut in_flight: Vec<i32> = Vec::new();
    let mut rounds = 0;
    while (!left.is_empty() || !in_flight.is_empty()) && rounds < 500 {
        rounds += 1;
        for device in std::mem::take(&mut in_flight) {
            let failed = dice.roll() < rate(model(device));
            count(&mut evidence, model(device), |c| {
                c.resolved += 1;
                if failed { c.failed += 1 } else { c.ok += 1 }
            });
        }
        let askers: Vec<Asker> = left
            .iter()
            .map(|device| Asker {
                device_no: *device,
                cohorts: vec![CohortId(model(*device))],
                restart_in_s: 60,
                rank: u64::from(device.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            })
            .collect();
        let admission = Admission {
            evidence: &evidence,
            caps: &caps,
            growth,
            limits: Limits::default(),
            ring_size: u64::from(devices.unsigned_abs()),
            unresolved: evidence.all.started - evidence.all.resolved,
            cleared: &[],
            today: 0,
        };
        match admit(&admission, &askers) {
            Err(NotAdmitted::Halt(_)) => {
                return Outcome {
                    harmed: evidence.all.failed,
                    halted: true,
                    rounds,
                };
            }
            Ok(admitted) => {
                caps = admitted.caps;
                for device in &admitted.granted {
                    count(&mut evidence, model(*device), |c| c.started += 1);
                }
                left.retain(|device| !admitted.granted.contains(device));
                in_flight = admitted.granted;
            }
        }
    }
    Outcome {
        harmed: evidence.all.failed,
        halted: false,
        rounds,
    }
}

fn count(evidence: &mut Evidence, model: i16, change: impl Fn(&mut Counts)) {
    change(&mut evidence.all);
    change(&mut evidence.cohorts.get_mut(&CohortId(model)).unwrap().counts);
}

#[test]
fn a_good_update_reaches_everyone_and_is_hardly_ever_halted() {
    let runs = 150;
    let outcomes: Vec<Outcome> = (0..runs)
        .map(|seed| roll_out(600, Growth::Standard, seed, |_| 0.01))
        .collect();
    let halted = outcomes.iter().filter(|o| o.halted).count();
    assert!(halted <= 3, "{halted} of {runs} good rollouts were halted");
    let slow = outcomes
        .iter()
        .filter(|o| !o.halted && o.rounds > 60)
        .count();
    assert_eq!(slow, 0, "doubling takes few generations");
}

#[test]
fn an_update_that_fails_everywhere_harms_a_handful() {
    for seed in 0..20 {
        let outcome = roll_out(2000, Growth::Standard, seed, |_| 1.0);
        assert!(
            outcome.halted && outcome.harmed <= 3,
            "{} harmed",
            outcome.harmed
        );
    }
}

#[test]
fn one_bad_model_of_fifty_is_stopped_before_it_spreads() {
    let outcomes: Vec<Outcome> = (0..30)
        .map(|seed| {
            roll_out(2000, Growth::Standard, seed, |model| {
                if model == 7 { 1.0 } else { 0.0 }
            })
        })
        .collect();
    assert!(outcomes.iter().all(|o| o.halted));
    let harmed: u64 = outcomes.iter().map(|o| o.harmed).sum();
    assert!(harmed <= 30 * 5, "{harmed} of 40 devices each in 30 runs");
}

#[test]
fn a_fifth_of_all_devices_failing_is_noticed_early() {
    let runs: u32 = 60;
    let outcomes: Vec<Outcome> = (0..runs)
        .map(|seed| roll_out(2000, Growth::Standard, u64::from(seed), |_| 0.2))
        .collect();
    assert!(outcomes.iter().all(|o| o.halted));
    let harmed: u32 = outcomes
        .iter()
        .map(|o| u32::try_from(o.harmed).unwrap())
        .sum();
    assert!(
        f64::from(harmed) / f64::from(runs) <= 8.0,
        "{harmed} in {runs} runs"
    );
}

#[test]
fn cautious_growth_is_no_less_safe_and_still_ends() {
    let outcome = roll_out(600, Growth::Cautious, 1, |_| 0.0);
    assert!(
        !outcome.halted && outcome.rounds < 60,
        "{} rounds",
        outcome.rounds
    );
    assert!(roll_out(600, Growth::Cautious, 1, |_| 1.0).harmed <= 3);
}
