//! How devices come into the registry, and by what they are known again.

use std::collections::HashMap;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::columns::Columns;
use super::registry::{Device, DeviceStatus, lock_all};
use crate::store::from_word;

/// By what a device is known again. Placeholders that vendors leave in serial and UUID are nobody's: either is none for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBy {
    /// Hash of the TPM's endorsement key.
    pub tpm_ek_sha256: Option<Vec<u8>>,
    /// SMBIOS UUID.
    pub smbios_uuid: Option<Uuid>,
    /// SMBIOS serial.
    pub serial: Option<String>,
}

/// The devices to which identities belong already, each locked, in the order of the identities: the same TPM key, SMBIOS
/// UUID or serial, in this order where they are of several. None of two may be of one device.
///
/// # Errors
/// When the database fails.
pub async fn by_identity(
    conn: &mut PgConnection,
    identities: &[KnownBy],
) -> anyhow::Result<Vec<Option<Device>>> {
    // Two enrolments of one machine at once must not make two devices.
    let names: Vec<String> = identities
        .iter()
        .map(|i| {
            let uuid = i.smbios_uuid.unwrap_or_default();
            i.serial.clone().unwrap_or_else(|| uuid.to_string())
        })
        .collect();
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(k.name) FROM (SELECT DISTINCT hashtextextended(u.name, 1) AS name FROM UNNEST($1::text[]) AS u (name) ORDER BY 1) AS k",
        &names,
    )
    .execute(&mut *conn)
    .await?;
    let (mut eks, mut uuids, mut serials) = (Vec::new(), Vec::new(), Vec::new());
    for identity in identities {
        eks.push(identity.tpm_ek_sha256.as_deref());
        uuids.push(identity.smbios_uuid);
        serials.push(identity.serial.as_deref());
    }
    let found = sqlx::query!(
        r#"SELECT k.n AS "n!", d.device_no AS "device_no!"
           FROM UNNEST($1::bytea[], $2::uuid[], $3::text[]) WITH ORDINALITY AS k (ek, smbios_uuid, serial, n)
           CROSS JOIN LATERAL (
               SELECT device_no FROM device
               WHERE tpm_ek_sha256 = k.ek OR smbios_uuid = k.smbios_uuid OR serial = k.serial
               ORDER BY (tpm_ek_sha256 IS NOT DISTINCT FROM k.ek AND k.ek IS NOT NULL) DESC, (smbios_uuid = k.smbios_uuid) DESC, device_no
               LIMIT 1) AS d"#,
        &eks as &[Option<&[u8]>], &uuids as &[Option<Uuid>], &serials as &[Option<&str>],
    )
    .fetch_all(&mut *conn)
    .await?;
    let found: HashMap<i64, i32> = found.into_iter().map(|r| (r.n, r.device_no)).collect();
    let device_nos: Vec<i32> = found.values().copied().collect();
    let mut devices: HashMap<i32, Device> = lock_all(conn, &device_nos)
        .await?
        .into_iter()
        .map(|d| (d.device_no, d))
        .collect();
    Ok((1_i64..)
        .zip(identities)
        .map(|(n, _)| devices.remove(found.get(&n)?))
        .collect())
}

/// What tells whether a device is who it says.
#[derive(Debug)]
pub struct Credentials {
    /// Number, for arrays.
    pub device_no: i32,
    /// Tokens of an older one are worth nothing.
    pub generation: i32,
    /// Whether it may work.
    pub status: DeviceStatus,
    /// Ed25519.
    pub public_key: Vec<u8>,
}

/// Credentials of a device.
///
/// # Errors
/// When the database fails.
pub async fn credentials(conn: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<Credentials>> {
    let row = sqlx::query!(
        "SELECT device_no, generation, status, public_key FROM device WHERE id = $1",
        id
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(Credentials {
            device_no: r.device_no,
            generation: r.generation,
            status: from_word("device status", r.status)?,
            public_key: r.public_key,
        })
    })
    .transpose()
}

/// Adds devices, each with its cursor; returns their numbers in the order of the devices, whose own are ignored.
///
/// # Errors
/// When the database fails.
pub async fn add(
    conn: &mut PgConnection,
    devices: &[&Device],
    service_now: DateTime<Utc>,
) -> anyhow::Result<Vec<i32>> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let c = Columns::of(devices)?;
    let rows = sqlx::query!(
        "INSERT INTO device (id, track_id, ring_id, pin, status, incarnation, generation, public_key, serial, smbios_uuid, tpm_ek_sha256,
             host_name, agent_version, product, base, ubr, series, edition, architecture, cohorts, facts, ledger, inventory_digest, enrolled_at)
         SELECT id, track_id, ring_id, pin, status, incarnation, generation, public_key, serial, smbios_uuid, tpm_ek_sha256,
             host_name, agent_version, product, base, ubr, series, edition, architecture, ARRAY[model, bios, cpu, build, sku], facts, ledger,
             inventory_digest, enrolled_at
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::int[], $7::int[], $8::bytea[], $9::text[], $10::uuid[],
             $11::bytea[], $12::text[], $13::text[], $14::text[], $15::int[], $16::int[], $17::text[], $18::text[], $19::text[],
             $20::smallint[], $21::smallint[], $22::smallint[], $23::smallint[], $24::smallint[], $25::jsonb[], $26::jsonb[], $27::bytea[],
             $28::timestamptz[])
             AS d (id, track_id, ring_id, pin, status, incarnation, generation, public_key, serial, smbios_uuid, tpm_ek_sha256,
             host_name, agent_version, product, base, ubr, series, edition, architecture, model, bios, cpu, build, sku, facts, ledger,
             inventory_digest, enrolled_at)
         RETURNING id, device_no",
        &c.ids, &c.tracks, &c.rings, &c.pins as &[Option<Uuid>], &c.statuses, &c.incarnations, &c.generations, &c.public_keys as &[&[u8]],
        &c.serials as &[&str], &c.smbios_uuids, &c.eks as &[Option<&[u8]>], &c.host_names as &[&str], &c.agent_versions as &[&str],
        &c.products, &c.bases, &c.ubrs, &c.series, &c.editions, &c.architectures, &c.cohorts[0], &c.cohorts[1], &c.cohorts[2],
        &c.cohorts[3], &c.cohorts[4], &c.facts, &c.ledgers, &c.digests as &[&[u8]], &c.enrolled_at,
    )
    .fetch_all(&mut *conn)
    .await?;
    let nos: HashMap<Uuid, i32> = rows.into_iter().map(|r| (r.id, r.device_no)).collect();
    let nos: Vec<i32> = devices
        .iter()
        .map(|d| {
            nos.get(&d.id)
                .copied()
                .context("an added device has no number")
        })
        .collect::<anyhow::Result<_>>()?;
    sqlx::query!(
        "INSERT INTO device_cursor (device_no, epoch, heard_at) SELECT d.no, d.epoch, $3 FROM UNNEST($1::int[], $2::int[]) AS d (no, epoch)",
        &nos,
        &c.incarnations,
        service_now
    )
    .execute(conn)
    .await?;
    Ok(nos)
}

/// A known device came back: its numbers start again.
///
/// # Errors
/// When the database fails.
pub async fn new_epoch(
    conn: &mut PgConnection,
    device_no: i32,
    incarnation: i32,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE device_cursor SET epoch = GREATEST(LEAST(epoch, 2147483646) + 1, $2), acked = 0, tail_first = 1, tail_hash = 0, powered_s = 0 WHERE device_no = $1",
        device_no, incarnation,
    )
    .execute(conn)
    .await?;
    Ok(())
}
