//! Change freezes of tracks.

use chrono::{DateTime, Utc};
use engine::admission::Freeze;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::tracks::zone;

/// A freeze that is on or to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Id.
    pub id: Uuid,
    /// First moment in which nothing starts.
    pub starts: DateTime<Utc>,
    /// From here on devices start again.
    pub ends: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Who added it.
    pub added_by: Uuid,
}

/// What time it is for the rollouts of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Service clock; the caller's before its first tick.
    pub service_now: DateTime<Utc>,
    /// The freeze that is on; of several the one that ends last.
    pub freeze: Option<Freeze>,
}

/// Reads it. The service clock stands still in outages and is behind then: a freeze begins by whichever clock comes first and
/// ends by the service clock, so it is never shorter than people planned it.
///
/// # Errors
/// When the database fails.
pub async fn moment(
    conn: &mut PgConnection,
    track: Uuid,
    now: DateTime<Utc>,
) -> anyhow::Result<Moment> {
    let row = sqlx::query!(
        r#"SELECT c.now AS "service_now?", t.time_zone, f.ends AS "ends?", f.reason AS "reason?"
           FROM track t LEFT JOIN service_clock c ON true LEFT JOIN LATERAL (
               SELECT ends, reason FROM change_freeze
               WHERE track_id = t.id AND lifted_at IS NULL AND starts <= GREATEST(c.now, $2) AND ends > COALESCE(c.now, $2)
               ORDER BY ends DESC LIMIT 1) AS f ON true
           WHERE t.id = $1"#,
        track,
        now,
    )
    .fetch_one(conn)
    .await?;
    let zone = zone(&row.time_zone)?;
    Ok(Moment {
        service_now: row.service_now.unwrap_or(now),
        freeze: row.ends.zip(row.reason).map(|(until, reason)| Freeze {
            until,
            zone,
            reason,
        }),
    })
}

/// Freezes of a track that are not over, the next one first.
///
/// # Errors
/// When the database fails.
pub async fn planned(
    conn: &mut PgConnection,
    track: Uuid,
    service_now: DateTime<Utc>,
) -> sqlx::Result<Vec<Planned>> {
    sqlx::query_as!(
        Planned,
        "SELECT id, starts, ends, reason, added_by FROM change_freeze
         WHERE track_id = $1 AND lifted_at IS NULL AND ends > $2 ORDER BY starts, id",
        track,
        service_now,
    )
    .fetch_all(conn)
    .await
}

/// Adds one.
///
/// # Errors
/// When the database fails.
pub async fn add(conn: &mut PgConnection, track: Uuid, freeze: &Planned) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO change_freeze (id, track_id, starts, ends, reason, added_by) VALUES ($1, $2, $3, $4, $5, $6)",
        freeze.id, track, freeze.starts, freeze.ends, freeze.reason, freeze.added_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lifts one that is not over; none where there is no such freeze on the track.
///
/// # Errors
/// When the database fails.
pub async fn lift(
    conn: &mut PgConnection,
    track: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
    service_now: DateTime<Utc>,
) -> sqlx::Result<Option<Planned>> {
    sqlx::query_as!(
        Planned,
        "UPDATE change_freeze SET lifted_at = $3 WHERE id = $2 AND track_id = $1 AND lifted_at IS NULL AND ends > $4
         RETURNING id, starts, ends, reason, added_by",
        track,
        id,
        now,
        service_now,
    )
    .fetch_optional(conn)
    .await
}
