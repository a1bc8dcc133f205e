//! One transaction of permits. Lock order: the rollout's gates ascending, cursors and assignments ascending,
//! evidence by key, lanes.

mod admit;
mod check;
mod save;

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::admission::Asker;
use engine::ids::{CohortId, RolloutId};
use servicing::{Build, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Answer, Ask, Shared};
use crate::store::assignments::{self, PlannedStep, Stored};
use crate::store::devices::{self, Device};
use crate::store::gates::{self, Gate};
use crate::store::rollouts::{self, StoredStage};
use crate::store::{evidence, populations, service_clock};

/// Decides the asks of one rollout.
pub(in crate::permits) async fn grant(
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
