//! Rules that others use, on the same machines and the same faults: groups of a fixed size, each stopped by a share of failures.

use engine::simulation::{Dice, Fault, Victims};

/// Groups of a fleet, and the share of failures in one that stops the next.
#[derive(Debug, Clone, Copy)]
pub struct Groups {
    /// For people.
    pub name: &'static str,
    /// Up to which share of the fleet each group goes.
    pub up_to: &'static [f64],
    /// Failures of a group, as a share of it, above which the next does not start.
    pub stops_above: f64,
}

/// Ten equal groups, and waves with a day between.
pub const ALL: [Groups; 2] = [
    Groups {
        name: "ten equal groups, stopped above 10 % of errors",
        up_to: &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        stops_above: 0.1,
    },
    Groups {
        name: "waves of 1, 10, 50 and 100 %, stopped above 10 % of errors",
        up_to: &[0.01, 0.1, 0.5, 1.0],
        stops_above: 0.1,
    },
];

/// The share of devices that fail without a fault, as in the other simulations.
const FAILURE_RATE: f64 = 0.01;

/// Models of the fleet, each as frequent as the others.
const MODELS: u32 = 50;

/// Devices that a fault harms under such a rule.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a fleet"
)]
pub fn harmed(groups: &Groups, devices: u32, fault: &Fault, dice: &mut impl Dice) -> f64 {
    let (mut begun, mut harmed) = (0, 0_u32);
    for share in groups.up_to {
        let end = (share * f64::from(devices)).round() as u32;
        let mut failed = 0_u32;
        for _ in begun..end {
            let can_be_hit = fault.victims == Victims::All || dice.below(MODELS) == 0;
            let hit = can_be_hit && dice.strikes(fault.share);
            harmed += u32::from(hit);
            failed += u32::from(hit || dice.strikes(FAILURE_RATE));
        }
        if f64::from(failed) > groups.stops_above * f64::from(end - begun) {
            break;
        }
        begun = end;
    }
    f64::from(harmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice;
    use engine::simulation::{Fleet, Symptom};

    #[test]
    fn a_threshold_notices_what_fails_everywhere_after_a_group_and_one_model_never() {
        let mut dice = dice(1, "", 1);
        let fault = |victims| Fault {
            victims,
            share: 1.0,
            symptom: Symptom::Reports,
        };
        let [ten, waves] = ALL;
        assert_eq!(
            harmed(&ten, 50_000, &fault(Victims::All), &mut dice),
            5_000.0
        );
        assert_eq!(
            harmed(&waves, 50_000, &fault(Victims::All), &mut dice),
            500.0
        );
        let model = harmed(
            &ten,
            50_000,
            &fault(Victims::Cohort(Fleet::FIRST_MODEL)),
            &mut dice,
        );
        assert!((900.0..1_100.0).contains(&model), "{model}");
    }
}
