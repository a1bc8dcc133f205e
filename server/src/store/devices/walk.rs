//! A search that has an end however many devices there are: where an index leads to few devices, the answer is among
//! these; else numbers are walked through, stretch by stretch, for as long as a person waits gladly. What was not reached
//! by then is left to the next page.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::registry::highest_no;
use super::search::{Prepared, Search};
use crate::store::seen;

/// Devices that are looked at one by one where an index leads to them.
const FEW: i64 = 2_000;

/// Numbers of the first stretch; further ones are as long as the time for one allows.
const STRETCH: i32 = 2_000;

/// Time for one stretch.
const STEP: Duration = Duration::from_millis(10);

/// What was found.
#[derive(Debug, Default)]
pub struct Hits {
    /// Numbers, ascending.
    pub device_nos: Vec<i32>,
    /// After which number it goes on; none: that is all.
    pub next: Option<i32>,
}

/// Numbers of the devices that a query takes, after a number, ascending: the first `limit`, or those that are found
/// within `patience`. In a transaction.
///
/// # Errors
/// When the database fails.
pub async fn hits(
    conn: &mut PgConnection,
    search: &Search<'_>,
    after: i32,
    limit: i64,
    patience: Duration,
) -> anyhow::Result<Hits> {
    let begun = Instant::now();
    let prepared = Prepared::of(&mut *conn, search).await?;
    let last = highest_no(&mut *conn).await?;
    if let Some(mut led) = prepared.led(&mut *conn, after, FEW).await? {
        if search.heard.is_some() {
            let written = seen::newest(&mut *conn, &led).await?;
            led.retain(|no| search.is_heard(*no, written.get(no).copied()));
        }
        let all = (after, i32::MAX, limit);
        let (device_nos, next) = prepared.within(&mut *conn, Some(&led), all).await?;
        return Ok(Hits { device_nos, next });
    }
    let mut hits = Hits::default();
    let (mut from, mut stretch) = (after, STRETCH);
    while from < last {
        let step = Instant::now();
        let until = from.saturating_add(stretch).min(last);
        let left = limit - i64::try_from(hits.device_nos.len())?;
        let among = heard_of(&mut *conn, search, from, until).await?;
        let (found, next) = prepared
            .within(&mut *conn, among.as_deref(), (from, until, left))
            .await?;
        hits.device_nos.extend(found);
        if next.is_some() {
            hits.next = next;
            return Ok(hits);
        }
        from = until;
        if begun.elapsed() >= patience {
            break;
        }
        stretch = if step.elapsed() < STEP {
            stretch.saturating_mul(2)
        } else {
            (stretch / 2).max(STRETCH)
        };
    }
    hits.next = Some(from).filter(|from| *from < last);
    Ok(hits)
}

/// Numbers of a stretch whose last contact is as the query asks; none where it does not ask.
async fn heard_of(
    conn: &mut PgConnection,
    search: &Search<'_>,
    after: i32,
    until: i32,
) -> anyhow::Result<Option<Vec<i32>>> {
    if search.heard.is_none() {
        return Ok(None);
    }
    let written = seen::of_range(conn, after + 1, until).await?;
    let heard = (after + 1..=until)
        .zip(written)
        .filter(|(no, written)| search.is_heard(*no, *written))
        .map(|(no, _)| no);
    Ok(Some(heard.collect()))
}
