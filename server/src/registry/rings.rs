//! Ring definitions: saved as a new revision, and every device of the track placed by them.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use engine::ids::TrackId;
use engine::ring::Query;
use serde::Deserialize;
use serde_json::json;
use servicing::FieldError;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::inventory::{placed, ring_of, rules};
use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::devices::{self, Device, DeviceStatus};
use crate::store::tracks::{self, Ring};
use crate::store::{audit, changes, populations};

/// A ring as people write it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingInput {
    /// The ring, if it is there already.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// Name.
    pub name: String,
    /// Device query; none: every device.
    #[serde(default)]
    pub query: Option<String>,
    /// Share of the matching devices, percent.
    #[serde(default)]
    pub share: Option<f64>,
}

fn check(inputs: &[RingInput], existing: &[Ring]) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut expect = |field: String, expected: &str| {
        wrong.push(FieldError {
            field,
            expected: expected.to_owned(),
        });
    };
    if inputs.is_empty() || inputs.len() > 16 {
        expect(
            "rings".into(),
            "1 to 16 rings, the first to get an update first",
        );
    }
    let mut names = HashSet::new();
    let mut ids = HashSet::new();
    for (i, ring) in inputs.iter().enumerate() {
        if ring.name.trim().is_empty()
            || ring.name.chars().count() > 100
            || ring.name.chars().any(char::is_control)
        {
            expect(
                format!("rings[{i}].name"),
                "1 to 100 characters, none of them a control character",
            );
        }
        if !names.insert(ring.name.trim().to_lowercase()) {
            expect(
                format!("rings[{i}].name"),
                "a name that no other ring of the track has",
            );
        }
        if ring.id.is_some_and(|id| !ids.insert(id)) {
            expect(format!("rings[{i}].id"), "a ring that no other line names");
        }
        if let Some(Err(error)) = ring.query.as_deref().map(Query::parse) {
            expect(format!("rings[{i}].query"), &error.to_string());
        }
        if ring.share.is_some_and(|s| !(s > 0.0 && s <= 100.0)) {
            expect(
                format!("rings[{i}].share"),
                "more than 0 and at most 100 percent",
            );
        }
        if ring
            .id
            .is_some_and(|id| existing.iter().all(|r| r.id != id))
        {
            expect(
                format!("rings[{i}].id"),
                "a ring of this track, or none for a new one",
            );
        }
    }
    if inputs
        .last()
        .is_some_and(|r| r.query.is_some() || r.share.is_some())
    {
        expect(
            format!("rings[{}]", inputs.len() - 1),
            "neither query nor share: the last ring takes every device that no other ring took",
        );
    }
    if existing
        .iter()
        .any(|r| inputs.iter().all(|i| i.id != Some(r.id)))
    {
        expect(
            "rings".into(),
            "every ring that is there already, by its id: rollouts refer to it",
        );
    }
    wrong
}

/// Rings as they will be: in order, with the revision of those whose rule or place changes.
fn drawn(track: Uuid, inputs: &[RingInput], existing: &[Ring]) -> anyhow::Result<Vec<Ring>> {
    let ring = |(position, input): (usize, &RingInput)| {
        let old = existing.iter().find(|r| Some(r.id) == input.id);
        let mut ring = Ring {
            id: input.id.unwrap_or_else(Uuid::now_v7),
            track_id: track,
            position: i16::try_from(position)?,
            name: input.name.trim().to_owned(),
            query: input.query.clone(),
            share: input.share,
            revision: 1,
        };
        if let Some(old) = old {
            let same =
                old.query == ring.query && old.share == ring.share && old.position == ring.position;
            ring.revision = old.revision + i32::from(!same);
        }
        Ok(ring)
    };
    inputs.iter().enumerate().map(ring).collect()
}

/// What a definition would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Rings as they would be, in order.
    pub rings: Vec<Ring>,
    /// Devices of each that were not revoked, by ring.
    pub devices: BTreeMap<Uuid, u64>,
    /// How many of them would move, by where from and where to.
    pub moves: BTreeMap<(Uuid, Uuid), u64>,
}

/// What [`define`] would do with the devices there are. Nothing is saved.
///
/// # Errors
/// As [`define`].
pub async fn preview(
    conn: &mut PgConnection,
    track: Uuid,
    inputs: &[RingInput],
) -> Result<Preview, OpError> {
    let existing = tracks::rings(&mut *conn, track).await?;
    let wrong = check(inputs, &existing);
    if !wrong.is_empty() {
        return Err(OpError::Invalid(wrong));
    }
    let rings = drawn(track, inputs, &existing)?;
    let rules = rules(&rings)?;
    let (mut devices, mut moves) = (BTreeMap::new(), BTreeMap::new());
    let mut after = 0;
    loop {
        let page = devices::page(&mut *conn, Some(track), after, 1000).await?;
        let Some(last) = page.last() else { break };
        after = last.device_no;
        for device in page.iter().filter(|d| d.status != DeviceStatus::Revoked) {
            let host = &device.identity.host_name;
            let placed = placed(&rules, track, device.id, device.pin, &device.facts, host);
            let ring = placed.unwrap_or(device.ring_id);
            *devices.entry(ring).or_default() += 1;
            if ring != device.ring_id {
                *moves.entry((device.ring_id, ring)).or_default() += 1;
            }
        }
    }
    Ok(Preview {
        rings,
        devices,
        moves,
    })
}

/// Rings to define.
#[derive(Debug, Clone, Copy)]
pub struct NewRings<'a> {
    /// All of them, first ring first.
    pub rings: &'a [RingInput],
    /// What was there when somebody decided on them: with other rings nothing is saved. None: whatever is there.
    pub instead_of: Option<&'a [Ring]>,
}

impl<'a> From<&'a [RingInput]> for NewRings<'a> {
    fn from(rings: &'a [RingInput]) -> Self {
        Self {
            rings,
            instead_of: None,
        }
    }
}

impl<'a> From<&'a Vec<RingInput>> for NewRings<'a> {
    fn from(rings: &'a Vec<RingInput>) -> Self {
        rings.as_slice().into()
    }
}

/// Defines the rings of a track, in order, and places its devices. Approvals that froze another definition are void
/// at the next tick. A device that moves skips no gate: its ring is pinned in rollouts that it has begun.
///
/// # Errors
/// [`OpError::Invalid`] naming each field, [`OpError::NotFound`], [`OpError::Conflict`] where others were saved meanwhile.
pub async fn define(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    track: Uuid,
    new: impl Into<NewRings<'_>>,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<Ring>, OpError> {
    let NewRings {
        rings: inputs,
        instead_of,
    } = new.into();
    let mut tx = pool.begin().await?;
    let Some(_track) = tracks::lock(&mut tx, TrackId(track)).await? else {
        return Err(OpError::NotFound { what: "track" });
    };
    let existing = tracks::rings(&mut tx, track).await?;
    if instead_of.is_some_and(|seen| seen != existing) {
        return Err(OpError::Conflict(
            "somebody saved other rings meanwhile; look at them before you save yours".into(),
        ));
    }
    let wrong = check(inputs, &existing);
    if !wrong.is_empty() {
        return Err(OpError::Invalid(wrong));
    }
    let rings = drawn(track, inputs, &existing)?;
    for ring in &rings {
        tracks::save_ring(&mut tx, ring).await?;
    }
    let moved = place_all(&mut tx, catalogue, track).await?;
    // Lanes ascending, as everywhere.
    changes::announce_control(&mut tx).await?;
    changes::announce_devices(&mut tx, &moved, true).await?;
    let entry = audit::Entry {
        at: now,
        actor: Some(by),
        action: "rings_defined".into(),
        subject: format!("track:{track}"),
        body: json!({ "rings": rings, "devices_moved": moved.len() }),
    };
    audit::append(&mut tx, &entry).await?;
    tx.commit().await?;
    picture.wake.notify_one();
    Ok(rings)
}

async fn place_all(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    track: Uuid,
) -> anyhow::Result<Vec<i32>> {
    let mut moved = Vec::new();
    let mut changes = populations::Changes::new();
    let mut after = 0;
    loop {
        let page = devices::page(&mut *conn, Some(track), after, 1000).await?;
        let Some(last) = page.last() else { break };
        after = last.device_no;
        for listed in page {
            // Locked and read again: it may have been revoked or enrolled anew since the page was read.
            let device = devices::lock(&mut *conn, listed.device_no).await?;
            let Some(device) = device.filter(|d| d.track_id == track) else {
                continue;
            };
            let ring = ring_of(
                &mut *conn,
                track,
                device.id,
                device.pin,
                &device.facts,
                &device.identity.host_name,
            )
            .await?;
            if let Some(ring) = ring.filter(|r| *r != device.ring_id) {
                let next = Device {
                    ring_id: ring,
                    ..device.clone()
                };
                devices::save(&mut *conn, &next).await?;
                population::collect(&mut *conn, catalogue, Some(&device), &next, &mut changes)
                    .await?;
                moved.push(device.device_no);
            }
        }
    }
    populations::apply(conn, &changes).await?;
    Ok(moved)
}

/// Pins a device to a ring of its track, or lets the rules place it again.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Invalid`] for a ring of another track.
pub async fn pin(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    id: Uuid,
    ring: Option<Uuid>,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Device, OpError> {
    let mut tx = pool.begin().await?;
    let Some(found) = devices::by_id(&mut tx, id).await? else {
        return Err(OpError::NotFound { what: "device" });
    };
    let Some(before) = devices::lock(&mut tx, found.device_no).await? else {
        return Err(OpError::NotFound { what: "device" });
    };
    if let Some(ring) = ring {
        let rings = tracks::rings(&mut tx, before.track_id).await?;
        if rings.iter().all(|r| r.id != ring) {
            return Err(OpError::field("ring", "a ring of the device's track"));
        }
    }
    let placed = ring_of(
        &mut tx,
        before.track_id,
        before.id,
        ring,
        &before.facts,
        &before.identity.host_name,
    )
    .await?;
    let after = Device {
        pin: ring,
        ring_id: placed.unwrap_or(before.ring_id),
        ..before.clone()
    };
    devices::save(&mut tx, &after).await?;
    population::delta(&mut tx, catalogue, Some(&before), &after).await?;
    changes::announce_devices(&mut tx, &[after.device_no], true).await?;
    let entry = audit::Entry {
        at: now,
        actor: Some(by),
        action: "device_pinned".into(),
        subject: format!("device:{id}"),
        body: json!({ "ring": ring }),
    };
    audit::append(&mut tx, &entry).await?;
    tx.commit().await?;
    picture.wake.notify_one();
    Ok(after)
}
