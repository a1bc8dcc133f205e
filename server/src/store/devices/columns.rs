//! Rows of devices by column, as arrays go to the database.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::registry::Device;
use crate::store::{to_json, word};

/// Columns of devices that are written together.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) device_nos: Vec<i32>,
    pub(super) clones: Vec<bool>,
    pub(super) ids: Vec<Uuid>,
    pub(super) tracks: Vec<Uuid>,
    pub(super) rings: Vec<Uuid>,
    pub(super) pins: Vec<Option<Uuid>>,
    pub(super) statuses: Vec<String>,
    pub(super) incarnations: Vec<i32>,
    pub(super) generations: Vec<i32>,
    pub(super) public_keys: Vec<&'a [u8]>,
    pub(super) serials: Vec<&'a str>,
    pub(super) smbios_uuids: Vec<Uuid>,
    pub(super) eks: Vec<Option<&'a [u8]>>,
    pub(super) host_names: Vec<&'a str>,
    pub(super) agent_versions: Vec<&'a str>,
    pub(super) products: Vec<String>,
    pub(super) bases: Vec<i32>,
    pub(super) ubrs: Vec<i32>,
    pub(super) series: Vec<String>,
    pub(super) editions: Vec<String>,
    pub(super) architectures: Vec<String>,
    /// One list for each kind: PostgreSQL would make one long list of several.
    pub(super) cohorts: [Vec<i16>; 5],
    pub(super) facts: Vec<serde_json::Value>,
    pub(super) ledgers: Vec<serde_json::Value>,
    pub(super) digests: Vec<&'a [u8]>,
    pub(super) enrolled_at: Vec<DateTime<Utc>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(devices: &[&'a Device]) -> anyhow::Result<Self> {
        let mut columns = Self::default();
        for device in devices {
            columns.push(device)?;
        }
        Ok(columns)
    }

    fn push(&mut self, device: &'a Device) -> anyhow::Result<()> {
        let (f, identity) = (&device.facts, &device.identity);
        self.device_nos.push(device.device_no);
        self.clones.push(device.clone_suspected);
        self.ids.push(device.id);
        self.tracks.push(device.track_id);
        self.rings.push(device.ring_id);
        self.pins.push(device.pin);
        self.statuses.push(word(&device.status)?);
        self.incarnations.push(device.incarnation);
        self.generations.push(device.generation);
        self.public_keys.push(&device.public_key);
        self.serials.push(&identity.serial);
        self.smbios_uuids.push(identity.smbios_uuid);
        self.eks.push(identity.tpm_ek_sha256.as_deref());
        self.host_names.push(&identity.host_name);
        self.agent_versions.push(&device.agent_version);
        self.products.push(word(&f.product)?);
        self.bases.push(i32::try_from(f.build.base)?);
        self.ubrs.push(i32::try_from(f.build.ubr)?);
        self.series.push(word(&f.series)?);
        self.editions.push(f.edition.to_string());
        self.architectures.push(word(&f.architecture)?);
        for (list, cohort) in self.cohorts.iter_mut().zip(&device.cohorts) {
            list.push(*cohort);
        }
        self.facts.push(to_json(f)?);
        self.ledgers.push(to_json(&device.ledger)?);
        self.digests.push(&device.inventory_digest);
        self.enrolled_at.push(device.enrolled_at);
        Ok(())
    }
}
