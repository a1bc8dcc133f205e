//! Criteria that are not about outcomes: halt and brake, time, telemetry, known issues.

use chrono::{DateTime, Duration, Utc};

use super::{Reading, Soaked, line, pass_if, wait_unless};
use crate::decide::Snapshot;
use crate::gate::{Criterion, CriterionReport, Verdict, working_end, working_time};
use crate::halt::ALL_DEVICES;
use crate::hold::Held;
use crate::rollout::RolloutState;
use crate::stage::Stage;
use crate::words;

/// So many unusable machines of one cohort are no chance.
const SEVERE_CLUSTER: u64 = 2;

impl Reading<'_> {
    /// No halt, no brake, not withdrawn, no severe cluster.
    pub(in crate::gate) fn not_halted(&self) -> CriterionReport {
        let severe = self.stage.worst_severe;
        let (verdict, observed, sentence) = if let Some(reason) = &self.snapshot.withdrawn {
            (
                Verdict::Halt,
                "withdrawn",
                format!("The sequence was withdrawn: {}", words::ended(reason)),
            )
        } else if matches!(self.snapshot.rollout.state, RolloutState::Halted { .. }) {
            (Verdict::Halt, "halted", "The rollout is halted.".to_owned())
        } else if let Some(cause) = &self.assessment.halt {
            (
                Verdict::Halt,
                "halt",
                format!("The evidence says stop: {}", cause.sentence()),
            )
        } else if severe >= SEVERE_CLUSTER {
            let sentence = format!(
                "{} of one cohort became unusable. A person decides.",
                words::devices(severe)
            );
            (Verdict::Inconclusive, "severe cluster", sentence)
        } else if self.assessment.any_brake() {
            let sentence = format!(
                "More failures than usual: exposure is braked for {}.",
                self.braked()
            );
            (wait_unless(self.complete()), "braked", sentence)
        } else {
            (
                Verdict::Pass,
                "none",
                "No halt, no brake, not withdrawn.".to_owned(),
            )
        };
        line(Criterion::NotHalted, verdict, "none", observed, sentence)
    }

    fn braked(&self) -> String {
        let all = self.assessment.brake_all.then_some(ALL_DEVICES);
        let cohorts = self.assessment.braked.iter().filter_map(|id| {
            self.snapshot
                .evidence
                .cohorts
                .get(id)
                .map(|cohort| cohort.value.as_str())
        });
        all.into_iter()
            .chain(cohorts)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Working time since the minimum sample, on the service clock.
    pub(in crate::gate) fn soak(&self) -> CriterionReport {
        let hours = self.stage.policy.soak_hours;
        let tz = self.stage.policy.time_zone;
        let need = Duration::hours(i64::from(hours));
        let limit = format!("{hours} h of working days");
        let (verdict, observed, sentence) = match self.soaked {
            Soaked::NotYet => (
                Verdict::Wait,
                "–".to_owned(),
                format!("The soak of {limit} begins with the sample."),
            ),
            Soaked::Passed => (
                Verdict::Pass,
                "over".to_owned(),
                "The soak is over.".to_owned(),
            ),
            Soaked::Since(since, _) => {
                let soaked = working_time(since, self.now, tz);
                let end = words::time(working_end(since, hours, tz), tz);
                if soaked >= need {
                    (
                        Verdict::Pass,
                        words::duration(soaked),
                        format!("The soak ended {end}.{}", self.price()),
                    )
                } else {
                    (
                        Verdict::Wait,
                        words::duration(soaked),
                        format!("The soak ends {end}.{}", self.price()),
                    )
                }
            }
        };
        line(Criterion::Soak, verdict, limit, observed, sentence)
    }

    /// What waiting costs: devices without the update, and for how long already.
    fn price(&self) -> String {
        match self.snapshot.released_at {
            Some(released) if released <= self.now => {
                format!(" Released {} ago.", words::duration(self.now - released))
            }
            _ => String::new(),
        }
    }

    /// Whether reports can be trusted to have arrived.
    pub(in crate::gate) fn telemetry(&self) -> CriterionReport {
        let health = self.stage.telemetry;
        let limit = self.stage.policy.telemetry;
        let heard = words::part(health.heard, health.of);
        let (holds, sentence) = if !health.ingest_running {
            (
                false,
                "The service takes in no reports at the moment.".to_owned(),
            )
        } else if health.of == 0 {
            (false, "No device has a permit yet.".to_owned())
        } else {
            let holds = words::ratio(health.heard, health.of) >= limit.share();
            let needed = if holds {
                String::new()
            } else {
                format!(
                    "; {} is needed{}",
                    words::limit(limit.0),
                    self.also_silent()
                )
            };
            (
                holds,
                format!("{heard} permitted devices were heard of{needed}."),
            )
        };
        CriterionReport {
            sample: Some(health.of),
            ..line(
                Criterion::Telemetry,
                pass_if(holds),
                format!("at least {}", words::limit(limit.0)),
                heard,
                sentence,
            )
        }
    }

    /// Whether those that were not updated fell silent as well: then it is hardly the update.
    fn also_silent(&self) -> String {
        let silences = &self.snapshot.evidence.silences;
        let others: u64 = silences
            .iter()
            .filter(|s| !s.treated)
            .map(|s| s.devices)
            .sum();
        if others == 0 {
            return String::new();
        }
        format!(
            ", and of those not updated {} fell silent as well while devices were under way",
            words::devices(others)
        )
    }

    /// No known issue that holds devices of the ring, and old enough.
    pub(in crate::gate) fn known_issues(&self) -> CriterionReport {
        let days = self.stage.policy.minimum_age_days;
        let blocks = opening_blocks(self.snapshot, self.stage, days, self.now);
        let sentence = match blocks.as_slice() {
            [] => "No known issue holds this ring.".to_owned(),
            blocks => blocks.join(" "),
        };
        let open = self.stage.held.len() as u64;
        line(
            Criterion::KnownIssues,
            pass_if(blocks.is_empty()),
            "none",
            words::number(open),
            sentence,
        )
    }
}

/// What keeps a ring from opening and from passing at the moment: known issues that hold devices of it, and the age of the
/// sequence.
pub(crate) fn opening_blocks(
    snapshot: &Snapshot,
    stage: &Stage,
    minimum_age_days: u32,
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut blocks: Vec<String> = stage.held.iter().map(Held::sentence).collect();
    if minimum_age_days > 0 {
        let need = Duration::days(i64::from(minimum_age_days));
        match snapshot.released_at {
            Some(released) if now - released >= need => {}
            Some(released) => blocks.push(format!(
                "Released {} ago; {minimum_age_days} d are asked for.",
                words::duration(now - released)
            )),
            None => blocks.push(format!(
                "The release date is unknown; {minimum_age_days} d are asked for."
            )),
        }
    }
    blocks
}
