//! Rings on the rail: where each is, since when, and the gate behind it.

use engine::rollout::RolloutState;
use engine::stage::StageState;
use engine::words;

use super::Read;
use crate::web::frame::Frame;
use crate::web::parts::{Icon, StageRail, State as Chip, Stop, Tone};

/// The rail of a rollout.
pub fn of(frame: &Frame, read: &Read) -> StageRail {
    let stops = 0..read.page.stages.len();
    StageRail {
        stops: stops.map(|at| stop(frame, read, at)).collect(),
    }
}

fn stop(frame: &Frame, read: &Read, at: usize) -> Stop {
    let stages = &read.page.stages;
    let stage = &stages[at];
    let when = |at| frame.when(at).text().to_owned();
    let policy = &stage.policy;
    let approvals = match policy.approvals {
        0 => "no approval".to_owned(),
        n => words::count(n.into(), "approval"),
    };
    let over = read.page.line.state_detail.is_final();
    let lines = match &stage.state_detail {
        StageState::Waiting | StageState::AwaitingApproval { .. } if over => Vec::new(),
        StageState::Deploying { since } | StageState::Soaking { since, .. } if over => {
            vec![format!("Was open or soaked since {}.", when(*since))]
        }
        StageState::Waiting => {
            let before = at.checked_sub(1).and_then(|before| stages.get(before));
            let opens = match before {
                // Isolated: a name that runs from right to left must not turn the words around it.
                Some(before) => format!(
                    "Opens after \u{2068}{}\u{2069}, with {approvals}.",
                    before.ring_name
                ),
                None => format!("Opens first, with {approvals}."),
            };
            vec![
                opens,
                format!("Then at least {} h of working days.", policy.soak_hours),
            ]
        }
        StageState::AwaitingApproval { .. } => vec![format!("Opens with {approvals}.")],
        StageState::Deploying { since } => vec![
            format!("Open since {}.", when(*since)),
            "The soak begins with the sample.".to_owned(),
        ],
        StageState::Soaking { since, .. } => vec![
            format!("Soaks since {}.", when(*since)),
            format!("{} h of working days are asked for.", policy.soak_hours),
        ],
        StageState::Passed { at, overridden } => vec![
            format!("Passed {}.", when(*at)),
            if *overridden {
                "By an override.".to_owned()
            } else {
                format!("{} h of soak.", policy.soak_hours)
            },
        ],
    };
    let waits = matches!(stage.state_detail, StageState::Waiting);
    let asks = matches!(stage.state_detail, StageState::AwaitingApproval { .. });
    let rollout = &read.page.line.state_detail;
    let here = stages.iter().position(|s| s.state != "passed") == Some(at);
    let stopped = matches!(
        rollout,
        RolloutState::Halted { .. } | RolloutState::Paused { .. }
    );
    Stop {
        name: stage.ring_name.clone(),
        state: match &stage.state_detail {
            _ if here && stopped => Chip::of_rollout(rollout),
            StageState::Passed { .. } => Chip::of_stage(&stage.state_detail),
            _ if over && (waits || asks) => Chip::quiet(Tone::Mute, Icon::Off, "Not opened"),
            _ if over => Chip::quiet(Tone::Mute, Icon::Slash, "Ended"),
            state => Chip::of_stage(state),
        },
        reached: !waits && !asks,
        gate: stages
            .get(at + 1)
            .map(|next| knot(rollout, &stage.state_detail, &next.state_detail)),
        lines,
    }
}

/// The gate between a ring and the next one.
fn knot(
    rollout: &RolloutState,
    this: &StageState,
    next: &StageState,
) -> (Tone, Icon, &'static str) {
    if matches!(
        this,
        StageState::Deploying { .. } | StageState::Soaking { .. }
    ) {
        return match rollout {
            RolloutState::Halted { .. } => (Tone::Bad, Icon::Stop, "Halted before this gate"),
            RolloutState::Paused { .. } => (Tone::Wait, Icon::Pause, "Paused before this gate"),
            RolloutState::Active => (Tone::Run, Icon::Clock, "Gate not passed yet"),
            _ => (Tone::Mute, Icon::Off, "Gate never passed"),
        };
    }
    match (this, next) {
        (StageState::Passed { .. }, StageState::AwaitingApproval { .. }) => (
            Tone::Ask,
            Icon::Person,
            "Gate passed, approval is asked for",
        ),
        (StageState::Passed { .. }, StageState::Waiting) => {
            (Tone::Wait, Icon::Clock, "Gate passed, the next ring waits")
        }
        (StageState::Passed { .. }, _) => (Tone::Ok, Icon::Check, "Gate passed"),
        _ => (Tone::Mute, Icon::Off, "Gate closed"),
    }
}
