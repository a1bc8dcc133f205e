//! What a rollout would come to is said before it begins, and only then.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::Input;
use engine::ids::RolloutId;
use engine::policy::{Preset, preset};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, assert_names, assert_problem};

const KB: &str = "KB5086672";

/// A draft for a track with these rings, and so many devices in each. By the preset for few devices: those of others ask for
/// more of them than a test enrols.
async fn draft(lab: &Lab, rings: &[(&'static str, usize)]) -> RolloutId {
    for (name, devices) in rings {
        lab.ring(name, *devices).await;
    }
    let place = |name: &str| rings.iter().position(|(ring, _)| *ring == name).unwrap();
    lab.draft_with(KB, |name| {
        preset(
            Preset::Small,
            place(name),
            rings.len(),
            "Europe/Berlin".parse().unwrap(),
        )
    })
    .await
}

async fn get(desk: &Desk<'_>, rollout: RolloutId, query: &str) -> Value {
    let path = format!("/rollouts/{rollout}/forecast{query}");
    desk.done(Method::GET, &path, &json!({})).await
}

#[tokio::test]
async fn a_draft_says_when_its_rings_open_and_what_a_bad_update_would_harm() {
    let lab = Lab::start().await;
    let rollout = draft(&lab, &[("pilot", 4), ("broad", 30)]).await;
    let desk = Desk::of(&lab).await;
    let path = format!("/rollouts/{rollout}/forecast?failure_percent=0");
    let call = desk.api.call(&desk.token, Method::GET, &path, None);
    let answer = desk.unchanged("a forecast", call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let forecast: Value = answer.json();
    assert_eq!(forecast["devices"], 34);
    let rings = forecast["rings"].as_array().unwrap();
    let names: Vec<_> = rings
        .iter()
        .map(|r| (r["ring_name"].as_str().unwrap(), r["devices"].as_u64()))
        .collect();
    assert_eq!(names, [("pilot", Some(4)), ("broad", Some(30))]);
    let median = |ring: &Value, what: &str| ring[what]["median"].as_f64().unwrap();
    // Three days of soak, then two people with some hours, then three days again.
    assert!(median(&rings[0], "passes") >= 3.0);
    assert!(median(&rings[1], "opens") > median(&rings[0], "passes"));
    assert!(forecast["completed"]["median"].as_f64().unwrap() >= 6.0);
    assert_eq!(forecast["completes"]["of"], forecast["courses"]);
    let harm = forecast["harm"].as_array().unwrap();
    assert_eq!(harm.len(), 4);
    assert_eq!(harm[0]["stopped"]["of"], forecast["courses"]);
    assert!(harm[0]["harmed"].as_f64().unwrap() <= 3.0);
    assert!(harm[3]["cohort_name"].is_string(), "{}", harm[3]);
}

#[tokio::test]
async fn what_is_taken_as_given_changes_the_forecast_and_what_is_out_of_range_is_named() {
    let lab = Lab::start().await;
    let rollout = draft(&lab, &[("pilot", 3), ("broad", 6)]).await;
    let desk = Desk::of(&lab).await;
    let completed = async |query: &str| {
        let forecast = get(&desk, rollout, query).await;
        forecast["completed"]["median"].as_f64().unwrap()
    };
    let usual = completed("?failure_percent=0").await;
    for slower in [
        "?failure_percent=0&restart_hours=48",
        "?failure_percent=0&approval_hours=72",
    ] {
        let slow = completed(slower).await;
        assert!(slow > usual + 0.5, "{slower}: {slow} against {usual}");
    }
    let risky = get(&desk, rollout, "?failure_percent=10").await;
    assert!(
        risky["completes"]["of"].as_u64() < risky["courses"].as_u64(),
        "in a first ring where none may fail: {risky}"
    );
    for (query, field) in [
        ("?restart_hours=169", "restart_hours"),
        ("?install_minutes=1", "install_minutes"),
        ("?failure_percent=NaN", "failure_percent"),
        ("?approval_hours=1000", "approval_hours"),
        ("?approval_hours=-1", "query"),
        ("?restart=1", "query"),
    ] {
        let path = format!("/rollouts/{rollout}/forecast{query}");
        let answer = desk.api.call(&desk.token, Method::GET, &path, None).await;
        assert_names(query, &answer, field);
    }
}

#[tokio::test]
async fn a_ring_without_a_device_never_passes_and_the_forecast_says_so() {
    let lab = Lab::start().await;
    let rollout = draft(&lab, &[("pilot", 0), ("broad", 3)]).await;
    let forecast = get(&Desk::of(&lab).await, rollout, "").await;
    assert_eq!(forecast["completes"]["of"], 0);
    assert_eq!(forecast["completed"], Value::Null);
    assert_eq!(forecast["rings"][0]["devices"], 0);
    assert_eq!(forecast["rings"][1]["opens"], Value::Null);
}

#[tokio::test]
async fn a_known_issue_delays_the_ring_whose_devices_it_holds_and_what_is_left_out_is_not_counted()
{
    let lab = Lab::start().await;
    let rollout = draft(&lab, &[("pilot", 4), ("broad", 6)]).await;
    let mut machine = lab.machine("broad");
    machine.model = "Latitude 7450".into();
    lab.enrol(machine).await;
    let desk = Desk::of(&lab).await;
    let opens = async || {
        let forecast = get(&desk, rollout, "?failure_percent=0").await;
        let broad = forecast["rings"][1].clone();
        (broad["opens"]["median"].as_f64().unwrap(), broad)
    };
    let (before, broad) = opens().await;
    assert_eq!(
        (broad["devices"].clone(), broad["held"].clone()),
        (json!(7), json!([]))
    );
    let devices = "model:\"Latitude 7450\"";
    let expires = lab.clock.now() + TimeDelta::days(30);
    let issue =
        json!({ "devices": devices, "issue": "BitLocker asks for its key", "expires": expires });
    let path = format!("/tracks/{}/holds", lab.track);
    let held = desk.done(Method::POST, &path, &issue).await;
    let (after, broad) = opens().await;
    assert!(
        before < 20.0 && (30.0..31.0).contains(&after),
        "{before}, {after}"
    );
    assert_eq!(broad["devices"], 7);
    assert_eq!(
        (
            broad["held"][0]["devices"].clone(),
            broad["held"][0]["issue"].clone()
        ),
        (json!(1), json!("BitLocker asks for its key"))
    );
    let visitor = lab.visitor(lab.people.operator).await;
    let page = visitor.get(&format!("/rollouts/{rollout}/forecast")).await;
    assert!(
        page.text()
            .contains("It holds 1 device of the ring. It is taken to end"),
        "{}",
        page.text()
    );
    let end = format!("{path}/{}/end", held["id"].as_str().unwrap());
    desk.done(Method::POST, &end, &json!({})).await;
    let path = format!("/rollouts/{rollout}/exclusions");
    let left_out = json!({ "devices": devices, "reason": "their vendor has a fix in May" });
    desk.done(Method::POST, &path, &left_out).await;
    let (again, broad) = opens().await;
    assert_eq!(
        (broad["devices"].clone(), broad["held"].clone()),
        (json!(6), json!([]))
    );
    assert!(again < 20.0, "{again}");
}

#[tokio::test]
async fn what_has_begun_is_not_forecast() {
    let lab = Lab::start().await;
    let rollout = draft(&lab, &[("broad", 2)]).await;
    let by = lab.people.operator;
    let not_before = None;
    lab.apply(rollout, Input::Submit { by, not_before })
        .await
        .unwrap();
    let desk = Desk::of(&lab).await;
    let path = format!("/rollouts/{rollout}/forecast");
    let answer = desk.api.call(&desk.token, Method::GET, &path, None).await;
    assert_problem("it runs", &answer, 409, "conflict");
}

#[tokio::test]
async fn the_page_says_it_in_words_and_keeps_what_was_typed_beside_its_mistake() {
    let lab = Lab::start().await;
    let rollout = draft(&lab, &[("pilot", 3), ("broad", 9)]).await;
    let visitor = lab.visitor(lab.people.operator).await;
    let page = visitor.get(&format!("/rollouts/{rollout}")).await;
    let link = format!("/rollouts/{rollout}/forecast");
    assert!(page.text().contains(&format!("href=\"{link}\"")));
    let page = visitor.get(&format!("{link}?failure_percent=0")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("A good update completes around"));
    assert!(page.text().contains("fails on every device"));
    let page = visitor
        .get(&format!("{link}?failure_percent=many&restart_hours=6"))
        .await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("Expected 0 to 10 percent."));
    assert!(page.text().contains("value=\"many\"") && page.text().contains("value=\"6\""));
}
