use chrono::Duration;
use engine::decide::Input;
use engine::ids::RolloutId;
use uuid::Uuid;

use crate::lab::{ADMIN, ANN, AUTHOR, BOB, Lab};

use super::{Table, why};

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

    let mut lab = Lab::started();
    let (by, asked) = (AUTHOR, reason());
    act(
        &mut table,
        &mut lab,
        Input::RequestExpedite { by, reason: asked },
    );
    for by in [ANN, BOB] {
        let yes = approve(&lab, by);
        act(&mut table, &mut lab, yes);
    }

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
