//! Cohorts that people add: an update that breaks one EDR is halted by the devices that have it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::ids::RolloutId;
use engine::rollout::RolloutState;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, TestDevice, assert_names, codes, kinds};

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";
const BROKEN: &str = "Contoso Sensor 7.2";

async fn with_edr(lab: &Lab, edr: Option<&str>) -> TestDevice {
    let mut machine = lab.machine("broad");
    if let Some(edr) = edr {
        machine.attributes.insert("edr".into(), edr.into());
    }
    lab.enrol(machine).await
}

async fn judge(lab: &Lab, attributes: &[&str]) {
    let path = format!("/tracks/{}/cohorts", lab.track);
    let body = json!({ "attributes": attributes });
    Desk::of(lab).await.done(Method::PUT, &path, &body).await;
}

/// Sixty devices started; three of the four with the broken EDR fail, the others are fine.
async fn sixty_with_a_broken_edr(lab: &Lab) -> RolloutId {
    let ring = lab.ring("broad", 50).await;
    let mut broken = Vec::new();
    for _ in 0..4 {
        broken.push(with_edr(lab, Some(BROKEN)).await);
    }
    let mut fine = Vec::new();
    for _ in 0..6 {
        fine.push(with_edr(lab, Some("Fabrikam 3")).await);
    }
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in ring.devices.iter().chain(&fine) {
        let permit = device.permit(rollout).await;
        device.finish(rollout, permit, TARGET).await;
    }
    for device in &broken[..3] {
        let permit = device.permit(rollout).await;
        device
            .report(&[
                kinds::started(rollout.0, permit, 1),
                kinds::failed(rollout.0, 1, codes::STORE),
            ])
            .await;
    }
    lab.tick(rollout).await;
    rollout
}

async fn cohorts(lab: &Lab, rollout: RolloutId) -> Vec<(String, i64, i64)> {
    sqlx::query_as(
        "SELECT c.value, sum(e.started)::bigint, sum(e.failed)::bigint FROM evidence e JOIN cohort c ON c.id = e.cohort
         JOIN stage s ON s.id = e.stage_id WHERE s.rollout_id = $1 AND c.kind = 'attribute1' GROUP BY 1 ORDER BY 1",
    )
    .bind(rollout.0)
    .fetch_all(&lab.database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_update_that_breaks_one_edr_is_halted_and_the_halt_names_it() {
    let lab = Lab::start().await;
    judge(&lab, &["edr"]).await;
    let rollout = sixty_with_a_broken_edr(&lab).await;
    assert!(matches!(
        lab.state(rollout).await,
        RolloutState::Halted { .. }
    ));
    let page: Value = Desk::of(&lab)
        .await
        .done(Method::GET, &format!("/rollouts/{rollout}"), &json!({}))
        .await;
    assert_eq!(
        page["reasons"][0]["sentence"],
        "Halted by its evidence: 3 failures among 3 devices (edr Contoso Sensor 7.2). An admin with a reason can clear it."
    );
    assert_eq!(
        cohorts(&lab, rollout).await,
        [
            ("edr Contoso Sensor 7.2".to_owned(), 3, 3),
            ("edr Fabrikam 3".to_owned(), 6, 0),
            ("edr not reported".to_owned(), 50, 0),
        ]
    );
    let visitor = lab.visitor(lab.people.operator).await;
    let shown = visitor.get(&format!("/rollouts/{rollout}")).await;
    assert!(shown.text().contains("edr Contoso Sensor 7.2"));
    lab.verify().await;
}

#[tokio::test]
async fn without_that_cohort_the_same_three_failures_are_no_halt() {
    let lab = Lab::start().await;
    let rollout = sixty_with_a_broken_edr(&lab).await;
    assert_eq!(lab.state(rollout).await, RolloutState::Active);
    assert!(cohorts(&lab, rollout).await.is_empty());
    lab.verify().await;
}

#[tokio::test]
async fn a_rollout_that_goes_on_keeps_its_cohorts_and_a_value_that_comes_later_is_another() {
    let lab = Lab::start().await;
    judge(&lab, &["edr"]).await;
    with_edr(&lab, Some("Fabrikam 3")).await;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    judge(&lab, &[]).await;
    let late = with_edr(&lab, Some("Never seen 1")).await;
    let permit = late.permit(rollout).await;
    late.finish(rollout, permit, TARGET).await;
    assert_eq!(cohorts(&lab, rollout).await, [("other".to_owned(), 1, 0)]);
    lab.verify().await;
}

#[tokio::test]
async fn the_edition_is_judged_where_the_track_says_so() {
    let lab = Lab::start().await;
    judge(&lab, &["edition"]).await;
    let device = with_edr(&lab, None).await;
    let rollout = lab.rollout(KB).await;
    let permit = device.permit(rollout).await;
    device.finish(rollout, permit, TARGET).await;
    let edition = format!("edition {}", device.inventory().edition);
    assert_eq!(cohorts(&lab, rollout).await, [(edition, 1, 0)]);
    lab.verify().await;
}

#[tokio::test]
async fn devices_are_found_held_and_placed_by_what_they_report() {
    let lab = Lab::start().await;
    lab.ring("broad", 2).await;
    let broken = with_edr(&lab, Some(BROKEN)).await;
    with_edr(&lab, Some("Fabrikam 3")).await;
    let desk = Desk::of(&lab).await;
    let found = async |query: &str| {
        let path = format!("/devices?q={query}");
        let list = desk.done(Method::GET, &path, &json!({})).await;
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(found("attribute:edr%3D%22contoso*%22").await, 1);
    assert_eq!(found("attribute:edr%3D*").await, 2);
    assert_eq!(found("-attribute:edr%3D*").await, 2);
    let path = format!("/devices/{}", broken.id);
    let shown = desk.done(Method::GET, &path, &json!({})).await;
    assert_eq!(shown["facts"]["attributes"]["edr"], BROKEN);
    let visitor = lab.visitor(lab.people.operator).await;
    let page = visitor.get(&path).await;
    assert!(page.text().contains(BROKEN), "{}", page.text());
    let rollout = lab.rollout(KB).await;
    let issue = json!({
        "devices": "attribute:edr=\"Contoso*\"", "issue": "its driver blocks the restart",
        "expires": lab.clock.now() + chrono::TimeDelta::days(3),
    });
    let holds = format!("/tracks/{}/holds", lab.track);
    desk.done(Method::POST, &holds, &issue).await;
    let shown = desk
        .done(Method::GET, &format!("/rollouts/{rollout}"), &json!({}))
        .await;
    assert_eq!(shown["holds"][0]["held"], 1);
    lab.verify().await;
}

#[tokio::test]
async fn what_is_no_attribute_is_named_and_changes_nothing() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let path = format!("/tracks/{}/cohorts", lab.track);
    for (attributes, field) in [
        (json!(["edr", "vpn", "a", "b", "c"]), "attributes"),
        (json!(["EDR"]), "attributes[0]"),
        (json!(["edr", "edr"]), "attributes[1]"),
        (json!(["edr", ""]), "attributes[1]"),
    ] {
        let body = json!({ "attributes": attributes });
        desk.wrong(Method::PUT, &path, &body, field).await;
    }
    let mut machine = lab.machine("broad");
    machine.attributes.insert("Edr".into(), "x".into());
    machine.attributes.insert("vpn".into(), " x".into());
    let enrolment =
        TestDevice::enrolment(lab.wire(), "let-me-in", &TestDevice::new_key(), machine).await;
    let answer = lab.wire().post("/enroll", &enrolment).await;
    assert_names("a name", &answer, "attributes");
    assert_names("a value", &answer, "attributes.vpn");
    judge(&lab, &["edr", "vpn"]).await;
    let track = desk
        .done(Method::GET, &format!("/tracks/{}", lab.track), &json!({}))
        .await;
    assert_eq!(track["cohort_attributes"], json!(["edr", "vpn"]));
    let visitor = lab.visitor(lab.people.admin).await;
    let page = format!("/tracks/{}/cohorts", lab.track);
    let sent = visitor.post(&page, &[("attributes", "edr, Vpn")]).await;
    assert_eq!(sent.status, 422);
    assert!(sent.text().contains("lower-case letters, digits and _"));
    let sent = visitor
        .post(&page, &[("attributes", "storage_driver")])
        .await;
    assert_eq!(sent.status, 303);
    let shown = visitor.get(&format!("/tracks/{}", lab.track)).await;
    assert!(shown.text().contains("Judged: <bdi>storage_driver</bdi>"));
}
