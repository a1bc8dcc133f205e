//! Plans of the devices that ask, made before any lock is taken: reading inventories and planning is most of the work, and
//! the gates of a hot stage are locked for the whole fleet.

use std::collections::HashMap;

use engine::ids::RolloutId;
use servicing::{Facts, Planned, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{Ask, Shared};
use crate::store::devices::{self, Applicant};
use crate::store::rollouts;

/// A plan, and the inventory that it was made from.
struct Made {
    inventory_digest: Vec<u8>,
    facts: Facts,
    planned: Planned,
}

/// Plans by device.
#[derive(Default)]
pub(super) struct Plans(HashMap<i32, Made>);

impl Plans {
    /// Plans for these asks, as inventories are now; none where there is no such rollout.
    pub(super) async fn ahead(
        shared: &Shared,
        rollout: Uuid,
        asks: &[Ask],
    ) -> anyhow::Result<Self> {
        let mut conn = shared.pool.acquire().await?;
        let mut plans = Self::default();
        let Some(digest) = rollouts::digest(&mut conn, RolloutId(rollout)).await? else {
            return Ok(plans);
        };
        if let Some(sequence) = shared.catalogue.get(&mut conn, digest).await? {
            let device_nos: Vec<i32> = asks.iter().map(|a| a.device_no).collect();
            plans.make(&mut conn, &sequence, &device_nos).await?;
        }
        Ok(plans)
    }

    /// Makes those anew whose inventory is another one by now.
    pub(super) async fn renew<'a>(
        &mut self,
        conn: &mut PgConnection,
        sequence: &Sequence,
        devices: impl Iterator<Item = &'a Applicant>,
    ) -> anyhow::Result<()> {
        let stale = |device: &&Applicant| self.of(device).is_none();
        let device_nos: Vec<i32> = devices.filter(stale).map(|d| d.device_no).collect();
        if device_nos.is_empty() {
            return Ok(());
        }
        self.make(conn, sequence, &device_nos).await
    }

    /// The plan of a device with the inventory that it has now, and its facts.
    pub(super) fn of(&self, device: &Applicant) -> Option<(&Planned, &Facts)> {
        let made = self.0.get(&device.device_no)?;
        let is_current = made.inventory_digest == device.inventory_digest;
        is_current.then_some((&made.planned, &made.facts))
    }

    async fn make(
        &mut self,
        conn: &mut PgConnection,
        sequence: &Sequence,
        device_nos: &[i32],
    ) -> anyhow::Result<()> {
        for inventory in devices::inventories(conn, device_nos).await? {
            let made = Made {
                planned: servicing::plan(sequence, &inventory.facts, &inventory.ledger),
                inventory_digest: inventory.digest,
                facts: inventory.facts,
            };
            self.0.insert(inventory.device_no, made);
        }
        Ok(())
    }
}
