//! Permits: the right to install and restart now. Many requests share one transaction under the locks of the
//! rollout's gates; a halt takes the same locks, so no permit can follow it, on any replica.

mod grant;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::fleet::{Catalogue, FRESH_FOR, Picture};

/// Requests decided in one transaction.
const MAX_BATCH: usize = 500;

/// Requests that may wait.
const QUEUE: usize = 8192;

/// Time in which step 1 must start after the permit. An hour: the agreed restart may be that far ahead.
pub const START_WITHIN: TimeDelta = TimeDelta::hours(1);

/// A device asks.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Device.
    pub device_no: i32,
    /// Generation of its token.
    pub generation: i32,
    /// Rollout.
    pub rollout: Uuid,
    /// Seconds until its agreed restart.
    pub restart_in_s: u32,
}

/// What the device is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It may start.
    Granted {
        /// Number of the permit.
        permit_no: u32,
        /// Seconds left to start.
        start_within_s: u32,
    },
    /// Later.
    Wait {
        /// Ask again after so many seconds.
        retry_after_s: u32,
        /// Why.
        why: String,
    },
    /// Not as things are.
    Refused {
        /// Stable word.
        reason: String,
        /// Why.
        why: String,
    },
}

/// Why no answer could be given. Asking again is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The queue is full.
    #[error("too many permit requests are waiting")]
    Busy,
    /// The database does not answer, or this replica does not know what was decided lately.
    #[error("permits can not be granted now")]
    Unavailable,
}

struct Job {
    ask: Ask,
    reply: oneshot::Sender<Result<Answer, NoAnswer>>,
}

/// What granting needs.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) picture: Arc<Picture>,
    pub(crate) catalogue: Arc<Catalogue>,
    /// Wakes whoever ticks rollouts: the evidence says halt.
    pub(crate) outcomes: Arc<Notify>,
    /// Seconds after which a device that has to wait asks again.
    pub(crate) retry_after_s: u32,
}

/// Where permits are asked for.
#[derive(Clone)]
pub struct Permits {
    queue: mpsc::Sender<Job>,
    picture: Arc<Picture>,
}

impl Permits {
    /// Starts granting; ends when cancelled, after what was taken is answered.
    #[must_use]
    pub fn start(
        pool: PgPool,
        clock: SharedClock,
        picture: Arc<Picture>,
        catalogue: Arc<Catalogue>,
        outcomes: Arc<Notify>,
        retry_after: Duration,
        stop: &CancellationToken,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let retry_after_s = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX);
        let shared = Shared {
            pool,
            clock,
            picture: Arc::clone(&picture),
            catalogue,
            outcomes,
            retry_after_s,
        };
        let (queue, jobs) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(shared, jobs, stop.clone()));
        (Self { queue, picture }, task)
    }

    /// Asks for a permit and waits for the commit.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask(&self, ask: Ask) -> Result<Answer, NoAnswer> {
        if self.picture.age().is_none_or(|age| age > FRESH_FOR) {
            return Err(NoAnswer::Unavailable);
        }
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Job { ask, reply })
            .map_err(|e| match e {
                mpsc::error::TrySendError::Full(_) => NoAnswer::Busy,
                mpsc::error::TrySendError::Closed(_) => NoAnswer::Unavailable,
            })?;
        answer.await.unwrap_or(Err(NoAnswer::Unavailable))
    }
}

/// Batches of one process under way at once: while one holds the locks, plans of the next are made.
const AT_ONCE: usize = 2;

/// Rollouts in which nobody could start when they were asked last.
type Fulls = Arc<Mutex<HashSet<Uuid>>>;

async fn run(shared: Shared, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
    let fulls = Fulls::default();
    let mut under_way = JoinSet::new();
    let mut taken = Vec::with_capacity(MAX_BATCH);
    loop {
        if under_way.len() >= AT_ONCE {
            let _done = under_way.join_next().await;
        }
        tokio::select! {
            biased;
            n = jobs.recv_many(&mut taken, MAX_BATCH) => if n == 0 { break },
            () = stop.cancelled(), if !jobs.is_closed() => jobs.close(),
        }
        let mut by_rollout: HashMap<Uuid, Vec<Job>> = HashMap::new();
        for job in taken.drain(..) {
            by_rollout.entry(job.ask.rollout).or_default().push(job);
        }
        if !by_rollout.is_empty() {
            under_way.spawn(decide(shared.clone(), Arc::clone(&fulls), by_rollout));
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// Decides a batch and answers.
async fn decide(shared: Shared, fulls: Fulls, by_rollout: HashMap<Uuid, Vec<Job>>) {
    for (rollout, jobs) in by_rollout {
        let asks: Vec<Ask> = jobs.iter().map(|j| j.ask).collect();
        let was_full = fulls.lock().is_ok_and(|full| full.contains(&rollout));
        let decided = grant::grant(&shared, rollout, &asks, was_full).await;
        if let (Ok(decided), Ok(mut full)) = (&decided, fulls.lock()) {
            if decided.full {
                full.insert(rollout);
            } else {
                full.remove(&rollout);
            }
        }
        if let Err(error) = &decided {
            tracing::error!(%error, %rollout, "permits could not be decided");
        }
        for job in jobs {
            let answer = decided
                .as_ref()
                .ok()
                .and_then(|d| d.answers.get(&job.ask.device_no));
            let _gone = job.reply.send(answer.cloned().ok_or(NoAnswer::Unavailable));
        }
    }
}
