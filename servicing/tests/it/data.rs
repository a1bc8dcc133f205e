//! The tables that are compiled in can be read to the last row, and the real sequences work.

use std::collections::HashSet;

use servicing::{
    BuildKind, Completeness, ErrorClass, Family, HResult, Ledger, NotApplicable, Planned, Product,
    RetryWhen, Series, error_code, error_codes, known_builds, known_sequences, plan,
};

use crate::lab::{device, kb, known};

/// Rows of a table without its header.
fn rows(table: &str) -> usize {
    csv::Reader::from_reader(table.as_bytes())
        .records()
        .filter(Result::is_ok)
        .count()
}

#[test]
fn every_row_of_the_error_codes_is_read_and_each_code_once() {
    assert_eq!(
        error_codes().len(),
        rows(include_str!("../../data/error_codes.csv"))
    );
    let codes: HashSet<HResult> = error_codes().iter().map(|row| row.code).collect();
    assert_eq!(codes.len(), error_codes().len());
    for class in ErrorClass::ALL {
        assert!(
            error_codes().iter().any(|row| row.class == *class),
            "{class} has a code"
        );
    }
    for row in error_codes() {
        assert_eq!(
            row.retryable,
            row.retry_when != RetryWhen::NeverSameStep,
            "{}",
            row.code
        );
        assert!(
            !row.meaning.is_empty() && !row.verified.is_empty(),
            "{}",
            row.code
        );
    }
}

#[test]
fn the_code_that_pulled_an_update_is_a_corrupt_store() {
    let row = error_code(HResult::from_exit_code(14098)).unwrap();
    assert_eq!(row.name, "ERROR_SXS_COMPONENT_STORE_CORRUPT");
    assert_eq!(
        (row.class, row.retry_when),
        (ErrorClass::StoreCorruption, RetryWhen::AfterRemediation)
    );
    assert_eq!(error_code(HResult(0xDEAD_BEEF)), None);
}

#[test]
fn exit_codes_of_success_are_known_as_such() {
    let class = |code| error_code(HResult::from_exit_code(code)).map(|row| row.class);
    assert_eq!(class(3010), Some(ErrorClass::SuccessReboot));
    assert_eq!(class(1641), Some(ErrorClass::SuccessReboot));
    assert_eq!(class(2_359_301), Some(ErrorClass::SuccessReboot));
    assert_eq!(class(2_359_302), Some(ErrorClass::AlreadyInstalled));
}

#[test]
fn every_row_of_the_builds_is_read_and_belongs_to_a_family() {
    assert_eq!(
        known_builds().len(),
        rows(include_str!("../../data/windows_builds.csv"))
    );
    for known in known_builds() {
        assert!(
            Family::of(Product::Client, known.base).is_some(),
            "{}",
            known.base
        );
        assert!(known.released.is_some(), "{:?}", known.build);
        assert_eq!(known.build.is_none(), known.kind == BuildKind::OobeUpdate);
    }
}

#[test]
fn an_uncertain_day_is_kept_with_its_doubt() {
    let uncertain: Vec<_> = known_builds()
        .iter()
        .filter(|known| known.released_uncertain)
        .collect();
    assert_eq!(uncertain.len(), 4);
    let ended = known_builds()
        .iter()
        .find(|known| known.version == "23H2")
        .unwrap();
    assert_eq!(ended.end_home_pro, "2025-11-11".parse().ok());
}

#[test]
fn a_hotpatch_has_a_lower_ubr_than_the_update_of_the_same_day() {
    let may = |number: &str| {
        let mut rows = known_builds().iter();
        rows.find(|known| known.kb == Some(kb(number)) && known.base == 26200)
            .expect("a release")
    };
    let (hotpatch, standard) = (may("KB5089466"), may("KB5089549"));
    assert_eq!(hotpatch.released, standard.released);
    assert_eq!(
        (hotpatch.kind.series(), standard.kind.series()),
        (Series::Hotpatch, Series::Standard)
    );
    assert!(hotpatch.build.unwrap().ubr < standard.build.unwrap().ubr);
}

#[test]
fn the_real_sequences_are_valid_drafts() {
    assert_eq!(known_sequences().len(), 5);
    for known in known_sequences() {
        assert_eq!(
            known.sequence.validate(Completeness::Draft),
            Ok(()),
            "{}",
            known.sequence.kb
        );
        assert!(!known.trust.is_empty());
    }
}

#[test]
fn the_real_sequences_end_on_the_builds_microsoft_lists() {
    for known in known_sequences()
        .iter()
        .filter(|known| known.sequence.kind.sets_build())
    {
        for at in ["26100.1", "26200.8037"] {
            let Planned::Steps(plan) = plan(&known.sequence, &device(at), &Ledger::default())
            else {
                panic!("{} on {at}", known.sequence.kb)
            };
            let mut listed = known_builds()
                .iter()
                .filter(|build| build.kb == Some(known.sequence.kb));
            assert!(listed.any(|build| {
                build
                    .build
                    .is_some_and(|build| build.ubr == plan.target.ubr)
            }));
            assert_eq!(plan.steps.len(), if at == "26100.1" { 2 } else { 1 });
        }
    }
    let observed = plan(
        &known("KB5077868"),
        &device("28000.1575"),
        &Ledger::default(),
    );
    assert_eq!(
        observed,
        Planned::NotApplicable(NotApplicable::ObservedOnly)
    );
}

#[test]
fn the_pulled_preview_is_known_with_its_replacement() {
    let pulled = known_sequences()
        .iter()
        .find(|known| known.sequence.kb == kb("KB5079391"))
        .unwrap();
    let withdrawal = pulled.withdrawn.as_ref().unwrap();
    assert_eq!(withdrawal.replaced_by, Some(kb("KB5086672")));
    assert!(withdrawal.reason.contains("0x80073712"));
    assert_eq!(
        known_sequences()
            .iter()
            .filter(|known| known.withdrawn.is_some())
            .count(),
        1
    );
}
