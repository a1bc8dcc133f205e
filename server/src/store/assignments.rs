//! How far each device got. Rows exist from the first report or permit on; writers are `permits` and `ingest`.

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::assignment::{Assignment, State, Suspicion};
use serde::{Deserialize, Serialize};
use servicing::{Build, HResult};
use sqlx::PgConnection;
use uuid::Uuid;

use super::from_json;

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
    /// When the device was offered the rollout, service clock; none where nobody noted it.
    pub offered_at: Option<DateTime<Utc>>,
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
    /// The device's count of powered-on seconds at that progress; none where it was not noted.
    pub progress_powered_s: Option<i64>,
    /// The same at the last permit.
    pub permit_powered_s: Option<i64>,
    /// Powered-on seconds from the permit to the success; none before, and where it was not noted.
    pub took_s: Option<i64>,
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
            offered_at: Some(service_now),
            permitted_at: None,
            start_by: None,
            cohorts: Vec::new(),
            not_ready: None,
            progress_at: service_now,
            progress_powered_s: None,
            permit_powered_s: None,
            took_s: None,
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
const RECOVERED: i16 = 256;
const RELAPSED: i16 = 512;

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
        (a.recovered, RECOVERED),
        (a.relapsed, RELAPSED),
    ]
    .into_iter()
    .filter_map(|(set, bit)| set.then_some(bit))
    .sum()
}

/// Columns `state`, `step` and `code`. The words are those of the state's JSON.
fn parts(state: &State) -> anyhow::Result<(&'static str, i16, Option<i32>)> {
    let (word, step, code) = match state {
        State::Downloading => ("downloading", 0, None),
        State::Ready => ("ready", 0, None),
        State::RestartAgreed => ("restart_agreed", 0, None),
        State::Permitted => ("permitted", 0, None),
        State::Installing { step } => ("installing", *step, None),
        State::StepDone { step } => ("step_done", *step, None),
        State::Restarting { step } => ("restarting", *step, None),
        State::Verifying => ("verifying", 0, None),
        State::Succeeded => ("succeeded", 0, None),
        State::Failed { code, step } => ("failed", *step, *code),
        State::Remediating { code, step } => ("remediating", *step, Some(*code)),
        State::RolledBack { code } => ("rolled_back", 0, Some(*code)),
        State::Removed => ("removed", 0, None),
        State::NotRemoved { code } => ("not_removed", 0, *code),
        State::NotApplicable => ("not_applicable", 0, None),
        State::InstalledElsewhere => ("installed_elsewhere", 0, None),
    };
    Ok((word, i16::try_from(step)?, code.map(|c| c.0.cast_signed())))
}

fn state(word: &str, step: i16, code: Option<i32>) -> anyhow::Result<State> {
    let step = u16::try_from(step)?;
    let code = code.map(|c| HResult(c.cast_unsigned()));
    Ok(match word {
        "downloading" => State::Downloading,
        "ready" => State::Ready,
        "restart_agreed" => State::RestartAgreed,
        "permitted" => State::Permitted,
        "installing" => State::Installing { step },
        "step_done" => State::StepDone { step },
        "restarting" => State::Restarting { step },
        "verifying" => State::Verifying,
        "succeeded" => State::Succeeded,
        "failed" => State::Failed { code, step },
        "remediating" => State::Remediating {
            code: code.context("a repair without its error")?,
            step,
        },
        "rolled_back" => State::RolledBack {
            code: code.context("rolled back without a code")?,
        },
        "removed" => State::Removed,
        "not_removed" => State::NotRemoved { code },
        "not_applicable" => State::NotApplicable,
        "installed_elsewhere" => State::InstalledElsewhere,
        other => anyhow::bail!("stored assignment state can not be read: {other}"),
    })
}

struct Row {
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
    offered_at: Option<DateTime<Utc>>,
    permitted_at: Option<DateTime<Utc>>,
    start_by: Option<DateTime<Utc>>,
    suspicion: Option<String>,
    counted: i16,
    cohorts: Vec<i16>,
    not_ready: Option<String>,
    progress_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
    tries: i16,
    mended: Option<i32>,
    progress_powered_s: Option<i64>,
    permit_powered_s: Option<i64>,
    took_s: Option<i64>,
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
                tries: u8::try_from(row.tries)?,
                mended: row.mended.map(|c| HResult(c.cast_unsigned())),
                recovered: has(RECOVERED),
                relapsed: has(RELAPSED),
            },
            plan: row
                .plan
                .map(|p| from_json("plan", p))
                .transpose()?
                .unwrap_or_default(),
            gate_version: row.gate_version,
            offered_at: row.offered_at,
            permitted_at: row.permitted_at,
            start_by: row.start_by,
            cohorts: row.cohorts,
            not_ready: row.not_ready,
            progress_at: row.progress_at,
            progress_powered_s: row.progress_powered_s,
            permit_powered_s: row.permit_powered_s,
            took_s: row.took_s,
            due_at: row.due_at,
        })
    }
}

/// The rows of these (rollout, device) pairs; pairs without a row are not returned. Whoever writes an assignment holds
/// the lock of the device's cursor, which is enough: read after it was taken, the rows stay as they are.
///
/// # Errors
/// When the database fails.
pub async fn of_pairs(
    conn: &mut PgConnection,
    rollouts: &[Uuid],
    device_nos: &[i32],
) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT a.* FROM assignment a JOIN UNNEST($1::uuid[], $2::int[]) AS k (r, d) ON a.rollout_id = k.r AND a.device_no = k.d",
        rollouts, device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// All assignments of these devices, those of the newest rollout first.
///
/// # Errors
/// When the database fails.
pub async fn of_devices(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT a.* FROM assignment a JOIN rollout r ON r.id = a.rollout_id WHERE a.device_no = ANY($1) ORDER BY r.created_at DESC",
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// The columns that reports change, one array each.
#[derive(Default)]
struct Reported {
    rollouts: Vec<Uuid>,
    device_nos: Vec<i32>,
    stages: Vec<Uuid>,
    states: Vec<&'static str>,
    steps: Vec<i16>,
    codes: Vec<Option<i32>>,
    suspicions: Vec<Option<&'static str>>,
    counted: Vec<i16>,
    not_ready: Vec<Option<String>>,
    progress_at: Vec<DateTime<Utc>>,
    progress_powered: Vec<Option<i64>>,
    took: Vec<Option<i64>>,
    due_at: Vec<Option<DateTime<Utc>>>,
    tries: Vec<i16>,
    mended: Vec<Option<i32>>,
}

impl Reported {
    fn of<'a>(all: impl Iterator<Item = &'a Stored>) -> anyhow::Result<Self> {
        let mut columns = Self::default();
        for s in all {
            let (word, step, code) = parts(&s.assignment.state)?;
            columns.rollouts.push(s.rollout);
            columns.device_nos.push(s.device_no);
            columns.stages.push(s.stage);
            columns.states.push(word);
            columns.steps.push(step);
            columns.codes.push(code);
            let suspicion = s.assignment.suspicion.map(|suspicion| match suspicion {
                Suspicion::Hang => "hang",
                Suspicion::Lost => "lost",
            });
            columns.suspicions.push(suspicion);
            columns.counted.push(counted(&s.assignment));
            columns.not_ready.push(s.not_ready.clone());
            columns.progress_at.push(s.progress_at);
            columns.progress_powered.push(s.progress_powered_s);
            columns.took.push(s.took_s);
            columns.due_at.push(s.due_at);
            columns.tries.push(s.assignment.tries.into());
            let mended = s.assignment.mended.map(|c| c.0.cast_signed());
            columns.mended.push(mended);
        }
        Ok(columns)
    }
}

/// Adds rows of devices that reported for the first time.
///
/// # Errors
/// When the database fails.
pub async fn add(conn: &mut PgConnection, new: &[&Stored]) -> anyhow::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let r = Reported::of(new.iter().copied())?;
    let offered: Vec<Option<DateTime<Utc>>> = each(new, |s| Ok(s.offered_at))?;
    sqlx::query!(
        "INSERT INTO assignment (rollout_id, device_no, stage_id, state, step, code, suspicion, counted, not_ready, progress_at, due_at,
                                 offered_at)
         SELECT * FROM UNNEST($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::smallint[], $6::int[], $7::text[],
                              $8::smallint[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])",
        &r.rollouts, &r.device_nos, &r.stages, &r.states as &[&str], &r.steps, &r.codes as &[Option<i32>],
        &r.suspicions as &[Option<&str>], &r.counted, &r.not_ready as &[Option<String>], &r.progress_at,
        &r.due_at as &[Option<DateTime<Utc>>], &offered as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what reports changed in rows that are there.
///
/// # Errors
/// When the database fails.
pub async fn save_reported(conn: &mut PgConnection, all: &[&Stored]) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let r = Reported::of(all.iter().copied())?;
    sqlx::query!(
        "UPDATE assignment AS a SET state = k.state, step = k.step, code = k.code, suspicion = k.suspicion, counted = k.counted,
            not_ready = k.not_ready, progress_at = k.progress_at, due_at = k.due_at, tries = k.tries, mended = k.mended,
            progress_powered_s = k.progress_powered_s, took_s = k.took_s
         FROM UNNEST($1::uuid[], $2::int[], $3::text[], $4::smallint[], $5::int[], $6::text[], $7::smallint[], $8::text[],
                     $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::int[], $13::bigint[], $14::bigint[])
              AS k (rollout_id, device_no, state, step, code, suspicion, counted, not_ready, progress_at, due_at, tries, mended,
                    progress_powered_s, took_s)
         WHERE a.rollout_id = k.rollout_id AND a.device_no = k.device_no",
        &r.rollouts, &r.device_nos, &r.states as &[&str], &r.steps, &r.codes as &[Option<i32>],
        &r.suspicions as &[Option<&str>], &r.counted, &r.not_ready as &[Option<String>], &r.progress_at,
        &r.due_at as &[Option<DateTime<Utc>>], &r.tries, &r.mended as &[Option<i32>], &r.progress_powered as &[Option<i64>],
        &r.took as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what a permit changed in rows that are there, plan and cohorts included.
///
/// # Errors
/// When the database fails.
pub async fn save_permitted(conn: &mut PgConnection, all: &[&Stored]) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let r = Reported::of(all.iter().copied())?;
    let of: Vec<i16> = each(all, |s| Ok(i16::try_from(s.assignment.of)?))?;
    // As text: a fleet has few plans, and one document is read faster than a tree is walked.
    let plans: Vec<String> = each(all, |s| Ok(serde_json::to_string(&s.plan)?))?;
    let bases: Vec<Option<i32>> = each(all, |s| {
        Ok(s.assignment.expected.map(|b| b.base.cast_signed()))
    })?;
    let ubrs: Vec<Option<i32>> = each(all, |s| {
        Ok(s.assignment.expected.map(|b| b.ubr.cast_signed()))
    })?;
    let permit_nos: Vec<i32> = each(all, |s| Ok(i32::try_from(s.assignment.permit_no)?))?;
    let versions: Vec<Option<i64>> = each(all, |s| Ok(s.gate_version))?;
    let permitted: Vec<Option<DateTime<Utc>>> = each(all, |s| Ok(s.permitted_at))?;
    let start_by: Vec<Option<DateTime<Utc>>> = each(all, |s| Ok(s.start_by))?;
    let powered: Vec<Option<i64>> = each(all, |s| Ok(s.permit_powered_s))?;
    // An array of arrays would have to be a rectangle.
    let cohorts: Vec<String> = each(all, |s| {
        let ids: Vec<String> = s.cohorts.iter().map(ToString::to_string).collect();
        Ok(format!("{{{}}}", ids.join(",")))
    })?;
    sqlx::query!(
        "UPDATE assignment AS a SET state = k.state, step = k.step, code = k.code, suspicion = k.suspicion, counted = k.counted,
            not_ready = k.not_ready, progress_at = k.progress_at, due_at = k.due_at, steps = k.steps, plan = k.plan::jsonb,
            expected_base = k.base, expected_ubr = k.ubr, permit_no = k.permit_no, gate_version = k.version,
            permitted_at = k.permitted_at, start_by = k.start_by, cohorts = k.cohorts::smallint[],
            progress_powered_s = k.progress_powered_s, permit_powered_s = k.permit_powered_s
         FROM UNNEST($1::uuid[], $2::int[], $3::text[], $4::smallint[], $5::int[], $6::text[], $7::smallint[], $8::text[],
                     $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::text[], $13::int[], $14::int[], $15::int[],
                     $16::bigint[], $17::timestamptz[], $18::timestamptz[], $19::text[], $20::bigint[], $21::bigint[])
              AS k (rollout_id, device_no, state, step, code, suspicion, counted, not_ready, progress_at, due_at, steps, plan,
                    base, ubr, permit_no, version, permitted_at, start_by, cohorts, progress_powered_s, permit_powered_s)
         WHERE a.rollout_id = k.rollout_id AND a.device_no = k.device_no",
        &r.rollouts, &r.device_nos, &r.states as &[&str], &r.steps, &r.codes as &[Option<i32>],
        &r.suspicions as &[Option<&str>], &r.counted, &r.not_ready as &[Option<String>], &r.progress_at,
        &r.due_at as &[Option<DateTime<Utc>>],
        &of, &plans, &bases as &[Option<i32>], &ubrs as &[Option<i32>], &permit_nos, &versions as &[Option<i64>],
        &permitted as &[Option<DateTime<Utc>>], &start_by as &[Option<DateTime<Utc>>], &cohorts,
        &r.progress_powered as &[Option<i64>], &powered as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One column of some rows.
fn each<T>(all: &[&Stored], column: fn(&Stored) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    all.iter().map(|s| column(s)).collect()
}

/// Devices on which a rollout succeeded and that were not seen to lose it since, and those on which it may succeed still.
///
/// # Errors
/// When the database fails.
pub async fn have_it(conn: &mut PgConnection, rollout: Uuid) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "SELECT device_no FROM assignment
         WHERE rollout_id = $1 AND (state = 'succeeded' OR counted & 3 = 1 OR (counted & 7 = 7 AND state NOT IN ('failed', 'rolled_back')))
         ORDER BY device_no",
        rollout,
    )
    .fetch_all(conn)
    .await
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
        r#"SELECT code AS "code!", sum(n)::bigint AS "n!" FROM standing WHERE rollout_id = $1 AND code >= 0 AND word <> 'not_removed'
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

/// Devices of a stage that have had a permit, whose way does not have to be over, and that are in another ring by now: what
/// changes for the stage changes for them.
///
/// # Errors
/// When the database fails.
pub async fn in_flight_elsewhere(conn: &mut PgConnection, stage: Uuid) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "SELECT a.device_no FROM assignment a JOIN stage s ON s.id = a.stage_id
         WHERE a.stage_id = $1 AND (a.counted & 3 = 1 OR (a.counted & 7 = 7 AND a.state NOT IN ('succeeded', 'rolled_back')))
           AND NOT EXISTS (SELECT FROM device d WHERE d.ring_id = s.ring_id AND d.device_no = a.device_no)",
        stage,
    )
    .fetch_all(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_states_are_those_of_their_json_and_read_back() {
        let code = HResult(0x8007_3712);
        let states = [
            State::Downloading,
            State::Ready,
            State::RestartAgreed,
            State::Permitted,
            State::Installing { step: 1 },
            State::StepDone { step: 2 },
            State::Restarting { step: 3 },
            State::Verifying,
            State::Remediating { code, step: 2 },
            State::Removed,
            State::NotRemoved { code: Some(code) },
            State::NotRemoved { code: None },
            State::Succeeded,
            State::Failed {
                code: Some(code),
                step: 4,
            },
            State::Failed {
                code: None,
                step: 5,
            },
            State::RolledBack { code },
            State::NotApplicable,
            State::InstalledElsewhere,
        ];
        for original in states {
            let (word, step, code) = parts(&original).unwrap();
            let json = serde_json::to_value(original).unwrap();
            assert_eq!(json["state"], word);
            assert_eq!(state(word, step, code).unwrap(), original);
        }
        for suspicion in [Suspicion::Hang, Suspicion::Lost] {
            let stored = Stored {
                assignment: Assignment {
                    suspicion: Some(suspicion),
                    ..Assignment::offered()
                },
                ..Stored::offered(Uuid::nil(), 1, Uuid::nil(), DateTime::UNIX_EPOCH)
            };
            let columns = Reported::of(std::iter::once(&stored)).unwrap();
            let word = columns.suspicions[0].unwrap();
            assert_eq!(serde_json::to_value(suspicion).unwrap(), word);
        }
    }
}
