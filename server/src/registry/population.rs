//! Denominators: of which class a device is for a rollout, and how a change of the device changes the counts.

use std::collections::{BTreeSet, HashMap};

use engine::hold::{self, Hold, HoldKind};
use engine::ids::CohortId;
use engine::ring::Subject;
use servicing::{Build, Facts, Ledger, Planned, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::fleet::Catalogue;
use crate::store::devices::{self, Device, DeviceStatus, Move};
use crate::store::populations::{Begun, Kept};
use crate::store::{from_word, holds, populations, preview, tracks};

/// Of which class a device is for a sequence: `targeted`, `complete`, `ahead`, or `not_applicable:<why>`. Passing
/// obstacles (disk, battery, a pending restart) do not change it: such a device is targeted.
#[must_use]
pub fn class_of(sequence: &Sequence, facts: &Facts) -> String {
    match servicing::plan(sequence, facts, &Ledger(Vec::new())) {
        Planned::Steps(_) | Planned::NotReady(..) => populations::TARGETED.to_owned(),
        Planned::Complete => "complete".to_owned(),
        Planned::Ahead => "ahead".to_owned(),
        Planned::NotApplicable(why) => format!("not_applicable:{}", why.word()),
    }
}

/// Facts of a group as far as they decide applicability; the rest is as harmless as can be.
fn group_facts(group: &populations::Group) -> anyhow::Result<Facts> {
    Ok(Facts::of_platform(
        from_word("product", group.product.clone())?,
        Build {
            base: u32::try_from(group.base)?,
            ubr: u32::try_from(group.ubr)?,
        },
        from_word("series", group.series.clone())?,
        from_word("edition", group.edition.clone())?,
        from_word("architecture", group.architecture.clone())?,
    ))
}

/// The same for a device, where some that the sequence is for do not start: `held:<id>` or `excluded:<id>`.
fn class_under(sequence: &Sequence, holds: &[Hold], device: &Device) -> String {
    let class = class_of(sequence, &device.facts);
    if class != populations::TARGETED || holds.is_empty() {
        return class;
    }
    let subject = Subject {
        facts: &device.facts,
        host_name: &device.identity.host_name,
    };
    match hold::on(holds, &subject, false) {
        None => class,
        Some(hold) => {
            let word = match hold.kind {
                HoldKind::Safeguard => populations::HELD,
                HoldKind::Exclusion => populations::EXCLUDED,
            };
            format!("{word}{}", hold.id)
        }
    }
}

/// Counts the population of a rollout that starts, in the transaction that starts it.
///
/// # Errors
/// When the database fails.
pub async fn open(
    conn: &mut PgConnection,
    track: Uuid,
    rollout: Uuid,
    listed: bool,
    sequence: &Sequence,
) -> anyhow::Result<()> {
    let digest = sequence.content_digest();
    let mut changes = populations::Changes::new();
    for group in populations::scan(conn, track, rollout, listed, digest).await? {
        let class = class_of_group(sequence, &group)?;
        *changes.entry((rollout, group.ring_id, class)).or_default() += group.n;
    }
    let kept = Kept {
        rollout,
        listed,
        digest,
    };
    let holds = holds::of_rollout(&holds::on(&mut *conn, &[track]).await?, rollout, digest);
    Turn::under(holds)
        .open(&mut *conn, &mut changes, (track, &kept, sequence))
        .await?;
    populations::apply(conn, &changes).await?;
    Ok(())
}

/// Holds of a rollout that change.
struct Turn {
    before: Vec<Hold>,
    after: Vec<Hold>,
}

impl Turn {
    /// Of a rollout that starts under these.
    fn under(holds: Vec<Hold>) -> Self {
        Self {
            before: Vec::new(),
            after: holds,
        }
    }

    /// How they change the population of a rollout that starts.
    async fn open(
        &self,
        conn: &mut PgConnection,
        changes: &mut populations::Changes,
        (track, kept, sequence): (Uuid, &Kept, &Sequence),
    ) -> anyhow::Result<()> {
        let mut taken = BTreeSet::new();
        for hold in &self.after {
            taken.extend(devices::matching(&mut *conn, track, &hold.query).await?);
        }
        let taken: Vec<i32> = taken.into_iter().collect();
        self.count(conn, changes, (track, kept, sequence), &taken)
            .await
    }

    /// How the population of a rollout changes with them. `device_nos` has all devices that a hold takes which is in one of
    /// the two alone. Callers keep the devices from changing.
    async fn count(
        &self,
        conn: &mut PgConnection,
        changes: &mut populations::Changes,
        (track, kept, sequence): (Uuid, &Kept, &Sequence),
        device_nos: &[i32],
    ) -> anyhow::Result<()> {
        for chunk in device_nos.chunks(CHUNK) {
            let begun = populations::begun(&mut *conn, kept, chunk).await?;
            for device in devices::by_nos(&mut *conn, chunk).await? {
                let begun = begun.get(&device.device_no).copied().unwrap_or_default();
                if !counts(kept, begun, &device, track) {
                    continue;
                }
                let ring = begun.pinned.unwrap_or(device.ring_id);
                for (holds, sign) in [(&self.before, -1), (&self.after, 1)] {
                    let class = class_under(sequence, holds, &device);
                    *changes.entry((kept.rollout, ring, class)).or_default() += sign;
                }
            }
        }
        Ok(())
    }
}

/// Devices that are read by one statement.
const CHUNK: usize = 5_000;

/// Whether what a device is decides its class in a rollout. One that started the content is targeted for ever, and was
/// counted when it started.
fn counts(kept: &Kept, begun: Begun, device: &Device, track: Uuid) -> bool {
    let is_for = !begun.started && (!kept.listed || begun.listed);
    is_for && device.track_id == track && device.status == DeviceStatus::Admitted
}

/// Changes the populations of a track's rollouts where a hold is added or ends: `before` and `after` are all holds of the
/// track. `device_nos` has all devices that the hold takes. Callers keep the devices from changing.
///
/// # Errors
/// When the database fails.
pub(super) async fn held(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    track: Uuid,
    (before, after): (&[holds::Stored], &[holds::Stored]),
    device_nos: &[i32],
) -> anyhow::Result<()> {
    let mut changes = populations::Changes::new();
    for kept in populations::kept(&mut *conn, track).await? {
        let of = |holds| holds::of_rollout(holds, kept.rollout, kept.digest);
        let turn = Turn {
            before: of(before),
            after: of(after),
        };
        if turn.before == turn.after {
            continue;
        }
        let Some(sequence) = catalogue.get(&mut *conn, kept.digest).await? else {
            continue;
        };
        let rollout = (track, &kept, &*sequence);
        turn.count(&mut *conn, &mut changes, rollout, device_nos)
            .await?;
    }
    populations::apply(conn, &changes).await?;
    Ok(())
}

/// Of which class devices would be if a rollout of this sequence started now: of the whole track, or of these devices
/// alone. Counts as [`open`] does, but writes nothing and locks nothing.
///
/// # Errors
/// When the database fails.
pub async fn preview(
    conn: &mut PgConnection,
    track: Uuid,
    listed: Option<&[i32]>,
    sequence: &Sequence,
) -> anyhow::Result<Vec<(populations::Group, String)>> {
    let groups = match listed {
        Some(listed) => preview::groups(conn, track, listed).await?,
        None => populations::groups(conn, track, None, sequence.content_digest()).await?,
    };
    groups
        .into_iter()
        .map(|group| Ok((group.clone(), class_of_group(sequence, &group)?)))
        .collect()
}

/// How holds would change what [`preview`] counts: devices by ring and class, fewer of one and more of another. `rollout` is the
/// one that is written already, with its exclusions.
///
/// # Errors
/// When the database fails.
pub async fn preview_held(
    conn: &mut PgConnection,
    track: Uuid,
    rollout: Uuid,
    listed: Option<&[i32]>,
    sequence: &Sequence,
) -> anyhow::Result<HashMap<(Uuid, String), i64>> {
    let digest = sequence.content_digest();
    let holds = holds::of_rollout(&holds::on(&mut *conn, &[track]).await?, rollout, digest);
    let mut changes = populations::Changes::new();
    if !holds.is_empty() {
        let kept = Kept {
            rollout,
            listed: listed.is_some(),
            digest,
        };
        let rollout = (track, &kept, sequence);
        Turn::under(holds)
            .open(&mut *conn, &mut changes, rollout)
            .await?;
    }
    let by_ring = changes
        .into_iter()
        .map(|((_, ring, class), n)| ((ring, class), n));
    Ok(by_ring.filter(|(_, n)| *n != 0).collect())
}

/// Cohorts of some devices of the rings that a sequence is for, by ring: of the whole track, or of these devices alone.
/// In a small fleet they are all there.
///
/// # Errors
/// When the database fails.
pub async fn sample(
    conn: &mut PgConnection,
    rings: &[Uuid],
    listed: Option<&[i32]>,
    sequence: &Sequence,
) -> anyhow::Result<HashMap<Uuid, Vec<Vec<CohortId>>>> {
    let sampled = match listed {
        Some(listed) => preview::of_numbers(conn, rings, listed).await?,
        None => preview::sample(conn, rings).await?,
    };
    let mut by_ring: HashMap<Uuid, Vec<Vec<CohortId>>> = HashMap::new();
    for device in sampled {
        if class_of_group(sequence, &device.group)? == populations::TARGETED {
            let cohorts = device.cohorts.into_iter().map(CohortId).collect();
            by_ring
                .entry(device.group.ring_id)
                .or_default()
                .push(cohorts);
        }
    }
    Ok(by_ring)
}

/// A device that started the content once is targeted for ever.
fn class_of_group(sequence: &Sequence, group: &populations::Group) -> anyhow::Result<String> {
    if group.started {
        return Ok(populations::TARGETED.to_owned());
    }
    Ok(class_of(sequence, &group_facts(group)?))
}

/// Changes the populations of devices' tracks when each becomes what stands second; none stands before one that is new.
/// A device that started a content once
/// stays targeted for it where it was, also when it moves or is revoked: it is in the denominator for ever. One that
/// comes from another track was revoked there, and counted no more.
///
/// # Errors
/// When the database fails.
pub(super) async fn delta(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    devices: &[(Option<&Device>, &Device)],
) -> anyhow::Result<()> {
    let mut changes = populations::Changes::new();
    let tracks: BTreeSet<Uuid> = devices.iter().map(|(_, after)| after.track_id).collect();
    for track in tracks {
        tracks::share(&mut *conn, track).await?;
        let of_track = || devices.iter().filter(|(_, after)| after.track_id == track);
        // What is new is listed nowhere and has begun nothing.
        let known = of_track().filter_map(|(before, _)| before.map(|d| d.device_no));
        let known: Vec<i32> = known.collect();
        let on = holds::on(&mut *conn, &[track]).await?;
        for kept in populations::kept(&mut *conn, track).await? {
            let Some(sequence) = catalogue.get(&mut *conn, kept.digest).await? else {
                continue;
            };
            let holds = holds::of_rollout(&on, kept.rollout, kept.digest);
            let begun = if known.is_empty() {
                HashMap::new()
            } else {
                populations::begun(&mut *conn, &kept, &known).await?
            };
            for (before, after) in of_track() {
                let begun = begun.get(&after.device_no).copied().unwrap_or_default();
                let counted = |d: &&Device| counts(&kept, begun, d, track);
                let before = before.filter(counted).map(|d| (d, -1));
                let after = Some(*after).filter(counted).map(|d| (d, 1));
                for (device, sign) in before.into_iter().chain(after) {
                    // Its ring is pinned per rollout by its first report: permits are granted there, so it counts there.
                    let ring = begun.pinned.unwrap_or(device.ring_id);
                    let class = class_under(&sequence, &holds, device);
                    *changes.entry((kept.rollout, ring, class)).or_default() += sign;
                }
            }
        }
    }
    populations::apply(conn, &changes).await?;
    Ok(())
}

/// Changes the populations of a track for devices that moved to other rings of it, as they are now. Callers keep the
/// devices from changing.
///
/// # Errors
/// When the database fails.
pub(super) async fn moved(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    track: Uuid,
    moves: &[Move],
) -> anyhow::Result<()> {
    let device_nos: Vec<i32> = moves.iter().map(|m| m.device_no).collect();
    let from: Vec<Uuid> = moves.iter().map(|m| m.from).collect();
    let mut changes = populations::Changes::new();
    let on = holds::on(&mut *conn, &[track]).await?;
    for kept in populations::kept(&mut *conn, track).await? {
        let Some(sequence) = catalogue.get(&mut *conn, kept.digest).await? else {
            continue;
        };
        let holds = holds::of_rollout(&on, kept.rollout, kept.digest);
        if !holds.is_empty() {
            let rollout = (track, &kept, &*sequence);
            moved_under(&mut *conn, &mut changes, rollout, &holds, moves).await?;
            continue;
        }
        for moved in populations::moved(&mut *conn, &kept, &device_nos, &from).await? {
            let class = class_of_group(&sequence, &moved.group)?;
            for (ring, n) in [
                (moved.from, -moved.group.n),
                (moved.group.ring_id, moved.group.n),
            ] {
                *changes
                    .entry((kept.rollout, ring, class.clone()))
                    .or_default() += n;
            }
        }
    }
    populations::apply(conn, &changes).await?;
    Ok(())
}

/// The same for a rollout with holds: device by device.
async fn moved_under(
    conn: &mut PgConnection,
    changes: &mut populations::Changes,
    (track, kept, sequence): (Uuid, &Kept, &Sequence),
    holds: &[Hold],
    moves: &[Move],
) -> anyhow::Result<()> {
    for chunk in moves.chunks(CHUNK) {
        let from: HashMap<i32, Uuid> = chunk.iter().map(|m| (m.device_no, m.from)).collect();
        let device_nos: Vec<i32> = from.keys().copied().collect();
        let begun = populations::begun(&mut *conn, kept, &device_nos).await?;
        for device in devices::by_nos(&mut *conn, &device_nos).await? {
            let begun = begun.get(&device.device_no).copied().unwrap_or_default();
            // Pinned ones count where they are pinned.
            if begun.pinned.is_some() || !counts(kept, begun, &device, track) {
                continue;
            }
            let class = class_under(sequence, holds, &device);
            for (ring, sign) in [(from[&device.device_no], -1), (device.ring_id, 1)] {
                let key = (kept.rollout, ring, class.clone());
                *changes.entry(key).or_default() += sign;
            }
        }
    }
    Ok(())
}
