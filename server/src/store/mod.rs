//! What PostgreSQL holds, one file per aggregate. A function here is one question in domain words; its row type
//! stays inside and is parsed into types that can not be wrong. No rules, no HTTP.

pub mod assignments;
pub mod audit;
pub mod changes;
pub mod cohorts;
pub mod decisions;
pub mod device_kinds;
pub mod devices;
pub mod enrolment;
pub mod events;
pub mod evidence;
pub mod freezes;
pub mod gates;
pub mod history;
pub mod holds;
pub mod levels;
pub mod offers;
pub mod people;
pub mod populations;
pub mod preview;
pub mod progress;
pub mod requests;
pub mod rollbacks;
pub mod rollouts;
pub mod seen;
pub mod sequences;
pub mod service_clock;
pub mod sign_in;
pub mod silences;
pub mod standing;
pub mod tracks;
pub mod unheard;

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};

/// Opens a pool. Small on purpose: on few cores more connections make each of them slower.
///
/// # Errors
/// When the URL is wrong or the database does not answer.
pub async fn connect(url: &str, size: u32) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)
        .context("database_url is not a PostgreSQL URL")?
        .application_name("ringfence");
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .context("can not connect to PostgreSQL")
}

/// A transaction in which everything is read as of one moment.
///
/// # Errors
/// When the database fails.
pub async fn reading(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
}

/// Brings the schema up to date. Migrations are append-only.
///
/// # Errors
/// When a migration fails, or the database is newer than this program.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::migrate!("../migrations")
        .run(pool)
        .await
        .context("migration failed")
}

/// Reads a JSON column into its type. A failure means that the schema and the program do not belong together.
pub(crate) fn from_json<T: DeserializeOwned>(
    what: &'static str,
    value: serde_json::Value,
) -> anyhow::Result<T> {
    serde_json::from_value(value).with_context(|| format!("stored {what} can not be read"))
}

/// Writes a value into a JSON column.
pub(crate) fn to_json<T: Serialize>(value: &T) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::to_value(value)?)
}

/// Reads a text column into its type.
pub(crate) fn from_word<T: DeserializeOwned>(
    what: &'static str,
    word: String,
) -> anyhow::Result<T> {
    from_json(what, serde_json::Value::String(word))
}

/// The word that a unit enum variant has in JSON and in text columns.
pub(crate) fn word<T: Serialize>(value: &T) -> anyhow::Result<String> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => anyhow::bail!("not a word: {other}"),
    }
}

/// The `state` tag of an enum that carries data.
pub(crate) fn phase<T: Serialize>(state: &T) -> anyhow::Result<String> {
    serde_json::to_value(state)?
        .get("state")
        .and_then(|s| s.as_str())
        .map(str::to_owned)
        .context("a state without its word")
}

/// Reads 32 bytes.
pub(crate) fn sha256(bytes: &[u8]) -> anyhow::Result<servicing::Sha256> {
    let bytes: [u8; 32] = bytes.try_into().context("stored hash is not 32 bytes")?;
    Ok(servicing::Sha256::from_bytes(bytes))
}

/// Counts are never negative in the database.
pub(crate) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Every migration of this program was applied.
///
/// # Errors
/// When the database fails.
pub async fn is_migrated(pool: &PgPool) -> anyhow::Result<bool> {
    let known = i64::try_from(sqlx::migrate!("../migrations").iter().count())?;
    let applied = sqlx::query_scalar(r"SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await?;
    Ok(known <= applied)
}

/// The database answers and takes writes.
pub async fn answers(pool: &PgPool) -> bool {
    sqlx::query!("UPDATE service_clock SET now = now")
        .execute(pool)
        .await
        .is_ok()
}
