//! Rollouts of what is not published, to nobody, or under a policy that promises nothing.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab};
use uuid::Uuid;

fn policy(pointer: &str, value: Value) -> Value {
    let mut policy = serde_json::to_value(Lab::policy()).unwrap();
    *policy.pointer_mut(pointer).unwrap() = value;
    policy
}

#[tokio::test]
async fn only_a_published_sequence_goes_to_a_known_track() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let (published, content) = lab.publish("KB5079391").await;
    let by = lab.people.operator;
    let draft = lab.control.add_sequence(&content, by).await.unwrap();
    let new = |sequence: Uuid, track: Uuid| json!({ "sequence": sequence, "track": track, "preset": "standard" });
    let post = Method::POST;
    desk.wrong(
        post.clone(),
        "/rollouts",
        &new(draft, lab.track),
        "sequence",
    )
    .await;
    desk.refused(
        post.clone(),
        "/rollouts",
        &new(Uuid::nil(), lab.track),
        (404, "not-found"),
    )
    .await;
    desk.refused(
        post.clone(),
        "/rollouts",
        &new(published, Uuid::nil()),
        (404, "not-found"),
    )
    .await;
    for (field, value) in [
        ("ticket", json!("")),
        ("ticket", json!("x".repeat(101))),
        ("ticket", json!("a\u{1}b")),
        ("preset", json!("reckless")),
        ("scope", json!("everybody")),
        ("sequence", json!("KB5079391")),
        ("policies", json!([])),
    ] {
        let mut wrong = new(published, lab.track);
        wrong[field] = value;
        desk.wrong(post.clone(), "/rollouts", &wrong, field).await;
    }
    // Nobody has it, so nobody is affected by it.
    let mut affected = new(published, lab.track);
    affected["scope"] = json!({ "affected_by": published });
    desk.refused(
        post.clone(),
        "/rollouts",
        &affected,
        (409, "refused/nothing-affected"),
    )
    .await;
    affected["scope"] = json!({ "affected_by": Uuid::nil() });
    desk.refused(post.clone(), "/rollouts", &affected, (404, "not-found"))
        .await;

    let made = desk
        .done(post.clone(), "/rollouts", &new(published, lab.track))
        .await;
    lab.control
        .withdraw_sequence(published, "bad", None, lab.people.admin)
        .await
        .unwrap();
    desk.wrong(
        post.clone(),
        "/rollouts",
        &new(published, lab.track),
        "sequence",
    )
    .await;
    let submit = format!("/rollouts/{}/submit", made["id"].as_str().unwrap());
    desk.no(post, &submit, &json!({})).await;
}

#[tokio::test]
async fn policies_stay_in_their_ranges() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let (sequence, _) = lab.publish("KB5079391").await;
    let cases = [
        ("/soak_hours", json!(721), "soak_hours"),
        ("/soak_hours", json!(-1), "soak_hours"),
        ("/sample", json!({ "at_least": 0 }), "sample"),
        ("/sample", json!("some"), "sample"),
        ("/failures", json!({ "bound": 0.4 }), "failures"),
        ("/failures", json!({ "bound": 50.1 }), "failures"),
        ("/failures", json!({ "bound": -1 }), "failures"),
        ("/coverage", json!(49.9), "coverage"),
        ("/coverage", json!(100.1), "coverage"),
        ("/telemetry", json!(-0.1), "telemetry"),
        ("/telemetry", json!(101), "telemetry"),
        ("/minimum_age_days", json!(366), "minimum_age_days"),
        ("/approvals", json!(6), "approvals"),
        ("/approvals", json!(256), "approvals"),
        ("/growth", json!("explosive"), "growth"),
        (
            "/limits/devices_at_once",
            json!(0),
            "limits.devices_at_once",
        ),
        (
            "/limits/percent_per_day",
            json!(0),
            "limits.percent_per_day",
        ),
        (
            "/limits/percent_per_day",
            json!(100.1),
            "limits.percent_per_day",
        ),
        ("/limits/window", json!("at night"), "limits.window"),
        (
            "/restart/deadline_hours",
            json!(721),
            "restart.deadline_hours",
        ),
        ("/restart/grace_hours", json!(1), "restart.grace_hours"),
        ("/limits/window", json!("Mon 22:00-22:10"), "limits.window"),
        ("/time_zone", json!("Mars/Olympus"), "time_zone"),
    ];
    let new = |policies: Value| json!({ "sequence": sequence, "track": lab.track, "preset": "standard", "policies": policies });
    for (pointer, value, field) in cases {
        let rollout = new(json!({ "broad": policy(pointer, value) }));
        desk.wrong(
            Method::POST,
            "/rollouts",
            &rollout,
            &format!("policies.broad.{field}"),
        )
        .await;
    }
    let unknown = new(json!({ "brod": Lab::policy() }));
    desk.wrong(Method::POST, "/rollouts", &unknown, "policies.brod")
        .await;
    desk.done(
        Method::POST,
        "/rollouts",
        &new(json!({ "broad": Lab::policy() })),
    )
    .await;
}

#[tokio::test]
async fn a_rollout_moves_only_as_its_state_allows() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let desk = Desk::of(&lab).await;
    let rollout = lab.draft_with("KB5079391", |_| Lab::policy()).await;
    let path = |what: &str| format!("/rollouts/{rollout}/{what}");
    let because = json!({ "reason": "because" });
    for what in [
        "pause",
        "resume",
        "halt",
        "clear-halt",
        "request-override",
        "request-expedite",
    ] {
        desk.no(Method::POST, &path(what), &because).await;
    }
    let stranger = lab
        .person("Olga", &[(server::store::people::Role::Operator, None)])
        .await;
    let theirs = Desk::of_person(&lab, stranger).await;
    for (what, body) in [("submit", json!({})), ("cancel", because.clone())] {
        theirs.no(Method::POST, &path(what), &body).await;
    }
    for wrong in [json!("soon"), json!(7), json!("2026-04-31T00:00:00Z")] {
        desk.wrong(
            Method::POST,
            &path("submit"),
            &json!({ "not_before": wrong }),
            "not_before",
        )
        .await;
    }
    desk.done(Method::POST, &path("submit"), &json!({})).await;
    lab.tick(rollout).await;
    for what in ["submit", "resume", "clear-halt"] {
        let body = if what == "submit" {
            json!({})
        } else {
            because.clone()
        };
        desk.no(Method::POST, &path(what), &body).await;
    }
    for what in [
        "pause",
        "resume",
        "halt",
        "clear-halt",
        "cancel",
        "request-override",
        "request-expedite",
    ] {
        for reason in ["", " ", "a\u{7}"] {
            desk.wrong(
                Method::POST,
                &path(what),
                &json!({ "reason": reason }),
                "reason",
            )
            .await;
        }
        desk.wrong(Method::POST, &path(what), &json!({}), "body")
            .await;
    }
}
