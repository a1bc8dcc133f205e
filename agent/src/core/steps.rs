//! The steps of the plan: what may run, that it began, how it ended, and what the device has in the end.

use agent_protocol::{EventKind, Order};
use servicing::{HResult, Ledger, PackageState, Planned, Step, plan};
use uuid::Uuid;

use super::{Action, ActionKind, Attended, Core, Job, Phase, Purpose, Reading, Stage};

/// What a package is called that the ledger does not list.
const NOT_PRESENT: &str = "not_present";

impl Core {
    /// Run a step, if it is the next one of the device's own plan, under the permit that was granted.
    pub(super) fn run_step(
        &mut self,
        rollout: Uuid,
        digest: &str,
        permit_no: u32,
        step: u16,
        of: u16,
        packages: &[String],
    ) {
        let Some(job) = self
            .job()
            .filter(|job| job.rollout == rollout && job.digest == digest)
        else {
            return self.refuse(rollout, "this rollout was not prepared here");
        };
        if permit_no <= job.spent_permit && !matches!(job.phase, Phase::Step { .. }) {
            // What ran under this permit has its outcome already.
            self.attended = Attended::Done;
            return;
        }
        if !self.is_prepared() {
            return;
        }
        let Some(job) = self.job() else { return };
        match job.phase {
            Phase::Permitted {
                permit_no: granted, ..
            } if granted != permit_no => self.refuse(rollout, "permit"),
            Phase::Permitted { .. } => match self.objection(step, 1, of, packages) {
                Some(reason) => self.refuse(rollout, reason),
                None => self.read(Purpose::BeforeFirstStep),
            },
            Phase::Step {
                permit_no: granted, ..
            } if granted != permit_no => self.refuse(rollout, "permit"),
            Phase::Step { step: current, .. } if step == current => self.attended = Attended::Done,
            Phase::Step {
                step: current,
                stage: Stage::Done { restart: false, .. } | Stage::Restarted,
                ..
            } => match self.objection(step, current + 1, of, packages) {
                Some(reason) => self.refuse(rollout, reason),
                None => self.begin_step(step),
            },
            Phase::Step { .. } => self.refuse(rollout, "a restart comes first"),
            // A permit that was lost on the way is the same when asked for again.
            _ => self.hold_agreement(),
        }
    }

    /// Why a step is not the one that the plan has next.
    fn objection(
        &self,
        step: u16,
        next: u16,
        of: u16,
        packages: &[String],
    ) -> Option<&'static str> {
        let job = self.job()?;
        if step != next {
            return Some("step");
        }
        let own: Vec<String> = step_of(job, step)?
            .packages
            .iter()
            .map(|package| package.kb.to_string())
            .collect();
        (of != job.steps() || own != packages).then_some("plan differs")
    }

    /// Days can lie between plan and permit. What no longer holds is not begun.
    pub(super) fn check_plan(&mut self, reading: &Reading) {
        // While facts and ledger were read, the server may have thought better of it.
        if self.attended != Attended::No || !matches!(self.order, Some(Order::RunStep { .. })) {
            return;
        }
        let server_time = self.server_time();
        let Some(job) = self.job() else { return };
        let rollout = job.rollout;
        let Some(sequence) = &job.sequence else {
            return;
        };
        if job.expires_at.is_none_or(|end| end <= server_time) {
            return self.refuse(rollout, "expired");
        }
        match plan(sequence, &reading.facts, &reading.ledger) {
            Planned::Steps(plan) if job.plan.as_ref() == Some(&plan) => self.begin_step(1),
            Planned::NotReady(_, reasons) => {
                self.not_ready(reasons.iter().map(|reason| reason.word()));
            }
            _ => {
                if let Some(job) = self.job_mut() {
                    job.plan = None;
                    job.phase = Phase::Preparing;
                }
                self.refuse(rollout, "plan differs");
            }
        }
    }

    fn begin_step(&mut self, number: u16) {
        let boot = self.boot.id.clone();
        let Some(job) = self.job_mut() else { return };
        let (Phase::Permitted { at, permit_no, .. } | Phase::Step { at, permit_no, .. }) =
            job.phase
        else {
            return;
        };
        let Some(step) = step_of(job, number).cloned() else {
            return;
        };
        let Some(target) = job.plan.as_ref().map(|plan| plan.target) else {
            return;
        };
        let (rollout, of) = (job.rollout, job.steps());
        job.phase = Phase::Step {
            at,
            permit_no,
            step: number,
            stage: Stage::Running { boot },
        };
        job.spent_permit = permit_no;
        self.note(EventKind::StepStarted {
            rollout,
            permit_no,
            step: number,
            of,
        });
        self.arm_heartbeat();
        self.attended = Attended::Done;
        self.act(
            ActionKind::Install,
            Action::Install {
                number,
                step: Box::new(step),
                target,
            },
        );
    }

    /// The tool ended. Its exit code decides only where the ledger does not.
    pub(super) fn after_step(&mut self, exit_code: i64, ledger: &Ledger) {
        let boot = self.boot.id.clone();
        let Some(job) = self.job() else { return };
        let Phase::Step {
            at,
            permit_no,
            step: number,
            stage: Stage::Running { .. },
        } = job.phase
        else {
            return;
        };
        let Some(step) = step_of(job, number) else {
            return;
        };
        let rollout = job.rollout;
        let code = HResult::from_exit_code(exit_code);
        let states: Vec<_> = step
            .packages
            .iter()
            .map(|package| ledger.state_of_package(package))
            .collect();
        // 0x800F081E and others are returned for what is there already.
        let all_there = states
            .iter()
            .all(|state| state.is_some_and(PackageState::is_final));
        if !code.is_success() && !all_there {
            return self.fail(number, code);
        }
        let pending = states.iter().flatten().any(|state| state.awaits_restart());
        let restart = step.restart_after || code.asks_for_restart() || pending;
        let state = states
            .last()
            .copied()
            .flatten()
            .map_or(NOT_PRESENT, PackageState::word);
        self.set_phase(Phase::Step {
            at,
            permit_no,
            step: number,
            stage: Stage::Done { boot, restart },
        });
        self.note(EventKind::StepDone {
            rollout,
            step: number,
            exit_code,
            code: code.to_string(),
            package_state: state.to_owned(),
            restart_needed: restart,
        });
        if restart {
            self.note(EventKind::RestartPending {
                rollout,
                step: number,
            });
        }
        self.poll_soon();
    }

    pub(super) fn fail(&mut self, step: u16, code: HResult) {
        let Some(job) = self.job_mut() else { return };
        let rollout = job.rollout;
        job.phase = Phase::Failed;
        self.note(EventKind::Failed {
            rollout,
            step,
            code: code.to_string(),
        });
        self.poll_soon();
    }

    /// Report what the device has, once everything ran and the last restart happened.
    pub(super) fn verify(&mut self, rollout: Uuid) {
        self.attended = Attended::Done;
        let Some(job) = self.job().filter(|job| job.rollout == rollout) else {
            return self.refuse(rollout, "this rollout was not prepared here");
        };
        match &job.phase {
            Phase::Step {
                step,
                stage: Stage::Done { restart: false, .. } | Stage::Restarted,
                ..
            } if *step == job.steps() => {
                self.read(Purpose::Verify);
            }
            Phase::Verified { .. } => self.read(Purpose::Verify),
            _ => self.refuse(rollout, "steps or restarts are missing"),
        }
    }

    pub(super) fn verified(&mut self, reading: &Reading) {
        let Some(job) = self.job() else { return };
        let installed = job.plan.as_ref().is_none_or(|plan| {
            let in_force = plan.packages().all(|package| {
                reading
                    .ledger
                    .state_of_package(package)
                    .is_some_and(PackageState::is_final)
            });
            in_force && in_order(plan.packages().map(|package| package.kb), &reading.ledger)
        });
        self.report_verified(reading, installed);
    }

    /// The same result is reported once.
    pub(super) fn report_verified(&mut self, reading: &Reading, packages_installed: bool) {
        self.attended = Attended::Done;
        let build = reading.facts.build.to_string();
        let phase = Phase::Verified {
            build: build.clone(),
            packages_installed,
        };
        let Some(job) = self.job_mut() else { return };
        if job.phase == phase {
            return;
        }
        let rollout = job.rollout;
        job.phase = phase;
        self.note(EventKind::Verified {
            rollout,
            build,
            packages_installed,
        });
    }
}

pub(super) fn step_of(job: &Job, number: u16) -> Option<&Step> {
    job.plan
        .as_ref()?
        .steps
        .get(usize::from(number.checked_sub(1)?))
}

/// None came before one that it builds upon, as far as the ledger has times.
fn in_order(kbs: impl Iterator<Item = servicing::KbNumber>, ledger: &Ledger) -> bool {
    let times: Vec<_> = kbs
        .filter_map(|kb| {
            ledger
                .0
                .iter()
                .find(|entry| entry.kb == Some(kb) && !entry.is_servicing_stack())?
                .at
        })
        .collect();
    times.is_sorted()
}
