//! Bodies that no call of the API reads.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, ROUTES, Route, World, assert_names, assert_problem};

const JSON: &str = "application/json";

/// Calls that take a body, with one that they understand.
fn with_bodies(world: &World) -> Vec<(&'static Route, String, Value)> {
    let things = &world.things[0];
    ROUTES
        .iter()
        .filter(|r| !r.body.is_empty())
        .map(|r| {
            // A list needs a member to put something wrong into.
            let body = if r.body == "[]" {
                r#"[{"name":"x"}]"#
            } else {
                r.body
            };
            (
                r,
                things.fill(r.path()),
                serde_json::from_str(&things.fill(body)).unwrap(),
            )
        })
        .collect()
}

/// The object in which a field can be spoilt, and what stands before its fields' names.
fn inner(body: &mut Value) -> (&mut Value, &'static str) {
    if body.is_array() {
        (&mut body[0], "[0].")
    } else {
        (body, "")
    }
}

/// Sends bytes to a call and expects a `422` that names one of these fields.
async fn names(
    desk: &Desk<'_>,
    what: &str,
    (method, path): (Method, &str),
    bytes: Vec<u8>,
    fields: &[&str],
) {
    let what = format!("{what} to {method} {path}");
    let answer = desk
        .api
        .send(&desk.token, (method, path), JSON, bytes)
        .await;
    assert_problem(&what, &answer, 422, "invalid");
    let named = answer.wrong_field();
    // A list is opened before what is wrong in it is found.
    let first = named.strip_prefix("[0]").map_or(named.as_str(), |_| "[0]");
    assert!(
        fields.contains(&first),
        "{what}: {named}, expected one of {fields:?}"
    );
}

#[tokio::test]
async fn an_unknown_field_is_named_wherever_it_is() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let before = world.lab.digests().await;
    for (route, path, mut body) in with_bodies(&world) {
        let (object, prefix) = inner(&mut body);
        object["surprise"] = json!(1);
        let answer = desk
            .api
            .call(&desk.token, route.method(), &path, Some(&body))
            .await;
        assert_names(route.call, &answer, &format!("{prefix}surprise"));
    }
    let nested = [
        (
            "POST",
            "/people",
            json!({ "name": "Zoe", "roles": [{ "role": "viewer", "trak": null }] }),
            "roles[0].trak",
        ),
        (
            "POST",
            "/sequences/{draft}/publish",
            json!({ "manifest": { "payload": "", "key_id": "", "signature": "", "counter": 9 } }),
            "manifest.counter",
        ),
        (
            "POST",
            "/sequences",
            json!({ "kb": "KB5086672", "title": "x", "kind": "security", "variants": [{ "arch": "x64", "bases": [] }] }),
            "variants[0].bases",
        ),
    ];
    for (method, path, body, field) in nested {
        let path = world.things[0].fill(path);
        let answer = desk
            .api
            .call(&desk.token, method.parse().unwrap(), &path, Some(&body))
            .await;
        assert_names(&path, &answer, field);
    }
    assert_eq!(world.lab.digests().await, before);
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_named() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let before = world.lab.digests().await;
    for (route, path, body) in with_bodies(&world) {
        for wrong in [
            json!(7),
            json!("text"),
            json!(null),
            json!(true),
            json!([[]]),
        ] {
            let bytes = wrong.to_string().into_bytes();
            names(
                &desk,
                "no object",
                (route.method(), &path),
                bytes,
                &["body", "[0]"],
            )
            .await;
        }
        let mut fields = body.clone();
        let (object, prefix) = inner(&mut fields);
        for name in object.as_object().unwrap().keys() {
            for wrong in [json!({ "x": [] }), json!([[[]]]), json!(1.5), json!(-1)] {
                let mut spoilt = body.clone();
                inner(&mut spoilt).0[name] = wrong;
                let answer = desk
                    .api
                    .call(&desk.token, route.method(), &path, Some(&spoilt))
                    .await;
                let what = format!("{} {spoilt}", route.call);
                assert_problem(&what, &answer, 422, "invalid");
                let field = answer.wrong_field();
                assert!(
                    field.starts_with(&format!("{prefix}{name}")),
                    "{what}: {field}"
                );
            }
        }
    }
    assert_eq!(world.lab.digests().await, before);
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let before = world.lab.digests().await;
    for (route, path, body) in with_bodies(&world) {
        let call = || (route.method(), path.as_str());
        let text = body.to_string();
        let half = text.as_bytes()[..text.len() - 1].to_vec();
        let twice = format!("{text} {text}").into_bytes();
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes();
        let latin = vec![b'"', 0xe4, b'"'];
        names(&desk, "nothing", call(), Vec::new(), &["body"]).await;
        names(&desk, "two values", call(), twice, &["body"]).await;
        names(&desk, "deep nesting", call(), deep, &["body", "[0]"]).await;
        names(&desk, "no UTF-8", call(), latin, &["body"]).await;
        let answer = desk.api.send(&desk.token, call(), JSON, half).await;
        assert_problem(route.call, &answer, 422, "invalid");

        let mut fields = body.clone();
        let (object, _) = inner(&mut fields);
        for name in object.as_object().unwrap().keys() {
            // A key or a value of text: NUL, bytes that are no UTF-8, half a surrogate, nesting without an end.
            for raw in [
                &b"\"a\\u0000b\""[..],
                b"\"a\0b\"",
                b"\"\xff\xfe\"",
                br#""\ud800""#,
                &br#"{"a":"#.repeat(20_000),
            ] {
                let mut spoilt = body.clone();
                inner(&mut spoilt).0[name] = json!("%%");
                let text = spoilt.to_string();
                let (left, right) = text.split_once("\"%%\"").unwrap();
                let bytes = [left.as_bytes(), raw, right.as_bytes()].concat();
                let answer = desk.api.send(&desk.token, call(), JSON, bytes).await;
                assert_problem(
                    &format!("{} with a bad {name}", route.call),
                    &answer,
                    422,
                    "invalid",
                );
            }
        }
    }
    assert_eq!(world.lab.digests().await, before);
}

#[tokio::test]
async fn too_much_is_413_and_another_media_type_415() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let before = world.lab.digests().await;
    for (route, path, body) in with_bodies(&world) {
        let call = || (route.method(), path.as_str());
        let big = format!("{}{}", body, " ".repeat(1024 * 1024));
        let answer = desk.api.send(&desk.token, call(), JSON, big.clone()).await;
        assert_problem(route.call, &answer, 413, "too-large");
        // A length that is not said beforehand.
        let chunks = big
            .into_bytes()
            .chunks(64 * 1024)
            .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
            .collect::<Vec<_>>();
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        let answer = desk.api.send(&desk.token, call(), JSON, stream).await;
        assert_problem(route.call, &answer, 413, "too-large");

        for media in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/problem+json",
            "text/json",
            "json",
        ] {
            let answer = desk
                .api
                .send(&desk.token, call(), media, body.to_string())
                .await;
            assert_problem(
                &format!("{} as {media:?}", route.call),
                &answer,
                415,
                "media-type",
            );
        }
        for media in ["application/json; charset=utf-8", "Application/JSON"] {
            let answer = desk
                .api
                .send(&desk.token, call(), media, body.to_string())
                .await;
            assert!(
                [409, 422].contains(&answer.status),
                "{}: {}",
                route.call,
                answer.text()
            );
        }
    }
    assert_eq!(world.lab.digests().await, before);
}
