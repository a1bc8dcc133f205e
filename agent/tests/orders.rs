//! What an agent does with orders: the right ones, the wrong ones, and those that change their mind.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use agent::core::{Action, Status};
use agent_protocol::{EventKind, Order, PermitAnswer};
use chrono::TimeDelta;
use support::server::{ROLLOUT, Stage};
use support::{Rig, manifest, publisher, sequence, start};
use uuid::Uuid;

fn permitted() -> Rig {
    let mut rig = Rig::new();
    rig.until(|rig| {
        rig.server
            .devices
            .values()
            .any(|device| device.stage == Stage::Agreed)
    });
    // Hold everything back until the test has said what the server orders.
    rig.server.forced = Some(Order::RequestPermit { rollout: ROLLOUT });
    rig.until_status(Status::Permitted);
    rig
}

fn run_step(rig: &Rig, change: impl FnOnce(&mut Order)) -> Order {
    let mut order = Order::RunStep {
        rollout: ROLLOUT,
        digest: rig.server.digest(),
        permit_no: 1,
        step: 1,
        of: 2,
        packages: vec!["KB5043080".to_owned()],
    };
    change(&mut order);
    order
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Order), reason: &str) {
    let mut rig = permitted();
    rig.server.forced = Some(run_step(&rig, change));
    rig.for_hours(1);
    assert_eq!(rig.refusals(), [reason], "once, and not at every poll");
    assert_eq!(rig.installs(), 0);
}

#[test]
fn a_server_that_is_taken_over_can_not_invent_reorder_or_skip() {
    refused(
        |order| {
            if let Order::RunStep { step, .. } = order {
                *step = 2;
            }
        },
        "step",
    );
    refused(
        |order| {
            if let Order::RunStep { step, .. } = order {
                *step = 0;
            }
        },
        "step",
    );
    refused(
        |order| {
            if let Order::RunStep { of, .. } = order {
                *of = 1;
            }
        },
        "plan differs",
    );
    refused(
        |order| {
            if let Order::RunStep { packages, .. } = order {
                *packages = vec!["KB5079391".to_owned()];
            }
        },
        "plan differs",
    );
    refused(
        |order| {
            if let Order::RunStep { packages, .. } = order {
                packages.push("KB5079391".to_owned());
            }
        },
        "plan differs",
    );
    refused(
        |order| {
            if let Order::RunStep { permit_no, .. } = order {
                *permit_no = 2;
            }
        },
        "permit",
    );
    let unknown = "this rollout was not prepared here";
    refused(
        |order| {
            if let Order::RunStep { rollout, .. } = order {
                *rollout = Uuid::from_u128(1);
            }
        },
        unknown,
    );
    refused(
        |order| {
            if let Order::RunStep { digest, .. } = order {
                *digest = "00".repeat(32);
            }
        },
        unknown,
    );
}

#[test]
fn the_right_step_runs_and_the_next_one_only_after_its_restart() {
    let mut rig = permitted();
    rig.server.forced = Some(run_step(&rig, |_| {}));
    rig.until_noted(|kind| {
        matches!(
            kind,
            EventKind::StepDone {
                step: 1,
                restart_needed: true,
                ..
            }
        )
    });
    assert_eq!(rig.installs(), 1);
    let second = |order: &mut Order| {
        if let Order::RunStep { step, packages, .. } = order {
            *step = 2;
            *packages = vec!["KB5079391".to_owned()];
        }
    };
    rig.server.forced = Some(run_step(&rig, second));
    rig.for_hours(1);
    assert_eq!(rig.refusals(), ["a restart comes first"]);
    rig.server.forced = Some(Order::Restart {
        rollout: ROLLOUT,
        step: 2,
    });
    rig.for_hours(1);
    assert_eq!(rig.refusals().last().unwrap(), "no restart is due");
    rig.server.forced = Some(Order::Restart {
        rollout: ROLLOUT,
        step: 1,
    });
    rig.until_noted(|kind| matches!(kind, EventKind::Restarted { step: 1, .. }));
    rig.for_hours(1);
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::Restarted { .. })),
        1,
        "an old order restarts nothing again"
    );
    let other_permit = |order: &mut Order| {
        second(order);
        if let Order::RunStep { permit_no, .. } = order {
            *permit_no = 9;
        }
    };
    rig.server.forced = Some(run_step(&rig, other_permit));
    rig.for_hours(1);
    assert_eq!(rig.refusals().last().unwrap(), "permit");
    rig.server.forced = Some(run_step(&rig, |order| {
        if let Order::RunStep { step, .. } = order {
            *step = 3;
        }
    }));
    rig.for_hours(1);
    assert_eq!(rig.refusals().last().unwrap(), "step");
    rig.server.forced = Some(run_step(&rig, |_| {}));
    rig.for_hours(1);
    assert_eq!(rig.installs(), 1, "what is done is not done again");
    assert_eq!(rig.refusals().len(), 4, "and an old order is no crime");
    rig.server.forced = Some(run_step(&rig, second));
    rig.until(|rig| rig.installs() == 2);
    assert_eq!(rig.core.status(), Status::Installing);
}

#[test]
fn a_restart_waits_for_the_time_people_agreed_to() {
    let mut rig = Rig::new();
    rig.until_noted(|kind| matches!(kind, EventKind::RestartAgreed { .. }));
    let agreed = rig.committed.last().unwrap().clone();
    let EventKind::RestartAgreed { restart_in_s, .. } = agreed.kind else {
        panic!()
    };
    let at = agreed.at + TimeDelta::seconds(restart_in_s.into());
    rig.until(|rig| rig.acted.contains(&Action::Restart));
    assert!(
        rig.now >= at,
        "restarted at {} and agreed for {at}",
        rig.now
    );
}

#[test]
fn nothing_starts_on_hold() {
    let hold = || Some(Order::Hold { rollout: ROLLOUT });
    let mut rig = permitted();
    rig.server.forced = hold();
    rig.for_hours(24);
    assert_eq!(rig.installs(), 0);

    let mut rig = Rig::new();
    rig.until(|rig| !rig.acted.is_empty() && rig.core.status() == Status::RestartAgreed);
    rig.server.forced = hold();
    rig.for_hours(24);
    assert!(!rig.server.calls.contains_key("permit"));

    let mut rig = Rig::new();
    rig.until_noted(|kind| matches!(kind, EventKind::StepDone { .. }));
    rig.server.forced = hold();
    rig.for_hours(24);
    assert!(!rig.acted.contains(&Action::Restart));
    assert_eq!(rig.core.status(), Status::Restarting);
}

#[test]
fn a_hold_that_arrives_while_facts_are_read_stops_the_step() {
    let mut rig = permitted();
    rig.server.forced = Some(run_step(&rig, |_| {}));
    let reads = |rig: &Rig| {
        rig.acted
            .iter()
            .filter(|action| **action == Action::Read)
            .count()
    };
    let before = reads(&rig);
    rig.until(|rig| reads(rig) > before);
    let assignment = agent_protocol::Assignment {
        order: Order::Hold { rollout: ROLLOUT },
        why: "halted".to_owned(),
        inventory_digest: None,
    };
    rig.server.forced = Some(assignment.order.clone());
    // The poll under way at the same time is answered first.
    rig.for_hours(2);
    assert!(rig.installs() <= 1);
}

#[test]
fn a_plan_that_no_longer_holds_is_not_begun() {
    let mut rig = permitted();
    rig.device.facts_mut().build = "26100.1742".parse().unwrap();
    rig.server.forced = Some(run_step(&rig, |_| {}));
    rig.for_hours(1);
    assert_eq!(rig.refusals(), ["plan differs"]);
    assert_eq!(rig.installs(), 0);
}

#[test]
fn a_device_that_is_not_ready_at_the_last_moment_waits_and_goes_on_by_itself() {
    let mut rig = permitted();
    rig.device.facts_mut().on_battery = true;
    rig.server.forced = Some(run_step(&rig, |_| {}));
    rig.for_hours(1);
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::NotReady { reason, .. } if reason == "battery")),
        1
    );
    assert_eq!(rig.installs(), 0);
    rig.device.facts_mut().on_battery = false;
    rig.for_hours(1);
    assert_eq!(rig.installs(), 1);
}

#[test]
fn an_expired_manifest_starts_nothing() {
    let mut rig = permitted();
    rig.server.permit = Some(PermitAnswer::Granted {
        permit_no: 1,
        start_within_s: u32::MAX,
    });
    rig.server.forced = Some(Order::Hold { rollout: ROLLOUT });
    rig.for_hours(24 * 61);
    rig.server.forced = Some(run_step(&rig, |_| {}));
    rig.for_hours(24);
    assert_eq!(
        (rig.refusals().as_slice(), rig.installs()),
        (&["expired".to_owned()][..], 0)
    );
}

#[test]
fn a_permit_that_was_not_used_in_time_is_asked_for_again() {
    let mut rig = permitted();
    rig.server.forced = Some(Order::Hold { rollout: ROLLOUT });
    rig.for_hours(3);
    let asked = rig.server.calls["permit"];
    rig.server.forced = None;
    rig.until_status(Status::Succeeded);
    assert!(rig.server.calls["permit"] > asked);
    rig.until_delivered().check();
}

#[test]
fn a_permit_is_waited_for_as_long_as_the_server_says() {
    let mut rig = Rig::new();
    rig.server.permit = Some(PermitAnswer::Wait {
        retry_after_s: 1200,
        why: "full".to_owned(),
    });
    rig.until(|rig| rig.server.calls.contains_key("permit"));
    rig.for_hours(1);
    assert!(
        (3..=5).contains(&rig.server.calls["permit"]),
        "{:?}",
        rig.server.calls
    );
    rig.server.permit = None;
    rig.until_status(Status::Succeeded);
}

#[test]
fn a_refused_permit_is_asked_for_again_only_after_a_poll() {
    let mut rig = Rig::new();
    let refused = PermitAnswer::Refused {
        reason: "halted".to_owned(),
        why: "halted".to_owned(),
    };
    rig.server.permit = Some(refused);
    rig.until(|rig| rig.server.calls.contains_key("permit"));
    let polls = rig.server.calls["poll"];
    rig.for_hours(1);
    assert!(rig.server.calls["permit"] <= 1 + rig.server.calls["poll"] - polls);
    assert!(rig.server.calls["permit"] > 3);
    assert_eq!(rig.installs(), 0);
    rig.server.permit = None;
    rig.until_status(Status::Succeeded);
}

#[test]
fn an_agreement_that_is_hours_old_is_made_again() {
    let mut rig = Rig::new();
    rig.server.permit = Some(PermitAnswer::Wait {
        retry_after_s: 600,
        why: "full".to_owned(),
    });
    rig.until(|rig| rig.server.calls.contains_key("permit"));
    rig.for_hours(8);
    assert!(rig.count(|kind| matches!(kind, EventKind::RestartAgreed { .. })) > 1);
}

#[test]
fn people_are_not_asked_while_the_server_lets_nobody_start() {
    let mut rig = Rig::new();
    let closed = 6 * 3600;
    rig.server.permit = Some(PermitAnswer::Wait {
        retry_after_s: closed,
        why: "outside of the window".to_owned(),
    });
    rig.until(|rig| rig.server.calls.contains_key("permit"));
    let agreed = |rig: &Rig| rig.count(|kind| matches!(kind, EventKind::RestartAgreed { .. }));
    rig.for_hours(5);
    assert_eq!(agreed(&rig), 1, "what they said is long over");
    rig.for_hours(2);
    assert_eq!(agreed(&rig), 2, "now they are");
}

#[test]
fn people_can_postpone_and_are_asked_again_when_their_time_is_over() {
    let scenario = support::rig::CALM.replace(
        "[population]",
        "postpone_rate = 1\npostpone_min = 90\n[population]",
    );
    let mut rig = Rig::with(&scenario, |_| {});
    rig.until_noted(|kind| matches!(kind, EventKind::RestartPostponed { by_s: 5400, .. }));
    rig.for_hours(6);
    let asked = rig.count(|kind| matches!(kind, EventKind::RestartPostponed { .. }));
    assert!((3..=5).contains(&asked), "{asked}");
    assert!(!rig.server.calls.contains_key("permit"));
}

#[test]
fn a_restart_is_put_off_until_its_deadline_and_no_longer() {
    let scenario = support::rig::CALM.replace(
        "[population]",
        "postpone_rate = 1\npostpone_min = 90\n[population]",
    );
    let mut rig = Rig::with(&scenario, |_| {});
    let deadline = rig.now + TimeDelta::hours(12);
    rig.server.deadline = Some((deadline, 1800));
    rig.until_status(Status::Ready);
    rig.until(|rig| rig.now >= deadline - TimeDelta::minutes(5));
    let agreed = |rig: &Rig| rig.count(|kind| matches!(kind, EventKind::RestartAgreed { .. }));
    assert_eq!(agreed(&rig), 0, "people put it off");
    let postponed =
        |rig: &Rig| rig.count(|kind| matches!(kind, EventKind::RestartPostponed { .. }));
    assert!(postponed(&rig) > 4, "again and again: {}", postponed(&rig));
    rig.for_hours(1);
    assert_eq!(agreed(&rig), 1, "the deadline is over");
    let restart = rig
        .committed
        .iter()
        .rev()
        .find_map(|event| match event.kind {
            EventKind::RestartAgreed { restart_in_s, .. } => Some(restart_in_s),
            _ => None,
        });
    assert!(
        restart.is_some_and(|seconds| seconds <= 1800),
        "{restart:?}"
    );
}

#[test]
fn an_agreement_later_than_a_new_deadline_is_made_again() {
    let mut rig = Rig::new();
    rig.until_status(Status::RestartAgreed);
    rig.server.forced = Some(Order::AgreeRestart {
        rollout: ROLLOUT,
        deadline_s: None,
        grace_s: 0,
    });
    rig.for_hours(1);
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::RestartAgreed { .. })),
        1,
        "it stands"
    );
    rig.server.forced = Some(Order::AgreeRestart {
        rollout: ROLLOUT,
        deadline_s: Some(60),
        grace_s: 30,
    });
    rig.until(|rig| rig.count(|kind| matches!(kind, EventKind::RestartAgreed { .. })) == 2);
    assert!(matches!(
        rig.committed.last().unwrap().kind,
        EventKind::RestartAgreed {
            restart_in_s: ..=60,
            ..
        }
    ));
}

#[test]
fn orders_for_a_rollout_that_was_not_prepared_are_refused() {
    let rollout = ROLLOUT;
    for order in [
        Order::AgreeRestart {
            rollout,
            deadline_s: None,
            grace_s: 0,
        },
        Order::RequestPermit { rollout },
        Order::Restart { rollout, step: 1 },
        Order::Verify {
            rollout,
            expected_build: "26100.8116".to_owned(),
        },
        Order::RollBack {
            rollout,
            kb: "KB5079391".to_owned(),
        },
        Order::Remediate {
            rollout,
            action: agent_protocol::RemediationAction::RestoreHealth,
        },
    ] {
        let mut rig = Rig::new();
        rig.server.forced = Some(order);
        rig.for_hours(2);
        assert_eq!(rig.refusals().len(), 1, "{:?}", rig.refusals());
        assert!(rig.acted.iter().all(|action| *action == Action::Read));
    }
}

#[test]
fn verification_is_refused_before_the_steps_are_done_and_repeated_without_repeating_the_report() {
    let verify = || {
        Some(Order::Verify {
            rollout: ROLLOUT,
            expected_build: "26100.8116".to_owned(),
        })
    };
    let mut rig = permitted();
    rig.server.forced = verify();
    rig.for_hours(1);
    assert_eq!(rig.refusals(), ["steps or restarts are missing"]);
    rig.server.forced = None;
    rig.until_status(Status::Succeeded).until_delivered();
    rig.server.forced = verify();
    rig.for_hours(2);
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::Verified { .. })),
        1
    );
}

#[test]
fn another_rollout_does_not_replace_one_that_is_under_way() {
    let mut rig = Rig::new();
    rig.until_noted(|kind| matches!(kind, EventKind::StepDone { .. }));
    let other = Uuid::from_u128(0xB0);
    rig.server.forced = Some(Order::Prepare {
        rollout: other,
        digest: rig.server.digest(),
    });
    rig.for_hours(1);
    assert_eq!(rig.refusals(), ["another update is under way"]);

    let mut rig = Rig::new();
    rig.until_status(Status::RestartAgreed);
    rig.server.forced = Some(Order::Prepare {
        rollout: other,
        digest: rig.server.digest(),
    });
    rig.until_noted(
        |kind| matches!(kind, EventKind::DownloadDone { rollout } if *rollout == other),
    );
    assert_eq!(
        rig.core.status(),
        Status::Ready,
        "a newer one takes the place of one that has not begun"
    );
}

#[test]
fn a_full_inventory_is_sent_when_asked_for_once_per_order() {
    let mut rig = Rig::new();
    rig.server.forced = Some(Order::Reinventory);
    rig.for_hours(3);
    // Storing it makes a new version of the device, and with it a new answer, once.
    assert!(
        (1..=40).contains(&rig.server.calls["inventory"]),
        "{:?}",
        rig.server.calls
    );
    rig.server.forced = Some(Order::Nothing);
    rig.for_hours(1);
    let sent = rig.server.calls["inventory"];
    rig.for_hours(3);
    assert_eq!(rig.server.calls["inventory"], sent);
}

#[test]
fn nothing_is_run_that_no_pinned_key_signed() {
    type Spoil = fn(&mut Rig);
    let cases: [(&str, Spoil); 5] = [
        ("signature", |rig| {
            rig.server.manifest.key_id = "0".repeat(16);
        }),
        ("signature", |rig| {
            let other = manifest(sequence("together", "x64"), 5);
            rig.server.manifest.signature = other.signature;
        }),
        ("manifest unreadable", |rig| {
            rig.server.manifest.payload = "!".to_owned();
        }),
        ("expired", |rig| {
            let mut old: servicing::Manifest = rig
                .server
                .manifest
                .verify(&[publisher().verifying_key()], start(), 0)
                .unwrap();
            old.expires_at = start();
            rig.server.manifest = old.sign(&publisher());
        }),
        ("digest", |rig| {
            rig.server.manifest = manifest(sequence("together", "x64"), 5);
        }),
    ];
    for (reason, spoil) in cases {
        let mut rig = Rig::new();
        spoil(&mut rig);
        rig.for_hours(3);
        assert_eq!(rig.refusals(), [reason]);
        assert!(
            !rig.acted
                .iter()
                .any(|action| matches!(action, Action::Fetch(_)))
        );
    }
}

#[test]
fn a_manifest_older_than_one_seen_is_refused() {
    let mut rig = Rig::new();
    rig.until_status(Status::Succeeded);
    rig.server.manifest = manifest(rig.server.sequence.clone(), 4);
    rig.server.forced = Some(Order::Prepare {
        rollout: Uuid::from_u128(0xB0),
        digest: rig.server.digest(),
    });
    rig.for_hours(1);
    assert_eq!(rig.refusals(), ["counter"]);
}
