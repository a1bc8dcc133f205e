//! The inventory as it goes to the server, and its digest.

use agent_protocol::{Inventory, LedgerEntry};
use sha2::{Digest, Sha256};

use crate::core::Reading;

/// The inventory of a reading.
#[must_use]
pub fn of(reading: &Reading) -> Inventory {
    let Reading {
        hardware,
        facts,
        ledger,
    } = reading;
    Inventory {
        serial: hardware.serial.clone(),
        smbios_uuid: hardware.smbios_uuid,
        tpm_ek_sha256: hardware.tpm_ek_sha256.clone(),
        host_name: hardware.host_name.clone(),
        product: facts.product.to_string(),
        build: facts.build.to_string(),
        series: facts.series.to_string(),
        edition: facts.edition.to_string(),
        architecture: facts.architecture.to_string(),
        manufacturer: facts.manufacturer.clone(),
        model: facts.model.clone(),
        bios_version: facts.bios_version.clone(),
        free_disk_bytes: facts.free_disk_bytes,
        restart_pending: facts.restart_pending,
        store_health: facts.store_health.to_string(),
        on_battery: facts.on_battery,
        oobe_complete: facts.oobe_complete,
        update_authority: facts.update_authority.to_string(),
        tags: facts.tags.clone(),
        utc_offset_minutes: facts.utc_offset_minutes,
        attributes: facts.attributes.clone(),
        ledger: ledger
            .0
            .iter()
            .map(|entry| LedgerEntry {
                identity: entry.identity.clone(),
                kb: entry.kb.map(|kb| kb.to_string()),
                build: entry.build.map(|build| build.to_string()),
                state: entry.state.to_string(),
                at: entry.at,
                client: entry.client.clone(),
            })
            .collect(),
    }
}

/// Digest of an inventory: the SHA-256, in lower-case hex, of `serde_json::to_vec` of it. The server
/// computes the same from what it parsed, so both need the same version of the wire type; where they
/// differ, the agent sends once and remembers what the server called it.
#[must_use]
pub fn digest(inventory: &Inventory) -> String {
    let json = serde_json::to_vec(inventory).expect("text, numbers and lists always make JSON");
    hex::encode(Sha256::digest(json))
}
