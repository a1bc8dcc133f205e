//! What servicing does to a device: ledger and build, as Windows would change them.

use chrono::{DateTime, Utc};
use servicing::{
    Architecture, Build, Facts, KbNumber, Ledger, LedgerEntry, Package, PackageState, Role, Step,
};

/// Which client a simulated device says it was.
const CLIENT: &str = "DISM Package Manager Provider";

/// Identity of a cumulative update. On 25H2 it keeps base 26100.
pub(super) fn rollup_identity(architecture: Architecture, ubr: u32) -> String {
    format!(
        "Package_for_RollupFix~31bf3856ad364e35~{}~~26100.{ubr}.1.1",
        in_identity(architecture)
    )
}

fn in_identity(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X64 => "amd64",
        Architecture::Arm64 => "arm64",
    }
}

/// The tool ran to its end: everything is there, and most of it waits for a restart. Returns its exit code.
pub(super) fn install(
    facts: &mut Facts,
    ledger: &mut Ledger,
    step: &Step,
    target: Build,
    at: DateTime<Utc>,
) -> i64 {
    for package in &step.packages {
        let build = build_of(package, facts, target);
        let identity = match (package.role, build) {
            (Role::Lcu | Role::Checkpoint, Some(build)) => {
                rollup_identity(facts.architecture, build.ubr)
            }
            _ => format!(
                "Package_for_{}~31bf3856ad364e35~{}~~1.0",
                package.kb,
                in_identity(facts.architecture)
            ),
        };
        let at_once = matches!(package.role, Role::Ssu);
        ledger.0.retain(|entry| entry.kb != Some(package.kb));
        ledger.0.push(LedgerEntry {
            identity,
            kb: Some(package.kb),
            build,
            state: if at_once {
                PackageState::Installed
            } else {
                PackageState::InstallPending
            },
            at: Some(at),
            client: Some(CLIENT.to_owned()),
        });
    }
    facts.restart_pending = ledger.awaits_restart();
    if facts.restart_pending { 3010 } else { 0 }
}

fn build_of(package: &Package, facts: &Facts, target: Build) -> Option<Build> {
    match package.role {
        Role::Lcu => Some(Build {
            base: facts.build.base,
            ubr: package.build.map_or(target.ubr, |build| build.ubr),
        }),
        _ => package.build,
    }
}

/// Another client installed a cumulative update, and its restart is over.
pub(super) fn put_into_force(
    facts: &mut Facts,
    ledger: &mut Ledger,
    kb: KbNumber,
    build: Build,
    at: DateTime<Utc>,
) {
    ledger.0.push(LedgerEntry {
        identity: rollup_identity(facts.architecture, build.ubr),
        kb: Some(kb),
        build: Some(build),
        state: PackageState::InstallPending,
        at: Some(at),
        client: Some("UpdateAgentLCU".to_owned()),
    });
    boot(facts, ledger, at);
}

/// The tool removed a package: it is gone after a restart.
pub(super) fn remove(facts: &mut Facts, ledger: &mut Ledger, kb: KbNumber) -> i64 {
    let Some(entry) = ledger.0.iter_mut().find(|entry| entry.kb == Some(kb)) else {
        // CBS_E_NOT_APPLICABLE
        return -2_146_498_530;
    };
    entry.state = PackageState::UninstallPending;
    facts.restart_pending = true;
    3010
}

/// A kernel boot: what was pending comes into force, in order.
pub(super) fn boot(facts: &mut Facts, ledger: &mut Ledger, at: DateTime<Utc>) {
    let removed = ledger
        .0
        .iter()
        .any(|entry| entry.state == PackageState::UninstallPending);
    ledger
        .0
        .retain(|entry| entry.state != PackageState::UninstallPending);
    if removed
        && let Some(last) = ledger
            .0
            .iter_mut()
            .filter(|entry| entry.is_cumulative())
            .max_by_key(|entry| entry.build.map(|build| build.ubr))
    {
        last.state = PackageState::Installed;
        facts.build.ubr = last.build.map_or(facts.build.ubr, |build| build.ubr);
    }
    for index in 0..ledger.0.len() {
        if ledger.0[index].state != PackageState::InstallPending {
            continue;
        }
        if ledger.0[index].is_cumulative() {
            for older in ledger.0.iter_mut().filter(|entry| entry.is_cumulative()) {
                if older.state == PackageState::Installed {
                    older.state = PackageState::Superseded;
                }
            }
        }
        let entry = &mut ledger.0[index];
        entry.state = PackageState::Installed;
        entry.at = Some(at);
        if let Some(build) = entry.build {
            facts.build.base = facts.build.base.max(build.base);
            facts.build.ubr = facts.build.ubr.max(build.ubr);
        }
    }
    facts.restart_pending = false;
}

/// Windows took back what was pending.
pub(super) fn roll_back(facts: &mut Facts, ledger: &mut Ledger) {
    ledger
        .0
        .retain(|entry| entry.state != PackageState::InstallPending);
    facts.restart_pending = false;
}
