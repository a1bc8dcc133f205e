//! How far the devices of one rollout are, for people who look at it, from counters. Devices themselves are read only
//! where the same content was rolled out on the track before.

use chrono::{DateTime, Utc};
use engine::decide::Reason;
use engine::ids::RolloutId;
use serde_json::Value;
use servicing::{HResult, KbNumber};
use sqlx::PgConnection;
use uuid::Uuid;

use super::gates::Gate;
use super::{count, from_json};

/// Devices of each ring by what there is to say of them first: a suspicion, that they can not go on, or their state.
/// Those that started the same content in an earlier rollout of the track are part of the ring for ever, and of its
/// evidence: they are `earlier_well` or `earlier_other`. A rollout for listed devices has none of these.
///
/// # Errors
/// When the database fails.
pub async fn by_state(
    conn: &mut PgConnection,
    rollout: Uuid,
) -> sqlx::Result<Vec<(Uuid, String, u64)>> {
    let own = sqlx::query!(
        r#"SELECT s.ring_id, CASE WHEN c.waits AND c.word NOT IN ('hang_suspected', 'lost') THEN 'not_ready' ELSE c.word END AS "state!",
                  sum(c.n)::bigint AS "n!"
           FROM standing c JOIN stage s ON s.id = c.stage_id WHERE c.rollout_id = $1 GROUP BY 1, 2 HAVING sum(c.n) <> 0"#,
        rollout,
    )
    .fetch_all(&mut *conn)
    .await?;
    let others = sqlx::query_scalar!(
        "SELECT o.id FROM rollout r JOIN rollout o ON o.id <> r.id AND o.digest = r.digest AND o.track_id = r.track_id AND o.cohorts IS NOT NULL
         WHERE r.id = $1 AND r.scope = 'track'",
        rollout,
    )
    .fetch_all(&mut *conn)
    .await?;
    let earlier = if others.is_empty() {
        Vec::new()
    } else {
        earlier(conn, rollout, &others).await?
    };
    let own = own.into_iter().map(|r| (r.ring_id, r.state, count(r.n)));
    Ok(own.chain(earlier).collect())
}

/// Devices that started the content in other rollouts, and have not begun this one.
async fn earlier(
    conn: &mut PgConnection,
    rollout: Uuid,
    others: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, String, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT ring_id, CASE WHEN well THEN 'earlier_well' ELSE 'earlier_other' END AS "state!", count(*) AS "n!" FROM (
               SELECT DISTINCT ON (a.device_no) s.ring_id, a.counted & 128 = 128 AS well
               FROM assignment a JOIN rollout o ON o.id = a.rollout_id JOIN stage s ON s.id = a.stage_id
               WHERE a.rollout_id = ANY($2) AND a.counted & 1 = 1
                 AND NOT EXISTS (SELECT FROM assignment x WHERE x.rollout_id = $1 AND x.device_no = a.device_no)
               ORDER BY a.device_no, o.created_at) AS of_device
           GROUP BY 1, 2"#,
        rollout, others,
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|r| (r.ring_id, r.state, count(r.n)));
    Ok(rows.collect())
}

/// What went wrong on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Failed or rolled back with this code.
    Code(HResult),
    /// Failed without a code.
    NoCode,
    /// Suspected to hang.
    Hang,
    /// Lost.
    Lost,
}

/// Started devices of one model to which the same happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTrouble {
    /// Model; none for those that were first seen after the rollout started.
    pub model: Option<String>,
    /// What went wrong; none for the others.
    pub trouble: Option<Trouble>,
    /// Devices.
    pub n: u64,
}

/// Started devices of a rollout by model and trouble.
///
/// # Errors
/// When the database fails.
pub async fn troubles(conn: &mut PgConnection, rollout: Uuid) -> anyhow::Result<Vec<ModelTrouble>> {
    let other = super::cohorts::other(engine::evidence::CohortKind::Model);
    // Who started is counted by model in the evidence of the rollout's own stages; who is in no trouble is the rest.
    let rows = sqlx::query!(
        r#"WITH troubled AS (
               SELECT model, CASE WHEN word IN ('hang_suspected', 'lost') THEN word ELSE 'failed' END AS trouble, code, sum(n) AS n
               FROM standing WHERE rollout_id = $1 AND model <> 0 GROUP BY 1, 2, 3),
           started AS (
               SELECT e.cohort AS model, sum(e.started) AS n FROM stage s JOIN evidence e ON e.stage_id = s.id
               JOIN cohort k ON k.id = e.cohort AND k.kind = 'model' WHERE s.rollout_id = $1 GROUP BY 1)
           SELECT c.value AS "model?", t.trouble AS "trouble?", t.code AS "code!", t.n::bigint AS "n!" FROM (
               SELECT model, trouble, code, n FROM troubled
               UNION ALL
               SELECT model, NULL, -1, s.n - COALESCE((SELECT sum(t.n) FROM troubled t WHERE t.model = s.model), 0) FROM started s) AS t
           LEFT JOIN cohort c ON c.id = t.model AND c.id <> $2 WHERE t.n <> 0"#,
        rollout, other,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| ModelTrouble {
            model: r.model,
            trouble: match (r.trouble.as_deref(), u32::try_from(r.code)) {
                (None, _) => None,
                (Some("hang_suspected"), _) => Some(Trouble::Hang),
                (Some("lost"), _) => Some(Trouble::Lost),
                (Some(_), Ok(code)) => Some(Trouble::Code(HResult(code))),
                (Some(_), Err(_)) => Some(Trouble::NoCode),
            },
            n: count(r.n),
        })
        .collect())
}

/// Gates of a rollout, first ring first, as they are just now: for people, nothing is locked.
///
/// # Errors
/// When the database fails.
pub async fn gates(conn: &mut PgConnection, rollout: Uuid) -> sqlx::Result<Vec<Gate>> {
    sqlx::query_as!(
        Gate,
        "SELECT stage_id, open, version, granted, day, day_granted FROM stage_gate WHERE rollout_id = $1 ORDER BY position",
        rollout,
    )
    .fetch_all(conn)
    .await
}

/// Something that was decided about a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// When.
    pub at: DateTime<Utc>,
    /// What: a stable word and a sentence.
    pub event: Reason,
    /// By whom; none: by the rules.
    pub by: Option<Uuid>,
}

/// Newest decisions of a rollout, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn decided(
    conn: &mut PgConnection,
    rollout: Uuid,
    limit: i64,
) -> anyhow::Result<Vec<Happened>> {
    let rows = sqlx::query!(
        r#"SELECT at, decision -> 'event' AS "event!: Value", (input ->> 'by')::uuid AS by
           FROM decision WHERE rollout_id = $1 AND decision -> 'event' <> 'null' ORDER BY version DESC LIMIT $2"#,
        rollout, limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Happened {
                at: r.at,
                event: from_json("event of a decision", r.event)?,
                by: r.by,
            })
        })
        .collect()
}

/// A device that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Id.
    pub id: Uuid,
    /// Host name.
    pub host: String,
    /// Its state, or what is suspected.
    pub state: String,
    /// Step, where it is in one.
    pub step: i16,
    /// Steps of its plan.
    pub steps: i16,
    /// Code with which it failed.
    pub code: Option<HResult>,
    /// When, service clock.
    pub at: DateTime<Utc>,
}

/// Devices of a rollout that moved last, the last first, at most as many as are remembered. Those that have left its
/// track since are not named.
///
/// # Errors
/// When the database fails.
pub async fn moved(conn: &mut PgConnection, rollout: Uuid, limit: i64) -> sqlx::Result<Vec<Moved>> {
    let rows = sqlx::query!(
        r#"SELECT d.id, d.host_name, a.step, a.steps, a.code, a.progress_at,
                  CASE a.suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE a.state END AS "state!"
           FROM (SELECT * FROM assignment WHERE rollout_id = $1
                   AND device_no = ANY(ARRAY(SELECT UNNEST(device_nos) FROM moved_last WHERE rollout_id = $1))
                 ORDER BY progress_at DESC, device_no LIMIT $2) AS a
           JOIN device d USING (device_no) JOIN rollout r ON r.id = a.rollout_id AND r.track_id = d.track_id
           ORDER BY a.progress_at DESC, d.device_no"#,
        rollout, limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Moved {
            id: r.id,
            host: r.host_name,
            state: r.state,
            step: r.step,
            steps: r.steps,
            code: r.code.map(|c| HResult(c.cast_unsigned())),
            at: r.progress_at,
        })
        .collect())
}

/// Rollouts that a rollout took over from, with their KBs.
///
/// # Errors
/// When the database fails.
pub async fn superseded_by(
    conn: &mut PgConnection,
    rollout: RolloutId,
) -> anyhow::Result<Vec<(RolloutId, KbNumber)>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, s.kb FROM rollout r JOIN sequence s ON s.id = r.sequence_id JOIN rollout n ON n.track_id = r.track_id
           WHERE n.id = $1 AND r.phase = 'superseded' AND r.state ->> 'by' = $1::uuid::text
           ORDER BY r.created_at DESC, r.id LIMIT 20"#,
        rollout.0,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| Ok((RolloutId(r.id), KbNumber::new(u32::try_from(r.kb)?)?)))
        .collect()
}
