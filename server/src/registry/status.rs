//! How a person lets a waiting device in, or throws one out.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::enrol::{audited, tell};
use super::inventory::ring_of;
use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::devices::{self, Device, DeviceStatus};
use crate::store::{audit, changes};

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
    devices::save(&mut tx, &[&after]).await?;
    population::delta(&mut tx, catalogue, &[(Some(&before), &after)]).await?;
    let announced = changes::announce_devices(&mut tx, &[after.device_no], true).await?;
    let entry = audited(now, Some(by), action, &after, &json!({}));
    audit::append(&mut tx, &entry).await?;
    tx.commit().await?;
    tell(picture, [&after], announced);
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
