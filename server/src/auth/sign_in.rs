//! Signing in with a name and a password, and choosing one by a link.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;
use servicing::Sha256;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::accounts::{find, record};
use super::password::{Passwords, check};
use super::{Secret, hash_of};
use crate::error::OpError;
use crate::store::people::{self, Account};
use crate::store::sign_in as store;

/// 24 hours: a link that is sent in the evening works in the morning.
const LINK: TimeDelta = TimeDelta::hours(24);

/// Failures are forgotten after a day.
const MEMORY: TimeDelta = TimeDelta::hours(24);

/// The longest anybody has to wait between two tries.
const LONGEST_WAIT_S: i64 = 900;

/// Tries without a wait: people mistype; an address can be an office's.
const FREE_BY_NAME: i32 = 5;
const FREE_BY_ADDRESS: i32 = 30;

/// What became of a sign-in.
#[derive(Debug)]
pub enum SignIn {
    /// It is them.
    Accepted(Account),
    /// Unknown name, wrong password, no password, or kept out: one answer, so that nobody learns which.
    Wrong,
    /// Too many failures: not before so many seconds.
    Wait(i64),
}

/// Since when failures count.
fn remembered_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - MEMORY
}

/// What is counted: a hash, because people type passwords into the wrong field.
fn key(kind: &str, value: &str) -> [u8; 32] {
    *Sha256::of(format!("{kind}:{value}").as_bytes()).as_bytes()
}

/// An IPv6 network of one customer counts as one address.
fn address_key(address: IpAddr) -> [u8; 32] {
    match address.to_canonical() {
        IpAddr::V4(v4) => key("address", &v4.to_string()),
        IpAddr::V6(v6) => key("address", &format!("{:x?}", &v6.segments()[..4])),
    }
}

/// Seconds to wait after so many failures: doubling beyond those that are free, up to a quarter of an hour.
fn wait_s(failures: i32, free: i32) -> i64 {
    if failures < free {
        return 0;
    }
    let doublings = u32::try_from(failures - free).unwrap_or(0).min(10);
    2_i64.pow(doublings).min(LONGEST_WAIT_S)
}

/// Who is called so. Capitals do not matter, except between people whose names differ in nothing else.
fn called(mut accounts: Vec<Account>, name: &str) -> Option<Account> {
    accounts.retain(|a| a.enabled && a.name.to_lowercase() == name.to_lowercase());
    if let Some(exact) = accounts.iter().position(|a| a.name == name) {
        return Some(accounts.swap_remove(exact));
    }
    accounts.pop().filter(|_| accounts.is_empty())
}

async fn left(
    conn: &mut PgConnection,
    key: &[u8],
    free: i32,
    now: DateTime<Utc>,
) -> Result<i64, OpError> {
    let (failures, last) = store::failures(conn, key, now, remembered_since(now)).await?;
    Ok((wait_s(failures, free) - (now - last).num_seconds()).max(0))
}

/// Signs someone in. A try counts as failed until the password is checked, so that many at once do not slip by.
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
    let (by_name, by_address) = (key("name", &name.to_lowercase()), address_key(address));
    let mut tx = pool.begin().await?;
    let wait = left(&mut tx, &by_name, FREE_BY_NAME, now)
        .await?
        .max(left(&mut tx, &by_address, FREE_BY_ADDRESS, now).await?);
    if wait > 0 {
        return Ok(SignIn::Wait(wait));
    }
    let since = remembered_since(now);
    store::count_failure(&mut tx, &by_name, now, since).await?;
    store::count_failure(&mut tx, &by_address, now, since).await?;
    let account = called(people::all(&mut tx).await?, name);
    let stored = match &account {
        Some(account) => store::password_hash(&mut tx, account.id).await?,
        None => None,
    };
    tx.commit().await?;
    let fits = passwords.verify(password, stored).await?;
    let Some(account) = account.filter(|_| fits) else {
        return Ok(SignIn::Wrong);
    };
    let mut tx = pool.begin().await?;
    store::forget_failures(&mut tx, &by_name).await?;
    store::uncount_failure(&mut tx, &by_address).await?;
    tx.commit().await?;
    Ok(SignIn::Accepted(account))
}

/// Makes a link with which someone chooses a password. The password they have works until then.
///
/// # Errors
/// [`OpError::NotFound`].
pub async fn make_link(
    pool: &PgPool,
    person: Uuid,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<(Secret, DateTime<Utc>), OpError> {
    let secret = Secret::link();
    let expires = now + LINK;
    let mut tx = pool.begin().await?;
    find(&mut tx, person).await?;
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
) -> Result<Account, OpError> {
    let owner = link_owner(pool, link, now).await?;
    check(&password, &owner.name)?;
    let hash = passwords.hash(password).await?;
    let mut tx = pool.begin().await?;
    // Looked at again: two tabs may have the same link open.
    let person = store::use_link(&mut tx, &hash_of(link), now)
        .await?
        .ok_or(GONE)?;
    store::set_password(&mut tx, person, &hash, now).await?;
    store::end_sessions_of(&mut tx, person).await?;
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
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_have_an_end() {
        assert_eq!(wait_s(4, FREE_BY_NAME), 0);
        assert_eq!(wait_s(5, FREE_BY_NAME), 1);
        assert_eq!(wait_s(8, FREE_BY_NAME), 8);
        assert_eq!(wait_s(i32::MAX, FREE_BY_NAME), LONGEST_WAIT_S);
    }

    #[test]
    fn capitals_matter_only_between_people_who_differ_in_nothing_else() {
        let account = |n: u128, name: &str, enabled| Account {
            id: Uuid::from_u128(n),
            name: name.to_owned(),
            enabled,
            roles: Vec::new(),
        };
        let accounts = || {
            vec![
                account(1, "Anna", true),
                account(2, "anna", true),
                account(3, "Mary", true),
                account(4, "Kai", false),
            ]
        };
        let who = |name| called(accounts(), name).map(|a| a.id.as_u128());
        assert_eq!(
            (who("Anna"), who("anna"), who("ANNA")),
            (Some(1), Some(2), None)
        );
        assert_eq!((who("mARY"), who("Kai"), who("")), (Some(3), None, None));
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_two_offices_are_two() {
        let of = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
