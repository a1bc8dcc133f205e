use chrono::Duration;
use engine::decide::Input;
use engine::halt::Stream;
use engine::ids::RolloutId;
use engine::rollout::{HaltReason, RolloutState};
use uuid::Uuid;

use crate::lab::{ADMIN, ANN, AUTHOR, BOB, Lab, at};

use super::{Table, cause, lines, why};

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
    let mut short = Lab::started();
    let _asked = short
        .act(Input::RequestExpedite {
            by: AUTHOR,
            reason: why(),
        })
        .unwrap();
    lines(&mut table, &short);

    insta::assert_snapshot!(table.text());
}

#[test]
fn why_an_active_rollout_waits() {
    let mut table = Table::new();

    let mut next = Lab::new();
    next.snapshot.rollout.state = RolloutState::Active;
    next.snapshot.stages[0].policy.approvals = 0;
    next.snapshot.released_at = Some(next.snapshot.service_now - Duration::hours(30));
    next.snapshot.stages[0].policy.minimum_age_days = 3;
    next.hold(0, "BitLocker asks for its key on Latitude 7450", 12);
    lines(&mut table, &next);
    next.snapshot.released_at = None;
    next.snapshot.stages[0].held.clear();
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
