//! Compares what is stored with what it was made from: counters with events, decisions with their inputs.

mod recount;

use engine::{Decision, Input, Snapshot, decide};
use sqlx::PgPool;

use crate::store::{decisions, from_json, rollouts, to_json};

pub use recount::recount;

/// Makes every stored decision again from what was stored with it. Returns a sentence for each that differs.
///
/// # Errors
/// When the database fails or a stored decision can not be read.
pub async fn decisions(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let mut conn = pool.acquire().await?;
    let mut findings = Vec::new();
    for rollout in rollouts::all(&mut conn, None).await? {
        for recorded in decisions::of_rollout(&mut conn, rollout.rollout.id).await? {
            let snapshot: Snapshot = from_json("snapshot", recorded.snapshot)?;
            let input: Input = from_json("input", recorded.input)?;
            let again: Result<Decision, _> = decide(&snapshot, input, recorded.at);
            let same = match &again {
                Ok(decision) => {
                    engine::canonical::to_vec(&to_json(decision)?)
                        == engine::canonical::to_vec(&recorded.decision)
                }
                Err(_) => false,
            };
            if !same {
                findings.push(format!(
                    "rollout {} version {}: the decision does not follow from its inputs",
                    recorded.rollout_id, recorded.version
                ));
            }
        }
    }
    Ok(findings)
}
