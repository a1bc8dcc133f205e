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
