//! Who may start: halt first, then the generations and limits of each stage.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context;
use chrono::{NaiveDate, TimeDelta};
use engine::admission::{Admission, Admitted, Asker, WaitReason, admit};
use engine::assignment::State;
use engine::halt::assess;
use engine::ids::CohortId;
use uuid::Uuid;

use super::super::{Answer, START_WITHIN};
use crate::store::populations;
use crate::store::rollouts::StoredStage;

/// Decides the asks of one rollout.
use super::{Candidate, Round};

/// Seconds over which those that wait for the same window come again.
const SPREAD_S: u32 = 600;

/// Nobody is sent away for longer: clocks and offsets of devices change.
const LONGEST_WAIT_S: u32 = 6 * 3600;

impl Round<'_> {
    /// Lets candidates in, stage by stage; true where the evidence says halt.
    pub(super) fn admit(&mut self) -> anyhow::Result<bool> {
        let candidates = std::mem::take(&mut self.candidates);
        let rollout = &self.rollout.rollout;
        let assessment = assess(&self.evidence, &rollout.cleared, &rollout.halt);
        if assessment.halt.is_some() {
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
        // A device whose permit lapsed, or that failed and tries again, has its place already: it counts once.
        for candidate in again {
            let device_no = candidate.asker.device_no;
            match self.closed_to(&candidate)? {
                Some(reason) => self.wait_for(device_no, &reason),
                None => self.permit(candidate)?,
            }
        }
        let mut by_stage: BTreeMap<Uuid, Vec<Candidate>> = BTreeMap::new();
        for candidate in new {
            by_stage.entry(candidate.stage).or_default().push(candidate);
        }
        for (stage, candidates) in by_stage {
            let askers: Vec<Asker> = candidates.iter().map(|c| c.asker.clone()).collect();
            let outcome = self.ask_engine(stage, &askers)?;
            for (device_no, reason) in &outcome.waiting {
                self.wait_for(*device_no, reason);
            }
            self.new_caps.extend(outcome.caps);
            let granted: HashSet<i32> = outcome.granted.into_iter().collect();
            for candidate in candidates
                .into_iter()
                .filter(|c| granted.contains(&c.asker.device_no))
            {
                self.permit(candidate)?;
            }
        }
        Ok(false)
    }

    pub(super) fn wait(&mut self, device_no: i32, why: String) {
        let retry_after_s = self.shared.retry_after_s;
        self.answers
            .insert(device_no, Answer::Wait { retry_after_s, why });
    }

    /// With a window, until it opens: spread over some minutes, since a whole time zone waits for the same one.
    fn wait_for(&mut self, device_no: i32, reason: &WaitReason) {
        let why = self.explain(reason);
        let mut retry_after_s = self.shared.retry_after_s;
        if let WaitReason::Window { opens_in_min, .. } = reason {
            let spread = device_no.unsigned_abs() % SPREAD_S;
            let wait = (u32::from(*opens_in_min) * 60 + spread).min(LONGEST_WAIT_S);
            retry_after_s = retry_after_s.max(wait);
        }
        self.answers
            .insert(device_no, Answer::Wait { retry_after_s, why });
    }

    /// What holds back also a device that has its place: a freeze, and the window.
    fn closed_to(&self, candidate: &Candidate) -> anyhow::Result<Option<WaitReason>> {
        let admission = self.admission(candidate.stage)?;
        Ok(admission.closed_to(&candidate.asker))
    }

    fn ask_engine(&self, stage: Uuid, askers: &[Asker]) -> anyhow::Result<Admitted> {
        let admission = self.admission(stage)?;
        // The evidence was assessed before: nothing was started since but what this transaction starts.
        admit(&admission, askers).map_err(|no| anyhow::anyhow!("not admitted after all: {no:?}"))
    }

    fn admission(&self, stage: Uuid) -> anyhow::Result<Admission<'_>> {
        let of = self
            .stages
            .iter()
            .find(|s| s.id.0 == stage)
            .context("a gate without its stage")?;
        let gate = self.gate(stage).context("a stage without its gate")?;
        let counts = self.stage_counts.get(&stage).copied().unwrap_or_default();
        let already = u64::try_from(self.granted_per_stage.get(&stage).copied().unwrap_or(0))?;
        let today = self.today(of);
        Ok(Admission {
            evidence: &self.evidence,
            caps: &self.caps,
            growth: of.policy.growth,
            limits: of.policy.limits,
            ring_size: populations::targeted(&self.populations, of.ring_id),
            cleared: &self.rollout.rollout.cleared,
            halt: &self.rollout.rollout.halt,
            unresolved: counts.started.saturating_sub(counts.resolved) + already,
            today: gate.granted_on(today) + already,
            freeze: self.freeze.as_ref(),
        })
    }

    /// The calendar day of a stage's zone, on the service clock.
    pub(super) fn today(&self, stage: &StoredStage) -> NaiveDate {
        self.service_now
            .with_timezone(&stage.policy.time_zone)
            .date_naive()
    }

    fn explain(&self, reason: &WaitReason) -> String {
        let cohort = match reason {
            WaitReason::CohortGeneration { cohort, .. } => self.evidence.cohorts.get(cohort),
            _ => None,
        };
        reason.sentence(cohort.map(|c| c.value.as_str()))
    }

    pub(super) fn permit(&mut self, candidate: Candidate) -> anyhow::Result<()> {
        let device_no = candidate.asker.device_no;
        let mut stored = self
            .assignments
            .get(&device_no)
            .cloned()
            .context("a permit without its assignment")?;
        let first = !stored.assignment.started;
        let powered_s = self.cursors.get(&device_no).map(|c| c.powered_s);
        // A lapsed permit's time goes on; another try has a time of its own.
        if stored.assignment.state == State::RestartAgreed {
            stored.permitted_at = Some(self.service_now);
            stored.permit_powered_s = powered_s;
        }
        let of = u16::try_from(candidate.steps.len())?;
        stored.assignment = stored
            .assignment
            .permit(of, candidate.target)
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        stored.plan = candidate.steps;
        stored.gate_version = self.gate(candidate.stage).map(|g| g.version);
        stored.start_by = Some(self.now + START_WITHIN);
        stored.not_ready = None;
        // Also for a permit that follows a lapsed one: the deadline tick may have had nothing more to look for.
        let overdue_s = self.rollout.rollout.halt.deadlines().overdue_s;
        let soon = self.service_now + TimeDelta::seconds(overdue_s);
        stored.due_at = Some(stored.due_at.map_or(soon, |due| due.min(soon)));
        stored.progress_at = self.service_now;
        stored.progress_powered_s = powered_s;
        if first {
            stored.cohorts = candidate.cohorts;
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
}
