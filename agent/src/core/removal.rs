//! Removing an update by order, where that is possible: agreed with people, then at once with its restart.

use agent_protocol::EventKind;
use servicing::{HResult, KbNumber, Ledger};
use std::time::Duration;
use uuid::Uuid;

use super::{Action, ActionKind, Attended, Core, Phase, Removal};

/// A removal that ended well and left the package there: `E_FAIL`.
const STILL_THERE: HResult = HResult(0x8000_4005);

impl Core {
    /// Remove a package of the job's own plan. Servicing stacks and checkpoints can not be removed.
    pub(super) fn roll_back(&mut self, rollout: Uuid, kb: &str) {
        let removable = self
            .job()
            .filter(|job| job.rollout == rollout)
            .and_then(|job| {
                let sequence = job.sequence.as_ref()?;
                let packages = sequence
                    .variants
                    .iter()
                    .flat_map(|variant| &variant.packages);
                let mut removable = packages.filter(|package| package.role.is_removable());
                removable
                    .find(|package| package.kb.to_string() == kb)
                    .map(|package| package.kb)
            });
        let Some(kb) = removable else {
            return self.refuse(rollout, "not a package of this rollout that can be removed");
        };
        match self.job().map(|job| job.phase.clone()) {
            Some(Phase::RolledBack) => self.attended = Attended::Done,
            Some(Phase::Removing {
                stage: Removal::Agreed { at },
                ..
            }) if self.stands(at) => {
                if self.removal_due().is_some_and(|due| due <= self.now.steady) {
                    let boot = self.boot.id.clone();
                    self.attended = Attended::Done;
                    self.set_phase(Phase::Removing {
                        kb,
                        stage: Removal::Running { boot },
                    });
                    self.act(ActionKind::Remove, Action::Remove { kb });
                }
            }
            Some(Phase::Removing {
                stage: Removal::Asking,
                ..
            }) => self.ask(),
            Some(Phase::Removing {
                stage: Removal::Restarting { boot, exit_code },
                ..
            }) => {
                self.attended = Attended::UntilNextPoll;
                self.restart_for_removal(kb, boot, exit_code);
            }
            _ => {
                self.set_phase(Phase::Removing {
                    kb,
                    stage: Removal::Asking,
                });
                self.ask();
            }
        }
    }

    /// An agreed removal waits for its time.
    pub(super) fn removal_due(&self) -> Option<Duration> {
        let Phase::Removing {
            stage: Removal::Agreed { at },
            ..
        } = &self.job()?.phase
        else {
            return None;
        };
        let waits = self.attended == Attended::No
            && self.action.is_none()
            && matches!(self.order, Some(agent_protocol::Order::RollBack { .. }));
        waits.then(|| self.time.steady(*at, self.now))
    }

    pub(super) fn after_removal(&mut self, exit_code: i64, ledger: &Ledger) {
        let Some(Phase::Removing { kb, .. }) = self.job().map(|job| job.phase.clone()) else {
            return;
        };
        let code = HResult::from_exit_code(exit_code);
        if !code.is_success() {
            return self.fail(0, code);
        }
        let pending = ledger
            .state_of(kb)
            .is_some_and(servicing::PackageState::awaits_restart);
        if code.asks_for_restart() || pending {
            let boot = self.boot.id.clone();
            return self.restart_for_removal(kb, boot, exit_code);
        }
        self.removal_ended(kb, code, ledger);
    }

    fn restart_for_removal(&mut self, kb: KbNumber, boot: String, exit_code: i64) {
        self.set_phase(Phase::Removing {
            kb,
            stage: Removal::Restarting { boot, exit_code },
        });
        self.act(ActionKind::Restart, Action::Restart);
    }

    /// What a start finds of a removal: never begun again, judged by the ledger.
    pub(super) fn recover_removal(&mut self, kb: KbNumber, stage: &Removal, ledger: &Ledger) {
        match stage {
            Removal::Running { .. } => self.after_removal(0, ledger),
            Removal::Restarting { boot, exit_code } if *boot != self.boot.id => {
                self.removal_ended(kb, HResult::from_exit_code(*exit_code), ledger);
            }
            Removal::Restarting { .. } | Removal::Asking | Removal::Agreed { .. } => {}
        }
    }

    fn removal_ended(&mut self, kb: KbNumber, code: HResult, ledger: &Ledger) {
        if ledger.state_of(kb).is_some() {
            return self.fail(0, STILL_THERE);
        }
        let Some(job) = self.job_mut() else { return };
        let rollout = job.rollout;
        job.phase = Phase::RolledBack;
        self.note(EventKind::RolledBack {
            rollout,
            code: code.to_string(),
        });
    }
}
