//! What absence says. Runs on the service clock, so an outage of ours expires nothing.

use chrono::{DateTime, Duration, DurationRound, Utc};

use super::{Assignment, Deadlines, Report, State, Suspicion, Times};
use crate::evidence::COUNTED_EVERY_S;

/// A device counts as alive for an hour after it was heard: that is the longest time between two polls.
pub const HANG_CONTACT_S: i64 = 3600;

/// Judges a device at `now`: at most one report, the one due first, and when to look again. After a report the
/// next look may be due at once. Nothing is judged before a permit, and nothing once there is an outcome.
#[must_use]
pub fn judge(
    assignment: &Assignment,
    times: &Times,
    deadlines: &Deadlines,
    now: DateTime<Utc>,
) -> (Option<Report>, Option<DateTime<Utc>>) {
    if !assignment.state.is_under_way() {
        return (None, None);
    }
    let mut due: Vec<(DateTime<Utc>, Report)> = Vec::with_capacity(3);
    if !assignment.overdue {
        due.push((
            times.permitted_at + Duration::seconds(deadlines.overdue_s),
            Report::Overdue,
        ));
    }
    // Before its first step nothing of ours runs that could hang: the permit lapses, or its user waits.
    if assignment.suspicion.is_none() && assignment.state != State::Permitted {
        due.push((hang_due(times, deadlines, now), Report::HangSuspected));
    }
    if assignment.suspicion != Some(Suspicion::Lost) {
        let heard = times.permitted_at.max(times.contact_at);
        due.push((
            counted_by(heard + Duration::seconds(deadlines.lost_s)),
            Report::Lost,
        ));
    }
    due.sort_by_key(|(at, _)| *at);
    match due.as_slice() {
        [(at, report), rest @ ..] if *at <= now => (Some(*report), rest.first().map(|(at, _)| *at)),
        [(at, _), ..] => (None, Some(*at)),
        [] => (None, None),
    }
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
    let due = times.progress_at.max(times.permitted_at) + Duration::seconds(deadlines.hang_s);
    let alive = Duration::seconds(HANG_CONTACT_S);
    if due <= now && now - times.contact_at > alive {
        now + alive
    } else {
        due
    }
}
