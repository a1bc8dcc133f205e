//! How a device becomes known, comes back after a reimage, is let in, or is thrown out.

use chrono::{DateTime, Utc};
use serde_json::json;
use servicing::Sha256;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::inventory::{ParsedInventory, ring_of};
use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::devices::{self, Device, DeviceStatus};
use crate::store::{audit, changes, cohorts, enrolment, service_clock, sha256};

/// Serials that vendors leave in place of one: they are nobody's.
const PLACEHOLDERS: [&str; 9] = [
    "",
    "0",
    "none",
    "n/a",
    "default string",
    "system serial number",
    "to be filled by o.e.m.",
    "not specified",
    "123456789",
];

/// UUIDs that vendors leave in place of one: none, all ones, and a constant that boards of many makers share.
const PLACEHOLDER_UUIDS: [u128; 4] = [
    0,
    u128::MAX,
    0x0300_0200_0400_0500_0006_0007_0008_0009,
    0x0002_0003_0004_0005_0006_0007_0008_0009,
];

/// A device that asks to be known. Its proof of possession was checked.
#[derive(Debug, Clone)]
pub struct EnrolmentInput {
    /// SHA-256 of the enrolment token.
    pub token_hash: [u8; 32],
    /// SHA-256 of the nonce: spent here.
    pub nonce_hash: [u8; 32],
    /// Until when the nonce would have been good.
    pub nonce_expires_at: DateTime<Utc>,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Version of the agent.
    pub agent_version: String,
    /// First inventory.
    pub inventory: ParsedInventory,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The device now.
    pub device: Device,
}

/// Enrols a device: a new one, or the next incarnation of one that is known by TPM key, SMBIOS UUID or serial.
/// Token, nonce, device, population and audit row move in one transaction.
///
/// # Errors
/// [`OpError::Refused`] with `token`, `nonce`, `not_listed` or `no_ring`; [`OpError::Internal`].
pub async fn enrol(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    input: EnrolmentInput,
    now: DateTime<Utc>,
) -> Result<Enrolled, OpError> {
    let refused = |code: &str, sentence: &str| OpError::Refused {
        code: code.into(),
        sentence: sentence.into(),
    };
    let mut tx = pool.begin().await?;
    if !enrolment::spend_nonce(&mut tx, &input.nonce_hash, input.nonce_expires_at).await? {
        return Err(refused(
            "nonce",
            "The nonce was used already. Ask for a new one.",
        ));
    }
    let Some(token) = enrolment::use_token(&mut tx, &input.token_hash, now).await? else {
        return Err(refused(
            "token",
            "The enrolment token is unknown, expired, revoked or used up.",
        ));
    };
    let ParsedInventory {
        identity,
        facts,
        ledger,
        digest,
    } = input.inventory;
    let status = match token.admission.as_str() {
        "approval" => DeviceStatus::AwaitingApproval,
        "listed" if !enrolment::is_listed(&mut tx, token.track_id, &identity.serial).await? => {
            return Err(refused(
                "not_listed",
                "This token lets in listed serials only, and the device's is not listed.",
            ));
        }
        _ => DeviceStatus::Admitted,
    };
    let serial = Some(identity.serial.as_str())
        .filter(|s| !PLACEHOLDERS.contains(&s.to_lowercase().as_str()));
    let smbios_uuid =
        Some(identity.smbios_uuid).filter(|u| !PLACEHOLDER_UUIDS.contains(&u.as_u128()));
    let ek = identity.tpm_ek_sha256.as_deref();
    let known = devices::by_identity(&mut tx, ek, smbios_uuid, serial).await?;
    if let Some(known) = &known {
        take_over(known, &token, status, &identity)?;
    }
    let id = known.as_ref().map_or_else(Uuid::new_v4, |d| d.id);
    let pin = known
        .as_ref()
        .filter(|d| d.track_id == token.track_id)
        .and_then(|d| d.pin);
    let Some(ring_id) = ring_of(
        &mut tx,
        token.track_id,
        id,
        pin,
        &facts,
        &identity.host_name,
    )
    .await?
    else {
        return Err(refused(
            "no_ring",
            "No ring of the token's track takes this device: its last ring has a rule that does not match.",
        ));
    };
    let mut device = Device {
        device_no: known.as_ref().map_or(0, |d| d.device_no),
        id,
        track_id: token.track_id,
        ring_id,
        pin,
        status,
        clone_suspected: false,
        incarnation: known.as_ref().map_or(0, |d| d.incarnation) + 1,
        generation: known.as_ref().map_or(0, |d| d.generation) + 1,
        public_key: input.public_key.to_vec(),
        cohorts: cohorts::of(&mut tx, &facts).await?,
        identity,
        agent_version: input.agent_version,
        facts,
        ledger,
        inventory_digest: digest.as_bytes().to_vec(),
        enrolled_at: now,
    };
    let service_now = service_clock::read(&mut tx).await?.map_or(now, |c| c.now);
    if known.is_some() {
        devices::save(&mut tx, &device).await?;
        devices::new_epoch(&mut tx, device.device_no, device.incarnation).await?;
    } else {
        device.device_no = devices::add(&mut tx, &device, service_now).await?;
    }
    population::delta(&mut tx, catalogue, known.as_ref(), &device).await?;
    let action = if known.is_some() {
        "device_enrolled_again"
    } else {
        "device_enrolled"
    };
    let announced = changes::announce_devices(&mut tx, &[device.device_no], true).await?;
    record(
        &mut tx,
        now,
        None,
        action,
        &device,
        json!({ "token": token.id, "incarnation": device.incarnation, "status": device.status }),
    )
    .await?;
    tx.commit().await?;
    tell(picture, &device, announced);
    Ok(Enrolled { device })
}

/// Whether a token may make a known device its next incarnation. What an enrolling machine says of itself is only
/// claimed: a token must not reach devices that it could not have let in.
fn take_over(
    known: &Device,
    token: &enrolment::Token,
    status: DeviceStatus,
    claimed: &devices::Identity,
) -> Result<(), OpError> {
    let refused = |code: &str, sentence: &str| {
        Err(OpError::Refused {
            code: code.into(),
            sentence: sentence.into(),
        })
    };
    if known.track_id != token.track_id && known.status != DeviceStatus::Revoked {
        return refused(
            "other_track",
            "The device belongs to another track. Use a token of that track, or revoke it first.",
        );
    }
    if status == DeviceStatus::AwaitingApproval && known.status == DeviceStatus::Admitted {
        return refused(
            "known",
            "The device is known and admitted. Revoke it first, or use a token that lets devices in.",
        );
    }
    if token.admission == "listed" && known.identity.serial != claimed.serial {
        return refused(
            "not_listed",
            "The device is known under another serial, and that one is not the listed one.",
        );
    }
    Ok(())
}

async fn record(
    conn: &mut PgConnection,
    at: DateTime<Utc>,
    actor: Option<Uuid>,
    action: &str,
    device: &Device,
    body: serde_json::Value,
) -> sqlx::Result<()> {
    let key = Sha256::of(&device.public_key).to_string();
    let body = json!({ "device": device.id, "host_name": device.identity.host_name, "key_sha256": key, "detail": body });
    let entry = audit::Entry {
        at,
        actor,
        action: action.to_owned(),
        subject: format!("device:{}", device.id),
        body,
    };
    audit::append(conn, &entry).await?;
    Ok(())
}

/// The local picture learns of it before the answer goes out: the device may poll at once.
fn tell(picture: &Picture, device: &Device, announced: changes::Announced) {
    if let Ok(inventory_digest) = sha256(&device.inventory_digest) {
        picture.place(&devices::Sketch {
            device_no: device.device_no,
            ring_id: device.ring_id,
            generation: device.generation,
            admitted: device.status == DeviceStatus::Admitted,
            inventory_digest,
        });
    }
    for (_, n, device_nos) in announced {
        picture.advance(&device_nos, n);
    }
    picture.wake.notify_one();
}

async fn set_status(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    id: Uuid,
    (from, to): (&[DeviceStatus], DeviceStatus),
    (action, by): (&str, Uuid),
    now: DateTime<Utc>,
) -> Result<Device, OpError> {
    let mut tx = pool.begin().await?;
    let Some(found) = devices::by_id(&mut tx, id).await? else {
        return Err(OpError::NotFound { what: "device" });
    };
    let Some(before) = devices::lock(&mut tx, found.device_no).await? else {
        return Err(OpError::NotFound { what: "device" });
    };
    if !from.contains(&before.status) {
        return Err(OpError::Conflict(format!(
            "the device is {} already",
            crate::store::word(&before.status)?
        )));
    }
    // Rings that were defined while this waited for the row count.
    let identity = &before.identity;
    let (track, pin) = (before.track_id, before.pin);
    let ring = ring_of(
        &mut tx,
        track,
        before.id,
        pin,
        &before.facts,
        &identity.host_name,
    )
    .await?;
    let mut after = Device {
        status: to,
        ring_id: ring.unwrap_or(before.ring_id),
        ..before.clone()
    };
    if to == DeviceStatus::Revoked {
        after.generation += 1;
    }
    devices::save(&mut tx, &after).await?;
    population::delta(&mut tx, catalogue, Some(&before), &after).await?;
    let announced = changes::announce_devices(&mut tx, &[after.device_no], true).await?;
    record(&mut tx, now, Some(by), action, &after, json!({})).await?;
    tx.commit().await?;
    tell(picture, &after, announced);
    Ok(after)
}

/// Lets a waiting device in.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Conflict`] where it does not wait.
pub async fn admit(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    id: Uuid,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Device, OpError> {
    let change = (
        &[DeviceStatus::AwaitingApproval][..],
        DeviceStatus::Admitted,
    );
    set_status(
        pool,
        catalogue,
        picture,
        id,
        change,
        ("device_admitted", by),
        now,
    )
    .await
}

/// Throws a device out: its tokens are worth nothing from now on, and what it says is no evidence.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Conflict`] where it is revoked already.
pub async fn revoke(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    id: Uuid,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Device, OpError> {
    let change = (
        &[DeviceStatus::AwaitingApproval, DeviceStatus::Admitted][..],
        DeviceStatus::Revoked,
    );
    set_status(
        pool,
        catalogue,
        picture,
        id,
        change,
        ("device_revoked", by),
        now,
    )
    .await
}
