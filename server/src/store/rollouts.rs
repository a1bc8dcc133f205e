//! Rollouts and their stages. Written by `control` alone.

use chrono::{DateTime, Utc};
use engine::decide::Reason;
use engine::gate::GateReport;
use engine::halt::{HaltCause, HaltPolicy};
use engine::ids::{PersonId, RolloutId, StageId, TrackId};
use engine::policy::StagePolicy;
use engine::rollout::{Rollout, RolloutState};
use engine::stage::StageState;
use serde_json::Value;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{count, from_json, from_word, phase, sha256, to_json, word};

/// A rollout with what storage and people need beside the engine's view.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The engine's view.
    pub rollout: Rollout,
    /// Sequence it rolls out.
    pub sequence_id: Uuid,
    /// Ticket number, where one was given.
    pub ticket: Option<String>,
    /// Why it is where it is.
    pub reasons: Vec<Reason>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// A stage as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredStage {
    /// Id.
    pub id: StageId,
    /// Ring.
    pub ring_id: Uuid,
    /// Name of the ring.
    pub ring_name: String,
    /// Revision of the ring's definition now.
    pub ring_revision: i32,
    /// Frozen policy.
    pub policy: StagePolicy,
    /// State.
    pub state: StageState,
    /// Last gate report.
    pub report: Option<GateReport>,
}

struct Row {
    id: Uuid,
    track_id: Uuid,
    sequence_id: Uuid,
    digest: Vec<u8>,
    scope: String,
    preset: String,
    author: Uuid,
    ticket: Option<String>,
    state: Value,
    cleared: Value,
    halt: Option<Value>,
    reasons: Value,
    version: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Stored {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        Ok(Self {
            rollout: Rollout {
                id: RolloutId(row.id),
                track: TrackId(row.track_id),
                digest: sha256(&row.digest)?,
                scope: from_word("scope", row.scope)?,
                preset: from_word("preset", row.preset)?,
                author: PersonId(row.author),
                state: from_json("rollout state", row.state)?,
                cleared: from_json("cleared halts", row.cleared)?,
                halt: match row.halt {
                    Some(halt) => from_json("baselines", halt)?,
                    None => HaltPolicy::default(),
                },
                version: count(row.version),
            },
            sequence_id: row.sequence_id,
            ticket: row.ticket,
            reasons: from_json("reasons", row.reasons)?,
            created_at: row.created_at,
        })
    }
}

/// Adds a draft with its stages and their closed gates.
///
/// # Errors
/// When the database fails.
pub async fn add(
    conn: &mut PgConnection,
    stored: &Stored,
    stages: &[StoredStage],
) -> anyhow::Result<()> {
    let r = &stored.rollout;
    sqlx::query!(
        "INSERT INTO rollout (id, track_id, sequence_id, digest, scope, preset, author, ticket, phase, state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        r.id.0, r.track.0, stored.sequence_id, &r.digest.as_bytes()[..], word(&r.scope)?, word(&r.preset)?, r.author.0,
        stored.ticket, phase(&r.state)?, to_json(&r.state)?, stored.created_at,
    )
    .execute(&mut *conn)
    .await?;
    for (position, stage) in stages.iter().enumerate() {
        let position = i16::try_from(position)?;
        sqlx::query!(
            "INSERT INTO stage (id, rollout_id, position, ring_id, policy, phase, state) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            stage.id.0, r.id.0, position, stage.ring_id, to_json(&stage.policy)?, phase(&stage.state)?, to_json(&stage.state)?,
        )
        .execute(&mut *conn)
        .await?;
        sqlx::query!("INSERT INTO stage_gate (stage_id, rollout_id, position, open) VALUES ($1, $2, $3, false)", stage.id.0, r.id.0, position)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// One rollout, locked. Its key never changes, so rows that refer to it may be written meanwhile: permits and ingest
/// write such rows while they hold what a decision waits for.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut PgConnection, id: RolloutId) -> anyhow::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, track_id, sequence_id, digest, scope, preset, author, ticket, state, cleared, halt, reasons, version, created_at
         FROM rollout WHERE id = $1 FOR NO KEY UPDATE",
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// One rollout.
///
/// # Errors
/// When the database fails.
pub async fn by_id(conn: &mut PgConnection, id: RolloutId) -> anyhow::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, track_id, sequence_id, digest, scope, preset, author, ticket, state, cleared, halt, reasons, version, created_at
         FROM rollout WHERE id = $1",
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// All rollouts, newest first; only those of a track where one is given.
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut PgConnection, track: Option<Uuid>) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, track_id, sequence_id, digest, scope, preset, author, ticket, state, cleared, halt, reasons, version, created_at
         FROM rollout WHERE $1::uuid IS NULL OR track_id = $1 ORDER BY created_at DESC, id",
        track,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Track of a rollout.
///
/// # Errors
/// When the database fails.
pub async fn track_of(conn: &mut PgConnection, id: RolloutId) -> sqlx::Result<Option<TrackId>> {
    Ok(
        sqlx::query_scalar!("SELECT track_id FROM rollout WHERE id = $1", id.0)
            .fetch_optional(conn)
            .await?
            .map(TrackId),
    )
}

/// Content digest of a rollout.
///
/// # Errors
/// When the database fails.
pub async fn digest(conn: &mut PgConnection, id: RolloutId) -> anyhow::Result<Option<Sha256>> {
    let digest = sqlx::query_scalar!("SELECT digest FROM rollout WHERE id = $1", id.0)
        .fetch_optional(conn)
        .await?;
    digest.map(|d| sha256(&d)).transpose()
}

/// Rollouts that a tick may move: scheduled, active, paused, halted, or completed, which still serve stragglers.
///
/// # Errors
/// When the database fails.
pub async fn live(conn: &mut PgConnection, track: Option<Uuid>) -> sqlx::Result<Vec<RolloutId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM rollout WHERE phase IN ('scheduled', 'active', 'paused', 'halted', 'completed') AND ($1::uuid IS NULL OR track_id = $1)
         ORDER BY created_at, id",
        track,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(RolloutId).collect())
}

/// Stages of a rollout, first ring first.
///
/// # Errors
/// When the database fails.
pub async fn stages(conn: &mut PgConnection, id: RolloutId) -> anyhow::Result<Vec<StoredStage>> {
    let rows = sqlx::query!(
        "SELECT s.id, s.ring_id, r.name, r.revision, s.policy, s.state, s.report FROM stage s JOIN ring r ON r.id = s.ring_id
         WHERE s.rollout_id = $1 ORDER BY s.position",
        id.0,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(StoredStage {
                id: StageId(r.id),
                ring_id: r.ring_id,
                ring_name: r.name,
                ring_revision: r.revision,
                policy: from_json("policy", r.policy)?,
                state: from_json("stage state", r.state)?,
                report: r.report.map(|r| from_json("gate report", r)).transpose()?,
            })
        })
        .collect()
}

/// What is fixed when a rollout starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// Cohorts.
    pub cohorts: Vec<i16>,
    /// Attributes whose values are cohorts, in the order of their kinds.
    pub attributes: Vec<String>,
    /// Baselines of the halt test.
    pub halt: HaltPolicy,
}

/// What a decision changes of a rollout.
#[derive(Debug, Clone, Copy)]
pub struct Next<'a> {
    /// Its state.
    pub state: &'a RolloutState,
    /// Halts that people cleared.
    pub cleared: &'a [HaltCause],
    /// Why it is where it is.
    pub reasons: &'a [Reason],
    /// What is fixed now, where it starts.
    pub fixed: Option<&'a Fixed>,
}

/// Writes what a decision changes of a rollout, once: every further update of its row would have its references checked
/// again. Guarded by the version that was decided on.
///
/// # Errors
/// When the version moved, which the row lock prevents, or the database fails.
pub async fn save(
    conn: &mut PgConnection,
    rollout: &Rollout,
    next: Next<'_>,
) -> anyhow::Result<()> {
    let halt = next.fixed.filter(|f| !f.halt.is_default());
    let halt = halt.map(|f| to_json(&f.halt)).transpose()?;
    let done = sqlx::query!(
        "UPDATE rollout SET phase = $3, state = $4, cleared = $5, reasons = $6, cohorts = COALESCE($7, cohorts),
            halt = COALESCE($8, halt), cohort_attributes = COALESCE($9, cohort_attributes), version = version + 1
         WHERE id = $1 AND version = $2",
        rollout.id.0, i64::try_from(rollout.version)?, phase(next.state)?, to_json(next.state)?, to_json(&next.cleared)?,
        to_json(&next.reasons)?, next.fixed.map(|f| f.cohorts.as_slice()), halt,
        next.fixed.map(|f| f.attributes.as_slice()),
    )
    .execute(conn)
    .await?;
    anyhow::ensure!(
        done.rows_affected() == 1,
        "rollout {} moved while it was locked",
        rollout.id
    );
    Ok(())
}

/// Writes a stage's next state.
///
/// # Errors
/// When the database fails.
pub async fn save_stage(
    conn: &mut PgConnection,
    stage: StageId,
    state: &StageState,
) -> anyhow::Result<()> {
    sqlx::query!(
        "UPDATE stage SET phase = $2, state = $3 WHERE id = $1",
        stage.0,
        phase(state)?,
        to_json(state)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the policy of a stage.
///
/// # Errors
/// When the database fails.
pub async fn save_policy(
    conn: &mut PgConnection,
    stage: StageId,
    policy: &StagePolicy,
) -> anyhow::Result<()> {
    sqlx::query!(
        "UPDATE stage SET policy = $2 WHERE id = $1",
        stage.0,
        to_json(policy)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes why a rollout is where it is, where that changed although nothing was decided.
///
/// # Errors
/// When the database fails.
pub async fn save_reasons(
    conn: &mut PgConnection,
    id: RolloutId,
    reasons: &[Reason],
) -> anyhow::Result<()> {
    sqlx::query!(
        "UPDATE rollout SET reasons = $2 WHERE id = $1 AND reasons <> $2",
        id.0,
        to_json(&reasons)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the gate report of a stage, where it changed.
///
/// # Errors
/// When the database fails.
pub async fn save_report(
    conn: &mut PgConnection,
    stage: StageId,
    report: &GateReport,
) -> anyhow::Result<()> {
    sqlx::query!(
        "UPDATE stage SET report = $2 WHERE id = $1 AND report IS DISTINCT FROM $2",
        stage.0,
        to_json(report)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Cohorts fixed for a rollout, and the attributes whose values are cohorts.
///
/// # Errors
/// When the database fails.
pub async fn cohorts(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<(Vec<i16>, Vec<String>)> {
    let fixed = sqlx::query!(
        "SELECT cohorts, cohort_attributes FROM rollout WHERE id = $1",
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(fixed.map_or_else(Default::default, |fixed| {
        (fixed.cohorts.unwrap_or_default(), fixed.cohort_attributes)
    }))
}

/// Lists the devices of a rollout with scope `listed`.
///
/// # Errors
/// When the database fails.
pub async fn list_devices(
    conn: &mut PgConnection,
    id: RolloutId,
    device_nos: &[i32],
) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO rollout_device (rollout_id, device_no) SELECT $1, * FROM UNNEST($2::int[]) ON CONFLICT DO NOTHING", id.0, device_nos)
        .execute(conn)
        .await?;
    Ok(())
}

/// Devices that a rollout for listed ones is for.
///
/// # Errors
/// When the database fails.
pub async fn listed(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "SELECT device_no FROM rollout_device WHERE rollout_id = $1 ORDER BY 1",
        id
    )
    .fetch_all(conn)
    .await
}

/// Devices of a track that have a sequence, failed on it or have it pending: those that a withdrawal concerns.
///
/// # Errors
/// When the database fails.
pub async fn affected(
    conn: &mut PgConnection,
    track: Uuid,
    kb: &str,
    sequence: Uuid,
) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        r#"SELECT d.device_no FROM device d
           WHERE d.track_id = $1 AND d.status = 'admitted'
             AND (EXISTS (SELECT FROM jsonb_array_elements(d.ledger) AS p
                          WHERE p ->> 'kb' = $2 AND p ->> 'state' IN ('installed', 'install_pending', 'staged', 'partially_installed'))
                  OR EXISTS (SELECT FROM assignment a JOIN rollout r ON r.id = a.rollout_id
                             WHERE r.sequence_id = $3 AND a.device_no = d.device_no AND a.counted & 1 = 1))
           ORDER BY d.device_no"#,
        track, kb, sequence,
    )
    .fetch_all(conn)
    .await
}

/// A page of rollouts, newest first: of these tracks (none: of all), older than `before`.
///
/// # Errors
/// When the database fails.
pub async fn page(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    before: Option<Uuid>,
    limit: i64,
) -> anyhow::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, track_id, sequence_id, digest, scope, preset, author, ticket, state, cleared, halt, reasons, version, created_at
         FROM rollout
         WHERE ($1::uuid[] IS NULL OR track_id = ANY($1))
           AND ($2::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM rollout WHERE id = $2))
         ORDER BY created_at DESC, id DESC LIMIT $3",
        tracks, before, limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Cohorts were fixed and devices counted: it ran before.
///
/// # Errors
/// When the database fails.
pub async fn is_prepared(conn: &mut PgConnection, id: RolloutId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM rollout WHERE id = $1 AND cohorts IS NOT NULL) AS "prepared!""#,
        id.0,
    )
    .fetch_one(conn)
    .await
}

/// How many rollouts go on or are stopped for now: on these tracks (none: on all).
///
/// # Errors
/// When the database fails.
pub async fn count_open(conn: &mut PgConnection, tracks: Option<&[Uuid]>) -> sqlx::Result<u64> {
    let n = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM rollout
           WHERE phase IN ('scheduled', 'active', 'paused', 'halted') AND ($1::uuid[] IS NULL OR track_id = ANY($1))"#,
        tracks,
    )
    .fetch_one(conn)
    .await?;
    Ok(count(n))
}
