use std::collections::{BTreeMap, BTreeSet};

use engine::admission::{Admission, Admitted, Asker, NotAdmitted, WaitReason, admit, grow};
use engine::evidence::{CohortKind, Counts, Evidence};
use engine::halt::HaltPolicy;
use engine::ids::CohortId;
use engine::policy::{Growth, Limits, Percent, WeekMinute};
use proptest::prelude::*;

use crate::lab::{counts, evidence};

struct Desk {
    evidence: Evidence,
    halt: HaltPolicy,
    caps: BTreeMap<CohortId, u64>,
    growth: Growth,
    limits: Limits,
    ring_size: u64,
    unresolved: u64,
    today: u64,
}

impl Desk {
    fn new(evidence: Evidence) -> Self {
        Self {
            evidence,
            halt: HaltPolicy::default(),
            caps: BTreeMap::new(),
            growth: Growth::Standard,
            limits: Limits::default(),
            ring_size: 1000,
            unresolved: 0,
            today: 0,
        }
    }

    fn admission(&self) -> Admission<'_> {
        Admission {
            evidence: &self.evidence,
            caps: &self.caps,
            growth: self.growth,
            limits: self.limits,
            ring_size: self.ring_size,
            unresolved: self.unresolved,
            cleared: &[],
            halt: &self.halt,
            today: self.today,
            freeze: None,
        }
    }

    fn admit(&self, askers: &[Asker]) -> Admitted {
        admit(&self.admission(), askers).unwrap()
    }

    fn cap(&self) -> u64 {
        grow(&self.admission())[&CohortId::ALL]
    }
}

fn asker(device_no: i32, cohorts: &[i16]) -> Asker {
    Asker {
        local: WeekMinute::default(),
        device_no,
        cohorts: cohorts.iter().map(|c| CohortId(*c)).collect(),
        restart_in_s: 600,
        rank: 0,
    }
}

fn askers(n: i32) -> Vec<Asker> {
    (0..n).map(|i| asker(i, &[])).collect()
}

#[test]
fn the_first_generation_is_two_devices_however_many_ask() {
    let admitted = Desk::new(Evidence::default()).admit(&askers(100));
    assert_eq!(admitted.granted, [0, 1]);
    assert_eq!(admitted.waiting.len(), 98);
    assert_eq!(admitted.waiting[0].1, WaitReason::Generation { cap: 2 });
}

#[test]
fn exposure_doubles_with_each_clean_generation() {
    let mut cap = 2;
    for _ in 0..10 {
        let desk = Desk::new(evidence(counts(cap, 0), &[]));
        assert_eq!(desk.cap(), 2 * cap);
        cap *= 2;
    }
}

#[test]
fn caps_that_were_stored_generations_ago_catch_up_at_once() {
    let mut desk = Desk::new(evidence(counts(700, 0), &[]));
    desk.caps.insert(CohortId::ALL, 16);
    assert_eq!(desk.cap(), 1024);
    // And never shrink.
    desk.caps.insert(CohortId::ALL, 5000);
    assert_eq!(desk.cap(), 5000);
}

#[test]
fn a_device_that_falls_silent_holds_its_generation_back() {
    let silent = Counts {
        started: 4,
        ok: 3,
        resolved: 3,
        ..Counts::default()
    };
    let mut desk = Desk::new(evidence(silent, &[]));
    desk.caps.insert(CohortId::ALL, 4);
    assert_eq!(desk.cap(), 4);
    desk.evidence.all.resolved = 4;
    assert_eq!(desk.cap(), 8, "resolved as lost");
}

#[test]
fn cautious_waits_for_the_last_device_and_standard_for_95_in_100() {
    let nearly = Counts {
        started: 64,
        ok: 61,
        resolved: 61,
        ..Counts::default()
    };
    let mut desk = Desk::new(evidence(nearly, &[]));
    desk.caps.insert(CohortId::ALL, 64);
    assert_eq!(desk.cap(), 128);
    desk.growth = Growth::Cautious;
    assert_eq!(desk.cap(), 64);
    desk.evidence.all.resolved = 64;
    assert_eq!(desk.cap(), 128);
}

#[test]
fn fast_begins_only_where_299_clean_devices_have_shown_it_may() {
    let fast = |counts, ring_size| {
        let mut desk = Desk::new(evidence(counts, &[]));
        desk.growth = Growth::Fast;
        desk.ring_size = ring_size;
        desk.caps.insert(CohortId::ALL, 299);
        desk.cap()
    };
    assert_eq!(fast(counts(2, 0), 50_000), 299);
    assert_eq!(fast(counts(299, 0), 20_000), 1196, "quadruples");
    // 299 devices are well, and as many failures more than a rate of one per cent bears.
    assert_eq!(fast(counts(309, 10), 20_000), 598, "doubles");
    assert_eq!(
        fast(counts(299, 1), 20_000),
        598,
        "298 clean ones and a failure only double"
    );
    assert_eq!(
        fast(counts(299, 0), 200_000),
        2000,
        "starts at 1 % of the ring"
    );
}

#[test]
fn with_the_brake_on_a_generation_adds_two_devices() {
    let mut desk = Desk::new(evidence(counts(30, 5), &[]));
    desk.caps.insert(CohortId::ALL, 30);
    assert_eq!(desk.cap(), 32);
    desk.evidence.all.resolved = 29;
    desk.evidence.all.ok = 24;
    assert_eq!(desk.cap(), 30);
}

#[test]
fn a_new_model_starts_small_in_a_ring_that_is_proven() {
    let cohorts = [
        (CohortKind::Model, "proven", counts(500, 0)),
        (CohortKind::Model, "new", Counts::default()),
    ];
    let desk = Desk::new(evidence(counts(500, 0), &cohorts));
    let mut asking: Vec<Asker> = (0..5).map(|i| asker(i, &[2])).collect();
    asking.extend((5..8).map(|i| asker(i, &[1])));
    let admitted = desk.admit(&asking);
    assert_eq!(admitted.granted, [0, 1, 5, 6, 7]);
    let wait = WaitReason::CohortGeneration {
        cohort: CohortId(2),
        cap: 2,
    };
    assert_eq!(
        admitted.waiting,
        [(2, wait.clone()), (3, wait.clone()), (4, wait)]
    );
}

#[test]
fn architectures_and_builds_have_no_generation_of_their_own() {
    let cohorts = [(CohortKind::Architecture, "x64", counts(8, 0))];
    let admitted = Desk::new(evidence(counts(8, 0), &cohorts)).admit(&[asker(1, &[1])]);
    assert_eq!(admitted.granted, [1]);
    assert_eq!(
        admitted.caps.keys().copied().collect::<Vec<_>>(),
        [CohortId::ALL]
    );
}

#[test]
fn a_cohort_without_evidence_gets_no_exposure() {
    let admitted = Desk::new(evidence(counts(8, 0), &[])).admit(&[asker(1, &[77])]);
    assert_eq!(
        admitted.waiting,
        [(
            1,
            WaitReason::CohortGeneration {
                cohort: CohortId(77),
                cap: 0
            }
        )]
    );
}

#[test]
fn a_halt_that_nobody_has_acted_on_yet_grants_nothing() {
    let desk = Desk::new(evidence(counts(2, 2), &[]));
    let NotAdmitted::Halt(cause) = admit(&desk.admission(), &askers(3)).unwrap_err();
    assert_eq!(cause.failures, 2);
}

#[test]
fn the_lowest_limit_rules_and_is_named() {
    let mut desk = Desk::new(evidence(counts(64, 0), &[]));
    desk.limits.devices_at_once = Some(3);
    desk.unresolved = 2;
    let admitted = desk.admit(&askers(3));
    assert_eq!(admitted.granted, [0]);
    assert_eq!(
        admitted.waiting[0].1,
        WaitReason::DevicesAtOnce { limit: 3 }
    );

    desk.limits = Limits {
        devices_at_once: Some(100),
        percent_per_day: Some(Percent(0.25)),
        ..Limits::default()
    };
    desk.today = 2;
    let admitted = desk.admit(&askers(3));
    assert_eq!(admitted.granted, [0], "0.25 % of 1,000 are 3 a day");
    assert_eq!(admitted.waiting[0].1, WaitReason::PerDay { limit: 3 });

    // A share that rounds to nothing is one device a day, not none.
    desk.ring_size = 10;
    desk.today = 0;
    assert_eq!(desk.admit(&askers(3)).granted, [0]);
}

#[test]
fn outside_of_the_window_nobody_starts_and_within_it_only_who_restarts_in_it() {
    // Monday 22:00 UTC: ten in the evening in London, midnight in Helsinki.
    let now = "2026-04-06T22:00:00Z".parse().unwrap();
    let ask = |device_no, offset, restart_in_s| Asker {
        local: WeekMinute::at(now, offset),
        restart_in_s,
        ..asker(device_no, &[])
    };
    let mut desk = Desk::new(Evidence::default());
    let window = "Mon-Fri 22:00-24:00".parse().unwrap();
    desk.limits.window = Some(window);
    let admitted = desk.admit(&[ask(1, 0, 600), ask(2, 120, 600), ask(3, 60, 3_601)]);
    assert_eq!(admitted.granted, [1]);
    let waits = |opens_in_min| WaitReason::Window {
        window,
        opens_in_min,
    };
    assert_eq!(admitted.waiting, [(2, waits(22 * 60)), (3, waits(23 * 60))]);
}

#[test]
fn the_soonest_restart_goes_first_and_the_rank_decides_within_a_minute() {
    let ask = |device_no, restart_in_s, rank| Asker {
        local: WeekMinute::default(),
        restart_in_s,
        rank,
        ..asker(device_no, &[])
    };
    let desk = Desk::new(Evidence::default());
    let asking = [
        ask(1, 3000, 0),
        ask(2, 130, 9),
        ask(3, 170, 1),
        ask(4, 125, 5),
    ];
    assert_eq!(desk.admit(&asking).granted, [3, 4]);
}

#[test]
fn a_device_that_asks_twice_is_granted_once() {
    let admitted = Desk::new(Evidence::default()).admit(&[asker(7, &[]), asker(7, &[])]);
    assert_eq!(admitted.granted, [7]);
    assert!(admitted.waiting.is_empty());
}

#[test]
fn a_wait_can_be_stored_and_read_back() {
    for wait in [
        WaitReason::Generation { cap: 2 },
        WaitReason::CohortGeneration {
            cohort: CohortId(3),
            cap: 2,
        },
        WaitReason::DevicesAtOnce { limit: 9 },
        WaitReason::PerDay { limit: 9 },
        WaitReason::Window {
            window: "Sat,Sun 00:00-24:00".parse().unwrap(),
            opens_in_min: 9,
        },
    ] {
        let json = serde_json::to_string(&wait).unwrap();
        assert_eq!(
            serde_json::from_str::<WaitReason>(&json).unwrap(),
            wait,
            "{json}"
        );
    }
}

fn some_counts() -> impl Strategy<Value = Counts> {
    (0_u64..400, 0.0..=1.0, 0.0..=1.0).prop_map(|(started, resolved, ok)| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss
        )]
        let part = |of: u64, share: f64| (of as f64 * share) as u64;
        let resolved = part(started, resolved);
        Counts {
            started,
            resolved,
            ok: part(resolved, ok),
            ..Counts::default()
        }
    })
}

proptest! {
    #[test]
    fn invariant_06_no_batch_ever_exceeds_a_limit(
        all in some_counts(),
        models in prop::collection::vec(some_counts(), 1..6),
        asking in prop::collection::vec((0..60_i32, 1..6_i16, 0..4000_u32, any::<u64>()), 0..120),
        at_once in prop::option::of(1..50_u64),
        per_day in prop::option::of(0.1..20.0_f64),
        unresolved in 0..60_u64,
        today in 0..60_u64,
        growth in prop::sample::select(vec![Growth::Standard, Growth::Cautious, Growth::Fast]),
    ) {
        let cohorts: Vec<_> = models.iter().map(|c| (CohortKind::Model, "m", *c)).collect();
        let mut desk = Desk::new(evidence(all, &cohorts));
        desk.limits = Limits { devices_at_once: at_once, percent_per_day: per_day.map(Percent), window: None };
        (desk.unresolved, desk.today, desk.growth) = (unresolved, today, growth);
        let askers: Vec<Asker> = asking
            .iter()
            .map(|(device, model, restart_in_s, rank)| Asker {
                local: WeekMinute::default(),
                restart_in_s: *restart_in_s,
                rank: *rank,
                ..asker(*device, &[*model])
            })
            .collect();
        let admitted = desk.admit(&askers);

        let granted: BTreeSet<i32> = admitted.granted.iter().copied().collect();
        prop_assert_eq!(granted.len(), admitted.granted.len());
        prop_assert!(admitted.waiting.iter().all(|(device, _)| !granted.contains(device)));
        let asked: BTreeSet<i32> = askers.iter().map(|a| a.device_no).collect();
        prop_assert_eq!(granted.len() + admitted.waiting.len(), asked.len());

        let new = granted.len() as u64;
        let room = |cap: u64, started: u64, new: u64| new == 0 || started + new <= cap;
        prop_assert!(room(admitted.caps[&CohortId::ALL], all.started, new));
        prop_assert!(at_once.is_none_or(|limit| room(limit, unresolved, new)));
        prop_assert!(per_day.is_none_or(|p| room(Percent(p).of(1000).max(1), today, new)));
        // The batch keeps the first request of a device in its order, so a cohort has at most one per device.
        for (id, cohort) in &desk.evidence.cohorts {
            let only_here = askers.iter().filter(|a| granted.contains(&a.device_no));
            let certain = only_here
                .filter(|a| askers.iter().all(|b| b.device_no != a.device_no || b.cohorts == a.cohorts))
                .filter(|a| a.cohorts.contains(id))
                .map(|a| a.device_no)
                .collect::<BTreeSet<_>>();
            prop_assert!(room(admitted.caps[id], cohort.counts.started, certain.len() as u64));
        }
    }
}
