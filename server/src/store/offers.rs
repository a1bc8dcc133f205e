//! What the order of one device depends on, in one question: after a change, polls ask it by the thousand.

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::rollout::RolloutState;
use serde::Deserialize;
use serde_json::value::RawValue;
use servicing::{Facts, Ledger, Sha256};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::assignments::{self, Stored};
use super::sha256;

/// A rollout as far as a device's order needs it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Offer {
    /// Rollout.
    pub rollout: Uuid,
    /// Content digest.
    pub digest: Sha256,
    /// State.
    pub state: RolloutState,
    /// For listed devices only, and this one is not.
    pub for_others: bool,
    /// The stage is open.
    pub open: bool,
    /// The stage is that of the device's ring.
    pub of_ring: bool,
}

/// A device as far as its order needs it.
#[derive(Debug)]
pub struct Standing {
    /// SHA-256 of its inventory.
    pub inventory_digest: Sha256,
    /// First or last enrolment.
    pub enrolled_at: DateTime<Utc>,
    /// All of its assignments, the newest rollout first.
    pub assignments: Vec<Stored>,
    /// Rollouts that may concern it, the newest first: those whose stages it has begun, and those that are open for
    /// its ring.
    pub offers: Vec<Offer>,
    facts: Box<RawValue>,
    ledger: Box<RawValue>,
}

impl Standing {
    /// What a plan is made from. Read out of its JSON only here: most orders need no plan.
    ///
    /// # Errors
    /// When what is stored can not be read.
    pub fn inventory(&self) -> anyhow::Result<(Facts, Ledger)> {
        let facts = serde_json::from_str(self.facts.get());
        let ledger = serde_json::from_str(self.ledger.get());
        Ok((
            facts.context("stored facts can not be read")?,
            ledger.context("stored ledger can not be read")?,
        ))
    }
}

/// How a device stands; none for one that is not there.
///
/// # Errors
/// When the database fails.
pub async fn standing(conn: &mut PgConnection, device_no: i32) -> anyhow::Result<Option<Standing>> {
    let row = sqlx::query!(
        r#"SELECT d.inventory_digest, d.enrolled_at, d.facts AS "facts: Json<Box<RawValue>>", d.ledger AS "ledger: Json<Box<RawValue>>",
               (SELECT jsonb_agg(to_jsonb(a) ORDER BY r.created_at DESC)
                FROM assignment a JOIN rollout r ON r.id = a.rollout_id WHERE a.device_no = d.device_no
               ) AS "assignments: Json<Vec<assignments::Row>>",
               (SELECT jsonb_agg(jsonb_build_object('rollout', r.id, 'digest', encode(r.digest, 'hex'), 'state', r.state, 'open', g.open,
                           'of_ring', s.ring_id = d.ring_id, 'for_others', r.scope = 'listed'
                               AND NOT EXISTS (SELECT FROM rollout_device l WHERE l.rollout_id = r.id AND l.device_no = d.device_no))
                           ORDER BY r.created_at DESC)
                FROM stage s JOIN rollout r ON r.id = s.rollout_id JOIN stage_gate g ON g.stage_id = s.id
                WHERE s.id IN (SELECT stage_id FROM assignment WHERE device_no = d.device_no)
                   OR (s.ring_id = d.ring_id AND g.open
                       AND NOT EXISTS (SELECT FROM assignment a WHERE a.rollout_id = r.id AND a.device_no = d.device_no))
               ) AS "offers: Json<Vec<Offer>>"
           FROM device d WHERE d.device_no = $1"#,
        device_no,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let assignments = row.assignments.map_or_else(Vec::new, |a| a.0);
    Ok(Some(Standing {
        inventory_digest: sha256(&row.inventory_digest)?,
        enrolled_at: row.enrolled_at,
        assignments: assignments
            .into_iter()
            .map(Stored::try_from)
            .collect::<anyhow::Result<_>>()?,
        offers: row.offers.map_or_else(Vec::new, |o| o.0),
        facts: row.facts.0,
        ledger: row.ledger.0,
    }))
}
