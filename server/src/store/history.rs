//! What became of the updates that completed on a track: what a halt test takes for usual.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::halt::{History, Pace};
use engine::ids::{CohortId, TrackId};
use servicing::Sha256;
use sqlx::PgConnection;

use super::{count, from_word};

/// How far back updates teach what is usual.
pub const DAYS: i64 = 365;

/// By cohort and for all devices, what became of other content whose rollouts passed every ring of a track, were written
/// after a time and were not withdrawn. Of updates that were stopped nothing is learned: they were not good.
///
/// # Errors
/// When the database fails.
pub async fn of_track(
    conn: &mut PgConnection,
    track: TrackId,
    but: Sha256,
    after: DateTime<Utc>,
) -> anyhow::Result<BTreeMap<CohortId, History>> {
    let rows = sqlx::query!(
        r#"SELECT e.cohort, c.kind AS "kind?", count(DISTINCT e.digest) AS "updates!", sum(e.started)::bigint AS "devices!",
                  sum(e.failed)::bigint AS "failed!", sum(e.severe)::bigint AS "severe!"
           FROM rollout r JOIN sequence q ON q.id = r.sequence_id JOIN stage s ON s.rollout_id = r.id
           JOIN evidence e ON e.stage_id = s.id AND e.digest = r.digest LEFT JOIN cohort c ON c.id = e.cohort
           WHERE r.track_id = $1 AND r.digest <> $2 AND r.created_at > $3 AND q.state = 'published'
             AND NOT EXISTS (SELECT FROM stage o WHERE o.rollout_id = r.id AND o.phase <> 'passed')
             AND (e.cohort = 0 OR c.value <> 'other')
           GROUP BY e.cohort, c.kind"#,
        track.0,
        &but.as_bytes()[..],
        after,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let history = History {
                kind: r.kind.map(|k| from_word("cohort kind", k)).transpose()?,
                updates: u32::try_from(r.updates)?,
                devices: count(r.devices),
                failed: count(r.failed),
                severe: count(r.severe),
            };
            Ok((CohortId(r.cohort), history))
        })
        .collect()
}

/// Of each update so many devices are looked at for its pace: a percentile needs no more, and a start waits for it.
const PACED: i64 = 5_000;

/// How long other content took whose rollouts passed every ring of a track, as for [`of_track`].
///
/// # Errors
/// When the database fails.
pub async fn pace(
    conn: &mut PgConnection,
    track: TrackId,
    but: Sha256,
    after: DateTime<Utc>,
) -> anyhow::Result<Pace> {
    let row = sqlx::query!(
        r#"SELECT count(DISTINCT r.digest) AS "updates!", count(*) AS "devices!",
                  percentile_disc(0.99) WITHIN GROUP (ORDER BY a.took_s) AS p99_s
           FROM rollout r JOIN sequence q ON q.id = r.sequence_id
           CROSS JOIN LATERAL (SELECT took_s FROM assignment
               WHERE rollout_id = r.id AND state = 'succeeded' AND took_s IS NOT NULL LIMIT $4) AS a
           WHERE r.track_id = $1 AND r.digest <> $2 AND r.created_at > $3 AND q.state = 'published'
             AND NOT EXISTS (SELECT FROM stage o WHERE o.rollout_id = r.id AND o.phase <> 'passed')"#,
        track.0,
        &but.as_bytes()[..],
        after,
        PACED,
    )
    .fetch_one(conn)
    .await?;
    Ok(Pace {
        updates: u32::try_from(row.updates)?,
        devices: count(row.devices),
        p99_s: count(row.p99_s.unwrap_or(0)),
    })
}
