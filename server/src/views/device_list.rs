//! Devices that a query takes, and where each of them stands.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use engine::ring::QueryError;
use servicing::{Build, Facts, HResult, KbNumber};
use sqlx::PgConnection;
use uuid::Uuid;

use super::device::{hold_on, not_begun};
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::registry::class_of;
use crate::store::devices::{
    self, Candidate, Device, DeviceQuery, Enough, Group, Heard, Hits, Platform, Search, Test,
};
use crate::store::{from_word, holds, seen};

/// Where is looked, and as of when.
pub struct Within<'a> {
    catalogue: &'a Catalogue,
    picture: &'a Picture,
    tracks: Option<&'a [Uuid]>,
    now: DateTime<Utc>,
    patience: Duration,
    rows: Option<i64>,
}

/// How long a search walks through devices before it shows what it found: a page is there within 100 ms.
const PATIENCE: Duration = Duration::from_millis(40);

/// The same for what is only a hint.
const HURRY: Duration = Duration::from_millis(5);

impl<'a> Within<'a> {
    /// These tracks; none: all.
    #[must_use]
    pub fn of(
        catalogue: &'a Catalogue,
        picture: &'a Picture,
        now: DateTime<Utc>,
        tracks: Option<&'a [Uuid]>,
    ) -> Self {
        Self {
            catalogue,
            picture,
            tracks,
            now,
            patience: PATIENCE,
            rows: None,
        }
    }

    /// The same where so many are shown: further ones are counted only where that needs no walk through all devices.
    #[must_use]
    pub const fn showing(self, rows: i64) -> Self {
        Self {
            rows: Some(rows),
            ..self
        }
    }

    /// The same for a hint: it is not looked for long.
    #[must_use]
    pub const fn hurried(&self) -> Self {
        Self {
            patience: HURRY,
            ..*self
        }
    }
}

/// Reads a query as people type it.
///
/// # Errors
/// [`OpError::Invalid`] naming `q`, where it went wrong and what was expected there.
pub fn parse(text: &str) -> Result<DeviceQuery, OpError> {
    DeviceQuery::parse(text).map_err(|e| OpError::field("q", expected(text, &e)))
}

/// What was expected of a query, and where.
#[must_use]
pub fn expected(text: &str, error: &QueryError) -> String {
    format!(
        "{} (at character {})",
        error.expected,
        place(text, error.at)
    )
}

/// The place of a byte, as people count: from 1.
fn place(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < byte).count() + 1
}

/// Numbers of the devices that a query takes, after a number, ascending. In a transaction.
///
/// # Errors
/// When the database fails.
pub async fn find(
    conn: &mut PgConnection,
    within: &Within<'_>,
    query: &DeviceQuery,
    after: i32,
    limit: i64,
) -> anyhow::Result<Hits> {
    let candidates = if query.asks_for_progress() {
        devices::candidates(&mut *conn, within.tracks, query.rollout()).await?
    } else {
        Vec::new()
    };
    let groups = if query.asks_for_class() {
        groups(&mut *conn, within.catalogue, &candidates).await?
    } else {
        Vec::new()
    };
    let search = Search {
        query,
        tracks: within.tracks,
        heard: heard(within, query),
        candidates,
        groups,
    };
    let (most, rows) = (limit, within.rows.map_or(limit, |rows| rows.min(limit)));
    let patience = within.patience;
    let enough = Enough {
        most,
        rows,
        patience,
    };
    devices::hits(conn, &search, after, enough).await
}

/// Classes of the platforms of each rollout's track.
async fn groups(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    candidates: &[Candidate],
) -> anyhow::Result<Vec<Group>> {
    let mut groups = Vec::new();
    for candidate in candidates {
        let Some(sequence) = catalogue.get(&mut *conn, candidate.digest).await? else {
            continue;
        };
        for platform in devices::platforms(&mut *conn, candidate.track).await? {
            groups.push(Group {
                rollout: candidate.rollout,
                class: class_of(&sequence, &facts_of(&platform)?),
                platform,
            });
        }
    }
    Ok(groups)
}

/// Facts of a platform: what it does not say does not decide the class.
fn facts_of(platform: &Platform) -> anyhow::Result<Facts> {
    Ok(Facts::of_platform(
        from_word("product", platform.product.clone())?,
        Build {
            base: u32::try_from(platform.base)?,
            ubr: u32::try_from(platform.ubr)?,
        },
        from_word("series", platform.series.clone())?,
        from_word("edition", platform.edition.clone())?,
        from_word("architecture", platform.architecture.clone())?,
    ))
}

/// Whether a last contact is as the query asks; none where it does not ask. Contacts are kept in blocks, not in rows.
fn heard<'a>(within: &Within<'a>, query: &DeviceQuery) -> Option<Heard<'a>> {
    let terms = query.terms.iter().filter_map(|term| match term.test {
        Test::Seen(comparison, minutes) => Some((term.negated, comparison, minutes)),
        _ => None,
    });
    let terms: Vec<_> = terms.collect();
    if terms.is_empty() {
        return None;
    }
    let (picture, now) = (within.picture, within.now);
    Some(Box::new(move |device_no, written| {
        let seen = picture.last_seen(device_no).max(written);
        terms.iter().all(|(negated, comparison, minutes)| {
            let ago = TimeDelta::minutes(i64::from(*minutes));
            // Never heard of is longer ago than anything.
            let order = seen.map_or(Ordering::Greater, |seen| (now - seen).cmp(&ago));
            comparison.holds(order) != *negated
        })
    }))
}

/// A device in a list.
pub struct Line {
    /// Device.
    pub device: Device,
    /// Last contact, to the minute.
    pub last_seen: Option<DateTime<Utc>>,
    /// Where it stands in the rollout that its state is about; none where there is none for it.
    pub stand: Option<Stand>,
}

/// Where a device stands in a rollout.
pub struct Stand {
    /// Rollout.
    pub rollout: Uuid,
    /// KB, where the sequence is known.
    pub kb: Option<KbNumber>,
    /// How far it is, or its class.
    pub word: String,
    /// Why it can not go on, or why not at all.
    pub sentences: Vec<String>,
    /// Code of its failure.
    pub code: Option<HResult>,
}

/// These devices, each with its state in the rollout that `query` names, else in the newest live one that is for it.
///
/// # Errors
/// When the database fails.
pub async fn lines(
    conn: &mut PgConnection,
    within: &Within<'_>,
    query: &DeviceQuery,
    device_nos: &[i32],
) -> anyhow::Result<Vec<Line>> {
    let candidates = devices::candidates(&mut *conn, within.tracks, query.rollout()).await?;
    let rollouts: Vec<Uuid> = candidates.iter().map(|c| c.rollout).collect();
    let listed = devices::listed(&mut *conn, &rollouts, device_nos).await?;
    let progress = devices::progress(&mut *conn, &rollouts, device_nos).await?;
    let written = seen::newest(&mut *conn, device_nos).await?;
    let tracks: BTreeSet<Uuid> = candidates.iter().map(|c| c.track).collect();
    let on = holds::on(&mut *conn, &tracks.into_iter().collect::<Vec<_>>()).await?;
    let mut lines = Vec::new();
    for device in devices::by_nos(&mut *conn, device_nos).await? {
        let no = device.device_no;
        let begun = |c: &Candidate| {
            progress
                .iter()
                .find(|p| p.rollout == c.rollout && p.device_no == no)
        };
        let is_for = |c: &&Candidate| {
            c.track == device.track_id && (!c.listed || listed.contains(&(c.rollout, no)))
                || query.rollout().is_some() && begun(c).is_some()
        };
        let mut stand = None;
        if let Some(candidate) = candidates.iter().find(is_for) {
            let sequence = within.catalogue.get(&mut *conn, candidate.digest).await?;
            let (word, sentences, code) = match (begun(candidate), sequence.as_deref()) {
                (Some(p), _) => (
                    p.word.clone(),
                    p.not_ready.iter().cloned().collect(),
                    p.code,
                ),
                (None, Some(sequence)) => {
                    let holds = holds::of_rollout(&on, candidate.rollout, candidate.digest);
                    let hold = hold_on(&holds, &device, false);
                    let (word, why) = not_begun(&device, sequence, true, hold);
                    // What passes by itself, or is mended, or is decided otherwise does not change what the sequence is for.
                    let waits = word.starts_with("not_ready") || hold.is_some();
                    (if waits { "targeted".to_owned() } else { word }, why, None)
                }
                (None, None) => (String::new(), Vec::new(), None),
            };
            stand = Some(Stand {
                rollout: candidate.rollout,
                kb: sequence.as_ref().map(|s| s.kb),
                word,
                sentences,
                code,
            });
        }
        lines.push(Line {
            last_seen: within.picture.last_seen(no).max(written.get(&no).copied()),
            device,
            stand,
        });
    }
    Ok(lines)
}
