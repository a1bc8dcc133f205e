use engine::evidence::{CohortKind, Counts, Evidence, Silence};
use engine::halt::{
    HaltCause, HaltPolicy, Stream, assess, causes, log_e_value, log_silence_e_value, watches,
    weight,
};
use engine::ids::CohortId;

use crate::lab::{counts, evidence};

fn halt(evidence: &Evidence) -> Option<HaltCause> {
    assess(evidence, &[], &HaltPolicy::default()).halt
}

#[test]
fn two_failures_of_the_first_two_stop_everything() {
    assert_eq!(halt(&evidence(counts(1, 1), &[])), None);
    let cause = halt(&evidence(counts(2, 2), &[])).unwrap();
    assert_eq!(
        (cause.stream, cause.cohort),
        (Stream::Failure, CohortId::ALL)
    );
    assert_eq!(cause.sentence(), "2 failures among 2 devices.");
}

#[test]
fn the_boundary_that_people_see_is_the_one_that_halts() {
    for (failures, largest) in [(3, 6), (4, 17), (5, 28), (6, 40), (10, 119)] {
        assert!(
            halt(&evidence(counts(largest, failures), &[])).is_some(),
            "{failures} of {largest}"
        );
        assert!(
            halt(&evidence(counts(largest + 1, failures), &[])).is_none(),
            "{failures} of {largest} + 1"
        );
    }
}

#[test]
fn one_bad_model_in_a_good_ring_halts_by_its_own_name() {
    let models: Vec<(CohortKind, &str, Counts)> = (0..50)
        .map(|i| {
            (
                CohortKind::Model,
                if i == 0 { "Latitude 5440" } else { "other" },
                counts(5, 0),
            )
        })
        .collect();
    let mut models = models;
    models[0].2 = counts(5, 4);
    let cause = halt(&evidence(counts(250, 4), &models)).unwrap();
    assert_eq!(
        (cause.cohort, cause.name.as_str()),
        (CohortId(1), "Latitude 5440")
    );
}

#[test]
fn pending_devices_count_as_fine_for_the_halt() {
    let pending = Counts {
        started: 1000,
        failed: 10,
        resolved: 20,
        ok: 10,
        ..Counts::default()
    };
    assert_eq!(halt(&evidence(pending, &[])), None);
}

#[test]
fn two_boot_loops_among_six_stop_everything() {
    let severe = |started| Counts {
        severe: 2,
        ..counts(started, 0)
    };
    assert_eq!(
        halt(&evidence(severe(6), &[])).unwrap().stream,
        Stream::Severe
    );
    assert_eq!(halt(&evidence(severe(7), &[])), None);
}

fn silences(n: u64, treated: bool, control: u64) -> Evidence {
    let silence = Silence {
        devices: 1,
        treated,
        at_risk_treated: 20,
        at_risk_control: control,
    };
    Evidence {
        silences: vec![silence; usize::try_from(n).unwrap()],
        ..evidence(counts(100, 0), &[])
    }
}

#[test]
fn updated_devices_that_go_dark_alone_stop_everything() {
    assert_eq!(
        halt(&silences(8, true, 200)).unwrap().stream,
        Stream::Silence
    );
    assert_eq!(halt(&silences(8, true, 200)).unwrap().failures, 8);
}

#[test]
fn an_outage_that_takes_both_halts_nothing() {
    let mut evidence = silences(3, true, 200);
    evidence.silences.extend(silences(30, false, 200).silences);
    assert_eq!(halt(&evidence), None);
}

#[test]
fn devices_that_fell_silent_together_weigh_as_much_as_one_after_another() {
    for treated in [true, false] {
        let one_by_one = silences(7, treated, 200);
        let mut together = silences(1, treated, 200);
        together.silences[0].devices = 7;
        let of = |evidence: &Evidence| log_silence_e_value(&evidence.silences);
        assert!((of(&one_by_one) - of(&together)).abs() < 1e-9);
        let told = |evidence: &Evidence| watches(evidence, &HaltPolicy::default())[2].clone();
        assert_eq!(told(&one_by_one), told(&together));
    }
}

#[test]
fn without_a_control_silence_never_halts() {
    assert_eq!(halt(&silences(500, true, 0)), None);
}

#[test]
fn invariant_19_a_cleared_halt_comes_back_only_when_it_worsens() {
    let policy = HaltPolicy::default();
    let cleared = causes(&evidence(counts(10, 4), &[]), &policy);
    assert_eq!(cleared.len(), 1);
    assert_eq!(
        assess(&evidence(counts(10, 4), &[]), &cleared, &policy).halt,
        None
    );
    assert_eq!(
        assess(&evidence(counts(12, 4), &[]), &cleared, &policy).halt,
        None
    );
    assert!(
        assess(&evidence(counts(12, 5), &[]), &cleared, &policy)
            .halt
            .is_some()
    );
    // Another stream, or another cohort, was never cleared.
    let severe = Counts {
        severe: 3,
        ..counts(10, 4)
    };
    assert_eq!(
        assess(&evidence(severe, &[]), &cleared, &policy)
            .halt
            .unwrap()
            .stream,
        Stream::Severe
    );
}

#[test]
fn the_weights_of_all_that_can_halt_sum_to_at_most_one() {
    let kinds = [
        (CohortKind::Model, 50),
        (CohortKind::Bios, 100),
        (CohortKind::Architecture, 2),
        (CohortKind::Build, 3),
        (CohortKind::Edition, 4),
    ];
    let more = CohortKind::ATTRIBUTES.map(|kind| (kind, 7));
    let of = |stream, kinds: &[(CohortKind, usize)], added| {
        let cohorts: f64 = kinds
            .iter()
            .map(|(kind, values)| {
                let values_as_f64 = f64::from(u32::try_from(*values).unwrap());
                weight(stream, Some(*kind), *values, added) * values_as_f64
            })
            .sum();
        weight(stream, None, 1, added) + cohorts
    };
    for added in 0..=4 {
        let kinds = [&kinds[..], &more[..added]].concat();
        let of = |stream| of(stream, &kinds, added);
        let sum = of(Stream::Failure) + of(Stream::Severe) + of(Stream::Silence);
        assert!(sum <= 1.0 + 1e-12, "{added}: {sum}");
        assert!(
            sum > 0.99,
            "what is not spent makes halts later than they could be: {added}: {sum}"
        );
    }
}

#[test]
fn an_update_that_breaks_one_edr_is_halted_by_the_cohort_of_that_edr_and_late_without() {
    // One device in twenty-five has it, spread over all models; every one of them fails.
    let harmed = |judged: bool| {
        (1..40_u64)
            .find(|bad| {
                let started = bad * 25;
                let mut cohorts: Vec<(CohortKind, &str, Counts)> = Vec::new();
                for model in ["A", "B", "C", "D", "E"] {
                    cohorts.push((
                        CohortKind::Model,
                        model,
                        counts(started / 5, bad.div_ceil(5)),
                    ));
                }
                if judged {
                    cohorts.push((CohortKind::Attribute1, "edr Contoso", counts(*bad, *bad)));
                    cohorts.push((
                        CohortKind::Attribute1,
                        "edr Fabrikam",
                        counts(started - bad, 0),
                    ));
                }
                let seen = evidence(counts(started, *bad), &cohorts);
                let assessment = assess(&seen, &[], &HaltPolicy::default());
                assert!(
                    !judged
                        || assessment
                            .halt
                            .as_ref()
                            .is_none_or(|c| c.name == "edr Contoso"),
                    "{:?}",
                    assessment.halt
                );
                assessment.halt.is_some()
            })
            .unwrap()
    };
    assert!(harmed(true) <= 4, "{}", harmed(true));
    assert!(
        harmed(false) > 2 * harmed(true),
        "{} {}",
        harmed(false),
        harmed(true)
    );
}

#[test]
fn failures_below_the_halt_brake_first() {
    let brakes = |started, failed| {
        assess(
            &evidence(counts(started, failed), &[]),
            &[],
            &HaltPolicy::default(),
        )
    };
    let braked = brakes(30, 5);
    assert!(braked.halt.is_none() && braked.brake_all);
    assert!(!brakes(40, 1).brake_all);
    let slow = Counts {
        overdue: 6,
        ..counts(40, 0)
    };
    let slow = assess(&evidence(slow, &[]), &[], &HaltPolicy::default());
    assert!(slow.brake_all && slow.halt.is_none(), "slow is not broken");
}

#[test]
fn a_model_brakes_alone_and_an_edition_never() {
    let cohorts = [
        (CohortKind::Model, "A", counts(3, 2)),
        (CohortKind::Model, "B", counts(97, 0)),
        (CohortKind::Edition, "Enterprise", counts(4, 4)),
    ];
    let assessment = assess(
        &evidence(counts(100, 2), &cohorts),
        &[],
        &HaltPolicy::default(),
    );
    assert!(!assessment.brake_all);
    assert_eq!(
        assessment.braked.into_iter().collect::<Vec<_>>(),
        [CohortId(1)]
    );
}

#[test]
fn people_see_integers_that_agree_with_the_test() {
    let policy = HaltPolicy::default();
    let watch =
        |started, failed| watches(&evidence(counts(started, failed), &[]), &policy)[0].clone();
    assert_eq!(watch(0, 0).halts_at, Some(2));
    assert_eq!(watch(17, 1).halts_at, Some(4));
    assert_eq!(watch(18, 1).halts_at, Some(5));
    for started in [3, 20, 119, 500, 5000] {
        let watch = watch(started, 0);
        let (brakes, halts) = (watch.brakes_at.unwrap(), watch.halts_at.unwrap());
        assert!(brakes <= halts);
        assert!(
            halt(&evidence(counts(started, halts), &[])).is_some(),
            "{started}"
        );
        assert!(
            halt(&evidence(counts(started, halts - 1), &[])).is_none(),
            "{started}"
        );
    }
}

#[test]
fn everything_watched_says_whether_it_brakes_or_halts() {
    let cohorts = [
        (CohortKind::Model, "A", counts(4, 0)),
        (CohortKind::Model, "not started", Counts::default()),
        (CohortKind::Edition, "Pro", counts(4, 0)),
    ];
    let watches = watches(&evidence(counts(4, 0), &cohorts), &HaltPolicy::default());
    let shown: Vec<(Stream, &str, bool, bool)> = watches
        .iter()
        .map(|w| {
            (
                w.stream,
                w.name.as_str(),
                w.brakes_at.is_some(),
                w.halts_at.is_some(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Stream::Failure, "all devices", true, true),
            (Stream::Severe, "all devices", false, true),
            (Stream::Silence, "all devices", false, false),
            (Stream::Overdue, "all devices", true, false),
            (Stream::Failure, "A", true, true),
            (Stream::Severe, "A", false, true),
        ]
    );
}

#[test]
fn silence_says_at_how_many_it_would_halt() {
    let policy = HaltPolicy::default();
    let watch = watches(&silences(2, true, 200), &policy)[2].clone();
    let halts = watch.halts_at.unwrap();
    assert!(halt(&silences(halts, true, 200)).is_some());
    assert!(halt(&silences(halts - 1, true, 200)).is_none());
}

#[test]
fn one_error_on_many_devices_that_were_repaired_is_the_updates_fault() {
    let fleet = |relapsed, recovered| Counts {
        relapsed,
        recovered,
        ..counts(5000, 50)
    };
    let policy = HaltPolicy::default();
    let halt = |counts| assess(&evidence(counts, &[]), &[], &policy).halt;
    assert_eq!(halt(fleet(9, 0)), None, "nine may be bad luck");
    let cause = halt(fleet(10, 0)).unwrap();
    assert_eq!(
        (cause.stream, cause.failures, cause.started),
        (Stream::Relapse, 10, 10)
    );
    assert_eq!(
        cause.sentence(),
        "10 devices failed again with the same error after a repair that worked, of 10 that tried again: the update is at fault, not \
         the devices."
    );
    assert_eq!(
        halt(fleet(10, 1)),
        None,
        "one that recovered speaks against it"
    );
    assert!(halt(fleet(14, 1)).is_some());
    assert_eq!(
        halt(fleet(20, 20)),
        None,
        "repairs that help every other time are no proof"
    );
    let seen = watches(&evidence(fleet(4, 0), &[]), &policy);
    let seen = seen.iter().find(|w| w.stream == Stream::Relapse).unwrap();
    assert_eq!((seen.failures, seen.started), (4, 4));
    let cleared = [cause];
    let again = assess(&evidence(fleet(10, 0), &[]), &cleared, &policy);
    assert_eq!(again.halt, None, "a person has looked at it");
}

#[test]
fn a_kinds_weight_is_shared_among_its_values() {
    let model = |n: usize| {
        let names = ["A", "B", "C"];
        let mut cohorts = vec![(CohortKind::Model, names[0], counts(2, 2))];
        for name in &names[1..n] {
            cohorts.push((CohortKind::Model, name, counts(1, 0)));
        }
        // Values of other kinds take nothing from it.
        cohorts.push((CohortKind::Build, "26100.1", counts(50, 2)));
        cohorts.push((CohortKind::Build, "26100.2", counts(50, 0)));
        let seen = evidence(counts(100, 2), &cohorts);
        assess(&seen, &[], &HaltPolicy::default()).halt
    };
    assert_eq!(model(1).map(|c| c.name).as_deref(), Some("A"));
    assert_eq!(model(2), None, "each of two has half of it");
    assert_eq!(model(3), None);
}

#[test]
fn of_several_causes_the_strongest_by_its_weight_is_told() {
    let cause = |all: Counts, cohorts: &[(CohortKind, &str, Counts)]| {
        let halt = assess(&evidence(all, cohorts), &[], &HaltPolicy::default()).halt;
        halt.unwrap().name
    };
    let model = |name, started, failed| (CohortKind::Model, name, counts(started, failed));
    // Few of all, and every one of a model.
    let of_a_model = [model("A", 20, 20), model("B", 980, 0)];
    assert_eq!(cause(counts(1000, 20), &of_a_model), "A");
    // Nearly all of the fleet: no model says it as strongly.
    let of_all = [model("A", 5, 5), model("B", 45, 40)];
    assert_eq!(cause(counts(50, 45), &of_all), "all devices");
    // Of two that say the same the first.
    let alike = [model("A", 10, 10), model("B", 10, 10), model("C", 980, 0)];
    assert_eq!(cause(counts(1000, 20), &alike), "A");
    // Among fifty models one of them weighs little, however unlikely its failures are by themselves.
    let names: Vec<String> = (0..48).map(|n| format!("model {n}")).collect();
    let mut fifty = vec![model("A", 3, 3), model("B", 7, 1)];
    fifty.extend(names.iter().map(|name| model(name, 0, 0)));
    let (of_model, of_ring) = (log_e_value(3, 3, 0.02), log_e_value(4, 10, 0.015));
    assert!(of_model > of_ring, "{of_model} {of_ring}");
    assert_eq!(cause(counts(10, 4), &fifty), "all devices");
    let without = evidence(counts(100, 3), &fifty);
    let halt = assess(&without, &[], &HaltPolicy::default()).halt;
    assert_eq!(halt.unwrap().name, "A", "it halts by itself");
}

#[test]
fn relapses_are_told_among_all_that_tried_again() {
    let all = Counts {
        relapsed: 14,
        recovered: 1,
        ..counts(1000, 15)
    };
    let halt = assess(&evidence(all, &[]), &[], &HaltPolicy::default()).halt;
    let halt = halt.unwrap();
    assert_eq!(
        (halt.stream, halt.failures, halt.started),
        (Stream::Relapse, 14, 15)
    );
}

#[test]
fn a_silence_without_a_control_and_one_of_the_control_are_no_silences_of_the_update() {
    let silence = |treated, at_risk_control| Silence {
        treated,
        devices: 1,
        at_risk_treated: 10,
        at_risk_control,
    };
    let mut seen = evidence(counts(10, 0), &[]);
    seen.silences = vec![silence(true, 0), silence(false, 50), silence(true, 50)];
    let watches = watches(&seen, &HaltPolicy::default());
    let silent = watches
        .iter()
        .find(|w| w.stream == Stream::Silence)
        .unwrap();
    assert_eq!(silent.failures, 1);
}

#[test]
fn an_alternative_at_the_baseline_or_beyond_every_rate_is_none() {
    // 0.25 is the baseline itself: of 0.75, 0.25 and 0.95 two are left.
    let e = log_e_value(1, 1, 0.25).exp();
    assert!((e - (3.0 + 3.8) / 2.0).abs() < 1e-9, "{e}");
    // Three times a third is every device, and 0.25 is below the baseline.
    let e = log_e_value(1, 1, 1.0 / 3.0).exp();
    assert!((e - 0.95 * 3.0).abs() < 1e-9, "{e}");
    let e = log_e_value(1, 2, 1.0 / 3.0).exp();
    assert!((e - 0.95 * 3.0 * 0.05 * 1.5).abs() < 1e-9, "{e}");
}

#[test]
fn a_silence_while_nobody_was_at_risk_on_one_side_says_nothing() {
    let nothing = log_silence_e_value(&[]);
    for (at_risk_treated, at_risk_control) in [(10, 0), (0, 50), (0, 0)] {
        for treated in [true, false] {
            let silence = Silence {
                treated,
                devices: 1,
                at_risk_treated,
                at_risk_control,
            };
            let said = log_silence_e_value(&[silence, silence]);
            assert!((said - nothing).abs() < 1e-12, "{silence:?}: {said}");
        }
    }
}
