//! Why a rollout is where it is. Every wait has a reason, and each is a sentence.

use chrono_tz::Tz;

use super::{Reason, Snapshot};
use crate::admission::Freeze;
use crate::approval::{Ask, counted, lost_lines, lost_pass};
use crate::gate::{Criterion, GateInput, GateReport, Verdict, evaluate, opening_blocks};
use crate::halt::Assessment;
use crate::ids::StageId;
use crate::rollout::{HaltReason, RolloutState};
use crate::stage::{Stage, StageState};
use crate::words;

/// The gate a decision is about: of the stage that is open, else of the one before.
pub(super) fn report(
    snapshot: &Snapshot,
    assessment: &Assessment,
) -> Option<(StageId, GateReport)> {
    let index = match snapshot.current() {
        Some(index) if is_open(&snapshot.stages[index]) => index,
        Some(index) => index.checked_sub(1)?,
        None => snapshot.stages.len().checked_sub(1)?,
    };
    let gate = evaluate(
        &GateInput {
            snapshot,
            index,
            assessment,
        },
        snapshot.service_now,
    );
    Some((snapshot.stages[index].id, gate))
}

fn is_open(stage: &Stage) -> bool {
    matches!(
        stage.state,
        StageState::Deploying { .. } | StageState::Soaking { .. }
    )
}

pub(super) fn reasons(snapshot: &Snapshot) -> Vec<Reason> {
    let one = |sentence: String| vec![Reason::new(snapshot.rollout.state.word(), sentence)];
    match &snapshot.rollout.state {
        RolloutState::Draft => one("Not submitted yet.".to_owned()),
        RolloutState::Scheduled { not_before } => one(format!(
            "Starts {}.",
            words::time(*not_before, time_zone(snapshot))
        )),
        RolloutState::Active => active(snapshot),
        RolloutState::Paused { reason, .. } => one(format!(
            "Paused: {} Devices in flight end, nothing new starts.",
            words::ended(reason)
        )),
        RolloutState::Halted { reason, .. } => one(match reason {
            HaltReason::Evidence { cause } => {
                format!(
                    "Halted by its evidence: {} An admin with a reason can clear it.",
                    cause.sentence()
                )
            }
            HaltReason::Person { reason, .. } => {
                format!(
                    "Halted by a person: {} An admin with a reason can clear it.",
                    words::ended(reason)
                )
            }
        }),
        RolloutState::Completed { .. } => one("Every ring passed.".to_owned()),
        RolloutState::Cancelled { reason } => one(format!("Cancelled: {}", words::ended(reason))),
        RolloutState::Superseded { .. } => one("A newer rollout took over.".to_owned()),
        RolloutState::Withdrawn { reason } => one(format!(
            "The sequence was withdrawn: {}",
            words::ended(reason)
        )),
    }
}

fn time_zone(snapshot: &Snapshot) -> Tz {
    let index = snapshot.current().unwrap_or(0);
    snapshot
        .stages
        .get(index)
        .map_or(Tz::UTC, |stage| stage.policy.time_zone)
}

fn active(snapshot: &Snapshot) -> Vec<Reason> {
    let Some(index) = snapshot.current() else {
        return vec![Reason::new(
            "completing",
            "Every ring passed; it completes next.",
        )];
    };
    let assessment = snapshot.assess();
    let stage = &snapshot.stages[index];
    let mut reasons: Vec<Reason> = snapshot.freeze.iter().map(frozen).collect();
    reasons.extend(match stage.state {
        StageState::Waiting => waiting(snapshot, &assessment, index),
        StageState::AwaitingApproval { .. } => Vec::new(),
        _ => gate(snapshot, &assessment, index),
    });
    reasons.extend(requests(snapshot));
    reasons
}

fn frozen(freeze: &Freeze) -> Reason {
    let sentence = format!("{} No device starts before.", freeze.sentence());
    Reason::new("freeze", sentence)
}

fn waiting(snapshot: &Snapshot, assessment: &Assessment, index: usize) -> Vec<Reason> {
    let stage = &snapshot.stages[index];
    let name = &stage.name;
    let days = stage.policy.minimum_age_days;
    let blocks = opening_blocks(snapshot, stage, days, snapshot.service_now);
    let mut reasons: Vec<Reason> = blocks
        .into_iter()
        .map(|block| {
            Reason::new(
                Criterion::KnownIssues.word(),
                format!("{name} waits. {block}"),
            )
        })
        .collect();
    if let Some(report) = lost_pass(snapshot, assessment, index) {
        let before = &snapshot.stages[index - 1].name;
        reasons.extend(lost_lines(&report).map(|line| {
            Reason::new(
                line.criterion.word(),
                format!("{name} waits, {before} got worse: {}", line.sentence),
            )
        }));
    }
    if reasons.is_empty() {
        reasons.push(Reason::new("opening", format!("{name} is next.")));
    }
    reasons
}

/// Every criterion that does not hold; the worst first, as on the page.
fn gate(snapshot: &Snapshot, assessment: &Assessment, index: usize) -> Vec<Reason> {
    let name = &snapshot.stages[index].name;
    let report = evaluate(
        &GateInput {
            snapshot,
            index,
            assessment,
        },
        snapshot.service_now,
    );
    let mut lines: Vec<_> = report
        .criteria
        .iter()
        .filter(|line| !matches!(line.verdict, Verdict::Pass | Verdict::Off))
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.verdict));
    if lines.is_empty() {
        return vec![Reason::new(
            "passing",
            format!("{name}: every criterion holds; it passes next."),
        )];
    }
    lines
        .into_iter()
        .map(|line| Reason::new(line.criterion.word(), format!("{name}: {}", line.sentence)))
        .collect()
}

fn requests(snapshot: &Snapshot) -> Vec<Reason> {
    let tz = time_zone(snapshot);
    let author = snapshot.rollout.author;
    snapshot
        .open_requests()
        .map(|request| {
            let stage = snapshot
                .stages
                .iter()
                .find(|stage| stage.id == request.stage);
            let name = stage.map_or("A ring", |stage| stage.name.as_str());
            let expires = words::time(request.expires_at(), tz);
            let given = counted(request, author, &snapshot.people);
            let mut sentence = match request.ask {
                Ask::Open => format!("{name} opens with {}.", approvals(given, request.needed)),
                Ask::Override { .. } => {
                    format!(
                        "The gate of {name} passes with {}.",
                        approvals(given, request.needed)
                    )
                }
                Ask::Expedite { .. } => {
                    format!("It is expedited with {}.", approvals(given, request.needed))
                }
            };
            if let Some(at) = request.effective_at() {
                sentence += &format!(
                    " The only admin approved; it counts {}.",
                    words::time(at, tz)
                );
            }
            sentence += &format!(" The request expires {expires}.");
            Reason::new("approval", sentence)
        })
        .collect()
}

fn approvals(given: usize, needed: u8) -> String {
    let needed = words::count(u64::from(needed), "approval");
    format!("{needed}, {given} given so far")
}
