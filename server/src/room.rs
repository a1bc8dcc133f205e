//! How much may be under way at once. A slow database must pile up neither tasks nor bodies: what finds no room is
//! turned away at once, told to come again, and costs nothing meanwhile.
//!
//! Telemetry and permits wait in queues of their own. What is bounded here is what would otherwise stand in their way:
//! calls that take a connection, and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Nothing is free. Coming again later is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much is under way")]
pub struct Full;

/// A line before a few places.
#[derive(Debug)]
pub struct Line {
    places: Arc<Semaphore>,
    waiting: Semaphore,
    patience: Duration,
}

impl Line {
    /// So many may be inside and so many wait, each so long.
    #[must_use]
    pub fn new(places: usize, waiting: usize, patience: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            waiting: Semaphore::new(waiting),
            patience,
        }
    }

    /// Waits for a place, which is given back when it is dropped.
    ///
    /// # Errors
    /// [`Full`]: too many wait already, or it took too long.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Full> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| Full)?;
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(self.patience, place).await;
        place.map_err(|_| Full)?.map_err(|_| Full)
    }
}

/// Bytes that may be in memory at once.
#[derive(Debug, Clone)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// So many bytes.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Room of this budget, empty at first.
    #[must_use]
    pub fn room(&self) -> Room {
        Room(Arc::new(Taken {
            budget: self.clone(),
            bytes: AtomicUsize::new(0),
        }))
    }

    /// Bytes that nobody has taken.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// What one request has taken of a [`Budget`]; given back when the last of its holders is gone.
#[derive(Debug, Clone)]
pub struct Room(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    budget: Budget,
    bytes: AtomicUsize,
}

impl Room {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// [`Full`]; nothing more was taken.
    pub fn take(&self, bytes: usize) -> Result<(), Full> {
        let free = &self.0.budget.0;
        free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            free.checked_sub(bytes)
        })
        .map_err(|_| Full)?;
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.budget.0.fetch_add(bytes, Ordering::AcqRel);
    }
}

/// Rooms and lines of device calls.
#[derive(Debug)]
pub struct Bounds {
    /// Token requests and downloads.
    pub calls: Line,
    /// Bodies of devices that are known, from the first byte to the commit.
    pub known: Budget,
    /// Bodies of whoever else asks: they can not take the room of those who report.
    pub strangers: Budget,
}

/// Who waits is a task with a request, some 10 kB.
const WAITING: usize = 1000;

/// Longer than any healthy database takes; well below the time after which callers give up.
const PATIENCE: Duration = Duration::from_secs(2);

/// At 4 kB a batch these are 8,000 batches, a second of the largest load; parsed they take some times as much.
const KNOWN: usize = 32 * 1024 * 1024;

/// Enrolments and token requests are a few kB each.
const STRANGERS: usize = 8 * 1024 * 1024;

impl Bounds {
    /// For a pool of so many connections: these calls take a quarter of them at most, polls one, the rest is for telemetry,
    /// permits, drivers and people.
    #[must_use]
    pub fn new(pool_size: u32) -> Self {
        let quarter = usize::try_from(pool_size / 4).unwrap_or(1).max(1);
        Self {
            calls: Line::new(quarter, WAITING, PATIENCE),
            known: Budget::of(KNOWN),
            strangers: Budget::of(STRANGERS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_lets_few_in_lets_some_wait_and_turns_the_rest_away_at_once() {
        let patience = Duration::from_millis(300);
        let line = Line::new(1, 2, patience);
        let inside = line.enter().await.unwrap();
        let started = std::time::Instant::now();
        let (a, b, c) = tokio::join!(line.enter(), line.enter(), async {
            let refused = line.enter().await.map(|_| ());
            (refused, started.elapsed())
        });
        assert!(a.is_err() && b.is_err(), "they waited in vain");
        assert!(c.0.is_err() && c.1 < patience, "{c:?}");
        assert!(started.elapsed() >= patience);
        assert_eq!(line.waiting.available_permits(), 2);
        drop(inside);
        assert!(line.enter().await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_comes_in_when_a_place_is_free() {
        let line = Line::new(1, 2, PATIENCE);
        let inside = line.enter().await.unwrap();
        let (next, ()) = tokio::join!(line.enter(), async { drop(inside) });
        assert!(next.is_ok());
    }

    #[test]
    fn bytes_are_given_back_when_the_last_holder_is_gone() {
        let budget = Budget::of(100);
        let (one, two) = (budget.room(), budget.room());
        one.take(60).unwrap();
        one.take(30).unwrap();
        assert_eq!(two.take(20), Err(Full));
        let in_the_queue = one.clone();
        drop(one);
        assert_eq!(two.take(20), Err(Full));
        drop(in_the_queue);
        two.take(20).unwrap();
        assert_eq!(budget.free(), 80);
    }
}
