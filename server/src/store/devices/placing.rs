//! What decides in which ring a device belongs, read and written for many devices at once.

use servicing::Facts;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::from_json;

/// What of a device decides its ring.
#[derive(Debug, Clone)]
pub struct Placing {
    /// Number.
    pub device_no: i32,
    /// Id.
    pub id: Uuid,
    /// Ring now.
    pub ring_id: Uuid,
    /// Ring it is pinned to.
    pub pin: Option<Uuid>,
    /// It was thrown out.
    pub revoked: bool,
    /// Facts.
    pub facts: Facts,
    /// Host name.
    pub host_name: String,
    /// Version of the row: another one has been written since.
    pub row_version: i64,
}

/// A device that changes its ring.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// Number.
    pub device_no: i32,
    /// Version of the row from which this was decided.
    pub row_version: i64,
    /// Where from.
    pub from: Uuid,
    /// Where to.
    pub to: Uuid,
}

struct Row {
    device_no: i32,
    id: Uuid,
    ring_id: Uuid,
    pin: Option<Uuid>,
    revoked: bool,
    facts: serde_json::Value,
    host_name: String,
    row_version: i64,
}

fn parsed(rows: Vec<Row>) -> anyhow::Result<Vec<Placing>> {
    rows.into_iter()
        .map(|r| {
            Ok(Placing {
                device_no: r.device_no,
                id: r.id,
                ring_id: r.ring_id,
                pin: r.pin,
                revoked: r.revoked,
                facts: from_json("facts", r.facts)?,
                host_name: r.host_name,
                row_version: r.row_version,
            })
        })
        .collect()
}

/// Devices that are read by one statement.
const CHUNK: i64 = 5_000;

/// The next devices of a track above a number, ascending; none where there are no more.
///
/// # Errors
/// When the database fails.
pub async fn placings(
    conn: &mut PgConnection,
    track: Uuid,
    after: i32,
) -> anyhow::Result<Vec<Placing>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT device_no, id, ring_id, pin, status = 'revoked' AS "revoked!", facts, host_name, xmin::text::bigint AS "row_version!"
           FROM device WHERE track_id = $1 AND device_no > $2 ORDER BY device_no LIMIT $3"#,
        track, after, CHUNK,
    )
    .fetch_all(conn)
    .await?;
    parsed(rows)
}

/// These devices, those of them that are on the track.
///
/// # Errors
/// When the database fails.
pub async fn placings_of(
    conn: &mut PgConnection,
    track: Uuid,
    device_nos: &[i32],
) -> anyhow::Result<Vec<Placing>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT device_no, id, ring_id, pin, status = 'revoked' AS "revoked!", facts, host_name, xmin::text::bigint AS "row_version!"
           FROM device WHERE track_id = $1 AND device_no = ANY($2) ORDER BY device_no"#,
        track, device_nos,
    )
    .fetch_all(conn)
    .await?;
    parsed(rows)
}

/// Moves devices whose rows are as they were when that was decided; returns the numbers of those that did move. Waits
/// for nobody: a row that somebody else changes just now is passed over.
///
/// # Errors
/// When the database fails.
pub async fn move_all(conn: &mut PgConnection, moves: &[Move]) -> sqlx::Result<Vec<i32>> {
    let device_nos: Vec<i32> = moves.iter().map(|m| m.device_no).collect();
    let versions: Vec<i64> = moves.iter().map(|m| m.row_version).collect();
    let rings: Vec<Uuid> = moves.iter().map(|m| m.to).collect();
    sqlx::query_scalar!(
        "WITH free AS (SELECT device_no FROM device WHERE device_no = ANY($1) ORDER BY device_no FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE device d SET ring_id = k.ring
         FROM free JOIN UNNEST($1::int[], $2::bigint[], $3::uuid[]) AS k (no, version, ring) ON k.no = free.device_no
         WHERE d.device_no = free.device_no AND d.xmin::text::bigint = k.version RETURNING d.device_no",
        &device_nos, &versions, &rings,
    )
    .fetch_all(conn)
    .await
}
