//! Yes, no, and the wish that a gate be overridden.

use servicing::Sha256;

use super::{Desk, reasoned};
use crate::approval::{Ask, approve, expedited, void_reason};
use crate::decide::requests::{self, blocks, granted};
use crate::decide::{Decision, Refused, RequestChange};
use crate::gate::{GateInput, evaluate};
use crate::ids::{PersonId, RequestId};
use crate::rollout::Actor;
use crate::stage::StageState;
use crate::words;

/// An override takes a second person beside the one who asks.
const OVERRIDE_NEEDS: u8 = 1;

/// Expediting takes two people, who stand for all approvals that would have followed.
const EXPEDITE_NEEDS: u8 = 2;

impl Desk<'_> {
    pub(super) fn approve(
        &self,
        by: PersonId,
        id: RequestId,
        hash: Sha256,
    ) -> Result<Decision, Refused> {
        self.must_be_active("Nothing can be approved")?;
        let request = self.open_request(id)?;
        if hash != request.hash || request.frozen.hash() != request.hash {
            return Err(Refused::new(
                "hash",
                "What you saw is not what is asked for now. Look at it again.",
            ));
        }
        if self.snapshot.service_now >= request.expires_at() {
            return Err(Refused::new(
                "expired",
                "The request expired after seven days.",
            ));
        }
        if let Some(reason) = void_reason(self.snapshot, self.assessment, request) {
            return Err(Refused::new("void", reason.sentence()));
        }
        let yes = approve(
            request,
            by,
            self.snapshot.rollout.author,
            &self.snapshot.people,
        )?;
        let change = RequestChange::Approved {
            request: id,
            by,
            alone: yes.alone,
            done: yes.done,
        };
        if !yes.done {
            let sentence = if yes.alone {
                "Approved by the only admin: it counts in four hours."
            } else {
                "Approved; another approval is needed."
            };
            return Ok(Decision {
                requests: vec![change],
                ..Decision::event("approved", sentence)
            });
        }
        if let Some(block) = blocks(self.snapshot, request).into_iter().next() {
            return Err(Refused::new("blocked", block));
        }
        let mut decision = granted(self.snapshot, request).ok_or_else(|| {
            Refused::new(
                "state",
                "The stage is no longer where the request found it.",
            )
        })?;
        decision.requests.insert(0, change);
        Ok(decision)
    }

    /// A no stops the rollout until a person resumes it: the engine does not ask again by itself.
    pub(super) fn reject(
        &self,
        by: PersonId,
        id: RequestId,
        reason: &str,
    ) -> Result<Decision, Refused> {
        let person = self.enabled(by)?;
        if !(person.approver || person.admin) {
            return Err(Refused::new("role", "You may not decide on this track."));
        }
        let reason = reasoned(reason)?;
        self.must_be_active("Nothing can be rejected")?;
        let request = self.open_request(id)?;
        let change = RequestChange::Rejected {
            request: id,
            by,
            reason: reason.clone(),
        };
        let what = match request.ask {
            Ask::Open => None,
            Ask::Override { .. } => Some("The override"),
            Ask::Expedite { .. } => Some("Expediting it"),
        };
        if let Some(what) = what {
            let sentence = format!("{what} was rejected: {}", words::ended(&reason));
            return Ok(Decision {
                requests: vec![change],
                ..Decision::event("rejected", sentence)
            });
        }
        let sentence = format!("Rejected: {}", words::ended(&reason));
        let mut decision = self.paused(by, sentence.clone(), sentence);
        decision
            .requests
            .retain(|c| !matches!(c, RequestChange::Voided { request, .. } if *request == id));
        decision.requests.insert(0, change);
        if let Some(event) = &mut decision.event {
            "rejected".clone_into(&mut event.code);
        }
        Ok(decision)
    }

    pub(super) fn request_override(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.admin(by)?;
        let reason = reasoned(reason)?;
        let why = words::ended(&reason);
        self.must_be_active("No gate can be overridden")?;
        if let Some(cause) = &self.assessment.halt {
            return Err(Refused::new(
                "halt",
                format!("The evidence says stop: {}", cause.sentence()),
            ));
        }
        let snapshot = self.snapshot;
        let open = snapshot.current().filter(|index| {
            matches!(
                snapshot.stages[*index].state,
                StageState::Deploying { .. } | StageState::Soaking { .. }
            )
        });
        let Some(index) = open else {
            return Err(Refused::new(
                "state",
                "No ring is open, so there is no gate to override.",
            ));
        };
        let stage = &snapshot.stages[index];
        let ask = Ask::Override { reason };
        if self.is_asked_for(&ask) {
            return Err(Refused::new("state", "An override is asked for already."));
        }
        let gate = GateInput {
            snapshot,
            index,
            assessment: self.assessment,
        };
        if evaluate(&gate, snapshot.service_now).passes() {
            return Err(Refused::new("state", "The gate passes by itself."));
        }
        let sentence = format!("{}: override requested: {why}", stage.name);
        let request = requests::new(
            snapshot,
            self.assessment,
            index,
            ask,
            Actor::Person(by),
            OVERRIDE_NEEDS,
        )
        .ok_or_else(|| {
            Refused::new("state", "No ring is open, so there is no gate to override.")
        })?;
        Ok(Decision {
            requests: vec![RequestChange::Opened {
                request: Box::new(request),
            }],
            ..Decision::event("override_requested", sentence)
        })
    }

    pub(super) fn request_expedite(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.steers(by)?;
        let reason = reasoned(reason)?;
        self.must_be_active("Nothing can be expedited")?;
        let snapshot = self.snapshot;
        let sentence = format!("Asked to expedite it: {}", words::ended(&reason));
        let ask = Ask::Expedite { reason };
        if self.is_asked_for(&ask) {
            return Err(Refused::new("state", "That is asked for already."));
        }
        let nothing = || Refused::new("state", "Nothing that is left of it would take less time.");
        let index = snapshot
            .current()
            .filter(|_| !expedited(snapshot).is_empty());
        let request = requests::new(
            snapshot,
            self.assessment,
            index.ok_or_else(nothing)?,
            ask,
            Actor::Person(by),
            EXPEDITE_NEEDS,
        );
        Ok(Decision {
            requests: vec![RequestChange::Opened {
                request: Box::new(request.ok_or_else(nothing)?),
            }],
            ..Decision::event("expedite_requested", sentence)
        })
    }

    fn is_asked_for(&self, ask: &Ask) -> bool {
        self.snapshot.open_requests().any(|r| r.ask.is_like(ask))
    }
}
