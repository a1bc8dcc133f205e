//! What a new rollout would meet, read without any lock: nothing here changes anything or keeps others from it.

use chrono::NaiveDate;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use super::populations::Group;

/// Counts the devices of a track as [`super::populations::scan`] would if a rollout of this content started now: of
/// the whole track, or of these devices alone.
///
/// # Errors
/// When the database fails.
pub async fn groups(
    conn: &mut PgConnection,
    track: Uuid,
    listed: Option<&[i32]>,
    digest: Sha256,
) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        r#"SELECT COALESCE(s.ring_id, d.ring_id) AS "ring_id!", d.product, d.base, d.ubr, d.series, d.edition, d.architecture,
                  COALESCE(s.started, false) AS "started!", count(*) AS "n!"
           FROM device d LEFT JOIN (
               SELECT DISTINCT ON (a.device_no) a.device_no, g.ring_id, true AS started
               FROM rollout r JOIN assignment a ON a.rollout_id = r.id JOIN stage g ON g.id = a.stage_id
               WHERE $2::int[] IS NULL AND r.track_id = $1 AND r.digest = $3 AND a.counted & 1 = 1
               ORDER BY a.device_no, r.created_at) AS s ON s.device_no = d.device_no
           WHERE d.track_id = $1 AND (d.status = 'admitted' OR s.started) AND ($2::int[] IS NULL OR d.device_no = ANY($2))
           GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"#,
        track, listed, &digest.as_bytes()[..],
    )
    .fetch_all(conn)
    .await
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
