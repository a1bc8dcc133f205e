//! Tracks and their rings.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use engine::ids::{RingId, TrackId};
use engine::policy::Percent;
use engine::ring::{Query, RingRule};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// A track.
#[derive(Debug, Clone, Serialize)]
pub struct Track {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// Working days and calendar days are those of this zone.
    pub time_zone: Tz,
}

/// A ring as it is defined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ring {
    /// Id.
    pub id: Uuid,
    /// Track.
    pub track_id: Uuid,
    /// Place in the track, from 0.
    pub position: i16,
    /// Name.
    pub name: String,
    /// Device query; none: every device.
    pub query: Option<String>,
    /// Share of the matching devices, percent.
    pub share: Option<f64>,
    /// Grows when the membership rule changes.
    pub revision: i32,
}

impl Ring {
    /// The rule by which devices are placed.
    ///
    /// # Errors
    /// When a stored query does not parse, which saving prevents.
    pub fn rule(&self) -> anyhow::Result<RingRule> {
        let query = self
            .query
            .as_deref()
            .map(Query::parse)
            .transpose()
            .map_err(|e| anyhow::anyhow!("ring {}: {e}", self.name))?;
        Ok(RingRule {
            ring: RingId(self.id),
            query,
            share: self.share.map(Percent),
        })
    }
}

pub(super) fn zone(name: &str) -> anyhow::Result<Tz> {
    name.parse()
        .map_err(|_| anyhow::anyhow!("stored time zone {name} is unknown"))
}

/// Adds a track.
///
/// # Errors
/// When the name is taken or the database fails.
pub async fn add(conn: &mut PgConnection, track: &Track, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO track (id, name, time_zone, created_at) VALUES ($1, $2, $3, $4)",
        track.id,
        track.name,
        track.time_zone.name(),
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All tracks, by name.
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut PgConnection) -> anyhow::Result<Vec<Track>> {
    let rows = sqlx::query!("SELECT id, name, time_zone FROM track ORDER BY name")
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Track {
                id: r.id,
                name: r.name,
                time_zone: zone(&r.time_zone)?,
            })
        })
        .collect()
}

/// One track; its row is locked, which puts all decisions of the track in one line.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut PgConnection, id: TrackId) -> anyhow::Result<Option<Track>> {
    let row = sqlx::query!(
        "SELECT id, name, time_zone FROM track WHERE id = $1 FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(Track {
            id: r.id,
            name: r.name,
            time_zone: zone(&r.time_zone)?,
        })
    })
    .transpose()
}

/// Says that a device of the track is about to be placed or counted, until the transaction ends. Whoever starts a
/// rollout or defines rings waits for it, and what comes after that waits for them: see [`hold`]. Taken when the
/// device's row is locked already, and before rings or rollouts are read.
///
/// # Errors
/// When the database fails.
pub async fn share(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 2))",
        track.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits until no device of the track is being placed or counted, and keeps it so until the transaction ends: what is
/// counted now stays true, and rings that are read from now on are the new ones. Taken for milliseconds.
///
/// # Errors
/// When the database fails.
pub async fn hold(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 2))",
        track.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Rings of a track, in order.
///
/// # Errors
/// When the database fails.
pub async fn rings(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<Vec<Ring>> {
    sqlx::query_as!(
        Ring,
        "SELECT id, track_id, position, name, query, share, revision FROM ring WHERE track_id = $1 ORDER BY position",
        track,
    )
    .fetch_all(conn)
    .await
}

/// Adds a ring or writes a new definition of it.
///
/// # Errors
/// When the database fails.
pub async fn save_ring(conn: &mut PgConnection, ring: &Ring) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO ring (id, track_id, position, name, query, share, revision) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET position = excluded.position, name = excluded.name, query = excluded.query,
            share = excluded.share, revision = excluded.revision, epoch = ring.epoch + 1",
        ring.id, ring.track_id, ring.position, ring.name, ring.query, ring.share, ring.revision,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the picture keeps of a ring.
#[derive(Debug, Clone)]
pub struct RingOffer {
    /// Ring.
    pub id: Uuid,
    /// Part of the ETag.
    pub epoch: i64,
    /// A stage of an active rollout is open for it.
    pub open: bool,
}

/// All rings, with whether they are offered something.
///
/// # Errors
/// When the database fails.
pub async fn offers(conn: &mut PgConnection) -> sqlx::Result<Vec<RingOffer>> {
    sqlx::query_as!(
        RingOffer,
        r#"SELECT id, epoch, EXISTS (SELECT FROM stage s JOIN stage_gate g ON g.stage_id = s.id WHERE s.ring_id = ring.id AND g.open) AS "open!"
           FROM ring"#,
    )
    .fetch_all(conn)
    .await
}

/// One track.
///
/// # Errors
/// When the database fails.
pub async fn by_id(conn: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<Track>> {
    let row = sqlx::query!("SELECT id, name, time_zone FROM track WHERE id = $1", id)
        .fetch_optional(conn)
        .await?;
    row.map(|r| {
        Ok(Track {
            id: r.id,
            name: r.name,
            time_zone: zone(&r.time_zone)?,
        })
    })
    .transpose()
}

/// Rings of all tracks, in the order of each.
///
/// # Errors
/// When the database fails.
pub async fn all_rings(conn: &mut PgConnection) -> sqlx::Result<Vec<Ring>> {
    sqlx::query_as!(
        Ring,
        "SELECT id, track_id, position, name, query, share, revision FROM ring ORDER BY track_id, position",
    )
    .fetch_all(conn)
    .await
}

/// Attributes whose values are cohorts of the track's rollouts, in the order of their kinds.
///
/// # Errors
/// When the database fails.
pub async fn cohort_attributes(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<Vec<String>> {
    let names = sqlx::query_scalar!("SELECT cohort_attributes FROM track WHERE id = $1", track);
    Ok(names.fetch_optional(conn).await?.unwrap_or_default())
}

/// Sets them.
///
/// # Errors
/// When the database fails.
pub async fn set_cohort_attributes(
    conn: &mut PgConnection,
    track: Uuid,
    names: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE track SET cohort_attributes = $2 WHERE id = $1",
        track,
        names
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Names of attributes that devices of a track report, with how many values each has.
///
/// # Errors
/// When the database fails.
pub async fn attributes(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT name, count(*) AS "n!" FROM track_attribute WHERE track_id = $1 GROUP BY name ORDER BY name"#,
        track
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.name, r.n)).collect())
}
