//! A stage's policy in words.

use engine::policy::{FailureLimit, Growth, Preset, Sample, StagePolicy};
use engine::{remediation, words};

/// A preset as people read it.
pub const fn preset_word(preset: Preset) -> &'static str {
    match preset {
        Preset::Cautious => "Cautious",
        Preset::Standard => "Standard",
        Preset::Fast => "Fast",
        Preset::Expedited => "Expedited",
        Preset::Small => "Small",
    }
}

/// What a ring is judged by, a line each.
pub fn policy_lines(policy: &StagePolicy) -> Vec<(&'static str, String)> {
    let sample = match policy.sample {
        Sample::All => "every targeted device".to_owned(),
        Sample::AtLeast(n) => format!("{}, or the whole ring", words::devices(n)),
    };
    let failures = match policy.failures {
        FailureLimit::None => "none".to_owned(),
        FailureLimit::Bound(limit) => {
            format!(
                "at most {}, shown with 95 % confidence",
                words::limit(limit.0)
            )
        }
    };
    let growth = match policy.growth {
        Growth::Standard => {
            "doubles when 95 % of the started devices are well, or all have an outcome"
        }
        Growth::Cautious => "doubles when all started devices have an outcome",
        Growth::Fast => "from 299 clean devices on it starts at 1 % of the ring and quadruples",
    };
    let mut lines = vec![
        (
            "Approvals to open",
            match policy.approvals {
                0 => "none".to_owned(),
                n => words::number(n.into()),
            },
        ),
        ("Sample", sample),
        (
            "Soak",
            format!(
                "{} h of working days, from the sample on",
                policy.soak_hours
            ),
        ),
        ("Failures", failures),
        (
            "Resolved share",
            format!("at least {}", words::limit(policy.coverage.0)),
        ),
        (
            "Telemetry",
            format!("at least {} heard of", words::limit(policy.telemetry.0)),
        ),
        (
            "Age",
            match policy.minimum_age_days {
                0 => "any".to_owned(),
                1 => "1 day since release".to_owned(),
                n => format!("{n} days since release"),
            },
        ),
        ("Growth", growth.to_owned()),
    ];
    if let Some(limit) = policy.limits.devices_at_once {
        lines.push((
            "Devices at once",
            format!("at most {}", words::number(limit)),
        ));
    }
    if let Some(percent) = policy.limits.percent_per_day {
        lines.push((
            "Per day",
            format!("at most {} of the ring", words::limit(percent.0)),
        ));
    }
    if let Some(window) = policy.limits.window {
        lines.push((
            "Maintenance window",
            format!("{window}, in the time of each device"),
        ));
    }
    if let Some(deadline) = policy.restart.deadline_hours {
        let grace = policy.restart.grace_hours;
        lines.push((
            "Restart deadline",
            match grace {
                0 => format!("{deadline} h after it is offered"),
                _ => format!("{deadline} h after it is offered, and {grace} h of grace"),
            },
        ));
    }
    lines.push(("After a failure", remediation::tries_word(policy.tries)));
    lines.push(("Time zone", policy.time_zone.to_string()));
    lines
}
