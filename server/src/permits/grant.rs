//! One transaction of permits. Lock order: the rollout's gates ascending, cursors and assignments ascending,
//! evidence by key, lanes.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use engine::admission::{Admission, Admitted, Asker, WaitReason, admit};
use engine::assignment::State;
use engine::halt::{HaltPolicy, assess};
use engine::ids::{CohortId, RolloutId};
use engine::rollout::{RolloutState, Scope};
use serde_json::json;
use servicing::{Build, Planned, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Answer, Ask, START_WITHIN, Shared};
use crate::store::assignments::{self, PlannedStep, Stored};
use crate::store::devices::{self, Device, DeviceStatus};
use crate::store::events::{self, LoggedEvent, PERMITTED};
use crate::store::gates::{self, Gate};
use crate::store::rollouts::{self, StoredStage};
use crate::store::{changes, cohorts, evidence, populations, service_clock};

/// Decides the asks of one rollout.
pub(super) async fn grant(
    shared: &Shared,
    rollout: Uuid,
    asks: &[Ask],
) -> anyhow::Result<HashMap<i32, Answer>> {
    let mut tx = shared.pool.begin().await?;
    let gates = gates::lock(&mut tx, rollout).await?;
    let Some(stored) = rollouts::by_id(&mut tx, RolloutId(rollout)).await? else {
        return Ok(asks
            .iter()
            .map(|a| (a.device_no, refused("unknown", "There is no such rollout.")))
            .collect());
    };
    let mut round = Round::load(&mut tx, shared, stored, gates, asks).await?;
    for ask in asks {
        round.sort(ask);
    }
    let halted = round.admit()?;
    let announced = round.save(&mut tx).await?;
    tx.commit().await?;
    for (_, n, device_nos) in announced {
        shared.picture.advance(&device_nos, n);
    }
    if halted {
        shared.outcomes.notify_one();
    }
    Ok(round.answers)
}

fn refused(reason: &str, why: &str) -> Answer {
    Answer::Refused {
        reason: reason.into(),
        why: why.into(),
    }
}

/// An asker that passed every check but admission.
struct Candidate {
    stage: Uuid,
    steps: Vec<PlannedStep>,
    target: Build,
    cohorts: Vec<i16>,
    asker: Asker,
}

struct Round<'a> {
    shared: &'a Shared,
    rollout: rollouts::Stored,
    sequence: std::sync::Arc<Sequence>,
    stages: Vec<StoredStage>,
    gates: Vec<Gate>,
    devices: HashMap<i32, Device>,
    listed: HashSet<i32>,
    cursors: BTreeMap<i32, i64>,
    assignments: HashMap<i32, Stored>,
    fixed: HashSet<i16>,
    evidence: engine::evidence::Evidence,
    caps: BTreeMap<CohortId, u64>,
    populations: BTreeMap<(Uuid, String), u64>,
    stage_counts: HashMap<Uuid, engine::evidence::Counts>,
    now: DateTime<Utc>,
    service_now: DateTime<Utc>,
    candidates: Vec<Candidate>,
    answers: HashMap<i32, Answer>,
    granted: Vec<(Stored, bool)>,
    new_caps: BTreeMap<CohortId, u64>,
    granted_per_stage: BTreeMap<Uuid, i64>,
}

impl<'a> Round<'a> {
    async fn load(
        conn: &mut PgConnection,
        shared: &'a Shared,
        rollout: rollouts::Stored,
        gates: Vec<Gate>,
        asks: &[Ask],
    ) -> anyhow::Result<Self> {
        let id = rollout.rollout.id.0;
        let mut device_nos: Vec<i32> = asks.iter().map(|a| a.device_no).collect();
        device_nos.sort_unstable();
        device_nos.dedup();
        let cursors = sqlx::query!(
            "SELECT device_no, event_no FROM device_cursor WHERE device_no = ANY($1) ORDER BY device_no FOR UPDATE",
            &device_nos,
        )
        .fetch_all(&mut *conn)
        .await?;
        let assignments =
            assignments::lock(&mut *conn, &vec![id; device_nos.len()], &device_nos).await?;
        let sequence = shared
            .catalogue
            .get(&mut *conn, rollout.rollout.digest)
            .await?
            .context("a rollout without its sequence")?;
        let stages = rollouts::stages(&mut *conn, rollout.rollout.id).await?;
        let rings = evidence::of_rings(&mut *conn, id).await?;
        let stage_counts = stages
            .iter()
            .zip(0_i16..)
            .map(|(s, position)| {
                (
                    s.id.0,
                    rings.get(&position).map(|r| r.0).unwrap_or_default(),
                )
            })
            .collect();
        let listed = sqlx::query_scalar!(
            "SELECT device_no FROM rollout_device WHERE rollout_id = $1 AND device_no = ANY($2)",
            id,
            &device_nos
        )
        .fetch_all(&mut *conn)
        .await?;
        let now = shared.clock.now();
        Ok(Self {
            shared,
            sequence,
            stages,
            gates,
            devices: devices::by_nos(&mut *conn, &device_nos)
                .await?
                .into_iter()
                .map(|d| (d.device_no, d))
                .collect(),
            listed: listed.into_iter().collect(),
            cursors: cursors
                .into_iter()
                .map(|c| (c.device_no, c.event_no))
                .collect(),
            assignments: assignments.into_iter().map(|a| (a.device_no, a)).collect(),
            fixed: rollouts::cohorts(&mut *conn, id)
                .await?
                .into_iter()
                .collect(),
            evidence: evidence::of_rollout(&mut *conn, id).await?,
            caps: gates::caps(&mut *conn, id).await?,
            populations: populations::of_rollout(&mut *conn, id).await?,
            stage_counts,
            now,
            service_now: service_clock::read(&mut *conn)
                .await?
                .map_or(now, |c| c.now),
            rollout,
            candidates: Vec::new(),
            answers: HashMap::new(),
            granted: Vec::new(),
            new_caps: BTreeMap::new(),
            granted_per_stage: BTreeMap::new(),
        })
    }

    fn gate(&self, stage: Uuid) -> Option<&Gate> {
        self.gates.iter().find(|g| g.stage_id == stage)
    }

    /// Answers at once, or makes a candidate.
    fn sort(&mut self, ask: &Ask) {
        if self.answers.contains_key(&ask.device_no)
            || self
                .candidates
                .iter()
                .any(|c| c.asker.device_no == ask.device_no)
        {
            return;
        }
        match self.check(ask) {
            Ok(candidate) => self.candidates.push(candidate),
            Err(answer) => {
                self.answers.insert(ask.device_no, answer);
            }
        }
    }

    fn check(&mut self, ask: &Ask) -> Result<Candidate, Answer> {
        let Some(device) = self.devices.get(&ask.device_no) else {
            return Err(refused("unknown", "There is no such device."));
        };
        if device.status != DeviceStatus::Admitted || device.generation != ask.generation {
            return Err(refused(
                "revoked",
                "The device was revoked or enrolled anew.",
            ));
        }
        if device.clone_suspected {
            return Err(refused(
                "clone",
                "Two machines report as this device; enrol it again.",
            ));
        }
        if device.track_id != self.rollout.rollout.track.0 {
            return Err(refused("track", "The device is on another track."));
        }
        let existing = self.assignments.get(&ask.device_no);
        let stage = existing.map(|a| a.stage).or_else(|| {
            self.stages
                .iter()
                .find(|s| s.ring_id == device.ring_id)
                .map(|s| s.id.0)
        });
        let Some(stage) = stage else {
            return Err(refused(
                "ring",
                "The device's ring is not part of this rollout.",
            ));
        };
        if self.rollout.rollout.scope == Scope::Listed && !self.listed.contains(&ask.device_no) {
            return Err(refused("ring", "This rollout is for listed devices only."));
        }
        if !self.gate(stage).is_some_and(|g| g.open) {
            return Err(self.closed());
        }
        let Some(existing) = existing else {
            return Err(refused(
                "not_ready",
                "Nothing was downloaded and no restart is agreed yet.",
            ));
        };
        match existing.assignment.state {
            State::Permitted => {
                let left = existing
                    .start_by
                    .map_or(0, |by| (by - self.now).num_seconds());
                if left > 0 {
                    return Err(Answer::Granted {
                        permit_no: existing.assignment.permit_no,
                        start_within_s: u32::try_from(left).unwrap_or(0),
                    });
                }
            }
            State::RestartAgreed => {}
            State::Downloading | State::Ready => {
                return Err(refused("not_ready", "The restart is not agreed yet."));
            }
            state if state.is_outcome() => {
                return Err(refused("over", "This rollout is over for the device."));
            }
            _ => return Err(refused("started", "The installation has begun already.")),
        }
        let (steps, target) = match servicing::plan(&self.sequence, &device.facts, &device.ledger) {
            Planned::Steps(plan) => (plan.steps, plan.target),
            Planned::NotReady(_, why) => {
                let why = why
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ");
                return Err(Answer::Wait {
                    retry_after_s: self.shared.retry_after_s,
                    why,
                });
            }
            Planned::Complete => {
                return Err(refused(
                    "complete",
                    "The device is on the target build already.",
                ));
            }
            Planned::Ahead => return Err(refused("ahead", "The device is on a newer build.")),
            Planned::NotApplicable(why) => return Err(refused("not_applicable", &why.to_string())),
        };
        let steps = steps
            .iter()
            .map(|s| PlannedStep {
                packages: s.packages.iter().map(|p| p.kb.to_string()).collect(),
                restart_after: s.restart_after,
            })
            .collect();
        let cohorts = self.cohorts_of(device);
        let asker = Asker {
            device_no: ask.device_no,
            cohorts: cohorts.iter().map(|c| CohortId(*c)).collect(),
            restart_in_s: ask.restart_in_s,
            rank: engine::ring::rank(device.id, self.rollout.rollout.id),
        };
        Ok(Candidate {
            stage,
            steps,
            target,
            cohorts,
            asker,
        })
    }

    /// A closed gate in the device's terms.
    fn closed(&self) -> Answer {
        match &self.rollout.rollout.state {
            RolloutState::Halted { .. } => refused("halted", "The rollout is halted."),
            RolloutState::Paused { .. } => refused("paused", "The rollout is paused."),
            RolloutState::Withdrawn { .. } => refused("withdrawn", "The update was withdrawn."),
            RolloutState::Active => refused("ring", "The ring is not open yet."),
            _ => refused("over", "The rollout does not run."),
        }
    }

    /// Cohorts were fixed when the rollout started: a value first seen later counts as `other`.
    fn cohorts_of(&self, device: &Device) -> Vec<i16> {
        device
            .cohorts
            .iter()
            .zip(cohorts::KINDS)
            .map(|(c, kind)| {
                if self.fixed.contains(c) {
                    *c
                } else {
                    cohorts::other(kind)
                }
            })
            .collect()
    }

    /// Lets candidates in, stage by stage; true where the evidence says halt.
    fn admit(&mut self) -> anyhow::Result<bool> {
        let candidates = std::mem::take(&mut self.candidates);
        let cleared = &self.rollout.rollout.cleared;
        if assess(&self.evidence, cleared, &HaltPolicy::default())
            .halt
            .is_some()
        {
            for candidate in candidates {
                let why = "The evidence calls for a halt; it is being decided.";
                self.wait(candidate.asker.device_no, why.into());
            }
            return Ok(true);
        }
        let (again, new): (Vec<Candidate>, Vec<Candidate>) =
            candidates.into_iter().partition(|c| {
                self.assignments
                    .get(&c.asker.device_no)
                    .is_some_and(|a| a.assignment.started)
            });
        // A device whose permit lapsed has its place already: it counts once.
        for candidate in again {
            self.permit(candidate)?;
        }
        let mut by_stage: BTreeMap<Uuid, Vec<Candidate>> = BTreeMap::new();
        for candidate in new {
            by_stage.entry(candidate.stage).or_default().push(candidate);
        }
        for (stage, candidates) in by_stage {
            let askers: Vec<Asker> = candidates.iter().map(|c| c.asker.clone()).collect();
            let outcome = self.ask_engine(stage, &askers)?;
            for (device_no, reason) in &outcome.waiting {
                let why = self.explain(reason);
                self.wait(*device_no, why);
            }
            self.new_caps.extend(outcome.caps.clone());
            for candidate in candidates
                .into_iter()
                .filter(|c| outcome.granted.contains(&c.asker.device_no))
            {
                self.permit(candidate)?;
            }
        }
        Ok(false)
    }

    fn wait(&mut self, device_no: i32, why: String) {
        let retry_after_s = self.shared.retry_after_s;
        self.answers
            .insert(device_no, Answer::Wait { retry_after_s, why });
    }

    fn ask_engine(&self, stage: Uuid, askers: &[Asker]) -> anyhow::Result<Admitted> {
        let of = self
            .stages
            .iter()
            .find(|s| s.id.0 == stage)
            .context("a gate without its stage")?;
        let gate = self.gate(stage).context("a stage without its gate")?;
        let counts = self.stage_counts.get(&stage).copied().unwrap_or_default();
        let already = u64::try_from(self.granted_per_stage.get(&stage).copied().unwrap_or(0))?;
        let today = self.today(of);
        let admission = Admission {
            evidence: &self.evidence,
            caps: &self.caps,
            growth: of.policy.growth,
            limits: of.policy.limits,
            ring_size: self
                .populations
                .get(&(of.ring_id, populations::TARGETED.to_owned()))
                .copied()
                .unwrap_or(0),
            cleared: &self.rollout.rollout.cleared,
            unresolved: counts.started.saturating_sub(counts.resolved) + already,
            today: if gate.day == Some(today) {
                u64::try_from(gate.day_granted)?
            } else {
                0
            } + already,
        };
        // The evidence was assessed before: nothing was started since but what this transaction starts.
        admit(&admission, askers).map_err(|no| anyhow::anyhow!("not admitted after all: {no:?}"))
    }

    /// The calendar day of a stage's zone, on the service clock.
    fn today(&self, stage: &StoredStage) -> NaiveDate {
        self.service_now
            .with_timezone(&stage.policy.time_zone)
            .date_naive()
    }

    fn explain(&self, reason: &WaitReason) -> String {
        match reason {
            WaitReason::Generation { cap } => format!(
                "{cap} devices may have started so far, and they have; more when these have reported."
            ),
            WaitReason::CohortGeneration { cohort, cap } => {
                let name = self
                    .evidence
                    .cohorts
                    .get(cohort)
                    .map_or("its kind", |c| c.value.as_str());
                format!(
                    "{cap} devices of {name} may have started so far, and they have; more when these have reported."
                )
            }
            WaitReason::DevicesAtOnce { limit } => {
                format!("At most {limit} devices install at once.")
            }
            WaitReason::PerDay { limit } => format!("At most {limit} devices start on one day."),
        }
    }

    fn permit(&mut self, candidate: Candidate) -> anyhow::Result<()> {
        let device_no = candidate.asker.device_no;
        let mut stored = self
            .assignments
            .get(&device_no)
            .cloned()
            .context("a permit without its assignment")?;
        let first = !stored.assignment.started;
        let of = u16::try_from(candidate.steps.len())?;
        stored.assignment = stored
            .assignment
            .permit(of, candidate.target)
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        stored.plan = candidate.steps;
        stored.gate_version = self.gate(candidate.stage).map(|g| g.version);
        stored.start_by = Some(self.now + START_WITHIN);
        stored.not_ready = None;
        if first {
            stored.cohorts = candidate.cohorts;
            stored.permitted_at = Some(self.service_now);
            stored.progress_at = self.service_now;
            stored.due_at = Some(
                self.service_now
                    + chrono::Duration::seconds(engine::assignment::Deadlines::default().overdue_s),
            );
            *self.granted_per_stage.entry(candidate.stage).or_default() += 1;
            // What is granted now counts against the caps of the stages that are asked next in this round.
            self.evidence.all.started += 1;
            for cohort in &stored.cohorts {
                if let Some(cohort) = self.evidence.cohorts.get_mut(&CohortId(*cohort)) {
                    cohort.counts.started += 1;
                }
            }
        }
        let start_within_s = u32::try_from(START_WITHIN.num_seconds())?;
        self.answers.insert(
            device_no,
            Answer::Granted {
                permit_no: stored.assignment.permit_no,
                start_within_s,
            },
        );
        self.granted.push((stored, first));
        Ok(())
    }

    async fn save(&mut self, conn: &mut PgConnection) -> anyhow::Result<changes::Announced> {
        let rollout = &self.rollout.rollout;
        if !self.new_caps.is_empty() {
            gates::save_caps(&mut *conn, rollout.id.0, &self.new_caps).await?;
        }
        if self.granted.is_empty() {
            return Ok(Vec::new());
        }
        self.granted.sort_by_key(|(s, _)| s.device_no);
        let rows: Vec<&Stored> = self.granted.iter().map(|(s, _)| s).collect();
        assignments::save(&mut *conn, &rows).await?;
        let mut log = Vec::with_capacity(rows.len());
        let mut counters = evidence::Changes::new();
        for (stored, first) in &self.granted {
            let event_no = self.cursors.entry(stored.device_no).or_default();
            *event_no += 1;
            log.push(LoggedEvent {
                received_at: self.now,
                device_no: stored.device_no,
                event_no: *event_no,
                epoch: 0,
                seq: 0,
                kind: PERMITTED.into(),
                hash: 0,
                body: json!({
                    "rollout": stored.rollout, "stage": stored.stage, "permit_no": stored.assignment.permit_no,
                    "gate_version": stored.gate_version, "steps": stored.assignment.of, "expected": stored.assignment.expected,
                    "cohorts": stored.cohorts, "drift": stored.assignment.drift,
                }),
            });
            if *first {
                // Steps that ran before the permit are counted with it: no gate passes over them.
                let drift = i64::from(stored.assignment.drift);
                evidence::add(
                    &mut counters,
                    rollout.digest,
                    stored.stage,
                    &stored.cohorts,
                    |c| {
                        c.started += 1;
                        c.drift += drift;
                    },
                );
            }
        }
        let (device_nos, event_nos): (Vec<i32>, Vec<i64>) = self
            .granted
            .iter()
            .map(|(s, _)| (s.device_no, self.cursors[&s.device_no]))
            .unzip();
        sqlx::query!(
            "UPDATE device_cursor AS c SET event_no = k.no FROM UNNEST($1::int[], $2::bigint[]) AS k (device_no, no) WHERE c.device_no = k.device_no",
            &device_nos, &event_nos,
        )
        .execute(&mut *conn)
        .await?;
        events::append(&mut *conn, &log).await?;
        for (stage, n) in &self.granted_per_stage {
            let of = self
                .stages
                .iter()
                .find(|s| s.id.0 == *stage)
                .context("a permit without its stage")?;
            gates::count_granted(&mut *conn, *stage, *n, self.today(of)).await?;
        }
        evidence::apply(&mut *conn, 0, &counters).await?;
        Ok(changes::announce_devices(&mut *conn, &device_nos, false).await?)
    }
}
