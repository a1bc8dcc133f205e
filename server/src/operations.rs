//! Writes that belong to no rollout, device or person: tracks, change freezes, publisher keys, enrolment tokens, expected
//! devices.
//! Each is one transaction with one audit row.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ed25519_dalek::VerifyingKey;
use engine::evidence::CohortKind;
use engine::ids::TrackId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use servicing::{is_attribute_name, key_id};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::auth::Secret;
use crate::error::OpError;
use crate::http::Why;
use crate::store::freezes::{self, Planned};
use crate::store::sequences::PublisherKey;
use crate::store::tracks::{self, Track};
use crate::store::{audit, enrolment, gates, sequences, service_clock};

/// Lists of tracks come whole.
const MOST_TRACKS: usize = 500;

/// Lists of keys come whole, and every device pins them all.
const MOST_KEYS: usize = 50;

/// Most uses of one enrolment token.
const MOST_USES: i32 = 1_000_000;

/// A year and a day for leap years.
const LONGEST_TOKEN_HOURS: u32 = 366 * 24;

/// Longest change freeze.
const LONGEST_FREEZE_DAYS: i64 = 120;

/// Change freezes of a track that are on or to come.
const MOST_FREEZES: usize = 50;

/// Most serials in one request.
const MOST_SERIALS: usize = 10_000;

/// How an enrolment token lets devices in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// At once.
    LetIn,
    /// When a person says so.
    Approval,
    /// Where the serial is expected.
    Listed,
}

/// An enrolment token to make.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEnrolmentToken {
    /// Track into which it lets devices.
    pub track: Uuid,
    /// How.
    pub admission: Admission,
    /// How often.
    pub uses: i32,
    /// For how long.
    pub expires_in_hours: u32,
}

/// Adds a track. It takes devices once it has rings.
///
/// # Errors
/// [`OpError::Invalid`], [`OpError::Conflict`] where the name is taken.
pub async fn add_track(
    pool: &PgPool,
    name: &str,
    time_zone: Tz,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Track, OpError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(OpError::field(
            "name",
            "1 to 100 characters, none of them a control character",
        ));
    }
    let mut tx = pool.begin().await?;
    let all = tracks::all(&mut tx).await?;
    if all.iter().any(|t| t.name == name) {
        return Err(OpError::Conflict("a track has this name already".into()));
    }
    if all.len() >= MOST_TRACKS {
        return Err(OpError::Conflict(format!(
            "there are {MOST_TRACKS} tracks already"
        )));
    }
    let track = Track {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        time_zone,
    };
    tracks::add(&mut tx, &track, now).await?;
    record(
        &mut tx,
        now,
        by,
        "track_added",
        format!("track:{}", track.id),
        json!({ "name": name, "time_zone": time_zone }),
    )
    .await?;
    tx.commit().await?;
    Ok(track)
}

/// Sets the attributes whose values are cohorts of the track's rollouts that start from now on, in their order. Rollouts that go on
/// keep theirs.
///
/// # Errors
/// [`OpError::Invalid`], [`OpError::NotFound`].
pub async fn set_cohort_attributes(
    pool: &PgPool,
    track: Uuid,
    names: &[String],
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<(), OpError> {
    let most = CohortKind::ATTRIBUTES.len();
    if names.len() > most {
        return Err(OpError::field(
            "attributes",
            format!("at most {most} attributes"),
        ));
    }
    for (place, name) in names.iter().enumerate() {
        let expected = if !is_attribute_name(name) {
            "1 to 32 lower-case letters, digits and _, a letter first, such as edr"
        } else if names[..place].contains(name) {
            "an attribute that is not named twice"
        } else {
            continue;
        };
        return Err(OpError::field(format!("attributes[{place}]"), expected));
    }
    let mut tx = pool.begin().await?;
    // As whoever starts a rollout: it takes all of the old ones or all of the new ones.
    if tracks::lock(&mut tx, TrackId(track)).await?.is_none() {
        return Err(OpError::NotFound { what: "track" });
    }
    let before = tracks::cohort_attributes(&mut tx, track).await?;
    tracks::set_cohort_attributes(&mut tx, track, names).await?;
    record(
        &mut tx,
        now,
        by,
        "track_cohorts_set",
        format!("track:{track}"),
        json!({ "attributes": names, "before": before }),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// A publisher's public key as people hand it over: Ed25519, 32 bytes, base64url without padding.
#[must_use]
pub fn read_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// Trusts a publisher's key: what it signs can be published, and devices that enrol from now on pin it.
///
/// # Errors
/// [`OpError::Conflict`] where it is there already.
pub async fn add_key(
    pool: &PgPool,
    key: &VerifyingKey,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<PublisherKey, OpError> {
    if key.is_weak() {
        return Err(OpError::field(
            "public_key",
            "a key that is not of small order",
        ));
    }
    let id = key_id(key);
    let mut tx = pool.begin().await?;
    let keys = sequences::keys(&mut tx).await?;
    if keys.iter().any(|k| k.key_id == id) {
        return Err(OpError::Conflict("this key is trusted already".into()));
    }
    if keys.len() >= MOST_KEYS {
        return Err(OpError::Conflict(format!(
            "there are {MOST_KEYS} keys already"
        )));
    }
    sequences::add_key(&mut tx, &id, key.as_bytes(), by, now).await?;
    let body = json!({ "public_key": hex::encode(key.as_bytes()) });
    record(
        &mut tx,
        now,
        by,
        "publisher_key_added",
        format!("publisher_key:{id}"),
        body,
    )
    .await?;
    tx.commit().await?;
    Ok(PublisherKey {
        key_id: id,
        public_key: key.as_bytes().to_vec(),
        added_at: now,
    })
}

/// Makes an enrolment token; its text is shown this one time.
///
/// # Errors
/// [`OpError::Invalid`] naming the field, [`OpError::NotFound`] for the track.
pub async fn add_enrolment_token(
    pool: &PgPool,
    new: NewEnrolmentToken,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<(enrolment::Token, Secret), OpError> {
    if !(1..=MOST_USES).contains(&new.uses) {
        return Err(OpError::field("uses", "1 to 1,000,000"));
    }
    if !(1..=LONGEST_TOKEN_HOURS).contains(&new.expires_in_hours) {
        return Err(OpError::field(
            "expires_in_hours",
            format!("1 to {LONGEST_TOKEN_HOURS} hours"),
        ));
    }
    let mut tx = pool.begin().await?;
    find_track(&mut tx, new.track).await?;
    let secret = Secret::enrolment();
    let token = enrolment::Token {
        id: Uuid::now_v7(),
        track_id: new.track,
        admission: crate::store::word(&new.admission)?,
        uses_left: new.uses,
        expires_at: now + TimeDelta::hours(i64::from(new.expires_in_hours)),
    };
    enrolment::add_token(&mut tx, &token, &secret.hash(), by, now).await?;
    let body = json!({ "track": new.track, "admission": new.admission, "uses": new.uses, "expires_at": token.expires_at });
    record(
        &mut tx,
        now,
        by,
        "enrolment_token_added",
        format!("enrolment_token:{}", token.id),
        body,
    )
    .await?;
    tx.commit().await?;
    Ok((token, secret))
}

/// Ends an enrolment token. Devices that it let in stay.
///
/// # Errors
/// [`OpError::NotFound`] where there is none, or it ended already.
pub async fn revoke_enrolment_token(
    pool: &PgPool,
    id: Uuid,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<(), OpError> {
    let mut tx = pool.begin().await?;
    let Some(track) = enrolment::revoke_token(&mut tx, id, now).await? else {
        return Err(OpError::NotFound {
            what: "enrolment token",
        });
    };
    record(
        &mut tx,
        now,
        by,
        "enrolment_token_revoked",
        format!("enrolment_token:{id}"),
        json!({ "track": track }),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Expects devices on a track: tokens that let in listed serials let in these. Returns how many were named.
///
/// # Errors
/// [`OpError::Invalid`] naming the serial, [`OpError::NotFound`] for the track.
pub async fn expect_devices(
    pool: &PgPool,
    track: Uuid,
    serials: &[String],
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<usize, OpError> {
    if serials.is_empty() || serials.len() > MOST_SERIALS {
        return Err(OpError::field("serials", "1 to 10,000 serials"));
    }
    let mut trimmed: Vec<String> = serials.iter().map(|s| s.trim().to_owned()).collect();
    if let Some(i) = trimmed
        .iter()
        .position(|s| s.is_empty() || s.chars().count() > 256 || s.chars().any(char::is_control))
    {
        return Err(OpError::field(
            format!("serials[{i}]"),
            "1 to 256 characters, none of them a control character",
        ));
    }
    trimmed.sort_unstable();
    trimmed.dedup();
    let mut tx = pool.begin().await?;
    find_track(&mut tx, track).await?;
    enrolment::expect(&mut tx, track, &trimmed).await?;
    record(
        &mut tx,
        now,
        by,
        "devices_expected",
        format!("track:{track}"),
        json!({ "serials": trimmed }),
    )
    .await?;
    tx.commit().await?;
    Ok(trimmed.len())
}

/// A change freeze to add.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFreeze {
    /// From when on nothing starts; none: from now on.
    #[serde(default)]
    pub starts: Option<DateTime<Utc>>,
    /// When devices start again.
    pub ends: DateTime<Utc>,
    /// Why.
    pub reason: Why,
}

/// Adds a change freeze: no device of the track starts in it. Once this returns, no replica grants a permit in it.
///
/// # Errors
/// [`OpError::Invalid`] naming the field, [`OpError::NotFound`] for the track, [`OpError::Conflict`] where there are too many.
pub async fn add_freeze(
    pool: &PgPool,
    track: Uuid,
    new: NewFreeze,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Planned, OpError> {
    let starts = new.starts.unwrap_or(now);
    let expected = if new.ends <= now {
        Some("a time to come".to_owned())
    } else if new.ends <= starts {
        Some("a time after the start".to_owned())
    } else if new.ends - starts.max(now) > TimeDelta::days(LONGEST_FREEZE_DAYS) {
        Some(format!(
            "at most {LONGEST_FREEZE_DAYS} days after the start"
        ))
    } else {
        None
    };
    if let Some(expected) = expected {
        return Err(OpError::field("ends", expected));
    }
    let mut tx = pool.begin().await?;
    find_track(&mut tx, track).await?;
    let service_now = service_clock::time(&mut tx, now).await?;
    if freezes::planned(&mut tx, track, service_now).await?.len() >= MOST_FREEZES {
        return Err(OpError::Conflict(format!(
            "{MOST_FREEZES} change freezes are on or to come already"
        )));
    }
    gates::lock_track(&mut tx, track).await?;
    let freeze = Planned {
        id: Uuid::now_v7(),
        starts,
        ends: new.ends,
        reason: new.reason.as_str().to_owned(),
        added_by: by,
    };
    freezes::add(&mut tx, track, &freeze).await?;
    record(
        &mut tx,
        now,
        by,
        "freeze_added",
        format!("track:{track}"),
        json!({ "freeze": freeze.id, "starts": starts, "ends": freeze.ends, "reason": freeze.reason }),
    )
    .await?;
    tx.commit().await?;
    Ok(freeze)
}

/// Lifts a change freeze that is on or to come.
///
/// # Errors
/// [`OpError::NotFound`] where there is none on the track, or it is over.
pub async fn lift_freeze(
    pool: &PgPool,
    track: Uuid,
    id: Uuid,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Planned, OpError> {
    let mut tx = pool.begin().await?;
    let service_now = service_clock::time(&mut tx, now).await?;
    let Some(freeze) = freezes::lift(&mut tx, track, id, now, service_now).await? else {
        return Err(OpError::NotFound {
            what: "change freeze",
        });
    };
    record(
        &mut tx,
        now,
        by,
        "freeze_lifted",
        format!("track:{track}"),
        json!({ "freeze": freeze.id, "ends": freeze.ends, "reason": freeze.reason }),
    )
    .await?;
    tx.commit().await?;
    Ok(freeze)
}

async fn find_track(conn: &mut PgConnection, id: Uuid) -> Result<Track, OpError> {
    tracks::by_id(conn, id)
        .await?
        .ok_or(OpError::NotFound { what: "track" })
}

async fn record(
    conn: &mut PgConnection,
    at: DateTime<Utc>,
    by: Uuid,
    action: &str,
    subject: String,
    body: Value,
) -> sqlx::Result<()> {
    audit::append(
        conn,
        &audit::Entry {
            at,
            actor: Some(by),
            action: action.to_owned(),
            subject,
            body,
        },
    )
    .await?;
    Ok(())
}
