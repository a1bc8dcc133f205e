//! How far each device got. Rows exist from the first report or permit on; writers are `permits` and `ingest`.

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::assignment::{Assignment, State, Suspicion};
use serde::{Deserialize, Serialize};
use servicing::{Build, HResult};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{from_json, to_json};

/// One step of a device's plan, frozen at its permit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// KBs in order.
    pub packages: Vec<String>,
    /// A restart follows.
    pub restart_after: bool,
}

/// An assignment with what storage needs beside the engine's view.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Rollout.
    pub rollout: Uuid,
    /// Device.
    pub device_no: i32,
    /// Stage to which the device is pinned in this rollout.
    pub stage: Uuid,
    /// The engine's view.
    pub assignment: Assignment,
    /// Plan, frozen at the permit.
    pub plan: Vec<PlannedStep>,
    /// Version of the gate under which the last permit was granted.
    pub gate_version: Option<i64>,
    /// When the last permit was granted, service clock.
    pub permitted_at: Option<DateTime<Utc>>,
    /// Until when step 1 must start, by the injected clock.
    pub start_by: Option<DateTime<Utc>>,
    /// Cohorts the device counts in, without the whole rollout.
    pub cohorts: Vec<i16>,
    /// Why the device says it can not go on.
    pub not_ready: Option<String>,
    /// Last progress, service clock.
    pub progress_at: DateTime<Utc>,
    /// When the deadline tick looks at it, service clock.
    pub due_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// A device that was just offered a rollout.
    #[must_use]
    pub fn offered(rollout: Uuid, device_no: i32, stage: Uuid, service_now: DateTime<Utc>) -> Self {
        Self {
            rollout,
            device_no,
            stage,
            assignment: Assignment::offered(),
            plan: Vec::new(),
            gate_version: None,
            permitted_at: None,
            start_by: None,
            cohorts: Vec::new(),
            not_ready: None,
            progress_at: service_now,
            due_at: None,
        }
    }
}

const STARTED: i16 = 1;
const RESOLVED: i16 = 2;
const FAILED: i16 = 4;
const SEVERE: i16 = 8;
const SILENT: i16 = 16;
const OVERDUE: i16 = 32;
const DRIFT: i16 = 64;
const OK: i16 = 128;

fn counted(a: &Assignment) -> i16 {
    [
        (a.started, STARTED),
        (a.resolved, RESOLVED),
        (a.failed, FAILED),
        (a.severe, SEVERE),
        (a.silent, SILENT),
        (a.overdue, OVERDUE),
        (a.drift, DRIFT),
        (a.ok, OK),
    ]
    .into_iter()
    .filter_map(|(set, bit)| set.then_some(bit))
    .sum()
}

/// The words of [`State`] in the column `state`: those of its JSON.
fn parts(state: &State) -> anyhow::Result<(String, i16, Option<i32>)> {
    let value = to_json(state)?;
    let word = value
        .get("state")
        .and_then(|s| s.as_str())
        .context("a state without its word")?
        .to_owned();
    let (step, code) = match state {
        State::Installing { step } | State::StepDone { step } | State::Restarting { step } => {
            (*step, None)
        }
        State::Failed { code, step } => (*step, *code),
        State::RolledBack { code } => (0, Some(*code)),
        _ => (0, None),
    };
    Ok((word, i16::try_from(step)?, code.map(|c| c.0.cast_signed())))
}

fn state(word: &str, step: i16, code: Option<i32>) -> anyhow::Result<State> {
    let code = code.map(|c| HResult(c.cast_unsigned()));
    from_json(
        "assignment state",
        serde_json::json!({ "state": word, "step": step, "code": code }),
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct Row {
    rollout_id: Uuid,
    device_no: i32,
    stage_id: Uuid,
    state: String,
    step: i16,
    code: Option<i32>,
    steps: i16,
    plan: Option<serde_json::Value>,
    expected_base: Option<i32>,
    expected_ubr: Option<i32>,
    permit_no: i32,
    gate_version: Option<i64>,
    permitted_at: Option<DateTime<Utc>>,
    start_by: Option<DateTime<Utc>>,
    suspicion: Option<String>,
    counted: i16,
    cohorts: Vec<i16>,
    not_ready: Option<String>,
    progress_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Stored {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let expected = match (row.expected_base, row.expected_ubr) {
            (Some(base), Some(ubr)) => Some(Build {
                base: u32::try_from(base)?,
                ubr: u32::try_from(ubr)?,
            }),
            _ => None,
        };
        let has = |bit| row.counted & bit != 0;
        Ok(Self {
            rollout: row.rollout_id,
            device_no: row.device_no,
            stage: row.stage_id,
            assignment: Assignment {
                state: state(&row.state, row.step, row.code)?,
                of: u16::try_from(row.steps)?,
                expected,
                permit_no: u32::try_from(row.permit_no)?,
                suspicion: row
                    .suspicion
                    .map(|s| super::from_word::<Suspicion>("suspicion", s))
                    .transpose()?,
                started: has(STARTED),
                resolved: has(RESOLVED),
                failed: has(FAILED),
                severe: has(SEVERE),
                silent: has(SILENT),
                overdue: has(OVERDUE),
                drift: has(DRIFT),
                ok: has(OK),
            },
            plan: row
                .plan
                .map(|p| from_json("plan", p))
                .transpose()?
                .unwrap_or_default(),
            gate_version: row.gate_version,
            permitted_at: row.permitted_at,
            start_by: row.start_by,
            cohorts: row.cohorts,
            not_ready: row.not_ready,
            progress_at: row.progress_at,
            due_at: row.due_at,
        })
    }
}

/// Locks the rows of these (rollout, device) pairs, ascending by device; pairs without a row are not returned.
///
/// # Errors
/// When the database fails.
pub async fn lock(
    conn: &mut PgConnection,
    rollouts: &[Uuid],
    device_nos: &[i32],
) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT a.* FROM assignment a JOIN UNNEST($1::uuid[], $2::int[]) AS k (r, d) ON a.rollout_id = k.r AND a.device_no = k.d
         ORDER BY a.device_no, a.rollout_id FOR UPDATE OF a",
        rollouts, device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// All assignments of a device, newest rollout first.
///
/// # Errors
/// When the database fails.
pub async fn of_device(conn: &mut PgConnection, device_no: i32) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT a.* FROM assignment a JOIN rollout r ON r.id = a.rollout_id WHERE a.device_no = $1 ORDER BY r.created_at DESC",
        device_no,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Writes these rows, whether they are there or not.
///
/// # Errors
/// When the database fails.
pub async fn save(conn: &mut PgConnection, all: &[&Stored]) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    // One JSON document instead of twenty arrays: rows come back typed by json_to_recordset.
    let rows: Vec<serde_json::Value> = all
        .iter()
        .map(|s| {
            let a = &s.assignment;
            let (word, step, code) = parts(&a.state)?;
            Ok(serde_json::json!({
                "rollout_id": s.rollout, "device_no": s.device_no, "stage_id": s.stage,
                "state": word, "step": step, "code": code, "steps": a.of,
                "plan": if s.plan.is_empty() { serde_json::Value::Null } else { to_json(&s.plan)? },
                "expected_base": a.expected.map(|b| b.base), "expected_ubr": a.expected.map(|b| b.ubr),
                "permit_no": a.permit_no, "gate_version": s.gate_version, "permitted_at": s.permitted_at, "start_by": s.start_by,
                "suspicion": a.suspicion, "counted": counted(a), "cohorts": s.cohorts, "not_ready": s.not_ready,
                "progress_at": s.progress_at, "due_at": s.due_at,
            }))
        })
        .collect::<anyhow::Result<_>>()?;
    sqlx::query!(
        "INSERT INTO assignment
         SELECT r.rollout_id, r.device_no, r.stage_id, r.state, r.step, r.code, r.steps, r.plan, r.expected_base, r.expected_ubr,
                r.permit_no, r.gate_version, r.permitted_at, r.start_by, r.suspicion, r.counted, r.cohorts, r.not_ready,
                r.progress_at, r.due_at
         FROM jsonb_populate_recordset(NULL::assignment, $1) AS r
         ON CONFLICT (rollout_id, device_no) DO UPDATE SET
            state = excluded.state, step = excluded.step, code = excluded.code, steps = excluded.steps, plan = excluded.plan,
            expected_base = excluded.expected_base, expected_ubr = excluded.expected_ubr, permit_no = excluded.permit_no,
            gate_version = excluded.gate_version, permitted_at = excluded.permitted_at, start_by = excluded.start_by,
            suspicion = excluded.suspicion, counted = excluded.counted, cohorts = excluded.cohorts,
            not_ready = excluded.not_ready, progress_at = excluded.progress_at, due_at = excluded.due_at",
        serde_json::Value::Array(rows),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Device and rollout of assignments that are due, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn due(
    conn: &mut PgConnection,
    service_now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, i32)>> {
    let rows = sqlx::query!(
        "SELECT rollout_id, device_no FROM assignment WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
        service_now,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.rollout_id, r.device_no))
        .collect())
}

/// Devices of a stage by state and suspicion, for people.
///
/// # Errors
/// When the database fails.
pub async fn by_state(
    conn: &mut PgConnection,
    rollout: Uuid,
) -> sqlx::Result<Vec<(Uuid, String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT stage_id, word AS "state!", sum(n)::bigint AS "n!"
           FROM standing WHERE rollout_id = $1 GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2"#,
        rollout,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.stage_id, r.state, r.n))
        .collect())
}

/// Error codes of failed devices of a rollout, the most frequent first.
///
/// # Errors
/// When the database fails.
pub async fn top_codes(
    conn: &mut PgConnection,
    rollout: Uuid,
) -> sqlx::Result<Vec<(HResult, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT code AS "code!", sum(n)::bigint AS "n!" FROM standing WHERE rollout_id = $1 AND code >= 0
           GROUP BY 1 HAVING sum(n) <> 0 ORDER BY 2 DESC, 1 LIMIT 20"#,
        rollout,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| Some((HResult(u32::try_from(r.code).ok()?), r.n)))
        .collect())
}

/// Devices of a stage that have a permit and are in another ring by now: what changes for the stage changes for them.
///
/// # Errors
/// When the database fails.
pub async fn in_flight_elsewhere(conn: &mut PgConnection, stage: Uuid) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "SELECT a.device_no FROM assignment a JOIN stage s ON s.id = a.stage_id
         WHERE a.stage_id = $1 AND a.counted & 3 = 1
           AND NOT EXISTS (SELECT FROM device d WHERE d.ring_id = s.ring_id AND d.device_no = a.device_no)",
        stage,
    )
    .fetch_all(conn)
    .await
}
