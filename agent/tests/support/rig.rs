//! One agent, effect by effect, with the power cut wherever a test wants it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use agent::core::{Action, Answer, Config, Core, Effect, Fetch, Fetched, Input, Status};
use agent::platform::Platform;
use agent::simulated::{Outage, Profile, Scenario, SimulatedDevice};
use agent::spool::{MemorySpool, Spool};
use agent_protocol::{Event, EventKind};
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use servicing::Facts;

use super::server::Server;
use super::start;

/// A scenario in which nothing goes wrong, with one sort of device.
pub const CALM: &str = r#"
[time]
resolution_s = 1
install_median_min = 45
install_sigma = 0.5
[restart]
agree_in = { uniform = { min = 30, max = 180 } }
[population]
host_prefix = "PC-"
arm64_share = 0
utc_offsets_minutes = [60]
builds = [{ build = "26100.1150", weight = 1 }]
editions = [{ edition = "Professional", weight = 1 }]
[[population.models]]
manufacturer = "Dell Inc."
model = "Latitude 5440"
bios = ["1.19.0"]
"#;

pub struct Rig {
    pub server: Server,
    pub device: SimulatedDevice,
    pub spool: MemorySpool,
    pub core: Core,
    pub now: DateTime<Utc>,
    /// Every event that was ever committed to the spool.
    pub committed: Vec<Event>,
    /// Every action that was begun.
    pub acted: Vec<Action>,
    /// Effects so far, and those before or after which the power goes.
    pub effects: usize,
    pub cut_before: BTreeSet<usize>,
    pub cut_after: BTreeSet<usize>,
    /// What downloads give instead of the real thing.
    pub downloads: VecDeque<Fetched>,
    pub born: DateTime<Utc>,
    queue: VecDeque<Effect>,
    starts: u64,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(CALM, |_| {})
    }

    pub fn with(scenario: &str, change: impl FnOnce(&mut Facts)) -> Self {
        let scenario = Arc::new(Scenario::parse(scenario).unwrap());
        let mut profile = Profile::of(&scenario.population, 1, 0, 1, start());
        change(&mut profile.facts);
        profile.ledger.0[0].build = Some(profile.facts.build);
        let device = SimulatedDevice::new(scenario, 1, profile, start());
        let (core, effects) = Core::start(
            config(0),
            MemorySpool::default().load().unwrap(),
            device.boot(),
            device.moment(),
        );
        Self {
            server: Server::new(start()),
            device,
            spool: MemorySpool::default(),
            core,
            now: start(),
            committed: Vec::new(),
            acted: Vec::new(),
            effects: 0,
            cut_before: BTreeSet::new(),
            cut_after: BTreeSet::new(),
            downloads: VecDeque::new(),
            born: start(),
            queue: effects.into(),
            starts: 0,
        }
    }

    /// Run until something holds, for at most ten days.
    pub fn until(&mut self, holds: impl Fn(&Self) -> bool) -> &mut Self {
        let end = self.now + TimeDelta::days(10);
        while !holds(self) {
            assert!(
                self.now < end,
                "not within ten days: {:?}\n{:#?}",
                self.core.status(),
                self.committed
            );
            self.step();
        }
        self
    }

    /// Run for a time, whatever happens.
    pub fn for_hours(&mut self, hours: i64) -> &mut Self {
        let end = self.now + TimeDelta::hours(hours);
        while self.next().is_some_and(|next| next <= end) {
            self.step();
        }
        self.set_time(end);
        self
    }

    pub fn until_status(&mut self, status: Status) -> &mut Self {
        self.until(|rig| rig.core.status() == status)
    }

    pub fn until_noted(&mut self, wanted: impl Fn(&EventKind) -> bool) -> &mut Self {
        self.until(|rig| rig.committed.iter().any(|event| wanted(&event.kind)))
    }

    /// Everything noted was also delivered.
    pub fn until_delivered(&mut self) -> &mut Self {
        self.until(|rig| rig.spool.load().unwrap().events.is_empty() && rig.queue.is_empty())
    }

    pub fn count(&self, wanted: impl Fn(&EventKind) -> bool) -> usize {
        self.committed
            .iter()
            .filter(|event| wanted(&event.kind))
            .count()
    }

    pub fn refusals(&self) -> Vec<String> {
        let reason = |event: &Event| match &event.kind {
            EventKind::OrderRefused { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.committed.iter().filter_map(reason).collect()
    }

    pub fn installs(&self) -> usize {
        self.acted
            .iter()
            .filter(|action| matches!(action, Action::Install { .. }))
            .count()
    }

    /// The power goes; the agent comes back with the machine.
    pub fn cut_power(&mut self) {
        self.device.lose_power();
        self.queue.clear();
    }

    /// The agent alone ends and comes back at once.
    pub fn restart_agent(&mut self) {
        self.queue.clear();
        self.boot_agent();
    }

    fn boot_agent(&mut self) {
        self.starts += 1;
        let (core, effects) = Core::start(
            config(self.starts),
            self.spool.load().unwrap(),
            self.device.boot(),
            self.device.moment(),
        );
        self.core = core;
        self.queue = effects.into();
    }

    fn set_time(&mut self, now: DateTime<Utc>) {
        self.now = now;
        self.server.now = now;
        self.device.set_time(now);
    }

    fn next(&self) -> Option<DateTime<Utc>> {
        if !self.queue.is_empty() {
            return Some(self.now);
        }
        let wake = self
            .core
            .next_wake()
            .filter(|_| self.device.outage().is_none());
        let wake = wake.map(|steady| self.born + TimeDelta::from_std(steady).unwrap());
        [self.device.ends_at(), wake].into_iter().flatten().min()
    }

    fn step(&mut self) {
        if let Some(effect) = self.queue.pop_front() {
            let number = self.effects;
            self.effects += 1;
            if self.cut_before.contains(&number) {
                return self.cut_power();
            }
            let input = self.carry_out(effect);
            if self.cut_after.contains(&number) {
                return self.cut_power();
            }
            return self.feed(input);
        }
        let next = self.next().expect("something to do");
        self.set_time(next.max(self.now));
        if matches!(self.device.outage(), Some(Outage::Down { .. })) {
            assert!(self.device.come_up());
            return self.boot_agent();
        }
        let input = self.device.ended();
        if input.is_some() || self.device.outage().is_some() {
            return self.feed(input);
        }
        self.feed(Some(Input::Wake));
    }

    pub fn feed(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            let effects = self.core.handle(input, self.device.moment());
            self.queue.extend(effects);
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Commit(change) => {
                self.committed
                    .extend(change.events.iter().filter(|_| !change.renumbered).cloned());
                self.spool.commit(*change).unwrap();
                None
            }
            Effect::Call(request) => Some(Input::Answered(self.server.answer(&request))),
            Effect::Act(action) => {
                self.acted.push(action.clone());
                match action {
                    Action::Fetch(fetch) => Some(Input::Fetched(self.fetch(&fetch))),
                    Action::Discard { sha256 } => {
                        self.device.discard(&sha256);
                        None
                    }
                    action => {
                        self.device.begin(&action);
                        if self.device.outage().is_some() {
                            self.queue.clear();
                        }
                        None
                    }
                }
            }
        }
    }

    fn fetch(&mut self, fetch: &Fetch) -> Fetched {
        if let Some(instead) = self.downloads.pop_front() {
            return instead;
        }
        let file = self.server.files[&fetch.sha256].clone();
        self.device.discard(&fetch.sha256);
        self.device.append(&fetch.sha256, &file);
        assert!(self.device.hash_holds(&fetch.sha256));
        Fetched::Complete
    }

    /// What must hold after any run: all that was noted arrived once and in order, no step ran twice under a
    /// permit, and none was skipped.
    pub fn check(&self) {
        assert_eq!(
            self.server.only().log,
            self.committed,
            "what was noted and what arrived differ"
        );
        let mut begun = BTreeSet::new();
        let mut last = (0, 0);
        for event in &self.committed {
            if let EventKind::StepStarted {
                permit_no, step, ..
            } = event.kind
            {
                assert!(
                    begun.insert((permit_no, step)),
                    "step {step} was repeated under permit {permit_no}"
                );
                let skips = if permit_no == last.0 {
                    step != last.1 + 1
                } else {
                    step != 1
                };
                assert!(!skips, "step {step} after {last:?}");
                last = (permit_no, step);
            }
        }
        assert!(
            self.installs() <= begun.len(),
            "an installation that was not announced"
        );
    }
}

pub fn config(seed: u64) -> Config {
    Config {
        agent_version: "0.1.0".to_owned(),
        enrolment_token: "token".to_owned(),
        key: SigningKey::from_bytes(&[9; 32]),
        seed,
    }
}

pub fn unreachable() -> Input {
    Input::Answered(Answer::Unreachable)
}
