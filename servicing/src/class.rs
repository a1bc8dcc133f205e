//! How a device's ledger stands to a sequence. Where `plan` asks what is left to do, this asks what has
//! happened, for histograms, drift and contamination lists.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{
    Build, Facts, Family, KbNumber, Ledger, LedgerEntry, Package, PackageState, Product, Role,
    Sequence, Series, Variant, known_builds,
    plan::{build_of, position},
};

/// How a ledger stands to a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerClass {
    /// Nothing of it is there beyond what came with the device's baseline.
    NotStarted,
    /// Some of its packages are there, or under way.
    Partial {
        /// Packages in force.
        done: u16,
        /// Packages this device needs or has needed.
        of: u16,
    },
    /// At the target, and nothing contradicts it.
    Complete,
    /// A later package is there or under way while an earlier one is missing.
    OutOfOrder,
    /// The effective cumulative package is a withdrawn one, or one sits on a family it was not built for.
    Contaminated,
    /// Above the target.
    Ahead,
    /// The sequence is not for this device, or build and ledger contradict each other.
    Unknown,
}

/// Classes a ledger against a sequence. `withdrawn` are the KBs that must not be in force: one that is
/// superseded is clean.
#[must_use]
pub fn classify(
    sequence: &Sequence,
    facts: &Facts,
    ledger: &Ledger,
    withdrawn: &[KbNumber],
) -> LedgerClass {
    let Ok(variant) = sequence.fitting_variant(facts) else {
        return LedgerClass::Unknown;
    };
    let position = position(variant, facts);
    let own = (position == Some(Ordering::Equal)).then_some(sequence.kb);
    if on_foreign_base(facts, ledger)
        || effective_kbs(facts, ledger)
            .chain(own)
            .any(|kb| withdrawn.contains(&kb))
    {
        return LedgerClass::Contaminated;
    }
    match position {
        Some(Ordering::Greater) => LedgerClass::Ahead,
        Some(Ordering::Equal) if target_unfinished(variant, ledger) => LedgerClass::Unknown,
        Some(Ordering::Equal) => LedgerClass::Complete,
        Some(Ordering::Less) | None => below_target(variant, facts, ledger),
    }
}

/// A cumulative package in force, or about to be, that belongs to another family than the device.
fn on_foreign_base(facts: &Facts, ledger: &Ledger) -> bool {
    let sits = |state| {
        matches!(
            state,
            PackageState::Installed
                | PackageState::InstallPending
                | PackageState::PartiallyInstalled
        )
    };
    let family = Family::of(facts.product, facts.build.base);
    let foreign = |build: Build| Family::of(facts.product, build.base) != family;
    ledger
        .0
        .iter()
        .any(|entry| sits(entry.state) && entry.is_cumulative() && entry.build.is_some_and(foreign))
}

/// The KBs in force. Of cumulative packages one is: the build is the reliable source, so an entry below it is
/// stale; identities do not tell their KB, so known builds help where the ledger is silent. Packages that
/// set no build (.NET) are in force while the ledger says installed.
fn effective_kbs(facts: &Facts, ledger: &Ledger) -> impl Iterator<Item = KbNumber> {
    let stale = |entry: &&LedgerEntry| {
        let build = entry
            .build
            .and_then(|build| build.compare(facts.build, facts.product, facts.series));
        build == Some(Ordering::Less)
    };
    let entry = ledger.effective_cumulative().filter(|entry| !stale(entry));
    let by_entry = entry.and_then(|entry| entry.kb);
    let others = ledger.0.iter().filter(|entry| {
        entry.state == PackageState::Installed
            && !entry.is_cumulative()
            && !entry.is_servicing_stack()
    });
    let by_build = known_kb(facts, facts.build);
    by_entry
        .into_iter()
        .chain(by_build)
        .chain(others.filter_map(|entry| entry.kb))
}

/// The KB that is known for a build of a client; for servers none are known.
fn known_kb(facts: &Facts, build: Build) -> Option<KbNumber> {
    let same = |known: Build| {
        known.compare(build, Product::Client, Series::Standard) == Some(Ordering::Equal)
    };
    let client = facts.product == Product::Client;
    known_builds()
        .iter()
        .find(|known| client && known.build.is_some_and(same))
        .and_then(|known| known.kb)
}

/// At the target's build, and yet the ledger has the target staged, pending or in part.
fn target_unfinished(variant: &Variant, ledger: &Ledger) -> bool {
    let last = variant.in_order().pop();
    let state = last.and_then(|package| ledger.state_of_package(package));
    state.is_some_and(|state| !state.is_final())
}

/// How far one package got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Below the device's build: it came with the baseline, or long ago.
    Passed,
    /// In force.
    Done,
    /// In the store or pending.
    Begun,
    /// In part, or on its way out.
    Broken,
    /// Not there.
    Open,
    /// Listed as in force, against the build.
    Contradicted,
}

fn below_target(variant: &Variant, facts: &Facts, ledger: &Ledger) -> LedgerClass {
    let packages: Vec<&Package> = variant
        .in_order()
        .into_iter()
        .filter(|package| package.role.installs_online() || package.role == Role::OobeUpdate)
        .collect();
    let states: Vec<_> = packages
        .iter()
        .map(|package| ledger.state_of_package(package))
        .collect();
    let mut progress: Vec<Progress> = packages
        .iter()
        .zip(&states)
        .map(|(package, state)| progress(package, *state, variant, facts))
        .collect();
    count_the_way_to_here(&mut progress, &states);

    let ahead_of_gap = |(index, state): (usize, &Option<PackageState>)| {
        let there = state.is_some_and(|state| {
            state != PackageState::Staged && state != PackageState::UninstallPending
        });
        let gap = progress
            .iter()
            .take(index)
            .any(|earlier| matches!(earlier, Progress::Open | Progress::Broken));
        there && gap
    };
    if states.iter().enumerate().any(ahead_of_gap) {
        return LedgerClass::OutOfOrder;
    }
    let count = |which: &[Progress]| {
        progress
            .iter()
            .filter(|progress| which.contains(progress))
            .count()
    };
    let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let (done, of) = (
        count(&[Progress::Done]),
        progress.len() - count(&[Progress::Passed]),
    );
    if count(&[Progress::Contradicted]) > 0 {
        LedgerClass::Unknown
    } else if done == of {
        LedgerClass::Complete
    } else if done > 0 || count(&[Progress::Begun, Progress::Broken]) > 0 {
        LedgerClass::Partial {
            done: small(done),
            of: small(of),
        }
    } else {
        LedgerClass::NotStarted
    }
}

fn progress(
    package: &Package,
    state: Option<PackageState>,
    variant: &Variant,
    facts: &Facts,
) -> Progress {
    let order = match package.role {
        Role::Enablement => package.build.map(|build| build.base.cmp(&facts.build.base)),
        _ => build_of(package, variant, facts)
            .and_then(|build| build.compare(facts.build, facts.product, facts.series)),
    };
    match (order, state) {
        (Some(Ordering::Less), _) => Progress::Passed,
        (Some(Ordering::Equal), _)
        | (None, Some(PackageState::Installed | PackageState::Superseded)) => Progress::Done,
        (_, None) => Progress::Open,
        (_, Some(PackageState::Staged | PackageState::InstallPending)) => Progress::Begun,
        (_, Some(PackageState::PartiallyInstalled | PackageState::UninstallPending)) => {
            Progress::Broken
        }
        // A servicing stack is in force at once and ahead of the build; nothing else is.
        (Some(Ordering::Greater), Some(PackageState::Installed | PackageState::Superseded)) => {
            match package.role {
                Role::Ssu => Progress::Done,
                _ => Progress::Contradicted,
            }
        }
    }
}

/// A device that stands exactly on a package of the sequence came there by the ones before it, if its ledger
/// lists them: they are done, and not merely part of the baseline.
fn count_the_way_to_here(progress: &mut [Progress], states: &[Option<PackageState>]) {
    let Some(here) = progress
        .iter()
        .rposition(|progress| *progress == Progress::Done)
    else {
        return;
    };
    for (progress, state) in progress.iter_mut().zip(states).take(here) {
        if *progress == Progress::Passed && state.is_some_and(PackageState::is_final) {
            *progress = Progress::Done;
        }
    }
}
