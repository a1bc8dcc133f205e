//! Sequences as pages show them: with their rollouts, and with when what happened.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::rollout::RolloutState;
use servicing::{KbNumber, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SequenceState, kb, kb_column};
use crate::store::{count, from_json, from_word};

/// A sequence with how often it is rolled out, for lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Id.
    pub id: Uuid,
    /// Content.
    pub sequence: Sequence,
    /// State.
    pub state: SequenceState,
    /// What replaces it.
    pub replaced_by: Option<KbNumber>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Rollouts of it that can be seen.
    pub rollouts: u64,
    /// Of these, those that go on or are stopped for now.
    pub open: u64,
}

/// A page of sequences, newest first, older than `before`, with their rollouts on these tracks (none: on all).
///
/// # Errors
/// When the database fails.
pub async fn listed(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    before: Option<Uuid>,
    limit: i64,
) -> anyhow::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.body, s.state, s.replaced_by, s.created_at, count(r.id) AS "rollouts!",
                  count(r.id) FILTER (WHERE r.phase IN ('scheduled', 'active', 'paused', 'halted')) AS "open!"
           FROM sequence s LEFT JOIN rollout r ON r.sequence_id = s.id AND ($1::uuid[] IS NULL OR r.track_id = ANY($1))
           WHERE $2::uuid IS NULL OR (s.created_at, s.id) < (SELECT created_at, id FROM sequence WHERE id = $2)
           GROUP BY s.id ORDER BY s.created_at DESC, s.id DESC LIMIT $3"#,
        tracks, before, limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Listed {
                id: r.id,
                sequence: from_json("sequence", r.body)?,
                state: from_word("sequence state", r.state)?,
                replaced_by: r.replaced_by.map(kb).transpose()?,
                created_at: r.created_at,
                rollouts: count(r.rollouts),
                open: count(r.open),
            })
        })
        .collect()
}

/// A rollout of a sequence with what its counters say.
#[derive(Debug, Clone, PartialEq)]
pub struct RolledOut {
    /// Rollout.
    pub id: Uuid,
    /// Track.
    pub track: Uuid,
    /// Its state.
    pub state: RolloutState,
    /// It is for listed devices only.
    pub listed: bool,
    /// Devices by class: `targeted`, `complete`, `ahead`, `not_applicable:<why>`.
    pub population: BTreeMap<String, u64>,
    /// Devices that got a permit for this content in it.
    pub started: u64,
    /// Of these, verified.
    pub ok: u64,
    /// Of these, in the failure stream.
    pub failed: u64,
    /// Of these, ended, suspected to hang, or lost.
    pub resolved: u64,
}

/// Most rollouts of one sequence that a page shows.
const MOST_ROLLOUTS: i64 = 100;

/// Rollouts of a sequence with their counters, newest first: on these tracks (none: on all).
///
/// # Errors
/// When the database fails.
pub async fn rolled_out(
    conn: &mut PgConnection,
    sequence: Uuid,
    tracks: Option<&[Uuid]>,
) -> anyhow::Result<Vec<RolledOut>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.track_id, r.state, r.scope = 'listed' AS "listed!",
                  COALESCE((SELECT jsonb_object_agg(class, n) FROM (
                      SELECT p.class, sum(p.n) AS n FROM population p WHERE p.rollout_id = r.id GROUP BY 1 HAVING sum(p.n) > 0) AS c), '{}')
                      AS "population!",
                  COALESCE(e.started, 0) AS "started!", COALESCE(e.ok, 0) AS "ok!", COALESCE(e.failed, 0) AS "failed!",
                  COALESCE(e.resolved, 0) AS "resolved!"
           FROM rollout r LEFT JOIN LATERAL (
               SELECT sum(v.started)::bigint AS started, sum(v.ok)::bigint AS ok, sum(v.failed)::bigint AS failed,
                      sum(v.resolved)::bigint AS resolved
               FROM stage s JOIN evidence v ON v.stage_id = s.id AND v.digest = r.digest AND v.cohort = 0
               WHERE s.rollout_id = r.id) AS e ON true
           WHERE r.sequence_id = $1 AND ($2::uuid[] IS NULL OR r.track_id = ANY($2))
           ORDER BY r.created_at DESC, r.id DESC LIMIT $3"#,
        sequence,
        tracks,
        MOST_ROLLOUTS,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(RolledOut {
                id: r.id,
                track: r.track_id,
                state: from_json("rollout state", r.state)?,
                listed: r.listed,
                population: from_json("population", r.population)?,
                started: count(r.started),
                ok: count(r.ok),
                failed: count(r.failed),
                resolved: count(r.resolved),
            })
        })
        .collect()
}

/// When a sequence was published, and when it was withdrawn and by whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Milestones {
    /// Published.
    pub published: Option<DateTime<Utc>>,
    /// Withdrawn.
    pub withdrawn: Option<DateTime<Utc>>,
    /// Who withdrew it.
    pub withdrawn_by: Option<Uuid>,
}

/// When what happened to a sequence.
///
/// # Errors
/// When the database fails.
pub async fn milestones(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Milestones> {
    sqlx::query_as!(
        Milestones,
        r#"SELECT s.published_at AS published, a.at AS "withdrawn?", a.actor AS "withdrawn_by?"
           FROM sequence s LEFT JOIN audit a ON a.subject = 'sequence:' || s.id AND a.action = 'sequence_withdrawn'
           WHERE s.id = $1 ORDER BY a.n DESC LIMIT 1"#,
        id,
    )
    .fetch_one(conn)
    .await
}

/// The newest published or withdrawn sequence of a KB, and its state.
///
/// # Errors
/// When the database fails.
pub async fn by_kb(
    conn: &mut PgConnection,
    number: KbNumber,
) -> anyhow::Result<Option<(Uuid, SequenceState)>> {
    let row = sqlx::query!(
        "SELECT id, state FROM sequence WHERE kb = $1 AND state <> 'draft' ORDER BY created_at DESC, id DESC LIMIT 1",
        kb_column(number)?,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| Ok((r.id, from_word("sequence state", r.state)?)))
        .transpose()
}
