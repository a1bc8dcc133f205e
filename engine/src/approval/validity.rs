//! What is approved, and whether it is still what there is.

use super::{Ask, Frozen, GROWTH_PERCENT, Request, VoidReason};
use crate::decide::Snapshot;
use crate::gate::{Criterion, CriterionReport, GateInput, GateReport, Verdict, evaluate};
use crate::halt::Assessment;
use crate::ids::StageId;
use crate::policy::{StagePolicy, expedite};
use crate::stage::StageState;

/// What takes an approval, or a pass, back when it no longer holds. The rest only ever gets better by waiting.
const BINDING: [Criterion; 4] = [
    Criterion::NotHalted,
    Criterion::Failures,
    Criterion::Drift,
    Criterion::OobeFailures,
];

/// Freezes what a request about the stage at `index` asks for. None where there is no such stage.
pub(crate) fn freeze(
    snapshot: &Snapshot,
    assessment: &Assessment,
    index: usize,
    ask: &Ask,
) -> Option<Frozen> {
    let stage = snapshot.stages.get(index)?;
    Some(Frozen {
        digest: snapshot.rollout.digest,
        policy: stage.policy,
        ring_revision: stage.ring_revision,
        targeted: stage.targeted,
        gate: judged_stage(index, ask).map(|at| read(snapshot, assessment, at)),
        policies: match ask {
            Ask::Expedite { .. } => expedited(snapshot),
            Ask::Open | Ask::Override { .. } => Vec::new(),
        },
        evidence: snapshot.evidence.clone(),
    })
}

/// The stages that expediting would make pass sooner, with the policies that they would take.
pub(crate) fn expedited(snapshot: &Snapshot) -> Vec<(StageId, StagePolicy)> {
    let left = snapshot
        .stages
        .iter()
        .filter(|stage| !matches!(stage.state, StageState::Passed { .. }));
    left.map(|stage| (stage.id, expedite(&stage.policy), stage.policy))
        .filter(|(_, after, before)| after != before)
        .map(|(id, after, _)| (id, after))
        .collect()
}

/// Whose gate a request is about: to open a stage that of the one before, to override or expedite it its own.
pub(super) fn judged_stage(index: usize, ask: &Ask) -> Option<usize> {
    match ask {
        Ask::Open => index.checked_sub(1),
        Ask::Override { .. } | Ask::Expedite { .. } => Some(index),
    }
}

fn read(snapshot: &Snapshot, assessment: &Assessment, index: usize) -> GateReport {
    evaluate(
        &GateInput {
            snapshot,
            index,
            assessment,
        },
        snapshot.service_now,
    )
}

/// Why a request no longer asks for what it asked for; none while it does.
pub(crate) fn void_reason(
    snapshot: &Snapshot,
    assessment: &Assessment,
    request: &Request,
) -> Option<VoidReason> {
    let frozen = &request.frozen;
    let Some(index) = snapshot
        .stages
        .iter()
        .position(|stage| stage.id == request.stage)
    else {
        return Some(VoidReason::RingChanged);
    };
    let stage = &snapshot.stages[index];
    if snapshot.rollout.digest != frozen.digest {
        return Some(VoidReason::DigestChanged);
    }
    if stage.policy != frozen.policy {
        return Some(VoidReason::PolicyChanged);
    }
    if stage.ring_revision != frozen.ring_revision {
        return Some(VoidReason::RingChanged);
    }
    if stage.targeted.saturating_mul(100) > frozen.targeted.saturating_mul(100 + GROWTH_PERCENT) {
        return Some(VoidReason::RingGrew);
    }
    let passed = matches!(stage.state, StageState::Passed { .. });
    let gate = judged_stage(index, &request.ask).map(|at| read(snapshot, assessment, at));
    let worse = match request.ask {
        Ask::Override { .. } if passed => return Some(VoidReason::NotNeeded),
        Ask::Expedite { .. } if expedited(snapshot).is_empty() => {
            return Some(VoidReason::NotNeeded);
        }
        // It lets no failure pass that would not pass without it: only a brake, a halt or unusable machines stand against it.
        Ask::Expedite { .. } => stopped(frozen, gate.as_ref()),
        Ask::Open | Ask::Override { .. } => worsened(snapshot, frozen, gate.as_ref()),
    };
    worse.then_some(VoidReason::EvidenceWorsened)
}

fn stopped(frozen: &Frozen, now: Option<&GateReport>) -> bool {
    let goes = |gate: Option<&GateReport>| gate.is_some_and(|g| g.holds(Criterion::NotHalted));
    goes(frozen.gate.as_ref()) && !goes(now)
}

/// Something that held when it was frozen holds no longer; or, where a person is asked to accept what did not
/// hold, there is more of it.
fn worsened(snapshot: &Snapshot, frozen: &Frozen, now: Option<&GateReport>) -> bool {
    let (Some(then), Some(now)) = (&frozen.gate, now) else {
        return frozen.gate.is_some() != now.is_some();
    };
    if BINDING.iter().any(|c| then.holds(*c) && !now.holds(*c)) {
        return true;
    }
    let accepted = !BINDING.iter().all(|c| then.holds(*c));
    let (then, now) = (&frozen.evidence.all, &snapshot.evidence.all);
    accepted
        && (now.failed > then.failed
            || now.severe > then.severe
            || now.silent > then.silent
            || now.drift > then.drift)
}

/// The gate of the stage before `index`, where its pass no longer holds. After an override people accepted what
/// did not hold: only a halt stands against going on.
pub(crate) fn lost_pass(
    snapshot: &Snapshot,
    assessment: &Assessment,
    index: usize,
) -> Option<GateReport> {
    let before = index.checked_sub(1)?;
    let report = read(snapshot, assessment, before);
    let overridden = matches!(
        snapshot.stages[before].state,
        StageState::Passed {
            overridden: true,
            ..
        }
    );
    let holds = if overridden {
        report
            .criterion(Criterion::NotHalted)
            .is_some_and(|c| c.verdict != Verdict::Halt)
    } else {
        BINDING.iter().all(|c| report.holds(*c))
    };
    (!holds).then_some(report)
}

/// The lines of a gate that take a pass back and do not hold.
pub(crate) fn lost_lines(report: &GateReport) -> impl Iterator<Item = &CriterionReport> {
    report
        .criteria
        .iter()
        .filter(|c| BINDING.contains(&c.criterion) && !report.holds(c.criterion))
}
