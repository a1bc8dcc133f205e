//! What someone should know before a rollout is saved.

use engine::hold::Hold;
use engine::policy::StagePolicy;
use engine::words::{count, ended};
use servicing::Sequence;

use super::preview::Reach;
use crate::control::GivesWay;
use crate::store::rollouts::Stored;
use crate::store::sequences::SequenceState;
use crate::web::parts::{Link, device_list, term};

/// A sentence, and where to look.
#[derive(Debug, Clone)]
pub struct Warning {
    pub sentence: String,
    pub link: Option<Link>,
}

impl Warning {
    fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            link: None,
        }
    }
}

/// A ring as far as warnings care.
pub struct Ring<'a> {
    pub name: String,
    pub reach: &'a Reach,
    pub policy: &'a StagePolicy,
    pub preset: &'a StagePolicy,
}

/// A rollout that gives way, with its KB.
pub struct Older {
    pub kb: String,
    /// Of the same KB.
    pub same: bool,
    /// Of the same content, to the digest.
    pub same_content: bool,
    pub stored: Stored,
    pub when: GivesWay,
}

/// Of the sequence: whether it can be rolled out at all.
pub fn of_sequence(state: SequenceState, kb: &str) -> Option<Warning> {
    match state {
        SequenceState::Published => None,
        SequenceState::Draft => Some(Warning::new(format!(
            "{kb} is a draft: publish it with a signed manifest first."
        ))),
        SequenceState::Withdrawn => Some(Warning::new(format!(
            "{kb} was withdrawn: it can not be rolled out. Choose what replaces it."
        ))),
    }
}

/// Of rollouts that run on the track.
pub fn of_older(older: &Older) -> Warning {
    let state = older.stored.rollout.state.word();
    let sentence = match (older.when, older.same) {
        (GivesWay::AtItsStart, true) => format!(
            "Another rollout of {} is {state} on this track. It is superseded when this one starts.",
            older.kb
        ),
        (GivesWay::AtItsStart, false) => format!(
            "The rollout of {} is {state} on this track. It is superseded when this one starts.",
            older.kb
        ),
        (GivesWay::AtItsEnd, true) => format!(
            "{} was rolled out on this track already. That rollout serves stragglers until this one completes.",
            older.kb
        ),
        (GivesWay::AtItsEnd, false) => format!(
            "The completed rollout of {} serves stragglers until this one completes.",
            older.kb
        ),
    };
    let evidence = if older.same_content {
        " What its devices reported counts for this one too: the content is the same."
    } else {
        ""
    };
    Warning {
        sentence: sentence + evidence,
        link: Some(Link::new(
            "Look at it",
            format!("/rollouts/{}", older.stored.rollout.id),
        )),
    }
}

/// Of a known issue of the track that is about the update.
pub fn of_hold(hold: &Hold, track: &str) -> Warning {
    let devices = [term("track", track), hold.query.to_string()].join(" ");
    Warning {
        sentence: format!(
            "A known issue holds devices: {} Rings that have such devices neither open nor pass.",
            ended(&hold.issue)
        ),
        link: Some(Link::new(hold.query.to_string(), device_list(&devices))),
    }
}

/// Of the rings and their policies.
pub fn of_rings(rings: &[Ring<'_>], sequence: &Sequence, admin: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if rings.is_empty() {
        warnings.push(Warning::new(
            "No ring has a device that it is for: there is nothing to roll out to.",
        ));
    }
    for ring in rings {
        let name = &ring.name;
        if ring.reach.targeted == 0 {
            warnings.push(Warning::new(format!(
                "No device of {name} is offered it, and an empty ring never passes: the rollout stops there."
            )));
        }
        let (asked, least) = (ring.policy.approvals, ring.preset.approvals);
        if asked < least {
            let who = if admin {
                "You may, as an admin; the audit will say so."
            } else {
                "Only an admin may save that."
            };
            let least = count(u64::from(least), "approval");
            warnings.push(Warning::new(format!(
                "{name} asks for {asked} where the preset asks for {least}. {who}"
            )));
        }
        if ring.policy.minimum_age_days > 0 && sequence.release_date.is_none() {
            warnings.push(Warning::new(format!(
                "{name} asks for a minimum age, but the release date is not known: it would never open."
            )));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use engine::policy::{Preset, preset};
    use servicing::Kind;

    use super::*;

    #[test]
    fn an_empty_ring_a_waived_approval_and_an_age_that_nobody_knows_are_named() {
        let preset = preset(Preset::Standard, 3, 4, chrono_tz::Tz::UTC);
        let policy = StagePolicy {
            approvals: 0,
            minimum_age_days: 3,
            ..preset
        };
        let reach = Reach {
            targeted: 0,
            whole: 0,
            classes: Vec::new(),
        };
        let ring = Ring {
            name: "Broad".to_owned(),
            reach: &reach,
            policy: &policy,
            preset: &preset,
        };
        let sequence = Sequence {
            kb: "KB5086672".parse().unwrap(),
            title: String::new(),
            kind: Kind::Security,
            label: String::new(),
            release_date: None,
            supersedes: Vec::new(),
            known_issues: Vec::new(),
            variants: Vec::new(),
        };
        let said = of_rings(&[ring], &sequence, false);
        let said: Vec<&str> = said.iter().map(|w| w.sentence.as_str()).collect();
        assert!(said[0].contains("never passes"));
        assert!(said[1].contains("0 where the preset asks for 2 approvals. Only an admin"));
        assert!(said[2].contains("would never open"));
        assert_eq!(of_rings(&[], &sequence, true).len(), 1);
    }
}
