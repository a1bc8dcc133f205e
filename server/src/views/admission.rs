//! What limits the ring of a rollout that is open: the engine's own answer to a device that would ask now.

use chrono::Offset;
use engine::Snapshot;
use engine::admission::{Admission, Asker, NotAdmitted, WaitReason, admit, grow};
use engine::halt::HaltCause;
use engine::ids::CohortId;
use engine::policy::{Growth, Limits, WeekMinute};
use engine::rollout::RolloutState;
use engine::stage::StageState;
use sqlx::PgConnection;

use crate::store::{gates, progress};

/// What a device that asks now would be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// It may start, unless its model or BIOS version is at its own limit.
    Free,
    /// This limit keeps it waiting.
    Waits(WaitReason),
    /// The evidence says halt.
    Halt(HaltCause),
    /// The rollout does not run.
    Stopped,
}

/// Admission of the ring that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionLine {
    /// Ring's name.
    pub ring: String,
    /// Permitted and unresolved devices of the ring.
    pub unresolved: u64,
    /// Limits that people set.
    pub limits: Limits,
    /// Devices of the ring a day, where that is limited.
    pub per_day: Option<u64>,
    /// Permits of the ring today.
    pub today: u64,
    /// Devices targeted in the ring.
    pub ring_size: u64,
    /// Devices of the rollout that have started.
    pub started: u64,
    /// Devices of the rollout that may have started by the evidence so far.
    pub cap: u64,
    /// How that grows.
    pub growth: Growth,
    /// Models and BIOS versions that have a generation of their own and started devices.
    pub cohorts: u64,
    /// Of these, at their own limit.
    pub full: u64,
    /// What rules now.
    pub ruling: Ruling,
}

impl AdmissionLine {
    /// Reads it; none while no ring is open.
    pub async fn read(
        conn: &mut PgConnection,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Option<Self>> {
        let rollout = &snapshot.rollout;
        let open = snapshot.stages.iter().rfind(|stage| {
            matches!(
                stage.state,
                StageState::Deploying { .. }
                    | StageState::Soaking { .. }
                    | StageState::Passed { .. }
            )
        });
        let Some(stage) = open else {
            return Ok(None);
        };
        let there = snapshot.service_now.with_timezone(&stage.policy.time_zone);
        let day = there.date_naive();
        // Devices have their own time; that of the track stands for them.
        let offset = there.offset().fix().local_minus_utc() / 60;
        let local = WeekMinute::at(snapshot.service_now, offset);
        let gates = progress::gates(&mut *conn, rollout.id.0).await?;
        let gate = gates.iter().find(|gate| gate.stage_id == stage.id.0);
        let caps = gates::caps(conn, rollout.id.0).await?;
        let admission = Admission {
            evidence: &snapshot.evidence,
            caps: &caps,
            growth: stage.policy.growth,
            limits: stage.policy.limits,
            ring_size: stage.targeted,
            unresolved: stage.counts.started.saturating_sub(stage.counts.resolved),
            cleared: &rollout.cleared,
            halt: &rollout.halt,
            today: gate.map_or(0, |gate| gate.granted_on(day)),
            freeze: snapshot.freeze.as_ref(),
        };
        let runs = matches!(
            rollout.state,
            RolloutState::Active | RolloutState::Completed { .. }
        );
        Ok(Some(Self::of(&stage.name, &admission, local, runs)))
    }

    fn of(ring: &str, admission: &Admission<'_>, local: WeekMinute, runs: bool) -> Self {
        let evidence = admission.evidence;
        let caps = grow(admission);
        let started = |id: &CohortId| match evidence.cohorts.get(id) {
            Some(cohort) => cohort.counts.started,
            None => evidence.all.started,
        };
        let own = || {
            caps.iter()
                .filter(|(id, _)| **id != CohortId::ALL && started(id) > 0)
        };
        Self {
            ring: ring.to_owned(),
            unresolved: admission.unresolved,
            limits: admission.limits,
            per_day: admission.per_day(),
            today: admission.today,
            ring_size: admission.ring_size,
            started: evidence.all.started,
            cap: caps.get(&CohortId::ALL).copied().unwrap_or(0),
            growth: admission.growth,
            cohorts: own().count() as u64,
            full: own().filter(|(id, cap)| started(id) >= **cap).count() as u64,
            ruling: if runs {
                ask(admission, local)
            } else {
                Ruling::Stopped
            },
        }
    }
}

/// Asks for a device of no cohort: what holds it back holds back every other one.
fn ask(admission: &Admission<'_>, local: WeekMinute) -> Ruling {
    let anyone = Asker {
        device_no: 0,
        cohorts: Vec::new(),
        restart_in_s: 0,
        local,
        rank: 0,
    };
    match admit(admission, &[anyone]) {
        Err(NotAdmitted::Halt(cause)) => Ruling::Halt(cause),
        Ok(answer) => match answer.waiting.into_iter().next() {
            Some((_, reason)) => Ruling::Waits(reason),
            None => Ruling::Free,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::evidence::{Counts, Evidence};
    use engine::halt::HaltPolicy;

    use super::*;

    fn line(started: u64, ok: u64, limits: Limits, runs: bool) -> AdmissionLine {
        let evidence = Evidence {
            all: Counts {
                started,
                ok,
                resolved: ok,
                ..Counts::default()
            },
            ..Evidence::default()
        };
        let caps = BTreeMap::new();
        let admission = Admission {
            evidence: &evidence,
            caps: &caps,
            growth: Growth::Standard,
            limits,
            ring_size: 100,
            unresolved: started - ok,
            cleared: &[],
            halt: &HaltPolicy::default(),
            today: started,
            freeze: None,
        };
        AdmissionLine::of("Pilot", &admission, WeekMinute::default(), runs)
    }

    #[test]
    fn the_limit_that_rules_is_the_one_a_device_would_hear_of() {
        let none = Limits::default();
        assert_eq!(line(0, 0, none, true).ruling, Ruling::Free);
        let first = line(2, 0, none, true);
        assert_eq!(first.cap, 2);
        assert_eq!(
            first.ruling,
            Ruling::Waits(WaitReason::Generation { cap: 2 })
        );
        assert_eq!(line(2, 2, none, true).cap, 4);
        let one = Limits {
            devices_at_once: Some(1),
            ..none
        };
        let at_once = line(3, 2, one, true).ruling;
        assert_eq!(
            at_once,
            Ruling::Waits(WaitReason::DevicesAtOnce { limit: 1 })
        );
        let tuesdays = Limits {
            window: "Tue 10:00-12:00".parse().ok(),
            ..none
        };
        let closed = line(0, 0, tuesdays, true).ruling;
        assert!(
            matches!(&closed, Ruling::Waits(WaitReason::Window { opens_in_min, .. }) if *opens_in_min == 34 * 60),
            "{closed:?}"
        );
        assert_eq!(line(0, 0, none, false).ruling, Ruling::Stopped);
    }
}
