//! Permits: the right to install and restart now. Many requests share one transaction under the locks of the
//! rollout's gates; a halt takes the same locks, so no permit can follow it, on any replica.

mod grant;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
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

async fn run(shared: Shared, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
    // Rollouts in which nobody could start when they were asked last.
    let mut full: HashSet<Uuid> = HashSet::new();
    loop {
        let mut taken = Vec::new();
        tokio::select! {
            biased;
            job = jobs.recv() => match job {
                Some(job) => taken.push(job),
                None => return,
            },
            () = stop.cancelled() => jobs.close(),
        }
        while taken.len() < MAX_BATCH {
            match jobs.try_recv() {
                Ok(job) => taken.push(job),
                Err(_) => break,
            }
        }
        let mut by_rollout: HashMap<Uuid, Vec<Job>> = HashMap::new();
        for job in taken {
            by_rollout.entry(job.ask.rollout).or_default().push(job);
        }
        for (rollout, jobs) in by_rollout {
            let asks: Vec<Ask> = jobs.iter().map(|j| j.ask).collect();
            match grant::grant(&shared, rollout, &asks, full.contains(&rollout)).await {
                Ok(decided) => {
                    if decided.full {
                        full.insert(rollout);
                    } else {
                        full.remove(&rollout);
                    }

                    for job in jobs {
                        let answer = decided
                            .answers
                            .get(&job.ask.device_no)
                            .cloned()
                            .ok_or(NoAnswer::Unavailable);
                        let _gone = job.reply.send(answer);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, %rollout, "permits could not be decided");
                    for job in jobs {
                        let _gone = job.reply.send(Err(NoAnswer::Unavailable));
                    }
                }
            }
        }
    }
}
