//! Forecasts of rollouts that have not begun: what is known of the fleet becomes a plan, and the engine plays it.
//! `docs/gates.md` says what is assumed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, NaiveTime, Utc};
use engine::evidence::{Cohort, CohortKind, Evidence};
use engine::forecast::{Chance, Days, Forecast, HarmForecast, forecast};
use engine::hold::Held;
use engine::ids::{CohortId, RolloutId};
use engine::rollout::{RolloutState, Scope};
use engine::simulation::{Agreement, Dice, Habits, MOST_DEVICES, Minute, Plan, PlannedRing};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use servicing::FieldError;
use sqlx::PgPool;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::control::learned;
use crate::error::OpError;
use crate::registry;
use crate::room::{Full, Line};
use crate::store::rollouts::{self, StoredStage};
use crate::store::{self, cohorts, freezes, holds, populations, sequences};

/// One at a time: it takes a processor for seconds, and devices come first.
const AT_ONCE: usize = 1;

/// So many wait for it.
const WAITING: usize = 4;

/// So long each.
const PATIENCE: Duration = Duration::from_secs(20);

/// Devices that are played in all courses of a good update together.
const DEVICES: u32 = 100_000;

/// Courses of a small fleet, and of the largest.
const COURSES: (u32, u32) = (40, 5);

/// A rollout that takes longer is given up.
const LONGEST_DAYS: u32 = 60;

/// As agents hold to what people agreed to.
const AGREEMENT_HOLDS: Minute = 120;

/// Nobody puts a restart off for longer: sigma of the time until the agreed restart, and its most, minutes.
const PUT_OFF: (f64, Minute) = (0.8, 7 * 1440);

/// Sigma of the time that an installation takes, as measured and as `docs/gates.md` has it.
const INSTALL_SIGMA: f64 = 0.5;

/// What a forecast can not know and takes as given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Assumptions {
    /// Median of the hours until the restart that people agree to; 0: at once.
    pub restart_hours: f64,
    /// Median of the minutes from the permit to the verified restart.
    pub install_minutes: f64,
    /// Percent of the devices on which a good update fails.
    pub failure_percent: f64,
    /// Hours of working days until those who are asked have approved.
    pub approval_hours: u32,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            restart_hours: 4.0,
            install_minutes: 45.0,
            failure_percent: 1.0,
            approval_hours: 4,
        }
    }
}

impl Assumptions {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// All values that are not, with what would be right.
    pub fn validate(&self) -> Result<(), OpError> {
        let checks = [
            (
                (0.0..=168.0).contains(&self.restart_hours),
                "restart_hours",
                "0 to 168 hours",
            ),
            (
                (5.0..=480.0).contains(&self.install_minutes),
                "install_minutes",
                "5 to 480 minutes",
            ),
            (
                (0.0..=10.0).contains(&self.failure_percent),
                "failure_percent",
                "0 to 10 percent",
            ),
            (
                self.approval_hours <= 168,
                "approval_hours",
                "0 to 168 hours of working days",
            ),
        ];
        let wrong: Vec<FieldError> = checks
            .into_iter()
            .filter(|(holds, ..)| !holds)
            .map(|(_, field, expected)| FieldError {
                field: field.to_owned(),
                expected: expected.to_owned(),
            })
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(OpError::Invalid(wrong))
        }
    }

    fn habits(&self, polls: Polls) -> Habits {
        Habits {
            // Who waits for a permit asks again after so long.
            poll: polls.active,
            idle_poll: polls.idle,
            install_median: self.install_minutes,
            install_sigma: INSTALL_SIGMA,
            failure_rate: self.failure_percent / 100.0,
            agreement: (self.restart_hours > 0.0).then_some(Agreement {
                median: self.restart_hours * 60.0,
                sigma: PUT_OFF.0,
                at_most: PUT_OFF.1,
                holds: Some(AGREEMENT_HOLDS),
            }),
            ..Habits::default()
        }
    }
}

/// What a rollout that has not begun would come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RolloutForecast {
    /// When it is taken to start.
    pub starts: DateTime<Utc>,
    /// What was taken as given.
    pub assumptions: Assumptions,
    /// Courses of each kind that were played.
    pub courses: u32,
    /// Devices that it is for.
    pub devices: u64,
    /// Its rings, the first one first.
    pub rings: Vec<RingLine>,
    /// How often it completes without anybody deciding but its approvers.
    pub completes: Chance,
    /// When, in days from the start.
    pub completed: Option<Days>,
    /// What bad updates would harm.
    pub harm: Vec<HarmLine>,
}

/// One ring of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RingLine {
    /// Ring.
    pub ring: Uuid,
    /// Its name.
    pub ring_name: String,
    /// Devices that it is for.
    pub devices: u64,
    /// When it opens, in days from the start.
    pub opens: Option<Days>,
    /// When its gate passes.
    pub passes: Option<Days>,
    /// How often its gate passes by itself once it is open.
    pub pass: Chance,
    /// Known issues that hold devices of it: it opens when the last of them ends.
    pub held: Vec<HeldLine>,
}

/// A known issue that holds devices of a ring.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldLine {
    /// What is known, and how many devices it holds.
    #[serde(flatten)]
    pub held: Held,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
}

/// What one bad update would harm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HarmLine {
    /// The figures.
    #[serde(flatten)]
    pub figures: HarmForecast,
    /// Value of the cohort that it hits, where it is one.
    pub cohort_name: Option<String>,
}

/// Minutes between two polls of a device.
#[derive(Debug, Clone, Copy)]
struct Polls {
    /// While nothing is offered to it.
    idle: Minute,
    /// While something is.
    active: Minute,
}

/// Forecasts, one at a time.
pub struct Forecasts {
    pool: PgPool,
    clock: SharedClock,
    polls: Polls,
    line: Line,
}

impl Forecasts {
    /// Forecasts for a fleet whose devices poll so often, seconds.
    #[must_use]
    pub fn new(pool: PgPool, clock: SharedClock, idle_s: u32, active_s: u32) -> Self {
        let minutes = |seconds: u32| (seconds / 60).max(1);
        Self {
            pool,
            clock,
            polls: Polls {
                idle: minutes(idle_s),
                active: minutes(active_s),
            },
            line: Line::new(AT_ONCE, WAITING, PATIENCE),
        }
    }

    /// What a draft or a scheduled rollout would come to. The same fleet, moment and assumptions give the same forecast.
    ///
    /// # Errors
    /// [`Full`] where too many ask. Inside: [`OpError::Invalid`], [`OpError::NotFound`], [`OpError::Conflict`] for a rollout that
    /// has begun, [`OpError::Refused`] for one that the rules would not start.
    pub async fn of(
        &self,
        id: RolloutId,
        assumptions: Assumptions,
    ) -> Result<Result<RolloutForecast, OpError>, Full> {
        let place = self.line.enter().await?;
        Ok(self.made(id, assumptions, place).await)
    }

    async fn made(
        &self,
        id: RolloutId,
        assumptions: Assumptions,
        place: OwnedSemaphorePermit,
    ) -> Result<RolloutForecast, OpError> {
        assumptions.validate()?;
        let subject = self.read(id, assumptions).await?;
        let played = tokio::task::spawn_blocking(move || {
            let forecast = subject.forecast();
            // Held also where nobody waits for it any more.
            drop(place);
            forecast
        });
        played.await.map_err(anyhow::Error::from)?
    }

    async fn read(&self, id: RolloutId, assumptions: Assumptions) -> Result<Subject, OpError> {
        let mut tx = store::reading(&self.pool).await?;
        let stored = rollouts::by_id(&mut tx, id)
            .await?
            .ok_or(OpError::NotFound { what: "rollout" })?;
        let starts = match stored.rollout.state {
            RolloutState::Draft => self.clock.now(),
            RolloutState::Scheduled { not_before } => not_before.max(self.clock.now()),
            _ => {
                return Err(OpError::Conflict(
                    "a forecast is for a rollout that has not begun".into(),
                ));
            }
        };
        let sequence = sequences::by_id(&mut tx, stored.sequence_id).await?;
        let sequence = sequence.context("a rollout without its sequence")?;
        let stages = rollouts::stages(&mut tx, id).await?;
        let listed = match stored.rollout.scope {
            Scope::Track => None,
            Scope::Listed => Some(rollouts::listed(&mut tx, id.0).await?),
        };
        let track = stored.rollout.track;
        let content = &sequence.sequence;
        let groups =
            registry::preview_population(&mut tx, track.0, listed.as_deref(), content).await?;
        let mut sizes: BTreeMap<Uuid, u64> = BTreeMap::new();
        for (group, class) in &groups {
            if class == populations::TARGETED {
                *sizes.entry(group.ring_id).or_default() += store::count(group.n);
            }
        }
        let mut held = HeldByRing::new();
        let on = holds::on(&mut tx, &[track.0]).await?;
        for ((ring, class), n) in
            registry::preview_held(&mut tx, track.0, id.0, listed.as_deref(), content).await?
        {
            let hold = class.strip_prefix(populations::HELD);
            if let Some(hold) = on.iter().find(|h| Some(&*h.hold.id.to_string()) == hold) {
                let until = hold.expires_at.context("a known issue without an end")?;
                let is = Held {
                    issue: hold.hold.issue.clone(),
                    devices: store::count(n),
                };
                held.entry(ring).or_default().push((is, until));
            }
            if class == populations::TARGETED || hold.is_some() {
                let size = sizes.entry(ring).or_default();
                *size = size.saturating_add_signed(n);
            }
        }
        let rings: Vec<Uuid> = stages.iter().map(|s| s.ring_id).collect();
        let mut sample = registry::sample(&mut tx, &rings, listed.as_deref(), content).await?;
        let sizes: Vec<u64> = rings
            .iter()
            .map(|ring| sizes.get(ring).copied().unwrap_or(0))
            .collect();
        let plan = Plan {
            starts,
            released_at: content
                .release_date
                .map(|day| day.and_time(NaiveTime::MIN).and_utc()),
            rings: stages
                .iter()
                .zip(&sizes)
                .map(|(stage, size)| PlannedRing {
                    policy: stage.policy,
                    devices: u32::try_from(*size).unwrap_or(u32::MAX),
                    sample: sample.remove(&stage.ring_id).unwrap_or_default(),
                    held: held.remove(&stage.ring_id).unwrap_or_default(),
                })
                .collect(),
            evidence: Evidence {
                cohorts: cohorts::named(&mut tx, track).await?,
                ..Evidence::default()
            },
            halt: learned(&mut tx, &stored.rollout, self.clock.now()).await?,
            habits: assumptions.habits(self.polls),
            fault: None,
            approval_hours: assumptions.approval_hours,
            freezes: freezes::planned(&mut tx, track.0, starts)
                .await?
                .into_iter()
                .map(|freeze| (freeze.starts, freeze.ends))
                .collect(),
            patience: LONGEST_DAYS * 1440,
        };
        Ok(Subject {
            plan,
            stages,
            sizes,
            assumptions,
        })
    }
}

/// Known issues that hold devices of a ring, and when each ends.
type HeldByRing = HashMap<Uuid, Vec<(Held, DateTime<Utc>)>>;

/// What is forecast.
struct Subject {
    plan: Plan,
    stages: Vec<StoredStage>,
    sizes: Vec<u64>,
    assumptions: Assumptions,
}

impl Subject {
    /// Plays it. Takes seconds.
    fn forecast(self) -> Result<RolloutForecast, OpError> {
        let played: u32 = self
            .plan
            .rings
            .iter()
            .map(|ring| ring.devices.clamp(1, MOST_DEVICES))
            .sum();
        let courses = (DEVICES / played.max(1)).clamp(COURSES.1, COURSES.0);
        let cohort = self.most_common_model();
        let Forecast {
            rings,
            completes,
            completed,
            harm,
        } = forecast(&self.plan, courses, cohort, |course| {
            Rolls(ChaCha8Rng::seed_from_u64(course.into()))
        })?;
        let name = |id| Some(self.plan.evidence.cohorts.get(&id)?.value.clone());
        Ok(RolloutForecast {
            starts: self.plan.starts,
            assumptions: self.assumptions,
            courses,
            devices: self.sizes.iter().sum(),
            rings: rings
                .into_iter()
                .zip(&self.stages)
                .zip(&self.sizes)
                .zip(&self.plan.rings)
                .map(|(((ring, stage), devices), planned)| RingLine {
                    held: planned
                        .held
                        .iter()
                        .map(|(held, until)| HeldLine {
                            held: held.clone(),
                            until: *until,
                        })
                        .collect(),
                    ring: stage.ring_id,
                    ring_name: stage.ring_name.clone(),
                    devices: *devices,
                    opens: ring.opens,
                    passes: ring.passes,
                    pass: ring.pass,
                })
                .collect(),
            completes,
            completed,
            harm: harm
                .into_iter()
                .map(|figures| HarmLine {
                    cohort_name: figures.cohort.and_then(name),
                    figures,
                })
                .collect(),
        })
    }

    /// The model of the most devices.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample of some thousands of devices"
    )]
    fn most_common_model(&self) -> Option<CohortId> {
        let mut devices: HashMap<CohortId, f64> = HashMap::new();
        for ring in &self.plan.rings {
            let each = f64::from(ring.devices) / ring.sample.len().max(1) as f64;
            for cohort in ring.sample.iter().flatten() {
                let kind = self
                    .plan
                    .evidence
                    .cohorts
                    .get(cohort)
                    .map(|c: &Cohort| c.kind);
                if kind == Some(CohortKind::Model) {
                    *devices.entry(*cohort).or_default() += each;
                }
            }
        }
        let most = devices
            .into_iter()
            .max_by(|(a, n), (b, m)| n.total_cmp(m).then(b.cmp(a)));
        most.map(|(cohort, _)| cohort)
    }
}

/// A generator whose rolls are the same on every platform.
struct Rolls(ChaCha8Rng);

impl Dice for Rolls {
    fn roll(&mut self) -> f64 {
        self.0.random()
    }
}
