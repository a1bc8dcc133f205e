//! Restarts: agreed with people, carried out by order, believed only when a kernel boot happened; and what
//! a start finds that a power loss left behind.

use std::time::Duration;

use agent_protocol::{EventKind, RemediationAction};
use chrono::{DateTime, TimeDelta, Utc};
use servicing::{HResult, Ledger, PackageState};
use uuid::Uuid;

use super::steps::step_of;
use super::{
    Action, ActionKind, Agreement, Attended, Core, Deadline, Phase, Purpose, Reading, Removal,
    Stage,
};

/// 2 h: a restart that people agreed to for three o'clock is not done at six without asking again.
const AGREEMENT_HOLDS: TimeDelta = TimeDelta::hours(2);

/// `ERROR_PROCESS_ABORTED` as a result code: the power went while servicing ran.
const INTERRUPTED: HResult = HResult(0x8007_042B);

/// A rollback at boot for which Windows gave no code: `ERROR_INSTALL_FAILURE` as a result code.
const ROLLED_BACK: HResult = HResult(0x8007_0643);

/// Windows gave up on the same update twice: positive evidence, see the protocol.
const UNUSABLE_ROLLBACKS: u8 = 2;

impl Deadline {
    /// A restart has to be agreed for this time at the latest.
    fn latest(self) -> DateTime<Utc> {
        let grace = i64::try_from(self.grace_s)
            .ok()
            .and_then(TimeDelta::try_seconds);
        let latest = grace.and_then(|grace| self.at.checked_add_signed(grace));
        latest.unwrap_or(self.at)
    }

    /// Seconds of grace that are left at a time: all of them before the deadline.
    fn grace_left_s(self, now: DateTime<Utc>) -> u64 {
        let left = (self.latest() - now.max(self.at)).num_seconds();
        u64::try_from(left).unwrap_or(0)
    }
}

impl Core {
    /// Agree a restart, unless one is agreed that suits.
    pub(super) fn agree_restart(&mut self) {
        let latest = self.deadline().map(Deadline::latest);
        match self.job().map(|job| &job.phase) {
            Some(Phase::Agreed { at })
                if self.stands(*at) && latest.is_none_or(|latest| *at <= latest) =>
            {
                self.attended = Attended::Done;
            }
            Some(Phase::Ready | Phase::Agreed { .. }) => self.ask(),
            _ => self.attended = Attended::Done,
        }
    }

    /// A permit is worth asking for only with an agreement that stands.
    pub(super) fn hold_agreement(&mut self) {
        match self.job().map(|job| &job.phase) {
            Some(Phase::Agreed { at }) if self.stands(*at) => {}
            // Told to come back later, for a window say: people are asked when that is over.
            Some(Phase::Agreed { .. }) if self.now.steady < self.permit_at => {
                self.attended = Attended::UntilNextPoll;
            }
            Some(Phase::Ready | Phase::Agreed { .. }) => self.ask(),
            _ => self.attended = Attended::Done,
        }
    }

    pub(super) fn stands(&self, at: DateTime<Utc>) -> bool {
        self.server_time() <= at + AGREEMENT_HOLDS
    }

    /// Asks people, who are told how long they can put it off.
    pub(super) fn ask(&mut self) {
        if self.now.steady < self.postponed_until {
            self.attended = Attended::UntilNextPoll;
            return;
        }
        self.asking_for = self.job().map(|job| job.rollout);
        let now = self.server_time();
        let deadline = self.deadline();
        let deadline_s = deadline.map(|d| u64::try_from((d.at - now).num_seconds()).unwrap_or(0));
        let grace_s = deadline.map_or(0, |d| d.grace_left_s(now));
        self.act(
            ActionKind::Agree,
            Action::Agree {
                deadline_s,
                grace_s,
            },
        );
    }

    pub(super) fn agreed(&mut self, agreement: Agreement) {
        self.action = None;
        let server_time = self.server_time();
        let asked_for = self.asking_for.take();
        let Some(job) = self.job().filter(|job| Some(job.rollout) == asked_for) else {
            return;
        };
        let rollout = job.rollout;
        match agreement {
            Agreement::In { seconds } => {
                let at = server_time + TimeDelta::seconds(seconds.into());
                match &job.phase {
                    Phase::Ready | Phase::Agreed { .. } => self.set_phase(Phase::Agreed { at }),
                    Phase::Removing {
                        kb,
                        stage: Removal::Asking,
                    } => {
                        let phase = Phase::Removing {
                            kb: *kb,
                            stage: Removal::Agreed { at },
                        };
                        self.set_phase(phase);
                    }
                    // The order changed while people were asked.
                    _ => return,
                }
                self.note(EventKind::RestartAgreed {
                    rollout,
                    restart_in_s: seconds,
                });
                self.poll_soon();
            }
            Agreement::Postponed { by_s } => {
                // Put off beyond the deadline is put off until it.
                let left = self
                    .deadline()
                    .map(|d| (d.at - server_time).num_seconds().max(0));
                let by_s = left.map_or(by_s, |left| by_s.min(u32::try_from(left).unwrap_or(by_s)));
                self.attended = Attended::UntilNextPoll;
                self.postponed_until = self.now.steady + Duration::from_secs(by_s.into());
                self.note(EventKind::RestartPostponed { rollout, by_s });
            }
        }
    }

    /// Restart for a step, at the agreed time.
    pub(super) fn restart(&mut self, rollout: Uuid, step: u16) {
        let phase = self
            .job()
            .filter(|job| job.rollout == rollout)
            .map(|job| job.phase.clone());
        match phase {
            Some(Phase::Step {
                at,
                permit_no,
                step: current,
                stage: Stage::Done { restart: true, .. } | Stage::Restarting { .. },
            }) if current == step => {
                if self.restart_due().is_some_and(|due| due <= self.now.steady) {
                    let boot = self.boot.id.clone();
                    self.attended = Attended::UntilNextPoll;
                    self.set_phase(Phase::Step {
                        at,
                        permit_no,
                        step,
                        stage: Stage::Restarting { boot },
                    });
                    self.act(ActionKind::Restart, Action::Restart);
                }
            }
            Some(Phase::Step {
                step: current,
                stage: Stage::Restarted,
                ..
            }) if current == step => {
                self.attended = Attended::Done;
            }
            _ => self.refuse(rollout, "no restart is due"),
        }
    }

    /// The machine goes on as it was; the order is tried again at the next poll that still has it.
    pub(super) fn restart_failed(&mut self) {
        self.action = None;
        let Some(state) = &self.state else { return };
        if state
            .repair
            .as_ref()
            .is_some_and(|repair| repair.action == RemediationAction::Restart)
        {
            self.repair_ended(false);
        }
    }

    /// What was read, and what it was read for.
    pub(super) fn was_read(&mut self, reading: Box<Reading>) {
        let purpose = match self.action.take() {
            Some(ActionKind::Read(purpose)) => purpose,
            other => {
                self.action = other;
                return;
            }
        };
        match purpose {
            Purpose::Start => self.recover(&reading.ledger),
            Purpose::Plan => self.make_plan(&reading),
            Purpose::BeforeFirstStep => self.check_plan(&reading),
            Purpose::AfterStep { exit_code } => self.after_step(exit_code, &reading.ledger),
            Purpose::AfterRemoval { exit_code } => self.after_removal(exit_code, &reading.ledger),
            Purpose::Verify => self.verified(&reading),
            Purpose::Inventory => self.inventory.forced = true,
        }
        self.keep_reading(reading);
    }

    /// Decide from spool and ledger what became of what was under way.
    fn recover(&mut self, ledger: &Ledger) {
        self.recover_repair();
        match self.job().map(|job| job.phase.clone()) {
            Some(Phase::Step {
                step,
                stage: Stage::Running { boot },
                ..
            }) => {
                self.recover_running(step, &boot, ledger);
            }
            Some(Phase::Step {
                step,
                stage:
                    Stage::Done {
                        boot,
                        restart: true,
                    }
                    | Stage::Restarting { boot },
                ..
            }) if boot != self.boot.id => {
                self.restarted(step, ledger);
            }
            Some(Phase::Removing { kb, stage }) => self.recover_removal(kb, &stage, ledger),
            _ => {}
        }
    }

    /// The power went, or the agent alone ended, while the tool ran. It is not run again: the ledger tells.
    fn recover_running(&mut self, step: u16, boot: &str, ledger: &Ledger) {
        if !self.took_effect(step, ledger) {
            return self.fail(step, INTERRUPTED);
        }
        self.after_step(0, ledger);
        let still_pending = self.is_pending(step, ledger);
        if boot != self.boot.id && !still_pending && self.awaits_restart() {
            self.restarted(step, ledger);
        }
    }

    /// A kernel boot happened after a step. It may have undone the step.
    fn restarted(&mut self, step: u16, ledger: &Ledger) {
        let Some(job) = self.job() else { return };
        let Phase::Step { at, permit_no, .. } = job.phase else {
            return;
        };
        let rollout = job.rollout;
        self.set_phase(Phase::Step {
            at,
            permit_no,
            step,
            stage: Stage::Restarted,
        });
        self.note(EventKind::Restarted { rollout, step });
        if !self.took_effect(step, ledger) {
            self.rolled_back_at_boot();
        }
    }

    fn rolled_back_at_boot(&mut self) {
        let code = self
            .boot
            .rollback_exit_code
            .map_or(ROLLED_BACK, HResult::from_exit_code);
        let Some(job) = self.job_mut() else { return };
        let rollout = job.rollout;
        job.phase = Phase::RolledBack;
        job.rollbacks = job.rollbacks.saturating_add(1);
        let unusable = job.rollbacks == UNUSABLE_ROLLBACKS;
        self.note(EventKind::RolledBack {
            rollout,
            code: code.to_string(),
        });
        if unusable {
            self.note(EventKind::MachineUnusable {
                rollout,
                signal: "rolled_back_twice".to_owned(),
            });
        }
    }

    fn awaits_restart(&self) -> bool {
        matches!(
            self.job().map(|job| &job.phase),
            Some(Phase::Step {
                stage: Stage::Done { restart: true, .. },
                ..
            })
        )
    }

    /// Every package of the step is in force or will be after a restart.
    fn took_effect(&self, step: u16, ledger: &Ledger) -> bool {
        self.every_package(step, ledger, |state| {
            state.is_final() || state == PackageState::InstallPending
        })
    }

    fn is_pending(&self, step: u16, ledger: &Ledger) -> bool {
        !self.every_package(step, ledger, PackageState::is_final)
    }

    fn every_package(
        &self,
        step: u16,
        ledger: &Ledger,
        holds: impl Fn(PackageState) -> bool,
    ) -> bool {
        self.job()
            .and_then(|job| step_of(job, step))
            .is_some_and(|step| {
                step.packages
                    .iter()
                    .all(|package| ledger.state_of_package(package).is_some_and(&holds))
            })
    }
}
