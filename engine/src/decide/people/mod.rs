//! What people ask for. Each is checked against the state and the person before anything changes.

mod life;
mod votes;

use super::{Decision, Input, Person, Refused, Snapshot};
use crate::approval::Request;
use crate::halt::Assessment;
use crate::ids::{PersonId, RequestId};
use crate::rollout::RolloutState;

pub(super) fn act(
    snapshot: &Snapshot,
    assessment: &Assessment,
    input: Input,
) -> Result<Decision, Refused> {
    let desk = Desk {
        snapshot,
        assessment,
    };
    match input {
        Input::Tick => Ok(Decision::nothing()),
        Input::Submit { by, not_before } => desk.submit(by, not_before),
        Input::Pause { by, reason } => desk.pause(by, &reason),
        Input::Resume { by, reason } => desk.resume(by, &reason),
        Input::Halt { by, reason } => desk.halt(by, &reason),
        Input::ClearHalt { by, reason } => desk.clear_halt(by, &reason),
        Input::Cancel { by, reason } => desk.cancel(by, &reason),
        Input::Supersede { newer } => desk.supersede(newer),
        Input::Approve { by, request, hash } => desk.approve(by, request, hash),
        Input::Reject {
            by,
            request,
            reason,
        } => desk.reject(by, request, &reason),
        Input::RequestOverride { by, reason } => desk.request_override(by, &reason),
        Input::RequestExpedite { by, reason } => desk.request_expedite(by, &reason),
    }
}

/// Where people's wishes come in, with everything that was read.
struct Desk<'a> {
    snapshot: &'a Snapshot,
    assessment: &'a Assessment,
}

impl Desk<'_> {
    fn open_request(&self, id: RequestId) -> Result<&Request, Refused> {
        let open = self
            .snapshot
            .open_requests()
            .find(|request| request.id == id);
        open.ok_or_else(|| Refused::new("state", "The request is not open any more."))
    }

    fn enabled(&self, by: PersonId) -> Result<Person, Refused> {
        let person = self
            .snapshot
            .people
            .get(&by)
            .copied()
            .filter(|person| person.enabled);
        person.ok_or_else(|| Refused::new("role", "You have no role on this track."))
    }

    fn admin(&self, by: PersonId) -> Result<(), Refused> {
        if self.enabled(by)?.admin {
            Ok(())
        } else {
            Err(Refused::new("role", "Only an admin may do this."))
        }
    }

    /// Who may take a decision of their own about how it goes on.
    fn steers(&self, by: PersonId) -> Result<(), Refused> {
        let person = self.enabled(by)?;
        if person.admin || person.approver || by == self.snapshot.rollout.author {
            Ok(())
        } else {
            Err(Refused::new(
                "role",
                "Only the author, an approver or an admin may do this.",
            ))
        }
    }

    fn author_or_admin(&self, by: PersonId) -> Result<(), Refused> {
        if self.enabled(by)?.admin || by == self.snapshot.rollout.author {
            Ok(())
        } else {
            Err(Refused::new(
                "role",
                "Only the author or an admin may do this.",
            ))
        }
    }

    fn must_be_active(&self, what: &str) -> Result<(), Refused> {
        if self.snapshot.rollout.state == RolloutState::Active {
            Ok(())
        } else {
            Err(self.wrong_state(what))
        }
    }

    fn wrong_state(&self, what: &str) -> Refused {
        Refused::new(
            "state",
            format!(
                "{what}; this one is {}.",
                self.snapshot.rollout.state.is_what()
            ),
        )
    }
}

fn reasoned(reason: &str) -> Result<String, Refused> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refused::new("reason", "A reason is needed."));
    }
    Ok(reason.to_owned())
}
