//! Inventories that devices send: stored when they changed, announced to every replica.
//!
//! After an update every device sends one, and each moves an index-rich row and counters that others want too: those that
//! wait are decided and written together.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgPool;
use uuid::Uuid;

use super::inventory::{ParsedInventory, placed, rules_of};
use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::devices::{self, Device, DeviceStatus, Identity};
use crate::store::{changes, cohorts};

/// An inventory that a device sent.
#[derive(Debug, Clone)]
pub struct SentInventory {
    /// Device.
    pub device_no: i32,
    /// Generation of its token.
    pub generation: i32,
    /// What it holds.
    pub inventory: ParsedInventory,
}

/// Takes in inventories, at most one of each device: facts, ledgers, cohorts, rings and populations move in one
/// transaction. The answers are in the order of the inventories: [`OpError::NotFound`] for a device that is gone, revoked
/// or enrolled anew; [`OpError::Refused`] where it claims to be another machine.
///
/// # Errors
/// When the database fails; nothing was done then.
pub async fn update(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    sent: &[SentInventory],
) -> anyhow::Result<Vec<Result<(), OpError>>> {
    let mut tx = pool.begin().await?;
    let device_nos: Vec<i32> = sent.iter().map(|s| s.device_no).collect();
    let before = devices::lock_all(&mut tx, &device_nos).await?;
    let before: HashMap<i32, Device> = before.into_iter().map(|d| (d.device_no, d)).collect();
    let (mut answers, mut changed) = (Vec::with_capacity(sent.len()), Vec::new());
    for sent in sent {
        let decided = is_changed(before.get(&sent.device_no), sent);
        if let Ok(Some(before)) = decided {
            changed.push((before, &sent.inventory));
        }
        answers.push(decided.map(|_| ()));
    }
    if changed.is_empty() {
        return Ok(answers);
    }
    let tracks: BTreeSet<Uuid> = changed.iter().map(|(before, _)| before.track_id).collect();
    let mut rules = HashMap::new();
    for track in tracks {
        rules.insert(track, rules_of(&mut tx, track).await?);
    }
    let facts: Vec<_> = changed.iter().map(|(_, new)| &new.facts).collect();
    let cohorts = cohorts::of_all(&mut tx, &facts).await?;
    let after = changed.iter().zip(cohorts).map(|((before, new), cohorts)| {
        let (id, track, pin) = (before.id, before.track_id, before.pin);
        let host_name = &new.identity.host_name;
        let ring = placed(&rules[&track], track, id, pin, &new.facts, host_name);
        Device {
            // A device that matches no rule any more stays where it is.
            ring_id: ring.unwrap_or(before.ring_id),
            cohorts,
            identity: new.identity.clone(),
            facts: new.facts.clone(),
            ledger: new.ledger.clone(),
            inventory_digest: new.digest.as_bytes().to_vec(),
            ..(*before).clone()
        }
    });
    let after: Vec<Device> = after.collect();
    devices::save(&mut tx, &after.iter().collect::<Vec<_>>()).await?;
    let moved = changed.iter().zip(&after);
    let moved: Vec<_> = moved
        .map(|((before, _), after)| (Some(*before), after))
        .collect();
    population::delta(&mut tx, catalogue, &moved).await?;
    let device_nos: Vec<i32> = after.iter().map(|d| d.device_no).collect();
    let announced = changes::announce_devices(&mut tx, &device_nos, true).await?;
    tx.commit().await?;
    for (_, n, device_nos) in announced {
        picture.advance(&device_nos, n);
    }
    picture.wake.notify_one();
    Ok(answers)
}

/// What the device was before, where this inventory changes it. A slow body may arrive when the device is revoked or
/// another incarnation by now.
fn is_changed<'a>(
    before: Option<&'a Device>,
    sent: &SentInventory,
) -> Result<Option<&'a Device>, OpError> {
    let current =
        before.filter(|d| d.status == DeviceStatus::Admitted && d.generation == sent.generation);
    let Some(before) = current else {
        return Err(OpError::NotFound { what: "device" });
    };
    let same_machine = Identity {
        host_name: before.identity.host_name.clone(),
        ..sent.inventory.identity.clone()
    };
    if same_machine != before.identity {
        return Err(OpError::Refused {
            code: "identity".into(),
            sentence: "Serial, SMBIOS UUID or TPM key are those of another machine. Enrol again."
                .into(),
        });
    }
    Ok(Some(before).filter(|d| d.inventory_digest != sent.inventory.digest.as_bytes()))
}
