//! How many devices of a rollout there is the same to say of. Counters beside the assignments, written in the same
//! transactions: lane 0 by permits, the others by the ingest lane of that number. What one lane takes away another may
//! have added, so only the sum over lanes counts.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use engine::assignment::{State, Suspicion};
use sqlx::PgConnection;
use uuid::Uuid;

use super::assignments::Stored;

/// Devices of a rollout that are remembered as those that moved last.
pub const MOVED: usize = 10;

/// What there is to say of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    rollout: Uuid,
    stage: Uuid,
    /// A suspicion, while it stands, else the state.
    word: &'static str,
    /// It says why it can not go on, and is not resolved.
    waits: bool,
    /// Cohort of the model, where a started device failed or is suspected of something.
    model: i16,
    /// Code of its failure; -1 for none.
    code: i64,
}

impl Place {
    /// That of an assignment.
    #[must_use]
    pub fn of(stored: &Stored) -> Self {
        let a = &stored.assignment;
        let (failed, code) = match a.state {
            State::Failed { code, .. } => (true, code),
            State::Remediating { code, .. } | State::RolledBack { code } => (true, Some(code)),
            State::NotRemoved { code } => (false, code),
            _ => (false, None),
        };
        let troubled = a.started && (failed || a.suspicion.is_some());
        Self {
            rollout: stored.rollout,
            stage: stored.stage,
            word: match a.suspicion {
                Some(Suspicion::Hang) => "hang_suspected",
                Some(Suspicion::Lost) => "lost",
                None => a.state.word(),
            },
            waits: stored.not_ready.is_some() && !a.resolved,
            model: stored
                .cohorts
                .first()
                .copied()
                .filter(|_| troubled)
                .unwrap_or(0),
            code: code.map_or(-1, |c| i64::from(c.0)),
        }
    }
}

/// Places of stored assignments as they were read, so that what a transaction makes of them can be counted.
#[derive(Debug, Default)]
pub struct Before(HashMap<(i32, Uuid), (Place, DateTime<Utc>)>);

impl<'a> FromIterator<&'a Stored> for Before {
    fn from_iter<T: IntoIterator<Item = &'a Stored>>(rows: T) -> Self {
        let entry = |s: &Stored| ((s.device_no, s.rollout), (Place::of(s), s.progress_at));
        Self(rows.into_iter().map(entry).collect())
    }
}

/// How counters change, in the order in which rows are locked.
#[derive(Debug, Default)]
pub struct Changes {
    counts: BTreeMap<Place, i64>,
    /// Devices of each rollout that moved, with when.
    moved: BTreeMap<Uuid, Vec<(DateTime<Utc>, i32)>>,
}

impl Changes {
    /// What changes when these assignments are written, each of them once.
    #[must_use]
    pub fn of(before: &Before, after: &[&Stored]) -> Self {
        let mut changes = Self::default();
        for stored in after {
            changes.add(before.0.get(&(stored.device_no, stored.rollout)), stored);
        }
        changes
    }

    fn add(&mut self, before: Option<&(Place, DateTime<Utc>)>, after: &Stored) {
        let place = Place::of(after);
        if before.is_none_or(|(b, _)| *b != place) {
            if let Some((before, _)) = before {
                *self.counts.entry(before.clone()).or_default() -= 1;
            }
            *self.counts.entry(place).or_default() += 1;
        }
        if before.is_none_or(|(_, at)| *at != after.progress_at) {
            let moved = self.moved.entry(after.rollout).or_default();
            moved.push((after.progress_at, after.device_no));
        }
    }
}

/// Writes changes to the rows of a lane.
///
/// # Errors
/// When the database fails.
pub async fn apply(conn: &mut PgConnection, lane: i16, changes: Changes) -> sqlx::Result<()> {
    let counts: Vec<(Place, i64)> = changes
        .counts
        .into_iter()
        .filter(|(_, n)| *n != 0)
        .collect();
    if !counts.is_empty() {
        let column = |c: fn(&Place) -> Uuid| counts.iter().map(|(p, _)| c(p)).collect::<Vec<_>>();
        let words: Vec<String> = counts.iter().map(|(p, _)| p.word.to_owned()).collect();
        sqlx::query!(
            "INSERT INTO standing AS s (rollout_id, stage_id, word, waits, model, code, lane, n)
             SELECT r, g, w, q, m, c, $1, n
             FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::bool[], $6::smallint[], $7::bigint[], $8::bigint[]) AS k (r, g, w, q, m, c, n)
             ON CONFLICT (rollout_id, stage_id, word, waits, model, code, lane) DO UPDATE SET n = s.n + excluded.n",
            lane,
            &column(|p| p.rollout),
            &column(|p| p.stage),
            &words,
            &counts.iter().map(|(p, _)| p.waits).collect::<Vec<_>>(),
            &counts.iter().map(|(p, _)| p.model).collect::<Vec<_>>(),
            &counts.iter().map(|(p, _)| p.code).collect::<Vec<_>>(),
            &counts.iter().map(|(_, n)| *n).collect::<Vec<_>>(),
        )
        .execute(&mut *conn)
        .await?;
    }
    for (rollout, mut moved) in changes.moved {
        moved.sort_by_key(|(at, no)| (std::cmp::Reverse(*at), *no));
        moved.truncate(MOVED);
        let device_nos: Vec<i32> = moved.into_iter().map(|(_, no)| no).collect();
        // What was here before stays behind what came now, each device once.
        sqlx::query!(
            "INSERT INTO moved_last AS m (rollout_id, lane, device_nos) VALUES ($1, $2, $3)
             ON CONFLICT (rollout_id, lane) DO UPDATE SET device_nos = ARRAY(
                 SELECT d FROM UNNEST(excluded.device_nos || m.device_nos) WITH ORDINALITY AS u (d, i) GROUP BY d ORDER BY min(i) LIMIT $4)",
            rollout,
            lane,
            &device_nos,
            i64::try_from(MOVED).unwrap_or(i64::MAX),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
