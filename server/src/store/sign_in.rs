//! Passwords, links to choose one, sessions, and sign-ins that failed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Password hash of someone, where they have one.
///
/// # Errors
/// When the database fails.
pub async fn password_hash(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT password_hash FROM credential WHERE person_id = $1",
        person
    )
    .fetch_optional(conn)
    .await
}

/// What a password is checked against: its hash, where there is one, and the number that a session has which begins
/// with it. Read at once, so that they belong together.
///
/// # Errors
/// When the database fails.
pub async fn credential(
    conn: &mut PgConnection,
    person: Uuid,
) -> sqlx::Result<Option<(Option<String>, i32)>> {
    let row = sqlx::query!(
        r#"SELECT c.password_hash AS "password_hash?", p.session_epoch
         FROM person p LEFT JOIN credential c ON c.person_id = p.id WHERE p.id = $1"#,
        person
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.password_hash, r.session_epoch)))
}

/// The number that sessions of someone have which are good.
///
/// # Errors
/// When the database fails.
pub async fn session_epoch(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!("SELECT session_epoch FROM person WHERE id = $1", person)
        .fetch_optional(conn)
        .await
}

/// People who have a password.
///
/// # Errors
/// When the database fails.
pub async fn with_password(conn: &mut PgConnection) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!("SELECT person_id FROM credential")
        .fetch_all(conn)
        .await
}

/// Sets a password by its hash; links with which another one could be chosen end.
///
/// # Errors
/// When the database fails.
pub async fn set_password(
    conn: &mut PgConnection,
    person: Uuid,
    hash: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO credential (person_id, password_hash, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (person_id) DO UPDATE SET password_hash = excluded.password_hash, changed_at = excluded.changed_at",
        person,
        hash,
        at,
    )
    .execute(&mut *conn)
    .await?;
    end_links_of(conn, person).await
}

/// Ends the links of someone that were not used.
///
/// # Errors
/// When the database fails.
pub async fn end_links_of(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM sign_in_link WHERE person_id = $1 AND used_at IS NULL",
        person
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a link by its hash; those made for the same person before end.
///
/// # Errors
/// When the database fails.
pub async fn add_link(
    conn: &mut PgConnection,
    person: Uuid,
    hash: &[u8],
    by: Option<Uuid>,
    at: DateTime<Utc>,
    expires: DateTime<Utc>,
) -> sqlx::Result<Uuid> {
    end_links_of(&mut *conn, person).await?;
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO sign_in_link (id, person_id, hash, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        id, person, hash, by, at, expires,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// The enabled person for whom a link is good.
///
/// # Errors
/// When the database fails.
pub async fn link_owner(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT l.person_id FROM sign_in_link l JOIN person p ON p.id = l.person_id
         WHERE l.hash = $1 AND l.used_at IS NULL AND l.expires_at > $2 AND p.enabled",
        hash,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Uses a link up; the person, or none where it is not good any more.
///
/// # Errors
/// When the database fails.
pub async fn use_link(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE sign_in_link l SET used_at = $2 FROM person p
         WHERE l.hash = $1 AND l.used_at IS NULL AND l.expires_at > $2 AND p.id = l.person_id AND p.enabled
         RETURNING l.person_id",
        hash,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Adds a session.
///
/// # Errors
/// When the database fails.
pub async fn add_session(
    conn: &mut PgConnection,
    hash: &[u8],
    person: Option<Uuid>,
    data: &Value,
    expires: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO session (hash, person_id, data, expires_at) VALUES ($1, $2, $3, $4)",
        hash,
        person,
        data,
        expires,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a session anew that is still there: one that was ended while a request was under way stays ended.
///
/// # Errors
/// When the database fails.
pub async fn keep_session(
    conn: &mut PgConnection,
    hash: &[u8],
    person: Option<Uuid>,
    data: &Value,
    expires: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE session SET person_id = $2, data = $3, expires_at = $4 WHERE hash = $1",
        hash,
        person,
        data,
        expires,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A session that has not expired: its data and when it does.
///
/// # Errors
/// When the database fails.
pub async fn session(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(Value, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "SELECT data, expires_at FROM session WHERE hash = $1 AND expires_at > $2",
        hash,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.data, r.expires_at)))
}

/// Data of someone's sessions that have not expired. Only the newest: nobody looks at more.
///
/// # Errors
/// When the database fails.
pub async fn sessions_of(
    conn: &mut PgConnection,
    person: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        "SELECT data FROM session WHERE person_id = $1 AND expires_at > $2 ORDER BY expires_at DESC LIMIT 200",
        person,
        now,
    )
    .fetch_all(conn)
    .await
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub async fn end_session(conn: &mut PgConnection, hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM session WHERE hash = $1", hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends every session of someone, also those that are begun at this moment with what was read before: their number is
/// another one than the new one, which this returns. First in a transaction: who changes the person waits for them
/// before anything else.
///
/// # Errors
/// When there is no such person or the database fails.
pub async fn end_sessions_of(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<i32> {
    let epoch = sqlx::query_scalar!(
        "UPDATE person SET session_epoch = session_epoch + 1 WHERE id = $1 RETURNING session_epoch",
        person
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!("DELETE FROM session WHERE person_id = $1", person)
        .execute(conn)
        .await?;
    Ok(epoch)
}

/// How often what is counted failed since `since`, and when last. Until the transaction ends nobody else looks:
/// tries that come at the same moment are judged one after the other.
///
/// # Errors
/// When the database fails.
pub async fn failures(
    conn: &mut PgConnection,
    key: &[u8],
    now: DateTime<Utc>,
    since: DateTime<Utc>,
) -> sqlx::Result<(i32, DateTime<Utc>)> {
    let row = sqlx::query!(
        r#"INSERT INTO sign_in_failure AS f (key, failures, last_at) VALUES ($1, 0, $2)
         ON CONFLICT (key) DO UPDATE SET failures = f.failures
         RETURNING CASE WHEN last_at > $3 THEN failures ELSE 0 END AS "failures!", last_at"#,
        key,
        now,
        since
    )
    .fetch_one(conn)
    .await?;
    Ok((row.failures, row.last_at))
}

/// Counts a failure; one older than `since` is forgotten.
///
/// # Errors
/// When the database fails.
pub async fn count_failure(
    conn: &mut PgConnection,
    key: &[u8],
    now: DateTime<Utc>,
    since: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO sign_in_failure AS f (key, failures, last_at) VALUES ($1, 1, $2)
         ON CONFLICT (key) DO UPDATE SET failures = CASE WHEN f.last_at > $3 THEN f.failures + 1 ELSE 1 END, last_at = $2",
        key, now, since,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes one failure back: it was none.
///
/// # Errors
/// When the database fails.
pub async fn uncount_failure(conn: &mut PgConnection, key: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sign_in_failure SET failures = failures - 1 WHERE key = $1 AND failures > 0",
        key
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets failures.
///
/// # Errors
/// When the database fails.
pub async fn forget_failures(conn: &mut PgConnection, key: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sign_in_failure WHERE key = $1", key)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets what has expired by the database's own clock: sessions, and failures of more than a day ago.
///
/// # Errors
/// When the database fails.
pub async fn sweep(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM session WHERE expires_at < now()")
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM sign_in_failure WHERE last_at < now() - interval '1 day'")
        .execute(conn)
        .await?;
    Ok(())
}
