//! Where an agent stands, in one word for people.

use agent_protocol::EnrolStatus;
use serde::Serialize;

use super::{Core, Phase, Removal, Stage, Stopped};

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not enrolled.
    Enrolling,
    /// Enrolled; a person has to let it in.
    AwaitingApproval,
    /// Nothing in hand.
    Idle,
    /// Making the plan and downloading.
    Preparing,
    /// Everything is on disk.
    Ready,
    /// A restart is agreed.
    RestartAgreed,
    /// A permit was granted.
    Permitted,
    /// A step runs, or is done and the next one has not begun.
    Installing,
    /// A restart is due or under way.
    Restarting,
    /// The result was reported, and it is what was planned.
    Succeeded,
    /// A step failed, or the result is not what was planned.
    Failed,
    /// Windows took it back, or it was removed.
    RolledBack,
    /// It can never apply.
    NotApplicable,
    /// It is being removed.
    Removing,
    /// Another machine reports under the same identity: nothing is sent.
    Clone,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

impl Core {
    /// The device's id, once enrolled.
    #[must_use]
    pub fn device_id(&self) -> Option<uuid::Uuid> {
        self.state.as_ref().map(|state| state.identity.device_id)
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.stopped == Some(Stopped::Clone) {
            return Status::Clone;
        }
        let Some(state) = &self.state else {
            return Status::Enrolling;
        };
        let Some(job) = &state.job else {
            return match state.identity.status {
                EnrolStatus::Admitted => Status::Idle,
                EnrolStatus::AwaitingApproval => Status::AwaitingApproval,
            };
        };
        match &job.phase {
            Phase::Preparing => Status::Preparing,
            Phase::Ready => Status::Ready,
            Phase::Agreed { .. } => Status::RestartAgreed,
            Phase::Permitted { .. } => Status::Permitted,
            Phase::Step { stage, .. } => match stage {
                Stage::Running { .. } | Stage::Done { restart: false, .. } | Stage::Restarted => {
                    Status::Installing
                }
                Stage::Done { restart: true, .. } | Stage::Restarting { .. } => Status::Restarting,
            },
            Phase::Verified {
                packages_installed: true,
                ..
            } => Status::Succeeded,
            Phase::Verified {
                packages_installed: false,
                ..
            }
            | Phase::Failed => Status::Failed,
            Phase::RolledBack => Status::RolledBack,
            Phase::NotApplicable => Status::NotApplicable,
            Phase::Removing {
                stage: Removal::Restarting { .. },
                ..
            } => Status::Restarting,
            Phase::Removing { .. } => Status::Removing,
        }
    }
}
