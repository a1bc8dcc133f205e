//! Events on their way to the server: numbered without gaps, sent in order, dropped only when acknowledged.

use std::collections::VecDeque;

use agent_protocol::{Event, EventBatch, EventsAnswer, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};

use super::state::Mark;

/// Room for the epoch and the brackets around the events.
const ENVELOPE_BYTES: usize = 64;

/// The events of one device that are not acknowledged.
#[derive(Debug)]
pub(super) struct Outbox {
    mark: Option<Mark>,
    events: VecDeque<Event>,
}

/// What an acknowledgement meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acked {
    /// Some events are done with.
    Progress,
    /// None are: the server did not get further.
    Nothing,
    /// Server and spool no longer fit; everything that is left has a new number in a new epoch.
    Renumbered,
}

impl Outbox {
    pub(super) fn new(mark: Option<Mark>, events: Vec<Event>) -> Self {
        Self {
            mark,
            events: events.into(),
        }
    }

    /// Numbering, once the epoch is known.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.mark
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// Give an event its number. Without an epoch it waits with a number of its own until one is known.
    pub(super) fn push(&mut self, mut event: Event) -> Event {
        let seq = match &mut self.mark {
            Some(mark) => {
                mark.next_seq += 1;
                mark.next_seq - 1
            }
            None => self.events.back().map_or(1, |last| last.seq + 1),
        };
        event.seq = seq;
        self.events.push_back(event.clone());
        event
    }

    /// Start an epoch in which everything that is left is numbered from 1.
    pub(super) fn begin_epoch(&mut self, epoch: u32) {
        for (seq, event) in (1..).zip(&mut self.events) {
            event.seq = seq;
        }
        self.mark = Some(Mark {
            epoch,
            next_seq: self.events.len() as u64 + 1,
            acked: 0,
        });
    }

    /// The next batch; an empty one of the given epoch asks a server where it is, when the spool was lost.
    pub(super) fn batch(&self, incarnation: u32) -> EventBatch {
        let Some(mark) = self.mark else {
            return EventBatch {
                epoch: incarnation,
                events: Vec::new(),
            };
        };
        let mut bytes = ENVELOPE_BYTES;
        let fits = |event: &&Event| {
            bytes += size_of_json(event);
            bytes <= MAX_BATCH_BYTES
        };
        let events = self
            .events
            .iter()
            .take(MAX_BATCH_EVENTS)
            .take_while(fits)
            .cloned()
            .collect();
        EventBatch {
            epoch: mark.epoch,
            events,
        }
    }

    /// The server said how far it is, in an answer or in a refusal for a gap.
    pub(super) fn acknowledge(&mut self, answer: EventsAnswer) -> Acked {
        let Some(mark) = &mut self.mark else {
            self.begin_epoch(answer.epoch.saturating_add(1));
            return Acked::Renumbered;
        };
        let can_go_on = answer.epoch == mark.epoch
            && answer.acked >= mark.acked
            && answer.acked < mark.next_seq;
        // A server that has not seen this epoch yet takes it from its first event.
        let unseen = answer.epoch < mark.epoch && mark.acked == 0;
        if unseen {
            return Acked::Nothing;
        }
        if !can_go_on {
            let epoch = answer.epoch.max(mark.epoch).saturating_add(1);
            self.begin_epoch(epoch);
            return Acked::Renumbered;
        }
        if answer.acked == mark.acked {
            return Acked::Nothing;
        }
        mark.acked = answer.acked;
        while self
            .events
            .front()
            .is_some_and(|event| event.seq <= answer.acked)
        {
            self.events.pop_front();
        }
        Acked::Progress
    }
}

fn size_of_json(event: &Event) -> usize {
    serde_json::to_vec(event).map_or(MAX_BATCH_BYTES, |json| json.len() + 1)
}

#[cfg(test)]
mod tests {
    use agent_protocol::EventKind;

    use super::*;

    fn outbox(events: usize, phase: &str) -> Outbox {
        let mut outbox = Outbox::new(None, Vec::new());
        outbox.begin_epoch(1);
        for _ in 0..events {
            outbox.push(Event {
                seq: 0,
                at: chrono::DateTime::UNIX_EPOCH,
                powered_s: 0,
                kind: EventKind::Heartbeat {
                    rollout: None,
                    phase: Some(phase.to_owned()),
                },
            });
        }
        outbox
    }

    fn seqs(outbox: &Outbox) -> Vec<u64> {
        outbox.events().map(|event| event.seq).collect()
    }

    fn answer(epoch: u32, acked: u64) -> EventsAnswer {
        EventsAnswer { epoch, acked }
    }

    #[test]
    fn a_batch_holds_at_most_500_events_and_256_kib() {
        assert_eq!(outbox(1200, "x").batch(1).events.len(), MAX_BATCH_EVENTS);
        let long = outbox(500, &"x".repeat(2000)).batch(1);
        assert!(long.events.len() > 100);
        assert!(serde_json::to_vec(&long).unwrap().len() <= MAX_BATCH_BYTES);
        let one_more = serde_json::to_vec(&long.events[0]).unwrap().len() * 2;
        assert!(serde_json::to_vec(&long).unwrap().len() + one_more > MAX_BATCH_BYTES);
    }

    #[test]
    fn only_what_is_acknowledged_goes() {
        let mut outbox = outbox(5, "x");
        assert_eq!(outbox.acknowledge(answer(1, 3)), Acked::Progress);
        assert_eq!(seqs(&outbox), [4, 5]);
        assert_eq!(outbox.acknowledge(answer(1, 3)), Acked::Nothing);
        assert_eq!(seqs(&outbox), [4, 5]);
        assert_eq!(outbox.acknowledge(answer(1, 5)), Acked::Progress);
        assert!(outbox.is_empty());
        assert_eq!(
            outbox
                .push(Event {
                    seq: 0,
                    ..outbox_event()
                })
                .seq,
            6
        );
    }

    fn outbox_event() -> Event {
        outbox(1, "x").events.pop_front().unwrap()
    }

    #[test]
    fn a_server_that_lost_or_knows_other_events_gets_a_new_epoch() {
        for (told, epoch) in [
            (answer(1, 1), 2),
            (answer(1, 9), 2),
            (answer(7, 0), 8),
            (answer(0, 9), 2),
        ] {
            let mut outbox = outbox(5, "x");
            outbox.acknowledge(answer(1, 3));
            assert_eq!(outbox.acknowledge(told), Acked::Renumbered, "{told:?}");
            assert_eq!(
                outbox.mark(),
                Some(Mark {
                    epoch,
                    next_seq: 3,
                    acked: 0
                })
            );
            assert_eq!(seqs(&outbox), [1, 2]);
        }
    }

    #[test]
    fn a_server_that_has_not_seen_the_epoch_yet_gets_its_beginning_again() {
        let mut outbox = outbox(2, "x");
        outbox.begin_epoch(4);
        assert_eq!(outbox.acknowledge(answer(3, 17)), Acked::Nothing);
        assert_eq!(outbox.batch(1).events[0].seq, 1);
    }

    #[test]
    fn without_an_epoch_the_server_is_asked_first() {
        let mut outbox = Outbox::new(None, Vec::new());
        outbox.push(outbox_event());
        outbox.push(outbox_event());
        assert_eq!(seqs(&outbox), [1, 2]);
        assert_eq!(
            outbox.batch(3),
            EventBatch {
                epoch: 3,
                events: Vec::new()
            }
        );
        assert_eq!(outbox.acknowledge(answer(3, 40)), Acked::Renumbered);
        assert_eq!(outbox.batch(3).epoch, 4);
    }
}
