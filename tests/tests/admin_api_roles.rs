//! Who may do what: every call of the admin API, by everybody, on their own track and on another one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde_json::Value;
use server::store::people::Role;
use tests::{
    Answer, Api, Holder, Place, ROUTES, Route, Things, World, assert_problem, routes_in_sources,
};

/// Somebody with a token.
struct Person {
    holder: Holder,
    token: String,
}

impl Person {
    async fn of(world: &World, holder: Holder) -> Self {
        let (_, token) = world.lab.api_token(holder.id).await;
        Self { holder, token }
    }
}

/// Everybody: nobody's role, and every role in every place.
async fn everybody(world: &World) -> Vec<Person> {
    let mut people = Vec::new();
    for holder in Holder::everybody(world).await {
        people.push(Person::of(world, holder).await);
    }
    people
}

async fn make(api: &Api, route: &Route, things: &Things, token: &str) -> Answer {
    let body: Option<Value> =
        (!route.body.is_empty()).then(|| serde_json::from_str(&things.fill(route.body)).unwrap());
    let path = things.fill(route.path());
    api.call(token, route.method(), &path, body.as_ref()).await
}

fn check(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    match status {
        401 => assert_problem(what, answer, 401, "unauthorized"),
        403 => assert_problem(what, answer, 403, "forbidden"),
        404 => assert_problem(what, answer, 404, "not-found"),
        200 | 204 => assert_eq!(answer.header("cache-control"), "no-store", "{what}"),
        _ => assert!(!answer.problem().kind.is_empty(), "{what}"),
    }
}

#[test]
fn the_table_has_every_route_of_the_router_and_no_other() {
    let table: BTreeSet<String> = ROUTES.iter().map(Route::shape).collect();
    let router = routes_in_sources();
    let missing: Vec<_> = router.difference(&table).collect();
    assert!(missing.is_empty(), "nobody says who may call {missing:?}");
    let gone: Vec<_> = table.difference(&router).collect();
    assert!(gone.is_empty(), "the router does not have {gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_in_exactly_whom_the_table_names() {
    let mut world = World::build().await;
    let people = everybody(&world).await;
    let api = Api::of(&world.lab);
    let before = world.lab.digests().await;
    for route in ROUTES {
        for person in &people {
            for own in [true, false] {
                let status = person.holder.expects(route, own);
                if status == 204 {
                    continue;
                }
                let things = &world.things[usize::from(!own)];
                let what = format!("{} by {:?}, own track: {own}", route.call, person.holder);
                check(
                    &what,
                    &make(&api, route, things, &person.token).await,
                    status,
                );
            }
        }
    }
    assert_eq!(
        world.lab.digests().await,
        before,
        "calls that are refused change nothing"
    );
    // What ends something ends it once, so each of these gets things of its own.
    for route in ROUTES.iter().filter(|r| r.allowed == 204) {
        for person in &people {
            for own in [true, false] {
                if person.holder.expects(route, own) == 204 {
                    world.renew().await;
                    let things = &world.things[usize::from(!own)];
                    let what = format!("{} by {:?}, own track: {own}", route.call, person.holder);
                    check(&what, &make(&api, route, things, &person.token).await, 204);
                    check(&what, &make(&api, route, things, &person.token).await, 404);
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_answers() {
    let world = World::build().await;
    let (api, things) = (Api::of(&world.lab), &world.things[0]);
    let (id, expired) = world.lab.api_token(world.lab.people.admin.0).await;
    let (ended, revoked) = world.lab.api_token(world.lab.people.admin.0).await;
    let disabled = things.id("disabled").parse().unwrap();
    let (_, shut_out) = world.lab.api_token(disabled).await;
    for (query, id) in [
        (
            "UPDATE api_token SET expires_at = created_at WHERE id = $1",
            id,
        ),
        (
            "UPDATE api_token SET revoked_at = created_at WHERE id = $1",
            ended,
        ),
    ] {
        sqlx::query(query)
            .bind(id)
            .execute(&world.lab.database.pool)
            .await
            .unwrap();
    }
    let before = world.lab.digests().await;
    let unknown = format!("rf_{}", "A".repeat(43));
    for route in ROUTES {
        for token in ["", "x", &unknown, &expired, &revoked, &shut_out] {
            let answer = make(&api, route, things, token).await;
            check(&format!("{} with {token:?}", route.call), &answer, 401);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(world.lab.digests().await, before);
}

#[tokio::test]
async fn lists_hold_nothing_of_tracks_that_the_caller_can_not_see() {
    let world = World::build().await;
    let api = Api::of(&world.lab);
    let admin = Holder::add(&world, Some(Role::Admin), Place::Own).await;
    let admin = Person::of(&world, admin).await;
    let [own, other] = [0, 1].map(|i: usize| &world.things[i]);
    for (path, key, thing) in [
        ("/tracks", "id", "track"),
        ("/rollouts", "id", "rollout"),
        ("/approvals", "id", "request"),
        ("/devices", "id", "device"),
        ("/enrolment-tokens", "id", "enrolment"),
    ] {
        let answer = api
            .call(&admin.token, reqwest::Method::GET, path, None)
            .await;
        let list: Value = answer.json();
        let ids: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i[key].as_str().unwrap())
            .collect();
        assert!(ids.contains(&own.id(thing)), "{path}: {ids:?}");
        assert!(!answer.text().contains(other.id("track")), "{path}");
        assert!(!ids.contains(&other.id(thing)), "{path}");
    }
    let people = api
        .call(&admin.token, reqwest::Method::GET, "/people", None)
        .await;
    assert!(
        !people.text().contains(other.id("track")),
        "roles elsewhere are hidden"
    );
}
