//! Passwords: chosen by a link that an admin makes, and changed by who knows the old one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use server::auth::{self, Passwords, SignIn};
use server::clock::{Clock, SystemClock};
use server::error::OpError;
use server::store::people::{self, Account};
use server::store::sign_in;
use tests::{Desk, Lab};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OLD: &str = "walrus tin orbit lamp";
const NEW: &str = "copper violin meadow ash";

struct Kai<'a> {
    lab: &'a Lab,
    passwords: Passwords,
    account: Account,
}

impl<'a> Kai<'a> {
    async fn with_password(lab: &'a Lab) -> Self {
        let desk = Desk::of(lab).await;
        let kai = lab.people.operator.0;
        let path = format!("/people/{kai}/sign-in-link");
        let made = desk.done(Method::POST, &path, &json!({})).await;
        let link = made["link"].as_str().unwrap().strip_prefix("/welcome/");
        let passwords = Passwords::default();
        let (pool, now) = (&lab.database.pool, lab.clock.now());
        auth::choose_password(pool, &passwords, link.unwrap(), OLD.to_owned().into(), now)
            .await
            .unwrap();
        let found = people::by_id(&mut *lab.conn().await, kai).await.unwrap();
        Self {
            lab,
            passwords,
            account: found.unwrap(),
        }
    }

    async fn change(&self, old: &str, new: &str) -> Result<SignIn, OpError> {
        let words = (old.to_owned().into(), new.to_owned().into());
        let (pool, now) = (&self.lab.database.pool, self.lab.clock.now());
        let tried_at = SystemClock.now();
        auth::change_password(
            pool,
            &self.passwords,
            &self.account,
            words,
            HOME,
            tried_at,
            now,
        )
        .await
    }

    async fn signs_in(&self, password: &str) -> bool {
        let (pool, name) = (&self.lab.database.pool, &self.account.name);
        let password = password.to_owned().into();
        let tried = auth::sign_in(
            pool,
            &self.passwords,
            name,
            password,
            HOME,
            SystemClock.now(),
        )
        .await;
        matches!(tried.unwrap(), SignIn::Accepted(_))
    }

    async fn sessions(&self) -> usize {
        let mut conn = self.lab.conn().await;
        sign_in::sessions_of(&mut conn, self.account.id, SystemClock.now())
            .await
            .unwrap()
            .len()
    }
}

#[tokio::test]
async fn who_knows_the_old_password_changes_it_and_every_session_ends() {
    let lab = Lab::start().await;
    let kai = Kai::with_password(&lab).await;
    let later = SystemClock.now() + TimeDelta::hours(1);
    let mut conn = lab.conn().await;
    sign_in::add_session(&mut conn, &[7; 32], Some(kai.account.id), &json!({}), later)
        .await
        .unwrap();
    assert_eq!(kai.sessions().await, 1);
    assert!(matches!(
        kai.change(OLD, NEW).await.unwrap(),
        SignIn::Accepted(_)
    ));
    assert_eq!(kai.sessions().await, 0);
    assert!(kai.signs_in(NEW).await);
    assert!(!kai.signs_in(OLD).await);
    let changed = lab.number(
        "SELECT count(*) FROM audit WHERE action = 'password_changed' AND subject = $1",
        format!("person:{}", kai.account.id),
    );
    assert_eq!(changed.await, 1);
}

#[tokio::test]
async fn a_wrong_old_password_changes_nothing_and_guessing_takes_ever_longer() {
    let lab = Lab::start().await;
    let kai = Kai::with_password(&lab).await;
    for _ in 0..5 {
        let tried = kai.change("not the password", NEW).await.unwrap();
        assert!(matches!(tried, SignIn::Wrong), "{tried:?}");
    }
    // The right one too has to wait now.
    let tried = kai.change(OLD, NEW).await.unwrap();
    assert!(matches!(tried, SignIn::Wait(_)), "{tried:?}");
    let hash = sign_in::password_hash(&mut *lab.conn().await, kai.account.id).await;
    let fits = kai
        .passwords
        .verify(OLD.to_owned().into(), hash.unwrap())
        .await;
    assert!(fits.unwrap());
}

#[tokio::test]
async fn a_new_password_is_strong_and_another_one() {
    let lab = Lab::start().await;
    let kai = Kai::with_password(&lab).await;
    for new in ["short", "Kai Fischer 1", OLD] {
        let refused = kai.change(OLD, new).await;
        assert!(
            matches!(&refused, Err(OpError::Invalid(fields)) if fields[0].field == "password"),
            "{new}: {refused:?}"
        );
    }
    assert!(kai.signs_in(OLD).await);
}

#[tokio::test]
async fn two_names_that_differ_in_case_alone_are_one() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let twin = json!({ "name": "kai fischer" });
    desk.refused(Method::POST, "/people", &twin, (409, "conflict"))
        .await;
}

#[tokio::test]
async fn who_may_not_sign_in_gets_no_link() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let path = |what: &str| format!("/people/{}/{what}", lab.people.anna.0);
    desk.done(Method::POST, &path("disable"), &json!({})).await;
    let link = path("sign-in-link");
    desk.refused(Method::POST, &link, &json!({}), (409, "conflict"))
        .await;
}
