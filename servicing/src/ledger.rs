//! The servicing ledger: what a device reports as really installed, never what it was offered. What it
//! means for one sequence is left to `class` and `plan`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Build, KbNumber, Package, Role};

words! {
    /// State of a package in the servicing stack, as `dism /English /Get-Packages` shows it.
    pub enum PackageState, expected "staged, install_pending, installed, superseded, uninstall_pending or partially_installed" {
        /// In the store, not in force.
        Staged = "staged",
        /// Will be in force after the next restart.
        InstallPending = "install_pending",
        /// In force.
        Installed = "installed",
        /// Was in force; a newer package has taken its place.
        Superseded = "superseded",
        /// Will be gone after the next restart.
        UninstallPending = "uninstall_pending",
        /// Some of its parts are in force: an alarm, not a step on the way.
        PartiallyInstalled = "partially_installed",
    }
}

impl PackageState {
    /// It is or was in force: nothing of it is left to install.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Installed | Self::Superseded)
    }

    /// The next restart changes it.
    #[must_use]
    pub const fn awaits_restart(self) -> bool {
        matches!(self, Self::InstallPending | Self::UninstallPending)
    }

    /// Which of several entries of one KB tells most: what is unfinished before what is done.
    const fn telling(self) -> u8 {
        match self {
            Self::UninstallPending => 0,
            Self::InstallPending => 1,
            Self::PartiallyInstalled => 2,
            Self::Installed => 3,
            Self::Staged => 4,
            Self::Superseded => 5,
        }
    }
}

/// One package as the servicing stack reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Package identity, `Name~PublicKeyToken~architecture~language~version`.
    pub identity: String,
    /// Its KB, where the device knows it: identities of cumulative updates do not tell.
    #[serde(default)]
    pub kb: Option<KbNumber>,
    /// Build it brings, where it sets one. On 25H2 and 26H2 identities keep base 26100.
    #[serde(default)]
    pub build: Option<Build>,
    /// State.
    pub state: PackageState,
    /// When it reached that state, by the device's clock.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// Which client did it, such as `DISM Package Manager Provider`.
    #[serde(default)]
    pub client: Option<String>,
}

impl LedgerEntry {
    /// A servicing stack: listed beside the cumulative update that contained it, and in force at once.
    #[must_use]
    pub fn is_servicing_stack(&self) -> bool {
        self.identity.starts_with("Package_for_ServicingStack")
    }

    /// A package that sets the build: a cumulative update or a checkpoint.
    #[must_use]
    pub fn is_cumulative(&self) -> bool {
        const OTHERS: [&str; 3] = [
            "Package_for_ServicingStack",
            "Package_for_DotNetRollup",
            "Package_for_SafeOS",
        ];
        self.build.is_some() && !OTHERS.iter().any(|name| self.identity.starts_with(name))
    }
}

/// All packages a device reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger(pub Vec<LedgerEntry>);

impl Ledger {
    /// State of a KB. A combined update is listed twice, as servicing stack and as cumulative update: the
    /// latter counts. Of several entries the unfinished one counts.
    #[must_use]
    pub fn state_of(&self, kb: KbNumber) -> Option<PackageState> {
        most_telling(self.0.iter().filter(|entry| entry.kb == Some(kb))).map(|entry| entry.state)
    }

    /// State of a package of a sequence: by its KB, or by its build where the device could not tell the KB.
    #[must_use]
    pub fn state_of_package(&self, package: &Package) -> Option<PackageState> {
        self.entry_of_package(package).map(|entry| entry.state)
    }

    /// The entry that tells the state of a package of a sequence.
    #[must_use]
    pub fn entry_of_package(&self, package: &Package) -> Option<&LedgerEntry> {
        let sets_build = matches!(package.role, Role::Checkpoint | Role::Lcu);
        most_telling(self.0.iter().filter(|entry| match entry.kb {
            Some(kb) => kb == package.kb,
            None => sets_build && entry.is_cumulative() && entry.build == package.build,
        }))
    }

    /// The cumulative package in force: installed, and of several the one with the highest UBR.
    #[must_use]
    pub fn effective_cumulative(&self) -> Option<&LedgerEntry> {
        self.0
            .iter()
            .filter(|entry| entry.state == PackageState::Installed && entry.is_cumulative())
            .max_by_key(|entry| entry.build.map(|build| build.ubr))
    }

    /// A package waits for a restart: it is not in force, and installing it again would loop.
    #[must_use]
    pub fn awaits_restart(&self) -> bool {
        self.0.iter().any(|entry| entry.state.awaits_restart())
    }
}

fn most_telling<'a>(entries: impl Iterator<Item = &'a LedgerEntry>) -> Option<&'a LedgerEntry> {
    entries.min_by_key(|entry| (entry.is_servicing_stack(), entry.state.telling()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(
        name: &str,
        kb: Option<&str>,
        build: Option<&str>,
        state: PackageState,
    ) -> LedgerEntry {
        LedgerEntry {
            identity: format!("{name}~31bf3856ad364e35~amd64~~26100.1.1.1"),
            kb: kb.map(|kb| kb.parse().unwrap()),
            build: build.map(|build| build.parse().unwrap()),
            state,
            at: None,
            client: None,
        }
    }

    #[test]
    fn a_servicing_stack_in_force_does_not_hide_its_pending_cumulative_update() {
        let ledger = Ledger(vec![
            entry(
                "Package_for_ServicingStack_8117",
                Some("KB5086672"),
                Some("26100.8117"),
                PackageState::Installed,
            ),
            entry(
                "Package_for_RollupFix",
                Some("KB5086672"),
                Some("26100.8117"),
                PackageState::Staged,
            ),
        ]);
        assert_eq!(
            ledger.state_of("KB5086672".parse().unwrap()),
            Some(PackageState::Staged)
        );
        assert_eq!(ledger.effective_cumulative(), None);
    }

    #[test]
    fn of_two_entries_of_one_kb_the_unfinished_one_counts() {
        let ledger = Ledger(vec![
            entry(
                "Package_for_KB5086672",
                Some("KB5086672"),
                None,
                PackageState::Installed,
            ),
            entry(
                "Package_for_RollupFix",
                Some("KB5086672"),
                Some("26100.8117"),
                PackageState::InstallPending,
            ),
        ]);
        assert_eq!(
            ledger.state_of("KB5086672".parse().unwrap()),
            Some(PackageState::InstallPending)
        );
        assert!(ledger.awaits_restart());
        assert_eq!(ledger.state_of("KB5043080".parse().unwrap()), None);
    }

    #[test]
    fn the_effective_cumulative_package_is_the_installed_one_with_the_highest_ubr() {
        let ledger = Ledger(vec![
            entry(
                "Package_for_RollupFix",
                None,
                Some("26100.8117"),
                PackageState::Installed,
            ),
            entry(
                "Package_for_RollupFix",
                None,
                Some("26100.8116"),
                PackageState::Installed,
            ),
            entry(
                "Package_for_RollupFix",
                None,
                Some("26100.8246"),
                PackageState::Staged,
            ),
            entry(
                "Package_for_RollupFix",
                None,
                Some("26100.8328"),
                PackageState::Superseded,
            ),
            entry(
                "Package_for_DotNetRollup_481",
                None,
                Some("26100.9999"),
                PackageState::Installed,
            ),
        ]);
        let effective = ledger.effective_cumulative().and_then(|entry| entry.build);
        assert_eq!(effective, Some("26100.8117".parse().unwrap()));
    }
}
