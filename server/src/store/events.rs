//! The event log: every report of a device, and what the server itself did to it, in one numbered history.

use std::fmt::Write as _;

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

/// Appends events by COPY.
///
/// # Errors
/// When the database fails.
pub async fn append(conn: &mut PgConnection, events: &[LoggedEvent]) -> anyhow::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let mut text = String::with_capacity(events.len() * 200);
    for e in events {
        write!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t",
            e.received_at.to_rfc3339(),
            e.device_no,
            e.event_no,
            e.epoch,
            e.seq,
            escape(&e.kind),
            e.hash
        )?;
        text.push_str(&escape(&e.body.to_string()));
        text.push('\n');
    }
    let mut copy = conn
        .copy_in_raw("COPY event (received_at, device_no, event_no, epoch, seq, kind, hash, body) FROM STDIN")
        .await?;
    copy.send(text.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// COPY's text format: backslash, tab and line ends are escaped.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

/// Hashes of a device's events with these numbers, ascending by number.
///
/// # Errors
/// When the database fails.
pub async fn hashes(
    conn: &mut PgConnection,
    device_no: i32,
    epoch: i32,
    first: i64,
    last: i64,
) -> sqlx::Result<Vec<(i64, i64)>> {
    let rows = sqlx::query!(
        "SELECT seq, hash FROM event WHERE device_no = $1 AND epoch = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq",
        device_no, epoch, first, last,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.seq, r.hash)).collect())
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
            "LOCK TABLE event_default IN ACCESS EXCLUSIVE MODE;
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
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TABLE {name}")))
                .execute(&mut *conn)
                .await?;
            dropped.push(name);
        }
    }
    Ok(dropped)
}
