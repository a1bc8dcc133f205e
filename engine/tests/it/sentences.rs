//! Every sentence that the rules can say to a person, in one place each, to be read as people read them.

use chrono::Duration;
use engine::admission::WaitReason;
use engine::approval::VoidReason;
use engine::decide::{Input, Refused};
use engine::gate::{Criterion, OobeEvidence, Verdict};
use engine::halt::{HaltCause, Stream};
use engine::ids::{CohortId, RequestId, RolloutId};
use engine::policy::{FailureLimit, Percent};
use engine::rollout::{HaltReason, RolloutState};
use engine::stage::{StageState, may_permit};
use servicing::{NotApplicable, NotReady, Sha256, UpdateAuthority};
use uuid::Uuid;

use crate::lab::{ADMIN, ANN, AUTHOR, BOB, Lab, VIEWER, at};

/// Lines `what: sentence`. A sentence begins with a capital or a number and ends as one.
struct Table(Vec<String>);

impl Table {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, what: &str, sentence: &str) {
        let first = sentence.chars().next().unwrap_or(' ');
        assert!(first.is_uppercase() || first.is_ascii_digit(), "{sentence}");
        assert!(sentence.ends_with(['.', '!', '?']), "{sentence}");
        assert!(!sentence.contains("  "), "{sentence}");
        assert!(!sentence.contains(".."), "{sentence}");
        self.0.push(format!("{what}: {sentence}"));
    }

    fn text(self) -> String {
        self.0.join("\n")
    }
}

fn cause(stream: Stream, failures: u64) -> HaltCause {
    HaltCause {
        stream,
        cohort: CohortId(7),
        name: "Latitude 7450".to_owned(),
        failures,
        started: 12,
    }
}

fn why() -> String {
    "month end".to_owned()
}

#[test]
fn why_a_rollout_is_where_it_is() {
    let mut table = Table::new();
    let since = at("2026-04-07T08:00:00Z");
    let states = [
        RolloutState::Draft,
        RolloutState::Scheduled {
            not_before: at("2026-04-09T12:00:00Z"),
        },
        RolloutState::Paused {
            by: ANN,
            reason: why(),
            since,
        },
        RolloutState::Halted {
            reason: HaltReason::Evidence {
                cause: cause(Stream::Failure, 4),
            },
            since,
        },
        RolloutState::Halted {
            reason: HaltReason::Person {
                by: ANN,
                reason: why(),
            },
            since,
        },
        RolloutState::Completed { at: since },
        RolloutState::Cancelled { reason: why() },
        RolloutState::Superseded {
            by: RolloutId(Uuid::from_u128(12)),
        },
        RolloutState::Withdrawn { reason: why() },
    ];
    for state in states {
        let mut lab = Lab::new();
        lab.snapshot.rollout.state = state;
        // Nothing may move it: what is shown is the state itself.
        lines(&mut table, &lab);
    }
    insta::assert_snapshot!(table.text());
}

/// The reasons of a rollout as they are now.
fn lines(table: &mut Table, lab: &Lab) {
    for line in lab.why().lines() {
        let (code, sentence) = line.split_once(": ").unwrap();
        table.add(code, sentence);
    }
}

#[test]
fn why_an_active_rollout_waits() {
    let mut table = Table::new();

    let mut next = Lab::new();
    next.snapshot.rollout.state = RolloutState::Active;
    next.snapshot.stages[0].policy.approvals = 0;
    next.snapshot.released_at = Some(next.snapshot.service_now - Duration::hours(30));
    next.snapshot.stages[0].policy.minimum_age_days = 3;
    next.snapshot.blocking_issues = vec!["BitLocker asks for its key on Latitude 7450".to_owned()];
    lines(&mut table, &next);
    next.snapshot.released_at = None;
    next.snapshot.blocking_issues.clear();
    lines(&mut table, &next);

    let mut opened = Lab::started();
    lines(&mut table, &opened);
    opened.succeed(0, 5);
    opened.settle();
    lines(&mut table, &opened);

    let mut asked = Lab::with_passed(3);
    lines(&mut table, &asked);
    let _half = asked.approve(ANN);
    lines(&mut table, &asked);

    let mut alone = Lab::with_passed(2);
    for person in [ANN, BOB, AUTHOR] {
        alone.snapshot.people.get_mut(&person).unwrap().enabled = false;
    }
    alone.snapshot.rollout.author = ADMIN;
    let _yes = alone.approve(ADMIN).unwrap();
    lines(&mut table, &alone);

    let mut over = Lab::started();
    over.succeed(0, 3);
    let _asked = over
        .act(Input::RequestOverride {
            by: ADMIN,
            reason: why(),
        })
        .unwrap();
    lines(&mut table, &over);

    insta::assert_snapshot!(table.text());
}

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

#[test]
fn what_is_refused() {
    let mut table = Table::new();
    let mut refuse = |what: &str, answer: Result<engine::Decision, Refused>| {
        let refused = answer.expect_err(what);
        table.add(&format!("{what} ({})", refused.code), &refused.sentence);
    };
    let submit = |by| Input::Submit {
        by,
        not_before: None,
    };
    let reason = why();
    let pause = |by, reason: &str| Input::Pause {
        by,
        reason: reason.to_owned(),
    };

    refuse("submit, not the author", Lab::new().act(submit(VIEWER)));
    refuse("submit twice", Lab::started().act(submit(AUTHOR)));
    let mut withdrawn = Lab::new();
    withdrawn.snapshot.withdrawn = Some(reason.clone());
    refuse("submit withdrawn", withdrawn.act(submit(AUTHOR)));
    let mut none = Lab::new();
    none.snapshot.stages.clear();
    refuse("submit without rings", none.act(submit(AUTHOR)));
    let mut wrong = Lab::new();
    wrong.snapshot.stages[1].policy.coverage = Percent(20.0);
    refuse("submit a wrong policy", wrong.act(submit(AUTHOR)));

    let stranger = engine::ids::PersonId(Uuid::from_u128(99));
    refuse(
        "pause, a stranger",
        Lab::started().act(pause(stranger, &reason)),
    );
    refuse("pause without reason", Lab::started().act(pause(ANN, " ")));
    refuse("pause a draft", Lab::new().act(pause(ANN, &reason)));
    let mut paused = Lab::started();
    let _paused = paused.act(pause(ANN, &reason)).unwrap();
    let resume = |by| Input::Resume {
        by,
        reason: reason.clone(),
    };
    refuse("resume, a viewer", paused.act(resume(VIEWER)));
    refuse("resume what goes on", Lab::started().act(resume(ANN)));
    let halt = |by| Input::Halt {
        by,
        reason: reason.clone(),
    };
    refuse("halt a draft", Lab::new().act(halt(ANN)));
    let clear = |by| Input::ClearHalt {
        by,
        reason: reason.clone(),
    };
    refuse("clear, not an admin", Lab::started().act(clear(ANN)));
    refuse("clear what is not halted", Lab::started().act(clear(ADMIN)));
    let cancel = |by| Input::Cancel {
        by,
        reason: reason.clone(),
    };
    refuse("cancel, not the author", Lab::started().act(cancel(ANN)));
    let mut over = Lab::started();
    let _over = over.act(cancel(AUTHOR)).unwrap();
    refuse("cancel twice", over.act(cancel(AUTHOR)));
    let supersede = Input::Supersede {
        newer: RolloutId(Uuid::from_u128(12)),
    };
    refuse("supersede a draft", Lab::new().act(supersede));

    let request_override = |by| Input::RequestOverride {
        by,
        reason: reason.clone(),
    };
    refuse(
        "override, not an admin",
        Lab::started().act(request_override(ANN)),
    );
    refuse("override a draft", Lab::new().act(request_override(ADMIN)));
    let mut harmful = Lab::with_passed(1);
    harmful.fail(1, 6);
    refuse("override a halt", harmful.act(request_override(ADMIN)));
    refuse(
        "override, no ring open",
        Lab::with_passed(2).act(request_override(ADMIN)),
    );
    let mut twice = Lab::started();
    let _first = twice.act(request_override(ADMIN)).unwrap();
    refuse("override twice", twice.act(request_override(ADMIN)));
    let mut holds = Lab::started();
    holds.succeed(0, 5);
    holds.settle();
    holds.wait(24 * 7);
    refuse("override what passes", holds.act(request_override(ADMIN)));

    let yes = |lab: &Lab, by| {
        let request = lab.open_request().unwrap();
        Input::Approve {
            by,
            request: request.id,
            hash: request.hash,
        }
    };
    let asked = || Lab::with_passed(2);
    let mut lab = asked();
    let approval = yes(&lab, AUTHOR);
    refuse("approve, the author", lab.act(approval));
    let approval = yes(&lab, VIEWER);
    refuse("approve, a viewer", lab.act(approval));
    let request = lab.open_request().unwrap().id;
    let other = Input::Approve {
        by: ANN,
        request,
        hash: Sha256::of(b"something else"),
    };
    refuse("approve what was not seen", lab.act(other));
    let gone = Input::Approve {
        by: ANN,
        request: RequestId(Uuid::nil()),
        hash: Sha256::of(b""),
    };
    refuse("approve what is not open", lab.act(gone));
    lab.snapshot.stages[2].targeted *= 2;
    let approval = yes(&lab, ANN);
    refuse("approve what is void", lab.act(approval));
    let mut young = Lab::with_passed(2);
    let approval = yes(&young, ANN);
    young.snapshot.blocking_issues = vec!["BitLocker asks for its key".to_owned()];
    refuse("approve while an issue holds", young.act(approval));
    let mut late = asked();
    late.wait(24 * 8);
    let approval = yes(&late, ANN);
    refuse("approve too late", late.act(approval));
    let mut broad = Lab::with_passed(3);
    let approval = yes(&broad, ANN);
    let _once = broad.act(approval.clone()).unwrap();
    refuse("approve twice", broad.act(approval));
    let mut own = Lab::started();
    own.snapshot.people.get_mut(&ADMIN).unwrap().approver = true;
    let _asked = own.act(request_override(ADMIN)).unwrap();
    let approval = yes(&own, ADMIN);
    refuse("approve one's own request", own.act(approval));
    let no = |lab: &Lab, by| Input::Reject {
        by,
        request: lab.open_request().unwrap().id,
        reason: reason.clone(),
    };
    let mut lab = asked();
    let rejection = no(&lab, VIEWER);
    refuse("reject, a viewer", lab.act(rejection));
    let rejection = no(&lab, ANN);
    lab.snapshot.rollout.state = RolloutState::Draft;
    refuse("reject what does not go on", lab.act(rejection));

    let permit = |rollout, stage| may_permit(rollout, stage).unwrap_err().sentence;
    let active = RolloutState::Active;
    let waits = StageState::AwaitingApproval {
        request: RequestId(Uuid::nil()),
    };
    table.add(
        "permit",
        &permit(&RolloutState::Draft, &StageState::Waiting),
    );
    table.add("permit", &permit(&active, &StageState::Waiting));
    table.add("permit", &permit(&active, &waits));

    insta::assert_snapshot!(table.text());
}

/// The same rollout once more.
fn copy(lab: &Lab) -> Lab {
    Lab {
        snapshot: lab.snapshot.clone(),
    }
}

/// Ticks until nothing changes, and notes what happened.
fn settle(table: &mut Table, lab: &mut Lab) {
    while let Some(event) = lab.tick().event {
        table.add(&event.code, &event.sentence);
    }
}

#[test]
fn what_happened() {
    let mut table = Table::new();
    let now = Lab::new().snapshot.service_now;
    let reason = why;

    let mut lab = Lab::new();
    let act = |table: &mut Table, lab: &mut Lab, input| {
        let event = lab.act(input).unwrap().event.unwrap();
        table.add(&event.code, &event.sentence);
    };
    let later = Input::Submit {
        by: AUTHOR,
        not_before: Some(now + Duration::hours(2)),
    };
    act(&mut table, &mut lab, later);
    lab.wait(2);
    settle(&mut table, &mut lab);
    lab.succeed(0, 5);
    settle(&mut table, &mut lab);
    lab.wait(24 * 7);
    settle(&mut table, &mut lab);
    let (by, asked) = (ADMIN, reason());
    act(
        &mut table,
        &mut lab,
        Input::RequestOverride { by, reason: asked },
    );
    let approve = |lab: &Lab, by| {
        let request = lab.open_request().unwrap();
        Input::Approve {
            by,
            request: request.id,
            hash: request.hash,
        }
    };
    let yes = approve(&lab, ANN);
    act(&mut table, &mut lab, yes);
    settle(&mut table, &mut lab);
    let yes = approve(&lab, ANN);
    act(&mut table, &mut lab, yes);
    lab.succeed(2, 94).fail(2, 3);
    settle(&mut table, &mut lab);
    lab.wait(24 * 7);
    settle(&mut table, &mut lab);

    let mut lab = Lab::with_passed(3);
    let yes = approve(&lab, ANN);
    act(&mut table, &mut lab, yes);
    lab.snapshot.stages[3].targeted *= 2;
    settle(&mut table, &mut lab);
    lab.wait(24 * 7);
    settle(&mut table, &mut lab);

    let mut lab = Lab::with_passed(2);
    let request = lab.open_request().unwrap().id;
    let no = Input::Reject {
        by: ANN,
        request,
        reason: reason(),
    };
    act(&mut table, &mut lab, no);
    let resume = Input::Resume {
        by: ANN,
        reason: reason(),
    };
    act(&mut table, &mut lab, resume);
    for input in [
        Input::Pause {
            by: ANN,
            reason: reason(),
        },
        Input::Halt {
            by: ANN,
            reason: reason(),
        },
        Input::ClearHalt {
            by: ADMIN,
            reason: reason(),
        },
    ] {
        act(&mut table, &mut lab, input);
    }
    let newer = RolloutId(Uuid::from_u128(12));
    act(&mut table, &mut copy(&lab), Input::Supersede { newer });
    let cancel = Input::Cancel {
        by: AUTHOR,
        reason: reason(),
    };
    act(&mut table, &mut copy(&lab), cancel);
    let mut harmful = copy(&lab);
    harmful.fail(1, 20);
    settle(&mut table, &mut harmful);
    lab.snapshot.withdrawn = Some(reason());
    settle(&mut table, &mut lab);

    let mut last = Lab::with_passed(3);
    last.approve_all();
    last.succeed(3, 500);
    settle(&mut table, &mut last);
    last.wait(24 * 7);
    settle(&mut table, &mut last);
    insta::assert_snapshot!(table.text());
}

#[test]
fn why_a_request_is_void_a_rollout_halts_and_a_device_waits() {
    let mut table = Table::new();
    for reason in [
        VoidReason::EvidenceWorsened,
        VoidReason::DigestChanged,
        VoidReason::PolicyChanged,
        VoidReason::RingChanged,
        VoidReason::RingGrew,
        VoidReason::RolloutStopped,
        VoidReason::NotNeeded,
    ] {
        table.add("void", reason.sentence());
    }
    for stream in [
        Stream::Failure,
        Stream::Severe,
        Stream::Silence,
        Stream::Overdue,
    ] {
        table.add("halt", &cause(stream, 4).sentence());
    }
    table.add("halt", &cause(Stream::Severe, 1).sentence());
    let cohort = CohortId(7);
    for reason in [
        WaitReason::Generation { cap: 1_024 },
        WaitReason::CohortGeneration { cohort, cap: 2 },
        WaitReason::DevicesAtOnce { limit: 60 },
        WaitReason::DevicesAtOnce { limit: 1 },
        WaitReason::PerDay { limit: 172 },
    ] {
        table.add("wait", &reason.sentence(Some("Latitude 7450")));
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn why_an_update_does_not_go_onto_a_device() {
    let mut table = Table::new();
    for reason in [
        NotApplicable::Product,
        NotApplicable::Family,
        NotApplicable::Series,
        NotApplicable::Architecture,
        NotApplicable::Edition,
        NotApplicable::ObservedOnly,
    ] {
        table.add(reason.word(), &reason.to_string());
    }
    let gib = |n: u64| n << 30;
    for reason in [
        NotReady::Disk {
            need_bytes: gib(12),
            free_bytes: gib(7),
        },
        NotReady::RestartPending,
        NotReady::Battery,
        NotReady::OobeRunning,
        NotReady::StoreNonRepairable,
        NotReady::Authority(UpdateAuthority::Wsus),
        NotReady::Authority(UpdateAuthority::Conflict),
    ] {
        table.add(reason.word(), &reason.to_string());
    }
    insta::assert_snapshot!(table.text());
}
