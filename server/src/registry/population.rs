//! Denominators: of which class a device is for a rollout, and how a change of the device changes the counts.

use std::collections::{BTreeSet, HashMap};

use engine::ids::CohortId;
use servicing::{Build, Facts, Ledger, Planned, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::fleet::Catalogue;
use crate::store::devices::{Device, DeviceStatus, Move};
use crate::store::{from_word, populations, preview, tracks};

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
        for kept in populations::kept(&mut *conn, track).await? {
            let Some(sequence) = catalogue.get(&mut *conn, kept.digest).await? else {
                continue;
            };
            let begun = if known.is_empty() {
                HashMap::new()
            } else {
                populations::begun(&mut *conn, &kept, &known).await?
            };
            for (before, after) in of_track() {
                let begun = begun.get(&after.device_no).copied().unwrap_or_default();
                if begun.started || (kept.listed && !begun.listed) {
                    continue;
                }
                let counted =
                    |d: &&Device| d.track_id == track && d.status == DeviceStatus::Admitted;
                let before = before.filter(counted).map(|d| (d, -1));
                let after = Some(*after).filter(counted).map(|d| (d, 1));
                for (device, sign) in before.into_iter().chain(after) {
                    // Its ring is pinned per rollout by its first report: permits are granted there, so it counts there.
                    let ring = begun.pinned.unwrap_or(device.ring_id);
                    let class = class_of(&sequence, &device.facts);
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
    for kept in populations::kept(&mut *conn, track).await? {
        let Some(sequence) = catalogue.get(&mut *conn, kept.digest).await? else {
            continue;
        };
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
