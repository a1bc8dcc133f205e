//! Compares what is stored with what it was made from: counters with events, decisions with their inputs.

mod counters;
mod recount;

use engine::{Decision, Input, Snapshot, decide};
use serde_json::Value;
use sqlx::PgPool;

use crate::store::{decisions, from_json, rollouts, to_json};

pub use recount::recount;

/// A decision without its sentences: what was decided counts, and a later version may say it in other words.
fn wordless(mut decision: Value) -> Vec<u8> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("sentence");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut decision);
    engine::canonical::to_vec(&decision)
}

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
                Ok(decision) => wordless(to_json(decision)?) == wordless(recorded.decision.clone()),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_words_are_the_same_decision_and_another_verdict_is_not() {
        let stored =
            json!({ "report": { "criteria": [{ "verdict": "wait", "sentence": "Not yet." }] } });
        let reworded =
            json!({ "report": { "criteria": [{ "verdict": "wait", "sentence": "Wait." }] } });
        let another =
            json!({ "report": { "criteria": [{ "verdict": "pass", "sentence": "Not yet." }] } });
        assert_eq!(wordless(stored.clone()), wordless(reworded));
        assert_ne!(wordless(stored), wordless(another));
    }
}
