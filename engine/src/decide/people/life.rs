//! The life of a rollout as people steer it: submit, pause, resume, halt, clear, cancel, supersede.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Desk, reasoned};
use crate::decide::requests::stop;
use crate::decide::{Decision, Refused};
use crate::halt::{HaltCause, causes};
use crate::ids::{PersonId, RolloutId};
use crate::rollout::{HaltReason, RolloutState};
use crate::words;

impl Desk<'_> {
    pub(super) fn submit(
        &self,
        by: PersonId,
        not_before: Option<DateTime<Utc>>,
    ) -> Result<Decision, Refused> {
        self.author_or_admin(by)?;
        let snapshot = self.snapshot;
        if snapshot.rollout.state != RolloutState::Draft {
            return Err(self.wrong_state("Only a draft can be submitted"));
        }
        if let Some(reason) = &snapshot.withdrawn {
            return Err(Refused::new(
                "withdrawn",
                format!("The sequence was withdrawn: {}", words::ended(reason)),
            ));
        }
        if snapshot.stages.is_empty() {
            return Err(Refused::new(
                "stages",
                "The track has no ring, so there is nothing to roll out to.",
            ));
        }
        for stage in &snapshot.stages {
            if let Err(errors) = stage.policy.validate() {
                let first = errors.first().map_or_else(String::new, ToString::to_string);
                return Err(Refused::new(
                    "policy",
                    format!("The policy of {} is not valid: {first}.", stage.name),
                ));
            }
        }
        Ok(match not_before.filter(|at| *at > snapshot.service_now) {
            Some(not_before) => Decision {
                rollout: Some(RolloutState::Scheduled { not_before }),
                ..Decision::event(
                    "submitted",
                    format!("Submitted, to start {}.", words::time(not_before, Tz::UTC)),
                )
            },
            None => Decision {
                rollout: Some(RolloutState::Active),
                ..Decision::event("submitted", "Submitted and started.")
            },
        })
    }

    pub(super) fn pause(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.enabled(by)?;
        let reason = reasoned(reason)?;
        self.must_be_active("Only an active rollout can be paused")?;
        Ok(self.paused(by, format!("Paused: {}", words::ended(&reason)), reason))
    }

    pub(super) fn paused(&self, by: PersonId, sentence: String, reason: String) -> Decision {
        let next = RolloutState::Paused {
            by,
            reason,
            since: self.snapshot.service_now,
        };
        stop(self.snapshot, next, "paused", sentence)
    }

    pub(super) fn resume(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.steers(by)?;
        let reason = reasoned(reason)?;
        if !matches!(self.snapshot.rollout.state, RolloutState::Paused { .. }) {
            return Err(self.wrong_state("Only a paused rollout can be resumed"));
        }
        Ok(Decision {
            rollout: Some(RolloutState::Active),
            ..Decision::event("resumed", format!("Resumed: {}", words::ended(&reason)))
        })
    }

    pub(super) fn halt(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.enabled(by)?;
        let reason = reasoned(reason)?;
        let state = &self.snapshot.rollout.state;
        if !matches!(
            state,
            RolloutState::Scheduled { .. }
                | RolloutState::Active
                | RolloutState::Paused { .. }
                | RolloutState::Completed { .. }
        ) {
            return Err(self.wrong_state("Only a rollout that is going on can be halted"));
        }
        let sentence = format!("Halted by a person: {}", words::ended(&reason));
        let next = RolloutState::Halted {
            reason: HaltReason::Person { by, reason },
            since: self.snapshot.service_now,
        };
        Ok(stop(self.snapshot, next, "halted", sentence))
    }

    pub(super) fn clear_halt(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.admin(by)?;
        let reason = reasoned(reason)?;
        let RolloutState::Halted { reason: why, .. } = &self.snapshot.rollout.state else {
            return Err(self.wrong_state("Only a halted rollout can be cleared"));
        };
        // Cleared is what the evidence says now: all of it was seen, and only more of it halts again.
        let mut cleared = self.snapshot.rollout.cleared.clone();
        if let HaltReason::Evidence { cause } = why {
            clear(&mut cleared, cause.clone());
        }
        for cause in causes(&self.snapshot.evidence, &self.snapshot.rollout.halt) {
            clear(&mut cleared, cause);
        }
        Ok(Decision {
            rollout: Some(RolloutState::Active),
            cleared: Some(cleared),
            ..Decision::event(
                "halt_cleared",
                format!(
                    "The halt was cleared by an admin: {}",
                    words::ended(&reason)
                ),
            )
        })
    }

    pub(super) fn cancel(&self, by: PersonId, reason: &str) -> Result<Decision, Refused> {
        self.author_or_admin(by)?;
        let reason = reasoned(reason)?;
        if self.snapshot.rollout.state.is_final() {
            return Err(self.wrong_state("It is over already"));
        }
        let sentence = format!("Cancelled: {}", words::ended(&reason));
        Ok(stop(
            self.snapshot,
            RolloutState::Cancelled { reason },
            "cancelled",
            sentence,
        ))
    }

    pub(super) fn supersede(&self, newer: RolloutId) -> Result<Decision, Refused> {
        let state = &self.snapshot.rollout.state;
        if state.is_final() || *state == RolloutState::Draft {
            return Err(self.wrong_state("Only a rollout that is going on can be superseded"));
        }
        let next = RolloutState::Superseded { by: newer };
        Ok(stop(
            self.snapshot,
            next,
            "superseded",
            "A newer rollout took over.".to_owned(),
        ))
    }
}

/// Keeps one entry per stream and cohort: the one with more failures.
fn clear(cleared: &mut Vec<HaltCause>, cause: HaltCause) {
    let known = cleared
        .iter_mut()
        .find(|c| c.stream == cause.stream && c.cohort == cause.cohort);
    match known {
        Some(known) if known.failures >= cause.failures => {}
        Some(known) => *known = cause,
        None => cleared.push(cause),
    }
}
