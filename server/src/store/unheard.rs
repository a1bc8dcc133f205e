//! Devices with a permit of which nothing was heard since: for the gate's question whether reports can be trusted to have arrived.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::PgConnection;
use uuid::Uuid;

use super::count;

/// A rollout with a stage that is open and has not passed.
#[derive(Debug)]
pub struct Deploying {
    /// Rollout.
    pub rollout: Uuid,
    /// Zone of its track.
    pub time_zone: Tz,
    /// When its devices were counted last; none: not yet.
    pub counted_at: Option<DateTime<Utc>>,
}

/// Rollouts whose gate may be read.
///
/// # Errors
/// When the database fails.
pub async fn deploying(conn: &mut PgConnection) -> anyhow::Result<Vec<Deploying>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, t.time_zone, min(COALESCE(u.at, '-infinity')) = '-infinity' AS "is_new!", min(u.at) AS counted_at
           FROM rollout r JOIN track t ON t.id = r.track_id
           JOIN stage s ON s.rollout_id = r.id AND s.state ->> 'state' IN ('deploying', 'soaking')
           LEFT JOIN unheard u ON u.stage_id = s.id
           WHERE r.phase IN ('active', 'paused', 'halted') GROUP BY r.id, t.time_zone"#,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Deploying {
                rollout: r.id,
                time_zone: r.time_zone.parse().map_err(anyhow::Error::msg)?,
                counted_at: r.counted_at.filter(|_| !r.is_new),
            })
        })
        .collect()
}

/// Devices that may not work: revoked ones, and those that nobody admitted. Nothing is heard of them.
///
/// # Errors
/// When the database fails.
pub async fn shut_out(conn: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "SELECT device_no FROM device WHERE status <> 'admitted' ORDER BY device_no"
    )
    .fetch_all(conn)
    .await
}

/// Counts for a rollout's open stages, as its evidence is read: of `silent` devices, each with its last contact or none, those
/// with a permit, and without an outcome before that contact.
///
/// # Errors
/// When the database fails.
pub async fn note(
    conn: &mut PgConnection,
    rollout: Uuid,
    at: DateTime<Utc>,
    silent: &[(i32, Option<DateTime<Utc>>)],
) -> sqlx::Result<()> {
    let (device_nos, contacts): (Vec<i32>, Vec<Option<DateTime<Utc>>>) =
        silent.iter().copied().unzip();
    sqlx::query!(
        "INSERT INTO unheard (stage_id, at, devices)
         SELECT m.id, $2, (
             SELECT count(DISTINCT a.device_no)
             FROM UNNEST($3::int[], $4::timestamptz[]) AS k (device_no, contact)
             JOIN assignment a ON a.device_no = k.device_no AND a.counted & 1 = 1
             JOIN stage s ON s.id = a.stage_id AND s.ring_id = m.ring_id AND (r.scope = 'track' OR s.rollout_id = r.id)
             JOIN rollout o ON o.id = s.rollout_id AND o.digest = r.digest
             WHERE k.contact IS NULL OR k.contact <= a.progress_at
                OR a.state NOT IN ('succeeded', 'failed', 'rolled_back', 'removed', 'not_removed', 'not_applicable', 'installed_elsewhere'))
         FROM rollout r JOIN stage m ON m.rollout_id = r.id AND m.state ->> 'state' IN ('deploying', 'soaking')
         WHERE r.id = $1
         ON CONFLICT (stage_id) DO UPDATE SET at = EXCLUDED.at, devices = EXCLUDED.devices",
        rollout,
        at,
        &device_nos,
        &contacts as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The counts of a rollout's stages that are not older than `since`.
///
/// # Errors
/// When the database fails.
pub async fn of_stages(
    conn: &mut PgConnection,
    rollout: Uuid,
    since: DateTime<Utc>,
) -> sqlx::Result<HashMap<Uuid, u64>> {
    let rows = sqlx::query!(
        "SELECT u.stage_id, u.devices FROM unheard u JOIN stage s ON s.id = u.stage_id WHERE s.rollout_id = $1 AND u.at >= $2",
        rollout,
        since,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.stage_id, count(r.devices)))
        .collect())
}
