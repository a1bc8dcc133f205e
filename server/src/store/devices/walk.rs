//! A search that has an end however many devices there are: where an index leads to few devices, the answer is among
//! these; else numbers are walked through, stretch by stretch, for as long as a person waits gladly. What was not reached
//! by then is left to the next page.

use std::time::{Duration, Instant};

use engine::ring::Query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::query::DeviceQuery;
use super::registry::highest_no;
use super::search::{Prepared, Search};
use crate::store::seen;

/// Devices that are looked at one by one where an index leads to them.
const FEW: i64 = 2_000;

/// Numbers of the first stretch; further ones are as long as the time for one allows.
const STRETCH: i32 = 2_000;

/// Devices of the first stretch where an index leads to them in order.
const BEGUN: i32 = 250;

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

/// What is enough.
#[derive(Debug, Clone, Copy)]
pub struct Enough {
    /// So many, where few are looked at anyhow.
    pub most: i64,
    /// So many, where all have to be walked through.
    pub rows: i64,
    /// What is found by then.
    pub patience: Duration,
}

/// Numbers of the devices that a query takes, after a number, ascending, until that is enough. In a transaction.
///
/// # Errors
/// When the database fails.
pub async fn hits(
    conn: &mut PgConnection,
    search: &Search<'_>,
    after: i32,
    enough: Enough,
) -> anyhow::Result<Hits> {
    let asked_at = Instant::now();
    let prepared = Prepared::of(&mut *conn, search).await?;
    let last = highest_no(&mut *conn).await?;
    if let Some(mut led) = prepared.led(&mut *conn, after, FEW).await? {
        if search.heard.is_some() {
            let written = seen::newest(&mut *conn, &led).await?;
            led.retain(|no| search.is_heard(*no, written.get(no).copied()));
        }
        let all = (after, i32::MAX, enough.most);
        let (device_nos, next) = prepared.within(&mut *conn, Some(&led), all).await?;
        return Ok(Hits { device_nos, next });
    }
    let mut hits = Hits::default();
    let (mut from, first) = (after, if prepared.begun() { BEGUN } else { STRETCH });
    let mut stretch = first;
    while from < last {
        let step = Instant::now();
        let left = enough.rows - i64::try_from(hits.device_nos.len())?;
        let (among, until) = if prepared.begun() {
            let (mut begun, until) = prepared.next_begun(&mut *conn, from, stretch).await?;
            if search.heard.is_some() {
                let written = seen::newest(&mut *conn, &begun).await?;
                begun.retain(|no| search.is_heard(*no, written.get(no).copied()));
            }
            (Some(begun), until.min(last))
        } else {
            let until = from.saturating_add(stretch).min(last);
            (heard_of(&mut *conn, search, from, until).await?, until)
        };
        let (found, next) = prepared
            .within(&mut *conn, among.as_deref(), (from, until, left))
            .await?;
        hits.device_nos.extend(found);
        if next.is_some() {
            hits.next = next;
            return Ok(hits);
        }
        from = until;
        if asked_at.elapsed() >= enough.patience {
            break;
        }
        stretch = if step.elapsed() < STEP {
            stretch.saturating_mul(2)
        } else {
            (stretch / 2).max(first)
        };
    }
    hits.next = Some(from).filter(|from| *from < last);
    Ok(hits)
}

/// Numbers of all devices of a track that the query of a ring or a hold takes, ascending, however many. In a transaction.
///
/// # Errors
/// When the database fails.
pub async fn matching(
    conn: &mut PgConnection,
    track: Uuid,
    query: &Query,
) -> anyhow::Result<Vec<i32>> {
    let query = DeviceQuery::parse(&query.to_string())?;
    let search = Search {
        query: &query,
        tracks: Some(&[track]),
        heard: None,
        candidates: Vec::new(),
        groups: Vec::new(),
    };
    let prepared = Prepared::of(&mut *conn, &search).await?;
    let all = (0, i32::MAX, i64::MAX);
    Ok(prepared.within(conn, None, all).await?.0)
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
