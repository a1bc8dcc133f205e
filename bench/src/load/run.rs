//! Runs a load and counts what came of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::runtime;
use tokio::task::LocalSet;

use super::{Answer, Connection, Source};

/// How requests follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each connection asks again as soon as it has its answer: as much as the server takes.
    Closed,
    /// So many a second, whatever the server does. Latency counts from when a request was due.
    Open {
        /// Requests a second.
        per_second: f64,
    },
}

/// A load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Servers, in turn for each connection.
    pub to: Vec<SocketAddr>,
    /// Connections in all.
    pub connections: usize,
    /// How requests follow each other.
    pub pace: Pace,
    /// How long.
    pub lasts: Duration,
}

/// What came of a load.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub errors: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Latency, microseconds.
    pub latency: Histogram<u64>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            errors: 0,
            took: Duration::ZERO,
            latency: Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds in order"),
        }
    }
}

impl Outcome {
    /// All answers.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers with this status.
    #[must_use]
    pub fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Answers a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn per_second(&self) -> f64 {
        self.answers() as f64 / self.took.as_secs_f64()
    }

    /// A quantile of the latency, milliseconds.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a minute in microseconds is far below 2^52"
    )]
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    fn add(&mut self, other: &Self) {
        for (status, n) in &other.statuses {
            *self.statuses.entry(*status).or_default() += n;
        }
        self.errors += other.errors;
        self.took = self.took.max(other.took);
        self.latency.add(&other.latency).expect("the same bounds");
    }
}

/// Runs a load, with a thread for each source. Blocks until it is over.
///
/// # Errors
/// When nobody listens.
pub fn run<S: Source + 'static>(plan: &Plan, sources: Vec<S>) -> anyhow::Result<(Outcome, Vec<S>)> {
    let threads = sources.len();
    let everybody = Arc::new(Barrier::new(threads));
    let handles: Vec<_> = sources
        .into_iter()
        .enumerate()
        .map(|(thread, source)| {
            let (plan, everybody) = (plan.clone(), Arc::clone(&everybody));
            std::thread::spawn(move || on_thread(&plan, thread, &everybody, threads, source))
        })
        .collect();
    let (mut all, mut back) = (Outcome::default(), Vec::new());
    for handle in handles {
        let (outcome, source) = handle
            .join()
            .map_err(|_| anyhow::anyhow!("a load panicked"))??;
        all.add(&outcome);
        back.push(source);
    }
    Ok((all, back))
}

/// What the connections of a thread share.
struct Shared<S> {
    source: S,
    outcome: Outcome,
    due: u32,
}

impl<S: Source> Shared<S> {
    fn note(&mut self, what: u32, took: u64, answer: &Answer<'_>) {
        self.outcome.latency.saturating_record(took.max(1));
        *self.outcome.statuses.entry(answer.status).or_default() += 1;
        self.source.answered(what, answer);
    }
}

fn on_thread<S: Source + 'static>(
    plan: &Plan,
    thread: usize,
    everybody: &Barrier,
    threads: usize,
    source: S,
) -> anyhow::Result<(Outcome, S)> {
    let shared = Rc::new(RefCell::new(Shared {
        source,
        outcome: Outcome::default(),
        due: 0,
    }));
    let interval = match plan.pace {
        Pace::Closed => None,
        #[allow(clippy::cast_precision_loss, reason = "a handful of threads")]
        Pace::Open { per_second } => Some(Duration::from_secs_f64(threads as f64 / per_second)),
    };
    let local = LocalSet::new();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut started = Instant::now();
    local.block_on(&runtime, async {
        let mine = (0..plan.connections).filter(|c| c % threads == thread);
        let mut connections = Vec::new();
        for c in mine {
            let to = plan.to[(c / threads) % plan.to.len()];
            connections.push((to, Connection::open(to).await));
        }
        // Other threads connect as well: nobody asks before everybody is there.
        everybody.wait();
        started = Instant::now();
        let until = started + plan.lasts;
        let mut tasks = Vec::new();
        for (to, open) in connections {
            let shared = Rc::clone(&shared);
            let asking = connection(to, open?, shared, interval, started, until);
            tasks.push(tokio::task::spawn_local(asking));
        }
        for task in tasks {
            task.await.context("a connection panicked")??;
        }
        anyhow::Ok(())
    })?;
    drop((local, runtime));
    let shared = Rc::into_inner(shared).context("a connection outlived its run")?;
    let mut shared = shared.into_inner();
    shared.outcome.took = started.elapsed();
    Ok((shared.outcome, shared.source))
}

async fn connection<S: Source>(
    to: SocketAddr,
    mut connection: Connection,
    shared: Rc<RefCell<Shared<S>>>,
    interval: Option<Duration>,
    started: Instant,
    until: Instant,
) -> anyhow::Result<()> {
    let mut request = Vec::with_capacity(1024);
    loop {
        let due = match interval {
            None => Instant::now(),
            Some(interval) => {
                let turn = {
                    let mut shared = shared.borrow_mut();
                    shared.due += 1;
                    shared.due
                };
                let due = started + interval * turn;
                tokio::time::sleep_until(due.into()).await;
                due
            }
        };
        if Instant::now() >= until {
            return Ok(());
        }
        request.clear();
        let Some(what) = shared.borrow_mut().source.next(&mut request) else {
            return Ok(());
        };
        let answer = connection.ask(&request).await;
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        match answer {
            Ok(answer) => shared.borrow_mut().note(what, took, &answer),
            Err(_) => {
                shared.borrow_mut().outcome.errors += 1;
                let again = Connection::open(to).await;
                connection = again.context("the server took no new connection")?;
            }
        }
    }
}
