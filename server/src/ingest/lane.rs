//! One lane: takes what waits, commits it together, answers.
//!
//! What comes after a quiet moment is committed at once; what follows within [`APART`] goes together, because a commit
//! costs much the same for one device as for many.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::batch::{self, Committed};
use super::{Job, NotTaken, Shared, Work};
use crate::store;

/// Time between the starts of two commits. A device that waits this long for its acknowledgement notices nothing.
const APART: Duration = Duration::from_millis(20);

/// Runs a lane until cancelled; what was taken by then is finished.
pub(super) async fn run(
    shared: Shared,
    lane: i16,
    mut jobs: mpsc::Receiver<Job>,
    stop: CancellationToken,
) {
    let mut kept: Vec<Job> = Vec::new();
    let mut not_before = Instant::now();
    loop {
        let mut taken = std::mem::take(&mut kept);
        if taken.is_empty() {
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(job) => taken.push(job),
                    None => return,
                },
                () = stop.cancelled() => jobs.close(),
            }
        }
        if taken.len() + jobs.len() < shared.max_batch {
            sleep_until(not_before).await;
        }
        not_before = Instant::now() + APART;
        while taken.len() < shared.max_batch {
            match jobs.try_recv() {
                Ok(job) => taken.push(job),
                Err(_) => break,
            }
        }
        kept = keep_one_per_device(&mut taken);
        commit(&shared, lane, taken).await;
    }
}

/// A device's next request is judged by what its last one left behind, so it waits for the next batch. One may wait:
/// an agent sends one batch at a time, and a device that sends thousands must not hold up the others.
fn keep_one_per_device(taken: &mut Vec<Job>) -> Vec<Job> {
    let (mut first, mut second) = (HashSet::new(), HashSet::new());
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for job in std::mem::take(taken) {
        let device_no = job.work.device_no();
        let ours = matches!(job.work, Work::Deadline { .. });
        if first.insert(device_no) {
            now.push(job);
        } else if second.insert(device_no) || ours {
            later.push(job);
        } else {
            let _gone = job.reply.send(Err(NotTaken::Busy));
        }
    }
    *taken = now;
    later
}

/// Commits a batch. One that fails is halved, so that one bad device harms nobody else; when the database is
/// down, every half fails and every sender is told to come again.
async fn commit(shared: &Shared, lane: i16, jobs: Vec<Job>) {
    let mut parts = vec![jobs];
    while let Some(mut part) = parts.pop() {
        let work: Vec<&Work> = part.iter().map(|j| &j.work).collect();
        match batch::commit(shared, lane, &work).await {
            Ok(Committed {
                receipts,
                announced,
                outcomes,
            }) => {
                shared.health.set(true);
                for (_, n, device_nos) in &announced {
                    shared.picture.advance(device_nos, *n);
                }
                if outcomes {
                    shared.outcomes.notify_one();
                }
                for (job, receipt) in part.into_iter().zip(receipts) {
                    let _gone = job.reply.send(Ok(receipt));
                }
            }
            Err(error) if part.len() == 1 || shared.pool.acquire().await.is_err() => {
                tracing::error!(%error, lane, requests = part.len(), "telemetry could not be stored");
                // One device whose reports can not be stored does not stop the clock of the others.
                shared.health.set(store::answers(&shared.pool).await);
                for job in part {
                    let _gone = job.reply.send(Err(NotTaken::Unavailable));
                }
            }
            Err(error) => {
                tracing::warn!(%error, lane, requests = part.len(), "a batch failed and is halved");
                let second = part.split_off(part.len() / 2);
                parts.push(second);
                parts.push(part);
            }
        }
    }
}
