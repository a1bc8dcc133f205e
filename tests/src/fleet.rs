//! Rings of a lab and the devices in them.

use std::sync::atomic::Ordering;

use agent_protocol::Inventory;
use server::registry::{self, RingInput};
use server::store::tracks;
use uuid::Uuid;

use crate::device::TestDevice;
use crate::facts::inventory;
use crate::lab::Lab;

/// The ring that takes every device that no other one takes.
const LAST: &str = "broad";

/// The enrolment token of every lab.
pub(crate) const TOKEN: &str = "let-me-in";

/// A ring with the devices that were enrolled into it, in order.
pub struct Ring {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// Devices.
    pub devices: Vec<TestDevice>,
}

impl Lab {
    /// Rings of the track: those with these names by their tags, then the last one.
    pub(crate) async fn define_rings(&self, names: &[String]) {
        let mut conn = self.database.pool.acquire().await.unwrap();
        let existing = tracks::rings(&mut conn, self.track).await.unwrap();
        drop(conn);
        let id_of = |name: &str| existing.iter().find(|r| r.name == name).map(|r| r.id);
        let mut inputs: Vec<RingInput> = names
            .iter()
            .map(|name| RingInput {
                id: id_of(name),
                name: name.clone(),
                query: Some(format!("tag:{name}")),
                share: None,
            })
            .collect();
        inputs.push(RingInput {
            id: id_of(LAST),
            name: LAST.to_owned(),
            query: None,
            share: None,
        });
        self.define(&inputs).await;
    }

    /// Defines the rings of the track.
    pub async fn define(&self, inputs: &[RingInput]) {
        let (by, now) = (self.people.admin.0, self.clock.now());
        registry::define(
            &self.database.pool,
            &self.catalogue,
            &self.picture,
            self.track,
            inputs,
            by,
            now,
        )
        .await
        .unwrap();
        self.settle().await;
    }

    /// Rings of the track, in order.
    pub async fn rings(&self) -> Vec<tracks::Ring> {
        let mut conn = self.database.pool.acquire().await.unwrap();
        tracks::rings(&mut conn, self.track).await.unwrap()
    }

    /// A ring with so many devices. One that is not there yet comes after those that are, before "broad".
    pub async fn ring(&self, name: &str, devices: usize) -> Ring {
        let mut names: Vec<String> = self.rings().await.into_iter().map(|r| r.name).collect();
        if !names.iter().any(|n| n == name) {
            names.retain(|n| n != LAST);
            names.push(name.to_owned());
            self.define_rings(&names).await;
        }
        let rings = self.rings().await;
        let enrolled = (0..devices).map(|_| self.device(name));
        Ring {
            id: rings.iter().find(|r| r.name == name).unwrap().id,
            name: name.to_owned(),
            devices: futures::future::join_all(enrolled).await,
        }
    }

    /// An ordinary machine with a serial of its own and a tag.
    pub fn machine(&self, tag: &str) -> Inventory {
        let n = self.serial.fetch_add(1, Ordering::Relaxed);
        inventory(&format!("S{n:05}"), &[tag])
    }

    /// Enrols such a machine and signs it in.
    pub async fn device(&self, tag: &str) -> TestDevice {
        self.enrol(self.machine(tag)).await
    }

    /// Enrols a machine with a key of its own and signs it in.
    pub async fn enrol(&self, machine: Inventory) -> TestDevice {
        let device = self.enrol_with(TOKEN, machine).await;
        device.sign_in().await;
        if self.nodes.len() > 1 {
            self.settle().await;
        }
        device
    }

    /// Enrols a machine by another enrolment token, without signing it in.
    pub async fn enrol_with(&self, token: &str, machine: Inventory) -> TestDevice {
        TestDevice::enrol(
            self.wire(),
            &self.clock,
            token,
            TestDevice::new_key(),
            machine,
        )
        .await
    }
}
