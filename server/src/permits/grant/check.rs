//! Who may be asked about at all: identity, ring, gate, readiness, plan.

use engine::admission::Asker;
use engine::assignment::State;
use engine::hold::{self, Hold, HoldKind};
use engine::ids::CohortId;
use engine::policy::WeekMinute;
use engine::ring::Subject;
use engine::rollout::{RolloutState, Scope};
use servicing::{Facts, Planned};

use super::super::{Answer, Ask};
use crate::store::assignments::PlannedStep;
use crate::store::cohorts;
use crate::store::devices::{Applicant, DeviceStatus};

/// Decides the asks of one rollout.
use super::{Candidate, Round, refused};

impl Round<'_> {
    /// Answers at once, or makes a candidate.
    pub(super) fn sort(&mut self, ask: &Ask) {
        if !self.asked.insert(ask.device_no) {
            return;
        }
        match self.check(ask) {
            Ok(candidate) => self.candidates.push(candidate),
            Err(answer) => {
                self.answers.insert(ask.device_no, answer);
            }
        }
    }

    fn check(&mut self, ask: &Ask) -> Result<Candidate, Answer> {
        let Some(device) = self.devices.get(&ask.device_no) else {
            return Err(refused("unknown", "There is no such device."));
        };
        if device.status != DeviceStatus::Admitted || device.generation != ask.generation {
            return Err(refused(
                "revoked",
                "The device was revoked or enrolled anew.",
            ));
        }
        if device.clone_suspected {
            return Err(refused(
                "clone",
                "Two machines report as this device; enrol it again.",
            ));
        }
        if device.track_id != self.rollout.rollout.track.0 {
            return Err(refused("track", "The device is on another track."));
        }
        let existing = self.assignments.get(&ask.device_no);
        let stage = existing.map(|a| a.stage).or_else(|| {
            self.stages
                .iter()
                .find(|s| s.ring_id == device.ring_id)
                .map(|s| s.id.0)
        });
        let Some(stage) = stage else {
            return Err(refused(
                "ring",
                "The device's ring is not part of this rollout.",
            ));
        };
        if self.rollout.rollout.scope == Scope::Listed && !self.listed.contains(&ask.device_no) {
            return Err(refused("ring", "This rollout is for listed devices only."));
        }
        if !self.gate(stage).is_some_and(|g| g.open) {
            return Err(self.closed());
        }
        let Some((planned, facts)) = self.plans.of(device) else {
            return Err(self.moving());
        };
        let host_name = &device.host_name;
        let started = existing.is_some_and(|a| a.assignment.started);
        let hold = hold::on(&self.holds, &Subject { facts, host_name }, started);
        if let Some(hold) = hold {
            return Err(self.held(hold));
        }
        let Some(existing) = existing else {
            return Err(refused(
                "not_ready",
                "Nothing was downloaded and no restart is agreed yet.",
            ));
        };
        let tries = self
            .stages
            .iter()
            .find(|s| s.id.0 == stage)
            .map(|s| s.policy.tries);
        if tries.is_none_or(|most| existing.assignment.tries > most) {
            return Err(refused("over", "This rollout is over for the device."));
        }
        match existing.assignment.state {
            State::Permitted => {
                let left = existing
                    .start_by
                    .map_or(0, |by| (by - self.now).num_seconds());
                if left > 0 {
                    return Err(Answer::Granted {
                        permit_no: existing.assignment.permit_no,
                        start_within_s: u32::try_from(left).unwrap_or(0),
                    });
                }
            }
            State::RestartAgreed => {}
            State::Downloading | State::Ready => {
                return Err(refused("not_ready", "The restart is not agreed yet."));
            }
            state if state.is_outcome() => {
                return Err(refused("over", "This rollout is over for the device."));
            }
            _ => return Err(refused("started", "The installation has begun already.")),
        }
        let (steps, target) = match planned {
            Planned::Steps(plan) => (&plan.steps, plan.target),
            Planned::NotReady(_, why) => {
                let why = why
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ");
                return Err(Answer::Wait {
                    retry_after_s: self.shared.retry_after_s,
                    why,
                });
            }
            Planned::Complete => {
                return Err(refused(
                    "complete",
                    "The device is on the target build already.",
                ));
            }
            Planned::Ahead => return Err(refused("ahead", "The device is on a newer build.")),
            Planned::NotApplicable(why) => return Err(refused("not_applicable", &why.to_string())),
        };
        let steps = steps
            .iter()
            .map(|s| PlannedStep {
                packages: s.packages.iter().map(|p| p.kb.to_string()).collect(),
                restart_after: s.restart_after,
            })
            .collect();
        let cohorts = self.cohorts_of(device, facts);
        let local = WeekMinute::at(self.now, facts.utc_offset_minutes);
        let asker = Asker {
            local,
            device_no: ask.device_no,
            cohorts: cohorts.iter().map(|c| CohortId(*c)).collect(),
            restart_in_s: ask.restart_in_s,
            rank: engine::ring::rank(device.id, self.rollout.rollout.id),
        };
        Ok(Candidate {
            stage,
            steps,
            target,
            cohorts,
            asker,
        })
    }

    /// Its inventory changed between two reads of it: an instant later it will not.
    fn moving(&self) -> Answer {
        Answer::Wait {
            retry_after_s: self.shared.retry_after_s,
            why: "The device's inventory is just being stored.".into(),
        }
    }

    /// A known issue ends one day; a device that was left out is not asked for any more.
    fn held(&self, hold: &Hold) -> Answer {
        match hold.kind {
            HoldKind::Safeguard => Answer::Wait {
                retry_after_s: self.shared.retry_after_s,
                why: hold.sentence(),
            },
            HoldKind::Exclusion => refused("excluded", &hold.sentence()),
        }
    }

    /// A closed gate in the device's terms.
    fn closed(&self) -> Answer {
        match &self.rollout.rollout.state {
            RolloutState::Halted { .. } => refused("halted", "The rollout is halted."),
            RolloutState::Paused { .. } => refused("paused", "The rollout is paused."),
            RolloutState::Withdrawn { .. } => refused("withdrawn", "The update was withdrawn."),
            RolloutState::Active => refused("ring", "The ring is not open yet."),
            _ => refused("over", "The rollout does not run."),
        }
    }

    /// Cohorts were fixed when the rollout started: a value first seen later counts as `other`.
    fn cohorts_of(&self, device: &Applicant, facts: &Facts) -> Vec<i16> {
        let own = device.cohorts.iter().zip(cohorts::KINDS).map(|(c, kind)| {
            if self.fixed.contains(c) {
                *c
            } else {
                cohorts::other(kind)
            }
        });
        let added = self.attributes.iter().map(|(kind, name)| {
            let key = (*kind, cohorts::by_attribute(facts, name));
            let known = self.attribute_ids.get(&key);
            known.copied().unwrap_or_else(|| cohorts::other(*kind))
        });
        own.chain(added).collect()
    }
}
