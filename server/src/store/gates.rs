//! The admission lock of a stage, and the generations of a rollout under it.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use engine::ids::CohortId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::count;

/// A stage's gate.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Stage.
    pub stage_id: Uuid,
    /// Permits may be granted.
    pub open: bool,
    /// Grows with every decision that opens or closes it.
    pub version: i64,
    /// Permits granted so far.
    pub granted: i64,
    /// Day of `day_granted` in the track's zone.
    pub day: Option<NaiveDate>,
    /// Permits granted on that day.
    pub day_granted: i64,
}

impl Gate {
    /// Permits granted on a calendar day of the track's zone.
    #[must_use]
    pub fn granted_on(&self, day: NaiveDate) -> u64 {
        if self.day == Some(day) {
            count(self.day_granted)
        } else {
            0
        }
    }
}

/// Locks all gates of a rollout, and returns them, first ring first. Rollouts of the same content on the same track
/// share their evidence, so the gates of all of them are locked, in one order.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut PgConnection, rollout: Uuid) -> sqlx::Result<Vec<Gate>> {
    sqlx::query!(
        "SELECT g.stage_id FROM stage_gate g JOIN rollout o ON o.id = g.rollout_id
         JOIN rollout r ON r.id = $1 AND o.digest = r.digest AND o.track_id = r.track_id
         ORDER BY g.rollout_id, g.position FOR UPDATE OF g",
        rollout,
    )
    .fetch_all(&mut *conn)
    .await?;
    of_rollout(conn, rollout).await
}

/// Locks all gates of a track's rollouts, in the same order: permits that are being granted are granted, and those that
/// come after see what the caller commits.
///
/// # Errors
/// When the database fails.
pub async fn lock_track(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT g.stage_id FROM stage_gate g JOIN rollout r ON r.id = g.rollout_id WHERE r.track_id = $1
         ORDER BY g.rollout_id, g.position FOR UPDATE OF g",
        track,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// The gates of a rollout as they are, first ring first. Good enough for a no; a yes needs [`lock`].
///
/// # Errors
/// When the database fails.
pub async fn of_rollout(conn: &mut PgConnection, rollout: Uuid) -> sqlx::Result<Vec<Gate>> {
    sqlx::query_as!(
        Gate,
        "SELECT stage_id, open, version, granted, day, day_granted FROM stage_gate WHERE rollout_id = $1 ORDER BY position",
        rollout,
    )
    .fetch_all(conn)
    .await
}

/// Opens or closes a gate under the lock; every call counts as a new version.
///
/// # Errors
/// When the database fails.
pub async fn set_open(conn: &mut PgConnection, stage: Uuid, open: bool) -> sqlx::Result<i64> {
    sqlx::query_scalar!("UPDATE stage_gate SET open = $2, version = version + 1 WHERE stage_id = $1 RETURNING version", stage, open)
        .fetch_one(conn)
        .await
}

/// Counts new permits of a stage.
///
/// # Errors
/// When the database fails.
pub async fn count_granted(
    conn: &mut PgConnection,
    stage: Uuid,
    n: i64,
    day: NaiveDate,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE stage_gate SET granted = granted + $2, day_granted = CASE WHEN day = $3 THEN day_granted ELSE 0 END + $2, day = $3
         WHERE stage_id = $1",
        stage, n, day,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Caps of a rollout.
///
/// # Errors
/// When the database fails.
pub async fn caps(conn: &mut PgConnection, rollout: Uuid) -> sqlx::Result<BTreeMap<CohortId, u64>> {
    let rows = sqlx::query!("SELECT cohort, cap FROM cap WHERE rollout_id = $1", rollout)
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|r| (CohortId(r.cohort), count(r.cap)))
        .collect())
}

/// Stores caps that changed.
///
/// # Errors
/// When the database fails.
pub async fn save_caps(
    conn: &mut PgConnection,
    rollout: Uuid,
    caps: &BTreeMap<CohortId, u64>,
) -> anyhow::Result<()> {
    let cohorts: Vec<i16> = caps.keys().map(|c| c.0).collect();
    let values: Vec<i64> = caps
        .values()
        .map(|c| i64::try_from(*c))
        .collect::<Result<_, _>>()?;
    sqlx::query!(
        "INSERT INTO cap (rollout_id, cohort, cap) SELECT $1, * FROM UNNEST($2::smallint[], $3::bigint[])
         ON CONFLICT (rollout_id, cohort) DO UPDATE SET cap = excluded.cap WHERE cap.cap <> excluded.cap",
        rollout, &cohorts, &values,
    )
    .execute(conn)
    .await?;
    Ok(())
}
