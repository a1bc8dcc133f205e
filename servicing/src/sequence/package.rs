//! One file of a sequence, and how servicing treats it by its role.

use serde::{Deserialize, Serialize};

use crate::{Build, KbNumber, Sha1, Sha256};

words! {
    /// What a package is for.
    pub enum Role, expected "ssu, checkpoint, lcu, enablement, dotnet, safeos_du, setup_du or oobe_update" {
        /// A servicing stack on its own; can never be removed.
        Ssu = "ssu",
        /// A cumulative update that later ones are built upon: an ordinary monthly update by content.
        Checkpoint = "checkpoint",
        /// The latest cumulative update: the target.
        Lcu = "lcu",
        /// Turns on the next version on the same branch: changes the base build.
        Enablement = "enablement",
        /// A cumulative update of .NET; sets no UBR.
        Dotnet = "dotnet",
        /// Safe OS Dynamic Update: for the recovery environment of images and media.
        SafeosDu = "safeos_du",
        /// Setup Dynamic Update: for installation media.
        SetupDu = "setup_du",
        /// Installed by Windows Update inside the Out-of-Box Experience; sets no UBR.
        OobeUpdate = "oobe_update",
    }
}

impl Role {
    /// Servicing stacks and checkpoints stay on a device.
    #[must_use]
    pub const fn is_removable(self) -> bool {
        !matches!(self, Self::Ssu | Self::Checkpoint)
    }

    /// Whether DISM or wusa can put it onto a running Windows. Dynamic Updates go into images and media only,
    /// OOBE updates come from Windows Update only.
    #[must_use]
    pub const fn installs_online(self) -> bool {
        !matches!(self, Self::SafeosDu | Self::SetupDu | Self::OobeUpdate)
    }

    /// The rule where a package names none: a cumulative or enablement package is in force only after a
    /// restart; servicing stacks and Dynamic Updates need none (Microsoft documentation, field reports).
    /// Whether a checkpoint needs one before the next package is not documented: the package's state tells.
    #[must_use]
    pub const fn default_restart(self) -> RestartRule {
        match self {
            Self::Lcu | Self::Enablement => RestartRule::Always,
            Self::Checkpoint | Self::Dotnet => RestartRule::IfAsked,
            Self::Ssu | Self::SafeosDu | Self::SetupDu | Self::OobeUpdate => RestartRule::Never,
        }
    }
}

words! {
    /// When a restart follows a package.
    pub enum RestartRule, expected "never, if_asked or always" {
        /// None belongs to it.
        Never = "never",
        /// When the package's state waits for one.
        IfAsked = "if_asked",
        /// Whatever the exit code says.
        Always = "always",
    }
}

/// One file of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Input")]
pub struct Package {
    /// Place in the sequence, from 1.
    pub ordinal: u16,
    /// KB of this file.
    pub kb: KbNumber,
    /// What it is for.
    pub role: Role,
    /// File name as the Update Catalog gives it; none in a draft.
    pub file_name: Option<String>,
    /// Bytes; none in a draft.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the file; none in a draft.
    pub sha256: Option<Sha256>,
    /// SHA-1 of the file as the Update Catalog gives it; none in a draft.
    pub file_sha1: Option<Sha1>,
    /// Build that it brings, where it sets one. Shared updates are named by the family's lowest base.
    pub build: Option<Build>,
    /// When a restart follows.
    pub restart: RestartRule,
}

/// A package as it is written down: nearly everything may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    ordinal: u16,
    kb: KbNumber,
    role: Role,
    #[serde(default)]
    file_name: Option<String>,
    #[serde(default)]
    size_bytes: Option<u64>,
    #[serde(default)]
    sha256: Option<Sha256>,
    #[serde(default)]
    file_sha1: Option<Sha1>,
    #[serde(default)]
    build: Option<Build>,
    #[serde(default)]
    restart: Option<RestartRule>,
}

impl From<Input> for Package {
    fn from(input: Input) -> Self {
        Self {
            ordinal: input.ordinal,
            kb: input.kb,
            role: input.role,
            file_name: input.file_name,
            size_bytes: input.size_bytes,
            sha256: input.sha256,
            file_sha1: input.file_sha1,
            build: input.build,
            restart: input.restart.unwrap_or(input.role.default_restart()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_names_no_restart_rule_gets_that_of_its_role() {
        let read = |role: &str| -> Package {
            serde_json::from_str(&format!(
                r#"{{"ordinal":1,"kb":"KB5086672","role":"{role}"}}"#
            ))
            .unwrap()
        };
        assert_eq!(read("lcu").restart, RestartRule::Always);
        assert_eq!(read("checkpoint").restart, RestartRule::IfAsked);
        assert_eq!(read("ssu").restart, RestartRule::Never);
        let written = serde_json::to_string(&read("dotnet")).unwrap();
        assert_eq!(
            serde_json::from_str::<Package>(&written).unwrap(),
            read("dotnet")
        );
    }

    #[test]
    fn a_misspelt_field_is_refused_and_not_ignored() {
        let text = r#"{"ordinal":1,"kb":"KB5086672","role":"lcu","sha265":null}"#;
        assert!(
            serde_json::from_str::<Package>(text)
                .unwrap_err()
                .to_string()
                .contains("sha265")
        );
    }
}
