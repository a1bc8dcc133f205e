//! What the orders of devices depend on, for many of them in one go: after a change, polls ask it by the thousand.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::hold::{self, Hold};
use engine::policy::{MOST_TRIES, RestartPolicy};
use engine::ring::Subject;
use engine::rollout::RolloutState;
use serde_json::value::RawValue;
use servicing::{Facts, KbNumber, Ledger, Sha256};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::assignments::{self, Stored};
use super::{holds, sha256};

/// A rollout as far as a device's order needs it.
#[derive(Debug, Clone, PartialEq)]
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
    /// How long its people may put the restart off.
    pub restart: RestartPolicy,
    /// How often a device that failed tries again.
    pub tries: u8,
    /// The package that is to be removed from devices on which the rollout succeeded.
    pub removes: Option<KbNumber>,
    /// Known issues and exclusions of the rollout.
    pub holds: Vec<Hold>,
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
    /// Host name.
    pub host_name: String,
    facts: Box<RawValue>,
    ledger: Box<RawValue>,
}

impl Standing {
    /// The hold of an offer that the device is under, which had a permit of it or not.
    ///
    /// # Errors
    /// When what is stored can not be read.
    pub fn hold<'a>(&self, offer: &'a Offer, started: bool) -> anyhow::Result<Option<&'a Hold>> {
        if offer.holds.is_empty() {
            return Ok(None);
        }
        let (facts, _) = self.inventory()?;
        let host_name = &self.host_name;
        let facts = &facts;
        Ok(hold::on(
            &offer.holds,
            &Subject { facts, host_name },
            started,
        ))
    }

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

/// A stage as far as orders need it.
#[derive(Clone)]
struct Stage {
    id: Uuid,
    ring: Uuid,
    open: bool,
    rollout: Uuid,
    listed: bool,
    digest: Sha256,
    state: RolloutState,
    restart: RestartPolicy,
    tries: u8,
    removes: Option<KbNumber>,
    holds: Vec<Hold>,
}

impl Stage {
    /// The stage as an offer for a device of this ring.
    fn offer(&self, ring: Uuid, is_listed: bool) -> Offer {
        Offer {
            rollout: self.rollout,
            digest: self.digest,
            state: self.state.clone(),
            for_others: self.listed && !is_listed,
            open: self.open,
            of_ring: self.ring == ring,
            restart: self.restart,
            tries: self.tries,
            removes: self.removes,
            holds: self.holds.clone(),
        }
    }
}

/// How devices stand, by number; those that are not there are left out. A handful of questions, however many devices.
///
/// # Errors
/// When the database fails.
pub async fn standings(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> anyhow::Result<HashMap<i32, Standing>> {
    let devices = sqlx::query!(
        r#"SELECT device_no, ring_id, host_name, inventory_digest, enrolled_at, facts AS "facts: Json<Box<RawValue>>",
                  ledger AS "ledger: Json<Box<RawValue>>"
           FROM device WHERE device_no = ANY($1)"#,
        device_nos,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut begun: HashMap<i32, Vec<Stored>> = HashMap::new();
    for stored in assignments::of_devices(&mut *conn, device_nos).await? {
        begun.entry(stored.device_no).or_default().push(stored);
    }
    let rings: Vec<Uuid> = distinct(devices.iter().map(|d| d.ring_id));
    let stages = stages(
        &mut *conn,
        &rings,
        &distinct(begun.values().flatten().map(|s| s.stage)),
    )
    .await?;
    let listed = listed(&mut *conn, &stages, device_nos).await?;
    devices
        .into_iter()
        .map(|device| {
            let assignments = begun.remove(&device.device_no).unwrap_or_default();
            let concerns = |stage: &&Stage| {
                let mine = assignments.iter().find(|a| a.rollout == stage.rollout);
                mine.map_or(stage.open && stage.ring == device.ring_id, |a| {
                    a.stage == stage.id
                })
            };
            let offers = stages.iter().filter(concerns);
            let offers = offers.map(|s| {
                s.offer(
                    device.ring_id,
                    listed.contains(&(s.rollout, device.device_no)),
                )
            });
            let standing = Standing {
                inventory_digest: sha256(&device.inventory_digest)?,
                enrolled_at: device.enrolled_at,
                offers: offers.collect(),
                assignments,
                host_name: device.host_name,
                facts: device.facts.0,
                ledger: device.ledger.0,
            };
            Ok((device.device_no, standing))
        })
        .collect()
}

fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    ids.collect::<HashSet<_>>().into_iter().collect()
}

/// Stages that are open for these rings, and these; those of the newest rollout first.
async fn stages(
    conn: &mut PgConnection,
    rings: &[Uuid],
    begun: &[Uuid],
) -> anyhow::Result<Vec<Stage>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.ring_id, g.open, r.id AS rollout, r.track_id, r.scope = 'listed' AS "listed!", r.digest, r.state AS "state: Json<RolloutState>",
                  s.policy -> 'restart' AS "restart: Json<RestartPolicy>", (s.policy ->> 'tries')::smallint AS tries, b.kb AS "removes?"
           FROM stage s JOIN rollout r ON r.id = s.rollout_id JOIN stage_gate g ON g.stage_id = s.id
           LEFT JOIN rollback b ON b.rollout_id = r.id AND b.stopped_at IS NULL
           WHERE s.id = ANY($1) OR (s.ring_id = ANY($2) AND g.open) ORDER BY r.created_at DESC, r.id"#,
        begun,
        rings,
    )
    .fetch_all(&mut *conn)
    .await?;
    let holds = holds::on(conn, &distinct(rows.iter().map(|r| r.track_id))).await?;
    rows.into_iter()
        .map(|r| {
            let digest = sha256(&r.digest)?;
            let of_track = holds.iter().filter(|h| h.track == r.track_id);
            let mine = of_track.filter(|h| h.concerns(r.rollout, digest));
            Ok(Stage {
                id: r.id,
                ring: r.ring_id,
                open: r.open,
                rollout: r.rollout,
                listed: r.listed,
                digest,
                state: r.state.0,
                restart: r.restart.map(|r| r.0).unwrap_or_default(),
                tries: r.tries.map_or(Ok(MOST_TRIES), u8::try_from)?,
                removes: r.removes.map(|kb| kb.parse()).transpose()?,
                holds: mine.map(|h| h.hold.clone()).collect(),
            })
        })
        .collect()
}

/// Which of these devices the rollouts for listed devices among these stages are for.
async fn listed(
    conn: &mut PgConnection,
    stages: &[Stage],
    device_nos: &[i32],
) -> sqlx::Result<HashSet<(Uuid, i32)>> {
    let rollouts = distinct(stages.iter().filter(|s| s.listed).map(|s| s.rollout));
    if rollouts.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query!(
        "SELECT rollout_id, device_no FROM rollout_device WHERE rollout_id = ANY($1) AND device_no = ANY($2)",
        &rollouts,
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.rollout_id, r.device_no))
        .collect())
}
