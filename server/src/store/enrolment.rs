//! Enrolment tokens, spent nonces, and devices that are expected.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

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

/// Takes one use of a valid token; none where it is not valid.
///
/// # Errors
/// When the database fails.
pub async fn use_token(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Token>> {
    sqlx::query_as!(
        Token,
        "UPDATE enrolment_token SET uses_left = uses_left - 1
         WHERE hash = $1 AND uses_left > 0 AND expires_at > $2 AND revoked_at IS NULL
         RETURNING id, track_id, admission, uses_left, expires_at",
        hash,
        now,
    )
    .fetch_optional(conn)
    .await
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

/// Spends a nonce; false where it was spent already.
///
/// # Errors
/// When the database fails.
pub async fn spend_nonce(
    conn: &mut PgConnection,
    hash: &[u8],
    expires_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO spent_nonce (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        hash,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
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

/// Whether a serial is expected on a track.
///
/// # Errors
/// When the database fails.
pub async fn is_listed(conn: &mut PgConnection, track: Uuid, serial: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM expected_device WHERE track_id = $1 AND serial = $2) AS "listed!""#,
        track, serial,
    )
    .fetch_one(conn)
    .await
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
