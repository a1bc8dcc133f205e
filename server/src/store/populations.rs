//! Denominators: how many devices of a ring are of which class for a rollout. Counted when it starts, then kept by deltas.

use std::collections::{BTreeMap, HashMap};

use engine::hold::Held;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use super::count;

/// Devices that the sequence is for.
pub const TARGETED: &str = "targeted";

/// What classes begin with whose devices a known issue holds; the hold's id follows. The sequence is for them.
pub const HELD: &str = "held:";

/// What classes begin with whose devices the rollout goes on without; the hold's id follows.
pub const EXCLUDED: &str = "excluded:";

/// Changes of a population by (rollout, ring, class), in the order in which rows are locked.
pub type Changes = BTreeMap<(Uuid, Uuid, String), i64>;

/// Devices alike in all that decides whether a sequence is for them.
#[derive(Debug, Clone)]
pub struct Group {
    /// Ring.
    pub ring_id: Uuid,
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
    /// Already started this content in an earlier rollout of the track: in the denominator for ever.
    pub started: bool,
    /// Devices.
    pub n: i64,
}

/// Counts the devices of a track by group, within the scope of a rollout: those that are admitted, and those that
/// started this content, in the ring where they did and whatever became of them since. Keeps devices of the track from
/// being placed or counted until the transaction ends, so that no delta falls between the count and the commit.
///
/// # Errors
/// When the database fails.
pub async fn scan(
    conn: &mut PgConnection,
    track: Uuid,
    rollout: Uuid,
    listed: bool,
    digest: Sha256,
) -> sqlx::Result<Vec<Group>> {
    super::tracks::hold(&mut *conn, track).await?;
    if !listed {
        return groups(conn, track, Some(rollout), digest).await;
    }
    sqlx::query_as!(
        Group,
        r#"SELECT COALESCE(s.ring_id, d.ring_id) AS "ring_id!", d.product, d.base, d.ubr, d.series, d.edition, d.architecture,
                  COALESCE(s.started, false) AS "started!", count(*) AS "n!"
           FROM rollout_device l JOIN device d USING (device_no) LEFT JOIN LATERAL (
               SELECT g.ring_id, a.counted & 1 = 1 AS started FROM assignment a JOIN stage g ON g.id = a.stage_id
               WHERE a.rollout_id = $2 AND a.device_no = d.device_no) AS s ON true
           WHERE l.rollout_id = $2 AND d.track_id = $1 AND (d.status = 'admitted' OR s.started)
           GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"#,
        track, rollout,
    )
    .fetch_all(conn)
    .await
}

/// The same for all devices of a track, without a lock: from the counts of kinds, but for those that began `rollout` or
/// started this content in another one. These are read one by one, and there are none but where a content is rolled
/// out again.
///
/// # Errors
/// When the database fails.
pub async fn groups(
    conn: &mut PgConnection,
    track: Uuid,
    rollout: Option<Uuid>,
    digest: Sha256,
) -> sqlx::Result<Vec<Group>> {
    let rollouts = sqlx::query_scalar!(
        "SELECT id FROM rollout WHERE track_id = $1 AND (id = $2 OR digest = $3) AND cohorts IS NOT NULL",
        track,
        rollout,
        &digest.as_bytes()[..],
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query_as!(
        Group,
        r#"WITH begun AS MATERIALIZED (
               SELECT s.*, d.ring_id AS own_ring, d.status, d.product, d.base, d.ubr, d.series, d.edition, d.architecture
               FROM (SELECT DISTINCT ON (a.device_no) a.device_no, g.ring_id, a.counted & 1 = 1 AS started
                     FROM assignment a JOIN rollout r ON r.id = a.rollout_id JOIN stage g ON g.id = a.stage_id
                     WHERE a.rollout_id = ANY($3) AND (r.id = $2 OR a.counted & 1 = 1)
                     ORDER BY a.device_no, 3 DESC, r.created_at) AS s
               JOIN device d USING (device_no) WHERE d.track_id = $1 AND (d.status = 'admitted' OR s.started))
           SELECT ring_id AS "ring_id!", product AS "product!", base AS "base!", ubr AS "ubr!", series AS "series!", edition AS "edition!",
                  architecture AS "architecture!", started AS "started!", sum(n)::bigint AS "n!"
           FROM (SELECT ring_id, product, base, ubr, series, edition, architecture, false AS started, n FROM device_kind
                 WHERE track_id = $1 AND status = 'admitted'
                 UNION ALL
                 SELECT own_ring, product, base, ubr, series, edition, architecture, false, -1 FROM begun WHERE status = 'admitted'
                 UNION ALL
                 SELECT ring_id, product, base, ubr, series, edition, architecture, started, 1 FROM begun) AS c
           GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(n) <> 0"#,
        track, rollout, &rollouts,
    )
    .fetch_all(conn)
    .await
}

/// Applies changes.
///
/// # Errors
/// When the database fails.
pub async fn apply(conn: &mut PgConnection, changes: &Changes) -> sqlx::Result<()> {
    let changes: Vec<_> = changes.iter().filter(|(_, n)| **n != 0).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let rollouts: Vec<Uuid> = changes.iter().map(|(k, _)| k.0).collect();
    let rings: Vec<Uuid> = changes.iter().map(|(k, _)| k.1).collect();
    let classes: Vec<String> = changes.iter().map(|(k, _)| k.2.clone()).collect();
    let ns: Vec<i64> = changes.iter().map(|(_, n)| **n).collect();
    sqlx::query!(
        "INSERT INTO population AS p (rollout_id, ring_id, class, n) SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::bigint[])
         ON CONFLICT (rollout_id, ring_id, class) DO UPDATE SET n = p.n + excluded.n",
        &rollouts, &rings, &classes, &ns,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Population of a rollout by ring and class.
///
/// # Errors
/// When the database fails.
pub async fn of_rollout(
    conn: &mut PgConnection,
    rollout: Uuid,
) -> sqlx::Result<BTreeMap<(Uuid, String), u64>> {
    let rows = sqlx::query!(
        "SELECT ring_id, class, n FROM population WHERE rollout_id = $1 AND n <> 0",
        rollout
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| ((r.ring_id, r.class), count(r.n)))
        .collect())
}

/// Devices of a ring that the sequence is for, those that are held included.
#[must_use]
pub fn targeted(population: &BTreeMap<(Uuid, String), u64>, ring: Uuid) -> u64 {
    let classes = population.iter().filter(|((of, _), _)| *of == ring);
    classes
        .filter(|((_, class), _)| class == TARGETED || class.starts_with(HELD))
        .map(|(_, n)| n)
        .sum()
}

/// How many devices a stage is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concerned {
    /// Devices of its ring that the sequence is for, those that are held included.
    pub targeted: u64,
    /// Devices that known issues hold, the oldest issue first.
    pub held: Vec<Held>,
    /// Those that say why they can not go on.
    pub not_ready: u64,
}

/// How many devices each stage of a rollout is for.
///
/// # Errors
/// When the database fails.
pub async fn of_stages(
    conn: &mut PgConnection,
    rollout: Uuid,
) -> sqlx::Result<HashMap<Uuid, Concerned>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, p.class AS "class?", p.n AS "n?", h.issue AS "issue?",
                  (SELECT sum(w.n)::bigint FROM standing w WHERE w.rollout_id = s.rollout_id AND w.stage_id = s.id AND w.waits) AS not_ready
           FROM stage s LEFT JOIN population p
               ON p.rollout_id = s.rollout_id AND p.ring_id = s.ring_id AND p.n > 0 AND (p.class = $2 OR p.class LIKE $3)
           LEFT JOIN device_hold h ON p.class = $4 || h.id::text AND h.ended_at IS NULL
           WHERE s.rollout_id = $1 ORDER BY h.added_at, h.id"#,
        rollout,
        TARGETED,
        format!("{HELD}%"),
        HELD,
    )
    .fetch_all(conn)
    .await?;
    let mut stages: HashMap<Uuid, Concerned> = HashMap::new();
    for row in rows {
        let stage = stages.entry(row.id).or_default();
        stage.not_ready = count(row.not_ready.unwrap_or(0));
        let devices = count(row.n.unwrap_or(0));
        stage.targeted += devices;
        if let Some(issue) = row.issue {
            stage.held.push(Held { issue, devices });
        }
    }
    Ok(stages)
}

/// A rollout whose population is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Rollout.
    pub rollout: Uuid,
    /// For listed devices only.
    pub listed: bool,
    /// Content digest.
    pub digest: Sha256,
}

/// Rollouts of a track whose populations are kept: those that started and are not over.
///
/// # Errors
/// When the database fails.
pub async fn kept(conn: &mut PgConnection, track: Uuid) -> anyhow::Result<Vec<Kept>> {
    let rows = sqlx::query!(
        r#"SELECT id, scope = 'listed' AS "listed!", digest FROM rollout
           WHERE track_id = $1 AND phase IN ('active', 'paused', 'halted', 'completed') ORDER BY id"#,
        track,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Kept {
                rollout: r.id,
                listed: r.listed,
                digest: super::sha256(&r.digest)?,
            })
        })
        .collect()
}

/// Whether a device is listed for a rollout.
///
/// # Errors
/// When the database fails.
pub async fn is_listed(
    conn: &mut PgConnection,
    rollout: Uuid,
    device_no: i32,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM rollout_device WHERE rollout_id = $1 AND device_no = $2) AS "listed!""#,
        rollout, device_no,
    )
    .fetch_one(conn)
    .await
}

/// How far a device is in a rollout, as far as its population asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Begun {
    /// It is listed for it.
    pub listed: bool,
    /// It started this content on this track, or in this rollout where it is for listed devices: it stays in the
    /// denominator for ever, in the ring in which it started.
    pub started: bool,
    /// The ring to which it is pinned, once it has reported there.
    pub pinned: Option<Uuid>,
}

/// How far devices are in a rollout.
///
/// # Errors
/// When the database fails.
pub async fn begun(
    conn: &mut PgConnection,
    kept: &Kept,
    device_nos: &[i32],
) -> sqlx::Result<HashMap<i32, Begun>> {
    let rows = sqlx::query!(
        r#"SELECT k.no AS "no!",
                  EXISTS (SELECT FROM rollout_device l WHERE l.rollout_id = $1 AND l.device_no = k.no) AS "listed!",
                  EXISTS (SELECT FROM assignment a JOIN rollout r ON r.id = a.rollout_id
                          JOIN rollout o ON o.id = $1 AND o.digest = r.digest AND o.track_id = r.track_id
                          WHERE a.device_no = k.no AND a.counted & 1 = 1 AND (NOT $2 OR r.id = o.id)) AS "started!",
                  (SELECT s.ring_id FROM assignment a JOIN stage s ON s.id = a.stage_id
                   WHERE a.rollout_id = $1 AND a.device_no = k.no) AS pinned
           FROM UNNEST($3::int[]) AS k (no)"#,
        kept.rollout, kept.listed, device_nos,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let begun = Begun {
                listed: r.listed,
                started: r.started,
                pinned: r.pinned,
            };
            (r.no, begun)
        })
        .collect())
}

/// Moved devices that are alike in all that decides their class.
#[derive(Debug)]
pub struct MovedGroup {
    /// Where from.
    pub from: Uuid,
    /// Where they are, and how many.
    pub group: Group,
}

/// Of devices that moved, those that count in this rollout where they are: admitted, for it, and not begun in it or
/// with its content. `from` has the ring of each before.
///
/// # Errors
/// When the database fails.
pub async fn moved(
    conn: &mut PgConnection,
    kept: &Kept,
    device_nos: &[i32],
    from: &[Uuid],
) -> sqlx::Result<Vec<MovedGroup>> {
    let rows = sqlx::query!(
        r#"SELECT k.ring AS "ring!", d.ring_id, d.product, d.base, d.ubr, d.series, d.edition, d.architecture, count(*) AS "n!"
           FROM UNNEST($4::int[], $5::uuid[]) AS k (no, ring) JOIN device d ON d.device_no = k.no AND d.status = 'admitted'
           WHERE NOT EXISTS (SELECT FROM assignment a WHERE a.rollout_id = $1 AND a.device_no = k.no)
             AND ($2 OR NOT EXISTS (
                 SELECT FROM assignment a JOIN rollout r ON r.id = a.rollout_id
                 WHERE a.device_no = k.no AND a.counted & 1 = 1 AND r.digest = $3 AND r.track_id = d.track_id))
             AND (NOT $2 OR EXISTS (SELECT FROM rollout_device l WHERE l.rollout_id = $1 AND l.device_no = k.no))
           GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"#,
        kept.rollout, kept.listed, &kept.digest.as_bytes()[..], device_nos, from,
    )
    .fetch_all(conn)
    .await?;
    let moved = rows.into_iter().map(|r| MovedGroup {
        from: r.ring,
        group: Group {
            ring_id: r.ring_id,
            product: r.product,
            base: r.base,
            ubr: r.ubr,
            series: r.series,
            edition: r.edition,
            architecture: r.architecture,
            started: false,
            n: r.n,
        },
    });
    Ok(moved.collect())
}
