//! One report after another becomes a state and a change of counters. Every device counts once in each field.

use servicing::{Build, HResult};

use super::{Assignment, Folded, Report, State, Suspicion};
use crate::evidence::Delta;
use crate::remediation::{self, Rung};

/// Takes one report in. A report that comes twice, or too late, changes nothing.
#[must_use]
pub fn fold(assignment: &Assignment, report: &Report) -> Folded {
    let mut fold = Fold {
        next: *assignment,
        delta: Delta::default(),
        progress: false,
    };
    // Whatever a device says, it says something: that alone ends a loss. A hang ends with progress only.
    let from_device = !matches!(
        report,
        Report::Overdue | Report::HangSuspected | Report::Lost | Report::RepairGivenUp
    );
    if from_device && fold.next.suspicion == Some(Suspicion::Lost) {
        fold.next.suspicion = None;
    }
    fold.take(*report);
    if fold.progress {
        fold.next.suspicion = None;
    }
    Folded {
        next: fold.next,
        delta: fold.delta,
        progress: fold.progress,
    }
}

struct Fold {
    next: Assignment,
    delta: Delta,
    progress: bool,
}

impl Fold {
    fn take(&mut self, report: Report) {
        match report {
            Report::Alive => {}
            Report::DownloadProgress => self.try_again(),
            Report::DownloadDone => {
                self.try_again();
                self.before_permit(&[State::Downloading], State::Ready);
            }
            Report::RestartAgreed => {
                self.before_permit(&[State::Downloading, State::Ready], State::RestartAgreed);
            }
            Report::RestartPostponed => self.before_permit(&[State::RestartAgreed], State::Ready),
            Report::NotApplicable => self.end(State::NotApplicable),
            Report::StepStarted { permit_no, step } => self.step_started(permit_no, step),
            Report::StepDone {
                step,
                restart_needed,
            } => self.step_done(step, restart_needed),
            Report::Restarted => self.restarted(),
            Report::Verified {
                build,
                packages_installed,
            } => self.verified(build, packages_installed),
            Report::Failed { code, step } => self.failed(code, step),
            Report::RepairStarted => self.repair_started(),
            Report::RepairDone { ok } => self.repair_done(ok),
            Report::RepairGivenUp => self.repair_done(false),
            Report::RolledBack { code } => self.rolled_back(code),
            Report::Refused => self.refused(),
            Report::Unusable => self.unusable(),
            Report::Overdue => self.overdue(),
            Report::HangSuspected => self.suspect(Suspicion::Hang),
            Report::Lost => self.suspect(Suspicion::Lost),
        }
    }

    /// Before the permit only the three states of preparation move, and nothing counts.
    fn before_permit(&mut self, from: &[State], to: State) {
        if from.contains(&self.next.state) {
            self.next.state = to;
        }
    }

    fn step_started(&mut self, permit_no: u32, step: u16) {
        if self.next.permit_no == 0 || self.next.state.is_before_permit() {
            return self.drift();
        }
        match self.place() {
            // An old permit lapsed unstarted: whoever still starts under it is not believed.
            Place::Ready { next } if step == next && step <= self.next.of => {
                if permit_no == self.next.permit_no {
                    self.advance(State::Installing { step });
                }
            }
            Place::Ready { next } if step < next => {}
            Place::Busy { current } if step <= current => {}
            Place::Ended => {}
            Place::Ready { .. } | Place::Busy { .. } => self.drift(),
        }
    }

    fn step_done(&mut self, step: u16, restart_needed: bool) {
        if self.next.permit_no == 0 || self.next.state.is_before_permit() {
            return self.drift();
        }
        match (self.next.state, self.place()) {
            (State::Installing { step: running }, _) if step == running => {
                let next = if restart_needed {
                    State::Restarting { step }
                } else {
                    self.after(step)
                };
                self.advance(next);
            }
            (_, Place::Ready { next }) if step < next => {}
            (_, Place::Busy { current }) if step <= current => {}
            (_, Place::Ended) => {}
            (_, Place::Ready { .. } | Place::Busy { .. }) => self.drift(),
        }
    }

    fn restarted(&mut self) {
        if let State::Restarting { step } = self.next.state {
            self.advance(self.after(step));
        }
    }

    /// What comes after a step that is done, its restart included.
    fn after(&self, step: u16) -> State {
        if step >= self.next.of {
            State::Verifying
        } else {
            State::StepDone { step }
        }
    }

    fn verified(&mut self, build: Build, packages_installed: bool) {
        // Without a permit nothing is expected yet, so nothing can be judged.
        let Some(expected) = self.next.expected else {
            return;
        };
        let newer = build.base == expected.base && build.ubr > expected.ubr;
        match self.next.state {
            State::Succeeded if is_lower(build, expected) => self.regress(),
            state if state.is_outcome() || state.is_before_permit() => {}
            // Nothing of ours has begun, and the device is there: something else did it.
            State::Permitted if build == expected && packages_installed => {
                self.end(State::InstalledElsewhere);
            }
            _ if build == expected && packages_installed => {
                self.end(State::Succeeded);
                self.succeed();
            }
            _ if newer => self.end(State::InstalledElsewhere),
            // A reading before the last restart proves nothing; one after it does.
            State::Verifying => {
                self.fail();
                self.end(State::Failed {
                    code: None,
                    step: self.next.of,
                });
            }
            _ => {}
        }
    }

    /// A success after a repair shows that the repair works. Of the update it shows that it failed, which is counted.
    fn succeed(&mut self) {
        if self.next.tries == 0 {
            self.next.ok = true;
            self.delta.ok = 1;
        } else if self.next.mended.is_some() && !self.next.relapsed && !self.next.recovered {
            self.next.recovered = true;
            self.delta.recovered = 1;
        }
    }

    fn failed(&mut self, code: HResult, step: u16) {
        if step == 0 {
            self.not_removed(Some(code));
        }
        if self.next.state.is_outcome() || matches!(self.next.state, State::Remediating { .. }) {
            return;
        }
        if self.next.state.is_before_permit() {
            // A download that failed is no step; a step without a permit is drift.
            if step > 0 {
                self.drift();
            }
            return;
        }
        let again = self.next.mended.take() == Some(code);
        if again && !self.next.relapsed && !self.next.recovered {
            self.next.relapsed = true;
            self.delta.relapsed = 1;
        }
        self.fail();
        self.end(State::Failed {
            code: Some(code),
            step,
        });
    }

    /// The rung on which a device that failed stands now.
    fn rung(&self) -> Option<Rung> {
        match self.next.state {
            State::Failed { code, .. } => remediation::next(code, self.next.tries),
            _ => None,
        }
    }

    /// A device that failed prepares anew, where its code asks for no repair first.
    fn try_again(&mut self) {
        if self.rung() == Some(Rung::Again) {
            self.next.tries += 1;
            self.next.mended = None;
            self.advance(State::Downloading);
        }
    }

    fn repair_started(&mut self) {
        if let (
            Some(Rung::Repair(_)),
            State::Failed {
                code: Some(code),
                step,
            },
        ) = (self.rung(), self.next.state)
        {
            self.next.tries += 1;
            self.advance(State::Remediating { code, step });
        }
    }

    /// After a repair that worked the device prepares anew; one that did not leaves the failure as it was.
    fn repair_done(&mut self, ok: bool) {
        if let State::Remediating { code, step } = self.next.state {
            self.next.mended = ok.then_some(code);
            self.advance(if ok {
                State::Downloading
            } else {
                State::Failed {
                    code: Some(code),
                    step,
                }
            });
        }
    }

    fn rolled_back(&mut self, code: HResult) {
        match self.next.state {
            // By order: what it proved of the update stays.
            State::Succeeded if code.is_success() => self.advance(State::Removed),
            State::Succeeded => self.regress(),
            state if state.is_outcome() => {}
            state if state.is_before_permit() => self.drift(),
            _ => {
                self.fail();
                self.end(State::RolledBack { code });
            }
        }
    }

    /// What an agent refuses is not ordered for ever.
    fn refused(&mut self) {
        self.not_removed(None);
        if matches!(self.rung(), Some(Rung::Repair(_))) {
            self.next.tries += 1;
        }
        // It did another update meanwhile, or lost what it had: it prepares anew.
        self.before_permit(&[State::Ready, State::RestartAgreed], State::Downloading);
    }

    /// The only order after a success is to remove it again.
    fn not_removed(&mut self, code: Option<HResult>) {
        if self.next.state == State::Succeeded {
            self.advance(State::NotRemoved { code });
        }
    }

    fn unusable(&mut self) {
        if !self.next.started {
            return;
        }
        if !self.next.severe {
            self.next.severe = true;
            self.delta.severe = 1;
        }
        match self.next.state {
            State::Succeeded => self.regress(),
            state if state.is_outcome() => {}
            _ => {
                let step = match self.place() {
                    Place::Ready { next } => next - 1,
                    Place::Busy { current } => current,
                    Place::Ended => self.next.of,
                };
                self.fail();
                self.end(State::Failed { code: None, step });
            }
        }
    }

    fn overdue(&mut self) {
        if self.next.state.is_under_way() && !self.next.overdue {
            self.next.overdue = true;
            self.delta.overdue = 1;
        }
    }

    fn suspect(&mut self, suspicion: Suspicion) {
        if !self.next.state.is_under_way() {
            return;
        }
        self.next.suspicion = Some(suspicion);
        match suspicion {
            Suspicion::Hang => self.fail(),
            Suspicion::Lost if !self.next.silent => {
                self.next.silent = true;
                self.delta.silent = 1;
            }
            Suspicion::Lost => {}
        }
        self.resolve();
    }

    /// Worse after a success: the outcome stays, the evidence changes, once.
    fn regress(&mut self) {
        if self.next.ok {
            self.next.ok = false;
            self.delta.ok = -1;
            self.fail();
        }
    }

    fn advance(&mut self, state: State) {
        self.next.state = state;
        self.progress = true;
    }

    /// An outcome, unless there is one already.
    fn end(&mut self, state: State) {
        if !self.next.state.is_outcome() {
            self.advance(state);
            self.resolve();
        }
    }

    fn resolve(&mut self) {
        if self.next.started && !self.next.resolved {
            self.next.resolved = true;
            self.delta.resolved = 1;
        }
    }

    fn fail(&mut self) {
        if self.next.started && !self.next.failed {
            self.next.failed = true;
            self.delta.failed = 1;
        }
    }

    fn drift(&mut self) {
        if !self.next.drift {
            self.next.drift = true;
            self.delta.drift = 1;
        }
    }

    fn place(&self) -> Place {
        match self.next.state {
            State::Downloading | State::Ready | State::RestartAgreed | State::Permitted => {
                Place::Ready { next: 1 }
            }
            State::StepDone { step } => Place::Ready { next: step + 1 },
            State::Installing { step } | State::Restarting { step } => {
                Place::Busy { current: step }
            }
            State::Verifying => Place::Busy {
                current: self.next.of,
            },
            _ => Place::Ended,
        }
    }
}

/// Where in its steps a device is.
enum Place {
    /// `next` may be handed out.
    Ready { next: u16 },
    /// `current` runs, waits for its restart, or was the last.
    Busy { current: u16 },
    /// It has an outcome.
    Ended,
}

/// Below what was expected: an older base, or an older revision of the same base.
fn is_lower(build: Build, expected: Build) -> bool {
    (build.base, build.ubr) < (expected.base, expected.ubr)
}
