//! Which of the devices that ask may start now.

use std::collections::{BTreeMap, BTreeSet};

use super::caps::grow_assessed;
use super::{Admission, Admitted, Asker, NotAdmitted, WaitReason};
use crate::halt::assess;
use crate::ids::CohortId;

/// Restarts within the same minute are equally soon: the rank decides between them.
const BUCKET_S: u32 = 60;

/// Decides on a batch. Called under the locks of the rollout's gates, so that what was read stays true.
///
/// # Errors
/// When the evidence says halt: nobody may start, and the caller wakes whoever halts the rollout.
pub fn admit(admission: &Admission<'_>, askers: &[Asker]) -> Result<Admitted, NotAdmitted> {
    let assessment = assess(admission.evidence, admission.cleared, admission.halt);
    if let Some(cause) = assessment.halt {
        return Err(NotAdmitted::Halt(cause));
    }
    let caps = grow_assessed(admission, &assessment);
    let mut room = Room::new(admission, &caps);

    let mut order: Vec<&Asker> = askers.iter().collect();
    order.sort_by_key(|a| (a.restart_in_s / BUCKET_S, a.rank, a.device_no));
    let mut seen = BTreeSet::new();
    let (mut granted, mut waiting) = (Vec::new(), Vec::new());
    for asker in order {
        if !seen.insert(asker.device_no) {
            continue;
        }
        match room.ruling_limit(asker) {
            Some(reason) => waiting.push((asker.device_no, reason)),
            None => {
                room.take(asker);
                granted.push(asker.device_no);
            }
        }
    }
    Ok(Admitted {
        granted,
        waiting,
        caps,
    })
}

/// What is left under every limit while a batch is decided.
struct Room<'a> {
    admission: &'a Admission<'a>,
    caps: &'a BTreeMap<CohortId, u64>,
    /// Started devices, those granted in this batch included.
    started: BTreeMap<CohortId, u64>,
    unresolved: u64,
    today: u64,
    per_day: Option<u64>,
}

impl<'a> Room<'a> {
    fn new(admission: &'a Admission<'a>, caps: &'a BTreeMap<CohortId, u64>) -> Self {
        let evidence = admission.evidence;
        let mut started: BTreeMap<CohortId, u64> = evidence
            .cohorts
            .iter()
            .map(|(id, cohort)| (*id, cohort.counts.started))
            .collect();
        started.insert(CohortId::ALL, evidence.all.started);
        Self {
            admission,
            caps,
            started,
            unresolved: admission.unresolved,
            today: admission.today,
            per_day: admission.per_day(),
        }
    }

    /// The limit that keeps a device waiting: of those that are reached, the lowest.
    fn ruling_limit(&self, asker: &Asker) -> Option<WaitReason> {
        if let Some(closed) = self.admission.closed_to(asker) {
            return Some(closed);
        }
        let mut reached: Vec<(u64, WaitReason)> = Vec::new();
        let cap = self.caps[&CohortId::ALL];
        if self.started[&CohortId::ALL] >= cap {
            reached.push((cap, WaitReason::Generation { cap }));
        }
        for &cohort in &asker.cohorts {
            let cap = match self.caps.get(&cohort) {
                Some(cap) => *cap,
                // Watched, but without a generation of its own.
                None if self.started.contains_key(&cohort) => continue,
                // A cohort that the rollout does not know has no evidence, and gets no exposure.
                None => 0,
            };
            if self.started.get(&cohort).copied().unwrap_or(0) >= cap {
                reached.push((cap, WaitReason::CohortGeneration { cohort, cap }));
            }
        }
        if let Some(limit) = self.admission.limits.devices_at_once
            && self.unresolved >= limit
        {
            reached.push((limit, WaitReason::DevicesAtOnce { limit }));
        }
        if let Some(limit) = self.per_day
            && self.today >= limit
        {
            reached.push((limit, WaitReason::PerDay { limit }));
        }
        reached
            .into_iter()
            .min_by_key(|(limit, _)| *limit)
            .map(|(_, reason)| reason)
    }

    fn take(&mut self, asker: &Asker) {
        let cohorts: BTreeSet<CohortId> = asker
            .cohorts
            .iter()
            .copied()
            .chain([CohortId::ALL])
            .collect();
        for cohort in cohorts {
            *self.started.entry(cohort).or_insert(0) += 1;
        }
        self.unresolved += 1;
        self.today += 1;
    }
}
