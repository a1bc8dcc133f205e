//! What an agent asks of the machine it runs on, and a small driver that connects the two.
//!
//! Implementations are thin: what follows from an answer is decided by the core.

use chrono::{DateTime, Utc};

use crate::core::{Action, Boot, Config, Core, Effect, Fetch, Input, Moment, Request};
use crate::spool::Spool;

/// The machine. Nothing here blocks for long: what takes time is begun, and picked up when it has ended.
pub trait Platform {
    /// The present kernel boot.
    fn boot(&self) -> Boot;

    /// Now, by the machine's own clocks.
    fn moment(&self) -> Moment;

    /// Begin an action other than a fetch, which the driver carries out with the functions below.
    fn begin(&mut self, action: &Action);

    /// The end of an action, when there is one to report.
    fn ended(&mut self) -> Option<Input>;

    /// When an action will end, where that is known beforehand.
    fn ends_at(&self) -> Option<DateTime<Utc>>;

    /// Bytes of a package that are on disk.
    fn downloaded_bytes(&self, sha256: &str) -> u64;

    /// Add bytes to a package.
    fn append(&mut self, sha256: &str, bytes: &[u8]);

    /// Whether a package on disk has the hash it is named by.
    fn hash_holds(&self, sha256: &str) -> bool;

    /// Delete what is on disk of a package.
    fn discard(&mut self, sha256: &str);
}

/// What the driver of an agent has to do over the network.
#[derive(Debug, Clone, PartialEq)]
pub enum Errand {
    /// Call the server.
    Call(Request),
    /// Fetch a package.
    Fetch(Fetch),
}

/// One agent with its machine and its spool. Whoever owns it does its errands.
#[derive(Debug)]
pub struct Agent<P, S> {
    core: Core,
    /// The machine.
    pub platform: P,
    /// What outlives a power loss.
    pub spool: S,
}

impl<P: Platform, S: Spool> Agent<P, S> {
    /// Start an agent on a machine that is up.
    ///
    /// # Errors
    /// The spool can not be read or written.
    pub fn start(config: Config, platform: P, spool: S) -> Result<(Self, Vec<Errand>), S::Error> {
        let (core, effects) =
            Core::start(config, spool.load()?, platform.boot(), platform.moment());
        let mut agent = Self {
            core,
            platform,
            spool,
        };
        let errands = agent.carry_out(effects)?;
        Ok((agent, errands))
    }

    /// The core, to look at.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Tell the core what happened. What comes back has to be done over the network.
    ///
    /// # Errors
    /// The spool can not be written: nothing further was begun.
    pub fn handle(&mut self, input: Input) -> Result<Vec<Errand>, S::Error> {
        let effects = self.core.handle(input, self.platform.moment());
        self.carry_out(effects)
    }

    /// Start again: what was only in memory is gone.
    ///
    /// # Errors
    /// The spool can not be read or written.
    pub fn start_again(&mut self, config: Config) -> Result<Vec<Errand>, S::Error> {
        let (core, effects) = Core::start(
            config,
            self.spool.load()?,
            self.platform.boot(),
            self.platform.moment(),
        );
        self.core = core;
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<Vec<Errand>, S::Error> {
        let mut errands = Vec::new();
        for effect in effects {
            match effect {
                Effect::Commit(change) => self.spool.commit(*change)?,
                Effect::Call(request) => errands.push(Errand::Call(request)),
                Effect::Act(Action::Fetch(fetch)) => errands.push(Errand::Fetch(fetch)),
                Effect::Act(Action::Discard { sha256 }) => self.platform.discard(&sha256),
                Effect::Act(action) => self.platform.begin(&action),
            }
        }
        Ok(errands)
    }
}
