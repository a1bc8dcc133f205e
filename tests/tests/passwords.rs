//! Passwords: chosen by a link that an admin makes, and changed by who knows the old one; and what accounts hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use server::auth::{self, Grant, Passwords, SignIn};
use server::clock::{Clock, SystemClock};
use server::error::OpError;
use server::store::people::{self, Account, Role};
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
        let (passwords, tried_at) = (&self.passwords, SystemClock.now());
        auth::change_password(pool, passwords, &self.account, words, tried_at, now).await
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
    sqlx::raw_sql("UPDATE sign_in_failure SET failures = 12 WHERE failures = 5")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    // The right one too has to wait now, here and where it is asked for once more.
    let tried = kai.change(OLD, NEW).await.unwrap();
    assert!(matches!(tried, SignIn::Wait(_)), "{tried:?}");
    let (pool, wall) = (&lab.database.pool, SystemClock.now());
    let tried = auth::confirm(
        pool,
        &kai.passwords,
        kai.account.id,
        OLD.to_owned().into(),
        wall,
    );
    assert!(matches!(tried.await.unwrap(), SignIn::Wait(_)));
    // Without the session nobody has to wait for what was done with it.
    assert!(kai.signs_in(OLD).await);
}

#[tokio::test]
async fn a_link_ends_with_a_new_password_and_when_its_owner_is_shut_out() {
    let lab = Lab::start().await;
    let kai = Kai::with_password(&lab).await;
    let (pool, id, by) = (&lab.database.pool, kai.account.id, lab.people.admin.0);
    let good = async |link: &str| {
        auth::link_owner(pool, link, lab.clock.now())
            .await
            .is_ok_and(|owner| owner.id == id)
    };
    let link = lab.link(lab.people.operator).await;
    assert!(good(&link).await);
    assert!(matches!(
        kai.change(OLD, NEW).await.unwrap(),
        SignIn::Accepted(_)
    ));
    assert!(!good(&link).await);

    let link = lab.link(lab.people.operator).await;
    let of_another = lab.link(lab.people.anna).await;
    for enabled in [false, true] {
        auth::set_enabled(pool, id, enabled, by, lab.clock.now())
            .await
            .unwrap();
        assert!(!good(&link).await, "enabled: {enabled}");
    }
    assert!(
        auth::link_owner(pool, &of_another, lab.clock.now())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn of_links_that_are_made_at_once_one_is_good() {
    let lab = Lab::start().await;
    let anna = lab.people.anna;
    // Both have begun before either has ended the other's.
    let mut tx = lab.database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE sign_in_link IN SHARE MODE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let release = async {
        tests::eventually("both are under way", async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                           AND wait_event_type = 'Lock' AND $1 = ''";
            lab.number(waiting, "").await == 2
        })
        .await;
        tx.rollback().await.unwrap();
    };
    let (one, other, ()) = futures::join!(lab.link(anna), lab.link(anna), release);
    let left = "SELECT count(*) FROM sign_in_link WHERE person_id = $1::uuid AND used_at IS NULL";
    assert_eq!(lab.number(left, anna.0.to_string()).await, 1);
    let mut good = 0;
    for link in [one, other] {
        let owner = auth::link_owner(&lab.database.pool, &link, lab.clock.now()).await;
        good += usize::from(owner.is_ok());
    }
    assert_eq!(good, 1);
}

#[tokio::test]
async fn nobody_holds_more_than_a_thousand_roles() {
    let lab = Lab::start().await;
    let (anna, by) = (lab.people.anna.0, lab.people.admin.0);
    let pool = &lab.database.pool;
    for statement in [
        "INSERT INTO track (id, name, time_zone, created_at) SELECT gen_random_uuid(), 'many ' || n, 'UTC', now() FROM generate_series(1, 250) n",
        "INSERT INTO role_grant (person_id, role, track_id) SELECT p.id, r, t.id FROM person p, track t,
         unnest(ARRAY['viewer', 'operator', 'approver', 'auditor']) r WHERE p.name = 'Anna Novak' AND t.name LIKE 'many %' LIMIT 998",
    ] {
        sqlx::raw_sql(statement).execute(pool).await.unwrap();
    }
    let give = async |role| {
        let track = Some(lab.track);
        auth::grant_roles(pool, anna, &[Grant { role, track }], by, lab.clock.now()).await
    };
    // With the one on all tracks it is a thousand.
    assert_eq!(give(Role::Viewer).await.unwrap().roles.len(), 1000);
    let refused = give(Role::Operator).await;
    assert!(
        matches!(&refused, Err(OpError::Invalid(fields)) if fields[0].field == "roles"),
        "{refused:?}"
    );
    let held = people::by_id(&mut *lab.conn().await, anna).await.unwrap();
    assert_eq!(held.unwrap().roles.len(), 1000);
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
