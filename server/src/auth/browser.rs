//! Sessions of browsers: who is at the other end, since when, and when they last gave their password.
//!
//! Cookie, ids and rotation are tower-sessions'; its records are kept in PostgreSQL by [`PgSessions`], under the hash
//! of their id.

use anyhow::Context;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use servicing::Sha256;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, Error};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};
use uuid::Uuid;

use super::Entrant;
use crate::http::Failure;
use crate::store::sign_in as store;

/// Cookies whose name starts so are taken from HTTPS (and from loopback) only, and from no other host.
const COOKIE: &str = "__Host-ringfence";

/// An hour without a click ends a session.
const IDLE: time::Duration = time::Duration::hours(1);

/// A session ends after a long working day, used or not.
const LONGEST: TimeDelta = TimeDelta::hours(12);

/// How long a password that was given counts for what needs it.
const STEP_UP: TimeDelta = TimeDelta::minutes(10);

/// The expiry is moved at most this often: a click is not worth a write each time.
const TOUCH: TimeDelta = TimeDelta::minutes(1);

/// The one entry of a session's data.
const KEY: &str = "who";

/// What a session knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Who {
    person: Uuid,
    /// Once everything of theirs was ended, theirs have another number and this is none any more.
    epoch: i32,
    since: DateTime<Utc>,
    touched: DateTime<Utc>,
    password_at: DateTime<Utc>,
    csrf: String,
}

/// The person at a browser.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Who.
    pub person: Uuid,
    /// What a form has to bring along, so that no other site can send it.
    pub csrf: String,
    /// The password was given a short while ago.
    pub stepped_up: bool,
}

impl From<&Who> for Browser {
    fn from(who: &Who) -> Self {
        Self {
            person: who.person,
            csrf: who.csrf.clone(),
            stepped_up: false,
        }
    }
}

/// The layer that brings sessions to handlers.
#[must_use]
pub fn sessions(pool: PgPool) -> SessionManagerLayer<PgSessions> {
    SessionManagerLayer::new(PgSessions(pool))
        .with_name(COOKIE)
        .with_secure(true)
        // Lax: a link in a message leads to the page and not to the sign-in.
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(IDLE))
}

fn failed(error: tower_sessions::session::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("a session could not be read or written")
}

/// What a session knows; none where it knows nothing, or what an older version wrote.
async fn read(session: &Session) -> Result<Option<Who>, Failure> {
    let stored: Option<Value> = session.get(KEY).await.map_err(failed)?;
    Ok(stored.and_then(|who| serde_json::from_value(who).ok()))
}

/// Who is signed in. `by_hand` is false for what a page asks for by itself, which keeps no session alive.
///
/// # Errors
/// When the database fails.
pub async fn signed_in(
    session: &Session,
    pool: &PgPool,
    now: DateTime<Utc>,
    by_hand: bool,
) -> Result<Option<Browser>, Failure> {
    if session.is_empty().await {
        return Ok(None);
    }
    let good = match read(session).await? {
        Some(who) if now - who.since <= LONGEST => {
            let epoch = store::session_epoch(&mut *pool.acquire().await?, who.person).await?;
            (epoch == Some(who.epoch)).then_some(who)
        }
        _ => None,
    };
    let Some(mut who) = good else {
        session.flush().await.map_err(failed)?;
        return Ok(None);
    };
    let browser = Browser {
        stepped_up: now - who.password_at <= STEP_UP,
        ..Browser::from(&who)
    };
    if by_hand && now - who.touched >= TOUCH {
        who.touched = now;
        session.insert(KEY, who).await.map_err(failed)?;
    }
    Ok(Some(browser))
}

/// Begins a session, under a new id.
///
/// # Errors
/// When the database fails.
pub async fn enter(
    session: &Session,
    entrant: &Entrant,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    session.cycle_id().await.map_err(failed)?;
    let random: [u8; 32] = rand::rng().random();
    let who = Who {
        person: entrant.account.id,
        epoch: entrant.epoch,
        since: now,
        touched: now,
        password_at: now,
        csrf: hex::encode(random),
    };
    session.insert(KEY, who).await.map_err(failed)?;
    Ok(())
}

/// The password was given again: under a new id, what needs it is open for a while. The number stays: a session that
/// was ended meanwhile is none under its new id either.
///
/// # Errors
/// When the database fails.
pub async fn step_up(session: &Session, now: DateTime<Utc>) -> Result<(), Failure> {
    let who = read(session).await?;
    let mut who = who.context("a step up without a session")?;
    who.password_at = now;
    session.cycle_id().await.map_err(failed)?;
    session.insert(KEY, who).await.map_err(failed)?;
    Ok(())
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone, Copy)]
pub struct OpenSession {
    /// When the password was first given.
    pub since: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub used: DateTime<Utc>,
}

/// Sessions of someone that are good, newest first.
///
/// # Errors
/// When the database fails.
pub async fn sessions_of(
    conn: &mut PgConnection,
    person: Uuid,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<OpenSession>> {
    let epoch = store::session_epoch(conn, person).await?;
    let stored = store::sessions_of(conn, person, now).await?;
    let read = |data: Value| serde_json::from_value::<Who>(data.get(KEY)?.clone()).ok();
    let mut open: Vec<OpenSession> = stored
        .into_iter()
        .filter_map(read)
        .filter(|who| now - who.since <= LONGEST && Some(who.epoch) == epoch)
        .map(|who| OpenSession {
            since: who.since,
            used: who.touched,
        })
        .collect();
    open.sort_by_key(|s| std::cmp::Reverse(s.since));
    Ok(open)
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub async fn leave(session: &Session) -> Result<(), Failure> {
    session.flush().await.map_err(failed)?;
    Ok(())
}

/// Where records are kept.
#[derive(Debug, Clone)]
pub struct PgSessions(PgPool);

/// What is stored in place of the id: who reads the table can not take a session over.
fn key(id: Id) -> [u8; 32] {
    *Sha256::of(&id.0.to_be_bytes()).as_bytes()
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

fn chrono_of(time: OffsetDateTime) -> session_store::Result<DateTime<Utc>> {
    DateTime::from_timestamp(time.unix_timestamp(), time.nanosecond())
        .ok_or_else(|| Error::Encode("an expiry beyond the calendar".to_owned()))
}

/// A record as its row has it: whose it is, what it knows, when it expires.
fn stored(record: &Record) -> session_store::Result<(Option<Uuid>, Value, DateTime<Utc>)> {
    let data = serde_json::to_value(&record.data).map_err(|e| Error::Encode(e.to_string()))?;
    let who = record.data.get(KEY).cloned();
    let person = who
        .and_then(|w| serde_json::from_value::<Who>(w).ok())
        .map(|w| w.person);
    Ok((person, data, chrono_of(record.expiry_date)?))
}

#[async_trait]
impl SessionStore for PgSessions {
    // 128 random bits do not meet by chance: a record that is there already is an error.
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let (person, data, expires) = stored(record)?;
        let mut conn = self.0.acquire().await.map_err(backend)?;
        store::add_session(&mut conn, &key(record.id), person, &data, expires)
            .await
            .map_err(backend)
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let (person, data, expires) = stored(record)?;
        let mut conn = self.0.acquire().await.map_err(backend)?;
        store::keep_session(&mut conn, &key(record.id), person, &data, expires)
            .await
            .map_err(backend)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let now = chrono_of(OffsetDateTime::now_utc())?;
        let mut conn = self.0.acquire().await.map_err(backend)?;
        let found = store::session(&mut conn, &key(*id), now)
            .await
            .map_err(backend)?;
        let Some((data, expires)) = found else {
            return Ok(None);
        };
        // What can not be read is no session, and nobody's failure.
        let Ok(data) = serde_json::from_value(data) else {
            return Ok(None);
        };
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date: OffsetDateTime::from_unix_timestamp(expires.timestamp())
                .map_err(|e| Error::Decode(e.to_string()))?,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let mut conn = self.0.acquire().await.map_err(backend)?;
        store::end_session(&mut conn, &key(*id))
            .await
            .map_err(backend)
    }
}
