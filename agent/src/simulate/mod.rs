//! A fleet of simulated devices against a real server over real HTTP, in virtual or real time.
//!
//! In virtual time whoever owns the clock moves it: to [`Fleet::next_due`], then [`Fleet::run_due`]. All
//! that a device can do at one time it does in one go: poll, act, report, poll again.

mod clock;
mod conducted;
mod http;
mod member;
mod real_time;
mod summary;

use std::sync::Arc;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

pub use clock::{Sleep, VirtualClock};
pub use conducted::{Order, Report, run_conducted};
pub use http::Requests;
pub use real_time::run_for;
pub use summary::{Acknowledged, StruckDevice, Summary};

use crate::simulated::{Profile, Scenario};
use http::Http;
use member::Member;

/// So many devices talk to the server at the same time: most wait for a commit, and the more of them share one the less each
/// costs.
const CONCURRENCY: usize = 512;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// `https://host:port`
    pub server_url: String,
    /// The CA that signed the server's certificate, where it is not a public one.
    pub ca_pem: Option<String>,
    /// With which the devices enrol.
    pub enrolment_token: String,
    /// How many.
    pub devices: u32,
    /// The same seed and the same answers give the same fleet and the same fate.
    pub seed: u64,
    /// Who they are and what befalls them.
    pub scenario: Scenario,
}

/// A fleet of simulated devices.
#[derive(Debug)]
pub struct Fleet {
    http: Http,
    clock: Arc<VirtualClock>,
    members: Vec<Member>,
    /// When each has something to do. Apart from the members: it is looked at far more often than they are.
    due: Vec<Option<DateTime<Utc>>>,
}

impl Fleet {
    /// A fleet that comes into being now.
    ///
    /// # Errors
    /// HTTP can not be set up, for example because the CA can not be read.
    pub fn new(options: FleetOptions, clock: Arc<VirtualClock>) -> Result<Self> {
        let FleetOptions {
            server_url,
            ca_pem,
            enrolment_token,
            devices,
            seed,
            scenario,
        } = options;
        let http = Http::new(&server_url, ca_pem.as_deref())?;
        let born = clock.now();
        let scenario = Arc::new(scenario);
        let members: Vec<Member> = (0..devices)
            .map(|index| {
                let profile = Profile::of(&scenario.population, seed, index, devices, born);
                Member::new(&scenario, seed, profile, &enrolment_token, born)
            })
            .collect();
        Ok(Self {
            http,
            clock,
            due: vec![Some(born); members.len()],
            members,
        })
    }

    /// Enrol all devices that have a network now; the others enrol when theirs is back.
    ///
    /// # Errors
    /// A device that has a network was not enrolled.
    pub async fn enrol_all(&mut self) -> Result<()> {
        self.run_due(self.clock.now()).await?;
        let left = self
            .members
            .iter()
            .filter(|member| member.device_id().is_none() && !member.is_offline())
            .count();
        if left > 0 {
            bail!(
                "{left} of {} devices could not enrol: {:?}",
                self.members.len(),
                self.http.requests()
            );
        }
        Ok(())
    }

    /// The next time at which a device has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.iter().copied().flatten().min()
    }

    /// Let all devices that are due by `until` do their work, at the time `until`.
    ///
    /// # Errors
    /// None today: what goes wrong between a device and the server is the device's to cope with.
    pub async fn run_due(&mut self, until: DateTime<Utc>) -> Result<()> {
        let Self {
            http, members, due, ..
        } = self;
        let http = &*http;
        let mut due = members
            .iter_mut()
            .zip(due)
            .filter(|(_, due)| due.is_some_and(|due| due <= until));
        // A call in the making is some kilobytes: of a large fleet only those exist that are at work.
        let mut at_work: FuturesUnordered<_> = due
            .by_ref()
            .take(CONCURRENCY)
            .map(|(member, due)| work(member, due, until, http))
            .collect();
        while at_work.next().await.is_some() {
            let next = due.next();
            at_work.extend(next.map(|(member, due)| work(member, due, until, http)));
        }
        Ok(())
    }

    /// Requests so far, answered or not.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let requests = self.http.requests();
        requests.values().flat_map(|of| of.values()).sum()
    }

    /// What became of it so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        summary::summary(&self.members, self.http.requests())
    }

    /// Everything the server has acknowledged, to be compared with what it has stored.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        summary::acknowledged(&self.members)
    }
}

/// A member's work, and when it has some again.
fn work<'a>(
    member: &'a mut Member,
    due: &'a mut Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    http: &'a Http,
) -> BoxFuture<'a, ()> {
    async move { *due = member.work(until, http).await }.boxed()
}
