//! What a device is to do now: from its assignment, its facts, and what its ring is offered.

use agent_protocol::{Assignment as Wire, Order, RemediationAction};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use engine::assignment::State;
use engine::remediation::{self, Repair, Rung};
use engine::rollout::RolloutState;
use servicing::{Planned, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::fleet::{Catalogue, Seen};
use crate::permits::START_WITHIN;
use crate::store::assignments::Stored;
use crate::store::offers::{Offer, Standing};
use crate::store::service_clock;

/// What is said where no stage is open for the device's ring.
const NOT_OFFERED: &str = "Nothing is offered to this device's ring.";

/// The order for a device, with why, and what of it the picture should know.
///
/// # Errors
/// When the database fails, or what it holds can not be read.
pub(super) async fn for_device(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    standing: &Standing,
    now: DateTime<Utc>,
) -> anyhow::Result<(Wire, Seen)> {
    let (order, why) = decide(conn, catalogue, standing, now).await?;
    // Also what has an outcome may have an order: another try, or a removal.
    let over = |s: &Stored| s.assignment.state.is_outcome() && order.rollout() != Some(s.rollout);
    let seen = Seen {
        idle: matches!(order, Order::Nothing),
        quiet: standing.assignments.iter().all(over),
    };
    Ok((wire(order, why, &standing.inventory_digest), seen))
}

/// The order for a device whose ring is offered nothing and for which everything that it began is over: the same as
/// [`for_device`] would find.
pub fn at_rest(inventory_digest: &Sha256) -> Wire {
    wire(Order::Nothing, NOT_OFFERED.to_owned(), inventory_digest)
}

fn wire(order: Order, why: String, inventory_digest: &Sha256) -> Wire {
    Wire {
        order,
        why,
        inventory_digest: Some(inventory_digest.to_string()),
    }
}

async fn decide(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    device: &Standing,
    now: DateTime<Utc>,
) -> anyhow::Result<(Order, String)> {
    let (mine, offers) = (&device.assignments, &device.offers);
    // What was begun is brought to its end first, also where a newer rollout waits.
    for stored in mine
        .iter()
        .filter(|s| s.assignment.state.is_under_way())
        .filter(|s| is_of_this_incarnation(s, device))
    {
        let offer = offers.iter().find(|o| o.rollout == stored.rollout);
        if let Some(offer) = offer.filter(|o| !is_let_go(o, stored)) {
            let hold = match stored.assignment.state {
                State::Permitted => device.hold(offer, true)?,
                _ => None,
            };
            return Ok(match hold {
                Some(hold) => (
                    Order::Hold {
                        rollout: offer.rollout,
                    },
                    hold.sentence(),
                ),
                None => begun(offer, stored, now),
            });
        }
    }
    if let Some(removal) = removal(device)? {
        return Ok(removal);
    }
    let mut why = NOT_OFFERED.to_owned();
    for offer in offers.iter().filter(|o| o.open) {
        let stored = mine.iter().find(|s| s.rollout == offer.rollout);
        let failed = match stored {
            Some(s) if s.assignment.state.is_outcome() || s.assignment.started => {
                let after = after_failure(offer, s).filter(|_| is_of_this_incarnation(s, device));
                if after.is_none() {
                    if offer.of_ring {
                        "The rollout is over for this device.".clone_into(&mut why);
                    }
                    continue;
                }
                after
            }
            _ => None,
        };
        if offer.for_others {
            continue;
        }
        if let Some(hold) = device.hold(offer, failed.is_some())? {
            why = hold.sentence();
            continue;
        }
        if matches!(failed, Some(AfterFailure::Mending)) {
            let rollout = offer.rollout;
            return Ok((Order::Hold { rollout }, "A repair is under way.".to_owned()));
        }
        let sequence = catalogue
            .get(&mut *conn, offer.digest)
            .await?
            .context("a rollout without its sequence")?;
        let (facts, ledger) = device.inventory()?;
        match (servicing::plan(&sequence, &facts, &ledger), failed) {
            // Somebody may have brought it there by hand: then there is nothing to mend.
            (Planned::Steps(_) | Planned::NotReady(..), Some(AfterFailure::Mend(repair))) => {
                return Ok(mend(offer.rollout, repair));
            }
            (Planned::Steps(_), _) => {
                let deadline = deadline(&mut *conn, offer, stored, now).await?;
                return Ok(prepare(offer, stored, deadline));
            }
            (Planned::NotReady(_, reasons), _) => {
                let reasons = reasons
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ");
                return Ok((
                    Order::Prepare {
                        rollout: offer.rollout,
                        digest: offer.digest.to_string(),
                    },
                    reasons,
                ));
            }
            (Planned::Complete, _) => {
                format!("{} is installed already.", sequence.kb).clone_into(&mut why);
            }
            (Planned::Ahead, _) => format!(
                "The device is on a newer build than {} brings.",
                sequence.kb
            )
            .clone_into(&mut why),
            (Planned::NotApplicable(reason), _) => reason.to_string().clone_into(&mut why),
        }
    }
    Ok((Order::Nothing, why))
}

/// What is to be removed from the device again, where it still has it: a later update in its place is none of this.
fn removal(device: &Standing) -> anyhow::Result<Option<(Order, String)>> {
    for stored in device
        .assignments
        .iter()
        .filter(|s| s.assignment.state == State::Succeeded)
        .filter(|s| is_of_this_incarnation(s, device))
    {
        let offer = device.offers.iter().find(|o| o.rollout == stored.rollout);
        let Some((offer, kb)) = offer.and_then(|o| Some((o, o.removes?))) else {
            continue;
        };
        let (facts, ledger) = device.inventory()?;
        if Some(facts.build) == stored.assignment.expected && ledger.state_of(kb).is_some() {
            let order = Order::RollBack {
                rollout: offer.rollout,
                kb: kb.to_string(),
            };
            return Ok(Some((order, format!("{kb} is to be removed again."))));
        }
    }
    Ok(None)
}

/// A rollout that is over for good lets go of a device on which nothing of it runs: a permit that was not used, or
/// the pause between two steps of an update that was pulled. The device is free for what comes next; held, it would
/// miss the very update that mends it.
fn is_let_go(offer: &Offer, stored: &Stored) -> bool {
    let pulled = matches!(
        offer.state,
        RolloutState::Withdrawn { .. } | RolloutState::Cancelled { .. }
    );
    match stored.assignment.state {
        State::Permitted => offer.state.is_final(),
        State::StepDone { .. } => pulled,
        _ => false,
    }
}

/// A machine that was reimaged in the middle of an installation knows nothing of it: what it had begun is found by
/// its deadline, and is not ordered again.
fn is_of_this_incarnation(stored: &Stored, device: &Standing) -> bool {
    stored
        .start_by
        .is_some_and(|by| by - START_WITHIN >= device.enrolled_at)
}

/// What a device does whose try failed.
enum AfterFailure {
    /// A repair.
    Mend(Repair),
    /// Nothing: a repair is under way.
    Mending,
    /// It prepares anew.
    TryAgain,
}

/// What follows a failure, while the rollout goes on; none where people have to look.
fn after_failure(offer: &Offer, stored: &Stored) -> Option<AfterFailure> {
    let goes_on = matches!(
        offer.state,
        RolloutState::Active | RolloutState::Completed { .. }
    );
    let a = &stored.assignment;
    match a.state {
        _ if !goes_on || a.tries > offer.tries => None,
        State::Remediating { .. } => Some(AfterFailure::Mending),
        State::Failed { code, .. } if a.tries < offer.tries => {
            Some(match remediation::next(code, a.tries)? {
                Rung::Repair(repair) => AfterFailure::Mend(repair),
                Rung::Again => AfterFailure::TryAgain,
            })
        }
        state => state.is_before_permit().then_some(AfterFailure::TryAgain),
    }
}

fn mend(rollout: Uuid, repair: Repair) -> (Order, String) {
    let action = match repair {
        Repair::RestoreHealth => RemediationAction::RestoreHealth,
        Repair::RestoreHealthFromSource => RemediationAction::RestoreHealthFromSource,
        Repair::ClearDownloads => RemediationAction::ClearDownloads,
        Repair::FreeDiskSpace => RemediationAction::FreeDiskSpace,
    };
    let why = format!("It failed; before it tries again: {}.", repair.what());
    (Order::Remediate { rollout, action }, why)
}

/// Seconds until the restart can no longer be put off, and what people get after that; none without a deadline. The time is
/// read where it is needed: nearly no order is about a restart.
async fn deadline(
    conn: &mut PgConnection,
    offer: &Offer,
    stored: Option<&Stored>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(u64, u64)>> {
    let ready = stored.filter(|s| s.assignment.state == State::Ready);
    let (Some(hours), Some(offered_at)) = (
        offer.restart.deadline_hours,
        ready.and_then(|s| s.offered_at),
    ) else {
        return Ok(None);
    };
    let service_now = service_clock::time(conn, now).await?;
    // Another try after a failure has a time of its own.
    let again = ready.filter(|s| s.assignment.tries > 0);
    let offered_at = again.map_or(offered_at, |s| s.progress_at.max(offered_at));
    let deadline = offered_at + TimeDelta::hours(hours.into());
    let deadline = offer
        .restart
        .set_at
        .map_or(deadline, |set| deadline.max(set));
    let latest = deadline + TimeDelta::hours(offer.restart.grace_hours.into());
    let seconds = |left: TimeDelta| u64::try_from(left.num_seconds()).unwrap_or(0);
    Ok(Some((
        seconds(deadline - service_now),
        seconds(latest - service_now.max(deadline)),
    )))
}

/// Orders before the permit.
fn prepare(
    offer: &Offer,
    stored: Option<&Stored>,
    deadline: Option<(u64, u64)>,
) -> (Order, String) {
    let rollout = offer.rollout;
    match stored.map(|s| s.assignment.state) {
        Some(State::Ready) => (
            Order::AgreeRestart {
                rollout,
                deadline_s: deadline.map(|(left, _)| left),
                grace_s: deadline.map_or(0, |(_, grace)| grace),
            },
            match deadline {
                Some((0, _)) => "Everything is on disk, and the deadline is over: restart in the grace that is left.".into(),
                _ => "Everything is on disk; agree a restart.".into(),
            },
        ),
        Some(State::RestartAgreed) => (
            Order::RequestPermit { rollout },
            "A restart is agreed; ask for a permit before it.".into(),
        ),
        _ => (
            Order::Prepare {
                rollout,
                digest: offer.digest.to_string(),
            },
            match stored.map(|s| s.assignment.started) {
                Some(true) => "It failed; prepare for another try.".into(),
                _ => "The ring is open; download ahead.".into(),
            },
        ),
    }
}

/// Orders after the permit. What has begun goes on through a pause; a halt holds everything that has not begun.
fn begun(offer: &Offer, stored: &Stored, now: DateTime<Utc>) -> (Order, String) {
    let rollout = offer.rollout;
    let (hold, held) = match &offer.state {
        RolloutState::Active | RolloutState::Completed { .. } => (false, false),
        // In flight ends; nothing new starts.
        RolloutState::Paused { .. } | RolloutState::Superseded { .. } => (false, true),
        _ => (true, true),
    };
    let a = &stored.assignment;
    let step = |number: u16| {
        let packages = stored
            .plan
            .get(usize::from(number) - 1)
            .map(|s| s.packages.clone())
            .unwrap_or_default();
        Order::RunStep {
            rollout,
            digest: offer.digest.to_string(),
            permit_no: a.permit_no,
            step: number,
            of: a.of,
            packages,
        }
    };
    match a.state {
        State::Permitted if held => (
            Order::Hold { rollout },
            "The rollout was stopped; the permit is not good any more.".into(),
        ),
        State::Permitted if stored.start_by.is_none_or(|by| by <= now) => (
            Order::RequestPermit { rollout },
            "The permit lapsed before the installation began.".into(),
        ),
        State::Permitted => (step(1), format!("Permit {} is good; begin.", a.permit_no)),
        State::Installing { step: number } => (
            step(number),
            format!("Step {number} of {} has begun; bring it to its end.", a.of),
        ),
        State::StepDone { .. } if hold => (
            Order::Hold { rollout },
            "The rollout was halted between two steps.".into(),
        ),
        State::StepDone { step: number } => (
            step(number + 1),
            format!("Step {number} of {} is done.", a.of),
        ),
        State::Restarting { step: number } => (
            Order::Restart {
                rollout,
                step: number,
            },
            format!("Step {number} needs its restart."),
        ),
        State::Verifying => (
            Order::Verify {
                rollout,
                expected_build: a.expected.map(|b| b.to_string()).unwrap_or_default(),
            },
            "Read build and ledger.".into(),
        ),
        _ => (
            Order::Nothing,
            "The rollout is over for this device.".into(),
        ),
    }
}
