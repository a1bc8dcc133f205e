//! Why an update does not go onto a device: never, or not now. Who has to act on it is left to others.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UpdateAuthority;

/// Why an update can never apply to a device as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotApplicable {
    /// Client update, server device, or the reverse.
    Product,
    /// The device's base build is none that the update lists.
    Family,
    /// Standard update on a device enrolled in Hotpatch, or the reverse.
    Series,
    /// Other processor architecture.
    Architecture,
    /// The update is limited to other editions.
    Edition,
    /// An OOBE update: it comes from Windows Update during setup and can only be observed.
    ObservedOnly,
}

impl NotApplicable {
    /// The stable word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Family => "family",
            Self::Series => "series",
            Self::Architecture => "architecture",
            Self::Edition => "edition",
            Self::ObservedOnly => "observed_only",
        }
    }
}

impl fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Product => "The update is for another product: client and server updates are not interchangeable.",
            Self::Family => "The update is for other Windows versions than the one on this device.",
            Self::Series => "The update is for another series: a device enrolled in Hotpatch takes hotpatch updates only, other devices standard ones.",
            Self::Architecture => "The update is for another processor architecture.",
            Self::Edition => "The update is limited to other editions of Windows.",
            Self::ObservedOnly => "The update is installed by Windows Update during the Out-of-Box Experience and can only be observed.",
        })
    }
}

/// Why an update cannot start now. The device stays in its ring and has somebody to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// Too little free space on the system volume.
    Disk {
        /// Bytes the plan needs.
        need_bytes: u64,
        /// Bytes there are.
        free_bytes: u64,
    },
    /// A restart is pending, or a package waits for one.
    RestartPending,
    /// On battery.
    Battery,
    /// The Out-of-Box Experience is not finished.
    OobeRunning,
    /// The component store is beyond repair.
    StoreNonRepairable,
    /// Another authority installs updates, or policies contradict each other.
    Authority(UpdateAuthority),
}

impl NotReady {
    /// The stable word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disk { .. } => "disk",
            Self::RestartPending => "restart_pending",
            Self::Battery => "battery",
            Self::OobeRunning => "oobe_running",
            Self::StoreNonRepairable => "store_non_repairable",
            Self::Authority(_) => "authority",
        }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk {
                need_bytes,
                free_bytes,
            } => {
                write!(
                    f,
                    "{} free on the system volume, {} needed.",
                    Gib(*free_bytes),
                    Gib(*need_bytes)
                )
            }
            Self::RestartPending => f.write_str("A restart is pending and has to come first."),
            Self::Battery => f.write_str("The device runs on battery."),
            Self::OobeRunning => f.write_str("The Out-of-Box Experience is not finished."),
            Self::StoreNonRepairable => f.write_str(
                "The component store is beyond repair: an in-place upgrade or a reimage is due.",
            ),
            Self::Authority(UpdateAuthority::Conflict) => {
                f.write_str("Update policies on the device contradict each other.")
            }
            Self::Authority(other) => write!(
                f,
                "Another authority installs updates on the device: {}.",
                name(*other)
            ),
        }
    }
}

/// An authority as people call it.
const fn name(authority: UpdateAuthority) -> &'static str {
    match authority {
        UpdateAuthority::Ringfence => "Ringfence",
        UpdateAuthority::WindowsUpdate => "Windows Update",
        UpdateAuthority::Wsus => "WSUS",
        UpdateAuthority::Configmgr => "Configuration Manager",
        UpdateAuthority::Autopatch => "Windows Autopatch",
        UpdateAuthority::Conflict => "policies that contradict each other",
    }
}

/// Bytes as GiB with one decimal, rounded down so that "20.0 free, 20.0 needed" is never shown for too little.
struct Gib(u64);

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GIB: u64 = 1 << 30;
        write!(f, "{}.{} GiB", self.0 / GIB, self.0 % GIB * 10 / GIB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_reason_is_its_json() {
        for reason in [
            NotApplicable::Product,
            NotApplicable::Family,
            NotApplicable::Series,
            NotApplicable::Architecture,
            NotApplicable::Edition,
            NotApplicable::ObservedOnly,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
        assert_eq!(
            serde_json::to_value(NotReady::Battery).unwrap(),
            NotReady::Battery.word()
        );
        let authority = serde_json::to_value(NotReady::Authority(UpdateAuthority::Wsus)).unwrap();
        assert_eq!(authority["authority"], "wsus");
    }

    #[test]
    fn too_little_disk_never_reads_as_enough() {
        let reason = NotReady::Disk {
            need_bytes: 20 << 30,
            free_bytes: (20 << 30) - 1,
        };
        insta::assert_snapshot!(reason, @"19.9 GiB free on the system volume, 20.0 GiB needed.");
    }
}
