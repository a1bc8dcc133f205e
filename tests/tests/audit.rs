//! Each decision leaves exactly one row, and none is changed afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::Input;
use server::store::audit;
use server::verify;
use tests::Lab;

async fn rows(lab: &Lab, action: &str) -> i64 {
    lab.number("SELECT count(*) FROM audit WHERE action = $1", action)
        .await
}

#[tokio::test]
async fn invariant_24_each_decision_has_exactly_one_audit_row_and_the_chain_verifies() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout("KB5079391").await;
    let by = lab.people.admin;
    let reason = || "a reason".to_owned();
    lab.apply(
        rollout,
        Input::Pause {
            by,
            reason: reason(),
        },
    )
    .await
    .unwrap();
    lab.apply(
        rollout,
        Input::Resume {
            by,
            reason: reason(),
        },
    )
    .await
    .unwrap();
    lab.halt(rollout).await;
    lab.apply(
        rollout,
        Input::ClearHalt {
            by,
            reason: reason(),
        },
    )
    .await
    .unwrap();
    lab.revoke(&broad.devices[0]).await;
    lab.enrol(broad.devices[0].inventory()).await;
    let (sequence, _) = lab.publish("KB5079391").await;
    lab.control
        .withdraw_sequence(sequence, "pulled", None, by)
        .await
        .unwrap();
    for (action, n) in [
        ("sequence_drafted", 1),
        ("sequence_published", 1),
        ("sequence_withdrawn", 1),
        ("rollout_created", 1),
        ("submitted", 1),
        ("stage_opened", 1),
        ("paused", 1),
        ("resumed", 1),
        ("halted", 1),
        ("halt_cleared", 1),
        ("withdrawn", 1),
        ("device_enrolled", 2),
        ("device_revoked", 1),
        ("device_enrolled_again", 1),
    ] {
        assert_eq!(rows(&lab, action).await, n, "{action}");
    }
    let decisions = "SELECT count(*) FROM decision WHERE rollout_id = $1::uuid";
    let version = "SELECT version FROM rollout WHERE id = $1::uuid";
    let of_rollout = "SELECT count(*) - 1 FROM audit WHERE subject = 'rollout:' || $1";
    let n = lab.number(decisions, rollout).await;
    assert_eq!(lab.number(version, rollout).await, n);
    assert_eq!(
        lab.number(of_rollout, rollout).await,
        n,
        "beside the row of its creation"
    );
    lab.verify().await;
}

#[tokio::test]
async fn what_was_refused_leaves_no_row_and_ticks_that_change_nothing_leave_none() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let rollout = lab.rollout("KB5079391").await;
    let before = rows_of_all(&lab).await;
    let by = lab.people.anna;
    let nothing = String::new();
    assert!(
        lab.apply(
            rollout,
            Input::Halt {
                by,
                reason: nothing
            }
        )
        .await
        .is_err()
    );
    assert!(
        lab.apply(
            rollout,
            Input::ClearHalt {
                by,
                reason: "now".into()
            }
        )
        .await
        .is_err()
    );
    for _ in 0..5 {
        lab.tick(rollout).await;
    }
    assert_eq!(rows_of_all(&lab).await, before);
    lab.verify().await;
}

async fn rows_of_all(lab: &Lab) -> i64 {
    lab.number("SELECT count(*) FROM audit WHERE $1 <> ''", "x")
        .await
}

#[tokio::test]
async fn the_audit_table_refuses_changes_and_a_forged_row_is_found() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    let pool = &lab.database.pool;
    for sql in [
        "UPDATE audit SET action = 'nothing' WHERE n = 1",
        "DELETE FROM audit WHERE n = 1",
        "TRUNCATE audit",
    ] {
        let error = sqlx::raw_sql(sql).execute(pool).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    lab.verify().await;
    // Whoever owns the database can switch that off; the chain still tells.
    sqlx::raw_sql("ALTER TABLE audit DISABLE TRIGGER ALL; UPDATE audit SET body = body || '{\"a\": 1}' WHERE n = 1")
        .execute(pool)
        .await
        .unwrap();
    let error = audit::verify(&mut *lab.conn().await).await.unwrap_err();
    assert!(error.to_string().contains("entry 1 was changed"), "{error}");
}

#[tokio::test]
async fn a_row_cut_off_at_the_end_of_the_chain_is_missed() {
    let lab = Lab::start().await;
    lab.ring("broad", 1).await;
    sqlx::raw_sql("ALTER TABLE audit DISABLE TRIGGER ALL; DELETE FROM audit WHERE n = (SELECT max(n) FROM audit)")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    assert!(audit::verify(&mut *lab.conn().await).await.is_err());
}

#[tokio::test]
async fn rows_written_at_the_same_time_form_one_chain_without_gaps() {
    let lab = Lab::start().await;
    let enrolments = (0..24).map(|_| lab.device("x"));
    futures::future::join_all(enrolments).await;
    assert_eq!(rows(&lab, "device_enrolled").await, 24);
    lab.verify().await;
}

#[tokio::test]
async fn invariant_15_a_decision_whose_inputs_were_changed_is_found() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout("KB5079391").await;
    broad.install(rollout, "KB5079391").await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "broad").await, "soaking");
    lab.verify().await;
    // Someone wishes that the soak had begun on no device at all.
    sqlx::raw_sql(
        "UPDATE decision SET snapshot = jsonb_set(snapshot, '{stages,0,targeted}', '9')
         WHERE decision -> 'event' ->> 'code' = 'soaking'",
    )
    .execute(&lab.database.pool)
    .await
    .unwrap();
    assert_eq!(
        verify::decisions(&lab.database.pool).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn pages_backwards_and_forwards_are_the_same_entries() {
    let lab = Lab::start().await;
    lab.ring("broad", 3).await;
    lab.rollout("KB5079391").await;
    let mut conn = lab.conn().await;
    let all = audit::page(&mut conn, None, 0, 1000).await.unwrap();
    let numbers = |entries: &[audit::Stored]| entries.iter().map(|e| e.n).collect::<Vec<_>>();
    let everything = audit::Wanted::default();
    let mut seen = Vec::new();
    let mut before = i64::MAX;
    loop {
        let page = audit::older(&mut conn, everything, before, 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        before = last.n;
        seen.extend(numbers(&page));
    }
    seen.reverse();
    assert_eq!(seen, numbers(&all));
    let next = audit::newer(&mut conn, everything, 1, 2).await.unwrap();
    assert_eq!(numbers(&next), [3, 2]);
    assert_eq!(
        audit::length(&mut conn).await.unwrap(),
        i64::try_from(all.len()).unwrap()
    );
    let nobody = audit::Wanted {
        by_nobody: true,
        action: Some("device_enrolled"),
        ..everything
    };
    let found = audit::older(&mut conn, nobody, i64::MAX, 10).await.unwrap();
    assert_eq!(found.len(), 3);
    let about = audit::Wanted {
        subject: Some(&found[0].subject),
        from: Some(found[0].at),
        to: Some(found[0].at + chrono::TimeDelta::seconds(1)),
        ..everything
    };
    let found = audit::newer(&mut conn, about, 0, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    let not_then = audit::Wanted {
        to: about.from,
        ..about
    };
    let none = audit::older(&mut conn, not_then, i64::MAX, 10).await;
    assert!(none.unwrap().is_empty());
}
