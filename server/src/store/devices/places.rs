//! Where devices stand in rollouts: which rollout is meant, and how far they are there.

use chrono::{DateTime, Utc};
use servicing::{HResult, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::sha256;

/// A rollout that a device's state can be about.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Rollout.
    pub rollout: Uuid,
    /// Track.
    pub track: Uuid,
    /// For listed devices only.
    pub listed: bool,
    /// Content digest.
    pub digest: Sha256,
}

/// The rollout that is named, else the newest live one of each track (none: of all) and the newer ones that are for
/// listed devices only; newest first. The first one that is for a device is the one its state is about.
///
/// # Errors
/// When the database fails.
pub async fn candidates(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    named: Option<Uuid>,
) -> anyhow::Result<Vec<Candidate>> {
    let rows = sqlx::query!(
        r#"WITH live AS (
               SELECT * FROM rollout
               WHERE CASE WHEN $2::uuid IS NULL THEN phase IN ('scheduled', 'active', 'paused', 'halted', 'completed') ELSE id = $2 END
                 AND ($1::uuid[] IS NULL OR track_id = ANY($1)))
           SELECT id AS "id!", track_id AS "track_id!", scope = 'listed' AS "listed!", digest AS "digest!" FROM live AS r
           WHERE created_at >= COALESCE((SELECT max(t.created_at) FROM live AS t WHERE t.track_id = r.track_id AND t.scope = 'track'), created_at)
           ORDER BY created_at DESC, id DESC"#,
        tracks, named,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Candidate {
                rollout: r.id,
                track: r.track_id,
                listed: r.listed,
                digest: sha256(&r.digest)?,
            })
        })
        .collect()
}

/// What decides whether a sequence is for a device.
#[derive(Debug, Clone)]
pub struct Platform {
    /// `client` or `server`.
    pub product: String,
    /// Base build.
    pub base: i32,
    /// Update build revision.
    pub ubr: i32,
    /// Series.
    pub series: String,
    /// Edition.
    pub edition: String,
    /// Architecture.
    pub architecture: String,
}

/// The platforms that there are on a track.
///
/// # Errors
/// When the database fails.
pub async fn platforms(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<Vec<Platform>> {
    sqlx::query_as!(
        Platform,
        "SELECT product, base, ubr, series, edition, architecture FROM device_kind WHERE track_id = $1
         GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0",
        track,
    )
    .fetch_all(conn)
    .await
}

/// Which of these devices are listed for which of these rollouts.
///
/// # Errors
/// When the database fails.
pub async fn listed(
    conn: &mut PgConnection,
    rollouts: &[Uuid],
    device_nos: &[i32],
) -> sqlx::Result<Vec<(Uuid, i32)>> {
    let rows = sqlx::query!(
        "SELECT rollout_id, device_no FROM rollout_device WHERE rollout_id = ANY($1) AND device_no = ANY($2)",
        rollouts,
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.rollout_id, r.device_no))
        .collect())
}

/// How far a device is in a rollout.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Rollout.
    pub rollout: Uuid,
    /// Device.
    pub device_no: i32,
    /// State, or the suspicion that stands.
    pub word: String,
    /// Step it is at; 0 where there is none.
    pub step: i16,
    /// Steps of its plan.
    pub steps: i16,
    /// Code of its failure.
    pub code: Option<HResult>,
    /// Why it says that it can not go on.
    pub not_ready: Option<String>,
    /// When it last moved, service clock.
    pub progress_at: DateTime<Utc>,
}

/// How far these devices are in these rollouts, where they have begun.
///
/// # Errors
/// When the database fails.
pub async fn progress(
    conn: &mut PgConnection,
    rollouts: &[Uuid],
    device_nos: &[i32],
) -> sqlx::Result<Vec<Progress>> {
    let rows = sqlx::query!(
        r#"SELECT rollout_id, device_no, CASE suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE state END AS "word!",
                  step, steps, code, CASE WHEN counted & 2 = 0 THEN not_ready END AS not_ready, progress_at
           FROM assignment WHERE rollout_id = ANY($1) AND device_no = ANY($2)"#,
        rollouts, device_nos,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Progress {
            rollout: r.rollout_id,
            device_no: r.device_no,
            word: r.word,
            step: r.step,
            steps: r.steps,
            code: r.code.map(|c| HResult(c.cast_unsigned())),
            not_ready: r.not_ready,
            progress_at: r.progress_at,
        })
        .collect())
}
