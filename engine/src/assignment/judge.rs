//! What absence says. Runs on the service clock, so an outage of ours expires nothing.

use chrono::{DateTime, Duration, DurationRound, Utc};

use super::{Assignment, Deadlines, Powered, Report, State, Suspicion, Times};
use crate::evidence::COUNTED_EVERY_S;

/// A device counts as alive for an hour after it was heard: that is the longest time between two polls.
pub const HANG_CONTACT_S: i64 = 3600;

/// A device that owes some seconds of powered-on time is not looked at more often than this.
const LOOK_EVERY_S: i64 = 60;

/// Judges a device at `now`: at most one report, the one due first, and when to look again. After a report the
/// next look may be due at once. Nothing is judged before a permit, and nothing once there is an outcome.
#[must_use]
pub fn judge(
    assignment: &Assignment,
    times: &Times,
    deadlines: &Deadlines,
    now: DateTime<Utc>,
) -> (Option<Report>, Option<DateTime<Utc>>) {
    if let State::Remediating { .. } = assignment.state {
        let due = hang_due(times, deadlines, now).min(lost_due(times, deadlines));
        return if due <= now {
            (Some(Report::RepairGivenUp), None)
        } else {
            (None, Some(due))
        };
    }
    if !assignment.state.is_under_way() {
        return (None, None);
    }
    let mut due: Vec<(DateTime<Utc>, Report)> = Vec::with_capacity(3);
    if !assignment.overdue {
        let on = |powered: &Powered| powered.since_permit_s;
        let due_at = powered_due(times, times.permitted_at, deadlines.overdue_s, on, now);
        due.push((due_at, Report::Overdue));
    }
    // Before its first step nothing of ours runs that could hang: the permit lapses, or its user waits.
    if assignment.suspicion.is_none() && assignment.state != State::Permitted {
        due.push((hang_due(times, deadlines, now), Report::HangSuspected));
    }
    if assignment.suspicion != Some(Suspicion::Lost) {
        due.push((lost_due(times, deadlines), Report::Lost));
    }
    due.sort_by_key(|(at, _)| *at);
    match due.as_slice() {
        [(at, report), rest @ ..] if *at <= now => (Some(*report), rest.first().map(|(at, _)| *at)),
        [(at, _), ..] => (None, Some(*at)),
        [] => (None, None),
    }
}

fn lost_due(times: &Times, deadlines: &Deadlines) -> DateTime<Utc> {
    let heard = times.permitted_at.max(times.contact_at);
    counted_by(heard + Duration::seconds(deadlines.lost_s))
}

/// The next time at which those who can fall silent are counted: whatever befell updated devices and others alike is known
/// of the others first, and no halt comes of it in between.
fn counted_by(at: DateTime<Utc>) -> DateTime<Utc> {
    // Fails only centuries from now.
    at.duration_round_up(Duration::seconds(COUNTED_EVERY_S))
        .unwrap_or(at)
}

/// When a device without progress is to be suspected. One that is not heard of may be switched off: it is no
/// hang, it is looked at again in an hour, and in the end it is lost.
fn hang_due(times: &Times, deadlines: &Deadlines, now: DateTime<Utc>) -> DateTime<Utc> {
    let since = times.progress_at.max(times.permitted_at);
    let on = |powered: &Powered| powered.since_progress_s;
    let mut due = powered_due(times, since, deadlines.hang_s, on, now);
    if let Some(powered) = &times.powered {
        // It polls, and has told nothing for as long as makes a silent device lost: what should tell of it hangs as well.
        due = due.min(powered.told_at.max(since) + Duration::seconds(deadlines.lost_s));
    }
    let alive = Duration::seconds(HANG_CONTACT_S);
    if due <= now && now - times.contact_at > alive {
        now + alive
    } else {
        due
    }
}

/// When a device has been powered on for `limit_s` since `since`, at the earliest: what it still owes by its own account has
/// to pass first.
fn powered_due(
    times: &Times,
    since: DateTime<Utc>,
    limit_s: i64,
    on: impl Fn(&Powered) -> i64,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let due = since + Duration::seconds(limit_s);
    let Some(powered) = times.powered.filter(|_| due <= now) else {
        return due;
    };
    match limit_s - on(&powered) {
        ..=0 => due,
        // Nothing new comes from it: it is asleep, or gone.
        _ if now - powered.told_at > Duration::seconds(HANG_CONTACT_S) => {
            now + Duration::seconds(HANG_CONTACT_S)
        }
        owed_s => now + Duration::seconds(owed_s.max(LOOK_EVERY_S)),
    }
}
