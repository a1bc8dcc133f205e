//! What a new rollout would meet, read without any lock: nothing here changes anything or keeps others from it.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::populations::Group;

/// Counts these devices of a track as [`super::populations::scan`] would if a rollout for them started now.
///
/// # Errors
/// When the database fails.
pub async fn groups(
    conn: &mut PgConnection,
    track: Uuid,
    listed: &[i32],
) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        r#"SELECT ring_id, product, base, ubr, series, edition, architecture, false AS "started!", count(*) AS "n!"
           FROM device WHERE track_id = $1 AND status = 'admitted' AND device_no = ANY($2)
           GROUP BY 1, 2, 3, 4, 5, 6, 7"#,
        track, listed,
    )
    .fetch_all(conn)
    .await
}

/// One device of a sample.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// It as a group of one.
    pub group: Group,
    /// Its cohorts.
    pub cohorts: Vec<i16>,
}

/// Devices out of all, evenly spread by their numbers.
const SPREAD: i32 = 20_000;

/// Devices of each ring beside those: of a small ring there may be none among them.
const OF_RING: i64 = 500;

/// Some admitted devices of the rings: all of them in a small fleet.
///
/// # Errors
/// When the database fails.
pub async fn sample(conn: &mut PgConnection, rings: &[Uuid]) -> sqlx::Result<Vec<Sampled>> {
    let last = sqlx::query_scalar!("SELECT device_no FROM device ORDER BY device_no DESC LIMIT 1")
        .fetch_optional(&mut *conn)
        .await?
        .unwrap_or(0);
    let step = usize::try_from(last / SPREAD + 1).unwrap_or(1);
    let mut numbers: Vec<i32> = (1..=last).step_by(step).collect();
    let of_rings = sqlx::query_scalar!(
        r#"SELECT d.device_no AS "device_no!" FROM UNNEST($1::uuid[]) AS r (ring_id) CROSS JOIN LATERAL (
               SELECT device_no FROM device WHERE ring_id = r.ring_id ORDER BY device_no LIMIT $2) AS d"#,
        rings,
        OF_RING,
    )
    .fetch_all(&mut *conn)
    .await?;
    numbers.extend(of_rings);
    numbers.sort_unstable();
    numbers.dedup();
    of_numbers(conn, rings, &numbers).await
}

/// Those of these devices that are admitted and in one of the rings.
///
/// # Errors
/// When the database fails.
pub async fn of_numbers(
    conn: &mut PgConnection,
    rings: &[Uuid],
    numbers: &[i32],
) -> sqlx::Result<Vec<Sampled>> {
    let rows = sqlx::query!(
        "SELECT ring_id, product, base, ubr, series, edition, architecture, cohorts FROM device
         WHERE device_no = ANY($1) AND ring_id = ANY($2) AND status = 'admitted' ORDER BY device_no",
        numbers,
        rings,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Sampled {
            group: Group {
                ring_id: r.ring_id,
                product: r.product,
                base: r.base,
                ubr: r.ubr,
                series: r.series,
                edition: r.edition,
                architecture: r.architecture,
                started: false,
                n: 1,
            },
            cohorts: r.cohorts,
        })
        .collect())
}

/// A sequence to choose.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Id.
    pub id: Uuid,
    /// KB.
    pub kb: String,
    /// Title.
    pub title: String,
    /// Day of release.
    pub released: Option<NaiveDate>,
}

/// Published sequences, or withdrawn ones; the newest first.
///
/// # Errors
/// When the database fails.
pub async fn sequences(
    conn: &mut PgConnection,
    withdrawn: bool,
    limit: i64,
) -> sqlx::Result<Vec<Offered>> {
    sqlx::query_as!(
        Offered,
        r#"SELECT id, body ->> 'kb' AS "kb!", COALESCE(body ->> 'title', '') AS "title!", (body ->> 'release_date')::date AS released
           FROM sequence WHERE state = CASE WHEN $1 THEN 'withdrawn' ELSE 'published' END
           ORDER BY created_at DESC, id DESC LIMIT $2"#,
        withdrawn,
        limit,
    )
    .fetch_all(conn)
    .await
}
