//! Devices as lists show them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// A device as lists show it: without facts and ledger, which can be long.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Number, for the next page.
    pub device_no: i32,
    /// Id.
    pub id: Uuid,
    /// Track.
    pub track_id: Uuid,
    /// Ring now.
    pub ring_id: Uuid,
    /// Ring it is pinned to.
    pub pin: Option<Uuid>,
    /// `admitted`, `awaiting_approval` or `revoked`.
    pub status: String,
    /// Two machines report as this device.
    pub clone_suspected: bool,
    /// Host name.
    pub host_name: String,
    /// SMBIOS serial.
    pub serial: String,
    /// SMBIOS model.
    pub model: String,
    /// `client` or `server`.
    pub product: String,
    /// Build, such as `26100.8117`.
    pub build: String,
    /// Series.
    pub series: String,
    /// Edition.
    pub edition: String,
    /// Architecture.
    pub architecture: String,
    /// Version of its agent.
    pub agent_version: String,
    /// First or last enrolment.
    pub enrolled_at: DateTime<Utc>,
}

/// Summaries of these devices, ascending by number.
///
/// # Errors
/// When the database fails.
pub async fn summaries(conn: &mut PgConnection, device_nos: &[i32]) -> sqlx::Result<Vec<Summary>> {
    sqlx::query_as!(
        Summary,
        r#"SELECT device_no, id, track_id, ring_id, pin, status, clone_suspected, host_name, serial, COALESCE(facts ->> 'model', '') AS "model!",
                  product, base || '.' || ubr AS "build!", series, edition, architecture, agent_version, enrolled_at
           FROM device WHERE device_no = ANY($1) ORDER BY device_no"#,
        device_nos,
    )
    .fetch_all(conn)
    .await
}
