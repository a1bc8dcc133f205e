//! One request in every state that a page can show.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use engine::Snapshot;
use engine::approval::{Approval, Ask, Request, RequestState, VoidReason, review};
use engine::decide::Person;
use engine::evidence::{Counts, Evidence};
use engine::gate::{Criterion, CriterionReport, GateReport, TelemetryHealth, Verdict};
use engine::halt::HaltPolicy;
use engine::ids::{PersonId, RequestId, RingId, StageId, TrackId};
use engine::policy::{Limits, Percent, Preset, preset};
use engine::rollout::{Actor, Rollout, RolloutState, Scope};
use engine::stage::{Stage, StageState};
use servicing::{KnownIssue, Sequence};
use uuid::Uuid;

use super::asked::Asked;
use super::page::{ApprovalPage, Typed};
use super::voters::Reader;
use super::words::tests::{ADA, ANNA, KAI, MARY, names, request};
use crate::store::tracks::Track;
use crate::views::{CodeLine, RequestLine, RolloutLine, RolloutPage, StageLine};
use crate::web::form::Mistakes;
use crate::web::frame::{Frame, Nav, main_of};

const ZONE: chrono_tz::Tz = chrono_tz::Tz::Europe__Berlin;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_775_542_327, 0).unwrap()
}

fn counts(started: u64, ok: u64, failed: u64) -> Counts {
    Counts {
        started,
        ok,
        failed,
        resolved: ok + failed,
        ..Counts::default()
    }
}

fn stage(id: u128, name: &str, place: usize, state: StageState, counts: Counts) -> Stage {
    Stage {
        id: StageId(Uuid::from_u128(id)),
        ring: RingId(Uuid::from_u128(id + 100)),
        name: name.to_owned(),
        policy: preset(Preset::Standard, place, 4, ZONE),
        ring_revision: 4,
        state,
        counts,
        targeted: if place == 3 { 1840 } else { 424 },
        not_ready: 0,
        held: Vec::new(),
        worst_severe: 0,
        oobe: None,
        telemetry: TelemetryHealth {
            ingest_running: true,
            heard: counts.started,
            of: counts.started,
        },
    }
}

fn line(stage: &Stage) -> StageLine {
    StageLine {
        id: stage.id,
        ring: stage.ring.0,
        ring_name: stage.name.clone(),
        ring_revision: 4,
        state: stage.state.word(),
        state_detail: stage.state.clone(),
        policy: stage.policy,
        report: None,
        counts: stage.counts,
        population: [
            ("targeted", stage.targeted),
            ("complete", 12),
            ("not_applicable:architecture", 31),
        ]
        .map(|(class, n)| (class.to_owned(), n))
        .into(),
        assignments: BTreeMap::new(),
    }
}

/// A gate with one line that does not hold, if so.
fn gate(verdict: Verdict) -> GateReport {
    let line = |criterion, verdict, limit: &str, observed: &str, sentence: &str| CriterionReport {
        criterion,
        verdict,
        limit: limit.to_owned(),
        observed: observed.to_owned(),
        sample: Some(424),
        bound: (criterion == Criterion::Failures).then_some(0.048),
        sentence: sentence.to_owned(),
    };
    GateReport {
        verdict,
        criteria: vec![
            line(
                Criterion::NotHalted,
                Verdict::Pass,
                "none",
                "none",
                "No halt, no brake, not withdrawn.",
            ),
            line(
                Criterion::Failures,
                verdict,
                "at most 5 %",
                "10 of 424 (2.4 %)",
                "10 failures among 424 devices show at most 4.8 %.",
            ),
            line(
                Criterion::OobeFailures,
                Verdict::Off,
                "–",
                "–",
                "No OOBE attempt on a machine that has the sequence.",
            ),
            line(
                Criterion::Drift,
                Verdict::Pass,
                "none",
                "0",
                "No device installed out of order.",
            ),
        ],
    }
}

/// Limited has passed and Broad waits for two approvals; Mary gave one.
struct Lab {
    line: RequestLine,
    snapshot: Snapshot,
}

impl Lab {
    fn new(state: RequestState) -> Self {
        let limited = StageState::Passed {
            at: now(),
            overridden: false,
        };
        let awaiting = StageState::AwaitingApproval {
            request: RequestId(Uuid::from_u128(118)),
        };
        let mut line = request(state);
        line.frozen.gate = Some(gate(Verdict::Pass));
        line.hash = line.frozen.hash();
        let may = |approver, admin| Person {
            enabled: true,
            approver,
            admin,
        };
        let snapshot = Snapshot {
            rollout: Rollout {
                id: line.rollout,
                track: TrackId(line.track),
                digest: line.frozen.digest,
                scope: Scope::Track,
                preset: Preset::Standard,
                author: KAI,
                state: RolloutState::Active,
                cleared: Vec::new(),
                halt: HaltPolicy::default(),
                version: 9,
            },
            stages: vec![
                stage(6, "Limited", 2, limited, counts(424, 411, 2)),
                stage(8, "Broad", 3, awaiting, Counts::default()),
            ],
            evidence: line.frozen.evidence.clone(),
            requests: Vec::new(),
            withdrawn: None,
            released_at: None,
            freeze: None,
            people: [
                (ANNA, may(true, false)),
                (MARY, may(true, false)),
                (KAI, may(false, false)),
                (ADA, may(false, true)),
            ]
            .into(),
            service_now: now(),
        };
        Self { line, snapshot }
    }

    /// The same question about the gate of Limited, which does not hold.
    fn override_asked() -> Self {
        let mut lab = Self::new(RequestState::Open);
        lab.line.ask = Ask::Override {
            reason: "two devices are in repair".to_owned(),
        };
        lab.line.requested_by = Actor::Person(ADA);
        lab.line.stage = StageId(Uuid::from_u128(6));
        lab.line.ring_name = "Limited".to_owned();
        lab.line.needed = 1;
        lab.line.approvals.clear();
        lab.snapshot.stages[0].state = StageState::Soaking {
            since: now() - Duration::days(4),
            reread_at: None,
        };
        lab.snapshot.stages[1].state = StageState::Waiting;
        lab.line.frozen.policy = lab.snapshot.stages[0].policy;
        lab.line.frozen.targeted = 424;
        lab.line.frozen.gate = Some(gate(Verdict::Inconclusive));
        lab
    }

    fn request(&self) -> Request {
        let line = &self.line;
        Request {
            id: line.id,
            stage: line.stage,
            ask: line.ask.clone(),
            requested_by: line.requested_by,
            requested_at: line.requested_at,
            needed: line.needed,
            frozen: line.frozen.clone(),
            hash: line.hash,
            approvals: line.approvals.clone(),
            state: line.state_detail.clone(),
        }
    }

    fn sequence() -> Sequence {
        Sequence {
            kb: "KB5086672".parse().unwrap(),
            title: "2026-03 Cumulative Update".to_owned(),
            kind: servicing::Kind::OutOfBand,
            label: "2026-03 OOB".to_owned(),
            release_date: None,
            supersedes: Vec::new(),
            known_issues: vec![KnownIssue {
                id: "efi".to_owned(),
                text: "A small EFI partition: 40 MB have to be free.".to_owned(),
            }],
            variants: Vec::new(),
        }
    }

    fn page_for(self, person: PersonId, decides: bool, stepped_up: bool) -> ApprovalPage {
        self.page(
            person,
            decides,
            stepped_up,
            Typed::default(),
            Mistakes::none(),
        )
    }

    fn page(
        self,
        person: PersonId,
        decides: bool,
        stepped_up: bool,
        typed: Typed,
        mistakes: Mistakes,
    ) -> ApprovalPage {
        let request = self.request();
        let stages = self.snapshot.stages.iter().map(line).collect();
        let rollout = &self.snapshot.rollout;
        let asked = Asked {
            review: review(&self.snapshot, &request),
            rollout: RolloutPage {
                line: RolloutLine {
                    id: rollout.id.0,
                    track: rollout.track.0,
                    sequence: Uuid::nil(),
                    kb: Some("KB5086672".parse().unwrap()),
                    title: Some("2026-03 Cumulative Update".to_owned()),
                    digest: rollout.digest,
                    scope: Scope::Track,
                    preset: Preset::Standard,
                    author: rollout.author,
                    ticket: None,
                    state: "active",
                    state_detail: RolloutState::Active,
                    reasons: Vec::new(),
                    version: 9,
                    created_at: now(),
                },
                cleared: Vec::new(),
                stages,
                counts: self.snapshot.evidence.all,
                population: BTreeMap::new(),
                assignments: [("succeeded".to_owned(), 480)].into(),
                holds: Vec::new(),
                rollback: None,
                halt: Vec::new(),
                baselines: rollout.halt.clone(),
                codes: vec![CodeLine {
                    code: "0x80073712".parse().unwrap(),
                    devices: 3,
                    name: None,
                    class: None,
                    meaning: Some("The component store is damaged."),
                    remedy: None,
                }],
                requests: Vec::new(),
                expedited: None,
            },
            names: names(),
            track: Track {
                id: self.line.track,
                name: "Production".to_owned(),
                time_zone: ZONE,
            },
            sequence: Some(Arc::new(Self::sequence())),
            ended_at: Some(now()),
            line: self.line,
            snapshot: self.snapshot,
        };
        let mut frame = Frame::sample(Nav::Approvals, "Open Broad?", "/approvals/118");
        frame.stepped_up = stepped_up;
        let reader = Reader { person, decides };
        ApprovalPage::new(&asked, &reader, frame, typed, mistakes)
    }
}

#[test]
fn the_second_of_two_sees_what_got_worse_and_is_asked_for_the_password() {
    let mut lab = Lab::new(RequestState::Open);
    lab.snapshot.evidence.all = counts(497, 484, 5);
    lab.snapshot.stages[1].targeted = 1851;
    lab.line.frozen.policy.limits = Limits {
        devices_at_once: Some(200),
        percent_per_day: Some(Percent(25.0)),
        window: Some("Mon-Fri 22:00-05:00".parse().unwrap()),
    };
    lab.snapshot.stages[1].policy = lab.line.frozen.policy;
    insta::assert_snapshot!(main_of(&lab.page_for(ANNA, true, false)));
}

#[test]
fn an_override_says_what_it_passes_and_wants_every_line_seen() {
    let mut mistakes = Mistakes::none();
    mistakes.add("failures", "a tick: say that you have seen it");
    let page = Lab::override_asked().page(ANNA, true, true, Typed::default(), mistakes);
    insta::assert_snapshot!(main_of(&page));
}

#[test]
fn a_request_that_would_be_void_now_takes_no_decision() {
    let mut lab = Lab::new(RequestState::Open);
    lab.snapshot.stages[1].ring_revision = 5;
    let page = main_of(&lab.page_for(ANNA, true, true));
    assert!(
        page.contains("The ring&#39;s definition changed."),
        "{page}"
    );
    assert!(!page.contains("/approve\"") && !page.contains("/reject\""));
    assert!(page.contains("<button class=\"btn\" disabled"));
}

#[test]
fn a_reason_that_is_missing_is_asked_for_beside_its_field() {
    let mut mistakes = Mistakes::none();
    mistakes.add("reason", "a reason of 1 to 1,000 characters");
    let typed = Typed {
        reason: "<script>".to_owned(),
        ..Typed::default()
    };
    let page = main_of(&Lab::new(RequestState::Open).page(ANNA, true, true, typed, mistakes));
    assert!(page.contains("aria-invalid=\"true\""));
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script>"));
}

#[test]
fn everybody_is_told_whether_they_can_decide_and_why_not() {
    let no_vote = |person, decides| {
        let page = main_of(&Lab::new(RequestState::Open).page_for(person, decides, true));
        assert!(!page.contains("/approve\""), "{person}");
        let (_, why) = page.split_once("id=\"why-not\">").unwrap();
        (
            why.split_once('<').unwrap().0.to_owned(),
            page.contains("/reject\""),
        )
    };
    let (why, rejects) = no_vote(KAI, false);
    assert!(why.starts_with("Four eyes: you wrote this rollout") && !rejects);
    let (why, rejects) = no_vote(ADA, true);
    assert!(why.contains("the role approver") && rejects);
    let (why, rejects) = no_vote(MARY, true);
    assert!(why.contains("approved this already") && rejects);
}

#[test]
fn the_only_admin_is_told_about_the_four_hours() {
    let mut lab = Lab::new(RequestState::Open);
    lab.line.approvals.clear();
    for id in [ANNA, MARY] {
        lab.snapshot.people.get_mut(&id).unwrap().enabled = false;
    }
    let page = main_of(&lab.page_for(ADA, true, true));
    assert!(
        page.contains("Your yes counts four hours later, about 12:12"),
        "{page}"
    );
    assert!(page.contains("Disabled people do not decide."));
}

#[test]
fn a_yes_that_was_given_alone_says_when_it_counts() {
    let mut lab = Lab::new(RequestState::Open);
    for id in [ANNA, MARY] {
        lab.snapshot.people.get_mut(&id).unwrap().enabled = false;
    }
    lab.line.approvals = vec![Approval {
        by: ADA,
        at: now(),
        alone: true,
    }];
    lab.line.effective_at = Some(now() + Duration::hours(4));
    let page = main_of(&lab.page_for(ADA, true, true));
    assert!(
        page.contains("The only one who could: it counts at 12:12."),
        "{page}"
    );
}

#[test]
fn before_the_first_ring_there_is_no_gate() {
    let mut lab = Lab::new(RequestState::Open);
    lab.snapshot.stages.remove(0);
    lab.line.frozen.gate = None;
    lab.line.frozen.evidence = Evidence::default();
    lab.snapshot.evidence = Evidence::default();
    let page = main_of(&lab.page_for(ANNA, true, true));
    assert!(page.contains("No gate before the first ring"));
}

#[test]
fn a_decided_request_says_how_it_ended_and_takes_no_more_votes() {
    insta::assert_snapshot!(main_of(
        &Lab::new(RequestState::Approved).page_for(KAI, false, false)
    ));
    for state in [
        RequestState::Rejected {
            by: ANNA,
            reason: "not this week".to_owned(),
        },
        RequestState::Void {
            reason: VoidReason::RingGrew,
        },
        RequestState::Expired,
    ] {
        let page = main_of(&Lab::new(state).page_for(ANNA, true, true));
        assert!(page.contains("Who decided") && !page.contains("<form"));
    }
}
