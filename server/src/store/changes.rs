//! What replicas must know: changes per lane, numbered in commit order by the lane's row lock.

use sqlx::PgConnection;
use uuid::Uuid;

/// Lane of changes to rings and rollouts.
pub const CONTROL_LANE: i16 = 0;

/// Lanes of changes to devices: as many as there are ingest lanes.
pub const DEVICE_LANES: i16 = 2;

/// The lane that carries a device's changes, so that its version only grows.
#[must_use]
pub fn lane_of(device_no: i32) -> i16 {
    i16::try_from(device_no.rem_euclid(i32::from(DEVICE_LANES))).unwrap_or(0) + 1
}

/// A change as a replica reads it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Lane.
    pub lane: i16,
    /// Number in the lane.
    pub n: i64,
    /// The devices' own rows changed.
    pub registry: bool,
    /// Devices.
    pub device_nos: Vec<i32>,
}

/// What was announced: lane and number, for the local picture.
pub type Announced = Vec<(i16, i64, Vec<i32>)>;

/// Announces devices on their lanes, ascending. The lanes stay locked to the end of the transaction.
///
/// # Errors
/// When the database fails.
pub async fn announce_devices(
    conn: &mut PgConnection,
    device_nos: &[i32],
    registry: bool,
) -> sqlx::Result<Announced> {
    let mut announced = Vec::new();
    for lane in 1..=DEVICE_LANES {
        let mut of_lane: Vec<i32> = device_nos
            .iter()
            .copied()
            .filter(|d| lane_of(*d) == lane)
            .collect();
        if of_lane.is_empty() {
            continue;
        }
        of_lane.sort_unstable();
        of_lane.dedup();
        let n = next(&mut *conn, lane, registry, &of_lane).await?;
        announced.push((lane, n, of_lane));
    }
    Ok(announced)
}

/// Announces that rings or rollouts changed.
///
/// # Errors
/// When the database fails.
pub async fn announce_control(conn: &mut PgConnection) -> sqlx::Result<i64> {
    next(conn, CONTROL_LANE, true, &[]).await
}

async fn next(
    conn: &mut PgConnection,
    lane: i16,
    registry: bool,
    device_nos: &[i32],
) -> sqlx::Result<i64> {
    let n = sqlx::query_scalar!(
        "UPDATE lane SET n = n + 1 WHERE lane = $1 RETURNING n",
        lane
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO change (lane, n, registry, device_nos) VALUES ($1, $2, $3, $4)",
        lane,
        n,
        registry,
        device_nos
    )
    .execute(conn)
    .await?;
    Ok(n)
}

/// Bumps the epoch of rings, which changes the ETag of every poll from them.
///
/// # Errors
/// When the database fails.
pub async fn bump_rings(conn: &mut PgConnection, rings: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE ring SET epoch = epoch + 1 WHERE id = ANY($1)",
        rings
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Numbers of all lanes, lane 0 first.
///
/// # Errors
/// When the database fails.
pub async fn cursors(conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!("SELECT n FROM lane ORDER BY lane")
        .fetch_all(conn)
        .await
}

/// Everything after the cursors, in order, at most `limit` a lane.
///
/// # Errors
/// When the database fails.
pub async fn after(
    conn: &mut PgConnection,
    cursors: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<Change>> {
    let lanes: Vec<i16> = (0..=DEVICE_LANES).collect();
    sqlx::query_as!(
        Change,
        "SELECT c.lane, c.n, c.registry, c.device_nos
         FROM UNNEST($1::smallint[], $2::bigint[]) AS k (lane, n)
         CROSS JOIN LATERAL (SELECT * FROM change WHERE lane = k.lane AND n > k.n ORDER BY n LIMIT $3) AS c
         ORDER BY c.lane, c.n",
        &lanes, cursors, limit,
    )
    .fetch_all(conn)
    .await
}

/// Devices whose own rows changed after the cursors, as far as that is committed.
///
/// # Errors
/// When the database fails.
pub async fn registered_after(conn: &mut PgConnection, cursors: &[i64]) -> sqlx::Result<Vec<i32>> {
    let lanes: Vec<i16> = (0..=DEVICE_LANES).collect();
    sqlx::query_scalar!(
        r#"SELECT DISTINCT UNNEST(c.device_nos) AS "device_no!"
           FROM UNNEST($1::smallint[], $2::bigint[]) AS k (lane, n) JOIN change c ON c.lane = k.lane AND c.n > k.n AND c.registry
           ORDER BY 1"#,
        &lanes, cursors,
    )
    .fetch_all(conn)
    .await
}

/// Forgets changes that every replica has long read. A replica that was away longer loads everything anew.
///
/// # Errors
/// When the database fails.
pub async fn prune(conn: &mut PgConnection) -> sqlx::Result<u64> {
    Ok(
        // The newest of each lane stays: a replica that comes back sees by it what it missed.
        sqlx::query!(
            "DELETE FROM change c USING lane l
             WHERE l.lane = c.lane AND c.n < l.n AND c.at < now() - interval '10 minutes'"
        )
        .execute(conn)
        .await?
        .rows_affected(),
    )
}
