//! Small rules that other crates rest on, each shown by a mutation that nothing in this crate noticed.

use engine::admission::Freeze;
use engine::approval::request_id;
use engine::assignment::Deadlines;
use engine::evidence::Delta;
use engine::halt::HaltPolicy;
use engine::ids::{CohortId, RolloutId, StageId};
use engine::policy::{MOST_TRIES, Percent, Preset, StagePolicy, preset};
use engine::remediation::{Repair, tries_word};
use engine::stage::StageState;
use serde_json::json;
use uuid::{Uuid, Variant};

use crate::lab::at;

#[test]
fn a_requests_id_is_a_uuid_made_of_what_it_is_about() {
    let id = request_id(
        RolloutId(Uuid::from_u128(1)),
        StageId(Uuid::from_u128(2)),
        3,
    );
    assert_eq!(id.0.get_version_num(), 8);
    assert_eq!(id.0.get_variant(), Variant::RFC4122);
    insta::assert_snapshot!(id);
}

#[test]
fn a_report_that_changed_nothing_is_no_change_of_counters() {
    assert!(Delta::default().is_zero());
    let one = Delta {
        silent: 1,
        ..Delta::default()
    };
    assert!(!one.is_zero());
}

#[test]
fn what_was_learned_is_what_devices_are_judged_by() {
    let usual = HaltPolicy::default();
    assert!(usual.is_default());
    assert_eq!(usual.deadlines(), Deadlines::default());
    let learned = HaltPolicy {
        overdue_after_s: Some(7200),
        ..HaltPolicy::default()
    };
    assert!(!learned.is_default());
    let expected = Deadlines {
        overdue_s: 7200,
        ..Deadlines::default()
    };
    assert_eq!(learned.deadlines(), expected);
}

#[test]
fn what_is_no_number_of_a_cohort_is_said_so() {
    let error = serde_json::from_value::<CohortId>(json!(true)).unwrap_err();
    assert!(error.to_string().contains("a cohort number"), "{error}");
    assert_eq!(
        serde_json::from_value::<CohortId>(json!("7")).unwrap(),
        CohortId(7)
    );
}

#[test]
fn a_share_of_devices_is_not_one_more_by_an_error_of_rounding() {
    // 1.1 * 3000 / 100 is 33.00000000000001.
    assert_eq!(Percent(1.1).of(3000), 33);
    assert_eq!(Percent(1.1).of(3001), 34);
    assert_eq!(Percent(0.0).of(3000), 0);
}

#[test]
fn a_policy_from_before_there_were_repairs_allows_as_many_as_there_are() {
    let policy = preset(Preset::Standard, 1, 4, chrono_tz::Tz::UTC);
    let mut json = serde_json::to_value(policy).unwrap();
    json.as_object_mut().unwrap().remove("tries");
    let read: StagePolicy = serde_json::from_value(json).unwrap();
    assert_eq!(read.tries, MOST_TRIES);
    assert_eq!(MOST_TRIES, 2);
}

#[test]
fn repairs_and_tries_are_said_in_words() {
    let words = [
        Repair::RestoreHealth.what().to_owned(),
        Repair::RestoreHealthFromSource.what().to_owned(),
        Repair::ClearDownloads.what().to_owned(),
        Repair::FreeDiskSpace.what().to_owned(),
        tries_word(0),
        tries_word(1),
        tries_word(2),
    ];
    insta::assert_snapshot!(words.join("\n"));
}

#[test]
fn the_word_of_a_stages_state_is_that_of_its_json() {
    let since = at("2026-04-07T08:00:00Z");
    for state in [
        StageState::Waiting,
        StageState::Deploying { since },
        StageState::Soaking {
            since,
            reread_at: None,
        },
        StageState::Passed {
            at: since,
            overridden: false,
        },
    ] {
        assert_eq!(serde_json::to_value(&state).unwrap()["state"], state.word());
    }
}

#[test]
fn a_freeze_says_until_when_and_why() {
    let freeze = Freeze {
        until: at("2027-01-04T07:00:00Z"),
        zone: chrono_tz::Europe::Berlin,
        reason: "end of the year".to_owned(),
    };
    assert_eq!(
        freeze.sentence(),
        "Change freeze until Mon 4 Jan 08:00 CET: end of the year."
    );
}
