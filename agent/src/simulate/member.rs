//! One device of a fleet: its agent, its machine, and the network between it and the server.

use std::collections::VecDeque;
use std::sync::Arc;

use agent_protocol::Event;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use rand::RngExt;
use uuid::Uuid;

use super::http::{Damage, Http};
use crate::core::{Answer, Call, Config, Fetched, Input, Request, Status};
use crate::platform::{Agent, Errand, Platform};
use crate::simulated::{Harm, Outage, Profile, Scenario, SimulatedDevice, Struck, dice};
use crate::spool::{MemorySpool, Spool};

/// Version that simulated agents report.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One device of a fleet.
#[derive(Debug)]
pub(super) struct Member {
    config: Config,
    agent: Agent<SimulatedDevice, MemorySpool>,
    errands: VecDeque<Errand>,
    born: DateTime<Utc>,
    resolution: TimeDelta,
    /// A batch that the network delivers again after the next one.
    held_back: Option<Request>,
    starts: u64,
}

impl Member {
    pub(super) fn new(
        scenario: &Arc<Scenario>,
        seed: u64,
        profile: Profile,
        token: &str,
        born: DateTime<Utc>,
    ) -> Self {
        let key = dice(seed, profile.index, "key", 0).random::<[u8; 32]>();
        let config = Config {
            agent_version: VERSION.to_owned(),
            enrolment_token: token.to_owned(),
            key: SigningKey::from_bytes(&key),
            seed: dice(seed, profile.index, "start", 0).random(),
        };
        let device = SimulatedDevice::new(Arc::clone(scenario), seed, profile, born);
        let Ok((agent, errands)) = Agent::start(config.clone(), device, MemorySpool::default());
        Self {
            config,
            agent,
            errands: errands.into(),
            born,
            resolution: TimeDelta::seconds(scenario.time.resolution_s.into()),
            held_back: None,
            starts: 0,
        }
    }

    /// Do everything that can be done at this time; when there is something to do again.
    pub(super) async fn work(&mut self, now: DateTime<Utc>, http: &Http) -> Option<DateTime<Utc>> {
        self.agent.platform.set_time(now);
        loop {
            match self.agent.platform.outage() {
                Some(Outage::Dark) => break,
                Some(Outage::Down { .. }) => {
                    if !self.agent.platform.come_up() {
                        break;
                    }
                    self.start_again();
                }
                None => {}
            }
            let input = if let Some(errand) = self.errands.pop_front() {
                self.run(errand, http).await
            } else if let Some(input) = self.agent.platform.ended() {
                input
            } else if self.agent.platform.outage().is_some() {
                continue;
            } else if self.wake_at().is_some_and(|at| at <= now) {
                Input::Wake
            } else {
                break;
            };
            let is_idle_wake = input == Input::Wake;
            let Ok(errands) = self.agent.handle(input);
            let is_idle = errands.is_empty() && self.agent.platform.ends_at().is_none();
            self.errands.extend(errands);
            if is_idle_wake && is_idle && self.agent.platform.outage().is_none() {
                break;
            }
        }
        self.next_due(now)
    }

    /// The agent comes up with the machine; what it had only in memory is gone.
    fn start_again(&mut self) {
        self.starts += 1;
        let seed = self.config.seed.wrapping_add(self.starts);
        let Ok(errands) = self.agent.start_again(Config {
            seed,
            ..self.config.clone()
        });
        self.errands = errands.into();
    }

    async fn run(&mut self, errand: Errand, http: &Http) -> Input {
        let offline = self.agent.platform.offline_until().is_some();
        let device = &mut self.agent.platform;
        match errand {
            Errand::Fetch(fetch) if offline => Input::Fetched(Fetched::Cut {
                bytes: device.downloaded_bytes(&fetch.sha256),
            }),
            Errand::Fetch(fetch) => {
                let damage = Damage {
                    corrupt: device.delivery_fails(Harm::CorruptDownload),
                    cut: device.delivery_fails(Harm::CutDownload),
                };
                Input::Fetched(http.fetch(&fetch, damage, device).await)
            }
            Errand::Call(_) if offline => Input::Answered(Answer::Unreachable),
            Errand::Call(request) => Input::Answered(self.deliver(request, http).await),
        }
    }

    /// The network between device and server delivers telemetry twice, again later, or loses the answer.
    async fn deliver(&mut self, request: Request, http: &Http) -> Answer {
        let answer = http.call(&request).await;
        if !matches!(request.call, Call::Events(_)) {
            return answer;
        }
        if let Some(late) = self.held_back.take() {
            http.call(&late).await;
        }
        let device = &mut self.agent.platform;
        if device.delivery_fails(Harm::Duplicate) {
            http.call(&request).await;
        }
        if device.delivery_fails(Harm::Late) {
            return Answer::Unreachable;
        }
        if device.delivery_fails(Harm::Reordered) {
            self.held_back = Some(request);
        }
        answer
    }

    fn wake_at(&self) -> Option<DateTime<Utc>> {
        let steady = TimeDelta::from_std(self.agent.core().next_wake()?).ok()?;
        self.born.checked_add_signed(steady)
    }

    /// The next time at which there is something to do, on the grid of the scenario and always in the future.
    fn next_due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wake = self
            .agent
            .platform
            .outage()
            .is_none()
            .then(|| self.wake_at())
            .flatten();
        let next = [self.agent.platform.ends_at(), wake]
            .into_iter()
            .flatten()
            .min()?;
        let ticks =
            (next.max(now) - self.born).num_milliseconds() / self.resolution.num_milliseconds() + 1;
        self.born.checked_add_signed(TimeDelta::milliseconds(
            ticks * self.resolution.num_milliseconds(),
        ))
    }

    /// Where the agent stands; none when nobody will ever hear of it again.
    pub(super) fn status(&self) -> Option<Status> {
        (self.agent.platform.outage() != Some(Outage::Dark)).then(|| self.agent.core().status())
    }

    pub(super) fn is_offline(&self) -> bool {
        self.agent.platform.offline_until().is_some()
    }

    pub(super) fn device(&self) -> &SimulatedDevice {
        &self.agent.platform
    }

    pub(super) fn struck(&self) -> &[Struck] {
        self.agent.platform.struck()
    }

    pub(super) fn device_id(&self) -> Option<Uuid> {
        self.agent.core().device_id()
    }

    /// Epoch, acknowledged number, and events that are not acknowledged.
    pub(super) fn telemetry(&self) -> (u32, u64, Vec<Event>) {
        let Ok(stored) = self.agent.spool.load();
        let (epoch, acked) = stored.mark.map_or((0, 0), |mark| (mark.epoch, mark.acked));
        (epoch, acked, stored.events)
    }
}
