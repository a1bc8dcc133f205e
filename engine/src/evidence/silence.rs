//! Who fell silent, and how many could have: what silence is compared with.
//!
//! How many could fall silent is counted every [`COUNTED_EVERY_S`], because a device is known to be lost only a day after it
//! was heard of for the last time. Between two counts the larger number of updated devices and the smaller number of others
//! hold, so that a count that is a few minutes old never makes a halt more likely.

use serde::{Deserialize, Serialize};

/// Service time between two counts of those who can fall silent, seconds. Losses are judged on the same grid, after the count.
pub const COUNTED_EVERY_S: i64 = 300;

/// Devices that can fall silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// Permitted and unresolved.
    pub treated: u64,
    /// Not yet updated, and heard of within the time after which a device is lost.
    pub control: u64,
}

/// Devices that went silent together, with how many were at risk just then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// They had their permits.
    pub treated: bool,
    /// How many fell silent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub devices: u64,
    /// Permitted and unresolved devices then.
    pub at_risk_treated: u64,
    /// Not yet updated devices then.
    pub at_risk_control: u64,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(n: &u64) -> bool {
    *n == 1
}

impl Silence {
    /// Devices that fell silent between two counts. `gone` had fallen silent before and were not yet known to be lost at
    /// those counts. Whoever falls silent was at risk, whatever was counted.
    #[must_use]
    pub fn between(
        treated: bool,
        devices: u64,
        (before, after): (AtRisk, AtRisk),
        gone: AtRisk,
    ) -> Self {
        let least = |own: bool| if own { devices } else { 0 };
        Self {
            treated,
            devices,
            at_risk_treated: before
                .treated
                .max(after.treated)
                .saturating_sub(gone.treated)
                .max(least(treated)),
            at_risk_control: before
                .control
                .min(after.control)
                .saturating_sub(gone.control)
                .max(least(!treated)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: AtRisk = AtRisk {
        treated: 4,
        control: 90,
    };
    const AFTER: AtRisk = AtRisk {
        treated: 6,
        control: 95,
    };

    #[test]
    fn between_two_counts_the_one_holds_that_makes_a_halt_less_likely() {
        let gone = AtRisk {
            treated: 1,
            control: 10,
        };
        let silence = Silence::between(true, 1, (BEFORE, AFTER), gone);
        assert_eq!((silence.at_risk_treated, silence.at_risk_control), (5, 80));
        assert_eq!(
            silence,
            Silence::between(true, 1, (AFTER, BEFORE), gone),
            "whichever came first"
        );
    }

    #[test]
    fn whoever_falls_silent_was_at_risk() {
        let gone = AtRisk {
            treated: 9,
            control: 900,
        };
        let updated = Silence::between(true, 1, (BEFORE, AFTER), gone);
        assert_eq!((updated.at_risk_treated, updated.at_risk_control), (1, 0));
        let others = Silence::between(false, 7, (BEFORE, AFTER), gone);
        assert_eq!((others.at_risk_treated, others.at_risk_control), (0, 7));
    }

    #[test]
    fn a_silence_of_one_device_is_written_as_it_always_was() {
        let one = Silence::between(true, 1, (BEFORE, AFTER), AtRisk::default());
        let json = r#"{"treated":true,"at_risk_treated":6,"at_risk_control":90}"#;
        assert_eq!(serde_json::to_string(&one).unwrap(), json);
        assert_eq!(serde_json::from_str::<Silence>(json).unwrap(), one);
        let seven = Silence { devices: 7, ..one };
        let json = serde_json::to_string(&seven).unwrap();
        assert_eq!(serde_json::from_str::<Silence>(&json).unwrap(), seven);
    }
}
