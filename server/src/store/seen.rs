//! Last contact of all devices, in blocks: rows one by one would cost three hundred times the log volume.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Devices in one block.
pub const BLOCK: usize = 1024;

/// A block as it is written: minutes since `base` per device, 0 for none.
#[derive(Debug)]
pub struct Written {
    /// Number of the block.
    pub shard: i32,
    /// Where minutes start.
    pub base: DateTime<Utc>,
    /// Per device.
    pub minutes: Vec<u16>,
}

/// Writes blocks of this replica.
///
/// # Errors
/// When the database fails.
pub async fn save(conn: &mut PgConnection, replica: Uuid, blocks: &[Written]) -> sqlx::Result<()> {
    let shards: Vec<i32> = blocks.iter().map(|b| b.shard).collect();
    let bases: Vec<DateTime<Utc>> = blocks.iter().map(|b| b.base).collect();
    let minutes: Vec<Vec<u8>> = blocks
        .iter()
        .map(|b| b.minutes.iter().flat_map(|m| m.to_le_bytes()).collect())
        .collect();
    sqlx::query!(
        "INSERT INTO seen (replica, shard, base, minutes)
         SELECT $1, * FROM UNNEST($2::int[], $3::timestamptz[], $4::bytea[])
         ON CONFLICT (replica, shard) DO UPDATE SET base = excluded.base, minutes = excluded.minutes",
        replica, &shards, &bases, &minutes,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Newest contact of each of these devices over all replicas.
///
/// # Errors
/// When the database fails.
pub async fn newest(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> sqlx::Result<HashMap<i32, DateTime<Utc>>> {
    let block = i32::try_from(BLOCK).unwrap_or(i32::MAX);
    let mut shards: Vec<i32> = device_nos.iter().map(|d| d / block).collect();
    shards.sort_unstable();
    shards.dedup();
    let rows = sqlx::query!(
        "SELECT shard, base, minutes FROM seen WHERE shard = ANY($1)",
        &shards
    )
    .fetch_all(conn)
    .await?;
    let mut newest: HashMap<i32, DateTime<Utc>> = HashMap::new();
    for device_no in device_nos {
        let at = usize::try_from(device_no % block).unwrap_or(0) * 2;
        for row in rows.iter().filter(|r| r.shard == device_no / block) {
            let Some(&[low, high]) = row.minutes.get(at..at + 2) else {
                continue;
            };
            let minutes = u16::from_le_bytes([low, high]);
            if minutes > 0 {
                let seen = row.base + TimeDelta::minutes(i64::from(minutes));
                newest
                    .entry(*device_no)
                    .and_modify(|n| *n = (*n).max(seen))
                    .or_insert(seen);
            }
        }
    }
    Ok(newest)
}

/// Newest contact over all replicas of every device from one number to another, in order.
///
/// # Errors
/// When the database fails.
pub async fn of_range(
    conn: &mut PgConnection,
    from: i32,
    to: i32,
) -> anyhow::Result<Vec<Option<DateTime<Utc>>>> {
    let block = i32::try_from(BLOCK)?;
    let rows = sqlx::query!(
        "SELECT shard, base, minutes FROM seen WHERE shard BETWEEN $1 AND $2",
        from / block,
        to / block,
    )
    .fetch_all(conn)
    .await?;
    let mut newest = vec![None; usize::try_from(to - from + 1)?];
    for row in rows {
        let first = i64::from(row.shard) * i64::from(block) - i64::from(from);
        for (bytes, i) in row.minutes.chunks_exact(2).zip(first..) {
            let minutes = u16::from_le_bytes([bytes[0], bytes[1]]);
            let at = usize::try_from(i).ok().and_then(|i| newest.get_mut(i));
            if let Some(at) = at.filter(|_| minutes > 0) {
                *at = (*at).max(Some(row.base + TimeDelta::minutes(i64::from(minutes))));
            }
        }
    }
    Ok(newest)
}
