use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;
use engine::approval::{Approval, Ask, Frozen, Request, RequestState};
use engine::evidence::Evidence;
use engine::gate::{Criterion, CriterionReport, GateReport, Verdict};
use engine::halt::{HaltCause, Stream};
use engine::ids::{CohortId, PersonId, RequestId, RolloutId, StageId};
use engine::policy::{Preset, preset};
use engine::rollout::{Actor, HaltReason, Scope};
use servicing::{Sequence, Sha256, known_sequences};

use super::*;
use crate::store::levels::{Group, Named, Pulled, Reach, Steps, Stop};
use crate::store::people::Account;
use crate::store::requests::Listed;
use crate::store::tracks::Track;
use crate::views::RolloutLine;
use crate::web::frame::main_of;

const KAI: Uuid = Uuid::from_u128(0xa);
const TRACK: Uuid = Uuid::from_u128(0x7);
const ROLLOUT: Uuid = Uuid::from_u128(0x100);
const RINGS: [(&str, u64); 3] = [("Test", 12), ("Pilot", 60), ("Broad", 1_840)];

fn ring(i: usize) -> Uuid {
    Uuid::from_u128(0x10 + u128::try_from(i).unwrap())
}

fn frame() -> Frame {
    Frame::sample(Nav::Overview, "Overview", "/overview")
}

fn good() -> Sequence {
    let known = known_sequences().iter();
    let good = known.map(|k| &k.sequence).find(|s| s.kb.get() == 5_086_672);
    good.unwrap().clone()
}

fn line(state: RolloutState) -> RolloutLine {
    let sequence = good();
    RolloutLine {
        id: ROLLOUT,
        track: TRACK,
        sequence: Uuid::from_u128(0x200),
        kb: Some(sequence.kb),
        title: Some("2026-03 OOB".to_owned()),
        digest: sequence.content_digest(),
        scope: Scope::Track,
        preset: Preset::Standard,
        author: PersonId(KAI),
        ticket: None,
        state: state.word(),
        state_detail: state,
        reasons: vec![engine::decide::Reason {
            code: "approval".to_owned(),
            sentence: "Broad opens with 2 approvals, 1 given so far.".to_owned(),
        }],
        version: 4,
        created_at: frame().now - TimeDelta::days(7),
    }
}

fn going(state: RolloutState, stages: &[StageState]) -> Going {
    let stage = |(i, state): (usize, &StageState)| StoredStage {
        id: StageId(ring(i)),
        ring_id: ring(i),
        ring_name: RINGS[i].0.to_owned(),
        ring_revision: 1,
        policy: preset(Preset::Standard, i, stages.len(), Tz::Europe__Berlin),
        state: state.clone(),
        report: None,
    };
    Going {
        line: line(state),
        stages: stages.iter().enumerate().map(stage).collect(),
        sequence: Some(Arc::new(good())),
    }
}

/// One track whose three rings have the devices of [`RINGS`]; `on` of each are on the latest build.
fn world(rollouts: Vec<Going>, on: [u64; 3]) -> World {
    let now = frame().now;
    let group = |i: usize, build: &str, n| Group {
        track: TRACK,
        ring: ring(i),
        product: servicing::Product::Client,
        series: servicing::Series::Standard,
        build: build.parse().unwrap(),
        n,
    };
    let fleet = (0..3).flat_map(|i| {
        [
            group(i, "26100.8117", on[i]),
            group(i, "26200.7840", RINGS[i].1 - on[i]),
        ]
    });
    let named = |i: usize| Named {
        id: ring(i),
        track: TRACK,
        name: RINGS[i].0.to_owned(),
    };
    World {
        now,
        tracks: vec![Track {
            id: TRACK,
            name: "Production".to_owned(),
            time_zone: Tz::Europe__Berlin,
        }],
        rings: (0..3).map(named).collect(),
        fleet: fleet.collect(),
        open: rollouts.len(),
        rollouts,
        standing: BTreeMap::new(),
        not_for: BTreeMap::new(),
        reach: BTreeMap::new(),
        requests: Vec::new(),
        due: Vec::new(),
        stopped: Vec::new(),
        pulled: Vec::new(),
        published: Vec::new(),
        people: vec![Account {
            id: KAI,
            name: "Kai Fischer".to_owned(),
            enabled: true,
            roles: Vec::new(),
        }],
        steps: Steps {
            rings: true,
            enrolment: true,
            key: true,
            sequence: true,
            rollout: true,
        },
    }
}

fn main(world: &World, decides: bool) -> String {
    main_of(&OverviewPage::of(world, frame(), Vec::new(), None, decides))
}

fn request(n: u128) -> Listed {
    let now = frame().now;
    let verdict = |criterion, verdict| CriterionReport {
        criterion,
        verdict,
        limit: String::new(),
        observed: String::new(),
        sample: None,
        bound: None,
        sentence: String::new(),
    };
    Listed {
        rollout: RolloutId(ROLLOUT),
        track: TRACK,
        ring: "Broad".to_owned(),
        request: Request {
            id: RequestId(Uuid::from_u128(n)),
            stage: StageId(ring(2)),
            ask: Ask::Open,
            requested_by: Actor::Engine,
            requested_at: now - TimeDelta::hours(2),
            needed: 2,
            frozen: Frozen {
                digest: Sha256::of(b""),
                policy: preset(Preset::Standard, 2, 3, Tz::UTC),
                ring_revision: 1,
                targeted: 1_840,
                gate: Some(GateReport {
                    verdict: Verdict::Inconclusive,
                    criteria: vec![
                        verdict(Criterion::Soak, Verdict::Pass),
                        verdict(Criterion::Sample, Verdict::Pass),
                        verdict(Criterion::Failures, Verdict::Inconclusive),
                        verdict(Criterion::OobeFailures, Verdict::Off),
                    ],
                }),
                policies: Vec::new(),
                evidence: Evidence::default(),
            },
            hash: Sha256::of(b""),
            approvals: vec![Approval {
                by: PersonId(KAI),
                at: now,
                alone: false,
            }],
            state: RequestState::Open,
        },
    }
}

fn passed() -> StageState {
    StageState::Passed {
        at: frame().now,
        overridden: false,
    }
}

#[test]
fn what_waits_for_someone_comes_first() {
    let waits = StageState::AwaitingApproval {
        request: RequestId(Uuid::from_u128(1)),
    };
    let mut world = world(
        vec![going(RolloutState::Active, &[passed(), passed(), waits])],
        [12, 58, 0],
    );
    world.requests = vec![request(1), request(2)];
    world.due = vec![Uuid::from_u128(1)];
    let states = [("failed", 1), ("lost", 1), ("succeeded", 58)];
    let states = states.map(|(word, n)| (word.to_owned(), n));
    world
        .standing
        .insert((ROLLOUT, ring(1)), BTreeMap::from(states));
    world.not_for.insert((ROLLOUT, ring(2)), 50);
    let reach = Reach {
        targeted: 60,
        ok: 55,
        elsewhere: 3,
    };
    world.reach.insert((ROLLOUT, ring(1)), reach);
    insta::assert_snapshot!(main(&world, true));
}

#[test]
fn a_halt_says_since_when_and_why() {
    let since = frame().now - TimeDelta::hours(6);
    let cause = HaltCause {
        stream: Stream::Failure,
        cohort: CohortId(30),
        name: "Latitude 7450".to_owned(),
        failures: 4,
        started: 4,
    };
    let halted = RolloutState::Halted {
        reason: HaltReason::Evidence { cause },
        since,
    };
    let soaks = StageState::Soaking {
        since,
        reread_at: None,
    };
    let stages = [passed(), soaks, StageState::Waiting];
    let mut world = world(vec![going(halted.clone(), &stages)], [12, 18, 0]);
    let stop = |by| Stop {
        rollout: RolloutId(ROLLOUT),
        at: since,
        by,
    };
    world.stopped = vec![
        world::Stopped {
            stop: stop(None),
            line: line(halted),
        },
        world::Stopped {
            stop: stop(Some(KAI)),
            line: line(RolloutState::Active),
        },
    ];
    world.pulled = vec![Pulled {
        sequence: Uuid::from_u128(0x300),
        kb: "KB5079391".to_owned(),
        at: since,
        by: Some(KAI),
        reason: "0x80073712 on 4 of 9 devices".to_owned(),
        replaced_by: Some("KB5086672".to_owned()),
    }];
    insta::assert_snapshot!(main(&world, false));
}

#[test]
fn a_fleet_that_is_done_is_quiet() {
    let at = frame().now;
    let done = going(
        RolloutState::Completed { at },
        &[passed(), passed(), passed()],
    );
    let mut world = world(vec![done], [12, 60, 1_840]);
    world.open = 0;
    insta::assert_snapshot!(main(&world, true));
}

#[test]
fn a_soak_and_a_start_are_coming_up() {
    let since = frame().now - TimeDelta::hours(6);
    let soaks = StageState::Soaking {
        since,
        reread_at: None,
    };
    let not_before = frame().now + TimeDelta::days(30);
    let mut later = going(
        RolloutState::Scheduled { not_before },
        &[StageState::Waiting],
    );
    later.line.id = Uuid::from_u128(0x101);
    let mut world = world(
        vec![later, going(RolloutState::Active, &[passed(), soaks])],
        [12, 18, 0],
    );
    world.requests = vec![request(1)];
    assert_eq!(world.front(TRACK).unwrap().line.id, ROLLOUT);
    let coming = ahead(&world, &frame());
    let lines: Vec<String> = coming
        .iter()
        .map(|a| format!("{}: {} {:?} {}", a.at.text(), a.words, a.ring, a.link.text))
        .collect();
    insta::assert_debug_snapshot!(lines);
}

#[test]
fn a_new_installation_is_led_through_its_first_steps() {
    let mut world = world(Vec::new(), [0; 3]);
    world.fleet.clear();
    world.tracks.clear();
    world.rings.clear();
    world.steps = Steps::default();
    insta::assert_snapshot!("nothing_yet", main(&world, true));
    world.steps.rings = true;
    world.steps.key = true;
    let page = OverviewPage::of(&world, frame(), Vec::new(), None, true);
    assert_eq!(page.steps_done(), 2);
    let next = page.steps.iter().position(|s| s.next);
    assert_eq!(next, Some(2));
}

#[test]
fn long_names_and_names_that_run_from_right_to_left_stay_in_their_place() {
    let mut world = world(
        vec![going(RolloutState::Active, &[StageState::Waiting])],
        [0; 3],
    );
    world.tracks[0].name = "x".repeat(200);
    world.rings[1].name = "\"مرحلة\" <b>".to_owned();
    let track = Choice::new(TRACK, world.tracks[0].name.clone(), true);
    let other = Choice::new(Uuid::nil(), "Lab", false);
    let name = world.tracks[0].name.clone();
    let page = OverviewPage::of(&world, frame(), vec![track, other], Some(&name), true);
    insta::assert_snapshot!(main_of(&page));
}

#[test]
fn someone_without_a_role_learns_what_is_missing() {
    insta::assert_snapshot!(main_of(&NobodyPage { frame: frame() }));
}
