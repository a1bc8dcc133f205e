//! Telemetry: taken in by many, committed by few. An acknowledgement is sent after the commit, never before.
//!
//! Requests wait in a bounded queue per lane; a lane takes what is there, folds it, and writes it in one
//! transaction. The deadline tick enters here too, so that a device's history has one writer.

mod batch;
mod cursor;
mod lane;
mod report;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::control::IngestHealth;
use crate::fleet::Picture;
use crate::store::changes::{DEVICE_LANES, lane_of};

pub use report::{ParsedEvent, parse_event, report_of};

/// Requests that may wait in a lane. More are turned away: a slow database must not pile up memory.
const QUEUE: usize = 4096;

/// KiB of reports that may wait in a lane or be written by it: requests differ in size by three orders of magnitude.
const QUEUE_KIB: usize = 32 * 1024;

/// What an event takes beside its body, in bytes.
const EVENT: usize = 160;

/// Reports of one device.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Device.
    pub device_no: i32,
    /// Generation of the token that it came with.
    pub generation: i32,
    /// Epoch of the device's numbers.
    pub epoch: i32,
    /// Events, numbered without gaps.
    pub events: Vec<ParsedEvent>,
}

/// What came of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// Committed up to here.
    Acked {
        /// Epoch.
        epoch: i32,
        /// Last number.
        acked: i64,
    },
    /// Something is missing before it; nothing was taken.
    Gap {
        /// Epoch the server is at.
        epoch: i32,
        /// Last number.
        acked: i64,
    },
    /// Other content under a number that was acknowledged: two machines report as one device.
    Clone {
        /// Epoch the server is at.
        epoch: i32,
        /// Last number.
        acked: i64,
    },
    /// The device was revoked or enrolled anew since its token was made.
    Revoked,
}

/// Why a submission could not be taken now. It is safe to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The queue is full.
    #[error("too much telemetry is waiting")]
    Busy,
    /// The database does not answer, or the server stops.
    #[error("telemetry can not be stored now")]
    Unavailable,
}

pub(crate) enum Work {
    Events(Submission),
    /// The deadline tick looks at a device's assignment.
    Deadline {
        rollout: Uuid,
        device_no: i32,
        contact_at: Option<DateTime<Utc>>,
    },
}

impl Work {
    fn device_no(&self) -> i32 {
        match self {
            Self::Events(s) => s.device_no,
            Self::Deadline { device_no, .. } => *device_no,
        }
    }

    fn kib(&self) -> u32 {
        let bytes = match self {
            Self::Events(s) => s.events.iter().map(|e| e.body.len() + EVENT).sum(),
            Self::Deadline { .. } => 0_usize,
        };
        u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
    }
}

pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) reply: oneshot::Sender<Result<Receipt, NotTaken>>,
    /// Given back when the job is done.
    _room: OwnedSemaphorePermit,
}

/// Where a lane's work is handed in.
#[derive(Clone)]
struct Entrance {
    queue: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
}

impl Entrance {
    fn new() -> (Self, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let room = Arc::new(Semaphore::new(QUEUE_KIB));
        (Self { queue, room }, jobs)
    }

    fn hand_in(
        &self,
        work: Work,
    ) -> Result<oneshot::Receiver<Result<Receipt, NotTaken>>, NotTaken> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(work.kib());
        let (reply, answer) = oneshot::channel();
        let job = Job {
            work,
            reply,
            _room: room.map_err(|_| NotTaken::Busy)?,
        };
        self.queue.try_send(job).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => NotTaken::Busy,
            mpsc::error::TrySendError::Closed(_) => NotTaken::Unavailable,
        })?;
        Ok(answer)
    }
}

/// Where reports are handed in.
#[derive(Clone)]
pub struct Ingest {
    lanes: Vec<Entrance>,
}

/// What every lane needs.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) pool: PgPool,
    pub(crate) clock: SharedClock,
    pub(crate) picture: Arc<Picture>,
    pub(crate) health: Arc<IngestHealth>,
    /// Wakes whoever ticks rollouts: an outcome came in.
    pub(crate) outcomes: Arc<Notify>,
    pub(crate) max_batch: usize,
}

impl Ingest {
    /// Starts the lanes; they run until cancelled and finish what they took.
    #[must_use]
    pub fn start(
        pool: PgPool,
        clock: SharedClock,
        picture: Arc<Picture>,
        health: Arc<IngestHealth>,
        outcomes: Arc<Notify>,
        max_batch: usize,
        stop: &CancellationToken,
    ) -> (Self, Vec<tokio::task::JoinHandle<()>>) {
        let shared = Shared {
            pool,
            clock,
            picture,
            health,
            outcomes,
            max_batch,
        };
        let mut lanes = Vec::new();
        let mut tasks = Vec::new();
        for lane in 1..=DEVICE_LANES {
            let (entrance, receiver) = Entrance::new();
            lanes.push(entrance);
            tasks.push(tokio::spawn(lane::run(
                shared.clone(),
                lane,
                receiver,
                stop.clone(),
            )));
        }
        (Self { lanes }, tasks)
    }

    /// Hands in a device's reports and waits for the commit.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing was stored, or it is not known; sending again is harmless.
    pub async fn submit(&self, submission: Submission) -> Result<Receipt, NotTaken> {
        self.send(Work::Events(submission)).await
    }

    /// Lets the deadline tick look at an assignment.
    ///
    /// # Errors
    /// As [`Ingest::submit`].
    pub async fn look_at(
        &self,
        rollout: Uuid,
        device_no: i32,
        contact_at: Option<DateTime<Utc>>,
    ) -> Result<Receipt, NotTaken> {
        self.send(Work::Deadline {
            rollout,
            device_no,
            contact_at,
        })
        .await
    }

    async fn send(&self, work: Work) -> Result<Receipt, NotTaken> {
        let lane = usize::try_from(lane_of(work.device_no()) - 1).unwrap_or(0);
        let answer = self.lanes[lane].hand_in(work)?;
        answer.await.unwrap_or(Err(NotTaken::Unavailable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(bytes: usize) -> Work {
        let event = ParsedEvent {
            seq: 1,
            kind: "heartbeat".into(),
            hash: 0,
            body: "x".repeat(bytes),
            report: None,
            not_ready: None,
        };
        Work::Events(Submission {
            device_no: 1,
            generation: 1,
            epoch: 1,
            events: vec![event],
        })
    }

    #[test]
    fn large_reports_fill_a_lane_before_there_are_many_of_them() {
        let (entrance, mut jobs) = Entrance::new();
        let large = 1024 * 1024;
        let taken = (0..QUEUE)
            .take_while(|_| entrance.hand_in(reports(large)).is_ok())
            .count();
        assert_eq!(taken, QUEUE_KIB / 1025);
        assert_eq!(
            entrance.hand_in(reports(large)).unwrap_err(),
            NotTaken::Busy
        );
        // One is done, and there is room for another.
        drop(jobs.try_recv().unwrap());
        assert!(entrance.hand_in(reports(large)).is_ok());
    }

    #[test]
    fn small_reports_fill_it_by_their_number() {
        let (entrance, _jobs) = Entrance::new();
        let taken = (0..=QUEUE)
            .take_while(|_| entrance.hand_in(reports(10)).is_ok())
            .count();
        assert_eq!(taken, QUEUE);
    }
}
