//! A rollout as it is shown: where it stands and why, ring by ring, and what the evidence says.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::decide::Reason;
use engine::evidence::Counts;
use engine::gate::GateReport;
use engine::halt::{HaltCause, HaltPolicy, Watch, watches};
use engine::ids::{CohortId, PersonId, StageId};
use engine::policy::{Preset, StagePolicy};
use engine::rollout::{RolloutState, Scope};
use engine::stage::StageState;
use serde::Serialize;
use servicing::{ErrorClass, HResult, KbNumber, Sha256, error_code};
use sqlx::PgConnection;
use uuid::Uuid;

use super::approvals::RequestLine;
use crate::fleet::Catalogue;
use crate::store::rollouts::{self, Stored, StoredStage};
use crate::store::{assignments, count, evidence, populations, requests};

/// Most lines of the halt table. Cohorts with failures come first: the others say nothing yet.
const MOST_WATCHES: usize = 200;

/// Newest requests that a page shows.
const REQUESTS: i64 = 20;

/// A rollout in a list.
#[derive(Debug, Serialize)]
pub struct RolloutLine {
    id: Uuid,
    track: Uuid,
    sequence: Uuid,
    kb: Option<KbNumber>,
    title: Option<String>,
    digest: Sha256,
    scope: Scope,
    preset: Preset,
    author: PersonId,
    ticket: Option<String>,
    state: &'static str,
    state_detail: RolloutState,
    reasons: Vec<Reason>,
    version: u64,
    created_at: DateTime<Utc>,
}

impl RolloutLine {
    /// Adds what the sequence tells.
    pub async fn read(
        conn: &mut PgConnection,
        catalogue: &Catalogue,
        stored: Stored,
    ) -> anyhow::Result<Self> {
        let rollout = stored.rollout;
        let sequence = catalogue.get(conn, rollout.digest).await?;
        Ok(Self {
            id: rollout.id.0,
            track: rollout.track.0,
            sequence: stored.sequence_id,
            kb: sequence.as_ref().map(|s| s.kb),
            title: sequence.as_ref().map(|s| s.title.clone()),
            digest: rollout.digest,
            scope: rollout.scope,
            preset: rollout.preset,
            author: rollout.author,
            ticket: stored.ticket,
            state: rollout.state.word(),
            state_detail: rollout.state,
            reasons: stored.reasons,
            version: rollout.version,
            created_at: stored.created_at,
        })
    }

    /// Cursor of lists.
    pub fn id(&self) -> Uuid {
        self.id
    }
}

/// One ring of a rollout.
#[derive(Debug, Serialize)]
struct StageLine {
    id: StageId,
    ring: Uuid,
    ring_name: String,
    ring_revision: i32,
    state: &'static str,
    state_detail: StageState,
    policy: StagePolicy,
    /// Last gate report.
    report: Option<GateReport>,
    counts: Counts,
    /// Devices of the ring by class: `targeted`, `complete`, `ahead`, `not_applicable:<why>`.
    population: BTreeMap<String, u64>,
    /// Devices by how far they are; those that were never offered it are in the population only.
    assignments: BTreeMap<String, u64>,
}

/// An error code that devices failed with.
#[derive(Debug, Serialize)]
struct CodeLine {
    code: HResult,
    devices: u64,
    name: Option<&'static str>,
    class: Option<ErrorClass>,
    meaning: Option<&'static str>,
    remedy: Option<&'static str>,
}

impl CodeLine {
    fn new(code: HResult, devices: u64) -> Self {
        let known = error_code(code);
        Self {
            code,
            devices,
            name: known.map(|k| k.name.as_str()),
            class: known.map(|k| k.class),
            meaning: known.map(|k| k.meaning.as_str()),
            remedy: known.map(|k| k.remediation.as_str()),
        }
    }
}

/// A rollout with everything people ask about it.
#[derive(Debug, Serialize)]
pub struct RolloutPage {
    #[serde(flatten)]
    line: RolloutLine,
    cleared: Vec<HaltCause>,
    stages: Vec<StageLine>,
    counts: Counts,
    population: BTreeMap<String, u64>,
    assignments: BTreeMap<String, u64>,
    /// "4 of 496; brakes at 16, halts at 21", by stream and cohort.
    halt: Vec<Watch>,
    codes: Vec<CodeLine>,
    requests: Vec<RequestLine>,
}

impl RolloutPage {
    /// Reads it; the caller's transaction makes it one moment.
    pub async fn read(
        conn: &mut PgConnection,
        catalogue: &Catalogue,
        stored: Stored,
    ) -> anyhow::Result<Self> {
        let (id, cleared) = (stored.rollout.id, stored.rollout.cleared.clone());
        let seen = evidence::of_rollout(&mut *conn, id.0).await?;
        let mut by_ring = ByRing::read(&mut *conn, id.0).await?;
        let (population, assignments) = by_ring.totals();
        let mut stages = Vec::new();
        let rings = evidence::of_rings(&mut *conn, id.0).await?;
        for (stage, position) in rollouts::stages(&mut *conn, id).await?.into_iter().zip(0..) {
            let (counts, _) = rings.get(&position).copied().unwrap_or_default();
            stages.push(by_ring.stage(stage, counts));
        }
        let codes = assignments::top_codes(&mut *conn, id.0).await?;
        let listed = requests::page(&mut *conn, None, Some(id.0), false, REQUESTS).await?;
        Ok(Self {
            line: RolloutLine::read(conn, catalogue, stored).await?,
            cleared,
            stages,
            counts: seen.all,
            population,
            assignments,
            halt: table(watches(&seen, &HaltPolicy::default())),
            codes: codes
                .into_iter()
                .map(|(code, n)| CodeLine::new(code, count(n)))
                .collect(),
            requests: listed.into_iter().map(RequestLine::from).collect(),
        })
    }
}

/// All devices first, then cohorts by their failures.
fn table(mut watches: Vec<Watch>) -> Vec<Watch> {
    watches.sort_by_key(|w| (w.cohort != CohortId::ALL, Reverse(w.failures)));
    watches.truncate(MOST_WATCHES);
    watches
}

/// Devices by ring and by stage, as they are stored.
struct ByRing {
    population: BTreeMap<Uuid, BTreeMap<String, u64>>,
    assignments: BTreeMap<Uuid, BTreeMap<String, u64>>,
}

impl ByRing {
    async fn read(conn: &mut PgConnection, rollout: Uuid) -> anyhow::Result<Self> {
        let mut population: BTreeMap<Uuid, BTreeMap<String, u64>> = BTreeMap::new();
        for ((ring, class), n) in populations::of_rollout(&mut *conn, rollout).await? {
            population.entry(ring).or_default().insert(class, n);
        }
        let mut assignments: BTreeMap<Uuid, BTreeMap<String, u64>> = BTreeMap::new();
        for (stage, state, n) in assignments::by_state(conn, rollout).await? {
            assignments
                .entry(stage)
                .or_default()
                .insert(state, count(n));
        }
        Ok(Self {
            population,
            assignments,
        })
    }

    /// Population and assignments of the whole rollout: rings that came after it started included.
    fn totals(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        (sum(&self.population), sum(&self.assignments))
    }

    fn stage(&mut self, stage: StoredStage, counts: Counts) -> StageLine {
        StageLine {
            population: self.population.remove(&stage.ring_id).unwrap_or_default(),
            assignments: self.assignments.remove(&stage.id.0).unwrap_or_default(),
            id: stage.id,
            ring: stage.ring_id,
            ring_name: stage.ring_name,
            ring_revision: stage.ring_revision,
            state: stage.state.word(),
            state_detail: stage.state,
            policy: stage.policy,
            report: stage.report,
            counts,
        }
    }
}

fn sum(parts: &BTreeMap<Uuid, BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut total = BTreeMap::new();
    for (class, n) in parts.values().flatten() {
        *total.entry(class.clone()).or_default() += n;
    }
    total
}

#[cfg(test)]
mod tests {
    use engine::halt::Stream;

    use super::*;

    fn watch(cohort: i16, failures: u64) -> Watch {
        Watch {
            stream: Stream::Failure,
            cohort: CohortId(cohort),
            name: String::new(),
            failures,
            started: 100,
            brakes_at: None,
            halts_at: None,
        }
    }

    #[test]
    fn a_fleet_of_a_thousand_models_does_not_hide_the_one_that_fails() {
        let mut watches: Vec<Watch> = (0..1000).map(|cohort| watch(cohort, 0)).collect();
        watches.push(watch(1000, 7));
        let shown = table(watches);
        assert_eq!(shown.len(), MOST_WATCHES);
        assert_eq!((shown[0].cohort, shown[1].failures), (CohortId::ALL, 7));
    }

    #[test]
    fn a_code_comes_with_what_it_means_and_what_helps() {
        let line = CodeLine::new("0x80073712".parse().unwrap(), 2);
        assert!(line.meaning.is_some() && line.remedy.is_some());
        let unknown = CodeLine::new("0xDEADBEEF".parse().unwrap(), 1);
        assert_eq!((unknown.meaning, unknown.class), (None, None));
    }
}
