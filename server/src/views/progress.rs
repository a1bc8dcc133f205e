//! What people look at while a rollout goes on, beside [`super::RolloutPage`]: what limits it, how far it is from a
//! halt, where devices fail, and what happened last.

use std::collections::BTreeMap;

use engine::Snapshot;
use engine::evidence::CohortKind;
use engine::halt::{Boundary, Watch, boundary, watches};
use engine::ids::{CohortId, RolloutId};
use servicing::KbNumber;
use sqlx::PgConnection;
use uuid::Uuid;

use super::AdmissionLine;
use crate::store::progress::{self, Happened, ModelTrouble, Moved};

/// Lines of what happened last.
const NEWEST: i64 = 10;

/// How a rollout goes on.
#[derive(Debug)]
pub struct RolloutProgress {
    /// Devices of each ring by what there is to say of them first.
    pub states: BTreeMap<Uuid, BTreeMap<String, u64>>,
    /// What limits the ring that is open.
    pub admission: Option<AdmissionLine>,
    /// The line that failures of all devices must not reach, for as many devices as the picture shows.
    pub boundary: Boundary,
    /// Devices up to which the line goes.
    pub up_to: u64,
    /// All devices, stream by stream.
    pub all: Vec<Watch>,
    /// The cohort of each kind that is nearest to a halt.
    pub nearest: Vec<(CohortKind, Watch)>,
    /// Started devices by model and by what went wrong.
    pub troubles: Vec<ModelTrouble>,
    /// Newest decisions.
    pub decided: Vec<Happened>,
    /// Devices that moved last.
    pub moved: Vec<Moved>,
    /// Rollouts it took over from.
    pub supersedes: Vec<(RolloutId, KbNumber)>,
}

impl RolloutProgress {
    /// Reads it; the caller's transaction makes it one moment with the snapshot.
    pub async fn read(conn: &mut PgConnection, snapshot: &Snapshot) -> anyhow::Result<Self> {
        let id = snapshot.rollout.id;
        let mut states: BTreeMap<Uuid, BTreeMap<String, u64>> = BTreeMap::new();
        for (ring, state, n) in progress::by_state(&mut *conn, id.0).await? {
            states.entry(ring).or_default().insert(state, n);
        }
        let policy = &snapshot.rollout.halt;
        let (all, cohorts): (Vec<Watch>, Vec<Watch>) = watches(&snapshot.evidence, policy)
            .into_iter()
            .partition(|w| w.cohort == CohortId::ALL);
        let up_to = up_to(snapshot.evidence.all.started);
        Ok(Self {
            states,
            admission: AdmissionLine::read(&mut *conn, snapshot).await?,
            boundary: boundary(up_to, policy),
            up_to,
            all,
            nearest: nearest(snapshot, cohorts),
            troubles: progress::troubles(&mut *conn, id.0).await?,
            decided: progress::decided(&mut *conn, id.0, NEWEST).await?,
            moved: progress::moved(&mut *conn, id.0, NEWEST).await?,
            supersedes: progress::superseded_by(conn, id).await?,
        })
    }
}

/// A round number of devices with some room for those to come.
fn up_to(started: u64) -> u64 {
    let need = started.saturating_add(started / 5).max(20);
    let ten = 10_u64.saturating_pow(need.ilog10());
    [ten, ten * 2, ten * 3, ten * 4, ten * 5, ten * 6, ten * 8]
        .into_iter()
        .find(|round| *round >= need)
        .unwrap_or(ten.saturating_mul(10))
}

/// Of each kind the cohort with the fewest failures left to a halt; of several the one with more failures.
fn nearest(snapshot: &Snapshot, cohorts: Vec<Watch>) -> Vec<(CohortKind, Watch)> {
    let mut nearest: BTreeMap<CohortKind, Watch> = BTreeMap::new();
    let left = |w: &Watch| {
        let more = w
            .halts_at
            .map_or(u64::MAX, |at| at.saturating_sub(w.failures));
        (more, u64::MAX - w.failures)
    };
    for watch in cohorts {
        let Some(cohort) = snapshot.evidence.cohorts.get(&watch.cohort) else {
            continue;
        };
        let known = nearest.get(&cohort.kind);
        if known.is_none_or(|known| left(&watch) < left(known)) {
            nearest.insert(cohort.kind, watch);
        }
    }
    nearest.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_with_room() {
        let ends: Vec<u64> = [0, 5, 17, 496, 9_000, 149_000].map(up_to).to_vec();
        assert_eq!(ends, [20, 20, 20, 600, 20_000, 200_000]);
    }
}
