//! The guide is true: this walks it in a browser, from an empty installation to a rollout that goes on. With
//! `RINGFENCE_TEST_PICTURES=1` it takes the guide's pictures anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use server::auth;
use server::publisher::{self, ToSign};
use tests::browser::Browser;
use tests::{Lab, PASSWORD};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Keeps a picture, where that is asked for.
async fn picture(browser: &Browser, name: &str) {
    if std::env::var_os("RINGFENCE_TEST_PICTURES").is_none() {
        return;
    }
    let png = browser.picture(1280, 1100).await;
    let file = docs().join(format!("images/guide-{name}.png"));
    std::fs::write(file, png).unwrap();
}

/// Chooses a password by a link.
async fn welcome(browser: &Browser, link: &str) {
    let path = link.find("/welcome/").map(|at| &link[at..]).unwrap();
    browser.open(path).await;
    browser.reads("Choose a password").await;
}

async fn choose_password(browser: &Browser) {
    browser.fill("Password", PASSWORD).await;
    browser.fill("The same once more", PASSWORD).await;
    browser.click("Choose this password").await;
    browser.arrives("/overview").await;
}

async fn comes_in(lab: &Lab, browser: &Browser) {
    let pool = &lab.database.pool;
    let admin = auth::first_admin(pool, &*lab.clock, "admin").await.unwrap();
    let (link, _) = auth::make_link(pool, admin, None, lab.clock.now())
        .await
        .unwrap();
    welcome(browser, &format!("/welcome/{}", link.show())).await;
    picture(browser, "welcome").await;
    choose_password(browser).await;
    browser.reads("five steps").await;
    picture(browser, "first-steps").await;
}

async fn makes_a_track(browser: &Browser) {
    browser.open("/tracks").await;
    browser.click("Add the first track").await;
    browser.fill("Name", "Production").await;
    browser.fill("Time zone", "Europe/Berlin").await;
    browser.click("Add the track").await;
    browser.reads("Rings of Production").await;
    browser.fill("Query", "tag:pilot").await;
    browser.fill("Share, %", "").await;
    browser.click("Preview").await;
    browser.reads("What this would do").await;
    picture(browser, "rings").await;
    browser.click("Save as a new revision").await;
    browser.reads("Edit rings").await;
}

/// Adds someone; returns their link.
async fn invites(browser: &Browser, name: &str, role: &str) -> String {
    browser.open("/people").await;
    browser.click("Add a person").await;
    browser.fill("Name", name).await;
    browser.tick(&format!("{role} on all tracks")).await;
    browser.click("Add and make a link").await;
    browser.reads("This is shown once.").await;
    browser.text_of("secret").await
}

async fn enrols(lab: &Lab, browser: &Browser) {
    browser.open("/enrolment-tokens").await;
    browser.click("Make a token").await;
    browser.choose("Track", "Production").await;
    browser.fill("How many devices", "40").await;
    browser.fill("Good for so many hours", "24").await;
    browser.click("Make the token").await;
    browser.reads("This is shown once.").await;
    let token = browser.text_of("secret").await;
    for tag in [
        "test", "test", "pilot", "pilot", "pilot", "x", "x", "x", "x",
    ] {
        let device = lab.enrol_with(&token, lab.machine(tag)).await;
        device.sign_in().await;
    }
    browser.open("/devices").await;
    browser.reads("9 devices").await;
    picture(browser, "devices").await;
}

/// Key, sequence and manifest, as the publisher's commands make them.
async fn publishes(lab: &Lab, browser: &Browser) {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("publisher.pem");
    let (public, id) = publisher::make_key(&key).unwrap();
    let content = lab.directory().join("content");
    let sequence = publisher::synthetic("KB5086672", &content).unwrap();
    let text = serde_json::to_string(&sequence).unwrap();
    let file = directory.path().join("KB5086672.json");
    std::fs::write(&file, &text).unwrap();
    let what = ToSign {
        key,
        counter: 1,
        revision: 1,
        valid_days: 180,
        sequence: file,
    };
    let manifest = publisher::sign(&what, lab.clock.now()).unwrap();

    browser.open("/sequences").await;
    browser.click("Publisher keys").await;
    browser.fill("Public key", &public).await;
    browser.click("Add the key").await;
    browser.reads(&id).await;
    browser.open("/sequences/new").await;
    browser.fill("The sequence as JSON", &text).await;
    browser.click("Validate").await;
    browser.reads("KB5086672").await;
    browser.click("Save draft").await;
    browser.reads("Draft").await;
    browser.click("Publish…").await;
    let manifest = serde_json::to_string(&manifest).unwrap();
    browser.fill("Signed manifest", &manifest).await;
    browser.click("Publish 1 sequence").await;
    browser.reads("Published").await;
    picture(browser, "sequence").await;
}

async fn starts_a_rollout(browser: &Browser) {
    browser.open("/rollouts").await;
    browser.click("New rollout").await;
    browser.choose("KB sequence", "KB5086672").await;
    browser.choose("Track", "Production").await;
    browser.click("Update the preview").await;
    browser.reads("KB5086672 goes to").await;
    browser.fill("Approvals of Pilot", "1").await;
    browser.click("Update the preview").await;
    browser.reads("1 ring differs from it").await;
    picture(browser, "new-rollout").await;
    browser.click("Save draft").await;
    browser.reads("Draft").await;
    browser.click("Start").await;
    browser.click("Start 1 rollout").await;
    browser.reads("Awaiting approval").await;
}

async fn approves(browser: &Browser) {
    browser.open("/approvals").await;
    browser.click("Open").await;
    browser.reads("What will happen").await;
    picture(browser, "approval").await;
    browser.click("Approve").await;
    browser.reads("Approved").await;
    browser.open("/rollouts").await;
    browser.click("KB5086672").await;
    browser.reads("Deploying").await;
    picture(browser, "rollout").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_installation_to_the_first_rollout() {
    let lab = Lab::empty().await;
    let admin = Browser::of(&lab).await;
    comes_in(&lab, &admin).await;
    makes_a_track(&admin).await;
    let operator = invites(&admin, "Kai Fischer", "Operator").await;
    picture(&admin, "link").await;
    let approver = invites(&admin, "Anna Novak", "Approver").await;
    publishes(&lab, &admin).await;
    enrols(&lab, &admin).await;
    admin.click("Sign out").await;
    admin.arrives("/sign-in").await;

    welcome(&admin, &operator).await;
    choose_password(&admin).await;
    starts_a_rollout(&admin).await;
    admin.click("Sign out").await;
    admin.arrives("/sign-in").await;

    welcome(&admin, &approver).await;
    choose_password(&admin).await;
    approves(&admin).await;
    assert_eq!(admin.complaints().await, Vec::<String>::new());
}

#[test]
fn every_picture_of_the_documents_is_there_and_none_is_left_over() {
    let mut named = BTreeSet::new();
    for file in ["docs/guide.md", "README.md"] {
        let text = std::fs::read_to_string(docs().join("..").join(file)).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if let Some((_, name)) = target.split_once("images/") {
                named.insert(name.to_owned());
            }
        }
    }
    let there: BTreeSet<String> = std::fs::read_dir(docs().join("images"))
        .unwrap()
        .map(|f| f.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(named, there);
}
