//! People, tokens, tracks, keys and devices: values out of range, names that are taken, and the last admin.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, World};

#[tokio::test]
async fn names_roles_and_days_are_checked() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let (nobody, things) = (uuid::Uuid::nil(), &world.things[0]);
    let long = "x".repeat(101);
    for name in ["", "  ", "a\nb", "a\u{7f}b", &long] {
        desk.wrong(Method::POST, "/people", &json!({ "name": name }), "name")
            .await;
        desk.wrong(Method::POST, "/tracks", &json!({ "name": name }), "name")
            .await;
        let token = json!({ "name": name, "expires_in_days": 1 });
        desk.wrong(
            Method::POST,
            &things.fill("/people/{person}/tokens"),
            &token,
            "name",
        )
        .await;
    }
    desk.refused(
        Method::POST,
        "/people",
        &json!({ "name": " Pat " }),
        (409, "conflict"),
    )
    .await;
    desk.refused(
        Method::POST,
        "/tracks",
        &json!({ "name": "Elsewhere" }),
        (409, "conflict"),
    )
    .await;
    for zone in ["Berlin", "", "+01:00", "Europe/Berlin "] {
        let track = json!({ "name": "New", "time_zone": zone });
        desk.wrong(Method::POST, "/tracks", &track, "time_zone")
            .await;
    }
    for (role, field) in [
        (
            json!({ "role": "viewer", "track": nobody }),
            "roles[1].track",
        ),
        (json!({ "role": "owner" }), "roles[1].role"),
        (
            json!({ "role": "viewer", "track": "all" }),
            "roles[1].track",
        ),
    ] {
        let roles = json!([{ "role": "viewer" }, role]);
        desk.wrong(
            Method::POST,
            "/people",
            &json!({ "name": "Zoe", "roles": roles }),
            field,
        )
        .await;
        for method in [Method::POST, Method::PUT] {
            desk.wrong(
                method,
                &things.fill("/people/{person}/roles"),
                &json!({ "roles": roles }),
                field,
            )
            .await;
        }
    }
    let many: Vec<Value> = (0..201).map(|_| json!({ "role": "viewer" })).collect();
    desk.wrong(
        Method::POST,
        "/people",
        &json!({ "name": "Zoe", "roles": many }),
        "roles",
    )
    .await;
    for days in [json!(0), json!(367), json!(u32::MAX)] {
        let token = json!({ "name": "script", "expires_in_days": days });
        desk.wrong(
            Method::POST,
            &things.fill("/people/{person}/tokens"),
            &token,
            "expires_in_days",
        )
        .await;
    }
}

#[tokio::test]
async fn somebody_always_administers() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let path = |what: &str| format!("/people/{}/{what}", lab.people.admin.0);
    desk.refused(
        Method::POST,
        &path("disable"),
        &json!({}),
        (409, "conflict"),
    )
    .await;
    for roles in [
        json!([]),
        json!([{ "role": "viewer" }]),
        json!([{ "role": "admin", "track": lab.track }]),
    ] {
        desk.refused(
            Method::PUT,
            &path("roles"),
            &json!({ "roles": roles }),
            (409, "conflict"),
        )
        .await;
    }
}

#[tokio::test]
async fn enrolment_tokens_serials_keys_and_pins_are_checked() {
    let world = World::build().await;
    let desk = Desk::of(&world.lab).await;
    let [own, other] = [&world.things[0], &world.things[1]];
    let token = |field: &str, value: Value| {
        let mut token = json!({ "track": own.id("track"), "admission": "let_in", "uses": 1, "expires_in_hours": 1 });
        token[field] = value;
        token
    };
    for (field, value) in [
        ("uses", json!(0)),
        ("uses", json!(-1)),
        ("uses", json!(1_000_001)),
        ("uses", json!(4_294_967_296_u64)),
        ("expires_in_hours", json!(0)),
        ("expires_in_hours", json!(8785)),
        ("admission", json!("everybody")),
    ] {
        desk.wrong(
            Method::POST,
            "/enrolment-tokens",
            &token(field, value),
            field,
        )
        .await;
    }
    let nowhere = token("track", json!(uuid::Uuid::nil()));
    desk.refused(
        Method::POST,
        "/enrolment-tokens",
        &nowhere,
        (404, "not-found"),
    )
    .await;

    let path = own.fill("/tracks/{track}/expected-devices");
    let many: Vec<String> = (0..10_001).map(|i| format!("S{i}")).collect();
    for (serials, field) in [
        (json!([]), "serials"),
        (json!(many), "serials"),
        (json!(["S1", " "]), "serials[1]"),
        (json!(["S1", "S2", "a\u{1}"]), "serials[2]"),
        (json!(["x".repeat(257)]), "serials[0]"),
        (json!(["S1", 7]), "serials[1]"),
    ] {
        desk.wrong(Method::POST, &path, &json!({ "serials": serials }), field)
            .await;
    }
    // Not base64, too short, padded, no point of the curve, and the neutral element, with which anything verifies.
    let neutral = format!("AQ{}", "A".repeat(41));
    for key in [
        "?",
        "AAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        &format!("Ag{}", "A".repeat(41)),
        &neutral,
    ] {
        desk.wrong(
            Method::POST,
            "/publisher-keys",
            &json!({ "public_key": key }),
            "public_key",
        )
        .await;
    }
    let keys: Value = desk
        .api
        .call(&desk.token, Method::GET, "/publisher-keys", None)
        .await
        .json();
    let known = json!({ "public_key": keys["items"][0]["public_key"] });
    desk.refused(Method::POST, "/publisher-keys", &known, (409, "conflict"))
        .await;

    let pin = own.fill("/devices/{device}/pin");
    let rings: Value = desk
        .api
        .call(
            &desk.token,
            Method::GET,
            &other.fill("/tracks/{track}"),
            None,
        )
        .await
        .json();
    let elsewhere = json!({ "ring": rings["rings"][0]["id"] });
    desk.wrong(Method::POST, &pin, &elsewhere, "ring").await;
    desk.wrong(Method::POST, &pin, &json!({}), "body").await;
}

#[tokio::test]
async fn blanks_around_a_serial_make_no_other_machine() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let mut machine = lab.machine("x");
    let path = format!("/tracks/{}/expected-devices", lab.track);
    let serials = json!({ "serials": [format!("{}  ", machine.serial)] });
    desk.done(Method::POST, &path, &serials).await;
    lab.enrolment_token("listed", "listed", 2).await;
    machine.serial = format!("  {} ", machine.serial);
    // No other identity that would make it the same machine.
    machine.tpm_ek_sha256 = None;
    machine.smbios_uuid = uuid::Uuid::nil();
    let first = lab.enrol_with("listed", machine.clone()).await;
    machine.serial = machine.serial.trim().to_owned();
    let again = lab.enrol_with("listed", machine).await;
    assert_eq!((again.id, again.incarnation), (first.id, 2));
}
