//! A virtual Windows device.

mod machine;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use servicing::{Build, Facts, HResult, KbNumber, Ledger, Step};
use sha2::Sha256;

use machine::exit_code;

use super::dice::{dice, lognormal};
use super::faults::{Fate, Struck};
use super::population::Profile;
use super::scenario::{Delay, Harm, Scenario};
use super::windows;
use crate::core::{Agreement, Hardware, Input};

/// Part of the time of a step that goes into its restart.
const RESTART_PART: f64 = 0.15;

/// A device without power is back after so long.
const POWER_LOSS: TimeDelta = TimeDelta::minutes(20);

/// A documented repair takes so long.
const REPAIR: TimeDelta = TimeDelta::minutes(25);

/// The machine is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It restarts, or the power is gone: the agent is gone too, and starts again then.
    Down {
        /// When it is up again.
        until: DateTime<Utc>,
    },
    /// It is never heard of again.
    Dark,
}

/// A virtual Windows device.
#[derive(Debug)]
pub struct SimulatedDevice {
    scenario: Arc<Scenario>,
    seed: u64,
    index: u32,
    hardware: Hardware,
    facts: Facts,
    ledger: Ledger,
    fate: Fate,
    born: DateTime<Utc>,
    now: DateTime<Utc>,
    off_for: TimeDelta,
    boots: u32,
    rollback: Option<HResult>,
    rolls_back: Option<HResult>,
    files: HashMap<String, OnDisk>,
    work: Option<(DateTime<Utc>, Work)>,
    outage: Option<Outage>,
    /// Questions asked so far, so that each gets new dice.
    attempts: u64,
    questions: u64,
}

/// A package on disk. Its bytes are not kept, only what is asked of them: a fleet has a million of these.
#[derive(Debug, Default)]
struct OnDisk {
    bytes: u64,
    hash: Sha256,
}

/// What is under way.
#[derive(Debug)]
enum Work {
    /// Ends with an answer and changes nothing.
    Answer(Input),
    /// Ends with these packages in the store.
    Install {
        step: Box<Step>,
        target: Build,
        then_power_fails: bool,
    },
    /// Ends with a package on its way out.
    Remove { kb: KbNumber },
    /// The power goes at its end.
    PowerFails,
}

impl SimulatedDevice {
    /// A device that comes into being.
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, seed: u64, profile: Profile, born: DateTime<Utc>) -> Self {
        let Profile {
            index,
            hardware,
            facts,
            ledger,
        } = profile;
        let fate = Fate::new(
            Arc::clone(&scenario),
            seed,
            index,
            born,
            &facts.model,
            &facts.bios_version,
        );
        Self {
            scenario,
            seed,
            index,
            hardware,
            facts,
            ledger,
            fate,
            born,
            now: born,
            off_for: TimeDelta::zero(),
            boots: 1,
            rollback: None,
            rolls_back: None,
            files: HashMap::new(),
            work: None,
            outage: None,
            attempts: 0,
            questions: 0,
        }
    }

    /// What time it is: nothing in the device moves by itself.
    pub fn set_time(&mut self, now: DateTime<Utc>) {
        self.now = now;
    }

    /// Whether the machine is away.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.outage
    }

    /// Cut the power now; whatever was under way is lost.
    pub fn lose_power(&mut self) {
        self.go_down(POWER_LOSS);
    }

    /// Somebody cancels a shutdown that was begun: the machine stays up, in the same boot.
    pub fn cancel_restart(&mut self) {
        self.outage = None;
    }

    /// Come up again, if it is time. What was pending comes into force, or is taken back.
    pub fn come_up(&mut self) -> bool {
        let Some(Outage::Down { until }) = self.outage else {
            return false;
        };
        if until > self.now {
            return false;
        }
        self.outage = None;
        self.boots += 1;
        self.rollback = self.rolls_back.take();
        let at = self.wall();
        match self.rollback {
            Some(_) => windows::roll_back(&mut self.facts, &mut self.ledger),
            None => windows::boot(&mut self.facts, &mut self.ledger, at),
        }
        true
    }

    /// Until when there is no network, if there is none now.
    #[must_use]
    pub fn offline_until(&self) -> Option<DateTime<Utc>> {
        self.fate.offline_until(self.now)
    }

    /// Whether a fault of delivery strikes this batch of telemetry or download.
    pub fn delivery_fails(&mut self, kind: Harm) -> bool {
        self.questions += 1;
        self.fate.strikes(self.questions, |effect| effect == kind)
    }

    /// What struck it so far.
    #[must_use]
    pub fn struck(&self) -> &[Struck] {
        &self.fate.struck
    }

    /// Host name.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.hardware.host_name
    }

    /// Facts as they are now.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Facts, to be changed by whoever plays the world around the device.
    pub fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Another client installs a package, and its restart is over.
    pub fn put_into_force(&mut self, kb: KbNumber, build: Build) {
        let at = self.wall();
        windows::put_into_force(&mut self.facts, &mut self.ledger, kb, build, at);
    }

    /// Ledger as it is now.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn wall(&self) -> DateTime<Utc> {
        self.now + self.fate.clock_error()
    }

    fn go_down(&mut self, time: TimeDelta) {
        self.work = None;
        self.off_for += time;
        self.outage = Some(Outage::Down {
            until: self.now + time,
        });
    }

    fn install(&mut self, step: &Step, target: Build) {
        self.attempts += 1;
        let kbs: Vec<_> = step.packages.iter().map(|package| package.kb).collect();
        let whole = self.step_time();
        let ends = self.now + whole.1;
        let work = |then_power_fails| Work::Install {
            step: Box::new(step.clone()),
            target,
            then_power_fails,
        };
        self.work = match self.fate.of_step(&kbs, self.attempts) {
            None => Some((ends, work(false))),
            Some(Harm::Fails { code } | Harm::DamagedStore { code }) => Some((
                ends,
                Work::Answer(Input::StepEnded {
                    exit_code: exit_code(code),
                }),
            )),
            Some(Harm::RollsBack { code }) => {
                self.rolls_back = Some(code);
                Some((ends, work(false)))
            }
            Some(Harm::PowerLoss) => Some((ends, work(true))),
            Some(Harm::PowerLossInside) => Some((ends, Work::PowerFails)),
            Some(Harm::GoesDark) => {
                self.outage = Some(Outage::Dark);
                None
            }
            // It never ends.
            Some(_) => None,
        };
    }

    /// How long the present step takes: restart and tool.
    fn step_time(&self) -> (TimeDelta, TimeDelta) {
        let time = &self.scenario.time;
        let mut rng = dice(self.seed, self.index, "step", self.attempts);
        let minutes = lognormal(&mut rng, time.install_median_min, time.install_sigma);
        let minutes = minutes * f64::from(self.fate.slowness());
        (
            minutes_of(minutes * RESTART_PART),
            minutes_of(minutes * (1.0 - RESTART_PART)),
        )
    }

    /// People who may put a restart off do so until the deadline; after it they have the grace.
    fn ask_people(&mut self, deadline_s: Option<u64>, grace_s: u64) -> Agreement {
        self.questions += 1;
        let people = &self.scenario.restart;
        let mut rng = dice(self.seed, self.index, "people", self.questions);
        if deadline_s != Some(0) && rng.random_bool(people.postpone_rate) {
            return Agreement::Postponed {
                by_s: people.postpone_min.saturating_mul(60),
            };
        }
        let minutes = match people.agree_in {
            Delay::Uniform { min, max } => rng.random_range(min..=max),
            Delay::Lognormal { median, sigma } => lognormal(&mut rng, median, sigma),
        };
        let seconds = u32::try_from(minutes_of(minutes).num_seconds()).unwrap_or(u32::MAX);
        let latest = match deadline_s {
            None => u64::from(u32::MAX),
            Some(0) => grace_s,
            Some(left) => left,
        };
        let latest = u32::try_from(latest).unwrap_or(u32::MAX);
        Agreement::In {
            seconds: seconds.min(latest),
        }
    }
}

fn minutes_of(minutes: f64) -> TimeDelta {
    TimeDelta::from_std(Duration::from_secs_f64((minutes * 60.0).clamp(1.0, 1e9)))
        .unwrap_or(TimeDelta::MAX)
}
