//! Who fell silent during a rollout, and how many could have.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use engine::evidence::{AtRisk, Silence};
use sqlx::PgConnection;
use uuid::Uuid;

use super::count;

/// Class of the advisory locks of this table: any number that nothing else in this database uses.
const LOCK: i32 = 0x53_49_4c;

/// Devices that fell silent during a rollout at one time: an updated one, or so many that were not updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fall {
    /// Rollout.
    pub rollout: Uuid,
    /// The updated device; none: devices that were not updated.
    pub device_no: Option<i32>,
    /// How many.
    pub devices: u64,
    /// When they were heard of for the last time, by the service clock.
    pub since: DateTime<Utc>,
}

/// A rollout of which devices can fall silent.
#[derive(Debug)]
pub struct UnderWay {
    /// Rollout.
    pub rollout: Uuid,
    /// It is for listed devices alone.
    pub listed: bool,
    /// Its rings.
    pub rings: Vec<Uuid>,
    /// Permitted devices.
    pub started: u64,
    /// Permitted and unresolved devices.
    pub unresolved: u64,
    /// When they were counted last; none: not yet.
    pub counted_at: Option<DateTime<Utc>>,
}

/// Rollouts of which devices can fall silent; completed ones while devices of theirs are under way.
///
/// # Errors
/// When the database fails.
pub async fn under_way(conn: &mut PgConnection) -> sqlx::Result<Vec<UnderWay>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.scope = 'listed' AS "listed!", ARRAY(SELECT ring_id FROM stage WHERE rollout_id = r.id) AS "rings!: Vec<Uuid>",
                  e.started AS "started!", e.unresolved AS "unresolved!", (SELECT max(at) FROM at_risk WHERE rollout_id = r.id) AS counted_at
           FROM rollout r CROSS JOIN LATERAL (
               SELECT COALESCE(sum(e.started), 0)::bigint AS started, COALESCE(sum(e.started - e.resolved), 0)::bigint AS unresolved
               FROM stage s JOIN evidence e ON e.stage_id = s.id AND e.digest = r.digest AND e.cohort = 0 WHERE s.rollout_id = r.id) AS e
           WHERE r.phase IN ('active', 'paused', 'halted') OR r.phase = 'completed' AND e.unresolved > 0"#,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| UnderWay {
            rollout: r.id,
            listed: r.listed,
            rings: r.rings,
            started: count(r.started),
            unresolved: count(r.unresolved),
            counted_at: r.counted_at,
        })
        .collect())
}

/// How many of these devices have no permit of a rollout.
///
/// # Errors
/// When the database fails.
pub async fn not_started(
    conn: &mut PgConnection,
    rollout: Uuid,
    device_nos: &[i32],
) -> sqlx::Result<u64> {
    let started = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM assignment WHERE rollout_id = $1 AND device_no = ANY($2) AND counted & 1 = 1"#,
        rollout,
        device_nos,
    )
    .fetch_one(conn)
    .await?;
    Ok((device_nos.len() as u64).saturating_sub(count(started)))
}

/// Notes how many devices of a rollout can fall silent at a time.
///
/// # Errors
/// When the database fails.
pub async fn note_at_risk(
    conn: &mut PgConnection,
    rollout: Uuid,
    at: DateTime<Utc>,
    at_risk: AtRisk,
) -> anyhow::Result<()> {
    sqlx::query!(
        "INSERT INTO at_risk (rollout_id, at, treated, control) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        rollout,
        at,
        i64::try_from(at_risk.treated)?,
        i64::try_from(at_risk.control)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets counts from before a time.
///
/// # Errors
/// When the database fails.
pub async fn forget_at_risk(conn: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM at_risk WHERE at < $1", before)
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds those who fell silent, with how many could have: as counted before and after, less those who had fallen silent within
/// `lost` before and were not known to be lost at the counts. Where nobody counted, nobody was at risk, and it says nothing.
///
/// # Errors
/// When the database fails.
pub async fn add(
    conn: &mut PgConnection,
    falls: &mut [Fall],
    lost: TimeDelta,
) -> anyhow::Result<()> {
    if falls.is_empty() {
        return Ok(());
    }
    falls.sort_by_key(|f| (f.rollout, f.since, f.device_no));
    let rollouts: Vec<Uuid> = falls.iter().map(|f| f.rollout).collect();
    let sinces: Vec<DateTime<Utc>> = falls.iter().map(|f| f.since).collect();
    let known_from: Vec<DateTime<Utc>> = falls.iter().map(|f| f.since - lost).collect();
    one_at_a_time(&mut *conn, &rollouts).await?;
    let rows = sqlx::query!(
        r#"SELECT b.treated AS "before_treated?", b.control AS "before_control?", a.treated AS "after_treated?", a.control AS "after_control?",
                  g.treated AS "gone_treated!", g.control AS "gone_control!"
           FROM UNNEST($1::uuid[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS k (rollout_id, since, known_from, i)
           LEFT JOIN LATERAL (SELECT treated, control FROM at_risk r WHERE r.rollout_id = k.rollout_id AND r.at <= k.since
                              ORDER BY r.at DESC LIMIT 1) AS b ON true
           LEFT JOIN LATERAL (SELECT treated, control FROM at_risk r WHERE r.rollout_id = k.rollout_id AND r.at >= k.since
                              ORDER BY r.at LIMIT 1) AS a ON true
           CROSS JOIN LATERAL (
               SELECT COALESCE(sum(devices) FILTER (WHERE device_no IS NOT NULL), 0)::bigint AS treated,
                      COALESCE(sum(devices) FILTER (WHERE device_no IS NULL), 0)::bigint AS control
               FROM silence s WHERE s.rollout_id = k.rollout_id AND s.since <= k.since AND s.since > k.known_from) AS g
           ORDER BY k.i"#,
        &rollouts,
        &sinces,
        &known_from,
    )
    .fetch_all(&mut *conn)
    .await?;
    let counted = |treated: Option<i64>, control: Option<i64>| {
        Some(AtRisk {
            treated: count(treated?),
            control: count(control?),
        })
    };
    let mut together: HashMap<Uuid, AtRisk> = HashMap::new();
    let mut silences = Vec::with_capacity(falls.len());
    for (fall, row) in falls.iter().zip(rows) {
        let before = counted(row.before_treated, row.before_control);
        let after = counted(row.after_treated, row.after_control);
        let treated = fall.device_no.is_some();
        let known = together.entry(fall.rollout).or_default();
        let gone = AtRisk {
            treated: count(row.gone_treated) + known.treated,
            control: count(row.gone_control) + known.control,
        };
        // A rollout that began after they fell silent had no control in them.
        let counts = match (before, after) {
            (Some(before), after) => Some((before, after.unwrap_or(before))),
            (None, Some(after)) if treated => Some((after, after)),
            _ => None,
        };
        let nothing = Silence {
            treated,
            devices: fall.devices,
            at_risk_treated: 0,
            at_risk_control: 0,
        };
        silences.push(counts.map_or(nothing, |c| {
            Silence::between(treated, fall.devices, c, gone)
        }));
        if treated {
            known.treated += fall.devices;
        } else {
            known.control += fall.devices;
        }
    }
    let column = |value: fn(&Silence) -> u64| {
        let numbers = silences.iter().map(|s| i64::try_from(value(s)));
        numbers.collect::<Result<Vec<i64>, _>>()
    };
    let device_nos: Vec<Option<i32>> = falls.iter().map(|f| f.device_no).collect();
    sqlx::query!(
        "INSERT INTO silence (rollout_id, since, device_no, devices, at_risk_treated, at_risk_control)
         SELECT r, s, d, n, t, c
         FROM UNNEST($1::uuid[], $2::timestamptz[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[]) WITH ORDINALITY AS k (r, s, d, n, t, c, i)
         ORDER BY i",
        &rollouts,
        &sinces,
        &device_nos as &[Option<i32>],
        &column(|s| s.devices)?,
        &column(|s| s.at_risk_treated)?,
        &column(|s| s.at_risk_control)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whoever adds to a rollout's silences sees what others added before. An advisory lock: the rollout's row is locked before
/// cursors, and they are held here. In the order in which the rollouts come.
async fn one_at_a_time(conn: &mut PgConnection, rollouts: &[Uuid]) -> sqlx::Result<()> {
    for rollout in rollouts.chunk_by(|a, b| a == b).filter_map(<[_]>::first) {
        sqlx::query!(
            "SELECT pg_advisory_xact_lock($1, hashtext($2::uuid::text))",
            LOCK,
            rollout
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
