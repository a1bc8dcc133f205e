//! What the rules cost: nanoseconds to microseconds, growing with rings and cohorts and never with devices.
//! `cargo bench -p engine` compares with the run before.

#![allow(missing_docs, reason = "the macro below makes a public function")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::Input;
use engine::admission::{Admission, Asker, admit};
use engine::assignment::{Assignment, Report, fold};
use engine::decide::decide;
use engine::evidence::{Cohort, CohortKind, Counts};
use engine::halt::{HaltPolicy, assess};
use engine::ids::CohortId;
use engine::policy::{Growth, Limits, WeekMinute};
use servicing::Build;

#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the same rollout as in the tests, which may unwrap and use the rest"
)]
#[path = "../tests/it/lab.rs"]
mod lab;

use lab::Lab;

/// A rollout in its second ring, with `devices` that went well in `cohorts` of equal size.
fn rollout(devices: u64, cohorts: i16) -> Lab {
    let mut lab = Lab::with_passed(1);
    let well = |n| Counts {
        started: n,
        ok: n,
        resolved: n,
        ..Counts::default()
    };
    lab.snapshot.stages[1].targeted = devices;
    lab.snapshot.stages[1].counts = well(devices);
    lab.snapshot.evidence.all = well(devices);
    for id in 10..10 + cohorts {
        let cohort = Cohort {
            kind: CohortKind::Model,
            value: format!("Latitude {id}"),
            counts: well(devices / u64::from(cohorts.unsigned_abs())),
        };
        lab.snapshot.evidence.cohorts.insert(CohortId(id), cohort);
    }
    lab
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for devices in [10_000, 1_000_000] {
        let lab = rollout(devices, 24);
        group.bench_with_input(
            BenchmarkId::new("devices", devices),
            &lab.snapshot,
            |b, s| {
                b.iter(|| decide(black_box(s), Input::Tick, s.service_now));
            },
        );
    }
    for cohorts in [10, 100, 1000] {
        let lab = rollout(1_000_000, cohorts);
        group.bench_with_input(
            BenchmarkId::new("cohorts", cohorts),
            &lab.snapshot,
            |b, s| {
                b.iter(|| decide(black_box(s), Input::Tick, s.service_now));
            },
        );
    }
    group.finish();
}

fn halts(c: &mut Criterion) {
    let evidence = rollout(1_000_000, 100).snapshot.evidence;
    let policy = HaltPolicy::default();
    c.bench_function("assess, 100 cohorts", |b| {
        b.iter(|| assess(black_box(&evidence), &[], &policy));
    });
}

fn admissions(c: &mut Criterion) {
    let evidence = rollout(10_000, 24).snapshot.evidence;
    let (caps, policy) = (BTreeMap::new(), HaltPolicy::default());
    let admission = Admission {
        evidence: &evidence,
        caps: &caps,
        growth: Growth::Standard,
        limits: Limits::default(),
        ring_size: 1_000_000,
        unresolved: 0,
        cleared: &[],
        halt: &policy,
        today: 0,
        freeze: None,
    };
    let askers: Vec<Asker> = (0..500)
        .map(|n: i32| Asker {
            local: WeekMinute::default(),
            device_no: n,
            cohorts: vec![CohortId(10 + i16::try_from(n % 24).unwrap_or(0))],
            restart_in_s: 600,
            rank: u64::from(n.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        })
        .collect();
    c.bench_function("admit, 500 askers", |b| {
        b.iter(|| admit(black_box(&admission), &askers));
    });
}

fn folds(c: &mut Criterion) {
    let target = Build {
        base: 26100,
        ubr: 8117,
    };
    let agreed = [Report::DownloadDone, Report::RestartAgreed]
        .iter()
        .fold(Assignment::offered(), |a, report| fold(&a, report).next);
    let permitted = agreed.permit(1, target);
    let permitted = permitted.expect("a device that agreed a restart can be permitted");
    let reports = [
        Report::StepStarted {
            permit_no: 1,
            step: 1,
        },
        Report::Alive,
        Report::StepDone {
            step: 1,
            restart_needed: true,
        },
        Report::Restarted,
        Report::Verified {
            build: target,
            packages_installed: true,
        },
    ];
    c.bench_function("fold, five reports of one device", |b| {
        b.iter(|| {
            reports
                .iter()
                .fold(black_box(permitted), |a, report| fold(&a, report).next)
        });
    });
}

criterion_group!(rules, decisions, halts, admissions, folds);
criterion_main!(rules);
