//! The agent's state machine: no I/O, no clock, no randomness of its own.
//!
//! Whoever drives it feeds in what happened and carries out, in order, the effects that come back. At most
//! one HTTP call and one platform action are under way at a time. Every event and every change of state is
//! part of a [`Effect::Commit`] that comes before the effect it announces, so that a power loss between any
//! two effects loses nothing and repeats nothing.
//!
//! What is left to others: carrying effects out (`simulate`, and a service on Windows), what the machine
//! really does (`platform`), and what a step is (the crate `servicing`).

mod answers;
mod clock;
mod identity;
mod io;
mod orders;
mod outbox;
mod prepare;
mod removal;
mod repair;
mod restarts;
mod schedule;

mod state;
mod status;
mod steps;
mod volatile;

use std::time::Duration;

use agent_protocol::{Event, EventKind, Order};
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use uuid::Uuid;

pub use io::{
    Action, Agreement, Answer, Boot, Call, Effect, Fetch, Fetched, Hardware, Input, Moment,
    Reading, Reply, Request,
};
pub use state::{Change, Identity, Job, Mark, Phase, Removal, Repair, Stage, State, Stored};
pub use status::Status;

use clock::{Backoff, ServerTime};
use outbox::Outbox;
use volatile::{ActionKind, Attended, CallKind, InventorySync, Purpose, Stopped, Token};

/// What an agent is told when it is installed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Version, as sent at enrolment.
    pub agent_version: String,
    /// Enrolment token, needed until enrolled.
    pub enrolment_token: String,
    /// The device key. Where it is kept is left to the platform.
    pub key: SigningKey,
    /// Seed for jitter and for the ids of assertions: different on every start.
    pub seed: u64,
}

/// The agent.
#[derive(Debug)]
pub struct Core {
    config: Config,
    rng: ChaCha12Rng,
    boot: Boot,
    now: Moment,
    time: ServerTime,
    /// Persisted.
    state: Option<State>,
    outbox: Outbox,
    /// What the next commit has to hold.
    change: Change,
    dirty: bool,
    effects: Vec<Effect>,
    /// Under way.
    call: Option<CallKind>,
    action: Option<ActionKind>,
    /// Known only while it runs.
    nonce: Option<String>,
    token: Option<Token>,
    backoff: Backoff,
    fetch_backoff: Backoff,
    poll_at: Duration,
    etag: Option<String>,
    order: Option<Order>,
    /// Of the rollout that it was ordered for.
    deadline: Option<Deadline>,
    attended: Attended,
    refused: Option<Order>,
    fetching: Option<String>,
    asking_for: Option<Uuid>,
    permit_at: Duration,
    postponed_until: Duration,
    heartbeat_at: Duration,
    reading: Option<Box<Reading>>,
    inventory: InventorySync,
    /// The last call was refused for its token.
    denied: bool,
    stopped: Option<Stopped>,
}

/// When a restart can no longer be put off.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    rollout: Uuid,
    /// Server time.
    at: DateTime<Utc>,
    /// What people get after it.
    grace_s: u64,
}

impl Core {
    /// Start, after a boot or after the agent alone came up again.
    #[must_use]
    pub fn start(config: Config, stored: Stored, boot: Boot, now: Moment) -> (Self, Vec<Effect>) {
        let Stored {
            state,
            mark,
            events,
        } = stored;
        let mut core = Self {
            rng: ChaCha12Rng::seed_from_u64(config.seed),
            config,
            boot,
            now,
            time: ServerTime::default(),
            state,
            outbox: Outbox::new(mark, events),
            change: Change::default(),
            dirty: false,
            effects: Vec::new(),
            call: None,
            action: None,
            nonce: None,
            token: None,
            backoff: Backoff::default(),
            fetch_backoff: Backoff::default(),
            poll_at: now.steady,
            etag: None,
            order: None,
            deadline: None,
            attended: Attended::Done,
            refused: None,
            fetching: None,
            asking_for: None,
            permit_at: Duration::ZERO,
            postponed_until: Duration::ZERO,
            heartbeat_at: Duration::ZERO,
            reading: None,
            inventory: InventorySync::default(),
            denied: false,
            stopped: None,
        };
        core.read(Purpose::Start);
        let effects = core.finish();
        (core, effects)
    }

    /// Take in what happened. What comes back is to be carried out in order.
    #[must_use]
    pub fn handle(&mut self, input: Input, now: Moment) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Wake => {}
            Input::Answered(answer) => self.answered(answer),
            Input::Read(reading) => self.was_read(reading),
            Input::Fetched(fetched) => self.fetched(fetched),
            Input::Agreed(agreement) => self.agreed(agreement),
            Input::StepEnded { exit_code } => {
                self.action = None;
                self.read(Purpose::AfterStep { exit_code });
            }
            Input::Removed { exit_code } => {
                self.action = None;
                self.read(Purpose::AfterRemoval { exit_code });
            }
            Input::RestartFailed => self.restart_failed(),
            Input::Remediated { ok } => {
                self.action = None;
                self.repair_ended(ok);
            }
        }
        self.advance();
        self.finish()
    }

    /// The deadline of the job's restart.
    fn deadline(&self) -> Option<Deadline> {
        let job = self.job()?;
        self.deadline.filter(|d| d.rollout == job.rollout)
    }

    /// The server's time, as far as the agent knows it.
    fn server_time(&self) -> DateTime<Utc> {
        self.time.at(self.now)
    }

    fn read(&mut self, purpose: Purpose) {
        self.act(ActionKind::Read(purpose), Action::Read);
    }

    /// Spool an event. It is durable before the next effect.
    fn note(&mut self, kind: EventKind) {
        let event = self.outbox.push(Event {
            seq: 0,
            at: self.now.wall,
            powered_s: self.now.powered_s,
            kind,
        });
        self.change.events.push(event);
        self.change.mark = self.outbox.mark();
    }

    /// The state, to be changed and written.
    fn state_mut(&mut self) -> Option<&mut State> {
        self.dirty = true;
        self.state.as_mut()
    }

    fn job(&self) -> Option<&Job> {
        self.state.as_ref()?.job.as_ref()
    }

    fn job_mut(&mut self) -> Option<&mut Job> {
        self.state_mut()?.job.as_mut()
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(job) = self.job_mut() {
            job.phase = phase;
        }
    }

    fn act(&mut self, kind: ActionKind, action: Action) {
        self.action = Some(kind);
        self.emit(Effect::Act(action));
    }

    fn emit(&mut self, effect: Effect) {
        self.commit();
        self.effects.push(effect);
    }

    fn commit(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.change.state.clone_from(&self.state);
        }
        if !self.change.is_empty() {
            let change = std::mem::take(&mut self.change);
            self.effects.push(Effect::Commit(Box::new(change)));
        }
    }

    fn finish(&mut self) -> Vec<Effect> {
        self.commit();
        std::mem::take(&mut self.effects)
    }

    /// The server has something to answer to what was just done: ask as soon as it is reported.
    fn poll_soon(&mut self) {
        self.poll_at = self.now.steady;
    }
}
