//! A rollout as it is shown: where it stands and why, ring by ring, and what the evidence says.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::decide::Reason;
use engine::evidence::Counts;
use engine::gate::GateReport;
use engine::halt::{HaltCause, HaltPolicy, Watch, watches};
use engine::ids::{CohortId, HoldId, PersonId, RequestId, StageId};
use engine::policy::{Preset, StagePolicy};
use engine::rollout::{RolloutState, Scope};
use engine::stage::StageState;
use serde::Serialize;
use servicing::{ErrorClass, HResult, KbNumber, Sha256, error_code};
use sqlx::PgConnection;
use uuid::Uuid;

use super::RequestLine;
use crate::fleet::Catalogue;
use crate::store::rollbacks::Rollback;
use crate::store::rollouts::{self, Stored, StoredStage};
use crate::store::{assignments, count, evidence, holds, populations, requests, rollbacks};

/// Most lines of the halt table. Cohorts with failures come first: the others say nothing yet.
const MOST_WATCHES: usize = 200;

/// Newest requests that a page shows.
const REQUESTS: i64 = 20;

/// A rollout in a list.
#[derive(Debug, Serialize)]
pub struct RolloutLine {
    /// Id.
    pub id: Uuid,
    /// Track.
    pub track: Uuid,
    /// Sequence.
    pub sequence: Uuid,
    /// KB, where the sequence is known.
    pub kb: Option<KbNumber>,
    /// Title of the sequence.
    pub title: Option<String>,
    /// Digest of what is installed.
    pub digest: Sha256,
    /// For whom.
    pub scope: Scope,
    /// Preset of its policies.
    pub preset: Preset,
    /// Who wrote it.
    pub author: PersonId,
    /// Ticket number, where one was given.
    pub ticket: Option<String>,
    /// State, as a word.
    pub state: &'static str,
    /// State, with its data.
    pub state_detail: RolloutState,
    /// Why it is where it is.
    pub reasons: Vec<Reason>,
    /// Grows with every decision.
    pub version: u64,
    /// When it was written.
    pub created_at: DateTime<Utc>,
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
}

/// One ring of a rollout.
#[derive(Debug, Serialize)]
pub struct StageLine {
    /// Id.
    pub id: StageId,
    /// Ring.
    pub ring: Uuid,
    /// Ring's name.
    pub ring_name: String,
    /// Revision of the membership rule.
    pub ring_revision: i32,
    /// State, as a word.
    pub state: &'static str,
    /// State, with its data.
    pub state_detail: StageState,
    /// Policy.
    pub policy: StagePolicy,
    /// Last gate report.
    pub report: Option<GateReport>,
    /// What the evidence says.
    pub counts: Counts,
    /// Devices of the ring by class: `targeted`, `complete`, `ahead`, `not_applicable:<why>`, `excluded`. Those that known
    /// issues hold are targeted.
    pub population: BTreeMap<String, u64>,
    /// Devices by how far they are; those that were never offered it are in the population only.
    pub assignments: BTreeMap<String, u64>,
}

/// An error code that devices failed with.
#[derive(Debug, Serialize)]
pub struct CodeLine {
    /// Code.
    pub code: HResult,
    /// Devices that failed with it.
    pub devices: u64,
    /// Its symbolic name.
    pub name: Option<&'static str>,
    /// What helps against its like.
    pub class: Option<ErrorClass>,
    /// What it means.
    pub meaning: Option<&'static str>,
    /// What helps.
    pub remedy: Option<&'static str>,
}

impl CodeLine {
    pub(crate) fn new(code: HResult, devices: u64) -> Self {
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

/// A known issue that holds devices of a rollout, or devices that it goes on without.
#[derive(Debug, Serialize)]
pub struct HoldLine {
    /// As it was added.
    #[serde(flatten)]
    pub stored: holds::Stored,
    /// Devices that the sequence is for and that have not started.
    pub held: u64,
}

/// A rollout with everything people ask about it.
#[derive(Debug, Serialize)]
pub struct RolloutPage {
    /// As in lists.
    #[serde(flatten)]
    pub line: RolloutLine,
    /// Halts that an admin cleared.
    pub cleared: Vec<HaltCause>,
    /// Rings, first ring first.
    pub stages: Vec<StageLine>,
    /// What the evidence says.
    pub counts: Counts,
    /// Devices by class.
    pub population: BTreeMap<String, u64>,
    /// Devices by how far they are.
    pub assignments: BTreeMap<String, u64>,
    /// Known issues and exclusions, the oldest first.
    pub holds: Vec<HoldLine>,
    /// Its removal from devices on which it succeeded, where somebody wanted that.
    pub rollback: Option<Rollback>,
    /// "4 of 496; brakes at 16, halts at 21", by stream and cohort.
    pub halt: Vec<Watch>,
    /// Baselines of the halt test.
    pub baselines: HaltPolicy,
    /// Error codes, the most frequent first.
    pub codes: Vec<CodeLine>,
    /// Newest requests.
    pub requests: Vec<RequestLine>,
    /// The request by which people agreed that it be expedited.
    pub expedited: Option<RequestId>,
}

impl RolloutPage {
    /// Reads it; the caller's transaction makes it one moment.
    pub async fn read(
        conn: &mut PgConnection,
        catalogue: &Catalogue,
        stored: Stored,
    ) -> anyhow::Result<Self> {
        let (id, cleared) = (stored.rollout.id, stored.rollout.cleared.clone());
        let baselines = stored.rollout.halt.clone();
        let seen = evidence::of_rollout(&mut *conn, id.0).await?;
        let mut by_ring = ByRing::read(&mut *conn, id.0).await?;
        let on = holds::on(&mut *conn, &[stored.rollout.track.0]).await?;
        let mine = on
            .into_iter()
            .filter(|h| h.concerns(id.0, stored.rollout.digest));
        let held = mine.map(|stored| HoldLine {
            held: by_ring.held.get(&stored.hold.id).copied().unwrap_or(0),
            stored,
        });
        let held: Vec<HoldLine> = held.collect();
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
            holds: held,
            rollback: rollbacks::of(&mut *conn, id.0).await?,
            halt: table(watches(&seen, &baselines)),
            baselines,
            codes: codes
                .into_iter()
                .map(|(code, n)| CodeLine::new(code, count(n)))
                .collect(),
            requests: listed.into_iter().map(RequestLine::from).collect(),
            expedited: requests::expedited(&mut *conn, id).await?,
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
    held: BTreeMap<HoldId, u64>,
}

impl ByRing {
    async fn read(conn: &mut PgConnection, rollout: Uuid) -> anyhow::Result<Self> {
        let mut population: BTreeMap<Uuid, BTreeMap<String, u64>> = BTreeMap::new();
        let mut held: BTreeMap<HoldId, u64> = BTreeMap::new();
        for ((ring, class), n) in populations::of_rollout(&mut *conn, rollout).await? {
            let under = [
                (populations::HELD, populations::TARGETED),
                (populations::EXCLUDED, "excluded"),
            ];
            let hold = under.iter().find_map(|(prefix, shown)| {
                let id = class.strip_prefix(prefix)?.parse().ok()?;
                Some((HoldId(id), (*shown).to_owned()))
            });
            let class = match hold {
                None => class,
                Some((id, shown)) => {
                    *held.entry(id).or_default() += n;
                    shown
                }
            };
            let ring = population.entry(ring).or_default();
            *ring.entry(class).or_default() += n;
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
            held,
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
