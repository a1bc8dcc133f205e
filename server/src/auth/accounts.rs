//! People and their roles: the only writer of `person` and `role_grant`.

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Secret;
use crate::clock::Clock;
use crate::error::OpError;
use crate::store::people::{self, Account, Role};
use crate::store::{audit, sign_in, tracks};

/// Lists of people come whole.
const MOST_PEOPLE: usize = 2000;

/// Most roles in one request.
const MOST_GRANTS: usize = 200;

/// Most roles of one person: every call of theirs reads them.
const MOST_HELD: usize = 1000;

/// 90 days: time enough to give people their own tokens.
const FIRST_TOKEN: TimeDelta = TimeDelta::days(90);

/// A role on a track; everywhere without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Role.
    pub role: Role,
    /// Track.
    #[serde(default)]
    pub track: Option<Uuid>,
}

/// Someone to add.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// Name, unique.
    pub name: String,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<Grant>,
}

/// Adds an admin of everything and returns them with a token: how the first person comes in, without a caller.
///
/// # Errors
/// When someone has that name already, the name is not valid, or the database fails.
pub async fn create_admin(
    pool: &PgPool,
    clock: &dyn Clock,
    name: &str,
) -> anyhow::Result<(Uuid, String)> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let id = admin(&mut tx, name, now).await?;
    let secret = Secret::api();
    let expires_at = now + FIRST_TOKEN;
    let token =
        people::add_token(&mut tx, id, "first token", &secret.hash(), now, expires_at).await?;
    let body = json!({ "name": name, "roles": [EVERYWHERE], "token": token, "token_expires_at": expires_at });
    record(&mut tx, now, None, "person_added", id, body).await?;
    tx.commit().await.context("the admin was not added")?;
    Ok((id, secret.show()))
}

/// Adds an admin of everything without a token: for the first start, which prints a link to choose a password.
///
/// # Errors
/// As [`create_admin`].
pub async fn first_admin(pool: &PgPool, clock: &dyn Clock, name: &str) -> anyhow::Result<Uuid> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let id = admin(&mut tx, name, now).await?;
    let body = json!({ "name": name, "roles": [EVERYWHERE] });
    record(&mut tx, now, None, "person_added", id, body).await?;
    tx.commit().await.context("the admin was not added")?;
    Ok(id)
}

/// What an admin of everything is given.
const EVERYWHERE: Grant = Grant {
    role: Role::Admin,
    track: None,
};

async fn admin(conn: &mut PgConnection, name: &str, now: DateTime<Utc>) -> anyhow::Result<Uuid> {
    let name = name_of(name).map_err(|_| {
        anyhow::anyhow!("a name has 1 to 100 characters, none of them a control character")
    })?;
    match add(conn, &name, &[EVERYWHERE], now).await {
        Err(OpError::Conflict(why)) => anyhow::bail!("{name}: {why}"),
        other => Ok(other?.id),
    }
}

/// Adds someone.
///
/// # Errors
/// [`OpError::Invalid`] naming each field, [`OpError::Conflict`] where the name is taken.
pub async fn add_person(
    pool: &PgPool,
    new: &NewPerson,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Account, OpError> {
    let name = name_of(&new.name)?;
    let mut tx = pool.begin().await?;
    check(&mut tx, &new.roles).await?;
    let account = add(&mut tx, &name, &new.roles, now).await?;
    record(
        &mut tx,
        now,
        Some(by),
        "person_added",
        account.id,
        json!({ "name": name, "roles": new.roles }),
    )
    .await?;
    tx.commit().await?;
    Ok(account)
}

/// Gives someone further roles.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Invalid`].
pub async fn grant_roles(
    pool: &PgPool,
    person: Uuid,
    roles: &[Grant],
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Account, OpError> {
    if roles.is_empty() {
        return Err(OpError::field("roles", "at least one role"));
    }
    let mut tx = pool.begin().await?;
    people::lock(&mut tx).await?;
    find(&mut tx, person).await?;
    check(&mut tx, roles).await?;
    give(&mut tx, person, roles).await?;
    record(
        &mut tx,
        now,
        Some(by),
        "roles_granted",
        person,
        json!({ "roles": roles }),
    )
    .await?;
    let account = find(&mut tx, person).await?;
    if account.roles.len() > MOST_HELD {
        let expected = format!("at most {MOST_HELD} roles of one person");
        return Err(OpError::field("roles", expected));
    }
    tx.commit().await?;
    Ok(account)
}

/// Gives someone exactly these roles; what they had besides is gone.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Invalid`], [`OpError::Conflict`] where nobody would be left to administer.
pub async fn set_roles(
    pool: &PgPool,
    person: Uuid,
    roles: &[Grant],
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Account, OpError> {
    let mut tx = pool.begin().await?;
    people::lock(&mut tx).await?;
    let before = find(&mut tx, person).await?;
    check(&mut tx, roles).await?;
    people::revoke_all(&mut tx, person).await?;
    give(&mut tx, person, roles).await?;
    someone_administers(&mut tx).await?;
    let had: Vec<Grant> = before
        .roles
        .iter()
        .map(|(role, track)| Grant {
            role: *role,
            track: *track,
        })
        .collect();
    record(
        &mut tx,
        now,
        Some(by),
        "roles_set",
        person,
        json!({ "roles": roles, "before": had }),
    )
    .await?;
    let account = find(&mut tx, person).await?;
    tx.commit().await?;
    Ok(account)
}

/// Lets someone in, or keeps them and their tokens out.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Conflict`] where it is so already, or nobody would be left to administer.
pub async fn set_enabled(
    pool: &PgPool,
    person: Uuid,
    enabled: bool,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<Account, OpError> {
    let mut tx = pool.begin().await?;
    people::lock(&mut tx).await?;
    let before = find(&mut tx, person).await?;
    if before.enabled == enabled {
        let word = if enabled { "enabled" } else { "disabled" };
        return Err(OpError::Conflict(format!(
            "{} is {word} already",
            before.name
        )));
    }
    people::set_enabled(&mut tx, person, enabled).await?;
    sign_in::end_sessions_of(&mut tx, person).await?;
    // A link that was handed over before is not good again when they are let in again.
    sign_in::end_links_of(&mut tx, person).await?;
    someone_administers(&mut tx).await?;
    let action = if enabled {
        "person_enabled"
    } else {
        "person_disabled"
    };
    record(
        &mut tx,
        now,
        Some(by),
        action,
        person,
        json!({ "name": before.name }),
    )
    .await?;
    tx.commit().await?;
    Ok(Account { enabled, ..before })
}

pub(super) fn name_of(text: &str) -> Result<String, OpError> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(OpError::field(
            "name",
            "1 to 100 characters, none of them a control character",
        ));
    }
    Ok(name.to_owned())
}

async fn add(
    conn: &mut PgConnection,
    name: &str,
    roles: &[Grant],
    now: DateTime<Utc>,
) -> Result<Account, OpError> {
    people::lock(&mut *conn).await?;
    let all = people::all(&mut *conn).await?;
    // As the sign-in finds them: in any case.
    let same = |a: &Account| a.name.to_lowercase() == name.to_lowercase();
    if all.iter().any(same) {
        return Err(OpError::Conflict("someone has this name already".into()));
    }
    if all.len() >= MOST_PEOPLE {
        return Err(OpError::Conflict(format!(
            "there are {MOST_PEOPLE} people already"
        )));
    }
    let id = Uuid::now_v7();
    people::add(&mut *conn, id, name, now).await?;
    give(&mut *conn, id, roles).await?;
    find(conn, id).await
}

async fn give(conn: &mut PgConnection, person: Uuid, roles: &[Grant]) -> Result<(), OpError> {
    for grant in roles {
        people::grant(&mut *conn, person, grant.role, grant.track).await?;
    }
    Ok(())
}

pub(super) async fn find(conn: &mut PgConnection, person: Uuid) -> Result<Account, OpError> {
    people::by_id(conn, person)
        .await?
        .ok_or(OpError::NotFound { what: "person" })
}

async fn check(conn: &mut PgConnection, roles: &[Grant]) -> Result<(), OpError> {
    if roles.len() > MOST_GRANTS {
        return Err(OpError::field(
            "roles",
            format!("at most {MOST_GRANTS} roles"),
        ));
    }
    let tracks = tracks::all(conn).await?;
    let unknown = roles.iter().position(|r| {
        r.track
            .is_some_and(|t| tracks.iter().all(|known| known.id != t))
    });
    match unknown {
        Some(i) => Err(OpError::field(
            format!("roles[{i}].track"),
            "a track, or none for all of them",
        )),
        None => Ok(()),
    }
}

/// A fleet that nobody administers can not be halted or mended from here.
async fn someone_administers(conn: &mut PgConnection) -> Result<(), OpError> {
    let administers = |a: &Account| a.enabled && a.has(Role::Admin, None);
    if people::all(conn).await?.iter().any(administers) {
        return Ok(());
    }
    Err(OpError::Conflict(
        "nobody would be left who administers all tracks: give somebody else that role first"
            .into(),
    ))
}

pub(super) async fn record(
    conn: &mut PgConnection,
    at: DateTime<Utc>,
    actor: Option<Uuid>,
    action: &str,
    person: Uuid,
    body: serde_json::Value,
) -> sqlx::Result<()> {
    let entry = audit::Entry {
        at,
        actor,
        action: action.to_owned(),
        subject: format!("person:{person}"),
        body,
    };
    audit::append(conn, &entry).await?;
    Ok(())
}
