//! What is going to happen, by the minute.

use std::collections::BTreeMap;

use super::Minute;

/// What happens to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It reports that its build is verified.
    Succeeds,
    /// It reports a failure.
    Fails,
    /// It took longer than usual.
    Overdue,
    /// No progress for the hang time.
    Hangs,
    /// It is heard of for the last time, for now.
    FallsSilent,
    /// It was not heard of for the time after which a device is lost.
    Lost,
}

impl Event {
    /// Deadlines run on the service clock; the others are what devices do.
    fn is_deadline(self) -> bool {
        matches!(self, Self::Overdue | Self::Hangs | Self::Lost)
    }

    /// What a server must be there for.
    fn is_report(self) -> bool {
        matches!(self, Self::Succeeds | Self::Fails)
    }
}

/// Whom it happens to: a device by its place, or one of those that were not updated.
pub(super) type Who = Option<usize>;

/// Events to come.
#[derive(Debug, Default)]
pub(super) struct Events(BTreeMap<Minute, Vec<(Who, Event)>>);

impl Events {
    pub(super) fn add(&mut self, at: Minute, who: Who, event: Event) {
        self.0.entry(at).or_default().push((who, event));
    }

    pub(super) fn due(&mut self, now: Minute) -> Vec<(Who, Event)> {
        self.0.remove(&now).unwrap_or_default()
    }

    /// When the next of them happens.
    pub(super) fn next(&self) -> Option<Minute> {
        self.0.keys().next().copied()
    }

    /// The service is away from `from` to `to`: its clock stands still, and reports come after, spread by `spread`. Nothing
    /// expires before `grace` after it.
    pub(super) fn outage(
        &mut self,
        (from, to): (Minute, Minute),
        grace: Minute,
        mut spread: impl FnMut() -> Minute,
    ) {
        for (at, events) in std::mem::take(&mut self.0) {
            for (who, event) in events {
                let at = if event.is_deadline() {
                    (at + (to - from)).max(to + grace)
                } else if event.is_report() && at < to {
                    to + spread()
                } else {
                    at
                };
                self.add(at, who, event);
            }
        }
    }
}
