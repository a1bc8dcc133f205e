use chrono::Duration;
use engine::gate::{Criterion, GateReport, OobeEvidence, Verdict, clean_sample_needed};
use engine::policy::{FailureLimit, Percent, Preset, Sample};
use engine::stage::StageState;

use crate::lab::{Lab, at};

fn verdict(report: &GateReport, criterion: Criterion) -> Verdict {
    report.criterion(criterion).unwrap().verdict
}

fn sentence(report: &GateReport, criterion: Criterion) -> String {
    report.criterion(criterion).unwrap().sentence.clone()
}

/// A lab whose Limited ring has soaked long enough; its devices are up to the test.
fn soaked(targeted: u64) -> Lab {
    let mut lab = Lab::started();
    lab.snapshot.stages[2].targeted = targeted;
    let since = lab.snapshot.service_now - Duration::days(14);
    lab.snapshot.stages[2].state = StageState::Soaking {
        since,
        reread_at: None,
    };
    lab
}

#[test]
fn a_clean_ring_of_100_passes() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    let report = lab.gate(2);
    assert!(report.passes(), "{report:?}");
    assert_eq!(
        sentence(&report, Criterion::Failures),
        "0 failures among 100 devices show at most 3.0 %."
    );
}

#[test]
fn invariant_12_an_empty_ring_or_no_sample_never_passes() {
    for targeted in [0, 1, 100] {
        let mut lab = soaked(targeted);
        for sample in [Sample::All, Sample::AtLeast(0), Sample::AtLeast(60)] {
            lab.snapshot.stages[2].policy.sample = sample;
            lab.snapshot.stages[2].policy.failures = FailureLimit::None;
            lab.snapshot.stages[2].policy.coverage = Percent(0.0);
            let report = lab.gate(2);
            assert!(!report.passes());
            for criterion in [Criterion::Sample, Criterion::Failures, Criterion::Telemetry] {
                assert_ne!(
                    verdict(&report, criterion),
                    Verdict::Pass,
                    "{criterion:?} of {targeted}"
                );
            }
        }
    }
    let nowhere = soaked(1);
    assert!(!nowhere.gate(99).passes(), "a stage that does not exist");
}

#[test]
fn a_full_ring_with_targeted_zero_waits_as_well() {
    // An error in the count of targeted devices must not look like full coverage.
    let mut lab = soaked(0);
    lab.succeed(2, 50);
    assert_eq!(verdict(&lab.gate(2), Criterion::Coverage), Verdict::Wait);
    assert_eq!(verdict(&lab.gate(2), Criterion::Sample), Verdict::Wait);
}

#[test]
fn invariant_11_missing_reports_never_help_a_gate() {
    // The same 90 good outcomes, with and without 10 devices that say nothing.
    let mut all_in = soaked(90);
    all_in.succeed(2, 90);
    assert!(all_in.gate(2).passes());
    let mut silent = soaked(100);
    silent.succeed(2, 90).permit(2, 10);
    let report = silent.gate(2);
    assert!(!report.passes());
    assert_eq!(verdict(&report, Criterion::Failures), Verdict::Wait);
    assert_eq!(
        sentence(&report, Criterion::Failures),
        "10 still in flight, counted as failed, among 100 devices show at most 16.4 %; 59 without a failure are needed for 5 %."
    );
    // Lost is resolved, and still a failure.
    let mut lost = soaked(100);
    lost.succeed(2, 90).lose(2, 10);
    assert_eq!(
        verdict(&lost.gate(2), Criterion::Failures),
        Verdict::Inconclusive
    );
    assert_eq!(verdict(&lost.gate(2), Criterion::Coverage), Verdict::Pass);
}

#[test]
fn invariant_11_no_outcome_that_goes_missing_turns_a_gate_to_pass() {
    for ok in (0..=100).step_by(5) {
        for failed in 0..5 {
            let mut lab = soaked(105);
            lab.succeed(2, ok).fail(2, failed);
            if lab.gate(2).passes() {
                continue;
            }
            // One of the good devices is not heard of: it stays permitted, and is neither OK nor resolved.
            let counts = &mut lab.snapshot.stages[2].counts;
            counts.ok = counts.ok.saturating_sub(1);
            counts.resolved = counts.resolved.saturating_sub(1);
            assert!(!lab.gate(2).passes(), "{ok} ok, {failed} failed");
        }
    }
}

#[test]
fn a_small_pilot_can_not_show_5_percent_and_the_page_says_so() {
    let mut lab = soaked(31);
    lab.succeed(2, 31);
    let report = lab.gate(2);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(
        sentence(&report, Criterion::Failures),
        "0 failures among 31 devices show at most 9.2 %; 59 without a failure are needed for 5 %."
    );
}

#[test]
fn no_failure_is_asked_of_the_first_ring_and_one_asks_a_person() {
    let mut lab = Lab::started();
    lab.permit(0, 2);
    assert_eq!(verdict(&lab.gate(0), Criterion::Failures), Verdict::Wait);
    assert_eq!(
        sentence(&lab.gate(0), Criterion::Failures),
        "2 of 2 (100 %) in flight; none has failed, and none may."
    );
    lab.fail(0, 1);
    assert_eq!(
        verdict(&lab.gate(0), Criterion::Failures),
        Verdict::Inconclusive
    );
    let mut clean = Lab::started();
    clean.succeed(0, 5);
    assert_eq!(
        sentence(&clean.gate(0), Criterion::Failures),
        "No failure among 5 devices."
    );
}

#[test]
fn devices_that_said_why_they_can_not_go_on_stay_in_the_denominator() {
    let mut lab = soaked(100);
    lab.succeed(2, 80);
    lab.snapshot.stages[2].not_ready = 20;
    let report = lab.gate(2);
    assert_eq!(verdict(&report, Criterion::Coverage), Verdict::Wait);
    assert_eq!(
        sentence(&report, Criterion::Coverage),
        "80 of 100 (80.0 %) devices have an outcome; 90 % is needed. 20 devices can not go on and said why."
    );
}

#[test]
fn the_soak_counts_working_days_from_the_sample_on() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    // Friday noon: two working days end on Tuesday noon.
    lab.snapshot.stages[2].state = StageState::Soaking {
        since: at("2026-04-10T12:00:00Z"),
        reread_at: None,
    };
    for (now, expected) in [
        ("2026-04-13T12:00:00Z", Verdict::Wait),
        ("2026-04-14T11:59:59Z", Verdict::Wait),
        ("2026-04-14T12:00:00Z", Verdict::Pass),
    ] {
        lab.snapshot.service_now = at(now);
        assert_eq!(verdict(&lab.gate(2), Criterion::Soak), expected, "{now}");
    }
    lab.snapshot.service_now = at("2026-04-13T12:00:00Z");
    lab.snapshot.released_at = Some(at("2026-04-07T12:00:00Z"));
    assert_eq!(
        sentence(&lab.gate(2), Criterion::Soak),
        "The soak ends Tue 14 Apr 12:00 UTC. Released 6 d ago."
    );
}

#[test]
fn invariant_20_a_clock_that_jumps_back_shortens_no_soak() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    lab.snapshot.stages[2].state = StageState::Soaking {
        since: lab.snapshot.service_now + Duration::days(400),
        reread_at: None,
    };
    assert_eq!(verdict(&lab.gate(2), Criterion::Soak), Verdict::Wait);
}

#[test]
fn one_device_out_of_order_stops_the_promotion() {
    let mut lab = soaked(100);
    lab.succeed(2, 100).drift(2, 1);
    assert_eq!(
        verdict(&lab.gate(2), Criterion::Drift),
        Verdict::Inconclusive
    );
}

#[test]
fn two_unusable_machines_of_one_model_are_a_cluster() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    lab.snapshot.stages[2].worst_severe = 1;
    assert!(lab.gate(2).passes());
    lab.snapshot.stages[2].worst_severe = 2;
    assert_eq!(
        verdict(&lab.gate(2), Criterion::NotHalted),
        Verdict::Inconclusive
    );
}

#[test]
fn a_ring_whose_exposure_is_braked_does_not_go_on() {
    let mut lab = soaked(100);
    lab.succeed(2, 95);
    lab.snapshot.evidence.all.overdue = 20;
    assert_eq!(verdict(&lab.gate(2), Criterion::NotHalted), Verdict::Wait);
    assert_eq!(
        sentence(&lab.gate(2), Criterion::NotHalted),
        "More failures than usual: exposure is braked for all devices."
    );
    lab.succeed(2, 5);
    assert_eq!(
        verdict(&lab.gate(2), Criterion::NotHalted),
        Verdict::Inconclusive,
        "nothing more will come"
    );
}

#[test]
fn a_withdrawn_sequence_halts_the_gate() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    lab.snapshot.withdrawn = Some("KB5079391 breaks sign-in".to_owned());
    assert_eq!(lab.gate(2).verdict, Verdict::Halt);
}

#[test]
fn a_gate_waits_while_reports_may_not_have_arrived() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    lab.snapshot.stages[2].telemetry.heard = 94;
    assert_eq!(verdict(&lab.gate(2), Criterion::Telemetry), Verdict::Wait);
    lab.snapshot.stages[2].telemetry.heard = 95;
    assert!(lab.gate(2).passes());
    lab.snapshot.stages[2].telemetry.ingest_running = false;
    assert_eq!(verdict(&lab.gate(2), Criterion::Telemetry), Verdict::Wait);
}

#[test]
fn a_known_issue_and_a_young_release_hold_the_ring() {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    lab.hold(2, "BitLocker recovery on some Intel systems", 3);
    assert_eq!(verdict(&lab.gate(2), Criterion::KnownIssues), Verdict::Wait);
    assert_eq!(
        sentence(&lab.gate(2), Criterion::KnownIssues),
        "Known issue: BitLocker recovery on some Intel systems. It holds 3 devices of the ring."
    );
    lab.snapshot.stages[2].held.clear();
    lab.hold(1, "Another ring's", 3);
    assert_eq!(verdict(&lab.gate(2), Criterion::KnownIssues), Verdict::Pass);
    lab.snapshot.stages[2].policy.minimum_age_days = 7;
    assert_eq!(
        verdict(&lab.gate(2), Criterion::KnownIssues),
        Verdict::Wait,
        "release date unknown"
    );
    lab.snapshot.released_at = Some(lab.snapshot.service_now - Duration::days(6));
    assert_eq!(verdict(&lab.gate(2), Criterion::KnownIssues), Verdict::Wait);
    assert_eq!(
        sentence(&lab.gate(2), Criterion::KnownIssues),
        "Released 6 d ago; 7 d are asked for."
    );
    lab.snapshot.released_at = Some(lab.snapshot.service_now - Duration::days(7));
    assert!(lab.gate(2).passes());
}

fn with_oobe(
    attempts: u64,
    failed: u64,
    median_s: Option<u64>,
    control: Option<u64>,
) -> GateReport {
    let mut lab = soaked(100);
    lab.succeed(2, 100);
    let oobe = OobeEvidence {
        attempts,
        failed,
        median_s,
        control_median_s: control,
    };
    lab.snapshot.stages[2].oobe = Some(oobe);
    lab.gate(2)
}

#[test]
fn out_of_box_failures_are_judged_once_there_are_attempts_that_can_show_something() {
    let of = |attempts, failed| {
        verdict(
            &with_oobe(attempts, failed, Some(60), None),
            Criterion::OobeFailures,
        )
    };
    assert_eq!(of(0, 0), Verdict::Off);
    assert_eq!(
        of(3, 0),
        Verdict::Off,
        "three clean attempts are not worse than none"
    );
    assert_eq!(of(59, 0), Verdict::Pass);
    assert_eq!(of(3, 1), Verdict::Inconclusive);
    assert_eq!(of(93, 1), Verdict::Pass);
}

#[test]
fn a_slower_out_of_box_experience_is_noticed_in_percent_and_in_minutes() {
    let of = |median, control| verdict(&with_oobe(60, 0, median, control), Criterion::OobeDuration);
    assert_eq!(of(Some(1500), Some(1200)), Verdict::Pass, "+25 %");
    assert_eq!(of(Some(1501), Some(1200)), Verdict::Inconclusive);
    assert_eq!(
        of(Some(7201), Some(6000)),
        Verdict::Inconclusive,
        "+20 % and more than 20 min"
    );
    assert_eq!(of(Some(900), Some(1200)), Verdict::Pass, "faster");
    assert_eq!(of(None, Some(1200)), Verdict::Wait);
    assert_eq!(of(Some(9000), None), Verdict::Off, "no control");
}

#[test]
fn an_inconclusive_bound_is_not_hunted_for() {
    let mut lab = soaked(200);
    lab.snapshot.rollout.state = engine::rollout::RolloutState::Active;
    for earlier in [0, 1] {
        lab.snapshot.stages[earlier].state = StageState::Passed {
            at: lab.snapshot.service_now,
            overridden: false,
        };
    }
    lab.snapshot.stages[2].policy.coverage = Percent(50.0);
    lab.succeed(2, 96).fail(2, 4);
    assert_eq!(lab.tick().event.unwrap().code, "inconclusive");
    let StageState::Soaking { reread_at, .. } = lab.state(2) else {
        panic!()
    };
    assert_eq!(*reread_at, Some(150), "half as many outcomes again");
    assert!(!lab.tick().changed(), "it is read once");
    // It would hold at 149 outcomes, and is not read.
    lab.snapshot.evidence.all.failed = 0;
    lab.snapshot.stages[2].counts.failed = 0;
    lab.snapshot.stages[2].counts.ok += 4;
    lab.succeed(2, 49);
    assert_eq!(lab.gate(2).verdict, Verdict::Inconclusive);
    assert!(
        lab.why().contains("read again at 150 outcomes"),
        "{}",
        lab.why()
    );
    assert!(!lab.tick().changed());
    lab.succeed(2, 1);
    assert_eq!(lab.tick().event.unwrap().code, "stage_passed");
}

#[test]
fn a_bound_that_is_missed_again_is_read_again_after_half_as_many_outcomes_again() {
    let mut lab = soaked(400);
    lab.snapshot.rollout.state = engine::rollout::RolloutState::Active;
    for earlier in [0, 1] {
        lab.snapshot.stages[earlier].state = StageState::Passed {
            at: lab.snapshot.service_now,
            overridden: false,
        };
    }
    lab.snapshot.stages[2].policy.coverage = Percent(50.0);
    lab.succeed(2, 190).lose(2, 10);
    let reread = |lab: &Lab| match lab.state(2) {
        StageState::Soaking { reread_at, .. } => *reread_at,
        other => panic!("{other:?}"),
    };
    assert_eq!(lab.tick().event.unwrap().code, "inconclusive");
    assert_eq!(reread(&lab), Some(300));
    // Exactly so many outcomes, and still too many that are no success.
    lab.succeed(2, 90).lose(2, 10);
    assert_eq!(lab.tick().event.unwrap().code, "inconclusive");
    assert_eq!(reread(&lab), Some(450));
}

#[test]
fn once_every_outcome_is_in_a_lost_device_that_comes_back_counts() {
    let mut lab = soaked(60);
    lab.succeed(2, 59).lose(2, 1);
    let StageState::Soaking { reread_at, .. } = &mut lab.snapshot.stages[2].state else {
        panic!()
    };
    *reread_at = Some(90);
    assert_eq!(lab.gate(2).verdict, Verdict::Inconclusive);
    lab.snapshot.stages[2].counts.ok += 1;
    assert!(lab.gate(2).passes());
}

#[test]
fn the_sample_is_capped_at_the_size_of_the_ring() {
    let mut lab = soaked(12);
    lab.snapshot.stages[2].policy.failures = FailureLimit::None;
    lab.succeed(2, 11);
    assert_eq!(verdict(&lab.gate(2), Criterion::Sample), Verdict::Wait);
    assert_eq!(
        sentence(&lab.gate(2), Criterion::Sample),
        "11 devices reported an outcome; 12 are needed."
    );
    lab.succeed(2, 1);
    assert!(lab.gate(2).passes());
}

#[test]
fn an_expedited_repair_of_a_handful_passes_when_it_is_clean() {
    let mut lab = Lab::of(Preset::Expedited, &[("Test", 2), ("Broad", 3)]);
    lab.succeed(1, 3);
    let since = lab.snapshot.service_now - Duration::hours(4);
    lab.snapshot.stages[1].state = StageState::Soaking {
        since,
        reread_at: None,
    };
    assert!(lab.gate(1).passes());
}

#[test]
fn an_empty_ring_is_not_complete_a_brake_elsewhere_still_waits() {
    let mut lab = soaked(0);
    let all = &mut lab.snapshot.evidence.all;
    (all.started, all.ok, all.failed, all.resolved) = (13, 10, 3, 13);
    assert!(lab.snapshot.assess().any_brake() && lab.snapshot.assess().halt.is_none());
    assert_eq!(verdict(&lab.gate(2), Criterion::NotHalted), Verdict::Wait);
}

#[test]
fn one_clean_device_shows_a_limit_of_everything_and_none_shows_a_limit_of_nothing() {
    assert_eq!(clean_sample_needed(1.0), 1);
    assert_eq!(clean_sample_needed(7.0), 1);
    assert!(clean_sample_needed(0.0) > 1_000_000_000);
}
