//! Virtual time: it moves only when somebody moves it, and waits for those who take part.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

tokio::task_local! {
    /// The participant on whose behalf the present task runs.
    static PARTICIPANT: u64;
}

/// A clock that stands still until [`VirtualClock::advance_to`] moves it.
///
/// Whoever runs inside [`VirtualClock::participate`] takes part: time does not move on while a participant
/// is awake. So a background task that sleeps on this clock finishes its turn before the next one comes.
#[derive(Debug)]
pub struct VirtualClock {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    now: DateTime<Utc>,
    next_id: u64,
    sleepers: BTreeMap<(DateTime<Utc>, u64), Sleeper>,
    /// How many sleeps each participant is in. None: it is awake.
    participants: HashMap<u64, u32>,
    /// Those who wait for all participants to be asleep.
    watchers: Vec<Waker>,
}

#[derive(Debug)]
struct Sleeper {
    waker: Waker,
    participant: Option<u64>,
}

impl VirtualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> Arc<Self> {
        let inner = Inner {
            now: start,
            next_id: 0,
            sleepers: BTreeMap::new(),
            participants: HashMap::new(),
            watchers: Vec::new(),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.lock().now
    }

    /// Sleep until the clock was moved by `time`.
    pub fn sleep(self: &Arc<Self>, time: Duration) -> Sleep {
        let mut inner = self.lock();
        inner.next_id += 1;
        let time = TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        let until = inner
            .now
            .checked_add_signed(time)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        Sleep {
            key: (until, inner.next_id),
            participant: PARTICIPANT.try_with(|id| *id).ok(),
            is_registered: false,
            clock: Arc::clone(self),
        }
    }

    /// Run `work` as a participant, from now until it ends or is dropped.
    pub fn participate<F: Future>(
        self: &Arc<Self>,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.participants.insert(id, 0);
        let membership = Membership {
            id,
            clock: Arc::clone(self),
        };
        async move {
            let membership = membership;
            PARTICIPANT.scope(membership.id, work).await
        }
    }

    /// Move the clock to `target`, never back. On the way it stops at every time at which somebody wakes up,
    /// and goes on when all participants sleep again or have ended. A participant must not call this.
    pub async fn advance_to(&self, target: DateTime<Utc>) {
        loop {
            self.all_asleep().await;
            let woken = {
                let mut inner = self.lock();
                let Some((&(next, _), _)) = inner
                    .sleepers
                    .first_key_value()
                    .filter(|((next, _), _)| *next <= target)
                else {
                    inner.now = inner.now.max(target);
                    return;
                };
                inner.now = inner.now.max(next);
                inner.wake_due()
            };
            woken.into_iter().for_each(Waker::wake);
        }
    }

    async fn all_asleep(&self) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.participants.values().all(|sleeps| *sleeps > 0) {
                return Poll::Ready(());
            }
            inner.watchers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Take out everybody who is due: those who take part are awake from here on.
    fn wake_due(&mut self) -> Vec<Waker> {
        let later = self
            .sleepers
            .split_off(&(self.now + TimeDelta::nanoseconds(1), 0));
        let due = std::mem::replace(&mut self.sleepers, later);
        due.into_values()
            .map(|sleeper| {
                self.count(sleeper.participant, false);
                sleeper.waker
            })
            .collect()
    }

    fn count(&mut self, participant: Option<u64>, falls_asleep: bool) {
        let Some(sleeps) = participant.and_then(|id| self.participants.get_mut(&id)) else {
            return;
        };
        *sleeps = if falls_asleep {
            *sleeps + 1
        } else {
            sleeps.saturating_sub(1)
        };
        if falls_asleep {
            self.tell_watchers();
        }
    }

    fn tell_watchers(&mut self) {
        self.watchers.drain(..).for_each(Waker::wake);
    }
}

/// Ends when the clock was moved far enough.
#[derive(Debug)]
#[must_use = "a sleep that is not awaited does nothing"]
pub struct Sleep {
    key: (DateTime<Utc>, u64),
    participant: Option<u64>,
    is_registered: bool,
    clock: Arc<VirtualClock>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = Arc::clone(&self.clock);
        let mut inner = clock.lock();
        if self.is_registered {
            return match inner.sleepers.get_mut(&self.key) {
                Some(sleeper) => {
                    sleeper.waker.clone_from(context.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            };
        }
        if self.key.0 <= inner.now {
            return Poll::Ready(());
        }
        self.is_registered = true;
        let sleeper = Sleeper {
            waker: context.waker().clone(),
            participant: self.participant,
        };
        inner.sleepers.insert(self.key, sleeper);
        inner.count(self.participant, true);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let mut inner = self.clock.lock();
        if inner.sleepers.remove(&self.key).is_some() {
            inner.count(self.participant, false);
        }
    }
}

/// A participant, until dropped.
#[derive(Debug)]
struct Membership {
    id: u64,
    clock: Arc<VirtualClock>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.clock.lock();
        inner.participants.remove(&self.id);
        inner.tell_watchers();
    }
}
