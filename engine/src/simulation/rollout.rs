//! A rollout from its first ring to its last, on the rules that open rings and pass gates.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Duration, Offset, Utc};
use chrono_tz::Tz;
use servicing::Sha256;
use uuid::Uuid;

use super::field::{Field, Terms};
use super::{Dice, Fault, Habits, Minute};
use crate::approval::Request;
use crate::decide::{Decision, Person, Snapshot, decide};
use crate::evidence::{Counts, Evidence};
use crate::gate::{Criterion, TelemetryHealth, working_end};
use crate::halt::HaltPolicy;
use crate::hold::Held;
use crate::ids::{CohortId, PersonId, RingId, RolloutId, StageId, TrackId};
use crate::policy::{Limits, Preset, StagePolicy, WeekMinute};
use crate::rollout::{Rollout, RolloutState, Scope};
use crate::stage::{Stage, StageState};
use crate::{Input, Refused};

/// Minutes between two looks at the gates while reports come in. A server looks sooner.
const LOOK_EVERY: Minute = 15;

/// Minutes between two looks while only time passes.
const GLANCE_EVERY: Minute = 60;

/// Devices of a ring that are played one by one. The time in which more than that double is added.
pub const MOST_DEVICES: u32 = 10_000;

/// Whoever writes the rollout, and those who may approve it: more than any policy asks for.
const PEOPLE: u128 = 8;

/// A rollout to be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// When it starts.
    pub starts: DateTime<Utc>,
    /// When the update was released, where that is known.
    pub released_at: Option<DateTime<Utc>>,
    /// Its rings, the first one first. One without devices never passes, as in a real rollout.
    pub rings: Vec<PlannedRing>,
    /// What is known before, with every cohort.
    pub evidence: Evidence,
    /// Baselines of the halt test.
    pub halt: HaltPolicy,
    /// What devices do.
    pub habits: Habits,
    /// What is wrong with the update; none: it is good.
    pub fault: Option<Fault>,
    /// Hours of working days until everybody who is asked has approved.
    pub approval_hours: u32,
    /// Change freezes, from and to: nothing starts in them.
    pub freezes: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// When it is given up, minutes.
    pub patience: Minute,
}

/// One ring of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRing {
    /// What its gate asks for, and its admission.
    pub policy: StagePolicy,
    /// Devices that the update is for.
    pub devices: u32,
    /// Cohorts of some of them, or of all: the ring is made of devices like these.
    pub sample: Vec<Vec<CohortId>>,
    /// Known issues that hold some of them, and until when.
    pub held: Vec<(Held, DateTime<Utc>)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// Its rings.
    pub rings: Vec<Passage>,
    /// How it ended.
    pub end: End,
    /// When, minutes.
    pub ended_at: Minute,
    /// Devices that started, and those of them that the update harms, whether it shows by now or not.
    pub started: u64,
    /// See `started`.
    pub harmed: u64,
}

/// How a ring was passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passage {
    /// When it opened, minutes; none: it did not.
    pub opened_at: Option<Minute>,
    /// When its gate passed, minutes; none: it did not.
    pub passed_at: Option<Minute>,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every ring passed.
    Completed,
    /// The evidence halted it.
    Halted,
    /// A gate can not pass by itself any more: a person has to decide.
    NeedsPerson,
    /// Patience was over.
    GivenUp,
}

/// Plays a rollout until it is complete, halted, or waits for a person.
///
/// # Errors
/// When the rules refuse it from the start: it has no ring, or a policy outside its ranges.
pub fn roll_out<D: Dice>(plan: &Plan, dice: &mut D) -> Result<Played, Refused> {
    let mut play = Play::new(plan, dice)?;
    let mut now = 0;
    while now < plan.patience {
        play.field.pass(now, dice);
        if play.field.is_served(now) {
            if play.next_look(now) == now {
                play.look(now);
            }
            play.ask(now, dice);
        }
        if let Some(end) = play.end {
            return Ok(play.played(end, now));
        }
        let next = play.field.next(now).unwrap_or(plan.patience);
        now = next.min(play.next_look(now + 1));
    }
    Ok(play.played(End::GivenUp, plan.patience))
}

struct Play<'a> {
    plan: &'a Plan,
    field: Field,
    snapshot: Snapshot,
    /// How often the evidence had changed when it was read last.
    read: Option<u64>,
    passages: Vec<Passage>,
    /// Minutes by which rings are later than they were played, because they are larger.
    later: Vec<Minute>,
    /// When a quarter of the devices of a ring had started, and half of them.
    doubling: Vec<(Option<Minute>, Option<Minute>)>,
    end: Option<End>,
}

impl<'a> Play<'a> {
    fn new<D: Dice>(plan: &'a Plan, dice: &mut D) -> Result<Self, Refused> {
        let sizes: Vec<u32> = plan.rings.iter().map(PlannedRing::played).collect();
        let field = Field::new(
            (plan.habits, plan.fault),
            (plan.evidence.clone(), plan.halt.clone()),
            &sizes,
            |ring, place, dice| plan.rings[ring].draw(place, dice),
            dice,
        );
        let mut play = Self {
            plan,
            field,
            snapshot: snapshot(plan),
            read: None,
            passages: vec![Passage::default(); sizes.len()],
            later: vec![0; sizes.len()],
            doubling: vec![(None, None); sizes.len()],
            end: None,
        };
        let submit = Input::Submit {
            by: person(0),
            not_before: None,
        };
        let decision = decide(&play.snapshot, submit, plan.starts)?;
        play.snapshot.apply(&decision);
        Ok(play)
    }

    /// When the gates are looked at next, from this minute on.
    fn next_look(&self, from: Minute) -> Minute {
        let is_news = self.read != Some(self.field.changes());
        from.next_multiple_of(if is_news { LOOK_EVERY } else { GLANCE_EVERY })
    }

    /// Lets the rules move the rollout as far as it goes, and people approve what waits for them.
    fn look(&mut self, now: Minute) {
        self.snapshot.service_now = self.at(now);
        self.read(now);
        loop {
            let Ok(decision) = self.decide(Input::Tick) else {
                return;
            };
            if decision.changed() {
                self.follow(&decision, now);
                continue;
            }
            // What the tick left open still stands; a yes that comes too early all the same is said again later.
            match self.approval().map(|yes| self.decide(yes)) {
                Some(Ok(approved)) => self.follow(&approved, now),
                _ => {
                    self.end = self.end.or_else(|| self.waits_for_people(&decision));
                    return;
                }
            }
        }
    }

    fn decide(&self, input: Input) -> Result<Decision, Refused> {
        decide(&self.snapshot, input, self.snapshot.service_now)
    }

    fn at(&self, now: Minute) -> DateTime<Utc> {
        self.plan.starts + Duration::minutes(now.into())
    }

    /// Takes over what is known.
    fn read(&mut self, now: Minute) {
        let service_now = self.snapshot.service_now;
        for (ring, stage) in self.snapshot.stages.iter_mut().enumerate() {
            stage.held = self.plan.rings[ring].held_at(service_now);
            let counts = self.field.counts(ring);
            stage.counts = counts;
            stage.telemetry = TelemetryHealth {
                ingest_running: true,
                heard: counts.started - counts.silent,
                of: counts.started,
            };
            let (quarter, half) = &mut self.doubling[ring];
            if quarter.is_none() && 4 * counts.started >= stage.targeted {
                *quarter = Some(now);
            }
            if half.is_none() && 2 * counts.started >= stage.targeted {
                *half = Some(now);
            }
        }
        if self.read != Some(self.field.changes()) {
            self.read = Some(self.field.changes());
            self.snapshot.evidence.clone_from(self.field.evidence());
        }
    }

    /// The yes of the next who has not said it, once people had time.
    fn approval(&self) -> Option<Input> {
        let request = self.snapshot.requests.iter().find(|r| r.is_open())?;
        let due = working_end(
            request.requested_at,
            self.plan.approval_hours,
            self.time_zone(request),
        );
        if self.snapshot.service_now < due {
            return None;
        }
        let by = person(1 + u128::try_from(request.approvals.len()).ok()?);
        Some(Input::Approve {
            by,
            request: request.id,
            hash: request.hash,
        })
    }

    fn time_zone(&self, request: &Request) -> Tz {
        let stage = self.snapshot.stages.iter().find(|s| s.id == request.stage);
        stage.map_or(Tz::UTC, |stage| stage.policy.time_zone)
    }

    /// Makes a decision true, for devices and for what is told.
    fn follow(&mut self, decision: &Decision, now: Minute) {
        self.snapshot.apply(decision);
        for (id, state) in &decision.stages {
            let Some(ring) = self.snapshot.stages.iter().position(|s| s.id == *id) else {
                continue;
            };
            match state {
                StageState::Deploying { .. } => {
                    self.passages[ring].opened_at = Some(now);
                    self.field.open(ring, now, self.plan.rings[ring].put_off());
                }
                StageState::Passed { .. } => {
                    self.passages[ring].passed_at = Some(now);
                    self.later[ring] = self.doublings(ring);
                }
                _ => {}
            }
        }
        self.end = match decision.rollout {
            Some(RolloutState::Completed { .. }) => Some(End::Completed),
            Some(RolloutState::Halted { .. }) => Some(End::Halted),
            _ => self.end,
        };
    }

    /// The time in which a ring that is larger than what is played doubles until it is as large.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some doublings of some hours"
    )]
    fn doublings(&self, ring: usize) -> Minute {
        let of = &self.plan.rings[ring];
        let (Some(quarter), Some(half)) = self.doubling[ring] else {
            return 0;
        };
        let doublings = (f64::from(of.devices) / f64::from(of.played())).log2();
        (doublings * f64::from(half - quarter)) as Minute
    }

    /// A gate that does not pass although every outcome is in and time changes nothing any more.
    fn waits_for_people(&self, decision: &Decision) -> Option<End> {
        let (id, report) = decision.report.as_ref()?;
        let stage = self.snapshot.stages.iter().find(|s| s.id == *id)?;
        let is_open = !matches!(stage.state, StageState::Passed { .. });
        let is_complete = stage.counts.resolved >= stage.targeted;
        let waits = matches!(stage.state, StageState::Soaking { .. })
            && [Criterion::Soak, Criterion::KnownIssues]
                .iter()
                .any(|c| !report.holds(*c));
        (is_open && is_complete && !waits && !report.passes()).then_some(End::NeedsPerson)
    }

    /// Devices of all open rings ask.
    fn ask(&mut self, now: Minute, dice: &mut impl Dice) {
        let at = self.at(now);
        let is_frozen = self
            .plan
            .freezes
            .iter()
            .any(|(from, to)| (*from..*to).contains(&at));
        if self.end.is_some() || is_frozen {
            return;
        }
        for (ring, of) in self.plan.rings.iter().enumerate() {
            let local = at.with_timezone(&of.policy.time_zone);
            let offset = local.offset().fix().local_minus_utc() / 60;
            let terms = Terms {
                growth: of.policy.growth,
                limits: of.limits(),
                day: local.date_naive().num_days_from_ce().into(),
                local: WeekMinute::at(at, offset),
            };
            if self.field.ask(ring, now, terms, dice) {
                self.end = Some(End::Halted);
                return;
            }
        }
    }

    fn played(self, end: End, now: Minute) -> Played {
        let (started, harmed) = self.field.exposed();
        let mut later = 0;
        let mut rings = self.passages;
        for (ring, own) in rings.iter_mut().zip(&self.later) {
            ring.opened_at = ring.opened_at.map(|at| at + later);
            later += own;
            ring.passed_at = ring.passed_at.map(|at| at + later);
        }
        Played {
            rings,
            end,
            ended_at: now + later,
            started,
            harmed,
        }
    }
}

impl PlannedRing {
    /// Devices that are played.
    fn played(&self) -> u32 {
        self.devices.min(MOST_DEVICES)
    }

    /// A device like those that are known. Where all are, each is there once.
    fn draw(&self, place: u32, dice: &mut impl Dice) -> Vec<CohortId> {
        let known = u32::try_from(self.sample.len()).unwrap_or(u32::MAX);
        let place = if known == self.played() {
            place
        } else {
            dice.below(known)
        };
        let found = self.sample.get(usize::try_from(place).unwrap_or(0));
        found.cloned().unwrap_or_default()
    }

    /// Known issues that are on.
    fn held_at(&self, at: DateTime<Utc>) -> Vec<Held> {
        let on = self.held.iter().filter(|(_, until)| at < *until);
        on.map(|(held, _)| held.clone()).collect()
    }

    /// How long after it was offered a restart can be put off, grace included, minutes.
    fn put_off(&self) -> Option<Minute> {
        let restart = self.policy.restart;
        let hours = |deadline: u32| deadline.saturating_add(restart.grace_hours);
        restart.deadline_hours.map(|h| hours(h).saturating_mul(60))
    }

    /// Limits in devices are for the whole ring.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a part of a number of devices"
    )]
    fn limits(&self) -> Limits {
        let part = f64::from(self.played()) / f64::from(self.devices.max(1));
        let at_once = self.policy.limits.devices_at_once;
        Limits {
            devices_at_once: at_once.map(|n| ((n as f64 * part).ceil() as u64).max(1)),
            ..self.policy.limits
        }
    }
}

/// The rollout before it is submitted.
fn snapshot(plan: &Plan) -> Snapshot {
    let stage = |(place, ring): (u128, &PlannedRing)| Stage {
        id: StageId(Uuid::from_u128(place)),
        ring: RingId(Uuid::from_u128(place)),
        name: format!("ring {place}"),
        policy: ring.policy,
        ring_revision: 1,
        state: StageState::Waiting,
        counts: Counts::default(),
        targeted: ring.played().into(),
        not_ready: 0,
        held: ring.held_at(plan.starts),
        worst_severe: 0,
        oobe: None,
        telemetry: TelemetryHealth {
            ingest_running: true,
            heard: 0,
            of: 0,
        },
    };
    let approver = Person {
        enabled: true,
        approver: true,
        admin: false,
    };
    Snapshot {
        rollout: Rollout {
            id: RolloutId(Uuid::nil()),
            track: TrackId(Uuid::nil()),
            digest: Sha256::of(b""),
            scope: Scope::Track,
            preset: Preset::Standard,
            author: person(0),
            state: RolloutState::Draft,
            cleared: Vec::new(),
            halt: plan.halt.clone(),
            version: 0,
        },
        stages: (1..).zip(&plan.rings).map(stage).collect(),
        evidence: plan.evidence.clone(),
        requests: Vec::new(),
        withdrawn: None,
        released_at: plan.released_at,
        freeze: None,
        people: (0..PEOPLE)
            .map(|n| (person(n), approver))
            .collect::<BTreeMap<_, _>>(),
        service_now: plan.starts,
    }
}

fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}
