//! People, their roles per track, and their API tokens.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use engine::decide::Person;
use engine::ids::PersonId;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{from_word, word};

/// What someone may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything.
    Viewer,
    /// Writes and steers rollouts.
    Operator,
    /// Approves.
    Approver,
    /// All of it, and people, tokens, keys, clearing halts.
    Admin,
    /// Sees everything, the audit chain included.
    Auditor,
}

/// Someone with an account.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Id.
    pub id: Uuid,
    /// Name, unique.
    pub name: String,
    /// May sign in.
    pub enabled: bool,
    /// Roles; a track of none means everywhere.
    pub roles: Vec<(Role, Option<Uuid>)>,
}

impl Account {
    /// Has a role on this track, or everywhere.
    #[must_use]
    pub fn has(&self, role: Role, track: Option<Uuid>) -> bool {
        self.roles
            .iter()
            .any(|(r, t)| *r == role && (t.is_none() || (track.is_some() && *t == track)))
    }
}

/// Adds someone.
///
/// # Errors
/// When the name is taken or the database fails.
pub async fn add(
    conn: &mut PgConnection,
    id: Uuid,
    name: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO person (id, name, created_at) VALUES ($1, $2, $3)",
        id,
        name,
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a role. Giving it twice is the same as once.
///
/// # Errors
/// When the database fails.
pub async fn grant(
    conn: &mut PgConnection,
    person: Uuid,
    role: Role,
    track: Option<Uuid>,
) -> anyhow::Result<()> {
    let role = word(&role)?;
    sqlx::query!("INSERT INTO role_grant (person_id, role, track_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", person, role, track)
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets someone in or keeps them out.
///
/// # Errors
/// When the database fails.
pub async fn set_enabled(
    conn: &mut PgConnection,
    person: Uuid,
    enabled: bool,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE person SET enabled = $2 WHERE id = $1",
        person,
        enabled
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds an API token by its hash.
///
/// # Errors
/// When the database fails.
pub async fn add_token(
    conn: &mut PgConnection,
    person: Uuid,
    name: &str,
    hash: &[u8],
    at: DateTime<Utc>,
    expires: DateTime<Utc>,
) -> sqlx::Result<Uuid> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO api_token (id, person_id, name, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        id, person, name, hash, at, expires,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// The enabled person to whom a token belongs, while it is valid.
///
/// # Errors
/// When the database fails.
pub async fn by_token(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> anyhow::Result<Option<Account>> {
    let person = sqlx::query_scalar!(
        "SELECT p.id FROM api_token t JOIN person p ON p.id = t.person_id
         WHERE t.hash = $1 AND t.expires_at > $2 AND t.revoked_at IS NULL AND p.enabled",
        hash,
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match person {
        Some(person) => by_id(conn, person).await,
        None => Ok(None),
    }
}

/// Someone.
///
/// # Errors
/// When the database fails.
pub async fn by_id(conn: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<Account>> {
    let person = sqlx::query!("SELECT name, enabled FROM person WHERE id = $1", id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(person) = person else {
        return Ok(None);
    };
    let grants = sqlx::query!(
        "SELECT role, track_id FROM role_grant WHERE person_id = $1 ORDER BY role, track_id",
        id
    )
    .fetch_all(conn)
    .await?;
    let roles = grants
        .into_iter()
        .map(|g| Ok((from_word("role", g.role)?, g.track_id)))
        .collect::<anyhow::Result<_>>()?;
    Ok(Some(Account {
        id,
        name: person.name,
        enabled: person.enabled,
        roles,
    }))
}

/// Names of everyone who may sign in.
///
/// # Errors
/// When the database fails.
pub async fn enabled_names(conn: &mut PgConnection) -> sqlx::Result<Vec<(Uuid, String)>> {
    let people = sqlx::query!("SELECT id, name FROM person WHERE enabled")
        .fetch_all(conn)
        .await?;
    Ok(people.into_iter().map(|p| (p.id, p.name)).collect())
}

/// Everyone, by name.
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut PgConnection) -> anyhow::Result<Vec<Account>> {
    let people = sqlx::query!("SELECT id, name, enabled FROM person ORDER BY name")
        .fetch_all(&mut *conn)
        .await?;
    let grants =
        sqlx::query!("SELECT person_id, role, track_id FROM role_grant ORDER BY role, track_id")
            .fetch_all(conn)
            .await?;
    let mut held: HashMap<Uuid, Vec<(Role, Option<Uuid>)>> = HashMap::new();
    for g in grants {
        let role = from_word("role", g.role)?;
        held.entry(g.person_id)
            .or_default()
            .push((role, g.track_id));
    }
    Ok(people
        .into_iter()
        .map(|p| Account {
            roles: held.remove(&p.id).unwrap_or_default(),
            id: p.id,
            name: p.name,
            enabled: p.enabled,
        })
        .collect())
}

/// Everyone as approvals on a track care.
///
/// # Errors
/// When the database fails.
pub async fn of_track(
    conn: &mut PgConnection,
    track: Uuid,
) -> sqlx::Result<BTreeMap<PersonId, Person>> {
    let people = sqlx::query!(
        r#"SELECT p.id, p.enabled, bool_or(g.role = 'approver') IS TRUE AS "approver!", bool_or(g.role = 'admin') IS TRUE AS "admin!"
           FROM person p LEFT JOIN role_grant g ON g.person_id = p.id AND (g.track_id IS NULL OR g.track_id = $1)
           GROUP BY p.id"#,
        track,
    )
    .fetch_all(conn)
    .await?;
    Ok(people
        .into_iter()
        .map(|p| {
            let person = Person {
                enabled: p.enabled,
                approver: p.approver,
                admin: p.admin,
            };
            (PersonId(p.id), person)
        })
        .collect())
}

/// Keeps people and roles from changing until the transaction ends, so that who is left can be told.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE person, role_grant IN SHARE ROW EXCLUSIVE MODE")
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps someone from changing until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock_one(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT id FROM person WHERE id = $1 FOR NO KEY UPDATE",
        person
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// Takes all roles of someone.
///
/// # Errors
/// When the database fails.
pub async fn revoke_all(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM role_grant WHERE person_id = $1", person)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends an API token of someone; false where they have no such token, or it ended already.
///
/// # Errors
/// When the database fails.
pub async fn revoke_token(
    conn: &mut PgConnection,
    person: Uuid,
    token: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE api_token SET revoked_at = $3 WHERE id = $2 AND person_id = $1 AND revoked_at IS NULL AND expires_at > $3",
        person, token, now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An API token; what it is made of is never stored.
#[derive(Debug, Clone, Serialize)]
pub struct ApiToken {
    /// Id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Valid API tokens of someone, newest first.
///
/// # Errors
/// When the database fails.
pub async fn tokens(
    conn: &mut PgConnection,
    person: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<ApiToken>> {
    sqlx::query_as!(
        ApiToken,
        "SELECT id, name, created_at, expires_at FROM api_token
         WHERE person_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY created_at DESC, id LIMIT $3",
        person, now, limit,
    )
    .fetch_all(conn)
    .await
}
