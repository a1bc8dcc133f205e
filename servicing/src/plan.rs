//! What a device still needs of a sequence: which packages, in which steps, ending on which build, or why
//! not. The same facts give the same plan on server and agent. Whether the device may start is left to the
//! engine, running a step to the agent, and the verdict to build and ledger afterwards.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{
    Build, Facts, Ledger, Method, NotApplicable, NotReady, Package, RestartRule, Role, Sequence,
    StoreHealth, UpdateAuthority, Variant,
};

/// 20 GiB, the least free space for an update whatever its size: servicing also needs room to undo (our rule).
pub const MIN_FREE_BYTES: u64 = 20 << 30;

/// A package is there downloaded, expanded, and in the component store (our rule).
const SPACE_PER_BYTE: u64 = 3;

/// One servicing transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From 1, among the steps that remain.
    pub number: u16,
    /// Its packages in order, the target last. Together: DISM gets the last one's file.
    pub packages: Vec<Package>,
    /// How they are handed to servicing.
    pub method: Method,
    /// A restart follows whatever the exit code says.
    pub restart_after: bool,
}

impl Step {
    /// Whether a restart can follow: always, or when a package's state waits for one.
    #[must_use]
    pub fn may_restart(&self) -> bool {
        self.packages
            .iter()
            .any(|package| package.restart != RestartRule::Never)
    }
}

/// The steps that remain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In order; never empty.
    pub steps: Vec<Step>,
    /// Build the device ends on; its present one where the update sets none (.NET).
    pub target: Build,
}

impl Plan {
    /// Its packages in order.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.steps.iter().flat_map(|step| &step.packages)
    }

    /// Bytes to download, as far as sizes are known.
    #[must_use]
    pub fn download_bytes(&self) -> u64 {
        self.packages()
            .filter_map(|package| package.size_bytes)
            .fold(0, u64::saturating_add)
    }

    /// Free bytes it needs: three times its packages, 20 GiB at least.
    #[must_use]
    pub fn need_bytes(&self) -> u64 {
        self.download_bytes()
            .saturating_mul(SPACE_PER_BYTE)
            .max(MIN_FREE_BYTES)
    }
}

/// What a sequence means for a device now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[must_use]
pub enum Planned {
    /// These steps, now.
    Steps(Plan),
    /// At the target.
    Complete,
    /// Above the target.
    Ahead,
    /// Never, as the device is.
    NotApplicable(NotApplicable),
    /// These steps, once the reasons are gone.
    NotReady(Plan, Vec<NotReady>),
}

/// What `sequence` means for a device. The build decides what is done, since it is the reliable source: a
/// ledger that lists the target as installed below its build does not end the plan. The ledger decides only
/// where there is no build to read (.NET, a servicing stack without one), and whether a restart comes first.
pub fn plan(sequence: &Sequence, facts: &Facts, ledger: &Ledger) -> Planned {
    let variant = match sequence.variant_for(facts) {
        Ok(variant) => variant,
        Err(reason) => return Planned::NotApplicable(reason),
    };
    match position(variant, facts) {
        Some(Ordering::Equal) => return Planned::Complete,
        Some(Ordering::Greater) => return Planned::Ahead,
        Some(Ordering::Less) | None => {}
    }
    let remaining: Vec<&Package> = variant
        .in_order()
        .into_iter()
        .filter(|package| !satisfied(package, variant, facts, ledger))
        .collect();
    if remaining.is_empty() {
        return Planned::Complete;
    }
    let plan = Plan {
        steps: steps(&remaining, variant.method),
        target: variant.target_for(facts.build).unwrap_or(facts.build),
    };
    let reasons = not_ready(&plan, facts, ledger);
    if reasons.is_empty() {
        Planned::Steps(plan)
    } else {
        Planned::NotReady(plan, reasons)
    }
}

/// Where a device stands to the target of its variant; nothing where the update sets no build.
pub(crate) fn position(variant: &Variant, facts: &Facts) -> Option<Ordering> {
    let ubr = variant.target_ubr?;
    if let Some(enabled) = variant.enables()
        && facts.build.base != enabled
    {
        return Some(facts.build.base.cmp(&enabled));
    }
    let target = Build {
        base: facts.build.base,
        ubr,
    };
    facts.build.compare(target, facts.product, facts.series)
}

/// The build a package brings to this device; for a cumulative update that names none, the target's.
pub(crate) fn build_of(package: &Package, variant: &Variant, facts: &Facts) -> Option<Build> {
    match package.role {
        Role::Lcu => package.build.or_else(|| {
            Some(Build {
                base: facts.build.base,
                ubr: variant.target_ubr?,
            })
        }),
        Role::Ssu | Role::Checkpoint => package.build,
        Role::Enablement | Role::Dotnet | Role::SafeosDu | Role::SetupDu | Role::OobeUpdate => None,
    }
}

/// Whether nothing is to be done for a package. A checkpoint at or below the device's UBR is satisfied
/// whether or not it is listed: adding it again fails or does harm (field reports).
fn satisfied(package: &Package, variant: &Variant, facts: &Facts, ledger: &Ledger) -> bool {
    if !package.role.installs_online() {
        return true;
    }
    if package.role == Role::Enablement {
        return package
            .build
            .is_some_and(|build| facts.build.base >= build.base);
    }
    match build_of(package, variant, facts) {
        Some(build) => build
            .compare(facts.build, facts.product, facts.series)
            .is_some_and(Ordering::is_le),
        None => ledger
            .state_of_package(package)
            .is_some_and(crate::PackageState::is_final),
    }
}

fn steps(remaining: &[&Package], method: Method) -> Vec<Step> {
    let size = match method {
        Method::Together => remaining.len(),
        Method::OneByOne => 1,
    };
    (1..)
        .zip(remaining.chunks(size))
        .map(|(number, packages)| Step {
            number,
            packages: packages.iter().copied().cloned().collect(),
            method,
            restart_after: packages
                .iter()
                .any(|package| package.restart == RestartRule::Always),
        })
        .collect()
}

fn not_ready(plan: &Plan, facts: &Facts, ledger: &Ledger) -> Vec<NotReady> {
    let need_bytes = plan.need_bytes();
    let free_bytes = facts.free_disk_bytes;
    [
        (
            facts.update_authority != UpdateAuthority::Ringfence,
            NotReady::Authority(facts.update_authority),
        ),
        (!facts.oobe_complete, NotReady::OobeRunning),
        (
            facts.store_health == StoreHealth::NonRepairable,
            NotReady::StoreNonRepairable,
        ),
        (
            facts.restart_pending || ledger.awaits_restart(),
            NotReady::RestartPending,
        ),
        (
            free_bytes < need_bytes,
            NotReady::Disk {
                need_bytes,
                free_bytes,
            },
        ),
        (facts.on_battery, NotReady::Battery),
    ]
    .into_iter()
    .filter_map(|(holds, reason)| holds.then_some(reason))
    .collect()
}
