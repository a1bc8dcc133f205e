//! Four eyes as people meet them: asked, approved, rejected, overridden, too late. By clicking, with script and without.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::Input;
use engine::approval::Request;
use engine::ids::{PersonId, RolloutId};
use engine::policy::StagePolicy;
use tests::browser::Browser;
use tests::{Lab, PASSWORD};

const KB: &str = "KB5079391";

/// What does not hold of a ring that has just opened.
const UNHELD: [&str; 5] = [
    "Sample",
    "Soak",
    "Failures",
    "Resolved share",
    "Telemetry fresh",
];

/// Every ring asks one person.
fn asks_one(_ring: &str) -> StagePolicy {
    StagePolicy {
        approvals: 1,
        ..Lab::policy()
    }
}

/// The request that is open now.
async fn asked(lab: &Lab, rollout: RolloutId) -> Request {
    lab.tick(rollout).await;
    lab.request(rollout).await.expect("people are asked")
}

async fn becomes(lab: &Lab, rollout: RolloutId, word: &str) {
    let what = format!("the rollout is {word}");
    tests::eventually(&what, async || lab.state(rollout).await.word() == word).await;
}

/// Gives the password once more where the page asks for it.
async fn steps_up(browser: &Browser, name: &str) {
    browser.click("Confirm it is you").await;
    browser.fill(&format!("Password of {name}"), PASSWORD).await;
    browser.click("Confirm").await;
}

/// Leaves, and someone else comes.
async fn hands_over(lab: &Lab, browser: &Browser, to: PersonId) {
    browser.click("Sign out").await;
    browser.arrives("/sign-in").await;
    lab.sign_in(browser, to).await;
}

/// Submits a draft, sees what is asked, and has nothing to press.
async fn author_submits(lab: &Lab, browser: &Browser, rollout: RolloutId) -> Request {
    let page = format!("/rollouts/{rollout}");
    lab.sign_in(browser, lab.people.operator).await;
    browser.click(KB).await;
    browser.arrives(&page).await;
    browser.click("Start").await;
    browser.arrives(&format!("{page}/submit")).await;
    browser.click("Start 1 rollout").await;
    browser.arrives(&page).await;
    let request = asked(lab, rollout).await;
    browser.open(&page).await;
    browser.click("Review request").await;
    browser
        .arrives(&format!("/approvals/{}", request.id.0))
        .await;
    assert_eq!(
        browser.heading().await,
        format!("Open broad for {KB}? Awaiting approval")
    );
    browser
        .reads("Four eyes: you wrote this rollout, so another approver of the track has to.")
        .await;
    browser.click("Approve").await;
    assert!(lab.request(rollout).await.unwrap().approvals.is_empty());
    assert!(!browser.offers("Reject").await);
    request
}

/// Reads, gives the password, and clicks when somebody has stopped it: a page says what is so now.
async fn clicks_too_late(lab: &Lab, browser: &Browser, rollout: RolloutId, request: &Request) {
    let page = format!("/approvals/{}", request.id.0);
    lab.sign_in(browser, lab.people.anna).await;
    lab.lapse().await;
    browser.click("Approvals").await;
    browser.click(&format!("Open broad for {KB}")).await;
    browser.arrives(&page).await;
    assert!(!browser.offers("Approve").await, "the password comes first");
    steps_up(browser, "Anna Novak").await;
    browser.arrives(&page).await;
    let (by, reason) = (lab.people.admin, "not today".to_owned());
    lab.apply(rollout, Input::Pause { by, reason })
        .await
        .unwrap();
    let before = lab.digests().await;
    browser.click("Approve").await;
    browser.reads("It changed since you looked").await;
    browser
        .reads("Void. The rollout was stopped. It is asked again if the rollout goes on.")
        .await;
    browser.reads("Nothing was changed.").await;
    assert_eq!(lab.digests().await, before);
    assert_eq!(lab.state(rollout).await.word(), "paused");
}

/// Halts, and takes the KB back for good, with the password once more.
async fn halts_and_withdraws(lab: &Lab, browser: &Browser, rollout: RolloutId) {
    let page = format!("/rollouts/{rollout}");
    browser.click(KB).await;
    browser.arrives(&page).await;
    browser.click("Halt…").await;
    browser.fill("Reason", "two machines do not start").await;
    browser.click("Halt 1 rollout").await;
    browser.arrives(&page).await;
    becomes(lab, rollout, "halted").await;
    browser.open(&page).await;
    browser.reads("two machines do not start").await;
    lab.lapse().await;
    browser.click("More").await;
    browser.click("Withdraw the KB on all tracks…").await;
    browser.reads("It can not be taken back.").await;
    assert!(!browser.offers("Withdraw 1 sequence").await);
    steps_up(browser, "Ada Admin").await;
    browser.reads(&format!("Withdraw {KB}?")).await;
    browser.fill("Reason", "Microsoft has pulled it").await;
    browser.click("Withdraw 1 sequence").await;
    browser.reads("Withdrawn by Ada Admin").await;
    browser.reads("Microsoft has pulled it").await;
    becomes(lab, rollout, "withdrawn").await;
}

/// From a draft to a withdrawal.
async fn four_eyes(author: &Browser, approver: &Browser, lab: &Lab) {
    lab.ring("broad", 2).await;
    let rollout = lab.draft_with(KB, asks_one).await;
    let first = author_submits(lab, author, rollout).await;
    clicks_too_late(lab, approver, rollout, &first).await;
    let (by, reason) = (lab.people.admin, "today after all".to_owned());
    lab.apply(rollout, Input::Resume { by, reason })
        .await
        .unwrap();
    lab.tick(rollout).await;
    let second = asked(lab, rollout).await;
    assert_ne!(second.id, first.id);
    approver.click("To the overview").await;
    approver.click("Approvals").await;
    approver.click(&format!("Open broad for {KB}")).await;
    approver
        .arrives(&format!("/approvals/{}", second.id.0))
        .await;
    approver.reads("Your approval opens broad.").await;
    approver.click("Approve").await;
    approver
        .reads("Approved by Anna Novak. broad opened.")
        .await;
    hands_over(lab, approver, lab.people.admin).await;
    halts_and_withdraws(lab, approver, rollout).await;
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_draft_to_a_withdrawal_by_clicking() {
    let lab = Lab::start().await;
    let (author, approver) = (Browser::of(&lab).await, Browser::of(&lab).await);
    four_eyes(&author, &approver, &lab).await;
    assert!(approver.runs_script().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_draft_to_a_withdrawal_without_script() {
    let lab = Lab::start().await;
    let author = Browser::without_script(&lab).await;
    let approver = Browser::without_script(&lab).await;
    four_eyes(&author, &approver, &lab).await;
    assert!(!approver.runs_script().await);
}

/// A no takes a reason; everybody who comes to the request or the rollout then reads who said it and why.
async fn rejects(lab: &Lab, browser: &Browser) {
    lab.ring("broad", 2).await;
    let rollout = lab.rollout_with(KB, asks_one).await;
    let page = format!("/approvals/{}", asked(lab, rollout).await.id.0);
    lab.sign_in(browser, lab.people.mary).await;
    browser.open(&page).await;
    browser.click("Reject").await;
    browser.reads("Expected").await;
    assert!(lab.request(rollout).await.is_some());
    browser.fill("Reason", "the VPN fails on 840 G9").await;
    browser.click("Reject").await;
    browser.arrives(&page).await;
    becomes(lab, rollout, "paused").await;
    hands_over(lab, browser, lab.people.operator).await;
    browser.open(&page).await;
    browser
        .reads("Rejected by Mary Osei: the VPN fails on 840 G9. The rollout was paused; it asks again once someone resumes it.")
        .await;
    browser.reads("Nobody approved it.").await;
    assert!(!browser.offers("Approve").await && !browser.offers("Reject").await);
    browser.click("Open the rollout").await;
    browser.reads("Paused").await;
    browser.reads("the VPN fails on 840 G9").await;
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_request_says_who_and_why() {
    let lab = Lab::start().await;
    rejects(&lab, &Browser::of(&lab).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_request_says_who_and_why_without_script() {
    let lab = Lab::start().await;
    rejects(&lab, &Browser::without_script(&lab).await).await;
}

/// An admin asks to pass a gate that does not hold; another person says yes after having seen what does not.
async fn overrides(lab: &Lab, browser: &Browser) {
    lab.ring("pilot", 2).await;
    lab.ring("broad", 2).await;
    let rollout = lab.rollout(KB).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "deploying");
    lab.sign_in(browser, lab.people.admin).await;
    browser.open(&format!("/rollouts/{rollout}")).await;
    browser.click("More").await;
    browser.click("Override the gate…").await;
    browser.fill("Reason", "both are in repair").await;
    browser.click("Ask for an override").await;
    let request = asked(lab, rollout).await;
    let page = format!("/approvals/{}", request.id.0);
    browser.open(&page).await;
    browser
        .reads("Four eyes: you asked for this, so another approver of the track has to.")
        .await;
    hands_over(lab, browser, lab.people.anna).await;
    browser.click("Approvals").await;
    browser
        .click(&format!("Override the gate of pilot for {KB}"))
        .await;
    browser.arrives(&page).await;
    browser.reads("both are in repair").await;
    browser.click("Approve").await;
    browser
        .reads("Expected a tick: say that you have seen it.")
        .await;
    // What was ticked stays so, and the others are asked for once more.
    for line in UNHELD {
        assert!(lab.request(rollout).await.is_some(), "{line} is not seen");
        browser.tick(&format!("I have seen that {line} is")).await;
        browser.click("Approve").await;
    }
    browser.arrives(&page).await;
    browser
        .reads("Approved by Anna Novak. The gate of pilot passed by override.")
        .await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "broad").await, "deploying");
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_takes_another_person_who_has_seen_what_does_not_hold() {
    let lab = Lab::start().await;
    overrides(&lab, &Browser::of(&lab).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_takes_another_person_also_without_script() {
    let lab = Lab::start().await;
    overrides(&lab, &Browser::without_script(&lab).await).await;
}

async fn expedites(lab: &Lab, browser: &Browser) {
    lab.ring("pilot", 2).await;
    lab.ring("broad", 2).await;
    let policy = |ring: &str| StagePolicy {
        soak_hours: 72,
        approvals: if ring == "broad" { 2 } else { 0 },
        ..Lab::policy()
    };
    let rollout = lab.rollout_with(KB, policy).await;
    lab.sign_in(browser, lab.people.operator).await;
    let here = format!("/rollouts/{rollout}");
    browser.open(&here).await;
    browser.click("More").await;
    browser.click("Expedite…").await;
    browser.fill("Reason", "it is exploited").await;
    browser.click("Ask to expedite 1 rollout").await;
    browser.arrives(&here).await;
    let request = asked(lab, rollout).await;
    let page = format!("/approvals/{}", request.id.0);
    for (by, says) in [
        (lab.people.anna, "after yours 1 approval more is needed"),
        (lab.people.mary, "your approval expedites it at once"),
    ] {
        hands_over(lab, browser, by).await;
        browser.click("Approvals").await;
        browser
            .click(&format!("Expedite pilot and what follows for {KB}"))
            .await;
        browser.arrives(&page).await;
        browser.reads("4 h (now 72 h)").await;
        browser.reads(says).await;
        std::fs::write(
            "/tmp/s/shot-expedite.png",
            browser.picture(1280, 1400).await,
        )
        .unwrap();
        browser.click("Approve").await;
        browser.arrives(&page).await;
    }
    browser
        .reads("What was left of the rollout was expedited.")
        .await;
    browser.open(&here).await;
    browser.click("expedited").await;
    browser.arrives(&page).await;
    assert_eq!(lab.stage(rollout, "broad").await.policy.approvals, 0);
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expediting_takes_two_more_people() {
    let lab = Lab::start().await;
    expedites(&lab, &Browser::of(&lab).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expediting_takes_two_more_people_also_without_script() {
    let lab = Lab::start().await;
    expedites(&lab, &Browser::without_script(&lab).await).await;
}
