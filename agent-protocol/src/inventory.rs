//! What a device is and what it really has.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Body of `PUT /inventory`: all facts and the servicing ledger. Sent when their digest changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Serial number from SMBIOS.
    pub serial: String,
    /// System UUID from SMBIOS.
    pub smbios_uuid: Uuid,
    /// SHA-256 of the TPM's endorsement key, hex, where there is a TPM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm_ek_sha256: Option<String>,
    /// Host name.
    pub host_name: String,
    /// `client` or `server`.
    pub product: String,
    /// `26100.8117`: `CurrentBuild` and `UBR`.
    pub build: String,
    /// `standard` or `hotpatch`.
    pub series: String,
    /// `EditionID`, such as `Professional`.
    pub edition: String,
    /// `x64` or `arm64`.
    pub architecture: String,
    /// SMBIOS manufacturer.
    pub manufacturer: String,
    /// SMBIOS model.
    pub model: String,
    /// SMBIOS BIOS version.
    pub bios_version: String,
    /// Free bytes on the system volume.
    pub free_disk_bytes: u64,
    /// A restart is pending for any reason.
    pub restart_pending: bool,
    /// `healthy`, `repairable` or `non_repairable`.
    pub store_health: String,
    /// On battery and below what a restart needs.
    pub on_battery: bool,
    /// The Out-of-Box Experience is finished.
    pub oobe_complete: bool,
    /// Who else installs updates: `ringfence`, `windows_update`, `wsus`, `configmgr`, `autopatch`, `conflict`.
    pub update_authority: String,
    /// Tags set on the device by its owner.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Minutes east of UTC, for windows in the device's local time.
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// What else is known of it by name, at most 16: names of lower-case letters, digits and `_`, values of at most 100
    /// characters. Such as `edr`, `vpn` or `storage_driver`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What servicing reports as installed.
    pub ledger: Vec<LedgerEntry>,
}

/// One package as the servicing stack reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Package identity, `Name~Token~arch~lang~version`.
    pub identity: String,
    /// `KB5086672`, where the package tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kb: Option<String>,
    /// Build that the package brings, `26100.8117`, where it sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// `staged`, `install_pending`, `installed`, `superseded`, `uninstall_pending`, `partially_installed`.
    pub state: String,
    /// When it reached that state, by the device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Which client installed it, such as `DISM Package Manager Provider`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// Answer of `PUT /inventory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryAnswer {
    /// SHA-256 of what is stored now, hex: the server asks for a new inventory when the agent's differs.
    pub digest: String,
}
