use engine::decide::{Input, Refused};
use engine::ids::{RequestId, RolloutId};
use engine::policy::{Percent, Preset};
use engine::rollout::RolloutState;
use engine::stage::{StageState, may_permit};
use servicing::Sha256;
use uuid::Uuid;

use crate::lab::{ADMIN, ANN, AUTHOR, Lab, VIEWER};

use super::{Table, why};

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

    let request_expedite = |by| Input::RequestExpedite {
        by,
        reason: reason.clone(),
    };
    refuse(
        "expedite, a viewer",
        Lab::started().act(request_expedite(VIEWER)),
    );
    refuse("expedite a draft", Lab::new().act(request_expedite(AUTHOR)));
    let mut twice = Lab::started();
    let _first = twice.act(request_expedite(AUTHOR)).unwrap();
    refuse("expedite twice", twice.act(request_expedite(AUTHOR)));
    let mut short = Lab::of(Preset::Expedited, &[("Broad", 40)]);
    short.submit();
    for stage in &mut short.snapshot.stages {
        stage.policy.approvals = 0;
    }
    refuse(
        "expedite what is as short as can be",
        short.act(request_expedite(AUTHOR)),
    );

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
    young.hold(2, "BitLocker asks for its key", 1);
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
