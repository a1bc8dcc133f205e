//! What the overview asks: where the fleet stands, from counters and single rows alone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::ids::RolloutId;
use servicing::{Build, Product, Sequence, Series};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{count, from_json, from_word};

/// Most rollouts that go on at once, most requests that wait: an overview is not a list.
const MOST: i64 = 100;

/// Admitted devices of a ring that are on the same build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Track.
    pub track: Uuid,
    /// Ring now.
    pub ring: Uuid,
    /// Client or server.
    pub product: Product,
    /// Series.
    pub series: Series,
    /// Build.
    pub build: Build,
    /// Devices.
    pub n: u64,
}

/// Admitted devices by ring and build: of these tracks (none: of all).
///
/// # Errors
/// When the database fails.
pub async fn fleet(conn: &mut PgConnection, tracks: Option<&[Uuid]>) -> anyhow::Result<Vec<Group>> {
    let rows = sqlx::query!(
        r#"SELECT track_id, ring_id, product, series, base, ubr, sum(n)::bigint AS "n!" FROM device_kind
           WHERE status = 'admitted' AND ($1::uuid[] IS NULL OR track_id = ANY($1))
           GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0"#,
        tracks,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Group {
                track: r.track_id,
                ring: r.ring_id,
                product: from_word("product", r.product)?,
                series: from_word("series", r.series)?,
                build: Build {
                    base: u32::try_from(r.base)?,
                    ubr: u32::try_from(r.ubr)?,
                },
                n: count(r.n),
            })
        })
        .collect()
}

/// A ring by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Ring.
    pub id: Uuid,
    /// Track.
    pub track: Uuid,
    /// Name.
    pub name: String,
}

/// Rings, in their order within a track: of these tracks (none: of all).
///
/// # Errors
/// When the database fails.
pub async fn rings(conn: &mut PgConnection, tracks: Option<&[Uuid]>) -> sqlx::Result<Vec<Named>> {
    sqlx::query_as!(
        Named,
        "SELECT id, track_id AS track, name FROM ring WHERE $1::uuid[] IS NULL OR track_id = ANY($1) ORDER BY track_id, position",
        tracks,
    )
    .fetch_all(conn)
    .await
}

/// Rollouts that go on, wait or are stopped, newest first: of these tracks (none: of all).
///
/// # Errors
/// When the database fails.
pub async fn open(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
) -> sqlx::Result<Vec<RolloutId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM rollout
         WHERE phase IN ('scheduled', 'active', 'paused', 'halted') AND ($1::uuid[] IS NULL OR track_id = ANY($1))
         ORDER BY created_at DESC, id DESC LIMIT $2",
        tracks,
        MOST,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RolloutId).collect())
}

/// The newest completed rollout for all devices of each track: of these tracks (none: of all).
///
/// # Errors
/// When the database fails.
pub async fn completed(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
) -> sqlx::Result<Vec<RolloutId>> {
    let ids = sqlx::query_scalar!(
        "SELECT DISTINCT ON (track_id) id FROM rollout
         WHERE phase = 'completed' AND scope = 'track' AND ($1::uuid[] IS NULL OR track_id = ANY($1))
         ORDER BY track_id, created_at DESC, id DESC",
        tracks,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RolloutId).collect())
}

/// Devices of a rollout by ring and by how far they are; those that say why they can not go on count as `not_ready`.
pub type Standing = BTreeMap<(Uuid, Uuid), BTreeMap<String, u64>>;

/// How far the devices of these rollouts are, by rollout and ring.
///
/// # Errors
/// When the database fails.
pub async fn standing(conn: &mut PgConnection, rollouts: &[Uuid]) -> sqlx::Result<Standing> {
    let rows = sqlx::query!(
        r#"SELECT c.rollout_id, s.ring_id,
                  CASE WHEN c.waits AND c.word NOT IN ('hang_suspected', 'lost') THEN 'not_ready' ELSE c.word END AS "state!",
                  sum(c.n)::bigint AS "n!"
           FROM standing c JOIN stage s ON s.id = c.stage_id WHERE c.rollout_id = ANY($1) GROUP BY 1, 2, 3 HAVING sum(c.n) <> 0"#,
        rollouts,
    )
    .fetch_all(conn)
    .await?;
    let mut standing = Standing::new();
    for r in rows {
        let ring = standing.entry((r.rollout_id, r.ring_id)).or_default();
        ring.insert(r.state, count(r.n));
    }
    Ok(standing)
}

/// How far a ring of a rollout is, by counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Devices it is for.
    pub targeted: u64,
    /// Verified in this rollout.
    pub ok: u64,
    /// Verified in other rollouts of the same content.
    pub elsewhere: u64,
}

/// How far these rollouts are, by rollout and ring, from their counters alone.
///
/// # Errors
/// When the database fails.
pub async fn reach(
    conn: &mut PgConnection,
    rollouts: &[Uuid],
) -> sqlx::Result<BTreeMap<(Uuid, Uuid), Reach>> {
    let rows = sqlx::query!(
        r#"SELECT m.rollout_id, m.ring_id, COALESCE(p.n, 0) AS "targeted!", COALESCE(e.ok, 0) AS "ok!", COALESCE(e.elsewhere, 0) AS "elsewhere!"
           FROM rollout r JOIN stage m ON m.rollout_id = r.id
           LEFT JOIN population p ON p.rollout_id = r.id AND p.ring_id = m.ring_id AND p.class = 'targeted'
           LEFT JOIN LATERAL (
               SELECT sum(v.ok) FILTER (WHERE s.id = m.id)::bigint AS ok, sum(v.ok) FILTER (WHERE s.id <> m.id)::bigint AS elsewhere
               FROM stage s JOIN evidence v ON v.stage_id = s.id AND v.digest = r.digest AND v.cohort = 0
               WHERE s.ring_id = m.ring_id AND (r.scope = 'track' OR s.rollout_id = r.id)) AS e ON true
           WHERE r.id = ANY($1)"#,
        rollouts,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let reach = Reach {
                targeted: count(r.targeted),
                ok: count(r.ok),
                elsewhere: count(r.elsewhere),
            };
            ((r.rollout_id, r.ring_id), reach)
        })
        .collect())
}

/// A rollout that was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Rollout.
    pub rollout: RolloutId,
    /// When it stopped last.
    pub at: DateTime<Utc>,
    /// Who stopped it; none: the evidence.
    pub by: Option<Uuid>,
}

/// Rollouts that are halted, and those that were since `since`, the newest halt first: of these tracks (none: of all).
///
/// # Errors
/// When the database fails.
pub async fn stops(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Stop>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, h.at AS "at!", h.actor FROM rollout r CROSS JOIN LATERAL (
             SELECT a.at, a.actor FROM audit a WHERE a.subject = 'rollout:' || r.id AND a.action = 'halted' ORDER BY a.n DESC LIMIT 1) AS h
           WHERE ($1::uuid[] IS NULL OR r.track_id = ANY($1))
             AND (r.phase = 'halted' OR r.id = ANY(ARRAY(
                 SELECT substr(n.subject, 9)::uuid FROM audit n WHERE n.action = 'halted' AND n.at > $2 AND n.subject LIKE 'rollout:%')))
           ORDER BY h.at DESC, r.id LIMIT $3"#,
        tracks,
        since,
        MOST,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Stop {
            rollout: RolloutId(r.id),
            at: r.at,
            by: r.actor,
        })
        .collect())
}

/// A sequence that was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Sequence.
    pub sequence: Uuid,
    /// KB.
    pub kb: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Option<Uuid>,
    /// Why.
    pub reason: String,
    /// What replaces it.
    pub replaced_by: Option<String>,
}

/// Sequences that were withdrawn since `since`, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn pulled(conn: &mut PgConnection, since: DateTime<Utc>) -> sqlx::Result<Vec<Pulled>> {
    sqlx::query_as!(
        Pulled,
        r#"SELECT s.id AS sequence, 'KB' || s.kb AS "kb!", a.at, a.actor AS by, COALESCE(s.withdrawn_reason, '') AS "reason!",
                  'KB' || s.replaced_by AS replaced_by
           FROM sequence s JOIN audit a ON a.subject = 'sequence:' || s.id AND a.action = 'sequence_withdrawn'
           WHERE s.state = 'withdrawn' AND a.at > $1 ORDER BY a.at DESC, s.id LIMIT $2"#,
        since,
        MOST,
    )
    .fetch_all(conn)
    .await
}

/// Sequences that are published and not withdrawn, the newest first: what they bring is known beside the releases that
/// shipped with the program.
///
/// # Errors
/// When the database fails.
pub async fn published(conn: &mut PgConnection) -> anyhow::Result<Vec<Sequence>> {
    let rows = sqlx::query_scalar!(
        "SELECT body FROM sequence WHERE state = 'published' ORDER BY published_at DESC, id LIMIT $1",
        MOST,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|body| from_json("sequence", body))
        .collect()
}

/// What has been set up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// Some track has rings.
    pub rings: bool,
    /// Some enrolment token was made, or a device is here.
    pub enrolment: bool,
    /// Some publisher's key counts.
    pub key: bool,
    /// Some sequence was published.
    pub sequence: bool,
    /// Some rollout was written.
    pub rollout: bool,
}

/// Which of the first steps are done, on these tracks (none: on all).
///
/// # Errors
/// When the database fails.
pub async fn steps(conn: &mut PgConnection, tracks: Option<&[Uuid]>) -> sqlx::Result<Steps> {
    sqlx::query_as!(
        Steps,
        r#"SELECT EXISTS (SELECT FROM ring WHERE $1::uuid[] IS NULL OR track_id = ANY($1)) AS "rings!",
                  EXISTS (SELECT FROM enrolment_token WHERE $1::uuid[] IS NULL OR track_id = ANY($1))
                      OR EXISTS (SELECT FROM device WHERE $1::uuid[] IS NULL OR track_id = ANY($1)) AS "enrolment!",
                  EXISTS (SELECT FROM publisher_key WHERE revoked_at IS NULL) AS "key!",
                  EXISTS (SELECT FROM sequence WHERE state = 'published') AS "sequence!",
                  EXISTS (SELECT FROM rollout WHERE $1::uuid[] IS NULL OR track_id = ANY($1)) AS "rollout!""#,
        tracks,
    )
    .fetch_one(conn)
    .await
}
