//! Questions to the database that are answered together: whoever waits shares what a question and its commit cost.
//!
//! One task takes what waits, so one connection does for a herd and the others stay free. The more were answered together
//! last, the longer the next ones wait for company: whoever asks alone is answered at once.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::OpError;
use crate::room::Full;

/// Questions that may wait. Each is a task with a request, some 10 kB.
const QUEUE: usize = 2000;

/// How long a batch waits for others, for each question of the batch before it. A share of the time between two
/// questions: while they come more slowly than one in this time, waits stay as short as the batch before was small.
const COMPANY: Duration = Duration::from_micros(250);

/// The longest that a batch waits for others: a fraction of what a device takes to connect.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// What is answered together.
pub trait Work: Send + Sync + 'static {
    /// What is asked.
    type Question: Send + Sync + 'static;
    /// What each is told.
    type Answer: Send + 'static;

    /// What the questions are, for the log.
    const WHAT: &'static str;
    /// Questions of one batch.
    const MOST: usize;
    /// After this whoever asked is told to come later. Longer than any healthy database takes.
    const PATIENCE: Duration;

    /// What must not stand in one batch twice: of questions that share a name the later one is answered in the next batch.
    fn names(_question: &Self::Question) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// The answers, in the order of the questions.
    ///
    /// # Errors
    /// When the database fails: nothing was done for any of them, and each is asked alone.
    fn answer(
        &self,
        questions: &[Self::Question],
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Answer>>> + Send;
}

struct Job<W: Work> {
    question: W::Question,
    reply: oneshot::Sender<W::Answer>,
}

/// Where questions of one kind are asked.
pub struct Batcher<W: Work> {
    queue: mpsc::Sender<Job<W>>,
}

impl<W: Work> Batcher<W> {
    /// Starts answering; ends when cancelled, after what was taken is answered.
    #[must_use]
    pub fn start(work: W, stop: &CancellationToken) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(work, jobs, stop.clone()));
        (Self { queue }, task)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Full`] where too many wait, it takes too long, or the database does not answer.
    pub async fn ask(&self, question: W::Question) -> Result<W::Answer, Full> {
        let (reply, answer) = oneshot::channel();
        let job = Job { question, reply };
        self.queue.try_send(job).map_err(|_| Full)?;
        let answer = tokio::time::timeout(W::PATIENCE, answer).await;
        answer.map_err(|_| Full)?.map_err(|_| Full)
    }

    /// How many more may wait.
    #[must_use]
    pub fn free_to_wait(&self) -> usize {
        self.queue.capacity()
    }
}

/// How long to wait for others after so many were answered together, when so many of at most `most` are here already.
fn wait_for_company(answered_together: usize, here: usize, most: usize) -> Option<Duration> {
    let before = u32::try_from(answered_together).unwrap_or(u32::MAX);
    (before > 1 && here < most).then(|| COMPANY.saturating_mul(before).min(LONGEST_WAIT))
}

async fn run<W: Work>(work: W, mut jobs: mpsc::Receiver<Job<W>>, stop: CancellationToken) {
    let mut taken: Vec<Job<W>> = Vec::with_capacity(W::MOST);
    let mut answered_together = 0;
    loop {
        if taken.is_empty() {
            tokio::select! {
                () = stop.cancelled() => return,
                n = jobs.recv_many(&mut taken, W::MOST) => if n == 0 { return },
            }
        }
        if let Some(wait) = wait_for_company(answered_together, taken.len(), W::MOST) {
            tokio::time::sleep(wait).await;
        }
        while taken.len() < W::MOST
            && let Ok(job) = jobs.try_recv()
        {
            taken.push(job);
        }
        answered_together = taken.len();
        // Whoever gave up meanwhile comes again.
        taken.retain(|job| !job.reply.is_closed());
        let later = keep_each_name_once(&mut taken);
        answer_all(&work, std::mem::replace(&mut taken, later)).await;
    }
}

/// Takes out what shares a name with an earlier one.
fn keep_each_name_once<W: Work>(jobs: &mut Vec<Job<W>>) -> Vec<Job<W>> {
    let mut seen = HashSet::new();
    let (mut now, mut later) = (Vec::with_capacity(jobs.len()), Vec::new());
    for job in jobs.drain(..) {
        let names = W::names(&job.question);
        if names.iter().any(|name| seen.contains(name)) {
            later.push(job);
        } else {
            seen.extend(names);
            now.push(job);
        }
    }
    *jobs = now;
    later
}

/// One question that can not be answered does not keep the others from their answers: after a failure each is asked alone.
/// Where it is the database that can not be asked, nobody is: they are told to come later.
async fn answer_all<W: Work>(work: &W, jobs: Vec<Job<W>>) {
    let mut parts = vec![jobs];
    while let Some(part) = parts.pop() {
        let (questions, replies): (Vec<_>, Vec<_>) = part
            .into_iter()
            .map(|job| (job.question, job.reply))
            .unzip();
        match work.answer(&questions).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _gone = reply.send(answer);
                }
            }
            Err(error) => {
                let alone = questions.len() == 1;
                let error = OpError::from(error);
                tracing::warn!(%error, what = W::WHAT, questions = questions.len(), "could not be answered");
                if !alone && !matches!(error, OpError::Unavailable(_)) {
                    let each = questions.into_iter().zip(replies).rev();
                    parts.extend(each.map(|(question, reply)| vec![Job { question, reply }]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Doubles numbers; 13 can not be answered, and 0 is a database that is gone.
    #[derive(Clone, Default)]
    struct Doubling(Arc<Mutex<Vec<Vec<u32>>>>);

    impl Work for Doubling {
        type Question = u32;
        type Answer = u32;
        const WHAT: &'static str = "numbers";
        const MOST: usize = 4;
        const PATIENCE: Duration = Duration::from_secs(5);

        fn names(question: &u32) -> Vec<Vec<u8>> {
            vec![question.to_be_bytes().to_vec()]
        }

        async fn answer(&self, questions: &[u32]) -> anyhow::Result<Vec<u32>> {
            self.0.lock().unwrap().push(questions.to_vec());
            if questions.contains(&0) {
                return Err(sqlx::Error::PoolTimedOut.into());
            }
            anyhow::ensure!(!questions.contains(&13), "thirteen");
            Ok(questions.iter().map(|n| n * 2).collect())
        }
    }

    /// What many who ask at once are told, and what was asked together.
    async fn told(numbers: &[u32]) -> (Vec<Result<u32, Full>>, Vec<Vec<u32>>) {
        let work = Doubling::default();
        let (batcher, _task) = Batcher::start(work.clone(), &CancellationToken::new());
        let answers = numbers.iter().map(|n| batcher.ask(*n));
        let answers = futures::future::join_all(answers).await;
        (answers, work.0.lock().unwrap().clone())
    }

    #[tokio::test]
    async fn those_who_wait_are_answered_together_and_in_their_order() {
        let (answers, asked) = told(&[1, 2, 3, 4, 5]).await;
        assert_eq!(answers, [2, 4, 6, 8, 10].map(Ok));
        assert_eq!(asked, [vec![1, 2, 3, 4], vec![5]]);
    }

    #[tokio::test]
    async fn what_shares_a_name_is_answered_one_after_the_other() {
        let (answers, asked) = told(&[1, 1, 2, 1]).await;
        assert_eq!(answers, [2, 2, 4, 2].map(Ok));
        assert_eq!(asked, [vec![1, 2], vec![1], vec![1]]);
    }

    #[tokio::test]
    async fn one_that_can_not_be_answered_does_not_keep_the_others_from_their_answers() {
        let (answers, asked) = told(&[1, 13, 2]).await;
        assert_eq!(answers, [Ok(2), Err(Full), Ok(4)]);
        assert_eq!(asked, [vec![1, 13, 2], vec![1], vec![13], vec![2]]);
    }

    #[tokio::test]
    async fn a_database_that_is_gone_is_not_asked_again_for_each() {
        let (answers, asked) = told(&[1, 0, 2]).await;
        assert_eq!(answers, [Err(Full); 3]);
        assert_eq!(asked, [vec![1, 0, 2]]);
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once() {
        let (queue, _jobs) = mpsc::channel(1);
        let batcher = Batcher::<Doubling> { queue };
        let (first, second) = tokio::join!(
            tokio::time::timeout(Duration::from_millis(50), batcher.ask(1)),
            batcher.ask(2)
        );
        assert!(first.is_err(), "it waits");
        assert_eq!(second, Err(Full));
    }

    #[test]
    fn whoever_asks_alone_does_not_wait_and_a_herd_waits_at_most_the_longest() {
        assert_eq!(wait_for_company(0, 1, 256), None);
        assert_eq!(wait_for_company(1, 1, 256), None);
        assert_eq!(wait_for_company(4, 1, 256), Some(Duration::from_millis(1)));
        assert_eq!(wait_for_company(256, 1, 256), Some(LONGEST_WAIT));
        assert_eq!(
            wait_for_company(256, 256, 256),
            None,
            "there is no room for more"
        );
    }
}
