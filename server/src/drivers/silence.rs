//! Counts who can fall silent during a rollout, and who did of those that were not updated: the control of the silence test.
//! Updated devices that are lost come from their deadlines, after this. And of whom nothing was heard since their outcome: for
//! the gate's question whether reports can be trusted to have arrived.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use engine::assignment::Deadlines;
use engine::evidence::{AtRisk, COUNTED_EVERY_S};
use engine::gate::{HEARD_WITHIN_H, working_start};
use sqlx::{Connection, PgConnection};

use crate::fleet::{Contacts, Picture};
use crate::store::rollouts;
use crate::store::silences::{self, Fall, UnderWay};
use crate::store::unheard::{self, Deploying};

/// Counts are of use until the last device that fell silent then is known to be lost, an outage of ours included.
const KEPT_DAYS: i64 = 7;

/// Counts, once in every five minutes of the service clock. `counted_at` is when this process counted last.
///
/// # Errors
/// When the database fails.
pub(super) async fn count(
    conn: &mut PgConnection,
    picture: &Picture,
    counted_at: &mut Option<DateTime<Utc>>,
    service_now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let now = service_now.duration_trunc(TimeDelta::seconds(COUNTED_EVERY_S))?;
    if counted_at.is_some_and(|at| at >= now) {
        return Ok(());
    }
    let mut tx = conn.begin().await?;
    let under_way = silences::under_way(&mut tx).await?;
    let deploying = unheard::deploying(&mut tx).await?;
    if !under_way.is_empty() || !deploying.is_empty() {
        let contacts = Contacts::read(&mut tx, picture).await?;
        for rollout in under_way {
            of_rollout(&mut tx, &contacts, &rollout, now).await?;
        }
        for rollout in deploying {
            not_heard_of(&mut tx, &contacts, &rollout, now).await?;
        }
        silences::forget_at_risk(&mut tx, now - TimeDelta::days(KEPT_DAYS)).await?;
    }
    tx.commit().await?;
    *counted_at = Some(now);
    Ok(())
}

async fn of_rollout(
    conn: &mut PgConnection,
    contacts: &Contacts,
    of: &UnderWay,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if of.counted_at.is_some_and(|at| at >= now) {
        return Ok(());
    }
    let lost = TimeDelta::seconds(Deadlines::default().lost_s);
    let members = if of.listed {
        contacts.of_devices(&rollouts::listed(&mut *conn, of.rollout).await?)
    } else {
        contacts.of_rings(&of.rings)
    };
    let silent_from = now - lost;
    let (mut heard, mut fell) = (0_u64, Vec::new());
    for (device_no, contact) in members {
        if contact > silent_from {
            heard += 1;
        } else if of.counted_at.is_some_and(|at| contact > at - lost) {
            fell.push(device_no);
        }
    }
    let at_risk = AtRisk {
        treated: of.unresolved,
        // Updated devices are taken to be among those that were heard of: that can make the control only smaller.
        control: heard.saturating_sub(of.started),
    };
    silences::note_at_risk(&mut *conn, of.rollout, now, at_risk).await?;
    if fell.is_empty() {
        return Ok(());
    }
    let devices = silences::not_started(&mut *conn, of.rollout, &fell).await?;
    if devices > 0 {
        let fall = Fall {
            rollout: of.rollout,
            device_no: None,
            devices,
            since: silent_from,
        };
        silences::add(conn, &mut [fall], lost).await?;
    }
    Ok(())
}

async fn not_heard_of(
    conn: &mut PgConnection,
    contacts: &Contacts,
    of: &Deploying,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if of.counted_at.is_some_and(|at| at >= now) {
        return Ok(());
    }
    let until = working_start(now, HEARD_WITHIN_H, of.time_zone);
    let silent = contacts.not_since(until).into_iter();
    let mut silent: Vec<_> = silent.map(|(no, contact)| (no, Some(contact))).collect();
    let shut_out = unheard::shut_out(&mut *conn).await?;
    silent.extend(shut_out.into_iter().map(|device_no| (device_no, None)));
    Ok(unheard::note(conn, of.rollout, now, &silent).await?)
}
