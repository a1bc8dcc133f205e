//! What remains to be done.

use serde_json::json;
use servicing::{Ledger, Method, NotApplicable, PackageState, Planned, plan};

use crate::lab::{
    build, device, feature, kb, known, ledger, long_sequence, sequence, shown, steps,
};

#[test]
fn a_checkpoint_at_or_below_the_ubr_is_satisfied_even_when_not_listed() {
    let oob = known("KB5086672");
    for at in ["26100.1742", "26100.1743", "26100.8037"] {
        let plan = steps(&oob, &device(at), &Ledger::default());
        assert_eq!(shown(&plan), "1. KB5086672, restart\n-> 26100.8117", "{at}");
    }
}

#[test]
fn a_device_below_the_checkpoint_gets_it_first() {
    let plan = steps(
        &known("KB5086672"),
        &device("26100.1150"),
        &Ledger::default(),
    );
    insta::assert_snapshot!(shown(&plan), @r"
    1. KB5043080
    2. KB5086672, restart
    -> 26100.8117
    ");
    assert!(
        plan.steps[0].may_restart(),
        "if the package's state waits for one"
    );
}

#[test]
fn only_the_checkpoints_above_the_ubr_remain() {
    let plan = steps(
        &long_sequence("one_by_one"),
        &device("26200.2000"),
        &Ledger::default(),
    );
    insta::assert_snapshot!(shown(&plan), @r"
    1. KB5050000
    2. KB5086672, restart
    -> 26200.8117
    ");
}

#[test]
fn together_is_one_transaction_with_the_target_last() {
    let plan = steps(
        &long_sequence("together"),
        &device("26100.1"),
        &Ledger::default(),
    );
    insta::assert_snapshot!(shown(&plan), @r"
    1. KB5043080 + KB5050000 + KB5086672, restart
    -> 26100.8117
    ");
    assert_eq!(plan.steps[0].method, Method::Together);
}

#[test]
fn a_25h2_device_ends_on_25h2() {
    let plan = steps(
        &known("KB5086672"),
        &device("26200.8037"),
        &Ledger::default(),
    );
    assert_eq!(plan.target, build("26200.8117"));
}

#[test]
fn the_out_of_band_fix_never_requires_the_withdrawn_preview() {
    let plan = steps(
        &known("KB5086672"),
        &device("26100.8037"),
        &Ledger::default(),
    );
    assert!(plan.packages().all(|package| package.kb != kb("KB5079391")));
}

#[test]
fn a_device_at_the_target_is_complete_whatever_its_ledger_lists() {
    let oob = known("KB5086672");
    assert_eq!(
        plan(&oob, &device("26100.8117"), &Ledger::default()),
        Planned::Complete
    );
    let restarting = servicing::Facts {
        restart_pending: true,
        ..device("26200.8117")
    };
    assert_eq!(
        plan(&oob, &restarting, &Ledger::default()),
        Planned::Complete
    );
}

#[test]
fn a_device_above_the_target_is_ahead_and_never_taken_back() {
    assert_eq!(
        plan(
            &known("KB5086672"),
            &device("26200.8246"),
            &Ledger::default()
        ),
        Planned::Ahead
    );
}

#[test]
fn a_target_listed_as_installed_below_its_build_is_not_done() {
    let claims = ledger(&[("KB5086672", Some("26100.8117"), PackageState::Installed)]);
    let plan = steps(&known("KB5086672"), &device("26100.8037"), &claims);
    assert_eq!(shown(&plan), "1. KB5086672, restart\n-> 26100.8117");
}

#[test]
fn staged_and_partially_installed_packages_are_still_to_be_installed() {
    for state in [PackageState::Staged, PackageState::PartiallyInstalled] {
        let begun = ledger(&[("KB5086672", Some("26100.8117"), state)]);
        assert_eq!(
            steps(&known("KB5086672"), &device("26100.8037"), &begun)
                .steps
                .len(),
            1
        );
    }
}

#[test]
fn a_servicing_stack_without_a_build_is_satisfied_by_the_ledger_only() {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5088064", "role": "ssu"},
        {"ordinal": 2, "kb": "KB5087537", "role": "lcu"},
    ]);
    let update = sequence("security", Some(9000), &packages, |_| ());
    let plan = steps(&update, &device("26100.8037"), &Ledger::default());
    assert_eq!(
        shown(&plan),
        "1. KB5088064\n2. KB5087537, restart\n-> 26100.9000"
    );
    let there = ledger(&[("KB5088064", None, PackageState::Installed)]);
    assert_eq!(
        shown(&steps(&update, &device("26100.8037"), &there)),
        "1. KB5087537, restart\n-> 26100.9000"
    );
}

#[test]
fn a_servicing_stack_with_a_build_at_or_below_the_ubr_is_satisfied() {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5088064", "role": "ssu", "build": "26100.8000"},
        {"ordinal": 2, "kb": "KB5087537", "role": "lcu", "build": "26100.9000"},
    ]);
    let update = sequence("security", Some(9000), &packages, |_| ());
    assert_eq!(
        steps(&update, &device("26100.8000"), &Ledger::default())
            .steps
            .len(),
        1
    );
    assert_eq!(
        steps(&update, &device("26100.7999"), &Ledger::default())
            .steps
            .len(),
        2
    );
}

#[test]
fn dynamic_updates_are_for_images_and_never_a_step_on_a_running_device() {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5077180", "role": "safeos_du", "build": "26100.7817"},
        {"ordinal": 2, "kb": "KB5077185", "role": "setup_du"},
        {"ordinal": 3, "kb": "KB5077181", "role": "lcu", "build": "26100.7840"},
    ]);
    let update = sequence("security", Some(7840), &packages, |_| ());
    assert_eq!(
        shown(&steps(&update, &device("26100.1742"), &Ledger::default())),
        "1. KB5077181, restart\n-> 26100.7840"
    );
}

#[test]
fn an_enablement_package_leads_to_the_next_base_build() {
    let plan = steps(&feature(), &device("26100.6584"), &Ledger::default());
    assert_eq!(
        shown(&plan),
        "1. KB5066835, restart\n2. KB5054156, restart\n-> 26200.6899"
    );
}

#[test]
fn an_enablement_package_keeps_a_ubr_that_is_higher_already() {
    let plan = steps(&feature(), &device("26100.8037"), &Ledger::default());
    assert_eq!(shown(&plan), "1. KB5054156, restart\n-> 26200.8037");
}

#[test]
fn a_25h2_device_below_the_feature_gets_its_cumulative_update_and_no_enablement_package() {
    let plan = steps(&feature(), &device("26200.6584"), &Ledger::default());
    assert_eq!(shown(&plan), "1. KB5066835, restart\n-> 26200.6899");
}

#[test]
fn a_device_that_turned_25h2_is_done_with_the_feature_and_not_inapplicable() {
    assert_eq!(
        plan(&feature(), &device("26200.6899"), &Ledger::default()),
        Planned::Complete
    );
    assert_eq!(
        plan(&feature(), &device("26200.8037"), &Ledger::default()),
        Planned::Ahead
    );
}

#[test]
fn a_dotnet_update_sets_no_build_and_is_judged_by_the_ledger() {
    let packages = json!([{"ordinal": 1, "kb": "KB5077777", "role": "dotnet"}]);
    let update = sequence("dotnet", None, &packages, |_| ());
    let plan_now = steps(&update, &device("26100.8037"), &Ledger::default());
    assert_eq!(shown(&plan_now), "1. KB5077777\n-> 26100.8037");
    let there = ledger(&[("KB5077777", None, PackageState::Superseded)]);
    assert_eq!(
        plan(&update, &device("26100.8037"), &there),
        Planned::Complete
    );
}

#[test]
fn an_oobe_update_is_observed_and_never_planned() {
    let planned = plan(
        &known("KB5077868"),
        &device("28000.1575"),
        &Ledger::default(),
    );
    assert_eq!(planned, Planned::NotApplicable(NotApplicable::ObservedOnly));
}

#[test]
fn a_25h2_device_that_is_ahead_of_the_feature_ends_where_the_feature_does() {
    let variant = &feature().variants[0];
    let target = |at: &str| variant.target_for(build(at)).map(|b| b.to_string());
    assert_eq!(target("26100.8037").as_deref(), Some("26200.8037"));
    assert_eq!(target("26200.8037").as_deref(), Some("26200.6899"));
}

#[test]
fn a_hotpatch_step_never_restarts_and_every_other_may() {
    let step = |restart: &str| {
        let packages = json!([{"ordinal": 1, "kb": "KB5084597", "role": "lcu", "build": "26100.7982", "restart": restart}]);
        let update = sequence("hotpatch", Some(7982), &packages, |value| {
            value["variants"][0]["series"] = json!("hotpatch");
        });
        let facts = servicing::Facts {
            series: servicing::Series::Hotpatch,
            ..device("26100.7979")
        };
        steps(&update, &facts, &Ledger::default()).steps[0].may_restart()
    };
    assert!(!step("never"));
    assert!(step("if_asked") && step("always"));
}
