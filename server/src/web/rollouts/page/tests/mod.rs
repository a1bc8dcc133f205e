mod sample;

use std::collections::BTreeSet;

use chrono::Duration;
use engine::approval::{Ask, Frozen, Request, RequestState};
use engine::evidence::Evidence;
use engine::halt::{HaltCause, Stream};
use engine::ids::{CohortId, RequestId};
use engine::rollout::{Actor, HaltReason, RolloutState};
use engine::stage::StageState;
use servicing::HResult;

use self::sample::*;
use super::*;
use crate::store::people::Role;
use crate::store::progress::{ModelTrouble, Trouble};
use crate::store::requests::Listed;
use crate::views::RequestLine;

#[test]
fn in_the_middle_it_says_where_it_is_and_why_it_waits() {
    insta::assert_snapshot!(shown(&middle(), Role::Operator));
}

#[test]
fn who_may_only_read_sees_what_is_possible_and_why_not_for_them() {
    let html = shown(&middle(), Role::Viewer);
    let (_, acts) = html.split_once("<div class=\"acts-c\">").unwrap();
    let (acts, _) = acts.split_once("<div class=\"stack\">").unwrap();
    insta::assert_snapshot!(acts);
}

#[test]
fn an_open_request_is_what_is_asked() {
    let mut read = middle();
    let stage = &read.snapshot.stages[2];
    let frozen = Frozen {
        digest: read.snapshot.rollout.digest,
        policy: stage.policy,
        ring_revision: 1,
        targeted: stage.targeted,
        gate: None,
        policies: Vec::new(),
        evidence: Evidence::default(),
    };
    let request = Request {
        id: RequestId(Uuid::from_u128(55)),
        stage: stage.id,
        ask: Ask::Open,
        requested_by: Actor::Engine,
        requested_at: read.snapshot.service_now,
        needed: 2,
        hash: frozen.hash(),
        frozen,
        approvals: Vec::new(),
        state: RequestState::Open,
    };
    read.page.requests = vec![RequestLine::from(Listed {
        rollout: read.snapshot.rollout.id,
        track: read.track.id,
        ring: "Broad".to_owned(),
        request: request.clone(),
    })];
    read.snapshot.requests = vec![request];
    let html = shown(&read, Role::Approver);
    let primary = html.matches("btn primary").count();
    assert_eq!(primary, 1);
    assert!(html.contains("<a class=\"btn primary\" href=\"/approvals/00000000-0000-0000-0000-000000000037\">Review request</a>"));
    assert!(html.contains("0 of 2 said yes. It expires Tue 14 Apr 08:12."));
}

#[test]
fn a_draft_without_rings_says_what_to_do_first() {
    insta::assert_snapshot!(shown(&read(RolloutState::Draft, &[]), Role::Operator));
}

#[test]
fn a_halted_one_names_who_was_harmed_and_what_clears_it() {
    let mut read = middle();
    read.page.line.state_detail = RolloutState::Halted {
        reason: HaltReason::Evidence {
            cause: HaltCause {
                stream: Stream::Failure,
                cohort: CohortId(7),
                name: "EliteBook 840 G9".to_owned(),
                failures: 3,
                started: 4,
            },
        },
        since: read.snapshot.service_now - Duration::hours(1),
    };
    read.snapshot.rollout.state = read.page.line.state_detail.clone();
    let anna = read.snapshot.people.get_mut(&PersonId(ANNA)).unwrap();
    anna.admin = true;
    let html = shown(&read, Role::Admin);
    let (_, notice) = html.split_once("<div class=\"notice bad\">").unwrap();
    let (notice, _) = notice.split_once("<div class=\"stack\">").unwrap();
    insta::assert_snapshot!(notice);
    assert!(html.contains("/rollouts/00000000-0000-0000-0000-00000000000a/clear-halt"));
    let (_, rail) = html.split_once("<ol class=\"rail").unwrap();
    let (rail, _) = rail.split_once("</ol>").unwrap();
    assert_eq!(rail.matches("Halted</").count(), 1, "{rail}");
    assert!(
        !rail.contains("Deploying") && !rail.contains("Soaking"),
        "{rail}"
    );
}

#[test]
fn every_state_has_its_page() {
    let since = Frame::sample(Nav::Rollouts, "", "").now;
    let reason = || "month end".to_owned();
    let states = [
        RolloutState::Scheduled { not_before: since },
        RolloutState::Paused {
            by: PersonId(ANNA),
            reason: reason(),
            since,
        },
        RolloutState::Completed { at: since },
        RolloutState::Cancelled { reason: reason() },
        RolloutState::Superseded {
            by: RolloutId(Uuid::from_u128(12)),
        },
        RolloutState::Withdrawn { reason: reason() },
    ];
    let mut notices = BTreeSet::new();
    for state in states {
        let mut read = middle();
        read.page.line.state_detail = state.clone();
        read.snapshot.rollout.state = state;
        let html = shown(&read, Role::Admin);
        if let Some((_, notice)) = html.split_once("<div class=\"notice ") {
            notices.insert(notice.split("</div></div>").next().unwrap().to_owned());
        }
    }
    insta::assert_snapshot!(notices.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_worst_case_stays_inside() {
    let long = "Ж".repeat(200);
    let state = StageState::Soaking {
        since: Frame::sample(Nav::Rollouts, "", "").now,
        reread_at: None,
    };
    let rings: Vec<Ring<'_>> = (0..16)
        .map(|_| {
            let counts = counts(9_000_000, 8_000_000, 20_000, 900_000);
            (long.as_str(), 10_000_000, counts, state.clone())
        })
        .collect();
    let mut read = read(RolloutState::Active, &rings);
    read.progress.troubles = (0..3_000_u32)
        .map(|i| ModelTrouble {
            model: Some(format!("<script>alert({i})</script>")),
            trouble: Some(Trouble::Code(HResult(0x8000_0000 + i % 40))),
            n: 1_000,
        })
        .collect();
    let html = shown(&read, Role::Admin);
    assert!(!html.contains("<script>"));
    let (_, map) = html.split_once("<table class=\"heat\">").unwrap();
    let (map, _) = map.split_once("</table>").unwrap();
    // Three of its own, eleven codes and the others; twenty models and the others.
    assert_eq!(map.matches("<th scope=\"col\"").count(), 3 + 12);
    assert_eq!(map.matches("<th scope=\"row\"").count(), 20 + 1);
    assert!(map.contains("2,980 other models"));
}
