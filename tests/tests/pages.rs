//! Who may open what: every page and every form, by everybody, on their own track and on another one, and signed out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use reqwest::Method;
use tests::{
    Answer, ENDS, Holder, OPEN, PAGES, Route, Things, Visitor, World, pages_in_sources, shape,
};

async fn make(visitor: &Visitor, route: &Route, things: &Things, csrf: &str) -> Answer {
    let path = things.fill(route.path());
    if route.path() == "/live" {
        let answer = visitor.request(Method::GET, &path).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        // Events have no end to wait for.
        let body = if status == 200 {
            Vec::new()
        } else {
            answer.bytes().await.unwrap().to_vec()
        };
        return Answer {
            status,
            headers,
            body,
        };
    }
    if route.method() == Method::GET {
        return visitor.get(&path).await;
    }
    let body = things.fill(route.body);
    visitor.form(&path, &format!("{body}&csrf={csrf}")).await
}

/// Where step-ups that failed are counted.
const TRIES: &str = "sign_in_failure";

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type") == "text/html; charset=utf-8" && answer.text().contains("<h1>")
}

fn check(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    if status == 403 || status == 404 || status == 409 {
        assert!(is_page(answer), "{what}: {}", answer.text());
        assert!(answer.text().contains("Nothing was changed."), "{what}");
    }
}

#[test]
fn the_table_has_every_page_and_no_other() {
    let table: BTreeSet<String> = PAGES
        .iter()
        .map(Route::shape)
        .chain(OPEN.iter().chain(ENDS).map(|call| shape(call)))
        .collect();
    let router = pages_in_sources();
    let missing: Vec<_> = router.difference(&table).collect();
    assert!(missing.is_empty(), "nobody says who may open {missing:?}");
    let gone: Vec<_> = table.difference(&router).collect();
    assert!(gone.is_empty(), "the router does not have {gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_lets_in_exactly_whom_the_table_names() {
    let world = World::build().await;
    let mut people = Vec::new();
    for holder in Holder::everybody(&world).await {
        let visitor = world.lab.visitor(holder.person()).await;
        let csrf: String =
            sqlx::query_scalar("SELECT data -> 'who' ->> 'csrf' FROM session WHERE person_id = $1")
                .bind(holder.id)
                .fetch_one(&world.lab.database.pool)
                .await
                .unwrap();
        people.push((holder, visitor, csrf));
    }
    let before = world.lab.digests().await;
    for route in PAGES {
        for (holder, visitor, csrf) in &people {
            for own in [true, false] {
                let things = &world.things[usize::from(!own)];
                let what = format!("{} by {holder:?}, own track: {own}", route.call);
                let status = holder.expects(route, own);
                check(&what, &make(visitor, route, things, csrf).await, status);
            }
        }
        // Whoever it is: without the session's token no form is looked at.
        if route.method() == Method::POST {
            let (_, visitor, _) = people.last().unwrap();
            let (_, _, foreign) = &people[0];
            for csrf in ["", foreign] {
                let what = format!("{} with the token {csrf:?}", route.call);
                let answer = make(visitor, route, &world.things[0], csrf).await;
                check(&what, &answer, 403);
                assert!(answer.text().contains("did not come from a page"), "{what}");
            }
        }
    }
    let mut after = world.lab.digests().await;
    after.insert(TRIES.to_owned(), before[TRIES].clone());
    assert_eq!(after, before, "what is refused changes nothing");
}

#[tokio::test]
async fn who_is_not_signed_in_is_asked_to() {
    let world = World::build().await;
    let stranger = Visitor::of(&world.lab);
    let (_, token) = world.lab.api_token(world.lab.people.admin.0).await;
    for route in PAGES {
        let path = world.things[0].fill(route.path());
        let answer = make(&stranger, route, &world.things[0], "").await;
        check(route.call, &answer, 303);
        let back = if route.method() == Method::GET {
            path.clone()
        } else {
            "/overview".to_owned()
        };
        let back = tests::encoded(&[("next", &back)]);
        assert_eq!(
            answer.header("location"),
            format!("/sign-in?{back}"),
            "{}",
            route.call
        );
        // A token of the API is worth nothing at pages.
        let request = stranger.request(route.method(), &path).bearer_auth(&token);
        let answer = stranger.send(request).await;
        check(route.call, &answer, 303);
        // What a page asks for by itself leads the whole window to the sign-in.
        let request = stranger.request(route.method(), &path);
        let answer = stranger.send(request.header("hx-request", "true")).await;
        check(route.call, &answer, 200);
        assert!(answer.header("hx-redirect").starts_with("/sign-in?next="));
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn lists_hold_nothing_of_tracks_that_one_can_not_see() {
    let world = World::build().await;
    let admin = Holder::add(
        &world,
        Some(server::store::people::Role::Admin),
        tests::Place::Own,
    )
    .await;
    let visitor = world.lab.visitor(admin.person()).await;
    for route in PAGES {
        if route.method() != Method::GET || route.path() == "/live" || holder_has_not(&admin, route)
        {
            continue;
        }
        let page = visitor
            .get(&world.things[0].fill(route.path()))
            .await
            .text();
        for thing in ["track", "rollout", "request", "device", "enrolment"] {
            let id = world.things[1].id(thing);
            assert!(
                !page.contains(id),
                "{} shows another track's {thing}",
                route.call
            );
        }
        assert!(
            !page.contains("Elsewhere"),
            "{} names another track",
            route.call
        );
    }
}

fn holder_has_not(holder: &Holder, route: &Route) -> bool {
    holder.expects(route, true) >= 400
}

/// Few pages at once must not wait for connections that other pages of the same kind hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_holds_one_connection_and_waits_for_another() {
    let world = World::build().await;
    let admin = Holder::add(
        &world,
        Some(server::store::people::Role::Admin),
        tests::Place::Everywhere,
    )
    .await;
    let visitor = world.lab.visitor(admin.person()).await;
    let pool = &world.lab.nodes[0].app.pool;
    // All that can be had but one.
    let mut held = Vec::new();
    let patience = std::time::Duration::from_millis(500);
    while let Ok(conn) = tokio::time::timeout(patience, pool.acquire()).await {
        held.push(conn.unwrap());
    }
    held.pop();
    for route in PAGES {
        if route.method() != Method::GET || route.path() == "/live" {
            continue;
        }
        let answer = make(&visitor, route, &world.things[0], "").await;
        assert_eq!(answer.status, route.allowed, "{}", route.call);
    }
}

/// What can not be taken back takes the password once more.
const STEP_UP: [&str; 10] = [
    "POST /rollouts/{rollout}/clear-halt",
    "POST /rollouts/{written}/roll-back",
    "POST /rollouts/{rollout}/request-override",
    "POST /approvals/{request}/approve",
    "POST /sequences/{draft}/withdraw",
    "POST /publisher-keys",
    "POST /people/new",
    "POST /people/{person}/roles",
    "POST /people/{nobody}/link",
    "POST /account/tokens",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_what_can_not_be_taken_back_asks_for_the_password() {
    let world = World::build().await;
    let role = Some(server::store::people::Role::Admin);
    let admin = Holder::add(&world, role, tests::Place::Everywhere).await;
    let visitor = world.lab.visitor(admin.person()).await;
    let csrf: String = sqlx::query_scalar("SELECT data -> 'who' ->> 'csrf' FROM session")
        .fetch_one(&world.lab.database.pool)
        .await
        .unwrap();
    world.lab.lapse().await;
    let mut asking = BTreeSet::new();
    for route in PAGES {
        // The step-up itself ends the lapse when it is answered rightly, which this is not.
        if route.method() != Method::POST {
            continue;
        }
        let answer = make(&visitor, route, &world.things[0], &csrf).await;
        if answer.status == 303 && answer.header("location").starts_with("/step-up?next=") {
            asking.insert(route.call);
        }
    }
    assert_eq!(asking, BTreeSet::from(STEP_UP));
}
