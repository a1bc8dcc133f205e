//! What a ledger says about how a device got where it is.

use serde_json::json;
use servicing::{Facts, Ledger, LedgerClass, PackageState, Product, Series, classify};

use crate::lab::{device, entry, kb, known, ledger, long_sequence, sequence};

use PackageState::{
    InstallPending, Installed, PartiallyInstalled, Staged, Superseded, UninstallPending,
};

const CHECKPOINT: (&str, Option<&str>) = ("KB5043080", Some("26100.1742"));
const SECOND: (&str, Option<&str>) = ("KB5050000", Some("26100.4000"));
const TARGET: (&str, Option<&str>) = ("KB5086672", Some("26100.8117"));

fn class(at: &str, entries: &[((&str, Option<&str>), PackageState)]) -> LedgerClass {
    let entries: Vec<_> = entries
        .iter()
        .map(|((number, at), state)| (*number, *at, *state))
        .collect();
    classify(
        &long_sequence("one_by_one"),
        &device(at),
        &ledger(&entries),
        &[kb("KB5079391")],
    )
}

#[test]
fn a_baseline_above_the_checkpoints_has_not_started() {
    assert_eq!(class("26100.8037", &[]), LedgerClass::NotStarted);
    assert_eq!(
        class("26100.8037", &[(CHECKPOINT, Superseded)]),
        LedgerClass::NotStarted
    );
    assert_eq!(class("26100.1", &[]), LedgerClass::NotStarted);
}

#[test]
fn a_device_between_two_steps_is_partial() {
    assert_eq!(
        class("26100.1742", &[(CHECKPOINT, Installed)]),
        LedgerClass::Partial { done: 1, of: 3 }
    );
    let two = [(CHECKPOINT, Superseded), (SECOND, Installed)];
    assert_eq!(
        class("26100.4000", &two),
        LedgerClass::Partial { done: 2, of: 3 }
    );
}

#[test]
fn installed_but_not_restarted_is_partial_and_not_complete() {
    assert_eq!(
        class("26100.8037", &[(TARGET, InstallPending)]),
        LedgerClass::Partial { done: 0, of: 1 }
    );
    assert_eq!(
        class("26100.8037", &[(TARGET, Staged)]),
        LedgerClass::Partial { done: 0, of: 1 }
    );
    assert_eq!(
        class("26100.8037", &[(TARGET, PartiallyInstalled)]),
        LedgerClass::Partial { done: 0, of: 1 }
    );
}

#[test]
fn the_target_build_is_complete_by_kb_or_by_identity_alone() {
    assert_eq!(
        class("26100.8117", &[(TARGET, Installed)]),
        LedgerClass::Complete
    );
    let by_identity = Ledger(vec![entry(None, Some("26100.8117"), Installed)]);
    assert_eq!(
        classify(
            &known("KB5086672"),
            &device("26200.8117"),
            &by_identity,
            &[]
        ),
        LedgerClass::Complete
    );
    assert_eq!(class("26100.8117", &[]), LedgerClass::Complete);
}

#[test]
fn a_build_above_the_target_is_ahead() {
    assert_eq!(
        class("26100.8246", &[(TARGET, Superseded)]),
        LedgerClass::Ahead
    );
}

#[test]
fn a_target_without_its_checkpoint_is_out_of_order() {
    assert_eq!(
        class("26100.1", &[(TARGET, InstallPending)]),
        LedgerClass::OutOfOrder
    );
    assert_eq!(
        class(
            "26100.1",
            &[(CHECKPOINT, InstallPending), (TARGET, Installed)]
        ),
        LedgerClass::OutOfOrder
    );
    assert_eq!(
        class(
            "26100.1742",
            &[(SECOND, PartiallyInstalled), (TARGET, InstallPending)]
        ),
        LedgerClass::OutOfOrder
    );
}

#[test]
fn one_transaction_with_its_checkpoints_pending_is_in_order() {
    let pending = [
        (CHECKPOINT, Staged),
        (SECOND, InstallPending),
        (TARGET, InstallPending),
    ];
    assert_eq!(
        class("26100.1", &pending),
        LedgerClass::Partial { done: 0, of: 3 }
    );
}

#[test]
fn a_withdrawn_effective_package_contaminates() {
    let withdrawn = ("KB5079391", Some("26100.8116"));
    assert_eq!(
        class("26100.8116", &[(withdrawn, Installed)]),
        LedgerClass::Contaminated
    );
}

#[test]
fn a_withdrawn_package_that_is_superseded_is_clean() {
    let withdrawn = ("KB5079391", Some("26100.8116"));
    assert_eq!(
        class(
            "26100.8117",
            &[(withdrawn, Superseded), (TARGET, Installed)]
        ),
        LedgerClass::Complete
    );
    assert_eq!(
        class("26100.8117", &[(withdrawn, Installed), (TARGET, Installed)]),
        LedgerClass::Complete
    );
    assert_eq!(
        class("26100.8117", &[(withdrawn, Installed)]),
        LedgerClass::Complete,
        "the entry is stale"
    );
}

#[test]
fn an_identity_without_its_kb_does_not_hide_a_withdrawn_update() {
    let silent = Ledger(vec![entry(None, Some("26100.8116"), Installed)]);
    let oob = known("KB5086672");
    for ledger in [silent, Ledger::default()] {
        let class = classify(&oob, &device("26200.8116"), &ledger, &[kb("KB5079391")]);
        assert_eq!(class, LedgerClass::Contaminated);
    }
}

#[test]
fn a_sequence_that_is_withdrawn_itself_contaminates_where_it_is_complete() {
    let preview = known("KB5079391");
    assert_eq!(
        classify(
            &preview,
            &device("26100.8116"),
            &Ledger::default(),
            &[preview.kb]
        ),
        LedgerClass::Contaminated
    );
    let superseded = classify(
        &preview,
        &device("26100.8117"),
        &Ledger::default(),
        &[preview.kb],
    );
    assert_eq!(superseded, LedgerClass::Ahead);
}

#[test]
fn a_withdrawn_sequence_that_no_table_knows_contaminates_too() {
    let packages = json!([{"ordinal": 1, "kb": "KB5999999", "role": "lcu", "build": "26100.9999"}]);
    let update = sequence("security", Some(9999), &packages, |_| ());
    let class = classify(
        &update,
        &device("26200.9999"),
        &Ledger::default(),
        &[update.kb],
    );
    assert_eq!(class, LedgerClass::Contaminated);
}

#[test]
fn a_package_on_a_base_it_was_not_built_for_contaminates() {
    let foreign = ("KB5077179", Some("28000.1575"));
    assert_eq!(
        class("26100.8037", &[(foreign, Installed)]),
        LedgerClass::Contaminated
    );
    assert_eq!(
        class("26100.8037", &[(foreign, Superseded)]),
        LedgerClass::NotStarted
    );
}

#[test]
fn build_and_ledger_that_contradict_each_other_are_unknown() {
    assert_eq!(
        class("26100.8037", &[(TARGET, Installed)]),
        LedgerClass::Unknown
    );
    for state in [UninstallPending, InstallPending, PartiallyInstalled] {
        assert_eq!(
            class("26100.8117", &[(TARGET, state)]),
            LedgerClass::Unknown
        );
    }
}

#[test]
fn a_device_the_sequence_is_not_for_is_unknown() {
    let server = Facts {
        product: Product::Server,
        ..device("26100.8037")
    };
    let enrolled = Facts {
        series: Series::Hotpatch,
        ..device("26100.7979")
    };
    for facts in [server, enrolled, device("28000.1575")] {
        assert_eq!(
            classify(&known("KB5086672"), &facts, &Ledger::default(), &[]),
            LedgerClass::Unknown
        );
    }
}

#[test]
fn an_observed_oobe_update_is_classed_by_the_ledger() {
    let update = known("KB5077868");
    let at = device("28000.1575");
    assert_eq!(
        classify(&update, &at, &Ledger::default(), &[]),
        LedgerClass::NotStarted
    );
    let there = ledger(&[("KB5077868", None, Installed)]);
    assert_eq!(classify(&update, &at, &there, &[]), LedgerClass::Complete);
}

#[test]
fn a_withdrawn_dotnet_update_in_force_contaminates() {
    let update = sequence(
        "dotnet",
        None,
        &json!([{"ordinal": 1, "kb": "KB5077777", "role": "dotnet"}]),
        |_| (),
    );
    let facts = device("26100.8037");
    let in_force = ledger(&[("KB5077777", None, Installed)]);
    assert_eq!(
        classify(&update, &facts, &in_force, &[update.kb]),
        LedgerClass::Contaminated
    );
    let superseded = ledger(&[("KB5077777", None, Superseded)]);
    assert_eq!(
        classify(&update, &facts, &superseded, &[update.kb]),
        LedgerClass::Complete
    );
}

#[test]
fn a_servicing_stack_ahead_of_its_cumulative_update_is_a_first_step_done() {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5088064", "role": "ssu", "build": "26100.8500"},
        {"ordinal": 2, "kb": "KB5087537", "role": "lcu", "build": "26100.9000"},
    ]);
    let update = sequence("security", Some(9000), &packages, |_| ());
    let mut stack = entry(Some("KB5088064"), Some("26100.8500"), Installed);
    stack.identity =
        "Package_for_ServicingStack_8500~31bf3856ad364e35~amd64~~26100.8500.1.1".into();
    let class = classify(&update, &device("26100.8037"), &Ledger(vec![stack]), &[]);
    assert_eq!(class, LedgerClass::Partial { done: 1, of: 2 });
}

#[test]
fn a_target_that_is_only_staged_before_its_checkpoints_is_no_disorder() {
    for state in [Staged, UninstallPending] {
        let class = class("26100.1", &[(TARGET, state)]);
        assert_ne!(class, LedgerClass::OutOfOrder, "{state:?}");
    }
    assert_eq!(
        class("26100.1", &[(TARGET, InstallPending)]),
        LedgerClass::OutOfOrder
    );
}

#[test]
fn a_device_with_the_cumulative_update_of_a_feature_is_not_done_without_its_enablement_package() {
    let class = classify(
        &crate::lab::feature(),
        &device("26100.6899"),
        &Ledger::default(),
        &[],
    );
    assert_eq!(class, LedgerClass::Partial { done: 1, of: 2 });
    // Nor one that went on to later cumulative updates of its own base.
    let class = classify(
        &crate::lab::feature(),
        &device("26100.8037"),
        &Ledger::default(),
        &[],
    );
    assert_eq!(class, LedgerClass::NotStarted);
    // A device that was delivered as 25H2 has that half of it, whatever its ledger lists.
    let class = classify(
        &crate::lab::feature(),
        &device("26200.6584"),
        &Ledger::default(),
        &[],
    );
    assert_eq!(class, LedgerClass::Partial { done: 1, of: 2 });
}

#[test]
fn what_was_in_the_image_is_no_step_of_the_way_to_here() {
    assert_eq!(
        class("26100.4000", &[(SECOND, Installed)]),
        LedgerClass::Partial { done: 1, of: 2 }
    );
}

#[test]
fn a_package_without_its_kb_is_known_by_its_build_and_its_kind() {
    let update = long_sequence("one_by_one");
    let target = update.variants[0].packages.last().unwrap();
    let checkpoint = &update.variants[0].packages[0];
    let of = |entry: servicing::LedgerEntry| Ledger(vec![entry]).state_of_package(target);
    assert_eq!(of(entry(None, TARGET.1, Installed)), Some(Installed));
    assert_eq!(of(entry(None, SECOND.1, Installed)), None);
    let mut stack = entry(None, TARGET.1, Installed);
    stack.identity =
        "Package_for_ServicingStack_8117~31bf3856ad364e35~amd64~~26100.8117.1.1".into();
    assert_eq!(of(stack), None, "a servicing stack of the same build");
    let other = Ledger(vec![entry(None, TARGET.1, Installed)]);
    assert_eq!(other.state_of_package(checkpoint), None);
    // A package that sets no build is known by its KB alone.
    let dotnet = sequence(
        "dotnet",
        None,
        &json!([{"ordinal": 1, "kb": "KB5077777", "role": "dotnet"}]),
        |_| (),
    );
    let package = &dotnet.variants[0].packages[0];
    let unnamed = Ledger(vec![entry(None, None, Installed)]);
    assert_eq!(unnamed.state_of_package(package), None);
}
