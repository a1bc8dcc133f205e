//! One's own account: sessions that end, and API tokens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use reqwest::Method;
use tests::{Api, Lab, PASSWORD, Visitor, assert_problem};

/// Where a session that has ended leads.
async fn is_in(visitor: &Visitor) -> bool {
    let answer = visitor.get("/account").await;
    assert!(answer.status == 200 || answer.header("location").starts_with("/sign-in"));
    answer.status == 200
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_sessions_of_ones_own_and_nothing_else() {
    let lab = Lab::start().await;
    let here = lab.visitor(lab.people.anna).await;
    let there = lab.visitor(lab.people.anna).await;
    let mary = lab.visitor(lab.people.mary).await;
    let (_, token) = lab.api_token(lab.people.anna.0).await;
    // A form of another page, or of nobody, ends nothing.
    let path = "/account/sign-out-everywhere";
    assert_eq!(here.form(path, "csrf=x").await.status, 403);
    assert_eq!(Visitor::of(&lab).form(path, "csrf=x").await.status, 303);
    assert!(is_in(&here).await && is_in(&there).await);

    let stolen = here.with_cookie(here.cookie());
    let answer = here.post(path, &[]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/sign-in")
    );
    assert_eq!(here.cookie(), None, "the cookie is taken back");
    for (visitor, what) in [(&here, "here"), (&there, "elsewhere"), (&stolen, "a copy")] {
        assert!(!is_in(visitor).await, "{what}");
    }
    assert!(is_in(&mary).await);
    let api = Api::of(&lab);
    let tracks = api.call(&token, Method::GET, "/tracks", None).await;
    assert_eq!(tracks.status, 200, "API tokens go on working");
    assert_eq!(here.sign_in("Anna Novak", PASSWORD).await.status, 303);
    assert!(is_in(&here).await);
    lab.verify().await;
}

/// The text of a token on the page that shows it.
fn shown(page: &str) -> String {
    let (_, after) = page.split_once(r#"id="secret" tabindex="0">"#).unwrap();
    after.split_once("</pre>").unwrap().0.to_owned()
}

/// The address that ends the one token that the page lists.
fn revokes(page: &str) -> String {
    let (_, after) = page.split_once(r#"href="/account/tokens/"#).unwrap();
    let (token, _) = after.split_once('"').unwrap();
    format!("/account/tokens/{token}")
}

#[tokio::test]
async fn an_api_token_of_ones_own_is_shown_once_works_and_ends() {
    let lab = Lab::start().await;
    let anna = lab.visitor(lab.people.anna).await;
    let wanted = [
        ("token_name", "nightly <export>"),
        ("expires_in_days", "30"),
    ];
    lab.lapse().await;
    let answer = anna.post("/account/tokens", &wanted).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/step-up?next=%2Faccount%2Ftokens")
    );
    anna.post("/step-up", &[("password", PASSWORD)]).await;
    let wrong = [("token_name", ""), ("expires_in_days", "367")];
    assert_eq!(anna.post("/account/tokens", &wrong).await.status, 422);

    let made = anna.post("/account/tokens", &wanted).await;
    assert_eq!(made.status, 200);
    assert_eq!(made.header("cache-control"), "no-store");
    let token = shown(&made.text());
    assert!(!made.text().contains("nightly <export>"));
    let account = anna.get("/account").await.text();
    assert!(account.contains("nightly &#60;export&#62;"), "{account}");
    assert!(!account.contains(&token), "it is shown once");

    let api = Api::of(&lab);
    let tracks = async || api.call(&token, Method::GET, "/tracks", None).await;
    assert_eq!(tracks().await.status, 200);
    // It may what its owner may: an approver adds nobody.
    let body = serde_json::json!({ "name": "Eve" });
    let refused = api.call(&token, Method::POST, "/people", Some(&body)).await;
    assert_problem("a person", &refused, 403, "forbidden");

    let revoke = revokes(&account);
    let mary = lab.visitor(lab.people.mary).await;
    assert_eq!(mary.get(&revoke).await.status, 404, "not hers");
    assert_eq!(mary.post(&revoke, &[]).await.status, 404);
    assert_eq!(tracks().await.status, 200);
    assert_eq!(anna.get(&revoke).await.status, 200);
    let answer = anna.post(&revoke, &[]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/account?done=token")
    );
    assert_eq!(tracks().await.status, 401);
    let account = anna.get("/account?done=token").await.text();
    assert!(!account.contains("nightly") && account.contains("The API token was revoked."));
    lab.verify().await;
}
