//! What a device says about itself. What it has installed is the `ledger`; what follows is left to `plan`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Architecture, Build, Edition, Family, Product, Series};

words! {
    /// Who installs updates on the device, from its policies. Only with `ringfence` does it install ours.
    pub enum UpdateAuthority, expected "ringfence, windows_update, wsus, configmgr, autopatch or conflict" {
        /// This product.
        Ringfence = "ringfence",
        /// Windows Update, directly or by Windows Update for Business policies.
        WindowsUpdate = "windows_update",
        /// A WSUS server.
        Wsus = "wsus",
        /// Microsoft Configuration Manager.
        Configmgr = "configmgr",
        /// Windows Autopatch.
        Autopatch = "autopatch",
        /// Policies that contradict each other.
        Conflict = "conflict",
    }
}

words! {
    /// Health of the component store, as `DISM /Cleanup-Image /CheckHealth` tells it.
    pub enum StoreHealth, expected "healthy, repairable or non_repairable" {
        /// No damage known.
        Healthy = "healthy",
        /// Damaged, and RestoreHealth can mend it.
        Repairable = "repairable",
        /// Beyond repair: an in-place upgrade or a reimage is due.
        NonRepairable = "non_repairable",
    }
}

/// What decides for ever whether an update can apply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Client or server.
    pub product: Product,
    /// Family of the base build.
    pub family: Family,
    /// Standard or hotpatch.
    pub series: Series,
    /// Processor architecture.
    pub architecture: Architecture,
    /// `EditionID`.
    pub edition: Edition,
}

/// The facts of one device at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Client or server.
    pub product: Product,
    /// `CurrentBuild` and `UBR` of the registry: the reliable source of what is in force.
    pub build: Build,
    /// Standard or hotpatch.
    pub series: Series,
    /// `EditionID`.
    pub edition: Edition,
    /// Processor architecture.
    pub architecture: Architecture,
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
    /// Health of the component store.
    pub store_health: StoreHealth,
    /// On battery and below what a restart needs.
    pub on_battery: bool,
    /// The Out-of-Box Experience is finished.
    pub oobe_complete: bool,
    /// Who installs updates.
    pub update_authority: UpdateAuthority,
    /// Tags set by the owner.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Minutes east of UTC, for windows in local time.
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// What else is known of it by name, such as its EDR, its VPN client or the version of its storage driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Most attributes of a device.
pub const MOST_ATTRIBUTES: usize = 16;

/// Whether an attribute can be called so: `edr`, `storage_driver`.
#[must_use]
pub fn is_attribute_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether an attribute can have this value.
#[must_use]
pub fn is_attribute_value(value: &str) -> bool {
    let length = value.chars().count();
    (1..=100).contains(&length) && value.trim() == value && !value.chars().any(char::is_control)
}

impl Facts {
    /// Facts of which only those that decide applicability are known; the rest is as harmless as can be.
    #[must_use]
    pub fn of_platform(
        product: Product,
        build: Build,
        series: Series,
        edition: Edition,
        architecture: Architecture,
    ) -> Self {
        Self {
            product,
            build,
            series,
            edition,
            architecture,
            manufacturer: String::new(),
            model: String::new(),
            bios_version: String::new(),
            free_disk_bytes: u64::MAX,
            restart_pending: false,
            store_health: StoreHealth::Healthy,
            on_battery: false,
            oobe_complete: true,
            update_authority: UpdateAuthority::Ringfence,
            tags: Vec::new(),
            utc_offset_minutes: 0,
            attributes: BTreeMap::new(),
        }
    }

    /// What decides applicability; nothing where the base build belongs to no known family.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        Some(Platform {
            product: self.product,
            family: Family::of(self.product, self.build.base)?,
            series: self.series,
            architecture: self.architecture,
            edition: self.edition.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_called_by_lower_case_letters_digits_and_lines() {
        for name in ["edr", "storage_driver", "vpn2", "a", &"a".repeat(32)] {
            assert!(is_attribute_name(name), "{name}");
        }
        for name in [
            "",
            "2vpn",
            "_x",
            "EDR",
            "edr client",
            "edr-client",
            "\u{e9}dr",
            &"a".repeat(33),
        ] {
            assert!(!is_attribute_name(name), "{name}");
        }
    }

    #[test]
    fn an_attribute_has_a_text_of_one_line_without_blanks_around_it() {
        for value in ["7.2", "Contoso Sensor 7.2", &"\u{e9}".repeat(100)] {
            assert!(is_attribute_value(value), "{value}");
        }
        for value in ["", " 7.2", "7.2 ", "two\nlines", &"x".repeat(101)] {
            assert!(!is_attribute_value(value), "{value}");
        }
    }
}
