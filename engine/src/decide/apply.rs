//! A decision becomes the next snapshot: what storing it and reading again would give.

use super::{Decision, RequestChange, Snapshot};
use crate::approval::{Approval, Request, RequestState};
use crate::ids::RequestId;

impl Snapshot {
    /// Applies a decision. Requests that ended stay, with their end.
    pub fn apply(&mut self, decision: &Decision) {
        if let Some(state) = &decision.rollout {
            self.rollout.state = state.clone();
        }
        if let Some(cleared) = &decision.cleared {
            self.rollout.cleared.clone_from(cleared);
        }
        for (id, state) in &decision.stages {
            if let Some(stage) = self.stages.iter_mut().find(|stage| stage.id == *id) {
                stage.state = state.clone();
            }
        }
        for (id, policy) in &decision.policies {
            if let Some(stage) = self.stages.iter_mut().find(|stage| stage.id == *id) {
                stage.policy = *policy;
            }
        }
        for change in &decision.requests {
            self.change(change);
        }
        if decision.changed() {
            self.rollout.version += 1;
        }
    }

    fn change(&mut self, change: &RequestChange) {
        let at = self.service_now;
        match change {
            RequestChange::Opened { request } => self.requests.push((**request).clone()),
            RequestChange::Approved {
                request,
                by,
                alone,
                done,
            } => self.request(*request, |r| {
                r.approvals.push(Approval {
                    by: *by,
                    at,
                    alone: *alone,
                });
                if *done {
                    r.state = RequestState::Approved;
                }
            }),
            RequestChange::Effective { request } => {
                self.request(*request, |r| r.state = RequestState::Approved);
            }
            RequestChange::Rejected {
                request,
                by,
                reason,
            } => self.request(*request, |r| {
                r.state = RequestState::Rejected {
                    by: *by,
                    reason: reason.clone(),
                };
            }),
            RequestChange::Voided { request, reason } => {
                self.request(*request, |r| {
                    r.state = RequestState::Void { reason: *reason }
                });
            }
            RequestChange::Expired { request } => {
                self.request(*request, |r| r.state = RequestState::Expired);
            }
        }
    }

    fn request(&mut self, id: RequestId, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.id == id) {
            change(request);
        }
    }
}
