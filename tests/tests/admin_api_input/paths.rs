//! Paths, methods and query strings that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use tests::{Desk, ROUTES, World, assert_names, assert_problem};

#[tokio::test]
async fn an_id_that_is_none_is_named_and_one_of_nothing_is_not_found() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let before = world.lab.digests().await;
    for route in ROUTES.iter().filter(|r| r.path().contains("/{")) {
        let body = (!route.body.is_empty())
            .then(|| serde_json::from_str(&world.things[0].fill(route.body)).unwrap());
        let with = |id: &str| {
            let parts = route
                .path()
                .split('/')
                .map(|p| if p.starts_with('{') { id } else { p });
            parts.collect::<Vec<_>>().join("/")
        };
        let long = "7".repeat(5000);
        for id in [
            "1",
            "x",
            "..%2f",
            "%00",
            "%ff",
            "null",
            "0194e8f0-0000-7000-8000-00000000000g",
            long.as_str(),
        ] {
            let answer = desk
                .api
                .call(&desk.token, route.method(), &with(id), body.as_ref())
                .await;
            assert_names(&format!("{} {}", route.call, with(id)), &answer, "id");
        }
        // Well formed, and of nothing.
        let nothing = "0194e8f0-0000-7000-8000-000000000000";
        let answer = desk
            .api
            .call(&desk.token, route.method(), &with(nothing), body.as_ref())
            .await;
        let validated_first = answer.status == 422 && !route.body.is_empty();
        if !validated_first {
            assert_problem(route.call, &answer, 404, "not-found");
        }
    }
    assert_eq!(world.lab.digests().await, before);
}

#[tokio::test]
async fn another_method_is_405_and_another_path_404() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let before = world.lab.digests().await;
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for route in ROUTES {
        let path = world.things[0].fill(route.path().split('?').next().unwrap());
        methods
            .entry(path)
            .or_default()
            .insert(route.method().to_string());
    }
    // Paths differ by the name of what is put in; the router knows them as one.
    let shape = |path: &str| {
        path.split('/')
            .map(|p| if p.len() == 36 { "" } else { p })
            .collect::<Vec<_>>()
            .join("/")
    };
    for path in methods.keys() {
        let twins = methods
            .iter()
            .filter(|(other, _)| shape(other) == shape(path));
        let taken: BTreeSet<&String> = twins.flat_map(|(_, m)| m).collect();
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "PURGE"] {
            if taken.iter().any(|t| *t == method) {
                continue;
            }
            let answer = desk
                .api
                .call(&desk.token, method.parse().unwrap(), path, None)
                .await;
            assert_problem(&format!("{method} {path}"), &answer, 405, "method");
            let allow = answer.header("allow");
            assert!(
                taken.iter().all(|t| allow.contains(t.as_str())),
                "{path} takes {taken:?}, but says {allow:?}"
            );
        }
        for path in [
            format!("{path}/"),
            format!("{path}/nothing/there"),
            format!("/{path}"),
            path.to_uppercase(),
        ] {
            let answer = desk.api.call(&desk.token, Method::GET, &path, None).await;
            assert_problem(&path, &answer, 404, "not-found");
        }
    }
    for path in ["", "/", "/nothing", "/../v2/tracks", "/../../etc/passwd"] {
        let answer = desk.api.call(&desk.token, Method::GET, path, None).await;
        assert_problem(path, &answer, 404, "not-found");
    }
    assert_eq!(world.lab.digests().await, before);
}

#[tokio::test]
async fn a_query_string_is_read_strictly() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let lists = [
        "/sequences",
        "/rollouts",
        "/approvals",
        "/enrolment-tokens",
        "/devices",
        "/audit",
    ];
    for path in lists {
        let get = |query: &str| {
            let path = format!("{path}?{query}");
            async {
                desk.api
                    .call(&desk.token, Method::GET, &{ path }, None)
                    .await
            }
        };
        for query in [
            "limit=0",
            "limit=-1",
            "limit=1001",
            "limit=9223372036854775807",
        ] {
            assert_names(&format!("{path} {query}"), &get(query).await, "limit");
        }
        for query in [
            "limit=x",
            "limit=",
            "limits=1",
            "limit=1&limit=2",
            "limit=9223372036854775808",
            "x=%00",
            "=",
            "limit=1&a",
        ] {
            assert_names(&format!("{path} {query}"), &get(query).await, "query");
        }
        assert_eq!(get("limit=1").await.status, 200, "{path}");
    }
    for query in [
        "/rollouts?track=x",
        "/rollouts?before=1",
        "/approvals?open=maybe",
        "/devices?status=lost",
        "/devices?after=2147483648",
        "/audit?after=x",
        "/enrolment-tokens?before=",
    ] {
        let answer = desk.api.call(&desk.token, Method::GET, query, None).await;
        assert_names(query, &answer, "query");
    }
    for nowhere in [
        "/devices?after=-1",
        "/devices?after=2147483647",
        "/audit?after=9223372036854775807",
        "/audit?after=-9223372036854775808",
        "/audit?subject=%27%20OR%201%3D1",
    ] {
        assert_eq!(
            desk.api
                .call(&desk.token, Method::GET, nowhere, None)
                .await
                .status,
            200,
            "{nowhere}"
        );
    }
}

#[tokio::test]
async fn without_a_database_every_call_says_when_to_come_again() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    world.lab.nodes[0].app.pool.close().await;
    for route in ROUTES {
        let path = world.things[0].fill(route.path());
        let answer = desk
            .api
            .call(&desk.token, route.method(), &path, None)
            .await;
        assert_problem(route.call, &answer, 503, "unavailable");
        let seconds: u32 = answer.header("retry-after").parse().unwrap();
        assert!((5..=60).contains(&seconds), "{}: {seconds}", route.call);
    }
}
