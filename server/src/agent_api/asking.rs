//! Polls that memory can not answer ask together: after a change they come by the thousand, and one question for all that
//! wait costs little more than one for each of the first few. One connection does, so telemetry has the others.
//!
//! The more asked together last, the longer the next question waits for company: whoever asks alone is answered at once,
//! and a herd shares what a question costs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Assignment;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::orders;
use crate::clock::SharedClock;
use crate::fleet::{Catalogue, Glance, Picture};
use crate::http::Failure;
use crate::store::offers;

/// Polls that may wait. Each is a task with a request, some 10 kB.
const QUEUE: usize = 2000;

/// Polls of one question.
const MOST: usize = 256;

/// How long a question waits for others, for each poll of the question before it. A share of the time between two polls
/// that ask: while they come more slowly than one in this time, waits stay as short as the question before was small.
const COMPANY: Duration = Duration::from_micros(250);

/// The longest that a question waits for others: a fraction of what a device takes to connect.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// Longer than any healthy database takes; well below the time after which callers give up.
const PATIENCE: Duration = Duration::from_secs(2);

const LATER: Failure = Failure::Unavailable("Too many ask at once. Come again later.");

struct Question {
    device_no: i32,
    glance: Glance,
    reply: oneshot::Sender<Result<Assignment, Failure>>,
}

/// Where polls ask.
#[derive(Clone)]
pub struct Asking {
    queue: mpsc::Sender<Question>,
}

/// What answering needs.
pub struct Answering {
    /// Database.
    pub pool: PgPool,
    /// What is noted of devices.
    pub picture: Arc<Picture>,
    /// Sequences by digest.
    pub catalogue: Arc<Catalogue>,
    /// Where time comes from.
    pub clock: SharedClock,
}

impl Asking {
    /// Starts answering; ends when cancelled.
    #[must_use]
    pub fn start(
        answering: Answering,
        stop: &CancellationToken,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, questions) = mpsc::channel(QUEUE);
        let task = tokio::spawn(answering.run(questions, stop.clone()));
        (Self { queue }, task)
    }

    /// What a device is to do. What was seen of it is noted in the picture as of `glance`: so that it polls at the right
    /// pace, and is answered from memory next time where nothing is going on.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] where too many wait or it takes too long; [`Failure::Unauthorized`] for a device that is gone.
    pub async fn ask(&self, device_no: i32, glance: Glance) -> Result<Assignment, Failure> {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            device_no,
            glance,
            reply,
        };
        self.queue.try_send(question).map_err(|_| LATER)?;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.map_err(|_| LATER)?.map_err(|_| LATER)?
    }

    /// How many more may wait.
    #[must_use]
    pub fn free_to_wait(&self) -> usize {
        self.queue.capacity()
    }
}

/// How long to wait for others after so many asked together before, when so many are here already.
fn wait_for_company(asked_together: usize, here: usize) -> Option<Duration> {
    let before = u32::try_from(asked_together).unwrap_or(u32::MAX);
    (before > 1 && here < MOST).then(|| COMPANY.saturating_mul(before).min(LONGEST_WAIT))
}

impl Answering {
    async fn run(self, mut questions: mpsc::Receiver<Question>, stop: CancellationToken) {
        let mut taken = Vec::with_capacity(MOST);
        let mut asked_together = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                n = questions.recv_many(&mut taken, MOST) => if n == 0 { return },
            }
            if let Some(wait) = wait_for_company(asked_together, taken.len()) {
                tokio::time::sleep(wait).await;
                while taken.len() < MOST
                    && let Ok(question) = questions.try_recv()
                {
                    taken.push(question);
                }
            }
            asked_together = taken.len();
            // Whoever gave up meanwhile comes again.
            taken.retain(|question| !question.reply.is_closed());
            if let Err(error) = self.answer(&mut taken).await {
                tracing::warn!(%error, polls = taken.len(), "polls could not be answered together");
            }
            // One device whose rows can not be read does not keep the others from their answers. Those that are left
            // without one are told to come later.
            for question in std::mem::take(&mut taken) {
                if question.reply.is_closed() {
                    continue;
                }
                let device_no = question.device_no;
                if let Err(error) = self.answer(&mut vec![question]).await {
                    tracing::error!(%error, device_no, "a poll could not be answered");
                }
            }
        }
    }

    async fn answer(&self, questions: &mut Vec<Question>) -> anyhow::Result<()> {
        let device_nos: Vec<i32> = questions.iter().map(|q| q.device_no).collect();
        let mut conn = self.pool.acquire().await?;
        let standings = offers::standings(&mut conn, &device_nos).await?;
        let now = self.clock.now();
        let mut found = HashMap::new();
        for (device_no, standing) in &standings {
            let answer = orders::for_device(&mut conn, &self.catalogue, standing, now).await;
            found.insert(*device_no, answer);
        }
        for question in questions.drain(..) {
            let answer = match found.get(&question.device_no) {
                Some(Ok((assignment, seen))) => {
                    let digest = &standings[&question.device_no].inventory_digest;
                    let version = question.glance.version;
                    self.picture
                        .note(question.device_no, version, *seen, digest);
                    Ok(assignment.clone())
                }
                Some(Err(error)) => Err(Failure::from(anyhow::anyhow!(
                    "device {}: {error:#}",
                    question.device_no
                ))),
                None => Err(Failure::Unauthorized("The device is gone.")),
            };
            let _gone = question.reply.send(answer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_alone_does_not_wait_and_a_herd_waits_at_most_the_longest() {
        assert_eq!(wait_for_company(0, 1), None);
        assert_eq!(wait_for_company(1, 1), None);
        assert_eq!(wait_for_company(4, 1), Some(Duration::from_millis(1)));
        assert_eq!(wait_for_company(MOST, 1), Some(LONGEST_WAIT));
        assert_eq!(
            wait_for_company(MOST, MOST),
            None,
            "there is no room for more"
        );
    }
}
