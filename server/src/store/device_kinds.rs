//! How many devices there are of each kind: alike in track, ring, status and platform. Kept by triggers of table `device`,
//! which append what a change adds and takes away; readers sum, and never read devices.

use sqlx::PgConnection;
use uuid::Uuid;

use super::count;

/// Devices of a track by ring and status.
///
/// # Errors
/// When the database fails.
pub async fn by_status(
    conn: &mut PgConnection,
    track: Uuid,
) -> sqlx::Result<Vec<(Uuid, String, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT ring_id, status, sum(n)::bigint AS "n!" FROM device_kind WHERE track_id = $1
           GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2"#,
        track,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.ring_id, r.status, count(r.n)))
        .collect())
}

/// Devices that were not revoked, by ring, of all tracks.
///
/// # Errors
/// When the database fails.
pub async fn by_ring(conn: &mut PgConnection) -> sqlx::Result<Vec<(Uuid, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT ring_id, sum(n)::bigint AS "n!" FROM device_kind WHERE status <> 'revoked'
           GROUP BY 1 HAVING sum(n) <> 0 ORDER BY 1"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.ring_id, count(r.n))).collect())
}

/// All devices: of these tracks (none: of all).
///
/// # Errors
/// When the database fails.
pub async fn count_all(conn: &mut PgConnection, tracks: Option<&[Uuid]>) -> sqlx::Result<u64> {
    let n = sqlx::query_scalar!(
        r#"SELECT COALESCE(sum(n), 0)::bigint AS "n!" FROM device_kind WHERE $1::uuid[] IS NULL OR track_id = ANY($1)"#,
        tracks,
    )
    .fetch_one(conn)
    .await?;
    Ok(count(n))
}

/// Folds what was appended since the last time into one row of each kind. In one statement, so that readers see it
/// before or after; of two that fold at once the second one finds nothing.
///
/// # Errors
/// When the database fails.
pub async fn fold(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH appended AS (DELETE FROM device_kind WHERE NOT folded RETURNING *)
         INSERT INTO device_kind AS k (track_id, ring_id, status, product, base, ubr, series, edition, architecture, folded, n)
         SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, true, sum(n) FROM appended
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
         ON CONFLICT (track_id, ring_id, status, product, base, ubr, series, edition, architecture) WHERE folded
         DO UPDATE SET n = k.n + excluded.n",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets kinds of which there is no device any more.
///
/// # Errors
/// When the database fails.
pub async fn prune(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM device_kind WHERE folded AND n = 0")
        .execute(conn)
        .await?;
    Ok(())
}
