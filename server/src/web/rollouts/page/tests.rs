use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use engine::admission::WaitReason;
use engine::approval::{Ask, Frozen, Request, RequestState};
use engine::decide::{Input, Person, Reason, decide};
use engine::evidence::{Cohort, CohortKind, Counts, Evidence};
use engine::gate::TelemetryHealth;
use engine::halt::{HaltCause, HaltPolicy, Stream, boundary, watches};
use engine::ids::{CohortId, RequestId, RingId, StageId, TrackId};
use engine::policy::{Growth, Limits, Percent, Preset, preset};
use engine::rollout::{Actor, HaltReason, Rollout, RolloutState, Scope};
use engine::stage::{Stage, StageState};
use servicing::{HResult, KbNumber, Sha256};

use super::*;
use crate::store::people::{Account, Role};
use crate::store::progress::{Happened, ModelTrouble, Moved, Trouble};
use crate::store::requests::Listed;
use crate::views::{AdmissionLine, CodeLine, RequestLine, RolloutLine, Ruling, StageLine};
use crate::web::frame::main_of;

const ANNA: Uuid = Uuid::from_u128(3);
const KAI: Uuid = Uuid::from_u128(1);

fn counts(started: u64, ok: u64, failed: u64, silent: u64) -> Counts {
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
type Ring<'a> = (&'a str, u64, Counts, StageState);

/// What is read of a rollout through these rings.
fn read(state: RolloutState, rings: &[Ring<'_>]) -> Read {
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
            version: 3,
        },
        stages,
        evidence,
        requests: Vec::new(),
        withdrawn: None,
        released_at: None,
        blocking_issues: Vec::new(),
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

fn page_of(
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
        halt: Vec::new(),
        codes: Vec::new(),
        requests: Vec::new(),
    }
}

fn progress_of(snapshot: &Snapshot) -> RolloutProgress {
    let policy = HaltPolicy::default();
    let (all, nearest): (Vec<_>, Vec<_>) = watches(&snapshot.evidence, &policy)
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
        boundary: boundary(600, &policy),
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

fn caller(role: Role) -> Caller {
    Caller::sample(Account {
        id: ANNA,
        name: "Anna Novak".to_owned(),
        enabled: true,
        roles: vec![(role, None)],
    })
}

fn shown(read: &Read, role: Role) -> String {
    let frame = Frame::sample(Nav::Rollouts, "KB5086672, Production", "/rollouts/10");
    main_of(&Page::new(frame, read, &caller(role)))
}

fn passed() -> StageState {
    StageState::Passed {
        at: Frame::sample(Nav::Rollouts, "", "").now - Duration::days(2),
        overridden: false,
    }
}

/// In the middle: a ring passed, one deploys, one waits; something of everything.
fn middle() -> Read {
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

#[test]
fn in_the_middle_it_says_where_it_is_and_why_it_waits() {
    insta::assert_snapshot!(shown(&middle(), Role::Operator));
}

#[test]
fn who_may_only_read_sees_what_is_possible_and_why_not_for_them() {
    let html = shown(&middle(), Role::Viewer);
    let (_, acts) = html.split_once("<div class=\"acts-c\">").unwrap();
    let (acts, _) = acts.split_once("<div class=\"stack\">").unwrap();
    insta::assert_snapshot!(acts);
}

#[test]
fn an_open_request_is_what_is_asked() {
    let mut read = middle();
    let stage = &read.snapshot.stages[2];
    let frozen = Frozen {
        digest: read.snapshot.rollout.digest,
        policy: stage.policy,
        ring_revision: 1,
        targeted: stage.targeted,
        gate: None,
        evidence: Evidence::default(),
    };
    let request = Request {
        id: RequestId(Uuid::from_u128(55)),
        stage: stage.id,
        ask: Ask::Open,
        requested_by: Actor::Engine,
        requested_at: read.snapshot.service_now,
        needed: 2,
        hash: frozen.hash(),
        frozen,
        approvals: Vec::new(),
        state: RequestState::Open,
    };
    read.page.requests = vec![RequestLine::from(Listed {
        rollout: read.snapshot.rollout.id,
        track: read.track.id,
        ring: "Broad".to_owned(),
        request: request.clone(),
    })];
    read.snapshot.requests = vec![request];
    let html = shown(&read, Role::Approver);
    let primary = html.matches("btn primary").count();
    assert_eq!(primary, 1);
    assert!(html.contains("<a class=\"btn primary\" href=\"/approvals/00000000-0000-0000-0000-000000000037\">Review request</a>"));
    assert!(html.contains("0 of 2 said yes. It expires Tue 14 Apr 08:12."));
}

#[test]
fn a_draft_without_rings_says_what_to_do_first() {
    insta::assert_snapshot!(shown(&read(RolloutState::Draft, &[]), Role::Operator));
}

#[test]
fn a_halted_one_names_who_was_harmed_and_what_clears_it() {
    let mut read = middle();
    read.page.line.state_detail = RolloutState::Halted {
        reason: HaltReason::Evidence {
            cause: HaltCause {
                stream: Stream::Failure,
                cohort: CohortId(7),
                name: "EliteBook 840 G9".to_owned(),
                failures: 3,
                started: 4,
            },
        },
        since: read.snapshot.service_now - Duration::hours(1),
    };
    read.snapshot.rollout.state = read.page.line.state_detail.clone();
    let anna = read.snapshot.people.get_mut(&PersonId(ANNA)).unwrap();
    anna.admin = true;
    let html = shown(&read, Role::Admin);
    let (_, notice) = html.split_once("<div class=\"notice bad\">").unwrap();
    let (notice, _) = notice.split_once("<div class=\"stack\">").unwrap();
    insta::assert_snapshot!(notice);
    assert!(html.contains("/rollouts/00000000-0000-0000-0000-00000000000a/clear-halt"));
}

#[test]
fn every_state_has_its_page() {
    let since = Frame::sample(Nav::Rollouts, "", "").now;
    let reason = || "month end".to_owned();
    let states = [
        RolloutState::Scheduled { not_before: since },
        RolloutState::Paused {
            by: PersonId(ANNA),
            reason: reason(),
            since,
        },
        RolloutState::Completed { at: since },
        RolloutState::Cancelled { reason: reason() },
        RolloutState::Superseded {
            by: RolloutId(Uuid::from_u128(12)),
        },
        RolloutState::Withdrawn { reason: reason() },
    ];
    let mut notices = BTreeSet::new();
    for state in states {
        let mut read = middle();
        read.page.line.state_detail = state.clone();
        read.snapshot.rollout.state = state;
        let html = shown(&read, Role::Admin);
        if let Some((_, notice)) = html.split_once("<div class=\"notice ") {
            notices.insert(notice.split("</div></div>").next().unwrap().to_owned());
        }
    }
    insta::assert_snapshot!(notices.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_worst_case_stays_inside() {
    let long = "Ж".repeat(200);
    let state = StageState::Soaking {
        since: Frame::sample(Nav::Rollouts, "", "").now,
        reread_at: None,
    };
    let rings: Vec<Ring<'_>> = (0..16)
        .map(|_| {
            let counts = counts(9_000_000, 8_000_000, 20_000, 900_000);
            (long.as_str(), 10_000_000, counts, state.clone())
        })
        .collect();
    let mut read = read(RolloutState::Active, &rings);
    read.progress.troubles = (0..3_000_u32)
        .map(|i| ModelTrouble {
            model: Some(format!("<script>alert({i})</script>")),
            trouble: Some(Trouble::Code(HResult(0x8000_0000 + i % 40))),
            n: 1_000,
        })
        .collect();
    let html = shown(&read, Role::Admin);
    assert!(!html.contains("<script>"));
    let (_, map) = html.split_once("<table class=\"heat\">").unwrap();
    let (map, _) = map.split_once("</table>").unwrap();
    // Three of its own, eleven codes and the others; twenty models and the others.
    assert_eq!(map.matches("<th scope=\"col\"").count(), 3 + 12);
    assert_eq!(map.matches("<th scope=\"row\"").count(), 20 + 1);
    assert!(map.contains("2,980 other models"));
}
