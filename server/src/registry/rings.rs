//! Ring definitions: saved as a new revision, and every device of the track placed by them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use engine::ids::TrackId;
use engine::ring::{Query, RingRule};
use serde::Deserialize;
use serde_json::json;
use servicing::FieldError;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::inventory::{placed, ring_of, rules};
use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::devices::{self, Device, Move, Placing};
use crate::store::tracks::{self, Ring};
use crate::store::{audit, changes};

/// Devices that are moved by one statement.
const CHUNK: usize = 5_000;

/// How often devices that changed meanwhile are looked at, and the pause between: whoever holds one of their rows and
/// does not wait for us is done by then.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

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
        let page = devices::placings(&mut *conn, track, after).await?;
        let Some(last) = page.last() else { break };
        after = last.device_no;
        for device in page.iter().filter(|d| !d.revoked) {
            let ring = belongs(&rules, track, device);
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
/// Where devices belong is found before anything is locked; then those that move are written, in one transaction with
/// the rings. Devices that change meanwhile are looked at again in it.
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
    let mut conn = pool.acquire().await?;
    if tracks::by_id(&mut conn, track).await?.is_none() {
        return Err(OpError::NotFound { what: "track" });
    }
    let existing = tracks::rings(&mut conn, track).await?;
    if instead_of.is_some_and(|seen| seen != existing) {
        return Err(saved_meanwhile());
    }
    let wrong = check(inputs, &existing);
    if !wrong.is_empty() {
        return Err(OpError::Invalid(wrong));
    }
    let rings = drawn(track, inputs, &existing)?;
    let rules = rules(&rings)?;
    let cursors = changes::cursors(&mut conn).await?;
    let moves = all_moves(&mut conn, track, &rules).await?;

    let mut tx = sqlx::Connection::begin(&mut *conn).await?;
    tracks::lock(&mut tx, TrackId(track)).await?;
    if tracks::rings(&mut tx, track).await? != existing {
        return Err(saved_meanwhile());
    }
    for ring in &rings {
        tracks::save_ring(&mut tx, ring).await?;
    }
    let mut moved = write(&mut tx, &moves).await?;
    tracks::hold(&mut tx, track).await?;
    // What changed since the first look was placed by the old rules, or passed over. Nothing changes any more, but for
    // those who hold a row and wait: they read the new rings. Others that hold one are done at once.
    let mut again = changes::registered_after(&mut tx, &cursors).await?;
    again.extend(
        moves
            .iter()
            .map(|m| m.device_no)
            .filter(|no| !moved.contains_key(no)),
    );
    for _ in 0..LOOKS {
        let late = moves_of(&mut tx, track, &rules, &again).await?;
        if late.is_empty() {
            break;
        }
        for (device_no, last) in write(&mut tx, &late).await? {
            moved.entry(device_no).or_insert(last).to = last.to;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let moved: Vec<Move> = moved.into_values().filter(|m| m.from != m.to).collect();
    population::moved(&mut tx, catalogue, track, &moved).await?;
    // Lanes ascending, as everywhere.
    changes::announce_control(&mut tx).await?;
    let device_nos: Vec<i32> = moved.iter().map(|m| m.device_no).collect();
    changes::announce_devices(&mut tx, &device_nos, true).await?;
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

fn saved_meanwhile() -> OpError {
    OpError::Conflict(
        "somebody saved other rings meanwhile; look at them before you save yours".into(),
    )
}

/// Where a device belongs; one that matches no rule stays where it is.
fn belongs(rules: &[RingRule], track: Uuid, device: &Placing) -> Uuid {
    let host = &device.host_name;
    let placed = placed(rules, track, device.id, device.pin, &device.facts, host);
    placed.unwrap_or(device.ring_id)
}

fn move_of(rules: &[RingRule], track: Uuid, device: &Placing) -> Option<Move> {
    let to = belongs(rules, track, device);
    (to != device.ring_id).then_some(Move {
        device_no: device.device_no,
        row_version: device.row_version,
        from: device.ring_id,
        to,
    })
}

/// Those of these devices that the rules place elsewhere.
async fn moves_of(
    conn: &mut PgConnection,
    track: Uuid,
    rules: &[RingRule],
    device_nos: &[i32],
) -> anyhow::Result<Vec<Move>> {
    let found = devices::placings_of(conn, track, device_nos).await?;
    let moves = found.iter().filter_map(|d| move_of(rules, track, d));
    Ok(moves.collect())
}

/// Devices that the rules place elsewhere, ascending.
async fn all_moves(
    conn: &mut PgConnection,
    track: Uuid,
    rules: &[RingRule],
) -> anyhow::Result<Vec<Move>> {
    let mut moves = Vec::new();
    let mut after = 0;
    loop {
        let page = devices::placings(&mut *conn, track, after).await?;
        let Some(last) = page.last() else { break };
        after = last.device_no;
        moves.extend(page.iter().filter_map(|d| move_of(rules, track, d)));
    }
    Ok(moves)
}

/// Writes moves, ascending; those whose devices are as they were. Returns what moved.
async fn write(conn: &mut PgConnection, moves: &[Move]) -> sqlx::Result<BTreeMap<i32, Move>> {
    let mut moved = BTreeMap::new();
    for chunk in moves.chunks(CHUNK) {
        let done: HashSet<i32> = devices::move_all(&mut *conn, chunk)
            .await?
            .into_iter()
            .collect();
        let done = chunk.iter().filter(|m| done.contains(&m.device_no));
        moved.extend(done.map(|m| (m.device_no, *m)));
    }
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
    devices::save(&mut tx, &[&after]).await?;
    population::delta(&mut tx, catalogue, &[(Some(&before), &after)]).await?;
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
