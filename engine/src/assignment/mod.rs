//! How far a device got in a rollout, and what each of its reports counts for.

mod fold;
mod judge;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use servicing::{Build, HResult};

use crate::evidence::Delta;

pub use fold::fold;
pub use judge::{HANG_CONTACT_S, judge};

/// Where a device is. Outcomes never regress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// Offered; downloading ahead of time.
    Downloading,
    /// Everything is on disk.
    Ready,
    /// A restart is agreed; may ask for a permit.
    RestartAgreed,
    /// Holds a permit; has not said that it started.
    Permitted,
    /// Runs `step`.
    Installing {
        /// From 1.
        step: u16,
    },
    /// `step` is done; the next one may be handed out.
    StepDone {
        /// From 1.
        step: u16,
    },
    /// `step` is done and needs a restart first.
    Restarting {
        /// From 1.
        step: u16,
    },
    /// The last restart is done; build and ledger are to be read.
    Verifying,
    /// Outcome: on the expected build, packages in order.
    Succeeded,
    /// Outcome: failed in a step or in verification.
    Failed {
        /// As reported; verification failures carry none.
        code: Option<HResult>,
        /// In this step.
        step: u16,
    },
    /// It failed, and a documented repair is under way.
    Remediating {
        /// What it failed with.
        code: HResult,
        /// In this step.
        step: u16,
    },
    /// Outcome: Windows took it back.
    RolledBack {
        /// As reported.
        code: HResult,
    },
    /// Outcome: it succeeded, and was removed again by order.
    Removed,
    /// Outcome: it succeeded, was to be removed again, and could not be.
    NotRemoved {
        /// What the removal ended with; none where the agent refused it.
        code: Option<HResult>,
    },
    /// Outcome: the agent says that it can never take this.
    NotApplicable,
    /// Outcome: something else put it on this build or a newer one. Counted for harm, not for promotion.
    InstalledElsewhere,
}

impl State {
    /// The rollout is over for the device. Outcomes never regress.
    #[must_use]
    pub const fn is_outcome(&self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed { .. }
                | Self::RolledBack { .. }
                | Self::Removed
                | Self::NotRemoved { .. }
                | Self::NotApplicable
                | Self::InstalledElsewhere
        )
    }

    /// Permitted, and not at its end: something of the rollout may be running.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(
            self,
            Self::Permitted
                | Self::Installing { .. }
                | Self::StepDone { .. }
                | Self::Restarting { .. }
                | Self::Verifying
        )
    }

    /// Something is awaited of the device that may never come: deadlines run.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.is_under_way() || matches!(self, Self::Remediating { .. })
    }

    /// Not yet permitted, or not yet permitted again: nothing of this try was installed.
    #[must_use]
    pub const fn is_before_permit(&self) -> bool {
        matches!(self, Self::Downloading | Self::Ready | Self::RestartAgreed)
    }

    /// The stable word, as in JSON.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Ready => "ready",
            Self::RestartAgreed => "restart_agreed",
            Self::Permitted => "permitted",
            Self::Installing { .. } => "installing",
            Self::StepDone { .. } => "step_done",
            Self::Restarting { .. } => "restarting",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Remediating { .. } => "remediating",
            Self::RolledBack { .. } => "rolled_back",
            Self::Removed => "removed",
            Self::NotRemoved { .. } => "not_removed",
            Self::NotApplicable => "not_applicable",
            Self::InstalledElsewhere => "installed_elsewhere",
        }
    }
}

/// A judgement from absence, which a later report resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Alive, but no progress for the hang time.
    Hang,
    /// No contact since the permit for the time of loss.
    Lost,
}

/// One device in one rollout. Exists from the first permit or report on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Where it is.
    pub state: State,
    /// Steps of its plan, frozen at the permit; 0 before.
    pub of: u16,
    /// Build on which a good installation ends, known from the permit on.
    pub expected: Option<Build>,
    /// Last permit; 0 before the first.
    pub permit_no: u32,
    /// Standing judgement from absence.
    pub suspicion: Option<Suspicion>,
    /// Counted in `started`.
    pub started: bool,
    /// Counted in `ok`: succeeded, and not regressed since.
    #[serde(default)]
    pub ok: bool,
    /// Counted in `resolved`.
    pub resolved: bool,
    /// Counted in `failed`.
    pub failed: bool,
    /// Counted in `severe`.
    pub severe: bool,
    /// Counted in `silent`.
    pub silent: bool,
    /// Counted in `overdue`.
    pub overdue: bool,
    /// Counted in `drift`.
    pub drift: bool,
    /// Repairs and further tries since it failed first.
    #[serde(default)]
    pub tries: u8,
    /// The code for which the last try follows a repair that worked.
    #[serde(default)]
    pub mended: Option<HResult>,
    /// Counted in `recovered`.
    #[serde(default)]
    pub recovered: bool,
    /// Counted in `relapsed`.
    #[serde(default)]
    pub relapsed: bool,
}

/// Why an assignment takes no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermitRefused {
    /// Nothing is on disk, or no restart is agreed.
    #[error("no restart is agreed yet")]
    NotReady,
    /// Its plan has no step: there is nothing to permit.
    #[error("the plan has no step")]
    EmptyPlan,
    /// It runs already: a permit counts until it ends.
    #[error("the installation has begun")]
    Began,
    /// It has an outcome.
    #[error("the device has an outcome in this rollout")]
    Ended,
}

impl Assignment {
    /// A device that was offered the rollout: nothing is counted.
    #[must_use]
    pub const fn offered() -> Self {
        Self {
            state: State::Downloading,
            of: 0,
            expected: None,
            permit_no: 0,
            suspicion: None,
            started: false,
            ok: false,
            resolved: false,
            failed: false,
            severe: false,
            silent: false,
            overdue: false,
            drift: false,
            tries: 0,
            mended: None,
            recovered: false,
            relapsed: false,
        }
    }

    /// Grants the next permit: the device counts as started from here on, once for all its permits.
    ///
    /// From [`State::Permitted`] only when the permit before lapsed unstarted, which the caller knows. After a failure only once
    /// the device is ready again, by what [`crate::remediation`] says.
    ///
    /// # Errors
    /// When no restart is agreed, the installation has begun or is over, or there is no step to run.
    pub fn permit(self, of: u16, expected: Build) -> Result<Self, PermitRefused> {
        match self.state {
            State::RestartAgreed | State::Permitted => {}
            State::Downloading | State::Ready => return Err(PermitRefused::NotReady),
            state if state.is_outcome() => return Err(PermitRefused::Ended),
            _ => return Err(PermitRefused::Began),
        }
        if of == 0 {
            return Err(PermitRefused::EmptyPlan);
        }
        Ok(Self {
            state: State::Permitted,
            of,
            expected: Some(expected),
            permit_no: self.permit_no + 1,
            suspicion: None,
            started: true,
            ..self
        })
    }

    /// It succeeded, and was found worse afterwards. The outcome stays; the evidence changed.
    #[must_use]
    pub const fn regressed(&self) -> bool {
        matches!(self.state, State::Succeeded) && !self.ok && self.tries == 0
    }
}

/// What a device says, or what its silence says, in the engine's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum Report {
    /// Downloading.
    DownloadProgress,
    /// Everything is on disk.
    DownloadDone,
    /// A restart is agreed.
    RestartAgreed,
    /// It was put off; the agreement is gone.
    RestartPostponed,
    /// It can never take this.
    NotApplicable,
    /// A step began.
    StepStarted {
        /// The permit under which.
        permit_no: u32,
        /// From 1.
        step: u16,
    },
    /// A step ended without error.
    StepDone {
        /// From 1.
        step: u16,
        /// A restart must come first.
        restart_needed: bool,
    },
    /// A kernel boot happened.
    Restarted,
    /// Build and ledger were read.
    Verified {
        /// What the device is on.
        build: Build,
        /// Every package of the plan is installed, in order.
        packages_installed: bool,
    },
    /// A step failed.
    Failed {
        /// Normalised result.
        code: HResult,
        /// In this step.
        step: u16,
    },
    /// A repair began.
    RepairStarted,
    /// A repair ended.
    RepairDone {
        /// It worked.
        ok: bool,
    },
    /// Windows took it back; or, with a code that means success, it was removed by order.
    RolledBack {
        /// Normalised result.
        code: HResult,
    },
    /// The agent did not do what it was ordered.
    Refused,
    /// Positive evidence of an unusable machine.
    Unusable,
    /// Alive, nothing new.
    Alive,
    /// From the deadline tick: slower than usual.
    Overdue,
    /// From the deadline tick: no progress for the hang time.
    HangSuspected,
    /// From the deadline tick: no contact.
    Lost,
    /// From the deadline tick: a repair neither ended nor went on.
    RepairGivenUp,
}

/// What a report changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// The assignment after it.
    pub next: Assignment,
    /// What the counters of the device's stage and cohorts change by.
    pub delta: Delta,
    /// It was progress of the installation: the hang clock starts anew.
    pub progress: bool,
}

/// When a permitted device must have got somewhere. Time passes for none of them while the service clock stands; for the
/// first two it passes only while the device is powered on and not in standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Permit to completion before it counts as overdue, seconds that it was powered on.
    pub overdue_s: i64,
    /// No progress for so long is a suspected hang, or the end of a repair, seconds that it was powered on.
    pub hang_s: i64,
    /// No contact for so long after the permit is a loss, seconds.
    pub lost_s: i64,
}

impl Default for Deadlines {
    /// Overdue: 150 min, where nothing else was [learned](crate::halt::learn_slow). Hang: 4 h. Lost: 24 h.
    fn default() -> Self {
        Self {
            overdue_s: 150 * 60,
            hang_s: 4 * 3600,
            lost_s: 24 * 3600,
        }
    }
}

/// Times by which the deadline tick judges an assignment, on the service clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When the permit was granted.
    pub permitted_at: DateTime<Utc>,
    /// Last progress of the installation; the permit's time at first.
    pub progress_at: DateTime<Utc>,
    /// Last contact of any kind.
    pub contact_at: DateTime<Utc>,
    /// How long it was powered on; none where it is not known, then all time counts.
    pub powered: Option<Powered>,
}

/// What a device last said of the time that it was powered on and not in standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Powered {
    /// Since the permit, seconds.
    pub since_permit_s: i64,
    /// Since the last progress, seconds.
    pub since_progress_s: i64,
    /// When it said so, service clock.
    pub told_at: DateTime<Utc>,
}

impl Powered {
    /// From the device's own counts, seconds: at the permit, at the last progress, and the newest with its time. A device that
    /// was set up anew counts from nothing: all that it says came afterwards.
    #[must_use]
    pub const fn between(
        permit_s: i64,
        progress_s: i64,
        newest_s: i64,
        told_at: DateTime<Utc>,
    ) -> Self {
        Self {
            since_permit_s: since(permit_s, newest_s),
            since_progress_s: since(progress_s, newest_s),
            told_at,
        }
    }
}

const fn since(then_s: i64, now_s: i64) -> i64 {
    if now_s < then_s {
        now_s
    } else {
        now_s - then_s
    }
}
