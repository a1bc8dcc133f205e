use chrono::Duration;
use engine::gate::{Criterion, OobeEvidence, Verdict};
use engine::policy::{FailureLimit, Percent};
use engine::rollout::{HaltReason, RolloutState};

use crate::lab::{ANN, Lab};

use super::{Table, why};

#[test]
fn what_a_criterion_says() {
    let mut table = Table::new();
    let mut say = |lab: &Lab, stage: usize, criterion: Criterion, verdict: Verdict| {
        let report = lab.gate(stage);
        let line = report.criterion(criterion).unwrap();
        assert_eq!(line.verdict, verdict, "{}", line.sentence);
        table.add(&format!("{} {verdict:?}", criterion.word()), &line.sentence);
    };
    let open = |stage: usize| {
        let mut lab = Lab::with_passed(stage);
        lab.approve_all();
        lab.settle();
        lab
    };

    // No halt, no brake, not withdrawn.
    let calm = open(1);
    say(&calm, 1, Criterion::NotHalted, Verdict::Pass);
    let mut withdrawn = open(1);
    withdrawn.snapshot.withdrawn = Some(why());
    say(&withdrawn, 1, Criterion::NotHalted, Verdict::Halt);
    let mut halted = open(1);
    halted.snapshot.rollout.state = RolloutState::Halted {
        reason: HaltReason::Person {
            by: ANN,
            reason: why(),
        },
        since: halted.snapshot.service_now,
    };
    say(&halted, 1, Criterion::NotHalted, Verdict::Halt);
    let mut bad = open(1);
    bad.fail(1, 6);
    say(&bad, 1, Criterion::NotHalted, Verdict::Halt);
    let mut severe = open(1);
    severe.snapshot.stages[1].worst_severe = 2;
    say(&severe, 1, Criterion::NotHalted, Verdict::Inconclusive);
    let mut braked = open(1);
    braked.succeed(1, 5).fail(1, 3);
    say(&braked, 1, Criterion::NotHalted, Verdict::Wait);

    // Sample, coverage.
    let mut empty = open(1);
    empty.snapshot.stages[1].targeted = 0;
    say(&empty, 1, Criterion::Sample, Verdict::Wait);
    say(&empty, 1, Criterion::Coverage, Verdict::Wait);
    let mut some = open(1);
    some.succeed(1, 1);
    some.snapshot.stages[1].not_ready = 1;
    say(&some, 1, Criterion::Sample, Verdict::Wait);
    say(&some, 1, Criterion::Coverage, Verdict::Wait);

    // Soak.
    say(&some, 1, Criterion::Soak, Verdict::Wait);
    let mut soaking = open(1);
    soaking.snapshot.released_at = Some(soaking.snapshot.service_now - Duration::days(8));
    soaking.succeed(1, 20);
    soaking.settle();
    say(&soaking, 1, Criterion::Soak, Verdict::Wait);
    soaking.wait(24 * 7);
    say(&soaking, 1, Criterion::Soak, Verdict::Pass);
    say(&open(2), 1, Criterion::Soak, Verdict::Pass);

    // Failures.
    say(&calm, 1, Criterion::Failures, Verdict::Wait);
    let mut flying = open(1);
    flying.permit(1, 2).succeed(1, 3);
    say(&flying, 1, Criterion::Failures, Verdict::Wait);
    flying.fail(1, 1);
    say(&flying, 1, Criterion::Failures, Verdict::Wait);
    let mut read = open(2);
    read.succeed(2, 90).fail(2, 4);
    read.settle();
    read.wait(24 * 7);
    read.settle();
    say(&read, 2, Criterion::Failures, Verdict::Inconclusive);
    say(&soaking, 1, Criterion::Failures, Verdict::Pass);
    let first = Lab::started();
    say(&first, 0, Criterion::Failures, Verdict::Wait);
    let mut first = Lab::started();
    first.permit(0, 1).succeed(0, 1);
    say(&first, 0, Criterion::Failures, Verdict::Wait);
    first.fail(0, 1);
    say(&first, 0, Criterion::Failures, Verdict::Inconclusive);
    let mut clean = Lab::started();
    clean.succeed(0, 5);
    say(&clean, 0, Criterion::Failures, Verdict::Pass);

    // Drift, telemetry.
    say(&calm, 1, Criterion::Drift, Verdict::Pass);
    let mut drifted = open(1);
    drifted.succeed(1, 3).drift(1, 1);
    say(&drifted, 1, Criterion::Drift, Verdict::Inconclusive);
    say(&calm, 1, Criterion::Telemetry, Verdict::Wait);
    say(&some, 1, Criterion::Telemetry, Verdict::Pass);
    let mut deaf = open(1);
    deaf.permit(1, 10);
    deaf.snapshot.stages[1].telemetry.heard = 4;
    say(&deaf, 1, Criterion::Telemetry, Verdict::Wait);
    deaf.snapshot.stages[1].telemetry.ingest_running = false;
    say(&deaf, 1, Criterion::Telemetry, Verdict::Wait);

    // Out-of-Box Experience.
    let oobe = |failed, attempts, median_s, control_median_s| {
        let mut lab = open(1);
        lab.snapshot.stages[1].policy.failures = FailureLimit::Bound(Percent(5.0));
        lab.snapshot.stages[1].oobe = Some(OobeEvidence {
            attempts,
            failed,
            median_s,
            control_median_s,
        });
        lab
    };
    say(&calm, 1, Criterion::OobeFailures, Verdict::Off);
    say(&calm, 1, Criterion::OobeDuration, Verdict::Off);
    let few = oobe(0, 31, None, None);
    say(&few, 1, Criterion::OobeFailures, Verdict::Off);
    say(&few, 1, Criterion::OobeDuration, Verdict::Wait);
    let fine = oobe(0, 80, Some(1_980), Some(1_860));
    say(&fine, 1, Criterion::OobeFailures, Verdict::Pass);
    say(&fine, 1, Criterion::OobeDuration, Verdict::Pass);
    let slow = oobe(1, 31, Some(3_980), Some(1_860));
    say(&slow, 1, Criterion::OobeFailures, Verdict::Inconclusive);
    say(&slow, 1, Criterion::OobeDuration, Verdict::Inconclusive);
    let unknown = oobe(1, 31, Some(3_980), None);
    say(&unknown, 1, Criterion::OobeDuration, Verdict::Off);

    // Known issues and age.
    say(&calm, 1, Criterion::KnownIssues, Verdict::Pass);

    insta::assert_snapshot!(table.text());
}
