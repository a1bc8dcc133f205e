//! What a permit needs to know of a device, and no more: thousands ask in a second.

use servicing::{Facts, Ledger};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::DeviceStatus;
use crate::store::from_word;

/// A device that asks for a permit.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// Number.
    pub device_no: i32,
    /// Id.
    pub id: Uuid,
    /// Track.
    pub track_id: Uuid,
    /// Ring now.
    pub ring_id: Uuid,
    /// Whether it may work.
    pub status: DeviceStatus,
    /// Two machines report as this device.
    pub clone_suspected: bool,
    /// Tokens of an older one are worth nothing.
    pub generation: i32,
    /// Cohorts: model, BIOS, architecture, build, edition.
    pub cohorts: Vec<i16>,
    /// Host name.
    pub host_name: String,
    /// SHA-256 of its inventory: a plan that was made from this one is good.
    pub inventory_digest: Vec<u8>,
}

/// What a device's plan is made from.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Number.
    pub device_no: i32,
    /// SHA-256 of all of it.
    pub digest: Vec<u8>,
    /// Facts.
    pub facts: Facts,
    /// Servicing ledger.
    pub ledger: Ledger,
}

/// Devices by number.
///
/// # Errors
/// When the database fails.
pub async fn applicants(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> anyhow::Result<Vec<Applicant>> {
    let rows = sqlx::query!(
        "SELECT device_no, id, track_id, ring_id, status, clone_suspected, generation, cohorts, host_name, inventory_digest
         FROM device WHERE device_no = ANY($1)",
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Applicant {
                device_no: r.device_no,
                id: r.id,
                track_id: r.track_id,
                ring_id: r.ring_id,
                status: from_word("device status", r.status)?,
                clone_suspected: r.clone_suspected,
                generation: r.generation,
                cohorts: r.cohorts,
                host_name: r.host_name,
                inventory_digest: r.inventory_digest,
            })
        })
        .collect()
}

/// Inventories by number.
///
/// # Errors
/// When the database fails.
pub async fn inventories(
    conn: &mut PgConnection,
    device_nos: &[i32],
) -> sqlx::Result<Vec<Inventory>> {
    let rows = sqlx::query!(
        r#"SELECT device_no, inventory_digest, facts AS "facts: Json<Facts>", ledger AS "ledger: Json<Ledger>"
           FROM device WHERE device_no = ANY($1)"#,
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for r in rows {
        all.push(Inventory {
            device_no: r.device_no,
            digest: r.inventory_digest,
            facts: r.facts.0,
            ledger: r.ledger.0,
        });
    }
    Ok(all)
}
