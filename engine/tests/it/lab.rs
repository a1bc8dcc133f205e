//! A rollout on the bench: four rings, a few people, and hands that make devices succeed or fail.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use engine::approval::Request;
use engine::decide::{Decision, Input, Person, Refused, Snapshot, decide};
use engine::evidence::{Cohort, CohortKind, Counts, Evidence};
use engine::gate::{GateInput, GateReport, TelemetryHealth, evaluate};
use engine::halt::HaltPolicy;
use engine::hold::Held;
use engine::ids::{CohortId, PersonId, RequestId, RingId, RolloutId, StageId, TrackId};
use engine::policy::{Preset, preset};
use engine::rollout::{Rollout, RolloutState, Scope};
use engine::stage::{Stage, StageState};
use servicing::Sha256;
use uuid::Uuid;

pub const AUTHOR: PersonId = PersonId(Uuid::from_u128(1));
pub const ADMIN: PersonId = PersonId(Uuid::from_u128(2));
pub const ANN: PersonId = PersonId(Uuid::from_u128(3));
pub const BOB: PersonId = PersonId(Uuid::from_u128(4));
pub const VIEWER: PersonId = PersonId(Uuid::from_u128(5));

pub fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub struct Lab {
    pub snapshot: Snapshot,
}

impl Lab {
    /// Test 5, Pilot 20, Limited 100, Broad 500: the standard preset, a Tuesday morning.
    pub fn new() -> Self {
        Self::of(
            Preset::Standard,
            &[("Test", 5), ("Pilot", 20), ("Limited", 100), ("Broad", 500)],
        )
    }

    pub fn of(which: Preset, rings: &[(&str, u64)]) -> Self {
        let stages = rings
            .iter()
            .enumerate()
            .map(|(i, (name, targeted))| Stage {
                id: StageId(Uuid::from_u128(100 + i as u128)),
                ring: RingId(Uuid::from_u128(200 + i as u128)),
                name: (*name).to_owned(),
                policy: preset(which, i, rings.len(), Tz::UTC),
                ring_revision: 1,
                state: StageState::Waiting,
                counts: Counts::default(),
                targeted: *targeted,
                not_ready: 0,
                held: Vec::new(),
                worst_severe: 0,
                oobe: None,
                telemetry: TelemetryHealth {
                    ingest_running: true,
                    heard: 0,
                    of: 0,
                },
            })
            .collect();
        let person = |approver, admin| Person {
            enabled: true,
            approver,
            admin,
        };
        let snapshot = Snapshot {
            rollout: Rollout {
                id: RolloutId(Uuid::from_u128(10)),
                track: TrackId(Uuid::from_u128(11)),
                digest: Sha256::of(b"2026-04 B"),
                scope: Scope::Track,
                preset: which,
                author: AUTHOR,
                state: RolloutState::Draft,
                cleared: Vec::new(),
                halt: HaltPolicy::default(),
                version: 0,
            },
            stages,
            evidence: Evidence::default(),
            requests: Vec::new(),
            withdrawn: None,
            released_at: None,
            freeze: None,
            people: BTreeMap::from([
                (AUTHOR, person(true, false)),
                (ADMIN, person(true, true)),
                (ANN, person(true, false)),
                (BOB, person(true, false)),
                (VIEWER, person(false, false)),
            ]),
            service_now: at("2026-04-07T08:00:00Z"),
        };
        Self { snapshot }
    }

    /// A known issue holds devices of a ring.
    pub fn hold(&mut self, index: usize, issue: &str, devices: u64) {
        let issue = issue.to_owned();
        self.snapshot.stages[index].held = vec![Held { issue, devices }];
    }

    /// Submitted, and its first ring is open.
    pub fn started() -> Self {
        let mut lab = Self::new();
        lab.submit();
        lab.settle();
        lab
    }

    /// `passed` rings are passed; the next one waits for its approval, or is open where it needs none.
    pub fn with_passed(passed: usize) -> Self {
        let mut lab = Self::started();
        for stage in 0..passed {
            lab.let_pass(stage);
        }
        lab
    }

    pub fn submit(&mut self) {
        let _ = self
            .act(Input::Submit {
                by: AUTHOR,
                not_before: None,
            })
            .unwrap();
    }

    pub fn act(&mut self, input: Input) -> Result<Decision, Refused> {
        let decision = decide(&self.snapshot, input, self.snapshot.service_now)?;
        self.snapshot.apply(&decision);
        Ok(decision)
    }

    pub fn tick(&mut self) -> Decision {
        self.act(Input::Tick).unwrap()
    }

    /// Ticks until nothing changes, as the driver does; the events in order.
    pub fn settle(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.tick().event {
            events.push(event.code);
            assert!(events.len() < 50, "no end: {events:?}");
        }
        events
    }

    pub fn wait(&mut self, hours: i64) -> &mut Self {
        self.snapshot.service_now += Duration::hours(hours);
        self
    }

    fn count(&mut self, stage: usize, change: impl Fn(&mut Counts)) -> &mut Self {
        change(&mut self.snapshot.stages[stage].counts);
        change(&mut self.snapshot.evidence.all);
        let started = self.snapshot.stages[stage].counts.started;
        let health = &mut self.snapshot.stages[stage].telemetry;
        (health.heard, health.of) = (started, started);
        self
    }

    pub fn permit(&mut self, stage: usize, n: u64) -> &mut Self {
        self.count(stage, |c| c.started += n)
    }

    pub fn succeed(&mut self, stage: usize, n: u64) -> &mut Self {
        self.count(stage, |c| {
            c.started += n;
            c.ok += n;
            c.resolved += n;
        })
    }

    pub fn fail(&mut self, stage: usize, n: u64) -> &mut Self {
        self.count(stage, |c| {
            c.started += n;
            c.failed += n;
            c.resolved += n;
        })
    }

    pub fn lose(&mut self, stage: usize, n: u64) -> &mut Self {
        self.count(stage, |c| {
            c.started += n;
            c.silent += n;
            c.resolved += n;
        })
    }

    /// Devices that were fine got worse during the soak.
    pub fn regress(&mut self, stage: usize, n: u64) -> &mut Self {
        self.count(stage, |c| {
            c.ok -= n;
            c.failed += n;
        })
    }

    pub fn drift(&mut self, stage: usize, n: u64) -> &mut Self {
        self.count(stage, |c| c.drift += n)
    }

    /// Every device of an open ring succeeds, and its soak goes by; approvals for it are given first.
    pub fn let_pass(&mut self, stage: usize) {
        self.settle();
        self.approve_all();
        let left =
            self.snapshot.stages[stage].targeted - self.snapshot.stages[stage].counts.started;
        self.succeed(stage, left);
        self.settle();
        // Over any weekend.
        self.wait(24 * 7);
        self.settle();
        assert!(
            matches!(self.state(stage), StageState::Passed { .. }),
            "{:?}",
            self.why()
        );
    }

    pub fn approve_all(&mut self) {
        for by in [ANN, BOB] {
            if let Some(request) = self.open_request() {
                let (request, hash) = (request.id, request.hash);
                let _ = self.act(Input::Approve { by, request, hash }).unwrap();
            }
        }
    }

    pub fn open_request(&self) -> Option<&Request> {
        self.snapshot.requests.iter().find(|r| r.is_open())
    }

    pub fn approve(&mut self, by: PersonId) -> Result<Decision, Refused> {
        let request = self.open_request().expect("an open request");
        let (request, hash) = (request.id, request.hash);
        self.act(Input::Approve { by, request, hash })
    }

    pub fn request(&self, id: RequestId) -> &Request {
        self.snapshot.requests.iter().find(|r| r.id == id).unwrap()
    }

    pub fn state(&self, stage: usize) -> &StageState {
        &self.snapshot.stages[stage].state
    }

    pub fn is_open(&self, stage: usize) -> bool {
        matches!(
            self.state(stage),
            StageState::Deploying { .. } | StageState::Soaking { .. }
        )
    }

    pub fn gate(&self, stage: usize) -> GateReport {
        let s = &self.snapshot;
        let assessment = s.assess();
        let input = GateInput {
            snapshot: s,
            index: stage,
            assessment: &assessment,
        };
        evaluate(&input, s.service_now)
    }

    /// The reasons, one a line.
    pub fn why(&self) -> String {
        let decision = decide(&self.snapshot, Input::Tick, self.snapshot.service_now).unwrap();
        decision
            .reasons
            .iter()
            .map(|r| format!("{}: {}", r.code, r.sentence))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Evidence of cohorts: kind, value, started, failed; the ring is what is given for all devices.
pub fn evidence(all: Counts, cohorts: &[(CohortKind, &str, Counts)]) -> Evidence {
    let cohorts = cohorts
        .iter()
        .enumerate()
        .map(|(i, (kind, value, counts))| {
            let id = CohortId(i16::try_from(i + 1).unwrap());
            (
                id,
                Cohort {
                    kind: *kind,
                    value: (*value).to_owned(),
                    counts: *counts,
                },
            )
        })
        .collect();
    Evidence {
        all,
        cohorts,
        silences: Vec::new(),
    }
}

/// So many started devices, of which some failed and the rest are OK.
pub fn counts(started: u64, failed: u64) -> Counts {
    Counts {
        started,
        failed,
        ok: started - failed,
        resolved: started,
        ..Counts::default()
    }
}
