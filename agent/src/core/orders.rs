//! What the server ordered, and what the agent makes of it: one function per order, each the whole rule.

use agent_protocol::{EventKind, Order};
use uuid::Uuid;

use super::{Attended, Core, Job, Phase, Purpose};

impl Core {
    /// Go on with the present order, as far as that goes without an answer from somewhere.
    pub(super) fn pursue(&mut self) {
        if self.state.is_none() || self.attended != Attended::No {
            return;
        }
        let Some(order) = self.order.clone() else {
            return;
        };
        self.let_permit_lapse();
        match order {
            Order::Nothing | Order::Hold { .. } => {}
            Order::Prepare { rollout, digest } => {
                if self.take_up(rollout, digest) && self.is_prepared() {
                    self.attended = Attended::Done;
                }
            }
            Order::AgreeRestart { rollout, .. } => {
                if self.has_job(rollout) && self.is_prepared() {
                    self.agree_restart();
                }
            }
            Order::RequestPermit { rollout } => {
                if self.has_job(rollout) && self.is_prepared() {
                    self.hold_agreement();
                }
            }
            Order::RunStep {
                rollout,
                digest,
                permit_no,
                step,
                of,
                packages,
            } => {
                self.run_step(rollout, &digest, permit_no, step, of, &packages);
            }
            Order::Restart { rollout, step } => self.restart(rollout, step),
            Order::Verify { rollout, .. } => self.verify(rollout),
            Order::Remediate { rollout, action } => self.remediate(rollout, action),
            Order::RollBack { rollout, kb } => self.roll_back(rollout, &kb),
            Order::Reinventory => {
                self.attended = Attended::Done;
                self.read(Purpose::Inventory);
            }
        }
    }

    /// A permit not used in its time is none; the agreement stays.
    fn let_permit_lapse(&mut self) {
        if let Some(Phase::Permitted { at, start_by, .. }) = self.job().map(|job| &job.phase)
            && self.server_time() > *start_by
        {
            let phase = Phase::Agreed { at: *at };
            self.set_phase(phase);
        }
    }

    /// Make this rollout the job in hand. One that is between its first step and its outcome is not dropped.
    fn take_up(&mut self, rollout: Uuid, digest: String) -> bool {
        match self.job() {
            Some(job) if job.rollout == rollout && job.digest == digest => return true,
            Some(job) if job.is_under_way() => {
                self.refuse(rollout, "another update is under way");
                return false;
            }
            _ => {}
        }
        if let Some(state) = self.state_mut() {
            state.job = Some(Job::new(rollout, digest));
        }
        true
    }

    /// Orders other than [`Order::Prepare`] name a rollout that was prepared before.
    fn has_job(&mut self, rollout: Uuid) -> bool {
        let known = self.job().is_some_and(|job| job.rollout == rollout);
        if !known {
            self.refuse(rollout, "this rollout was not prepared here");
        }
        known
    }

    /// Whether everything is on disk. If not, go on with that; a job that failed is planned anew, from what
    /// the device has now.
    pub(super) fn is_prepared(&mut self) -> bool {
        let Some(job) = self.job() else { return false };
        match job.phase {
            Phase::Failed
            | Phase::RolledBack
            | Phase::Verified {
                packages_installed: false,
                ..
            } => {
                if let Some(job) = self.job_mut() {
                    job.plan = None;
                    job.phase = Phase::Preparing;
                    job.download_reported = false;
                }
                self.prepare();
                false
            }
            Phase::Preparing => {
                self.prepare();
                false
            }
            Phase::Verified { .. } | Phase::NotApplicable => {
                self.attended = Attended::Done;
                false
            }
            Phase::Ready
            | Phase::Agreed { .. }
            | Phase::Permitted { .. }
            | Phase::Step { .. }
            | Phase::Removing { .. } => true,
        }
    }

    /// Say no, once per order.
    pub(super) fn refuse(&mut self, rollout: Uuid, reason: &str) {
        self.attended = Attended::Done;
        if self.refused == self.order {
            return;
        }
        self.refused.clone_from(&self.order);
        self.note(EventKind::OrderRefused {
            rollout,
            reason: reason.to_owned(),
        });
    }
}
