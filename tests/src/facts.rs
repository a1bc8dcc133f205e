//! A machine as its inventory tells it.

use agent_protocol::Inventory;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// An ordinary office machine, 26100.1000 (two steps away from March), with a serial number and a tag.
#[must_use]
pub fn inventory(serial: &str, tags: &[&str]) -> Inventory {
    let digest = Sha256::digest(serial.as_bytes());
    Inventory {
        serial: serial.to_owned(),
        smbios_uuid: Uuid::from_slice(&digest[..16]).unwrap(),
        tpm_ek_sha256: None,
        host_name: format!("PC-{serial}"),
        product: "client".into(),
        build: "26100.1000".into(),
        series: "standard".into(),
        edition: "Professional".into(),
        architecture: "x64".into(),
        manufacturer: "Contoso".into(),
        model: "Latitude 5450".into(),
        bios_version: "1.4.2".into(),
        free_disk_bytes: 200 << 30,
        restart_pending: false,
        store_health: "healthy".into(),
        on_battery: false,
        oobe_complete: true,
        update_authority: "ringfence".into(),
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        utc_offset_minutes: 60,
        attributes: std::collections::BTreeMap::new(),
        ledger: Vec::new(),
    }
}

/// Steps that a machine on this build needs: from before the checkpoint there are two.
#[must_use]
pub fn steps_of(build: &str) -> u16 {
    let ubr: u32 = build.rsplit('.').next().unwrap().parse().unwrap();
    if ubr < 1742 { 2 } else { 1 }
}
