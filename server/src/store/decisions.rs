//! Decisions with everything they were made from, so that they can be made again.

use chrono::{DateTime, Utc};
use engine::ids::RolloutId;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Keeps everything a decision was made from.
///
/// # Errors
/// When the database fails.
pub async fn record(
    conn: &mut PgConnection,
    id: RolloutId,
    version: u64,
    at: DateTime<Utc>,
    input: &Value,
    snapshot: &Value,
    decision: &Value,
) -> anyhow::Result<()> {
    sqlx::query!(
        "INSERT INTO decision (rollout_id, version, at, input, snapshot, decision) VALUES ($1, $2, $3, $4, $5, $6)",
        id.0, i64::try_from(version)?, at, input, snapshot, decision,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A decision as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Rollout.
    pub rollout_id: Uuid,
    /// Version after it.
    pub version: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened to the rollout.
    pub input: Value,
    /// Everything that was read.
    pub snapshot: Value,
    /// What was decided.
    pub decision: Value,
}

/// Decisions of a rollout, in order.
///
/// # Errors
/// When the database fails.
pub async fn of_rollout(conn: &mut PgConnection, id: RolloutId) -> sqlx::Result<Vec<Recorded>> {
    sqlx::query_as!(
        Recorded,
        "SELECT rollout_id, version, at, input, snapshot, decision FROM decision WHERE rollout_id = $1 ORDER BY version",
        id.0,
    )
    .fetch_all(conn)
    .await
}

/// A page of a rollout's decisions after a version, in order.
///
/// # Errors
/// When the database fails.
pub async fn page(
    conn: &mut PgConnection,
    id: RolloutId,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Recorded>> {
    sqlx::query_as!(
        Recorded,
        "SELECT rollout_id, version, at, input, snapshot, decision FROM decision WHERE rollout_id = $1 AND version > $2
         ORDER BY version LIMIT $3",
        id.0, after, limit,
    )
    .fetch_all(conn)
    .await
}
