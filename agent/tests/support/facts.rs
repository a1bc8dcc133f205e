//! An inventory as a server reads it.

use agent_protocol::Inventory;
use servicing::{Facts, Ledger, LedgerEntry};

pub fn facts(inventory: &Inventory) -> Facts {
    Facts {
        product: inventory.product.parse().unwrap(),
        build: inventory.build.parse().unwrap(),
        series: inventory.series.parse().unwrap(),
        edition: inventory.edition.parse().unwrap(),
        architecture: inventory.architecture.parse().unwrap(),
        manufacturer: inventory.manufacturer.clone(),
        model: inventory.model.clone(),
        bios_version: inventory.bios_version.clone(),
        free_disk_bytes: inventory.free_disk_bytes,
        restart_pending: inventory.restart_pending,
        store_health: inventory.store_health.parse().unwrap(),
        on_battery: inventory.on_battery,
        oobe_complete: inventory.oobe_complete,
        update_authority: inventory.update_authority.parse().unwrap(),
        tags: inventory.tags.clone(),
        utc_offset_minutes: inventory.utc_offset_minutes,
        attributes: inventory.attributes.clone(),
    }
}

pub fn ledger(inventory: &Inventory) -> Ledger {
    let entries = inventory.ledger.iter().map(|entry| LedgerEntry {
        identity: entry.identity.clone(),
        kb: entry.kb.as_ref().map(|kb| kb.parse().unwrap()),
        build: entry.build.as_ref().map(|build| build.parse().unwrap()),
        state: entry.state.parse().unwrap(),
        at: entry.at,
        client: entry.client.clone(),
    });
    Ledger(entries.collect())
}
