//! The gate of every ring: that of the ring that is on opened, those before folded.

use engine::stage::StageState;

use super::Read;
use crate::web::parts::{GateTable, State as Chip};

/// One gate.
pub struct Panel {
    /// `Gate: Limited to Broad`.
    pub heading: String,
    /// How many criteria hold.
    pub summary: String,
    /// Where the ring is.
    pub state: Chip,
    /// Its criteria; none before it was read once.
    pub table: Option<GateTable>,
    /// The one that counts now.
    pub current: bool,
}

impl Panel {
    /// Gates that there is something to say of: the current one first, then those that passed, the last one first.
    pub fn all(read: &Read) -> Vec<Self> {
        let stages = &read.page.stages;
        let open = |state: &StageState| {
            matches!(
                state,
                StageState::Deploying { .. } | StageState::Soaking { .. }
            )
        };
        let last_passed = stages
            .iter()
            .rposition(|s| matches!(s.state_detail, StageState::Passed { .. }));
        let current = stages
            .iter()
            .position(|s| open(&s.state_detail))
            .or(last_passed);
        let mut panels = Vec::new();
        for (index, stage) in stages.iter().enumerate().rev() {
            let is_current = current == Some(index);
            if stage.report.is_none() && !is_current {
                continue;
            }
            let to = match stages.get(index + 1) {
                Some(next) => format!("{} to {}", stage.ring_name, next.ring_name),
                None => format!("{}, the last ring", stage.ring_name),
            };
            let panel = Self {
                heading: format!("Gate: {to}"),
                summary: match &stage.report {
                    Some(report) => GateTable::summary(report),
                    None => "It is read with the next tick.".to_owned(),
                },
                state: Chip::of_stage(&stage.state_detail),
                table: stage.report.as_ref().map(GateTable::new),
                current: is_current,
            };
            if is_current {
                panels.insert(0, panel);
            } else {
                panels.push(panel);
            }
        }
        panels
    }
}
