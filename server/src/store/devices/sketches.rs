//! What the picture keeps of every device.

use engine::assignment::State;
use engine::policy::MOST_TRIES;
use futures::TryStreamExt;
use servicing::{HResult, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::sha256;

/// What the picture keeps of a device.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// Number.
    pub device_no: i32,
    /// Ring.
    pub ring_id: Uuid,
    /// Generation of its tokens.
    pub generation: i32,
    /// May work.
    pub admitted: bool,
    /// SHA-256 of its inventory.
    pub inventory_digest: Sha256,
}

struct Row {
    device_no: i32,
    ring_id: Uuid,
    generation: i32,
    admitted: bool,
    inventory_digest: Vec<u8>,
}

impl TryFrom<Row> for Sketch {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        Ok(Self {
            device_no: row.device_no,
            ring_id: row.ring_id,
            generation: row.generation,
            admitted: row.admitted,
            inventory_digest: sha256(&row.inventory_digest)?,
        })
    }
}

/// Sketches of these devices.
///
/// # Errors
/// When the database fails.
pub async fn sketches(conn: &mut PgConnection, device_nos: &[i32]) -> anyhow::Result<Vec<Sketch>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT device_no, ring_id, generation, status = 'admitted' AS "admitted!", inventory_digest
           FROM device WHERE device_no = ANY($1)"#,
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Sketch::try_from).collect()
}

/// Rows after which others have their turn: polls are answered by the same threads.
const BREATH: u32 = 1000;

/// Gives each device's sketch to `each`, one after the other as they come: nobody holds a million of them.
///
/// # Errors
/// When the database fails.
pub async fn each_sketch(
    conn: &mut PgConnection,
    mut each: impl FnMut(&Sketch),
) -> anyhow::Result<()> {
    let mut rows = sqlx::query_as!(
        Row,
        r#"SELECT device_no, ring_id, generation, status = 'admitted' AS "admitted!", inventory_digest FROM device"#,
    )
    .fetch(conn);
    let mut n: u32 = 0;
    while let Some(row) = rows.try_next().await? {
        each(&Sketch::try_from(row)?);
        n = n.wrapping_add(1);
        if n.is_multiple_of(BREATH) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Every state in which a rollout is over for a device.
const OUTCOMES: [State; 7] = [
    State::Succeeded,
    State::Failed {
        code: None,
        step: 0,
    },
    State::RolledBack { code: HResult(0) },
    State::Removed,
    State::NotRemoved { code: None },
    State::NotApplicable,
    State::InstalledElsewhere,
];

/// Devices that have begun something which is not over, may try again what failed, or have an update that is to be removed.
///
/// # Errors
/// When the database fails.
pub async fn unfinished(conn: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
    let outcomes = OUTCOMES.map(|state| state.word().to_owned());
    sqlx::query_scalar!(
        r#"SELECT device_no AS "device_no!" FROM assignment WHERE state <> ALL($1)
           UNION SELECT a.device_no FROM assignment a JOIN rollout r ON r.id = a.rollout_id
           WHERE a.state = 'failed' AND a.code IS NOT NULL AND a.tries < $2 AND r.phase IN ('active', 'completed')
           UNION SELECT a.device_no FROM rollback b JOIN assignment a ON a.rollout_id = b.rollout_id
           WHERE b.stopped_at IS NULL AND a.state = 'succeeded'"#,
        &outcomes,
        i16::from(MOST_TRIES),
    )
    .fetch_all(conn)
    .await
}
