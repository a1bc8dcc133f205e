//! Who gets in, and as whom.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use agent_protocol::{EnrolAnswer, EnrolRequest, EnrolStatus, Inventory};
use chrono::TimeDelta;
use server::registry;
use server::store::enrolment as tokens;
use tests::{Answer, Lab, TestDevice, kinds};
use uuid::Uuid;

const TOKEN: &str = "let-me-in";

async fn request(lab: &Lab, token: &str, machine: Inventory) -> EnrolRequest {
    TestDevice::enrolment(lab.wire(), token, &TestDevice::new_key(), machine).await
}

async fn post(lab: &Lab, request: &EnrolRequest) -> Answer {
    lab.wire().post("/enroll", request).await
}

async fn refused(lab: &Lab, request: &EnrolRequest) -> String {
    let answer = post(lab, request).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    answer.problem().kind
}

async fn devices(lab: &Lab) -> i64 {
    lab.number("SELECT count(*) FROM device WHERE $1 <> ''", "x")
        .await
}

#[tokio::test]
async fn a_stolen_public_key_does_not_enrol() {
    let lab = Lab::start().await;
    let mut request = request(&lab, TOKEN, lab.machine("x")).await;
    let other =
        TestDevice::enrolment(lab.wire(), TOKEN, &TestDevice::new_key(), lab.machine("x")).await;
    request.signature.clone_from(&other.signature);
    assert_eq!(post(&lab, &request).await.wrong_field(), "signature");
    request.signature = "no signature".into();
    assert_eq!(post(&lab, &request).await.wrong_field(), "signature");
    request.public_key = "AAAA".into();
    assert_eq!(post(&lab, &request).await.wrong_field(), "public_key");
    assert_eq!(devices(&lab).await, 0);
}

#[tokio::test]
async fn a_signature_made_for_another_token_is_worth_nothing() {
    let lab = Lab::start().await;
    lab.enrolment_token("other", "let_in", 5).await;
    let mut request = request(&lab, TOKEN, lab.machine("x")).await;
    request.token = "other".into();
    assert_eq!(post(&lab, &request).await.wrong_field(), "signature");
}

#[tokio::test]
async fn invariant_23_a_replayed_enrolment_has_no_further_effect() {
    let lab = Lab::start().await;
    let request = request(&lab, TOKEN, lab.machine("x")).await;
    let first: EnrolAnswer = post(&lab, &request).await.json();
    assert_eq!(
        (first.incarnation, first.status),
        (1, EnrolStatus::Admitted)
    );
    assert_eq!(refused(&lab, &request).await, "/problems/refused/nonce");
    let incarnation = "SELECT incarnation::bigint FROM device WHERE id = $1::uuid";
    assert_eq!(lab.number(incarnation, first.device_id).await, 1);
    // Nor does the same request at the same time, twenty times.
    let again =
        TestDevice::enrolment(lab.wire(), TOKEN, &TestDevice::new_key(), lab.machine("x")).await;
    let all = futures::future::join_all((0..20).map(|_| post(&lab, &again))).await;
    assert_eq!(all.iter().filter(|a| a.status == 200).count(), 1);
    assert_eq!(devices(&lab).await, 2);
}

#[tokio::test]
async fn a_forged_or_old_nonce_is_refused() {
    let lab = Lab::start().await;
    let mut forged = request(&lab, TOKEN, lab.machine("x")).await;
    forged.nonce = forged.nonce.chars().rev().collect();
    assert_eq!(post(&lab, &forged).await.wrong_field(), "nonce");
    let old = request(&lab, TOKEN, lab.machine("x")).await;
    lab.jump(TimeDelta::minutes(6));
    assert_eq!(post(&lab, &old).await.wrong_field(), "nonce");
}

#[tokio::test]
async fn a_token_that_is_used_up_expired_or_revoked_lets_nobody_in() {
    let lab = Lab::start().await;
    let refusal = "/problems/refused/token";
    lab.enrolment_token("once", "let_in", 1).await;
    let first = request(&lab, "once", lab.machine("x")).await;
    assert_eq!(post(&lab, &first).await.status, 200);
    let second = request(&lab, "once", lab.machine("x")).await;
    assert_eq!(refused(&lab, &second).await, refusal);

    let id = lab.enrolment_token("revoked", "let_in", 5).await;
    let mut conn = lab.conn().await;
    tokens::revoke_token(&mut conn, id, lab.clock.now())
        .await
        .unwrap();
    let revoked = request(&lab, "revoked", lab.machine("x")).await;
    assert_eq!(refused(&lab, &revoked).await, refusal);
    let unknown = request(&lab, "guess", lab.machine("x")).await;
    assert_eq!(refused(&lab, &unknown).await, refusal);

    lab.enrolment_token("month", "let_in", 5).await;
    lab.jump(TimeDelta::days(31));
    let late = request(&lab, "month", lab.machine("x")).await;
    assert_eq!(refused(&lab, &late).await, refusal);
    assert_eq!(devices(&lab).await, 1);
}

#[tokio::test]
async fn a_counted_token_is_not_used_more_often_by_many_at_once() {
    let lab = Lab::start().await;
    lab.enrolment_token("three", "let_in", 3).await;
    let mut requests = Vec::new();
    for _ in 0..12 {
        requests.push(request(&lab, "three", lab.machine("x")).await);
    }
    let answers = futures::future::join_all(requests.iter().map(|r| post(&lab, r))).await;
    assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 3);
    assert_eq!(devices(&lab).await, 3);
}

#[tokio::test]
async fn whoever_is_refused_leaves_no_model_behind() {
    let lab = Lab::start().await;
    let invented = lab.machine("Invented 9000");
    let stranger = request(&lab, "guess", invented.clone()).await;
    assert_eq!(refused(&lab, &stranger).await, "/problems/refused/token");
    let models = "SELECT count(*) FROM cohort WHERE value = $1";
    assert_eq!(lab.number(models, &invented.model).await, 0);
    let known = request(&lab, TOKEN, invented.clone()).await;
    assert_eq!(post(&lab, &known).await.status, 200);
    assert_eq!(lab.number(models, &invented.model).await, 1);
}

#[tokio::test]
async fn a_herd_shares_transactions_and_one_mistake_spoils_nothing() {
    let lab = Lab::start().await;
    let mut requests = Vec::new();
    for i in 0..40 {
        let token = if i == 7 { "guess" } else { TOKEN };
        requests.push(request(&lab, token, lab.machine("x")).await);
    }
    let answers = futures::future::join_all(requests.iter().map(|r| post(&lab, r))).await;
    for (i, answer) in answers.iter().enumerate() {
        let expected = if i == 7 { 409 } else { 200 };
        assert_eq!(answer.status, expected, "{i}: {}", answer.text());
    }
    let enrolled = answers.iter().filter(|a| a.status == 200);
    let ids: HashSet<Uuid> = enrolled
        .map(|a| a.json::<EnrolAnswer>().device_id)
        .collect();
    assert_eq!((ids.len(), devices(&lab).await), (39, 39));
    let audited = "SELECT count(DISTINCT subject) FROM audit WHERE action = $1";
    assert_eq!(lab.number(audited, "device_enrolled").await, 39);
    let transactions = "SELECT count(DISTINCT xmin::text) FROM device WHERE $1 <> ''";
    let transactions = lab.number(transactions, "x").await;
    assert!(
        transactions < 30,
        "{transactions} transactions for 39 devices"
    );
}

#[tokio::test]
async fn a_listed_token_lets_in_listed_serials_only() {
    let lab = Lab::start().await;
    lab.enrolment_token("listed", "listed", 10).await;
    let (known, stranger) = (lab.machine("x"), lab.machine("x"));
    let mut conn = lab.conn().await;
    tokens::expect(&mut conn, lab.track, std::slice::from_ref(&known.serial))
        .await
        .unwrap();
    let stranger = request(&lab, "listed", stranger).await;
    assert_eq!(
        refused(&lab, &stranger).await,
        "/problems/refused/not-listed"
    );
    let known = request(&lab, "listed", known).await;
    assert_eq!(
        post(&lab, &known).await.json::<EnrolAnswer>().status,
        EnrolStatus::Admitted
    );
}

#[tokio::test]
async fn a_device_that_needs_approval_gets_no_token_until_a_person_lets_it_in() {
    let lab = Lab::start().await;
    lab.enrolment_token("ask", "approval", 10).await;
    let device = lab.enrol_with("ask", lab.machine("x")).await;
    let assertion = device.assertion(&device.claims().await);
    assert_eq!(device.offer(assertion).await.status, 403);
    let app = &lab.nodes[0].app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    registry::admit(&app.pool, &app.catalogue, &app.picture, device.id, by, now)
        .await
        .unwrap();
    device.sign_in().await;
    assert_eq!(device.poll().await.status, 200);
    // Revoked, it is turned away again, with an old token and without.
    lab.revoke(&device).await;
    assert_eq!(device.poll().await.status, 401);
    let assertion = device.assertion(&device.claims().await);
    assert_eq!(device.offer(assertion).await.status, 403);
}

#[tokio::test]
async fn a_reimaged_machine_is_the_same_device_in_its_next_incarnation() {
    let lab = Lab::start().await;
    let first = lab.device("x").await;
    first.report(&[kinds::heartbeat("a")]).await;
    let anew = lab.enrol(first.inventory()).await;
    assert_eq!((anew.id, anew.incarnation), (first.id, 2));
    assert_eq!(
        first.poll().await.status,
        401,
        "the old key's token is worth nothing"
    );
    let assertion = first.assertion(&first.claims().await);
    assert_eq!(
        first.offer(assertion).await.status,
        401,
        "and so is the old key"
    );
    anew.report(&[kinds::heartbeat("b")]).await;
    assert_eq!(devices(&lab).await, 1);
    // A new mainboard with the old TPM, and another serial.
    let ek = Some("ab".repeat(32));
    let mut machine = lab.machine("x");
    machine.tpm_ek_sha256.clone_from(&ek);
    let before = lab.enrol(machine).await;
    let mut machine = lab.machine("x");
    machine.tpm_ek_sha256 = ek;
    assert_eq!(lab.enrol(machine).await.id, before.id);
}

#[tokio::test]
async fn placeholders_of_vendors_do_not_make_two_machines_one() {
    let lab = Lab::start().await;
    for serial in [
        "To Be Filled By O.E.M.",
        "Default string",
        "0",
        "",
        " none ",
    ] {
        let mut machines = [lab.machine("x"), lab.machine("x")];
        for machine in &mut machines {
            machine.serial = serial.into();
        }
        let [a, b] = machines;
        assert_ne!(lab.enrol(a).await.id, lab.enrol(b).await.id, "{serial:?}");
    }
    let shared = "03000200-0400-0500-0006-000700080009".parse().unwrap();
    for uuid in [Uuid::nil(), Uuid::max(), shared] {
        let mut machines = [lab.machine("x"), lab.machine("x")];
        for machine in &mut machines {
            machine.smbios_uuid = uuid;
        }
        let [a, b] = machines;
        assert_ne!(lab.enrol(a).await.id, lab.enrol(b).await.id, "{uuid}");
    }
}

#[tokio::test]
async fn one_machine_that_enrols_many_times_at_once_is_one_device() {
    let lab = Lab::start().await;
    let machine = lab.machine("x");
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(request(&lab, TOKEN, machine.clone()).await);
    }
    let answers = futures::future::join_all(requests.iter().map(|r| post(&lab, r))).await;
    assert!(answers.iter().all(|a| a.status == 200), "{answers:?}");
    assert_eq!(devices(&lab).await, 1);
}
