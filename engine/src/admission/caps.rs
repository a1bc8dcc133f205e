//! Generations: a cap grows when the devices it let start have shown what became of them.
//!
//! A rule that looks alike and is not: "unresolved devices at most as many as OK ones" grows continuously and
//! lets devices in flight run ahead of their evidence. `docs/gates.md` has the figures. Do not simplify.

use std::collections::BTreeMap;

use super::Admission;
use crate::evidence::{CohortKind, Counts};
use crate::gate::failure_upper_bound;
use crate::halt::{Assessment, assess};
use crate::ids::CohortId;
use crate::policy::Growth;

/// Devices of the first generation, of a rollout and of each model and BIOS version. Two, because one failure
/// of one device can not be told from chance.
pub const FIRST_CAP: u64 = 2;

/// Share of started devices that must be OK before a cap grows without the last of them.
pub const QUORUM: f64 = 0.95;

/// Clean devices from which on fast growth is allowed: 0 failures among 299 show at most 1 %.
pub const FAST_FROM: u64 = 299;

/// Failure rate that devices must have been shown to keep before growth is fast.
const FAST_RATE: f64 = 0.01;

/// A quorum that is never reached: only all resolved devices count.
const NO_QUORUM: f64 = f64::INFINITY;

/// How many devices may have started, after one look at the evidence.
///
/// Nothing changes before `cap` devices have started. Then it doubles once `quorum` of all started devices are
/// OK, or all of them are resolved. With the brake on it grows by the initial size, once all are resolved.
#[must_use]
pub fn next_cap(
    cap: u64,
    initial: u64,
    started: u64,
    ok: u64,
    resolved: u64,
    braked: bool,
    quorum: f64,
) -> u64 {
    if started < cap || !(resolved >= started || !braked && enough(ok, started, quorum)) {
        cap
    } else if braked {
        cap.saturating_add(initial)
    } else {
        cap.saturating_mul(2)
    }
}

#[allow(clippy::cast_precision_loss)] // Devices are far below 2^53.
fn enough(ok: u64, started: u64, quorum: f64) -> bool {
    ok as f64 >= quorum * started as f64
}

/// The caps now, for all devices, each model and each BIOS version. Evidence may have gone on by several
/// generations since they were stored; they never shrink.
#[must_use]
pub fn grow(admission: &Admission<'_>) -> BTreeMap<CohortId, u64> {
    let assessment = assess(admission.evidence, admission.cleared, admission.halt);
    grow_assessed(admission, &assessment)
}

pub(super) fn grow_assessed(
    admission: &Admission<'_>,
    assessment: &Assessment,
) -> BTreeMap<CohortId, u64> {
    let evidence = admission.evidence;
    let capped = evidence
        .cohorts
        .iter()
        .filter(|(_, cohort)| matches!(cohort.kind, CohortKind::Model | CohortKind::Bios))
        .map(|(id, cohort)| (*id, &cohort.counts));
    std::iter::once((CohortId::ALL, &evidence.all))
        .chain(capped)
        .map(|(id, counts)| {
            let mut cap = admission
                .caps
                .get(&id)
                .copied()
                .unwrap_or(FIRST_CAP)
                .max(FIRST_CAP);
            let braked = assessment.brakes(id);
            let fast = admission.growth == Growth::Fast && !braked && is_clean(counts);
            if fast && id == CohortId::ALL {
                cap = cap.max(admission.ring_size.div_ceil(100));
            }
            (id, settle(cap, counts, admission.growth, fast, braked))
        })
        .collect()
}

/// Applies the rule until it changes nothing.
fn settle(mut cap: u64, counts: &Counts, growth: Growth, fast: bool, braked: bool) -> u64 {
    let quorum = if growth == Growth::Cautious {
        NO_QUORUM
    } else {
        QUORUM
    };
    loop {
        let Counts {
            started,
            ok,
            resolved,
            ..
        } = *counts;
        let next = next_cap(cap, FIRST_CAP, started, ok, resolved, braked, quorum);
        if next == cap {
            return cap;
        }
        // Twice the step of the standard growth: it quadruples.
        cap = if fast { next.saturating_mul(2) } else { next };
    }
}

/// Enough clean devices for fast growth. Judged over those that ended: the ones in flight hold the generation
/// back by the rule of growth itself.
fn is_clean(counts: &Counts) -> bool {
    let failures = counts.resolved.saturating_sub(counts.ok);
    counts.ok >= FAST_FROM && failure_upper_bound(failures, counts.resolved) <= FAST_RATE
}
