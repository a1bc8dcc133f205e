//! The whole way of a rollout by keyboard alone: no address is typed but the first, every thing is reached by Tab, and
//! after each step the focus is where one goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::ids::{PersonId, RolloutId};
use engine::policy::StagePolicy;
use tests::browser::{Browser, ENTER};
use tests::{Lab, PASSWORD};

const KB: &str = "KB5079391";

/// The sign-in page is open: its first field has the focus already, and Enter sends it.
async fn comes_in(lab: &Lab, browser: &Browser, person: PersonId) {
    let name = lab.give_password(person).await;
    browser.comes_to("/sign-in").await;
    assert_eq!(browser.focus().await, "Name");
    browser.press(&name).await;
    browser.tab_to("Password").await;
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    browser.comes_to("/overview").await;
}

/// Goes somewhere by the navigation, which comes before the page.
async fn goes_to(browser: &Browser, word: &str, path: &str) {
    browser.tab_to(word).await;
    browser.press(ENTER).await;
    browser.comes_to(path).await;
}

/// The password once more: its field has the focus, Enter sends it and leads back.
async fn steps_up(browser: &Browser, name: &str, back: &str) {
    browser.enter("Confirm it is you").await;
    browser.comes_to("/step-up").await;
    assert_eq!(browser.focus().await, format!("Password of {name}"));
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    browser.comes_to(back).await;
}

async fn submits(lab: &Lab, browser: &Browser, rollout: RolloutId) {
    let page = format!("/rollouts/{rollout}");
    comes_in(lab, browser, lab.people.operator).await;
    goes_to(browser, "Rollouts", "/rollouts").await;
    browser.enter(KB).await;
    browser.comes_to(&page).await;
    browser.enter("Start").await;
    browser.comes_to(&format!("{page}/submit")).await;
    browser.enter("Start 1 rollout").await;
    browser.comes_to(&page).await;
    // The page follows by itself.
    lab.tick(rollout).await;
    browser.reads("Awaiting approval").await;
    browser.enter("Review request").await;
    let request = lab.request(rollout).await.unwrap().id.0;
    browser.comes_to(&format!("/approvals/{request}")).await;
    browser.reads("Four eyes: you wrote this rollout").await;
    let stops = browser.stops().await;
    assert!(!stops.contains(&"Approve".to_owned()), "{stops:?}");
    goes_to(browser, "Sign out", "/sign-in").await;
}

async fn approves(lab: &Lab, browser: &Browser, rollout: RolloutId) {
    comes_in(lab, browser, lab.people.anna).await;
    lab.lapse().await;
    goes_to(browser, "Approvals", "/approvals").await;
    browser.enter(&format!("Open broad for {KB}")).await;
    let request = lab.request(rollout).await.unwrap().id.0;
    let page = format!("/approvals/{request}");
    browser.comes_to(&page).await;
    steps_up(browser, "Anna Novak", &page).await;
    browser.enter("Approve").await;
    browser.reads("Approved by Anna Novak.").await;
    browser.comes_to(&page).await;
    assert_eq!(lab.phase(rollout, "broad").await, "deploying");
    goes_to(browser, "Sign out", "/sign-in").await;
}

async fn halts(lab: &Lab, browser: &Browser, rollout: RolloutId) {
    let page = format!("/rollouts/{rollout}");
    comes_in(lab, browser, lab.people.admin).await;
    goes_to(browser, "Rollouts", "/rollouts").await;
    browser.enter(KB).await;
    browser.comes_to(&page).await;
    browser.enter("Halt…").await;
    browser.comes_to(&format!("{page}/halt")).await;
    // Without a reason the page comes again, with the cursor where it is missing.
    browser.enter("Halt 1 rollout").await;
    browser.reads("Expected").await;
    browser.comes_to(&format!("{page}/halt")).await;
    assert_eq!(browser.focus().await, "Reason");
    browser.press("two machines do not start").await;
    browser.tab_to("Halt 1 rollout").await;
    browser.press(ENTER).await;
    browser.comes_to(&page).await;
    assert_eq!(lab.state(rollout).await.word(), "halted");
}

async fn withdraws(lab: &Lab, browser: &Browser, rollout: RolloutId) {
    let (sequence, _) = lab.publish(KB).await;
    let (page, ask) = (
        format!("/sequences/{sequence}"),
        format!("/sequences/{sequence}/withdraw"),
    );
    browser.reads("Clear the halt").await;
    lab.lapse().await;
    // A menu opens where it is, and Tab goes into it.
    browser.enter("More").await;
    assert_eq!(browser.focus().await, "More");
    browser.tab_to("Withdraw the KB on all tracks…").await;
    browser.press(ENTER).await;
    browser.comes_to(&ask).await;
    steps_up(browser, "Ada Admin", &ask).await;
    browser.skip().await;
    browser.tab_to("Reason").await;
    browser.press("Microsoft has pulled it").await;
    browser.tab_to("Withdraw 1 sequence").await;
    browser.press(ENTER).await;
    browser.comes_to(&page).await;
    browser.reads("Withdrawn by Ada Admin").await;
    browser.skip().await;
    assert_eq!(lab.state(rollout).await.word(), "withdrawn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_goes_its_whole_way_by_keyboard_alone() {
    let lab = Lab::start().await;
    lab.ring("broad", 2).await;
    let policy = |_: &str| StagePolicy {
        approvals: 1,
        ..Lab::policy()
    };
    let rollout = lab.draft_with(KB, policy).await;
    let browser = Browser::of(&lab).await;
    browser.open("/sign-in").await;
    submits(&lab, &browser, rollout).await;
    approves(&lab, &browser, rollout).await;
    halts(&lab, &browser, rollout).await;
    withdraws(&lab, &browser, rollout).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_follows_leaves_the_focus_where_it_is() {
    let lab = Lab::start().await;
    lab.ring("broad", 2).await;
    let rollout = lab.rollout(KB).await;
    let browser = Browser::of(&lab).await;
    lab.sign_in(&browser, lab.people.admin).await;
    browser.tab_to(KB).await;
    lab.halt(rollout).await;
    browser.reads("Halted").await;
    assert_eq!(browser.focus().await, KB);
}
