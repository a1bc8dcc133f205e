//! Enrolment tokens, spent nonces, and devices that are expected.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::sha256;

/// An enrolment token; what it is made of is never stored.
#[derive(Debug, Clone, Serialize)]
pub struct Token {
    /// Id.
    pub id: Uuid,
    /// Track into which it lets devices.
    pub track_id: Uuid,
    /// `let_in`, `approval` or `listed`.
    pub admission: String,
    /// Uses left.
    pub uses_left: i32,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Adds a token by its hash.
///
/// # Errors
/// When the database fails.
pub async fn add_token(
    conn: &mut PgConnection,
    token: &Token,
    hash: &[u8],
    by: Uuid,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO enrolment_token (id, track_id, hash, admission, uses_left, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        token.id, token.track_id, hash, token.admission, token.uses_left, by, at, token.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The valid ones among tokens, by hash. They stay as they are until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock_tokens(
    conn: &mut PgConnection,
    hashes: &[[u8; 32]],
    now: DateTime<Utc>,
) -> anyhow::Result<HashMap<[u8; 32], Token>> {
    let rows = sqlx::query!(
        "SELECT hash, id, track_id, admission, uses_left, expires_at FROM enrolment_token
         WHERE hash = ANY($1) AND uses_left > 0 AND expires_at > $2 AND revoked_at IS NULL
         ORDER BY id FOR NO KEY UPDATE",
        &vecs(hashes),
        now,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let token = Token {
                id: r.id,
                track_id: r.track_id,
                admission: r.admission,
                uses_left: r.uses_left,
                expires_at: r.expires_at,
            };
            Ok((*sha256(&r.hash)?.as_bytes(), token))
        })
        .collect()
}

/// Takes uses of tokens that are locked and have so many left.
///
/// # Errors
/// When the database fails.
pub async fn use_tokens(conn: &mut PgConnection, uses: &BTreeMap<Uuid, i32>) -> sqlx::Result<()> {
    let (ids, uses): (Vec<Uuid>, Vec<i32>) = uses.iter().unzip();
    sqlx::query!(
        "UPDATE enrolment_token t SET uses_left = uses_left - u.n FROM UNNEST($1::uuid[], $2::int[]) AS u (id, n) WHERE t.id = u.id",
        &ids, &uses,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn vecs(hashes: &[[u8; 32]]) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.to_vec()).collect()
}

/// Ends a token; its track, or none where it is unknown or ended already.
///
/// # Errors
/// When the database fails.
pub async fn revoke_token(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("UPDATE enrolment_token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING track_id", id, now)
        .fetch_optional(conn)
        .await
}

/// Spends nonces, each with its expiry; returns those that were not spent before.
///
/// # Errors
/// When the database fails.
pub async fn spend_nonces(
    conn: &mut PgConnection,
    nonces: &BTreeMap<[u8; 32], DateTime<Utc>>,
) -> anyhow::Result<HashSet<[u8; 32]>> {
    let (hashes, expire): (Vec<[u8; 32]>, Vec<DateTime<Utc>>) = nonces.iter().unzip();
    // In the order of the map: two transactions that spend the same ones wait for each other in one direction.
    let spent = sqlx::query_scalar!(
        "INSERT INTO spent_nonce (hash, expires_at) SELECT * FROM UNNEST($1::bytea[], $2::timestamptz[])
         ON CONFLICT DO NOTHING RETURNING hash",
        &vecs(&hashes),
        &expire,
    )
    .fetch_all(conn)
    .await?;
    spent
        .iter()
        .map(|hash| Ok(*sha256(hash)?.as_bytes()))
        .collect()
}

/// Forgets nonces that have expired.
///
/// # Errors
/// When the database fails.
pub async fn forget_nonces(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM spent_nonce WHERE expires_at < $1", now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Expects devices by serial on a track.
///
/// # Errors
/// When the database fails.
pub async fn expect(conn: &mut PgConnection, track: Uuid, serials: &[String]) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO expected_device (track_id, serial) SELECT $1, * FROM UNNEST($2::text[]) ON CONFLICT DO NOTHING", track, serials)
        .execute(conn)
        .await?;
    Ok(())
}

/// Which of these serials are expected on these tracks.
///
/// # Errors
/// When the database fails.
pub async fn expected(
    conn: &mut PgConnection,
    tracks: &[Uuid],
    serials: &[String],
) -> sqlx::Result<HashSet<(Uuid, String)>> {
    let rows = sqlx::query!(
        "SELECT track_id, serial FROM expected_device WHERE track_id = ANY($1) AND serial = ANY($2)",
        tracks, serials,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.track_id, r.serial)).collect())
}

/// How many serials are expected on a track.
///
/// # Errors
/// When the database fails.
pub async fn count_expected(conn: &mut PgConnection, track: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM expected_device WHERE track_id = $1"#,
        track,
    )
    .fetch_one(conn)
    .await
}

/// A token, whether it is good or not; none where it was revoked or never was.
///
/// # Errors
/// When the database fails.
pub async fn token(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Token>> {
    sqlx::query_as!(
        Token,
        "SELECT id, track_id, admission, uses_left, expires_at FROM enrolment_token WHERE id = $1 AND revoked_at IS NULL",
        id,
    )
    .fetch_optional(conn)
    .await
}

/// A page of tokens that were not revoked, newest first: into these tracks (none: into all), older than `before`.
///
/// # Errors
/// When the database fails.
pub async fn token_page(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Token>> {
    sqlx::query_as!(
        Token,
        "SELECT id, track_id, admission, uses_left, expires_at FROM enrolment_token
         WHERE revoked_at IS NULL AND ($1::uuid[] IS NULL OR track_id = ANY($1))
           AND ($2::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM enrolment_token WHERE id = $2))
         ORDER BY created_at DESC, id DESC LIMIT $3",
        tracks, before, limit,
    )
    .fetch_all(conn)
    .await
}

/// Track of a token.
///
/// # Errors
/// When the database fails.
pub async fn track_of(conn: &mut PgConnection, token: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT track_id FROM enrolment_token WHERE id = $1", token)
        .fetch_optional(conn)
        .await
}
