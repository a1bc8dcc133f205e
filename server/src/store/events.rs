//! The event log: every report of a device, and what the server itself did to it, in one numbered history.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Kind of the event that a permit writes.
pub const PERMITTED: &str = "permitted";

/// One row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    /// By the injected clock.
    pub received_at: DateTime<Utc>,
    /// Device.
    pub device_no: i32,
    /// Order in which the device's events were committed.
    pub event_no: i64,
    /// The device's epoch; 0 for the server's own.
    pub epoch: i32,
    /// The device's number; 0 for the server's own.
    pub seq: i64,
    /// Kind.
    pub kind: String,
    /// First eight bytes of the SHA-256 of the content: tells a resent event from a clone's.
    pub hash: i64,
    /// Content.
    pub body: Value,
}

/// A row to append.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// See [`LoggedEvent::received_at`].
    pub received_at: DateTime<Utc>,
    /// See [`LoggedEvent::device_no`].
    pub device_no: i32,
    /// See [`LoggedEvent::event_no`].
    pub event_no: i64,
    /// See [`LoggedEvent::epoch`].
    pub epoch: i32,
    /// See [`LoggedEvent::seq`].
    pub seq: i64,
    /// See [`LoggedEvent::kind`].
    pub kind: &'a str,
    /// See [`LoggedEvent::hash`].
    pub hash: i64,
    /// JSON.
    pub body: &'a str,
}

/// Rows to append, as COPY's binary format has them: neither side writes or reads numbers and times as text.
#[derive(Debug, Default)]
pub struct Rows(Vec<u8>);

/// Columns of a row.
const COLUMNS: i16 = 8;

/// Signature, flags, and no extension.
const COPY_HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What PostgreSQL counts times from: 2000-01-01, in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Bytes sent at once: the database works on them while the next are written.
const COPY_CHUNK: usize = 128 * 1024;

impl Rows {
    /// Adds a row.
    pub fn push(&mut self, row: &NewEvent<'_>) {
        let out = &mut self.0;
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        let micros = row.received_at.timestamp_micros() - EPOCH_MICROS;
        field(out, &micros.to_be_bytes());
        field(out, &row.device_no.to_be_bytes());
        field(out, &row.event_no.to_be_bytes());
        field(out, &row.epoch.to_be_bytes());
        field(out, &row.seq.to_be_bytes());
        field(out, row.kind.as_bytes());
        field(out, &row.hash.to_be_bytes());
        // jsonb's first byte is the version of its format, which is text.
        length(out, row.body.len() + 1);
        out.push(1);
        out.extend_from_slice(row.body.as_bytes());
    }
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn length(out: &mut Vec<u8>, n: usize) {
    // No field is near 2 GiB: bodies of requests are bounded.
    let n = i32::try_from(n).unwrap_or(i32::MAX);
    out.extend_from_slice(&n.to_be_bytes());
}

/// Appends rows by COPY.
///
/// # Errors
/// When the database fails.
pub async fn append(conn: &mut PgConnection, rows: &Rows) -> sqlx::Result<()> {
    if rows.0.is_empty() {
        return Ok(());
    }
    let mut copy = conn
        .copy_in_raw(
            "COPY event (received_at, device_no, event_no, epoch, seq, kind, hash, body) FROM STDIN (FORMAT binary)",
        )
        .await?;
    copy.send(COPY_HEADER.as_slice()).await?;
    for chunk in rows.0.chunks(COPY_CHUNK) {
        copy.send(chunk).await?;
    }
    copy.send((-1_i16).to_be_bytes().as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

/// A stretch of a device's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Device.
    pub device_no: i32,
    /// Epoch.
    pub epoch: i32,
    /// First number.
    pub first: i64,
    /// Last number.
    pub last: i64,
}

/// Hashes of the stored events of these stretches, by device, with their numbers.
///
/// # Errors
/// When the database fails.
pub async fn hashes(
    conn: &mut PgConnection,
    stretches: &[Stretch],
) -> sqlx::Result<HashMap<i32, Vec<(i64, i64)>>> {
    let mut found: HashMap<i32, Vec<(i64, i64)>> = HashMap::new();
    if stretches.is_empty() {
        return Ok(found);
    }
    let device_nos: Vec<i32> = stretches.iter().map(|s| s.device_no).collect();
    let epochs: Vec<i32> = stretches.iter().map(|s| s.epoch).collect();
    let firsts: Vec<i64> = stretches.iter().map(|s| s.first).collect();
    let lasts: Vec<i64> = stretches.iter().map(|s| s.last).collect();
    let rows = sqlx::query!(
        "SELECT e.device_no, e.seq, e.hash FROM UNNEST($1::int[], $2::int[], $3::bigint[], $4::bigint[]) AS k (device_no, epoch, first, last)
         CROSS JOIN LATERAL (SELECT * FROM event WHERE device_no = k.device_no AND epoch = k.epoch AND seq BETWEEN k.first AND k.last) AS e",
        &device_nos, &epochs, &firsts, &lasts,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        found
            .entry(row.device_no)
            .or_default()
            .push((row.seq, row.hash));
    }
    Ok(found)
}

/// A device's newest events, newest first.
///
/// # Errors
/// When the database fails.
pub async fn newest(
    conn: &mut PgConnection,
    device_no: i32,
    limit: i64,
) -> sqlx::Result<Vec<LoggedEvent>> {
    sqlx::query_as!(
        LoggedEvent,
        "SELECT received_at, device_no, event_no, epoch, seq, kind, hash, body FROM event
         WHERE device_no = $1 ORDER BY received_at DESC, event_no DESC LIMIT $2",
        device_no,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A device's events before a number, newest first.
///
/// # Errors
/// When the database fails.
pub async fn before(
    conn: &mut PgConnection,
    device_no: i32,
    event_no: i64,
    limit: i64,
) -> sqlx::Result<Vec<LoggedEvent>> {
    sqlx::query_as!(
        LoggedEvent,
        "SELECT received_at, device_no, event_no, epoch, seq, kind, hash, body FROM event
         WHERE device_no = $1 AND event_no < $2 ORDER BY received_at DESC, event_no DESC LIMIT $3",
        device_no,
        event_no,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// What happened on a device in a rollout, and in an Out-of-Box Experience, in order: the newest events, signs of life
/// left out.
///
/// # Errors
/// When the database fails.
pub async fn story(
    conn: &mut PgConnection,
    device_no: i32,
    rollout: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<LoggedEvent>> {
    let rollout = rollout.map(|r| r.to_string());
    let mut newest = sqlx::query_as!(
        LoggedEvent,
        r#"SELECT received_at, device_no, event_no, epoch, seq, kind, hash, body FROM event
           WHERE device_no = $1 AND kind <> 'heartbeat' AND (body ->> 'rollout' = $2 OR starts_with(kind, 'oobe_'))
           ORDER BY received_at DESC, event_no DESC LIMIT $3"#,
        device_no,
        rollout,
        limit,
    )
    .fetch_all(conn)
    .await?;
    newest.reverse();
    Ok(newest)
}

/// All events of devices that belong to rollouts, in commit order per device: what a recount reads.
///
/// # Errors
/// When the database fails.
pub async fn of_rollouts(
    conn: &mut PgConnection,
    devices: (i32, i32),
) -> sqlx::Result<Vec<(Uuid, LoggedEvent)>> {
    let rows = sqlx::query!(
        r#"SELECT received_at, device_no, event_no, epoch, seq, kind, hash, body, body ->> 'rollout' AS "rollout!"
           FROM event WHERE body ? 'rollout' AND body ->> 'rollout' IS NOT NULL AND device_no >= $1 AND device_no < $2
           ORDER BY device_no, event_no"#,
        devices.0, devices.1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            // Events of kinds that this server does not know may have anything under this name.
            let rollout = Uuid::parse_str(&r.rollout).ok()?;
            let event = LoggedEvent {
                received_at: r.received_at,
                device_no: r.device_no,
                event_no: r.event_no,
                epoch: r.epoch,
                seq: r.seq,
                kind: r.kind,
                hash: r.hash,
                body: r.body,
            };
            Some((rollout, event))
        })
        .collect())
}

/// How long making or dropping a partition waits for its locks. Whoever reads or writes the log queues up behind it:
/// a recount that reads for minutes would stop telemetry for as long. It is tried again at the next tick.
const LOCK_TIMEOUT: &str = "200ms";

/// Whether a statement gave up because others held what it had to lock.
#[must_use]
pub fn is_lock_timeout(error: &anyhow::Error) -> bool {
    let database = error
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error);
    database.is_some_and(|e| e.code().as_deref() == Some("55P03"))
}

/// Makes the partitions of a day and of the days after it. Names are `event_YYYYMMDD`.
///
/// # Errors
/// When the database fails.
pub async fn make_partitions(
    conn: &mut PgConnection,
    from: NaiveDate,
    days: u64,
) -> sqlx::Result<()> {
    for offset in 0..=days {
        let (Some(day), Some(next)) = (
            from.checked_add_days(Days::new(offset)),
            from.checked_add_days(Days::new(offset + 1)),
        ) else {
            continue;
        };
        let name = format!("event_{}", day.format("%Y%m%d"));
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&name)
            .fetch_one(&mut *conn)
            .await?;
        if there {
            continue;
        }
        // Strays of that day move in with it: while they are in the default partition no other can take them. One
        // string of statements is one transaction; the name is made of digits.
        let (from, to) = (format!("{day} 00:00:00+00"), format!("{next} 00:00:00+00"));
        let statement = format!(
            "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';
             LOCK TABLE event_default IN ACCESS EXCLUSIVE MODE;
             CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS);
             WITH moved AS (DELETE FROM event_default WHERE received_at >= '{from}' AND received_at < '{to}' RETURNING *)
                 INSERT INTO {name} SELECT * FROM moved;
             ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Rows that no partition was made for: anything but 0 is an alarm.
///
/// # Errors
/// When the database fails.
pub async fn strays(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM event_default"#)
        .fetch_one(conn)
        .await
}

/// Drops partitions whose whole day lies before `before` and before the oldest rollout that is not over: its
/// evidence must stay recountable. Returns their names.
///
/// # Errors
/// When the database fails.
pub async fn drop_partitions(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
) -> anyhow::Result<Vec<String>> {
    let oldest = sqlx::query_scalar!("SELECT min(created_at) FROM rollout WHERE phase IN ('scheduled', 'active', 'paused', 'halted', 'completed')")
        .fetch_one(&mut *conn)
        .await?;
    let before = oldest.map_or(before, |o| o.min(before)).date_naive();
    let names = sqlx::query_scalar!(
        r#"SELECT c.relname::text AS "name!" FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'event'::regclass AND c.relname ~ '^event_[0-9]{8}$' ORDER BY 1"#,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut dropped = Vec::new();
    for name in names {
        let day = NaiveDate::parse_from_str(name.trim_start_matches("event_"), "%Y%m%d")?;
        if day < before {
            // The name matched the pattern above: letters, an underscore and digits alone.
            let statement = format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; DROP TABLE {name}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&mut *conn)
                .await?;
            dropped.push(name);
        }
    }
    Ok(dropped)
}
