//! Holds of a track: known issues that hold devices, and exclusions from rollouts.

use chrono::{DateTime, Utc};
use engine::hold::{Hold, HoldKind};
use engine::ids::HoldId;
use engine::ring::Query;
use serde::Serialize;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use super::sha256;

/// A hold that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Which devices, and why.
    #[serde(flatten)]
    pub hold: Hold,
    /// Track.
    pub track: Uuid,
    /// The content that it is about; none: every update of the track.
    pub digest: Option<Sha256>,
    /// The rollout that goes on without the devices.
    pub rollout: Option<Uuid>,
    /// Who looks after it.
    pub owner: Uuid,
    /// Who added it.
    pub added_by: Uuid,
    /// When.
    pub added_at: DateTime<Utc>,
    /// When it ends by itself, service clock; none for an exclusion.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// Whether it is about a rollout of this content.
    #[must_use]
    pub fn concerns(&self, rollout: Uuid, digest: Sha256) -> bool {
        self.rollout.is_none_or(|r| r == rollout) && self.digest.is_none_or(|d| d == digest)
    }
}

/// Those that are about a rollout, in their order.
#[must_use]
pub fn of_rollout(holds: &[Stored], rollout: Uuid, digest: Sha256) -> Vec<Hold> {
    let mine = holds.iter().filter(|h| h.concerns(rollout, digest));
    mine.map(|h| h.hold.clone()).collect()
}

struct Row {
    id: Uuid,
    track_id: Uuid,
    digest: Option<Vec<u8>>,
    rollout_id: Option<Uuid>,
    query: String,
    issue: String,
    owner: Uuid,
    added_by: Uuid,
    added_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Stored {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let kind = match row.rollout_id {
            None => HoldKind::Safeguard,
            Some(_) => HoldKind::Exclusion,
        };
        let query: Result<Query, _> = row.query.parse();
        Ok(Self {
            hold: Hold {
                id: HoldId(row.id),
                kind,
                query: query.map_err(|e| anyhow::anyhow!("the devices of a hold: {e}"))?,
                issue: row.issue,
            },
            track: row.track_id,
            digest: row.digest.as_deref().map(sha256).transpose()?,
            rollout: row.rollout_id,
            owner: row.owner,
            added_by: row.added_by,
            added_at: row.added_at,
            expires_at: row.expires_at,
        })
    }
}

/// Holds of these tracks that are on, but for exclusions from rollouts that are over for good, in the order in which they were added.
///
/// # Errors
/// When the database fails, or what is stored can not be read.
pub async fn on(conn: &mut PgConnection, tracks: &[Uuid]) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, track_id, digest, rollout_id, query, issue, owner, added_by, added_at, expires_at
         FROM device_hold h WHERE track_id = ANY($1) AND ended_at IS NULL AND (rollout_id IS NULL OR EXISTS (
             SELECT FROM rollout r WHERE r.id = h.rollout_id AND r.phase NOT IN ('cancelled', 'superseded', 'withdrawn')))
         ORDER BY added_at, id",
        tracks,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Tracks and ids of holds that end by themselves now.
///
/// # Errors
/// When the database fails.
pub async fn due(
    conn: &mut PgConnection,
    service_now: DateTime<Utc>,
) -> sqlx::Result<Vec<(Uuid, HoldId)>> {
    let rows = sqlx::query!(
        "SELECT track_id, id FROM device_hold WHERE ended_at IS NULL AND expires_at <= $1 ORDER BY expires_at, id",
        service_now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.track_id, HoldId(r.id)))
        .collect())
}

/// Adds one.
///
/// # Errors
/// When the database fails.
pub async fn add(conn: &mut PgConnection, new: &Stored) -> sqlx::Result<()> {
    let digest = new.digest.as_ref().map(|d| &d.as_bytes()[..]);
    sqlx::query!(
        "INSERT INTO device_hold (id, track_id, digest, rollout_id, query, issue, owner, added_by, added_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.hold.id.0, new.track, digest, new.rollout, new.hold.query.to_string(), new.hold.issue, new.owner,
        new.added_by, new.added_at, new.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends one.
///
/// # Errors
/// When the database fails.
pub async fn end(conn: &mut PgConnection, id: HoldId, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE device_hold SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL",
        id.0,
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}
