//! Signing in with a name and a password, and choosing one by a link.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::accounts::{find, record};
use super::password::{Passwords, check};
use super::throttle::{self, Counter};
use super::{Secret, hash_of};
use crate::error::OpError;
use crate::store::people::{self, Account};
use crate::store::sign_in as store;

/// 24 hours: a link that is sent in the evening works in the morning.
const LINK: TimeDelta = TimeDelta::hours(24);

/// What became of a sign-in.
#[derive(Debug)]
pub enum SignIn {
    /// It is them.
    Accepted(Entrant),
    /// Unknown name, wrong password, no password, or kept out: one answer, so that nobody learns which.
    Wrong,
    /// Too many failures: not before so many seconds.
    Wait(i64),
}

/// Someone who gave their password just now: who has one of these may begin a session.
#[derive(Debug)]
pub struct Entrant {
    /// Who.
    pub account: Account,
    /// The number that sessions of theirs had when what the password was checked against was read.
    pub(super) epoch: i32,
}

/// Who is called so. Capitals do not matter, except between people whose names differ in nothing else.
fn called(mut people: Vec<(Uuid, String)>, wanted: &str) -> Option<Uuid> {
    people.retain(|(_, name)| name.to_lowercase() == wanted.to_lowercase());
    if let Some((id, _)) = people.iter().find(|(_, name)| name == wanted) {
        return Some(*id);
    }
    people.pop().filter(|_| people.is_empty()).map(|(id, _)| id)
}

/// Signs someone in.
///
/// # Errors
/// When the database or the machine fails.
pub async fn sign_in(
    pool: &PgPool,
    passwords: &Passwords,
    name: &str,
    password: SecretString,
    address: IpAddr,
    now: DateTime<Utc>,
) -> Result<SignIn, OpError> {
    let name = name.trim();
    let _place = passwords.place().await?;
    // Before anything is locked: names are compared here, and not as the database's locale would.
    let names = people::enabled_names(&mut *pool.acquire().await?).await?;
    let counters = throttle::at_sign_in(name, address);
    tried(
        pool,
        passwords,
        (called(names, name), password),
        &counters,
        now,
    )
    .await
}

/// Whether a password is that of someone who is signed in. Guesses count here as at the sign-in, because a stolen
/// session is no way round the throttle, but by themselves: what strangers do there keeps nobody waiting here.
///
/// # Errors
/// When the database or the machine fails.
pub async fn confirm(
    pool: &PgPool,
    passwords: &Passwords,
    person: Uuid,
    password: SecretString,
    now: DateTime<Utc>,
) -> Result<SignIn, OpError> {
    let _place = passwords.place().await?;
    let counters = throttle::at_step_up(person);
    tried(pool, passwords, (Some(person), password), &counters, now).await
}

/// What becomes of a password that somebody tries as someone, or as nobody there is.
async fn tried(
    pool: &PgPool,
    passwords: &Passwords,
    (person, password): (Option<Uuid>, SecretString),
    counters: &[Counter],
    now: DateTime<Utc>,
) -> Result<SignIn, OpError> {
    let mut tx = pool.begin().await?;
    if let Some(wait) = throttle::begin(&mut tx, counters, now).await? {
        return Ok(SignIn::Wait(wait));
    }
    let found = match person {
        Some(person) => store::credential(&mut tx, person).await?,
        None => None,
    };
    tx.commit().await?;
    let (stored, epoch) = found.unwrap_or_default();
    let fits = passwords.verify(password, stored).await?;
    let Some(person) = person.filter(|_| fits) else {
        return Ok(SignIn::Wrong);
    };
    let mut tx = pool.begin().await?;
    throttle::was_right(&mut tx, counters).await?;
    let account = people::by_id(&mut tx, person).await?;
    tx.commit().await?;
    Ok(match account.filter(|a| a.enabled) {
        Some(account) => SignIn::Accepted(Entrant { account, epoch }),
        None => SignIn::Wrong,
    })
}

/// Makes a link with which someone chooses a password. The password they have works until then.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Conflict`] for someone who may not sign in.
pub async fn make_link(
    pool: &PgPool,
    person: Uuid,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<(Secret, DateTime<Utc>), OpError> {
    let secret = Secret::link();
    let expires = now + LINK;
    let mut tx = pool.begin().await?;
    // One after the other: of two links that are made at once the second ends the first.
    people::lock_one(&mut tx, person).await?;
    let owner = find(&mut tx, person).await?;
    if !owner.enabled {
        return Err(OpError::Conflict(format!(
            "{} may not sign in: enable the account first",
            owner.name
        )));
    }
    let id = store::add_link(&mut tx, person, &secret.hash(), by, now, expires).await?;
    let body = json!({ "link": id, "expires_at": expires });
    record(&mut tx, now, by, "sign_in_link_made", person, body).await?;
    tx.commit().await?;
    Ok((secret, expires))
}

/// For whom a link is good.
///
/// # Errors
/// [`OpError::NotFound`] where it is not good.
pub async fn link_owner(pool: &PgPool, link: &str, now: DateTime<Utc>) -> Result<Account, OpError> {
    let mut conn = pool.acquire().await?;
    let owner = store::link_owner(&mut conn, &hash_of(link), now).await?;
    find(&mut conn, owner.ok_or(GONE)?).await
}

const GONE: OpError = OpError::NotFound {
    what: "sign-in link any more: it was used, replaced by a newer one, or has expired",
};

/// Uses a link up: the password is set, and every session of theirs ends.
///
/// # Errors
/// [`OpError::NotFound`] where the link is not good any more, [`OpError::Invalid`] for a weak password.
pub async fn choose_password(
    pool: &PgPool,
    passwords: &Passwords,
    link: &str,
    password: SecretString,
    now: DateTime<Utc>,
) -> Result<Entrant, OpError> {
    let owner = link_owner(pool, link, now).await?;
    check(&password, &owner.name)?;
    let hash = passwords.hash(password).await?;
    let mut tx = pool.begin().await?;
    let epoch = store::end_sessions_of(&mut tx, owner.id).await?;
    // Looked at again: two tabs may have the same link open.
    let person = store::use_link(&mut tx, &hash_of(link), now)
        .await?
        .ok_or(GONE)?;
    store::set_password(&mut tx, person, &hash, now).await?;
    record(
        &mut tx,
        now,
        Some(person),
        "password_chosen",
        person,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    Ok(Entrant {
        account: owner,
        epoch,
    })
}

/// Changes the password of someone who knows the old one, and ends every session of theirs. Guesses of the old one
/// count as in [`confirm`], by the machine's clock, `tried_at`.
///
/// # Errors
/// [`OpError::Invalid`] for a password that is weak or the old one.
pub async fn change_password(
    pool: &PgPool,
    passwords: &Passwords,
    account: &Account,
    (old, new): (SecretString, SecretString),
    tried_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<SignIn, OpError> {
    check(&new, &account.name)?;
    let same = old.expose_secret() == new.expose_secret();
    let tried = confirm(pool, passwords, account.id, old, tried_at).await?;
    let SignIn::Accepted(entrant) = tried else {
        return Ok(tried);
    };
    if same {
        return Err(OpError::field("password", "another one than the old one"));
    }
    let hash = passwords.hash(new).await?;
    let mut tx = pool.begin().await?;
    let epoch = store::end_sessions_of(&mut tx, account.id).await?;
    if epoch != entrant.epoch + 1 {
        // Another password was chosen meanwhile: the one that was given is the old one no more.
        return Ok(SignIn::Wrong);
    }
    store::set_password(&mut tx, account.id, &hash, now).await?;
    let by = Some(account.id);
    record(&mut tx, now, by, "password_changed", account.id, json!({})).await?;
    tx.commit().await?;
    Ok(SignIn::Accepted(Entrant { epoch, ..entrant }))
}

/// Ends every session of someone, by themselves.
///
/// # Errors
/// When the database fails.
pub async fn sign_out_everywhere(
    pool: &PgPool,
    person: Uuid,
    now: DateTime<Utc>,
) -> Result<(), OpError> {
    let mut tx = pool.begin().await?;
    store::end_sessions_of(&mut tx, person).await?;
    record(
        &mut tx,
        now,
        Some(person),
        "sessions_ended",
        person,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_matter_only_between_people_who_differ_in_nothing_else() {
        let people = || {
            let names = [(1, "Anna"), (2, "anna"), (3, "Mary")];
            names
                .map(|(n, name)| (Uuid::from_u128(n), name.to_owned()))
                .to_vec()
        };
        let who = |name| called(people(), name).map(|id| id.as_u128());
        assert_eq!(
            (who("Anna"), who("anna"), who("ANNA")),
            (Some(1), Some(2), None)
        );
        assert_eq!((who("mARY"), who("Kai"), who("")), (Some(3), None, None));
    }
}
