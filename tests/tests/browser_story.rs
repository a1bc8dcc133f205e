//! What people do in a browser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tests::Lab;
use tests::browser::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_in() {
    let lab = Lab::start().await;
    let browser = Browser::of(&lab).await;
    lab.sign_in(&browser, lab.people.admin).await;
    browser.open("/rollouts").await;
    assert_eq!(browser.heading().await, "Rollouts");
}
