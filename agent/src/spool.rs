//! Where an agent keeps what must outlive a power loss.

use std::convert::Infallible;

use crate::core::{Change, Stored};

/// Durable store of one agent. A change is written completely or not at all, and is durable when `commit` returns.
pub trait Spool {
    /// Why it could not be read or written. An agent that can not write does not act.
    type Error;

    /// Everything that was committed.
    ///
    /// # Errors
    /// It can not be read.
    fn load(&self) -> Result<Stored, Self::Error>;

    /// Write a change.
    ///
    /// # Errors
    /// It can not be written: nothing of it is.
    fn commit(&mut self, change: Change) -> Result<(), Self::Error>;
}

/// A spool of a simulated device: outlives its agent, not the process.
#[derive(Debug, Clone, Default)]
pub struct MemorySpool {
    stored: Stored,
}

impl MemorySpool {
    /// Lose the events and their numbering, as a damaged disk does. Identity and job stay.
    pub fn lose_events(&mut self) {
        self.stored.mark = None;
        self.stored.events.clear();
    }
}

impl Spool for MemorySpool {
    type Error = Infallible;

    fn load(&self) -> Result<Stored, Infallible> {
        Ok(self.stored.clone())
    }

    fn commit(&mut self, change: Change) -> Result<(), Infallible> {
        if let Some(state) = change.state {
            self.stored.state = Some(state);
        }
        if change.renumbered {
            self.stored.events.clear();
        }
        self.stored.events.extend(change.events);
        if let Some(mark) = change.mark {
            self.stored.events.retain(|event| event.seq > mark.acked);
            self.stored.mark = Some(mark);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::{Event, EventKind};

    use super::*;
    use crate::core::Mark;

    fn event(seq: u64) -> Event {
        let kind = EventKind::Heartbeat {
            rollout: None,
            phase: None,
        };
        Event {
            seq,
            at: chrono::DateTime::UNIX_EPOCH,
            powered_s: 0,
            kind,
        }
    }

    fn change(seqs: &[u64], acked: u64) -> Change {
        Change {
            events: seqs.iter().copied().map(event).collect(),
            mark: Some(Mark {
                epoch: 1,
                next_seq: 9,
                acked,
            }),
            ..Change::default()
        }
    }

    fn seqs(spool: &MemorySpool) -> Vec<u64> {
        let Ok(stored) = spool.load();
        stored.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn events_stay_until_they_are_acknowledged() {
        let mut spool = MemorySpool::default();
        for change in [change(&[1, 2], 0), change(&[3], 1), Change::default()] {
            let Ok(()) = spool.commit(change);
        }
        assert_eq!(seqs(&spool), [2, 3]);
    }

    #[test]
    fn a_new_epoch_replaces_all_numbers() {
        let mut spool = MemorySpool::default();
        let Ok(()) = spool.commit(change(&[5, 6], 4));
        let Ok(()) = spool.commit(Change {
            renumbered: true,
            ..change(&[1, 2], 0)
        });
        assert_eq!(seqs(&spool), [1, 2]);
    }

    #[test]
    fn a_lost_spool_keeps_who_the_device_is() {
        let mut spool = MemorySpool::default();
        let Ok(()) = spool.commit(change(&[1], 0));
        spool.lose_events();
        let Ok(stored) = spool.load();
        assert_eq!((stored.mark, stored.events.len()), (None, 0));
    }
}
