//! Servers that are away, busy, forgetful or in doubt.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use agent::core::{Reply, Status};
use agent_protocol::{EnrolStatus, EventKind, Order, Problem};
use chrono::TimeDelta;
use support::Rig;
use support::rig::CALM;
use support::server::json;

fn status(status: u16, retry_after_s: Option<u64>) -> Reply {
    Reply {
        status,
        retry_after_s,
        ..Reply::default()
    }
}

const KINDS: [&str; 8] = [
    "nonce",
    "enrol",
    "token",
    "poll",
    "permit",
    "inventory",
    "events",
    "manifest",
];

#[test]
fn every_call_survives_every_sort_of_trouble() {
    for kind in KINDS {
        for code in [0, 200, 400, 401, 403, 404, 408, 409, 413, 429, 500, 503] {
            let mut rig = Rig::new();
            rig.server.trouble.insert(kind, (3, status(code, None)));
            rig.until_status(Status::Succeeded).until_delivered();
            rig.check();
        }
    }
}

#[test]
fn a_server_that_says_when_is_not_asked_earlier() {
    let mut rig = Rig::new();
    rig.server
        .trouble
        .insert("poll", (1, status(503, Some(1800))));
    rig.until(|rig| rig.server.calls.get("poll") == Some(&2));
    let waited = rig.now - rig.born;
    assert!(
        waited >= TimeDelta::seconds(1800) && waited <= TimeDelta::seconds(1806),
        "{waited}"
    );
}

#[test]
fn a_server_that_is_away_for_a_day_is_asked_ever_more_rarely() {
    let mut rig = Rig::new();
    for kind in KINDS {
        rig.server.trouble.insert(kind, (u32::MAX, status(0, None)));
    }
    rig.for_hours(24);
    let calls: u32 = rig.server.calls.values().sum();
    assert!((24..=200).contains(&calls), "{calls}");
    rig.server.trouble.clear();
    rig.until_status(Status::Succeeded)
        .until_delivered()
        .check();
}

#[test]
fn polls_keep_to_what_the_server_says() {
    let mut rig = Rig::new();
    rig.server.forced = Some(Order::Nothing);
    rig.for_hours(24);
    let polls = rig.server.calls["poll"];
    assert!((287..=290).contains(&polls), "{polls} polls at 300 s a day");
    assert_eq!(
        rig.server.calls["token"], 3,
        "12 h each, renewed a little earlier"
    );
    assert_eq!(rig.server.calls.get("events"), None);
    assert_eq!(rig.server.calls.get("inventory"), None);
}

#[test]
fn a_short_lived_token_is_not_renewed_without_end() {
    let mut rig = Rig::new();
    rig.server.token_life_s = 30;
    rig.server.forced = Some(Order::Nothing);
    rig.for_hours(2);
    assert!(rig.server.calls["token"] <= rig.server.calls["poll"] + 1);
}

#[test]
fn a_token_that_is_refused_is_replaced_at_once_and_then_with_patience() {
    let mut rig = Rig::new();
    rig.server.forced = Some(Order::Nothing);
    rig.for_hours(1);
    let (tokens, polls) = (rig.server.calls["token"], rig.server.calls["poll"]);
    rig.server.trouble.insert("poll", (1, status(401, None)));
    rig.until(|rig| rig.server.calls["poll"] == polls + 2);
    assert_eq!(rig.server.calls["token"], tokens + 1);
    rig.server
        .trouble
        .insert("poll", (u32::MAX, status(401, None)));
    rig.for_hours(10);
    assert!(
        rig.server.calls["token"] < tokens + 60,
        "{:?}",
        rig.server.calls
    );
}

#[test]
fn a_device_that_waits_for_approval_asks_patiently() {
    let mut rig = Rig::new();
    rig.server.status = EnrolStatus::AwaitingApproval;
    rig.for_hours(10);
    assert_eq!(rig.core.status(), Status::AwaitingApproval);
    assert_eq!(rig.server.calls["enrol"], 1);
    assert!(rig.server.calls["token"] < 60);
    rig.server.status = EnrolStatus::Admitted;
    rig.until_status(Status::Succeeded);
}

#[test]
fn a_clock_that_is_wrong_by_years_changes_nothing() {
    let fault =
        "[[faults]]\nname = \"clock\"\nrate = 1\neffect = { wrong_clock = { max_days = 4000 } }";
    let mut rig = Rig::with(&format!("{CALM}\n{fault}"), |_| {});
    rig.until_status(Status::Succeeded)
        .until_delivered()
        .check();
    assert!(
        (rig.committed[0].at - rig.now).abs() > TimeDelta::days(30),
        "the clock is wrong in this test"
    );
    let powered = rig.committed.iter().map(|event| event.powered_s);
    assert!(powered.is_sorted());
}

#[test]
fn a_gap_is_filled_from_what_the_server_has() {
    let mut rig = Rig::new();
    rig.until_noted(|kind| matches!(kind, EventKind::RestartAgreed { .. }))
        .until_delivered();
    // The server was restored from a backup that lacks the newest events the device has dropped already.
    let server = rig.server.only_mut();
    server.acked -= 1;
    server.log.pop();
    rig.until_status(Status::Succeeded).until_delivered();
    let device = rig.server.only();
    assert_eq!(device.epoch, 2, "what can not be filled starts a new epoch");
    assert_eq!(device.log.last().unwrap().seq, device.acked);
}

#[test]
fn an_answer_that_was_lost_is_made_good_by_sending_again() {
    let mut rig = Rig::new();
    rig.until(|rig| rig.server.calls.contains_key("poll"));
    rig.server.trouble.insert("events", (2, status(0, None)));
    rig.until_status(Status::Succeeded)
        .until_delivered()
        .check();
}

#[test]
fn a_spool_that_was_lost_starts_a_new_epoch_and_says_nothing_under_old_numbers() {
    let mut rig = Rig::new();
    rig.until_status(Status::RestartAgreed).until_delivered();
    let known = rig.server.only().log.len();
    rig.spool.lose_events();
    rig.restart_agent();
    rig.until_status(Status::Succeeded).until_delivered();
    let device = rig.server.only();
    assert_eq!(device.epoch, 2);
    let seqs: Vec<u64> = device.log[known..].iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(device.log.len(), rig.committed.len());
}

#[test]
fn a_clone_falls_silent_until_a_person_has_looked() {
    let mut rig = Rig::new();
    rig.until(|rig| rig.server.calls.contains_key("poll"));
    let problem = Problem {
        kind: "/problems/clone".to_owned(),
        title: "clone".to_owned(),
        status: 409,
        detail: None,
        fields: Vec::new(),
        epoch: Some(1),
        acked: Some(0),
    };
    rig.server
        .trouble
        .insert("events", (1, json(409, &problem)));
    rig.until_status(Status::Clone);
    let calls: u32 = rig.server.calls.values().sum();
    assert_eq!(rig.core.next_wake(), None);
    rig.feed(Some(agent::core::Input::Wake));
    assert_eq!(rig.server.calls.values().sum::<u32>(), calls);
    assert!(
        !agent::spool::Spool::load(&rig.spool)
            .unwrap()
            .events
            .is_empty(),
        "what was noted is kept"
    );
}

#[test]
fn an_enrolment_that_is_refused_is_tried_again_patiently() {
    let mut rig = Rig::new();
    rig.server
        .trouble
        .insert("enrol", (u32::MAX, status(403, None)));
    rig.for_hours(10);
    assert_eq!(rig.core.status(), Status::Enrolling);
    assert!(rig.server.calls["enrol"] < 60);
    rig.server.trouble.clear();
    rig.until_status(Status::Succeeded);
}

#[test]
fn an_inventory_goes_to_the_server_when_it_holds_another_one() {
    let mut rig = Rig::new();
    rig.server.forced = Some(Order::Nothing);
    rig.for_hours(1);
    rig.server.only_mut().inventory.host_name = "OTHER".to_owned();
    rig.for_hours(1);
    assert_eq!(rig.server.calls["inventory"], 1);
    assert_eq!(rig.server.only().inventory.host_name, "PC-00001");
}
