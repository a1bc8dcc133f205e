//! Approvals: four eyes, held by the engine and once more by the database itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::Input;
use engine::ids::{PersonId, RolloutId};
use engine::policy::{Preset, StagePolicy};
use server::control::{Approvals, NewRollout, NewScope};
use server::error::OpError;
use server::registry::RingInput;
use server::store::people;
use tests::Lab;
use uuid::Uuid;

const KB: &str = "KB5079391";

/// A rollout whose first ring waits for two people.
async fn waiting(lab: &Lab) -> RolloutId {
    let policy = |_: &str| StagePolicy {
        approvals: 2,
        ..Lab::policy()
    };
    let rollout = lab.rollout_with(KB, policy).await;
    assert_eq!(lab.phase(rollout, "broad").await, "awaiting_approval");
    rollout
}

fn refusal<T: std::fmt::Debug>(result: Result<T, OpError>) -> String {
    match result {
        Err(OpError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Writes an approval past the engine. The sentence of the database's refusal, where it refuses.
async fn insert(lab: &Lab, request: Uuid, author: PersonId, by: PersonId) -> Result<(), String> {
    let done = sqlx::query("INSERT INTO approval (request_id, author, person_id, at, alone) VALUES ($1, $2, $3, now(), false)")
        .bind(request)
        .bind(author.0)
        .bind(by.0)
        .execute(&lab.database.pool)
        .await;
    done.map(drop).map_err(|e| e.to_string())
}

#[tokio::test]
async fn invariant_16_author_requester_and_the_same_person_twice_do_not_count() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    let people = lab.people;
    // An author who is an approver as well stays the author.
    let mut conn = lab.conn().await;
    people::grant(&mut conn, people.operator.0, people::Role::Approver, None)
        .await
        .unwrap();
    drop(conn);
    assert_eq!(
        refusal(lab.approve(rollout, people.operator).await),
        "four_eyes"
    );
    lab.approve(rollout, people.anna).await.unwrap();
    assert_eq!(
        refusal(lab.approve(rollout, people.anna).await),
        "four_eyes"
    );
    assert_eq!(lab.phase(rollout, "broad").await, "awaiting_approval");
    let stranger = PersonId(Uuid::now_v7());
    assert_eq!(refusal(lab.approve(rollout, stranger).await), "role");
    lab.approve(rollout, people.mary).await.unwrap();
    assert_eq!(lab.phase(rollout, "broad").await, "deploying");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_16_an_approver_who_was_disabled_meanwhile_does_not_count() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    let people = lab.people;
    lab.approve(rollout, people.anna).await.unwrap();
    let mut conn = lab.conn().await;
    people::set_enabled(&mut conn, people.anna.0, false)
        .await
        .unwrap();
    drop(conn);
    lab.approve(rollout, people.mary).await.unwrap();
    assert_eq!(lab.phase(rollout, "broad").await, "awaiting_approval");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_16_the_database_itself_refuses_author_requester_and_twice() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    let people = lab.people;
    let request = lab.request(rollout).await.unwrap().id.0;
    let author = people.operator;
    assert!(
        insert(&lab, request, author, author)
            .await
            .unwrap_err()
            .contains("check")
    );
    // An author cannot be made up either: it is the rollout's.
    let forged = insert(&lab, request, people.admin, author)
        .await
        .unwrap_err();
    assert!(forged.contains("foreign key"), "{forged}");
    insert(&lab, request, author, people.anna).await.unwrap();
    let twice = insert(&lab, request, author, people.anna)
        .await
        .unwrap_err();
    assert!(twice.contains("approval_pkey"), "{twice}");
    let turned = sqlx::query("UPDATE approval SET person_id = author")
        .execute(&lab.database.pool)
        .await;
    assert!(
        turned.is_err(),
        "an approval is not turned into the author's own"
    );

    sqlx::query("UPDATE request SET requested_by = $1")
        .bind(people.mary.0)
        .execute(&lab.database.pool)
        .await
        .unwrap();
    let requester = insert(&lab, request, author, people.mary)
        .await
        .unwrap_err();
    assert!(requester.contains("four eyes"), "{requester}");
}

#[tokio::test]
async fn invariant_18_one_request_is_open_for_a_stage_also_in_the_database() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    // Two engines that tick at the same time ask once.
    let ticks = (0..8).map(|_| lab.control.apply(rollout, Input::Tick));
    for decision in futures::future::join_all(ticks).await {
        assert!(!decision.unwrap().changed());
    }
    let copy = sqlx::query(
        "INSERT INTO request SELECT gen_random_uuid(), rollout_id, author, stage_id, ask, requested_by, requested_at, needed, frozen, hash, phase, state FROM request",
    )
    .execute(&lab.database.pool)
    .await;
    assert!(copy.unwrap_err().to_string().contains("request_one_open"));
}

#[tokio::test]
async fn invariant_18_two_people_at_the_same_moment_make_one_decision_each() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    let people = lab.people;
    let (one, two) = tokio::join!(
        lab.approve(rollout, people.anna),
        lab.approve(rollout, people.mary)
    );
    one.unwrap();
    two.unwrap();
    assert_eq!(lab.phase(rollout, "broad").await, "deploying");
    let opened = "SELECT count(*) FROM audit WHERE action = $1";
    assert_eq!(lab.number(opened, "stage_opened").await, 1);
    // Halted by two at once: one of them did it, the other is told.
    let (by, other) = (people.admin, people.anna);
    let halt = |by| {
        lab.control.apply(
            rollout,
            Input::Halt {
                by,
                reason: "stop".into(),
            },
        )
    };
    let (one, two) = tokio::join!(halt(by), halt(other));
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(lab.number(opened, "halted").await, 1);
    lab.verify().await;
}

#[tokio::test]
async fn an_approval_of_something_else_is_refused() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    let by = lab.people.anna;
    let request = lab.request(rollout).await.unwrap().id;
    let hash = servicing::Sha256::of(b"what I saw yesterday");
    let blind = lab
        .apply(rollout, Input::Approve { by, request, hash })
        .await;
    assert_eq!(refusal(blind), "hash");
}

/// Changes what was frozen, and expects the open request to be void for this reason.
async fn voided(lab: &Lab, rollout: RolloutId, reason: &str) {
    lab.tick(rollout).await;
    let void = "SELECT count(*) FROM request WHERE phase = 'void' AND state ->> 'reason' = $1";
    assert_eq!(lab.number(void, reason).await, 1, "{reason}");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_17_a_changed_ring_definition_voids_the_approval() {
    let lab = Lab::start().await;
    lab.ring("broad", 20).await;
    let rollout = waiting(&lab).await;
    lab.approve(rollout, lab.people.anna).await.unwrap();
    let broad = lab.rings().await[0].id;
    let new = RingInput {
        id: None,
        name: "vip".into(),
        query: Some("tag:vip".into()),
        share: None,
    };
    let last = RingInput {
        id: Some(broad),
        name: "broad".into(),
        query: None,
        share: None,
    };
    lab.define(&[new, last]).await;
    voided(&lab, rollout, "ring_changed").await;
    let asked = lab.request(rollout).await.expect("asked anew");
    assert!(asked.approvals.is_empty());
}

#[tokio::test]
async fn invariant_17_a_ring_that_grew_voids_the_approval_and_one_that_hardly_grew_does_not() {
    let lab = Lab::start().await;
    lab.ring("broad", 20).await;
    let rollout = waiting(&lab).await;
    let first = lab.request(rollout).await.unwrap().id;
    lab.ring("broad", 2).await;
    lab.tick(rollout).await;
    assert_eq!(
        lab.request(rollout).await.unwrap().id,
        first,
        "ten percent are ordinary joiners"
    );
    lab.ring("broad", 1).await;
    voided(&lab, rollout, "ring_grew").await;
}

#[tokio::test]
async fn invariant_17_a_changed_policy_or_digest_voids_the_approval() {
    for (sql, reason) in [
        (
            "UPDATE stage SET policy = jsonb_set(policy, '{soak_hours}', '1')",
            "policy_changed",
        ),
        (
            "UPDATE rollout SET digest = decode(repeat('ab', 32), 'hex')",
            "digest_changed",
        ),
    ] {
        let lab = Lab::start().await;
        lab.ring("broad", 1).await;
        let rollout = waiting(&lab).await;
        // No call of ours changes these once a rollout exists; someone with the database could.
        sqlx::raw_sql(sql)
            .execute(&lab.database.pool)
            .await
            .unwrap();
        voided(&lab, rollout, reason).await;
    }
}

#[tokio::test]
async fn a_rollout_that_was_stopped_meanwhile_voids_the_approval() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = waiting(&lab).await;
    lab.approve(rollout, lab.people.anna).await.unwrap();
    lab.halt(rollout).await;
    voided(&lab, rollout, "rollout_stopped").await;
    assert!(lab.request(rollout).await.is_none());
}

#[tokio::test]
async fn who_writes_a_rollout_can_not_waive_its_approvals() {
    let lab = Lab::start().await;
    let (sequence, _) = lab.publish(KB).await;
    let new = NewRollout {
        sequence,
        track: lab.track,
        preset: Preset::Standard,
        scope: NewScope::Track,
        ticket: None,
        policies: [("broad".to_owned(), Lab::policy())].into(),
    };
    let by = lab.people.operator;
    match lab.control.create(new, by, Approvals::AsPreset).await {
        Err(OpError::Invalid(fields)) => {
            assert_eq!(fields[0].field, "policies.broad.approvals");
        }
        other => panic!("not refused: {other:?}"),
    }
}
