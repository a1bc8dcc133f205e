//! Documented repairs, by order. Each is reported as begun before it begins and as ended exactly once.

use agent_protocol::{EventKind, RemediationAction};
use uuid::Uuid;

use super::{Action, ActionKind, Attended, Core, Effect, Phase, Purpose, Repair};

impl Core {
    pub(super) fn remediate(&mut self, rollout: Uuid, action: RemediationAction) {
        let Some(job) = self.job().filter(|job| job.rollout == rollout) else {
            return self.refuse(rollout, "this rollout was not prepared here");
        };
        if job.is_under_way() {
            return self.refuse(rollout, "an installation is under way");
        }
        let discard: Vec<String> = job.fetched.iter().cloned().collect();
        self.attended = Attended::Done;
        let boot = self.boot.id.clone();
        if let Some(state) = self.state_mut() {
            state.repair = Some(Repair {
                rollout,
                action,
                boot,
            });
        }
        self.note(EventKind::RemediationStarted { rollout, action });
        match action {
            RemediationAction::Restart => self.act(ActionKind::Restart, Action::Restart),
            RemediationAction::ClearDownloads => {
                if let Some(job) = self.job_mut() {
                    job.fetched.clear();
                    job.plan = None;
                    job.download_reported = false;
                    job.phase = Phase::Preparing;
                }
                for sha256 in discard {
                    self.emit(Effect::Act(Action::Discard { sha256 }));
                }
                self.repair_ended(true);
            }
            RemediationAction::RestoreHealth
            | RemediationAction::RestoreHealthFromSource
            | RemediationAction::FreeDiskSpace => {
                self.arm_heartbeat();
                self.act(ActionKind::Remediate, Action::Remediate(action));
            }
        }
    }

    /// The platform ended a repair. What it changed is read anew.
    pub(super) fn repair_ended(&mut self, ok: bool) {
        let Some(Repair {
            rollout, action, ..
        }) = self.state_mut().and_then(|state| state.repair.take())
        else {
            return;
        };
        self.note(EventKind::RemediationDone {
            rollout,
            action,
            ok,
        });
        self.poll_soon();
        self.read(Purpose::Inventory);
    }

    /// A repair that a start finds begun: a restart has worked if a boot happened, anything else was cut off.
    pub(super) fn recover_repair(&mut self) {
        let Some(repair) = self.state.as_ref().and_then(|state| state.repair.clone()) else {
            return;
        };
        let ok = repair.action == RemediationAction::Restart && repair.boot != self.boot.id;
        if let Some(state) = self.state_mut() {
            state.repair = None;
        }
        self.note(EventKind::RemediationDone {
            rollout: repair.rollout,
            action: repair.action,
            ok,
        });
    }
}
