//! One transaction of permits. Lock order: the rollout's gates ascending, cursors and assignments ascending,
//! evidence by key, lanes.

mod admit;
mod check;
mod plans;
mod save;

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::admission::{Asker, Freeze};
use engine::evidence::CohortKind;
use engine::hold::Hold;
use engine::ids::{CohortId, RolloutId};
use servicing::Build;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Answer, Ask, Shared};
use crate::store::assignments::{self, PlannedStep, Stored};
use crate::store::devices::{self, Applicant};
use crate::store::gates::{self, Gate};
use crate::store::rollouts::{self, StoredStage};
use crate::store::{self, evidence, freezes, holds, populations};
use plans::Plans;

/// What came of a batch.
pub(in crate::permits) struct Decided {
    /// By device.
    pub answers: HashMap<i32, Answer>,
    /// Nobody may start as things are: the rollout stands, or is full.
    pub full: bool,
}

/// Decides the asks of one rollout. Where it was full a moment ago, `look_first` reads without a lock whether it still
/// is: a no may be stale, and thousands of askers for a few places must not lock thousands of rows. Every yes is
/// decided under the locks.
pub(in crate::permits) async fn grant(
    shared: &Shared,
    rollout: Uuid,
    asks: &[Ask],
    look_first: bool,
) -> anyhow::Result<Decided> {
    if look_first {
        let mut tx = store::reading(&shared.pool).await?;
        if let Some(mut round) = Round::load(
            &mut tx,
            shared,
            rollout,
            asks,
            (Locks::None, Plans::default()),
        )
        .await?
        {
            let halted = round.decide(asks)?;
            if round.changes_nothing() {
                if halted {
                    shared.outcomes.notify_one();
                }
                // Who holds a permit already is told so under the locks: the gate must be open still.
                let (again, mut decided) = round.looked(asks);
                if !again.is_empty() {
                    let confirmed = decide(shared, rollout, &again).await?;
                    decided.answers.extend(confirmed.answers);
                }
                return Ok(decided);
            }
        }
    }
    decide(shared, rollout, asks).await
}

/// Decides under the locks.
async fn decide(shared: &Shared, rollout: Uuid, asks: &[Ask]) -> anyhow::Result<Decided> {
    let plans = Plans::ahead(shared, rollout, asks).await?;
    let mut tx = shared.pool.begin().await?;
    let round = Round::load(&mut tx, shared, rollout, asks, (Locks::All, plans)).await?;
    let Some(mut round) = round else {
        let unknown = || refused("unknown", "There is no such rollout.");
        return Ok(Decided {
            answers: asks.iter().map(|a| (a.device_no, unknown())).collect(),
            full: false,
        });
    };
    let halted = round.decide(asks)?;
    let announced = round.save(&mut tx).await?;
    tx.commit().await?;
    for (_, n, device_nos) in announced {
        shared.picture.advance(&device_nos, n);
    }
    if halted {
        shared.outcomes.notify_one();
    }
    Ok(round.decided())
}

/// Whether a round may grant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locks {
    /// It may: gates and cursors are locked.
    All,
    /// It looks only.
    None,
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
    plans: Plans,
    stages: Vec<StoredStage>,
    gates: Vec<Gate>,
    devices: HashMap<i32, Applicant>,
    listed: HashSet<i32>,
    cursors: BTreeMap<i32, Cursor>,
    assignments: HashMap<i32, Stored>,
    fixed: HashSet<i16>,
    /// Attributes whose values are cohorts, and the ids of those.
    attributes: Vec<(CohortKind, String)>,
    attribute_ids: HashMap<(CohortKind, String), i16>,
    evidence: engine::evidence::Evidence,
    caps: BTreeMap<CohortId, u64>,
    populations: BTreeMap<(Uuid, String), u64>,
    stage_counts: HashMap<Uuid, engine::evidence::Counts>,
    now: DateTime<Utc>,
    service_now: DateTime<Utc>,
    freeze: Option<Freeze>,
    holds: Vec<Hold>,
    candidates: Vec<Candidate>,
    asked: HashSet<i32>,
    answers: HashMap<i32, Answer>,
    granted: Vec<(Stored, bool)>,
    new_caps: BTreeMap<CohortId, u64>,
    granted_per_stage: BTreeMap<Uuid, i64>,
}

impl<'a> Round<'a> {
    async fn load(
        conn: &mut PgConnection,
        shared: &'a Shared,
        id: Uuid,
        asks: &[Ask],
        (locks, mut plans): (Locks, Plans),
    ) -> anyhow::Result<Option<Self>> {
        let gates = match locks {
            Locks::All => gates::lock(&mut *conn, id).await?,
            Locks::None => gates::of_rollout(&mut *conn, id).await?,
        };
        let Some(rollout) = rollouts::by_id(&mut *conn, RolloutId(id)).await? else {
            return Ok(None);
        };
        let mut device_nos: Vec<i32> = asks.iter().map(|a| a.device_no).collect();
        device_nos.sort_unstable();
        device_nos.dedup();
        let cursors = match locks {
            Locks::All => lock_cursors(&mut *conn, &device_nos).await?,
            Locks::None => BTreeMap::new(),
        };
        let assignments =
            assignments::of_pairs(&mut *conn, &vec![id; device_nos.len()], &device_nos).await?;
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
        let applicants = devices::applicants(&mut *conn, &device_nos).await?;
        plans
            .renew(&mut *conn, &sequence, applicants.iter())
            .await?;
        let now = shared.clock.now();
        let holds = holds::on(&mut *conn, &[rollout.rollout.track.0]).await?;
        let holds = holds::of_rollout(&holds, id, rollout.rollout.digest);
        let moment = freezes::moment(&mut *conn, rollout.rollout.track.0, now).await?;
        let (fixed, attributes) = rollouts::cohorts(&mut *conn, id).await?;
        let evidence = evidence::of_rollout(&mut *conn, id).await?;
        let added = evidence
            .cohorts
            .iter()
            .filter(|(_, c)| c.kind.is_attribute());
        let attribute_ids = added
            .map(|(id, c)| ((c.kind, c.value.clone()), id.0))
            .collect();
        Ok(Some(Self {
            shared,
            plans,
            stages,
            gates,
            devices: applicants.into_iter().map(|d| (d.device_no, d)).collect(),
            listed: listed.into_iter().collect(),
            cursors,
            assignments: assignments.into_iter().map(|a| (a.device_no, a)).collect(),
            fixed: fixed.into_iter().collect(),
            attributes: CohortKind::ATTRIBUTES.into_iter().zip(attributes).collect(),
            attribute_ids,
            evidence,
            caps: gates::caps(&mut *conn, id).await?,
            populations: populations::of_rollout(&mut *conn, id).await?,
            stage_counts,
            now,
            service_now: moment.service_now,
            freeze: moment.freeze,
            holds,
            rollout,
            candidates: Vec::new(),
            asked: HashSet::new(),
            answers: HashMap::new(),
            granted: Vec::new(),
            new_caps: BTreeMap::new(),
            granted_per_stage: BTreeMap::new(),
        }))
    }

    /// Answers every ask; true where the evidence says halt.
    fn decide(&mut self, asks: &[Ask]) -> anyhow::Result<bool> {
        for ask in asks {
            self.sort(ask);
        }
        self.admit()
    }

    /// There is nothing to store.
    fn changes_nothing(&self) -> bool {
        let as_stored = |(cohort, cap): (&CohortId, &u64)| self.caps.get(cohort) == Some(cap);
        self.granted.is_empty() && self.new_caps.iter().all(as_stored)
    }

    fn decided(self) -> Decided {
        Decided {
            full: self.granted.is_empty(),
            answers: self.answers,
        }
    }

    /// What a round without locks may answer, and those whom it may not.
    fn looked(self, asks: &[Ask]) -> (Vec<Ask>, Decided) {
        let is_yes =
            |a: &&Ask| matches!(self.answers.get(&a.device_no), Some(Answer::Granted { .. }));
        let again = asks.iter().filter(is_yes).copied().collect();
        (again, self.decided())
    }

    fn gate(&self, stage: Uuid) -> Option<&Gate> {
        self.gates.iter().find(|g| g.stage_id == stage)
    }
}

/// What a permit needs of a device's cursor.
#[derive(Default)]
struct Cursor {
    /// Number of its last event.
    event_no: i64,
    /// Seconds that it was powered on, as it said last.
    powered_s: i64,
}

/// Locks the cursors of these devices, ascending, and returns them.
async fn lock_cursors(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> sqlx::Result<BTreeMap<i32, Cursor>> {
    let rows = sqlx::query!(
        "SELECT device_no, event_no, powered_s FROM device_cursor WHERE device_no = ANY($1) ORDER BY device_no FOR UPDATE",
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let cursor = Cursor {
                event_no: r.event_no,
                powered_s: r.powered_s,
            };
            (r.device_no, cursor)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    /// Code and sentence of each refusal that the sources of this folder name.
    fn refusals() -> Vec<(&'static str, &'static str)> {
        let sources = [
            include_str!("check.rs"),
            include_str!("admit.rs"),
            include_str!("mod.rs"),
        ];
        let mut found = Vec::new();
        for source in sources {
            let code = source.split("#[cfg(test)]").next().unwrap();
            for call in code.split("refused(").skip(1) {
                let mut quoted = call.splitn(5, '"');
                let (before, word) = (quoted.next().unwrap(), quoted.next());
                let (between, sentence) = (quoted.next(), quoted.next());
                let (Some(word), Some(between), Some(sentence)) = (word, between, sentence) else {
                    continue;
                };
                if before.trim().is_empty() && between.trim() == "," {
                    found.push((word, sentence));
                }
            }
        }
        found
    }

    #[test]
    fn every_refusal_of_a_permit_reads_as_a_sentence() {
        let refusals = refusals();
        for (word, sentence) in &refusals {
            let whole = sentence.starts_with(char::is_uppercase) && sentence.ends_with('.');
            assert!(whole, "{word}: {sentence}");
        }
        let table: Vec<String> = refusals
            .iter()
            .map(|(word, sentence)| format!("{word}: {sentence}"))
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
