//! Updates that are removed again from the devices on which they succeeded.

use chrono::{DateTime, Utc};
use serde::Serialize;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

/// The removal of what a rollout rolled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rollback {
    /// The package that is removed.
    pub kb: String,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub started_by: Uuid,
    /// When it began, or began again.
    pub started_at: DateTime<Utc>,
    /// When somebody stopped it; none: devices are ordered to remove it.
    pub stopped_at: Option<DateTime<Utc>>,
}

impl Rollback {
    /// Devices are ordered to remove it.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.stopped_at.is_none()
    }
}

/// That of a rollout, also one that was stopped.
///
/// # Errors
/// When the database fails.
pub async fn of(conn: &mut PgConnection, rollout: Uuid) -> sqlx::Result<Option<Rollback>> {
    sqlx::query_as!(
        Rollback,
        "SELECT kb, reason, started_by, started_at, stopped_at FROM rollback WHERE rollout_id = $1",
        rollout,
    )
    .fetch_optional(conn)
    .await
}

/// Whether this content is being removed on a track.
///
/// # Errors
/// When the database fails.
pub async fn is_on(conn: &mut PgConnection, track: Uuid, digest: Sha256) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM rollback b JOIN rollout r ON r.id = b.rollout_id
                          WHERE b.stopped_at IS NULL AND r.track_id = $1 AND r.digest = $2) AS "on!""#,
        track,
        digest.as_bytes().as_slice(),
    )
    .fetch_one(conn)
    .await
}

/// Starts one, also one that was stopped before.
///
/// # Errors
/// When the database fails.
pub async fn start(conn: &mut PgConnection, rollout: Uuid, new: &Rollback) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO rollback (rollout_id, kb, reason, started_by, started_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (rollout_id) DO UPDATE SET kb = excluded.kb, reason = excluded.reason, started_by = excluded.started_by,
            started_at = excluded.started_at, stopped_at = NULL",
        rollout, new.kb, new.reason, new.started_by, new.started_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stops one; false where none is on.
///
/// # Errors
/// When the database fails.
pub async fn stop(
    conn: &mut PgConnection,
    rollout: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE rollback SET stopped_at = $2 WHERE rollout_id = $1 AND stopped_at IS NULL",
        rollout,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}
