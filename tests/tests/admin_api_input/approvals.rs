//! A yes that must not count: stale, the author's own, given twice, or too late.

use engine::policy::StagePolicy;
use reqwest::Method;
use serde_json::{Value, json};
use server::store::people::Role;
use tests::{Desk, Lab};

#[tokio::test]
async fn a_yes_counts_for_what_was_seen_by_somebody_else_and_once() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let policy = |_: &str| StagePolicy {
        approvals: 2,
        ..Lab::policy()
    };
    let rollout = lab.rollout_with("KB5079391", policy).await;
    let mut conn = lab.conn().await;
    let author = lab.people.operator.0;
    server::store::people::grant(&mut conn, author, Role::Approver, None)
        .await
        .unwrap();
    drop(conn);

    let anna = Desk::of_person(&lab, lab.people.anna.0).await;
    let mary = Desk::of_person(&lab, lab.people.mary.0).await;
    let kai = Desk::of_person(&lab, author).await;
    let ada = Desk::of(&lab).await;
    let open: Value = anna
        .api
        .call(&anna.token, Method::GET, "/approvals?open=true", None)
        .await
        .json();
    let request = &open["items"][0];
    let path = |what: &str| format!("/approvals/{}/{what}", request["id"].as_str().unwrap());
    let (approve, reject, post) = (path("approve"), path("reject"), || Method::POST);
    let yes = json!({ "hash": request["hash"] });
    let stale = json!({ "hash": "0".repeat(64) });

    for wrong in [json!("0".repeat(63)), json!("z".repeat(64)), json!("")] {
        anna.wrong(post(), &approve, &json!({ "hash": wrong }), "hash")
            .await;
    }
    anna.wrong(post(), &approve, &json!({}), "body").await;
    anna.wrong(post(), &reject, &json!({ "reason": " " }), "reason")
        .await;
    anna.refused(post(), &approve, &stale, (409, "refused/hash"))
        .await;
    // The author, approver or not; and an admin who is no approver, while there are approvers.
    kai.refused(post(), &approve, &yes, (409, "refused/four-eyes"))
        .await;
    ada.no(post(), &approve, &yes).await;

    anna.done(post(), &approve, &yes).await;
    anna.refused(post(), &approve, &yes, (409, "refused/four-eyes"))
        .await;

    // The rollout stops: what was asked is void, for a yes and for a no.
    let pause = format!("/rollouts/{rollout}/pause");
    ada.done(post(), &pause, &json!({ "reason": "wait" })).await;
    lab.tick(rollout).await;
    for (path, body) in [(&approve, &yes), (&reject, &json!({ "reason": "no" }))] {
        mary.no(post(), path, body).await;
    }
    ada.done(
        post(),
        &format!("/rollouts/{rollout}/resume"),
        &json!({ "reason": "go on" }),
    )
    .await;
    lab.tick(rollout).await;
    // Asked anew: the old request stays void.
    mary.no(post(), &approve, &yes).await;
    assert_eq!(lab.phase(rollout, "broad").await, "awaiting_approval");
}
