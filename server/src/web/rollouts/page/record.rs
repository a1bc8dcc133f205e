//! Record of a rollout: what it is, who answers for it, and by what its rings are judged.

use engine::halt::HaltCause;
use engine::rollout::{RolloutState, Scope};

use super::Read;
use super::policy::{policy_lines, preset_word};
use crate::web::frame::Frame;
use crate::web::parts::{Link, Tally, When, term};

/// The panel.
pub struct Record {
    /// Who wrote it.
    pub author: String,
    /// When.
    pub written: When,
    /// Ticket number.
    pub ticket: Option<String>,
    /// For whom.
    pub scope: &'static str,
    /// Preset.
    pub preset: &'static str,
    /// Digest of what is installed.
    pub digest: String,
    /// Rollouts it took over from.
    pub supersedes: Vec<Link>,
    /// The rollout that took over.
    pub superseded_by: Option<Link>,
    /// Why the sequence was withdrawn.
    pub withdrawn: Option<String>,
    /// Halts that an admin cleared.
    pub cleared: Vec<String>,
    /// Policies of its rings.
    pub policies: Vec<Policy>,
    /// Its entries in the audit chain, for those who may read it.
    pub audit: Option<String>,
}

/// Policy of a ring.
pub struct Policy {
    /// Ring.
    pub ring: String,
    /// All of the ring's devices in this rollout.
    pub devices: Tally,
    /// A line each.
    pub lines: Vec<(&'static str, String)>,
}

impl Record {
    /// The panel of a rollout.
    pub fn new(frame: &Frame, read: &Read, auditor: bool) -> Self {
        let line = &read.page.line;
        Self {
            author: read.name(line.author),
            written: frame.when(line.created_at),
            ticket: line.ticket.clone(),
            scope: match line.scope {
                Scope::Track => "All devices of the track",
                Scope::Listed => {
                    "Devices listed for it: those that have or had the KB that it replaces"
                }
            },
            preset: preset_word(line.preset),
            digest: line.digest.to_string(),
            supersedes: read
                .progress
                .supersedes
                .iter()
                .map(|(id, kb)| Link::new(kb.to_string(), format!("/rollouts/{id}")))
                .collect(),
            superseded_by: match &line.state_detail {
                RolloutState::Superseded { by } => {
                    Some(Link::new("the newer rollout", format!("/rollouts/{by}")))
                }
                _ => None,
            },
            withdrawn: read.snapshot.withdrawn.clone(),
            cleared: read.page.cleared.iter().map(HaltCause::sentence).collect(),
            policies: read
                .page
                .stages
                .iter()
                .map(|stage| {
                    let n = stage.population.get("targeted").copied().unwrap_or(0);
                    let query = read.devices(&term("ring", &stage.ring_name));
                    Policy {
                        ring: stage.ring_name.clone(),
                        devices: Tally::of(n, &query),
                        lines: policy_lines(&stage.policy),
                    }
                })
                .collect(),
            audit: auditor.then(|| format!("/audit?subject=rollout:{}", line.id)),
        }
    }
}
