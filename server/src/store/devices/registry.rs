//! The rows of the registry: who devices are and what they really have.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use servicing::{Facts, Ledger};
use sqlx::PgConnection;
use uuid::Uuid;

use super::columns::Columns;
use crate::store::{from_json, from_word};

/// Whether a device may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// It may.
    Admitted,
    /// A person has to let it in.
    AwaitingApproval,
    /// Never again, until it enrols anew.
    Revoked,
}

/// What a device says about itself at enrolment.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// SMBIOS serial.
    pub serial: String,
    /// SMBIOS UUID.
    pub smbios_uuid: Uuid,
    /// Hash of the TPM's endorsement key.
    pub tpm_ek_sha256: Option<Vec<u8>>,
    /// Host name.
    pub host_name: String,
}

/// A device as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Number, for arrays.
    pub device_no: i32,
    /// Id, for people and agents.
    pub id: Uuid,
    /// Track.
    pub track_id: Uuid,
    /// Ring now.
    pub ring_id: Uuid,
    /// Ring it is pinned to.
    pub pin: Option<Uuid>,
    /// Whether it may work.
    pub status: DeviceStatus,
    /// Two machines report as this device.
    pub clone_suspected: bool,
    /// Counts reimages.
    pub incarnation: i32,
    /// Tokens of an older one are worth nothing.
    pub generation: i32,
    /// Ed25519.
    pub public_key: Vec<u8>,
    /// Who it says it is.
    pub identity: Identity,
    /// Version of its agent.
    pub agent_version: String,
    /// Cohorts: model, BIOS, architecture, build, edition.
    pub cohorts: Vec<i16>,
    /// Facts.
    pub facts: Facts,
    /// Servicing ledger.
    pub ledger: Ledger,
    /// SHA-256 of the inventory as it came.
    pub inventory_digest: Vec<u8>,
    /// First or last enrolment.
    pub enrolled_at: DateTime<Utc>,
}

struct Row {
    device_no: i32,
    id: Uuid,
    track_id: Uuid,
    ring_id: Uuid,
    pin: Option<Uuid>,
    status: String,
    clone_suspected: bool,
    incarnation: i32,
    generation: i32,
    public_key: Vec<u8>,
    serial: String,
    smbios_uuid: Uuid,
    tpm_ek_sha256: Option<Vec<u8>>,
    host_name: String,
    agent_version: String,
    cohorts: Vec<i16>,
    facts: serde_json::Value,
    ledger: serde_json::Value,
    inventory_digest: Vec<u8>,
    enrolled_at: DateTime<Utc>,
}

impl TryFrom<Row> for Device {
    type Error = anyhow::Error;

    fn try_from(r: Row) -> anyhow::Result<Self> {
        Ok(Self {
            device_no: r.device_no,
            id: r.id,
            track_id: r.track_id,
            ring_id: r.ring_id,
            pin: r.pin,
            status: from_word("device status", r.status)?,
            clone_suspected: r.clone_suspected,
            incarnation: r.incarnation,
            generation: r.generation,
            public_key: r.public_key,
            identity: Identity {
                serial: r.serial,
                smbios_uuid: r.smbios_uuid,
                tpm_ek_sha256: r.tpm_ek_sha256,
                host_name: r.host_name,
            },
            agent_version: r.agent_version,
            cohorts: r.cohorts,
            facts: from_json("facts", r.facts)?,
            ledger: from_json("ledger", r.ledger)?,
            inventory_digest: r.inventory_digest,
            enrolled_at: r.enrolled_at,
        })
    }
}

/// Devices by number, ascending.
///
/// # Errors
/// When the database fails.
pub async fn by_nos(conn: &mut PgConnection, device_nos: &[i32]) -> anyhow::Result<Vec<Device>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT device_no, id, track_id, ring_id, pin, status, clone_suspected, incarnation, generation, public_key, serial, smbios_uuid,
                tpm_ek_sha256, host_name, agent_version, cohorts, facts, ledger, inventory_digest, enrolled_at
         FROM device WHERE device_no = ANY($1) ORDER BY device_no",
        device_nos,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Device::try_from).collect()
}

/// One device by number.
///
/// # Errors
/// When the database fails.
pub async fn by_no(conn: &mut PgConnection, device_no: i32) -> anyhow::Result<Option<Device>> {
    Ok(by_nos(conn, &[device_no]).await?.pop())
}

/// One device by id.
///
/// # Errors
/// When the database fails.
pub async fn by_id(conn: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<Device>> {
    let no = sqlx::query_scalar!("SELECT device_no FROM device WHERE id = $1", id)
        .fetch_optional(&mut *conn)
        .await?;
    match no {
        Some(no) => by_no(conn, no).await,
        None => Ok(None),
    }
}

/// One device, its row locked against other changes of the registry.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut PgConnection, device_no: i32) -> anyhow::Result<Option<Device>> {
    Ok(lock_all(conn, &[device_no]).await?.pop())
}

/// The same for several, ascending.
///
/// # Errors
/// When the database fails.
pub async fn lock_all(conn: &mut PgConnection, device_nos: &[i32]) -> anyhow::Result<Vec<Device>> {
    if device_nos.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query!(
        "SELECT device_no FROM device WHERE device_no = ANY($1) ORDER BY device_no FOR NO KEY UPDATE",
        device_nos
    )
    .fetch_all(&mut *conn)
    .await?;
    by_nos(conn, device_nos).await
}

/// Writes everything that an enrolment, an inventory or a person can change of devices.
///
/// # Errors
/// When the database fails.
pub async fn save(conn: &mut PgConnection, devices: &[&Device]) -> anyhow::Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let c = Columns::of(devices)?;
    sqlx::query!(
        "UPDATE device SET track_id = d.track_id, ring_id = d.ring_id, pin = d.pin, status = d.status, clone_suspected = d.clone_suspected,
             incarnation = d.incarnation, generation = d.generation, public_key = d.public_key, serial = d.serial,
             smbios_uuid = d.smbios_uuid, tpm_ek_sha256 = d.tpm_ek_sha256, host_name = d.host_name, agent_version = d.agent_version,
             product = d.product, base = d.base, ubr = d.ubr, series = d.series, edition = d.edition, architecture = d.architecture,
             cohorts = ARRAY[d.model, d.bios, d.cpu, d.build, d.sku], facts = d.facts, ledger = d.ledger,
             inventory_digest = d.inventory_digest, enrolled_at = d.enrolled_at
         FROM UNNEST($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::int[], $7::int[], $8::bytea[], $9::text[], $10::uuid[],
             $11::bytea[], $12::text[], $13::text[], $14::text[], $15::int[], $16::int[], $17::text[], $18::text[], $19::text[],
             $20::smallint[], $21::smallint[], $22::smallint[], $23::smallint[], $24::smallint[], $25::jsonb[], $26::jsonb[], $27::bytea[],
             $28::timestamptz[], $29::bool[])
             AS d (device_no, track_id, ring_id, pin, status, incarnation, generation, public_key, serial, smbios_uuid, tpm_ek_sha256,
             host_name, agent_version, product, base, ubr, series, edition, architecture, model, bios, cpu, build, sku, facts, ledger,
             inventory_digest, enrolled_at, clone_suspected)
         WHERE device.device_no = d.device_no",
        &c.device_nos, &c.tracks, &c.rings, &c.pins as &[Option<Uuid>], &c.statuses, &c.incarnations, &c.generations,
        &c.public_keys as &[&[u8]], &c.serials as &[&str], &c.smbios_uuids, &c.eks as &[Option<&[u8]>], &c.host_names as &[&str],
        &c.agent_versions as &[&str], &c.products, &c.bases, &c.ubrs, &c.series, &c.editions, &c.architectures, &c.cohorts[0],
        &c.cohorts[1], &c.cohorts[2], &c.cohorts[3], &c.cohorts[4], &c.facts, &c.ledgers, &c.digests as &[&[u8]], &c.enrolled_at,
        &c.clones,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a device as cloned; false where it was marked already.
///
/// # Errors
/// When the database fails.
pub async fn suspect_clone(conn: &mut PgConnection, device_no: i32) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE device SET clone_suspected = true WHERE device_no = $1 AND NOT clone_suspected",
        device_no
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Track of a device.
///
/// # Errors
/// When the database fails.
pub async fn track_of(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT track_id FROM device WHERE id = $1", id)
        .fetch_optional(conn)
        .await
}

/// The highest number of a device; 0 where there is none.
///
/// # Errors
/// When the database fails.
pub async fn highest_no(conn: &mut PgConnection) -> sqlx::Result<i32> {
    let no = sqlx::query_scalar!("SELECT max(device_no) FROM device")
        .fetch_one(conn)
        .await?;
    Ok(no.unwrap_or(0))
}
