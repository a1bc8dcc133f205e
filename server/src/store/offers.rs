//! What a device may be offered, across all rollouts.

use engine::rollout::RolloutState;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{from_json, sha256};

/// A rollout as far as a device's order needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Rollout.
    pub rollout: Uuid,
    /// Content digest.
    pub digest: servicing::Sha256,
    /// State.
    pub state: RolloutState,
    /// For listed devices only.
    pub listed: bool,
    /// The device's stage is open.
    pub open: bool,
}

/// Rollouts that may concern a device, the newest first: those whose stages it has begun, and those that are open
/// for its ring.
///
/// # Errors
/// When the database fails.
pub async fn for_device(
    conn: &mut PgConnection,
    ring: Uuid,
    device_no: i32,
    begun_stages: &[Uuid],
) -> anyhow::Result<Vec<Offer>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.digest, r.state, r.scope = 'listed' AS "listed!", g.open
           FROM stage s JOIN rollout r ON r.id = s.rollout_id JOIN stage_gate g ON g.stage_id = s.id
           WHERE s.id = ANY($2)
              OR (s.ring_id = $1 AND g.open
                  AND NOT EXISTS (SELECT FROM assignment a WHERE a.rollout_id = r.id AND a.device_no = $3))
           ORDER BY r.created_at DESC"#,
        ring, begun_stages, device_no,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Offer {
                rollout: r.id,
                digest: sha256(&r.digest)?,
                state: from_json("rollout state", r.state)?,
                listed: r.listed,
                open: r.open,
            })
        })
        .collect()
}
