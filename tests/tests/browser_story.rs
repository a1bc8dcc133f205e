//! What people do in a browser: by clicking, without script, and by keyboard alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::ids::RolloutId;
use engine::policy::StagePolicy;
use tests::browser::{Browser, ENTER};
use tests::{Lab, PASSWORD};

const KB: &str = "KB5079391";

/// A rollout that goes on.
async fn running(lab: &Lab) -> RolloutId {
    lab.ring("broad", 2).await;
    lab.rollout(KB).await
}

/// A rollout whose ring waits for one person.
async fn waiting(lab: &Lab) -> RolloutId {
    lab.ring("broad", 2).await;
    let policy = |_: &str| StagePolicy {
        approvals: 1,
        ..Lab::policy()
    };
    let rollout = lab.rollout_with(KB, policy).await;
    assert_eq!(lab.phase(rollout, "broad").await, "awaiting_approval");
    rollout
}

async fn becomes(lab: &Lab, rollout: RolloutId, word: &str) {
    let what = format!("the rollout is {word}");
    tests::eventually(&what, async || lab.state(rollout).await.word() == word).await;
}

/// A link in a message leads to the sign-in and from there to the page.
async fn comes_in_by_a_link(lab: &Lab, browser: &Browser, rollout: RolloutId) {
    lab.give_password(lab.people.admin).await;
    let page = format!("/rollouts/{rollout}/halt");
    browser.open(&page).await;
    assert_eq!(browser.heading().await, "Sign in");
    browser.fill("Name", "Ada Admin").await;
    browser.fill("Password", "not the password").await;
    browser.click("Sign in").await;
    browser.reads("Name and password do not fit.").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Sign in").await;
    browser.reads("Halt KB5079391 on Production?").await;
    browser.arrives(&page).await;
}

/// Pauses, resumes, halts, and clears the halt with the password once more.
async fn steers(lab: &Lab, browser: &Browser) {
    let rollout = running(lab).await;
    comes_in_by_a_link(lab, browser, rollout).await;
    for (action, button, word) in [
        ("pause", "Pause 1 rollout", "paused"),
        ("resume", "Resume 1 rollout", "active"),
        ("halt", "Halt 1 rollout", "halted"),
    ] {
        browser.open(&format!("/rollouts/{rollout}/{action}")).await;
        // Without a reason it is asked again, beside the field.
        browser.click(button).await;
        browser.reads("Expected").await;
        browser.fill("Reason", "two machines do not start").await;
        browser.click(button).await;
        becomes(lab, rollout, word).await;
    }
    browser.open("/rollouts").await;
    browser.reads("Halted").await;
    // What someone else did meanwhile is a page that says so, and nothing happens.
    browser.open(&format!("/rollouts/{rollout}/pause")).await;
    browser.fill("Reason", "late").await;
    browser.click("Pause 1 rollout").await;
    browser.reads("Nothing was changed.").await;
    lab.lapse().await;
    let clear = format!("/rollouts/{rollout}/clear-halt");
    browser.open(&clear).await;
    browser.click("Confirm it is you").await;
    browser.fill("Password of Ada Admin", PASSWORD).await;
    browser.click("Confirm").await;
    browser.arrives(&clear).await;
    browser
        .fill("Reason", "the two machines had a full disk")
        .await;
    browser.click("Clear the halt").await;
    becomes(lab, rollout, "active").await;
    browser.open("/rollouts").await;
    browser.click("Sign out").await;
    browser.arrives("/sign-in").await;
    browser.open("/rollouts").await;
    assert_eq!(browser.heading().await, "Sign in");
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_steered_by_clicking() {
    let lab = Lab::start().await;
    steers(&lab, &Browser::of(&lab).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_steered_without_script() {
    let lab = Lab::start().await;
    let browser = Browser::without_script(&lab).await;
    steers(&lab, &browser).await;
    lab.sign_in(&browser, lab.people.admin).await;
    browser.open("/rollouts").await;
    assert!(!browser.runs_script().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_halted_by_keyboard_alone() {
    let lab = Lab::start().await;
    let rollout = running(&lab).await;
    lab.give_password(lab.people.admin).await;
    let browser = Browser::of(&lab).await;
    browser.open("/sign-in?next=/rollouts").await;
    // The cursor is in the first field already.
    assert_eq!(browser.focus().await, "Name");
    browser.press("Ada Admin").await;
    browser.tab_to("Password").await;
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    browser.reads("Why it waits").await;
    // The first stop leads past the navigation.
    browser.tab_to("Skip to content").await;
    browser.press(ENTER).await;
    browser.tab_to(KB).await;
    browser.open(&format!("/rollouts/{rollout}/halt")).await;
    browser.tab_to("Reason").await;
    browser.press("two machines do not start").await;
    browser.tab_to("Halt 1 rollout").await;
    browser.press(ENTER).await;
    becomes(&lab, rollout, "halted").await;
    lab.lapse().await;
    browser
        .open(&format!("/rollouts/{rollout}/clear-halt"))
        .await;
    browser.tab_to("Confirm it is you").await;
    browser.press(ENTER).await;
    browser.reads("Password of Ada Admin").await;
    assert_eq!(browser.focus().await, "Password of Ada Admin");
    browser.press(PASSWORD).await;
    browser.tab_to("Confirm").await;
    browser.press(ENTER).await;
    browser.reads("Clear the halt of").await;
    browser.tab_to("Reason").await;
    browser.press("a full disk").await;
    browser.tab_to("Clear the halt").await;
    browser.press(ENTER).await;
    becomes(&lab, rollout, "active").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_page_follows_what_happens_elsewhere() {
    let lab = Lab::start().await;
    let rollout = waiting(&lab).await;
    let browser = Browser::of(&lab).await;
    lab.sign_in(&browser, lab.people.admin).await;
    browser.open("/rollouts").await;
    assert!(browser.runs_script().await);
    browser.reads("Awaiting approval").await;
    lab.halt(rollout).await;
    browser.reads("Halted").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
