//! Coming in, staying, leaving: passwords, links, sessions, forms, as someone with bad intentions would try them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::ids::PersonId;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, COOKIE};
use server::auth;
use tests::{Lab, PASSWORD, SESSION, Visitor, encoded};

const NEW: &str = "ember quilt saddle north";

async fn sql(lab: &Lab, statement: &'static str) {
    let done = sqlx::raw_sql(statement).execute(&lab.database.pool).await;
    assert!(done.unwrap().rows_affected() > 0, "{statement}");
}

/// Ada is there, and signed in.
async fn is_in(visitor: &Visitor) -> bool {
    let answer = visitor.get("/rollouts").await;
    assert!(answer.status == 200 || answer.header("location").starts_with("/sign-in"));
    answer.status == 200
}

/// The page without what was typed.
fn said(page: &str) -> &str {
    page.split_once(r#"id="refused""#)
        .unwrap()
        .1
        .split_once("</p>")
        .unwrap()
        .0
}

#[tokio::test]
async fn wrong_unknown_shut_out_and_without_a_password_look_the_same() {
    let lab = Lab::start().await;
    let people = lab.people;
    lab.give_password(people.admin).await;
    lab.give_password(people.anna).await;
    let pool = &lab.database.pool;
    auth::set_enabled(pool, people.anna.0, false, people.admin.0, lab.clock.now())
        .await
        .unwrap();
    let mut answers = Vec::new();
    for (name, password) in [
        ("Ada Admin", "not the password"),
        ("Ada Admin", ""),
        ("Nobody Here", PASSWORD),
        ("Anna Novak", PASSWORD),
        ("Mary Osei", PASSWORD),
    ] {
        let visitor = Visitor::of(&lab);
        let answer = visitor.sign_in(name, password).await;
        assert_eq!(answer.status, 422, "{name}");
        assert_eq!(visitor.cookie(), None, "{name}");
        assert!(!answer.text().contains(PASSWORD));
        answers.push(said(&answer.text()).to_owned());
    }
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn after_five_failures_also_the_right_password_waits() {
    let lab = Lab::start().await;
    lab.give_password(lab.people.admin).await;
    for name in ["Ada Admin", "Nobody Here"] {
        let visitor = Visitor::of(&lab);
        for n in 0..5 {
            assert_eq!(
                visitor.sign_in(name, "wrong").await.status,
                422,
                "{name} {n}"
            );
        }
        sql(
            &lab,
            "UPDATE sign_in_failure SET failures = 12 WHERE failures = 5",
        )
        .await;
        let answer = visitor.sign_in(&name.to_uppercase(), PASSWORD).await;
        assert_eq!(answer.status, 429, "{name}");
        assert!(
            answer.text().contains("Try again in 1"),
            "{}",
            answer.text()
        );
    }
    // Once the time is over it counts again, and failures are forgotten.
    sql(
        &lab,
        "UPDATE sign_in_failure SET last_at = last_at - interval '10 minutes'",
    )
    .await;
    let visitor = Visitor::of(&lab);
    assert_eq!(visitor.sign_in(" Ada Admin ", PASSWORD).await.status, 303);
    assert_eq!(
        visitor
            .with_cookie(None)
            .sign_in("Ada Admin", "wrong")
            .await
            .status,
        422
    );
    assert_eq!(
        visitor
            .with_cookie(None)
            .sign_in("Ada Admin", PASSWORD)
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn an_address_that_tries_many_names_waits_as_well() {
    let lab = Lab::start().await;
    lab.give_password(lab.people.admin).await;
    let visitor = Visitor::of(&lab);
    assert_eq!(visitor.sign_in("Somebody", "wrong").await.status, 422);
    // As if thirty others had been tried from here.
    sql(&lab, "UPDATE sign_in_failure SET failures = 40").await;
    assert_eq!(visitor.sign_in("Ada Admin", PASSWORD).await.status, 429);
}

#[tokio::test]
async fn behind_a_proxy_everybody_has_an_address_of_their_own() {
    let lab = Lab::start().await;
    lab.give_password(lab.people.admin).await;
    let visitor = Visitor::of(&lab);
    let from = async |hops: &'static str, password: &str| {
        let body = encoded(&[("name", "Ada Admin"), ("password", password)]);
        let request = visitor.with_cookie(None).request(Method::POST, "/sign-in");
        let request = request
            .header("x-forwarded-for", hops)
            .header("content-type", "application/x-www-form-urlencoded");
        visitor.send(request.body(body)).await.status
    };
    assert_eq!(from("203.0.113.7", "wrong").await, 422);
    sql(
        &lab,
        "DELETE FROM sign_in_failure WHERE failures = 1 AND key = sha256('name:ada admin')",
    )
    .await;
    sql(&lab, "UPDATE sign_in_failure SET failures = 40").await;
    assert_eq!(from("203.0.113.7", PASSWORD).await, 429);
    // Addresses before the last are made up by whoever asks.
    assert_eq!(from("198.51.100.1, 203.0.113.7", PASSWORD).await, 429);
    assert_eq!(
        from("198.51.100.1, 203.0.113.7, 127.0.0.1", PASSWORD).await,
        429
    );
    assert_eq!(from("203.0.113.7, 198.51.100.1", PASSWORD).await, 303);
}

#[tokio::test]
async fn what_strangers_try_elsewhere_keeps_nobody_waiting() {
    let lab = Lab::start().await;
    let ada = lab.visitor(lab.people.admin).await;
    let stranger = async |password: &str| {
        let body = encoded(&[("name", "Ada Admin"), ("password", password)]);
        let request = Visitor::of(&lab).request(Method::POST, "/sign-in");
        let request = request
            .header("x-forwarded-for", "203.0.113.7")
            .header("content-type", "application/x-www-form-urlencoded");
        ada.with_cookie(None).send(request.body(body)).await.status
    };
    let confirms = async || ada.post("/step-up", &[("password", PASSWORD)]).await.status;
    let comes_in = async || {
        Visitor::of(&lab)
            .sign_in("Ada Admin", PASSWORD)
            .await
            .status
    };
    for n in 0..5 {
        assert_eq!(stranger("wrong").await, 422, "{n}");
    }
    sql(
        &lab,
        "UPDATE sign_in_failure SET failures = 29 WHERE failures = 5",
    )
    .await;
    assert_eq!(stranger(PASSWORD).await, 429);
    assert_eq!(confirms().await, 303);
    assert_eq!(comes_in().await, 303);
    // From very many addresses at once a name can be used up: who is in stays able to act.
    assert_eq!(stranger(PASSWORD).await, 429, "it is as it was there");
    assert_eq!(
        Visitor::of(&lab).sign_in("Ada Admin", "wrong").await.status,
        422
    );
    sql(
        &lab,
        "UPDATE sign_in_failure SET failures = 60 WHERE key = sha256('name:ada admin')",
    )
    .await;
    assert_eq!(comes_in().await, 429);
    assert_eq!(confirms().await, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_queues_at_the_sign_in_holds_no_connection() {
    let lab = Lab::start().await;
    let anna = lab.visitor(lab.people.anna).await;
    let mut tx = lab.database.pool.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO sign_in_failure VALUES (sha256('name:somebody'), 0, now())")
        .execute(&mut *tx)
        .await
        .unwrap();
    let crowd: Vec<_> = (0..40)
        .map(|_| {
            let visitor = Visitor::of(&lab);
            tokio::spawn(async move { visitor.sign_in("Somebody", "wrong").await.status })
        })
        .collect();
    tests::eventually("the crowd waits", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND wait_event_type = 'Lock' AND query LIKE '%sign_in_failure%' AND $1 = ''";
        lab.number(waiting, "").await >= 2
    })
    .await;
    let page = tokio::time::timeout(std::time::Duration::from_secs(5), anna.get("/rollouts"));
    assert_eq!(page.await.expect("a connection is left").status, 200);
    tx.rollback().await.unwrap();
    for tried in crowd {
        assert!(matches!(tried.await.unwrap(), 422 | 429));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tries_at_the_same_moment_are_no_way_round_the_wait() {
    let lab = Lab::start().await;
    lab.give_password(lab.people.admin).await;
    let visitors: Vec<Visitor> = (0..24).map(|_| Visitor::of(&lab)).collect();
    let tries = visitors.iter().map(|v| v.sign_in("Ada Admin", "wrong"));
    let answers = futures::future::join_all(tries).await;
    let judged = answers.iter().filter(|a| a.status == 422).count();
    let kept_waiting = answers.iter().filter(|a| a.status == 429).count();
    assert_eq!(judged + kept_waiting, 24);
    // Five are free; the seconds that pass meanwhile free one or two more.
    assert!(judged <= 8, "{judged} passwords were tried at once");
}

#[tokio::test]
async fn a_link_is_good_once_for_a_day_and_until_the_next_one() {
    let lab = Lab::start().await;
    let (people, visitor) = (lab.people, Visitor::of(&lab));
    let replaced = lab.link(people.anna).await;
    let link = format!("/welcome/{}", lab.link(people.anna).await);
    assert_eq!(
        visitor.get(&format!("/welcome/{replaced}")).await.status,
        404
    );
    assert_eq!(visitor.get("/welcome/made-up").await.status, 404);
    assert!(
        visitor
            .get(&link)
            .await
            .text()
            .contains("Welcome, Anna Novak")
    );
    let choose = async |password: &str, again: &str| {
        let body = encoded(&[("password", password), ("again", again)]);
        visitor.form(&link, &body).await
    };
    assert_eq!(choose("short", "short").await.status, 422);
    assert_eq!(choose(NEW, PASSWORD).await.status, 422);
    assert_eq!(visitor.cookie(), None);
    assert_eq!(choose(NEW, NEW).await.status, 303);
    assert!(is_in(&visitor).await, "who has chosen a password is in");
    let late = Visitor::of(&lab);
    assert_eq!(late.get(&link).await.status, 404);
    let body = encoded(&[("password", PASSWORD), ("again", PASSWORD)]);
    assert_eq!(late.form(&link, &body).await.status, 404, "it is used up");
    assert_eq!(late.sign_in("Anna Novak", PASSWORD).await.status, 422);
    assert_eq!(late.sign_in("Anna Novak", NEW).await.status, 303);

    let expired = lab.link(people.mary).await;
    lab.pass(chrono::TimeDelta::hours(25)).await;
    assert_eq!(late.get(&format!("/welcome/{expired}")).await.status, 404);
    let of_the_disabled = lab.link(people.mary).await;
    let (pool, by) = (&lab.database.pool, people.admin.0);
    auth::set_enabled(pool, people.mary.0, false, by, lab.clock.now())
        .await
        .unwrap();
    assert_eq!(
        late.get(&format!("/welcome/{of_the_disabled}"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_link_works_also_where_somebody_is_signed_in() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    let link = format!("/welcome/{}", lab.link(lab.people.anna).await);
    let before = visitor.cookie();
    // A page elsewhere can not do it for them.
    let fields = [("password", NEW), ("again", NEW)];
    assert_eq!(visitor.form(&link, &encoded(&fields)).await.status, 403);
    let page = visitor.get(&link).await.text();
    assert!(
        page.contains(&visitor.csrf().await),
        "the form has the session's token"
    );
    assert_eq!(visitor.post(&link, &fields).await.status, 303);
    assert_ne!(visitor.cookie(), before);
    assert!(
        visitor
            .get("/rollouts")
            .await
            .text()
            .contains("<bdi>Anna Novak</bdi></a></b>")
    );
}

#[tokio::test]
async fn a_session_ends_after_an_hour_unused_and_after_twelve_in_any_case() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    sql(
        &lab,
        "UPDATE session SET expires_at = now() - interval '1 second'",
    )
    .await;
    assert!(!is_in(&visitor).await);

    let visitor = lab.visitor(lab.people.admin).await;
    sql(
        &lab,
        "UPDATE session SET data = jsonb_set(data, '{who,since}', to_jsonb(now() - interval '12 hours 1 second'))
         WHERE expires_at > now()",
    )
    .await;
    let stolen = visitor.with_cookie(visitor.cookie());
    assert!(!is_in(&visitor).await);
    assert_eq!(visitor.cookie(), None, "the cookie is taken back");
    assert!(!is_in(&stolen).await);
}

#[tokio::test]
async fn clicks_keep_a_session_alive_and_pages_by_themselves_do_not() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    let almost = "UPDATE session SET expires_at = now() + interval '1 minute',
                  data = jsonb_set(data, '{who,touched}', to_jsonb(now() - interval '59 minutes'))";
    let left = async || {
        let left =
            "SELECT extract(epoch FROM expires_at - now())::bigint FROM session WHERE $1 = ''";
        lab.number(left, "").await
    };
    sql(&lab, almost).await;
    let by_itself = visitor
        .request(Method::GET, "/rollouts")
        .header("hx-request", "true");
    assert_eq!(visitor.send(by_itself).await.status, 200);
    assert!(left().await <= 60);
    assert!(is_in(&visitor).await);
    assert!(left().await > 3500);
}

#[tokio::test]
async fn the_cookie_changes_when_rights_grow_and_the_old_one_is_worth_nothing() {
    let lab = Lab::start().await;
    let name = lab.give_password(lab.people.admin).await;
    // A session that an attacker has made up, or got and handed on, does not become the victim's.
    let fixed = Visitor::of(&lab).with_cookie(Some("AAAAAAAAAAAAAAAAAAAAAA".to_owned()));
    assert_eq!(fixed.sign_in(&name, PASSWORD).await.status, 303);
    let first = fixed.cookie();
    assert_ne!(first.as_deref(), Some("AAAAAAAAAAAAAAAAAAAAAA"));
    assert!(is_in(&fixed).await);

    let stolen = fixed.with_cookie(first.clone());
    let csrf = fixed.csrf().await;
    assert_eq!(
        fixed
            .post("/step-up", &[("password", "wrong")])
            .await
            .status,
        422
    );
    assert_eq!(fixed.cookie(), first);
    let done = fixed
        .post("/step-up", &[("password", PASSWORD), ("next", "/rollouts")])
        .await;
    assert_eq!((done.status, done.header("location")), (303, "/rollouts"));
    assert_ne!(fixed.cookie(), first);
    assert!(is_in(&fixed).await);
    assert!(!is_in(&stolen).await);
    assert_eq!(
        fixed.csrf().await,
        csrf,
        "pages that are open elsewhere still work"
    );
}

#[tokio::test]
async fn the_cookie_is_kept_from_scripts_other_sites_and_other_hosts() {
    let lab = Lab::start().await;
    let name = lab.give_password(lab.people.admin).await;
    let answer = Visitor::of(&lab).sign_in(&name, PASSWORD).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-ringfence="), "{cookie}");
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        [
            "HttpOnly",
            "Max-Age=3600",
            "Path=/",
            "SameSite=Lax",
            "Secure"
        ]
    );
    // What is stored is no cookie.
    let id = cookie.split(['=', ';']).nth(1).unwrap();
    let row: (Vec<u8>, String) = sqlx::query_as("SELECT hash, data::text FROM session")
        .fetch_one(&lab.database.pool)
        .await
        .unwrap();
    assert!(!row.1.contains(id) && !row.1.contains(PASSWORD));
    assert_eq!(row.0.len(), 32);
    // Who has not signed in gets none.
    assert_eq!(
        Visitor::of(&lab).get("/sign-in").await.header("set-cookie"),
        ""
    );
}

#[tokio::test]
async fn signing_out_ends_the_session_and_no_other() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    let elsewhere = lab.visitor(lab.people.admin).await;
    let stolen = visitor.with_cookie(visitor.cookie());
    let answer = visitor.post("/sign-out", &[]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/sign-in")
    );
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!is_in(&stolen).await);
    assert!(is_in(&elsewhere).await);
}

#[tokio::test]
async fn all_sessions_of_somebody_end_with_a_new_password_and_when_they_are_shut_out() {
    let lab = Lab::start().await;
    let (people, pool) = (lab.people, &lab.database.pool);
    let (one, two) = (
        lab.visitor(people.anna).await,
        lab.visitor(people.anna).await,
    );
    let other = lab.visitor(people.mary).await;
    let link = lab.link(people.anna).await;
    let body = encoded(&[("password", NEW), ("again", NEW)]);
    let chosen = Visitor::of(&lab);
    assert_eq!(
        chosen.form(&format!("/welcome/{link}"), &body).await.status,
        303
    );
    assert!(!is_in(&one).await && !is_in(&two).await);
    assert!(is_in(&chosen).await && is_in(&other).await);

    for enabled in [false, true] {
        auth::set_enabled(
            pool,
            people.anna.0,
            enabled,
            people.admin.0,
            lab.clock.now(),
        )
        .await
        .unwrap();
        assert!(!is_in(&chosen).await, "enabled: {enabled}");
    }
    assert!(is_in(&other).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_while_a_request_is_under_way_stays_ended() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    sql(&lab, "UPDATE session SET data = jsonb_set(data, '{who,touched}', to_jsonb(now() - interval '5 minutes'))").await;
    // The page has read its session and waits for the database; meanwhile the session is ended.
    let mut tx = lab.database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE rollout IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let slow = visitor.with_cookie(visitor.cookie());
    let under_way = tokio::spawn(async move { slow.get("/rollouts").await.status });
    tests::eventually("the page waits", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'rollout'::regclass AND $1 = ''
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        lab.number(waiting, "").await > 0
    })
    .await;
    sql(&lab, "DELETE FROM session").await;
    tx.rollback().await.unwrap();
    assert_eq!(under_way.await.unwrap(), 200, "it was let in when it came");
    assert_eq!(
        lab.number("SELECT count(*) FROM session WHERE $1 = ''", "")
            .await,
        0
    );
    assert!(!is_in(&visitor).await);
}

/// Does something while the row of a session that just begins is about to be written.
async fn while_a_session_begins(lab: &Lab, visitor: Visitor, begin: Begin) -> Visitor {
    let pool = &lab.database.pool;
    sql_done(
        lab,
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END';
         CREATE TRIGGER hold BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION hold()",
    )
    .await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(4711)")
        .execute(&mut *tx)
        .await
        .unwrap();
    let begins = tokio::spawn(async move {
        let answer = match begin {
            Begin::SignIn => visitor.sign_in("Ada Admin", PASSWORD).await,
            Begin::StepUp(csrf) => {
                let body = encoded(&[("password", PASSWORD), ("csrf", &csrf)]);
                visitor.form("/step-up", &body).await
            }
        };
        assert_eq!(answer.status, 303, "{}", answer.text());
        visitor
    });
    tests::eventually("the session is about to begin", async || {
        let held = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 4711 AND $1 = ''
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        lab.number(held, "").await > 0
    })
    .await;
    let ada = lab.people.admin.0;
    auth::sign_out_everywhere(pool, ada, lab.clock.now())
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    let visitor = begins.await.unwrap();
    sql_done(lab, "DROP TRIGGER hold ON session; DROP FUNCTION hold()").await;
    visitor
}

/// How a session gets a new row.
enum Begin {
    SignIn,
    /// With the token of its forms.
    StepUp(String),
}

async fn sql_done(lab: &Lab, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(&lab.database.pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_begins_while_all_are_ended_is_none() {
    let lab = Lab::start().await;
    let name = lab.give_password(lab.people.admin).await;
    let late = while_a_session_begins(&lab, Visitor::of(&lab), Begin::SignIn).await;
    assert!(!is_in(&late).await, "the password was read before");

    let ada = Visitor::of(&lab);
    assert_eq!(ada.sign_in(&name, PASSWORD).await.status, 303);
    let csrf = ada.csrf().await;
    let late = while_a_session_begins(&lab, ada, Begin::StepUp(csrf)).await;
    assert!(!is_in(&late).await, "the session was ended before");
    assert_eq!(late.sign_in(&name, PASSWORD).await.status, 303);
    assert!(is_in(&late).await);
}

#[tokio::test]
async fn a_session_of_another_number_or_shape_is_none_and_no_failure() {
    let lab = Lab::start().await;
    for change in [
        "UPDATE person SET session_epoch = session_epoch + 1",
        "UPDATE session SET data = data #- '{who,epoch}'",
        "UPDATE session SET data = jsonb_set(data, '{who,epoch}', '\"x\"')",
        "UPDATE session SET data = '{\"who\": 7}'",
        "UPDATE session SET data = '[]'",
        "UPDATE session SET data = '{}'",
    ] {
        let visitor = lab.visitor(lab.people.admin).await;
        let stolen = visitor.with_cookie(visitor.cookie());
        assert!(is_in(&visitor).await);
        sql(&lab, change).await;
        assert!(!is_in(&visitor).await, "{change}");
        // Also with the old cookie they come in again.
        assert_eq!(
            stolen.sign_in("Ada Admin", PASSWORD).await.status,
            303,
            "{change}"
        );
        assert!(is_in(&stolen).await, "{change}");
    }
}

#[tokio::test]
async fn who_has_no_role_reaches_their_own_password_and_nothing_else() {
    let lab = Lab::start().await;
    let nobody = PersonId(lab.person("No Role", &[]).await);
    let visitor = lab.visitor(nobody).await;
    let page = visitor.get("/account").await;
    assert_eq!(page.status, 200);
    let page = page.text();
    assert!(page.contains("New password") && !page.contains("API tokens</h2>"));
    assert_eq!(visitor.get("/rollouts").await.status, 403);
    let (_, after) = page.split_once(r#"name="csrf" value=""#).unwrap();
    let csrf = after.split_once('"').unwrap().0;
    let words = [("old", PASSWORD), ("password", NEW), ("again", NEW)];
    let body = format!("{}&csrf={csrf}", encoded(&words));
    let changed = visitor.form("/account/password", &body).await;
    assert_eq!(changed.header("location"), "/account?done=password");
    assert_eq!(visitor.get("/account").await.status, 200);
    assert_eq!(Visitor::of(&lab).sign_in("No Role", NEW).await.status, 303);
}

#[tokio::test]
async fn forms_come_from_pages_of_the_same_session() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    let other = lab.visitor(lab.people.anna).await;
    let (csrf, foreign) = (visitor.csrf().await, other.csrf().await);
    assert_ne!(csrf, foreign);
    for token in ["", "x", &foreign, &csrf.to_uppercase(), &format!("{csrf}0")] {
        let body = encoded(&[("csrf", token)]);
        assert_eq!(
            visitor.form("/sign-out", &body).await.status,
            403,
            "{token:?}"
        );
    }
    assert_eq!(visitor.form("/sign-out", "").await.status, 403);
    let body = encoded(&[("csrf", &csrf)]);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", ""),
    ] {
        for path in ["/sign-out", "/step-up"] {
            let request = visitor.request(Method::POST, path).header(name, value);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = visitor.send(request.body(body.clone())).await;
            assert_eq!(answer.status, 403, "{path} {name}: {value}");
        }
        // Nor is anybody signed in from elsewhere.
        let stranger = Visitor::of(&lab);
        let request = stranger
            .request(Method::POST, "/sign-in")
            .header(name, value);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let fields = encoded(&[("name", "Anna Novak"), ("password", PASSWORD)]);
        assert_eq!(
            stranger.send(request.body(fields)).await.status,
            403,
            "{name}: {value}"
        );
    }
    // Other media types, which other sites can send without asking.
    for kind in [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
    ] {
        let request = visitor
            .request(Method::POST, "/sign-out")
            .header("content-type", kind);
        assert_eq!(
            visitor.send(request.body(body.clone())).await.status,
            415,
            "{kind}"
        );
    }
    let large = format!("{body}&x={}", "a".repeat(1024 * 1024));
    assert_eq!(visitor.form("/sign-out", &large).await.status, 413);
    assert!(is_in(&visitor).await);
}

#[tokio::test]
async fn a_session_is_worth_nothing_at_the_api() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    for path in ["/api/v1/rollouts", "/api/v1/people", "/api/agent/v1/poll"] {
        let answer = visitor.get(path).await;
        assert!(
            matches!(answer.status, 401 | 404 | 405),
            "{path}: {}",
            answer.status
        );
    }
    let cookie = visitor.cookie().unwrap();
    let request = Visitor::of(&lab).request(Method::GET, "/api/v1/rollouts");
    let answer = visitor
        .send(request.header(AUTHORIZATION, format!("Bearer {cookie}")))
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn two_cookies_or_a_broken_one_are_no_session_and_no_failure() {
    let lab = Lab::start().await;
    for cookie in [
        "x",
        "",
        "\"",
        "=",
        "AAAAAAAAAAAAAAAAAAAAAA",
        &"A".repeat(5000),
    ] {
        let visitor = Visitor::of(&lab);
        let request = visitor.request(Method::GET, "/rollouts");
        let request = request.header(COOKIE, format!("{SESSION}={cookie}"));
        assert_eq!(visitor.send(request).await.status, 303, "{cookie}");
    }
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let lab = Lab::start().await;
    let name = lab.give_password(lab.people.admin).await;
    for next in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\r\nset-cookie: a=b",
        "javascript:alert(1)",
        "\\\\evil.example",
        "/\u{e9}",
        " //evil.example",
    ] {
        let visitor = Visitor::of(&lab);
        let page = visitor
            .get(&format!("/sign-in?{}", encoded(&[("next", next)])))
            .await;
        assert!(
            page.text().contains(r#"name="next" value="/overview""#),
            "{next:?}"
        );
        let body = encoded(&[("name", &name), ("password", PASSWORD), ("next", next)]);
        let answer = visitor.form("/sign-in", &body).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/overview"),
            "{next:?}"
        );
        assert_eq!(
            answer.headers.get_all("set-cookie").iter().count(),
            1,
            "{next:?}"
        );
        let again = visitor
            .get(&format!("/sign-in?{}", encoded(&[("next", next)])))
            .await;
        assert_eq!(again.header("location"), "/overview", "{next:?}");
        let fields = [("password", PASSWORD), ("next", next)];
        assert_eq!(
            visitor.post("/step-up", &fields).await.header("location"),
            "/overview"
        );
    }
    let back = Visitor::of(&lab).get("/rollouts?track=a%26b&before=").await;
    let next = encoded(&[("next", "/rollouts?track=a%26b&before=")]);
    assert_eq!(
        back.header("location"),
        format!("/sign-in?{next}"),
        "with its filter"
    );
}

#[tokio::test]
async fn what_can_not_be_taken_back_needs_the_password_of_the_last_ten_minutes() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = lab.rollout("KB5079391").await;
    lab.halt(rollout).await;
    let visitor = lab.visitor(lab.people.admin).await;
    let lapse = "UPDATE session SET data = jsonb_set(data, '{who,password_at}', to_jsonb(now() - interval '601 seconds'))";
    sql(&lab, lapse).await;
    for action in ["clear-halt", "request-override"] {
        let path = format!("/rollouts/{rollout}/{action}");
        let asked = visitor.get(&path).await.text();
        assert!(
            asked.contains("Confirm it is you") && !asked.contains("<textarea"),
            "{asked}"
        );
        let answer = visitor
            .post(&path, &[("reason", "seen and understood")])
            .await;
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").starts_with("/step-up?next="));
    }
    assert_eq!(lab.state(rollout).await.word(), "halted");
    let answer = visitor.post("/step-up", &[("password", PASSWORD)]).await;
    assert_eq!(answer.status, 303);
    let path = format!("/rollouts/{rollout}/clear-halt");
    assert!(visitor.get(&path).await.text().contains("<textarea"));
    let answer = visitor
        .post(&path, &[("reason", "seen and understood")])
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_ne!(lab.state(rollout).await.word(), "halted");
}

#[tokio::test]
async fn guesses_at_the_step_up_count_and_it_takes_ones_own_password() {
    let lab = Lab::start().await;
    // Names may differ in capitals alone: neither of the two is the other.
    let twin = PersonId(
        lab.person("ada admin", &[(server::store::people::Role::Viewer, None)])
            .await,
    );
    let ada = lab.visitor(lab.people.admin).await;
    let link = lab.link(twin).await;
    let body = encoded(&[("password", NEW), ("again", NEW)]);
    let other = Visitor::of(&lab);
    assert_eq!(
        other.form(&format!("/welcome/{link}"), &body).await.status,
        303
    );
    assert_eq!(ada.post("/step-up", &[("password", NEW)]).await.status, 422);
    assert_eq!(
        other
            .post("/step-up", &[("password", PASSWORD)])
            .await
            .status,
        422
    );
    assert_eq!(
        other.post("/step-up", &[("password", NEW)]).await.status,
        303
    );
    for _ in 0..4 {
        assert_eq!(
            ada.post("/step-up", &[("password", "wrong")]).await.status,
            422
        );
    }
    sql(
        &lab,
        "UPDATE sign_in_failure SET failures = 12 WHERE failures = 5",
    )
    .await;
    assert_eq!(
        ada.post("/step-up", &[("password", PASSWORD)]).await.status,
        429
    );
}

#[tokio::test]
async fn pages_say_what_browsers_may_do_with_them() {
    let lab = Lab::start().await;
    let visitor = lab.visitor(lab.people.admin).await;
    let stranger = Visitor::of(&lab);
    for (answer, what) in [
        (visitor.get("/rollouts").await, "a page"),
        (visitor.get("/rollouts/x/pause").await, "a failure"),
        (stranger.get("/sign-in").await, "the sign-in"),
        (stranger.get("/rollouts").await, "a redirect"),
        (
            stranger
                .send(
                    stranger
                        .request(Method::GET, "/nothing")
                        .header("accept", "text/html"),
                )
                .await,
            "nothing",
        ),
    ] {
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{what}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"),
            "{what}"
        );
        assert!(
            policy.contains("form-action 'self'") && !policy.contains("unsafe"),
            "{what}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{what}");
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            "same-origin",
            "{what}"
        );
        assert_eq!(
            answer.header("strict-transport-security"),
            "",
            "{what}: without TLS"
        );
    }
}

#[tokio::test]
async fn with_tls_browsers_are_told_to_stay_with_it() {
    let lab = Lab::start().await;
    for path in ["/sign-in", "/rollouts"] {
        let answer = Visitor::as_with_tls(&lab).get(path).await;
        let header = answer.header("strict-transport-security");
        assert_eq!(header, "max-age=31536000", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_pages_learn_of_changes_until_the_server_stops() {
    let mut lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let visitor = lab.visitor(lab.people.admin).await;
    assert_eq!(Visitor::of(&lab).get("/live").await.status, 303);
    let mut events = visitor.request(Method::GET, "/live").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    lab.rollout("KB5079391").await;
    let first = events.chunk().await.unwrap().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("event: changed"), "{first}");
    // A page that was made before, and listens only now, learns of it as well.
    let mut late = visitor
        .request(Method::GET, "/live?since=0")
        .send()
        .await
        .unwrap();
    let first = late.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("event: changed"));
    let node = lab.nodes.pop().unwrap();
    node.app.closing.cancel();
    while events.chunk().await.ok().flatten().is_some() {}
    node.stop().await;
}
