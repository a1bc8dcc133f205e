//! Exactly once: what of a submission is new, by the device's cursor.

use chrono::{DateTime, Utc};
use servicing::Sha256;
use sqlx::PgConnection;

use super::report::ParsedEvent;
use super::{Receipt, Submission};
use crate::store::devices::DeviceStatus;
use crate::store::events::Stretch;
use crate::store::from_word;

/// A device's cursor, locked.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub device_no: i32,
    pub epoch: i32,
    pub acked: i64,
    pub event_no: i64,
    pub tail_first: i64,
    pub tail_hash: i64,
    pub heard_at: DateTime<Utc>,
    /// Seconds that the device was powered on, as it said last.
    pub powered_s: i64,
    pub status: DeviceStatus,
    pub generation: i32,
    pub ring_id: uuid::Uuid,
    pub changed: bool,
}

/// Locks the cursors of these devices, ascending.
pub(super) async fn lock(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> anyhow::Result<Vec<Cursor>> {
    sqlx::query!(
        "SELECT device_no FROM device_cursor WHERE device_no = ANY($1) ORDER BY device_no FOR UPDATE",
        device_nos,
    )
    .fetch_all(&mut *conn)
    .await?;
    // Read after the lock was given: while it was waited for, the device may have been enrolled anew.
    let rows = sqlx::query!(
        "SELECT c.device_no, c.epoch, c.acked, c.event_no, c.tail_first, c.tail_hash, c.heard_at, c.powered_s, d.status, d.generation, d.ring_id
         FROM device_cursor c JOIN device d USING (device_no) WHERE c.device_no = ANY($1) ORDER BY c.device_no",
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Cursor {
                device_no: r.device_no,
                epoch: r.epoch,
                acked: r.acked,
                event_no: r.event_no,
                tail_first: r.tail_first,
                tail_hash: r.tail_hash,
                heard_at: r.heard_at,
                powered_s: r.powered_s,
                status: from_word("device status", r.status)?,
                generation: r.generation,
                ring_id: r.ring_id,
                changed: false,
            })
        })
        .collect()
}

/// Writes the cursors that changed.
pub(super) async fn save(conn: &mut PgConnection, cursors: &[Cursor]) -> sqlx::Result<()> {
    let changed: Vec<&Cursor> = cursors.iter().filter(|c| c.changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let column = |field: fn(&Cursor) -> i64| changed.iter().map(|c| field(c)).collect::<Vec<i64>>();
    let device_nos: Vec<i32> = changed.iter().map(|c| c.device_no).collect();
    let epochs: Vec<i32> = changed.iter().map(|c| c.epoch).collect();
    let heard: Vec<DateTime<Utc>> = changed.iter().map(|c| c.heard_at).collect();
    sqlx::query!(
        "UPDATE device_cursor AS c SET epoch = k.epoch, acked = k.acked, event_no = k.no, tail_first = k.first, tail_hash = k.hash, heard_at = k.heard,
            powered_s = k.powered
         FROM UNNEST($1::int[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::bigint[])
              AS k (device_no, epoch, acked, no, first, hash, heard, powered)
         WHERE c.device_no = k.device_no",
        &device_nos, &epochs, &column(|c| c.acked), &column(|c| c.event_no), &column(|c| c.tail_first), &column(|c| c.tail_hash), &heard,
        &column(|c| c.powered_s),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Hash of a run of events.
fn run_hash(events: &[ParsedEvent]) -> i64 {
    let bytes: Vec<u8> = events.iter().flat_map(|e| e.hash.to_be_bytes()).collect();
    let hash = Sha256::of(&bytes);
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_be_bytes(first)
}

/// What of the log a submission has to be compared with. Mostly nothing: what comes again is the last run, because
/// its answer was lost, and the cursor knows that one's hash.
pub(super) fn compared_with(cursor: &Cursor, submission: &Submission) -> Option<Stretch> {
    let resent = resent(cursor, submission)?;
    let (first, last) = (resent.first()?.seq, resent.last()?.seq);
    let last_run = first == cursor.tail_first && last == cursor.acked;
    (!last_run).then_some(Stretch {
        device_no: cursor.device_no,
        epoch: cursor.epoch,
        first,
        last,
    })
}

/// The part of a submission whose numbers were acknowledged before; none where nothing of it can be taken.
fn resent<'a>(cursor: &Cursor, submission: &'a Submission) -> Option<&'a [ParsedEvent]> {
    let first = submission.events.first()?;
    if submission.epoch != cursor.epoch || first.seq > cursor.acked + 1 {
        return None;
    }
    let known = usize::try_from(cursor.acked + 1 - first.seq).unwrap_or(usize::MAX);
    submission.events.get(..known.min(submission.events.len()))
}

/// What of a submission is new; the cursor moves past it. `Err` is the answer where nothing is taken. `stored` is what
/// the log has of what [`compared_with`] named.
pub(super) fn accept<'a>(
    cursor: &mut Cursor,
    submission: &'a Submission,
    stored: &[(i64, i64)],
) -> Result<&'a [ParsedEvent], Receipt> {
    if cursor.status != DeviceStatus::Admitted || cursor.generation != submission.generation {
        return Err(Receipt::Revoked);
    }
    let events = submission.events.as_slice();
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err(Receipt::Acked {
            epoch: cursor.epoch,
            acked: cursor.acked,
        });
    };
    if submission.epoch > cursor.epoch {
        // The spool was lost: numbers start again.
        if first.seq != 1 {
            return Err(Receipt::Gap {
                epoch: submission.epoch,
                acked: 0,
            });
        }
        (
            cursor.epoch,
            cursor.acked,
            cursor.tail_first,
            cursor.tail_hash,
        ) = (submission.epoch, 0, 1, 0);
        cursor.powered_s = 0;
    }
    let Some(resent) = resent(cursor, submission) else {
        return Err(Receipt::Gap {
            epoch: cursor.epoch,
            acked: cursor.acked,
        });
    };
    if !same_as_before(cursor, resent, stored) {
        return Err(Receipt::Clone {
            epoch: cursor.epoch,
            acked: cursor.acked,
        });
    }
    let new = &events[resent.len()..];
    if let Some(first_new) = new.first() {
        cursor.tail_first = first_new.seq;
        cursor.tail_hash = run_hash(new);
        cursor.acked = last.seq;
    }
    cursor.changed = true;
    Ok(new)
}

/// Whether resent events are what was acknowledged.
fn same_as_before(cursor: &Cursor, resent: &[ParsedEvent], stored: &[(i64, i64)]) -> bool {
    let (Some(first), Some(last)) = (resent.first(), resent.last()) else {
        return true;
    };
    if first.seq == cursor.tail_first && last.seq == cursor.acked {
        return run_hash(resent) == cursor.tail_hash;
    }
    // Numbers whose partition was dropped can not be compared any more; those that can must agree.
    stored
        .iter()
        .all(|(seq, hash)| resent.iter().any(|e| e.seq == *seq && e.hash == *hash))
}
