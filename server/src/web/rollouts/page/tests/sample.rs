//! Rollouts to look at.

use std::collections::BTreeMap;

use chrono::Duration;
use engine::admission::WaitReason;
use engine::decide::{Input, Person, Reason, decide};
use engine::evidence::{Cohort, CohortKind, Counts, Evidence};
use engine::gate::TelemetryHealth;
use engine::halt::{HaltPolicy, boundary, watches};
use engine::ids::{CohortId, RingId, StageId, TrackId};
use engine::policy::{Growth, Limits, Percent, Preset, preset};
use engine::rollout::{Rollout, RolloutState, Scope};
use engine::stage::{Stage, StageState};
use servicing::{HResult, KbNumber, Sha256};

use super::super::*;
use crate::store::people::{Account, Role};
use crate::store::progress::{Happened, ModelTrouble, Moved, Trouble};
use crate::views::{AdmissionLine, CodeLine, RolloutLine, Ruling, StageLine};
use crate::web::frame::main_of;

pub const ANNA: Uuid = Uuid::from_u128(3);
pub const KAI: Uuid = Uuid::from_u128(1);

pub fn counts(started: u64, ok: u64, failed: u64, silent: u64) -> Counts {
    Counts {
        started,
        ok,
        failed,
        silent,
        resolved: ok + failed + silent,
        ..Counts::default()
    }
}

/// A ring: name, devices, counts, state.
pub type Ring<'a> = (&'a str, u64, Counts, StageState);

/// What is read of a rollout through these rings.
pub fn read(state: RolloutState, rings: &[Ring<'_>]) -> Read {
    let now = Frame::sample(Nav::Rollouts, "", "").now;
    let stages: Vec<Stage> = rings
        .iter()
        .enumerate()
        .map(|(i, (name, targeted, counts, state))| Stage {
            id: StageId(Uuid::from_u128(100 + i as u128)),
            ring: RingId(Uuid::from_u128(200 + i as u128)),
            name: (*name).to_owned(),
            policy: preset(Preset::Standard, i, rings.len(), chrono_tz::Tz::UTC),
            ring_revision: 1,
            state: state.clone(),
            counts: *counts,
            targeted: *targeted,
            not_ready: 0,
            held: Vec::new(),
            worst_severe: 0,
            oobe: None,
            telemetry: TelemetryHealth {
                ingest_running: true,
                heard: counts.started,
                of: counts.started,
            },
        })
        .collect();
    let mut all = Counts::default();
    for stage in &stages {
        all.started += stage.counts.started;
        all.ok += stage.counts.ok;
        all.failed += stage.counts.failed;
        all.silent += stage.counts.silent;
        all.resolved += stage.counts.resolved;
    }
    let evidence = Evidence {
        all,
        cohorts: BTreeMap::from([(
            CohortId(7),
            Cohort {
                kind: CohortKind::Model,
                value: "EliteBook 840 G9".to_owned(),
                counts: counts(all.started / 10, 0, all.failed.min(2), 0),
            },
        )]),
        silences: Vec::new(),
    };
    let snapshot = Snapshot {
        rollout: Rollout {
            id: RolloutId(Uuid::from_u128(10)),
            track: TrackId(Uuid::from_u128(11)),
            digest: Sha256::of(b"2026-04 B"),
            scope: Scope::Track,
            preset: Preset::Standard,
            author: PersonId(KAI),
            state,
            cleared: Vec::new(),
            halt: HaltPolicy::default(),
            version: 3,
        },
        stages,
        evidence,
        requests: Vec::new(),
        withdrawn: None,
        released_at: None,
        freeze: None,
        people: [ANNA, KAI]
            .map(|id| {
                let person = Person {
                    enabled: true,
                    approver: id == ANNA,
                    admin: false,
                };
                (PersonId(id), person)
            })
            .into(),
        service_now: now,
    };
    let decision = decide(&snapshot, Input::Tick, now).unwrap();
    let page = page_of(&snapshot, decision.reasons, decision.report.as_ref());
    Read {
        progress: progress_of(&snapshot),
        page,
        snapshot,
        track: tracks::Track {
            id: Uuid::from_u128(11),
            name: "Production".to_owned(),
            time_zone: chrono_tz::Tz::UTC,
        },
        names: [(ANNA, "Anna Novak"), (KAI, "Kai Fischer")]
            .map(|(id, name)| (PersonId(id), name.to_owned()))
            .into(),
    }
}

pub fn page_of(
    snapshot: &Snapshot,
    reasons: Vec<Reason>,
    report: Option<&(StageId, engine::gate::GateReport)>,
) -> RolloutPage {
    let rollout = &snapshot.rollout;
    let stages: Vec<StageLine> = snapshot
        .stages
        .iter()
        .map(|stage| StageLine {
            id: stage.id,
            ring: stage.ring.0,
            ring_name: stage.name.clone(),
            ring_revision: 1,
            state: stage.state.word(),
            state_detail: stage.state.clone(),
            policy: stage.policy,
            report: report
                .filter(|(id, _)| *id == stage.id)
                .map(|(_, report)| report.clone()),
            counts: stage.counts,
            population: BTreeMap::from([("targeted".to_owned(), stage.targeted)]),
            assignments: BTreeMap::new(),
        })
        .collect();
    let mut population = BTreeMap::new();
    let targeted: u64 = snapshot.stages.iter().map(|s| s.targeted).sum();
    if targeted > 0 {
        population.insert("targeted".to_owned(), targeted);
        population.insert("not_applicable:architecture".to_owned(), 63);
    }
    RolloutPage {
        line: RolloutLine {
            id: rollout.id.0,
            track: rollout.track.0,
            sequence: Uuid::from_u128(12),
            kb: KbNumber::new(5_086_672).ok(),
            title: Some("2026-03 OOB".to_owned()),
            digest: rollout.digest,
            scope: rollout.scope,
            preset: rollout.preset,
            author: rollout.author,
            ticket: None,
            state: rollout.state.word(),
            state_detail: rollout.state.clone(),
            reasons,
            version: 3,
            created_at: snapshot.service_now - Duration::days(6),
        },
        cleared: Vec::new(),
        stages,
        counts: snapshot.evidence.all,
        population,
        assignments: BTreeMap::new(),
        holds: Vec::new(),
        rollback: None,
        halt: Vec::new(),
        baselines: rollout.halt.clone(),
        codes: Vec::new(),
        requests: Vec::new(),
        expedited: None,
    }
}

pub fn progress_of(snapshot: &Snapshot) -> RolloutProgress {
    let policy = &snapshot.rollout.halt;
    let (all, nearest): (Vec<_>, Vec<_>) = watches(&snapshot.evidence, policy)
        .into_iter()
        .partition(|w| w.cohort == CohortId::ALL);
    let states = snapshot.stages.iter().map(|stage| {
        let c = stage.counts;
        let in_flight = c.started - c.resolved;
        let states = [
            ("succeeded", c.ok),
            ("failed", c.failed),
            ("lost", c.silent),
            ("installing", in_flight),
        ];
        let states = states.into_iter().filter(|(_, n)| *n > 0);
        let states = states.map(|(state, n)| (state.to_owned(), n)).collect();
        (stage.ring.0, states)
    });
    RolloutProgress {
        states: states.collect(),
        admission: None,
        boundary: boundary(600, policy),
        up_to: 600,
        all,
        nearest: nearest
            .into_iter()
            .take(1)
            .map(|w| (CohortKind::Model, w))
            .collect(),
        troubles: Vec::new(),
        decided: Vec::new(),
        moved: Vec::new(),
        supersedes: Vec::new(),
    }
}

pub fn caller(role: Role) -> Caller {
    Caller::sample(Account {
        id: ANNA,
        name: "Anna Novak".to_owned(),
        enabled: true,
        roles: vec![(role, None)],
    })
}

pub fn shown(read: &Read, role: Role) -> String {
    let frame = Frame::sample(Nav::Rollouts, "KB5086672, Production", "/rollouts/10");
    main_of(&Page::new(frame, read, &caller(role)))
}

pub fn passed() -> StageState {
    StageState::Passed {
        at: Frame::sample(Nav::Rollouts, "", "").now - Duration::days(2),
        overridden: false,
    }
}

/// In the middle: a ring passed, one deploys, one waits; something of everything.
pub fn middle() -> Read {
    let now = Frame::sample(Nav::Rollouts, "", "").now;
    let deploying = StageState::Deploying {
        since: now - Duration::hours(3),
    };
    let mut read = read(
        RolloutState::Active,
        &[
            ("Test", 12, counts(12, 12, 0, 0), passed()),
            ("Limited", 431, counts(60, 50, 3, 1), deploying),
            ("Broad", 1_840, Counts::default(), StageState::Waiting),
        ],
    );
    let code = HResult(0x8007_3712);
    read.page.codes = vec![
        CodeLine::new(code, 2),
        CodeLine::new(HResult(0xDEAD_BEEF), 1),
    ];
    let trouble = |model: &str, trouble, n| ModelTrouble {
        model: Some(model.to_owned()),
        trouble,
        n,
    };
    read.progress.troubles = vec![
        trouble("EliteBook 840 G9", Some(Trouble::Code(code)), 2),
        trouble("EliteBook 840 G9", None, 2),
        trouble("Latitude 5440", Some(Trouble::Lost), 1),
        trouble("Latitude 5440", None, 67),
    ];
    let wait = WaitReason::DevicesAtOnce { limit: 6 };
    read.progress.admission = Some(AdmissionLine {
        ring: "Limited".to_owned(),
        unresolved: 6,
        limits: Limits {
            devices_at_once: Some(6),
            percent_per_day: Some(Percent(40.0)),
            window: None,
        },
        per_day: Some(173),
        today: 60,
        ring_size: 431,
        started: 72,
        cap: 128,
        growth: Growth::Standard,
        cohorts: 19,
        full: 2,
        ruling: Ruling::Waits(wait),
    });
    read.progress.decided = vec![Happened {
        at: now - Duration::hours(3),
        event: Reason {
            code: "stage_opened".to_owned(),
            sentence: "Limited: approved and open.".to_owned(),
        },
        by: Some(ANNA),
    }];
    read.progress.moved = vec![Moved {
        id: Uuid::from_u128(77),
        host: "STR-840G9-004".to_owned(),
        state: "failed".to_owned(),
        step: 2,
        steps: 2,
        code: Some(code),
        at: now - Duration::minutes(9),
    }];
    read.progress.supersedes = vec![(
        RolloutId(Uuid::from_u128(9)),
        KbNumber::new(5_079_391).unwrap(),
    )];
    read
}
