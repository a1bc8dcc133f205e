//! Tokens: what a forged, foreign, old or tampered one is worth.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tests::{Lab, TestDevice};

async fn turned_away(device: &TestDevice, assertion: String, why: &str) {
    let answer = device.offer(assertion).await;
    assert_eq!(answer.status, 401, "{why}: {}", answer.text());
    assert_eq!(answer.problem().kind, "/problems/unauthorized");
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn an_assertion_that_the_devices_key_did_not_sign_gets_no_token() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let other = lab.device("x").await;
    let claims = device.claims().await;
    let none = json!({ "alg": "none" });
    turned_away(&device, unsigned(&none, &claims, ""), "alg none").await;
    let eddsa = json!({ "alg": "EdDSA" });
    turned_away(&device, unsigned(&eddsa, &claims, ""), "no signature").await;
    turned_away(&device, other.assertion(&claims), "another device's key").await;
    // The public key is known to many; as a secret it signs nothing.
    let public = device.key.verifying_key().to_bytes();
    let key = EncodingKey::from_secret(&public);
    let hs256 = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    turned_away(&device, hs256, "HS256 with the public key").await;
    turned_away(&device, "a.b.c".into(), "no JWT").await;
    turned_away(&device, String::new(), "nothing").await;
    // The nonce was never spent by any of these.
    assert_eq!(device.offer(device.assertion(&claims)).await.status, 200);
}

#[tokio::test]
async fn an_assertion_is_good_once_for_us_and_now() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let good = device.claims().await;
    let now = lab.clock.now().timestamp();
    let spoil = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        device.assertion(&claims)
    };
    turned_away(&device, spoil("aud", json!("someone-else")), "audience").await;
    turned_away(&device, spoil("exp", json!(now - 121)), "expired").await;
    turned_away(&device, spoil("iat", json!(now + 121)), "from the future").await;
    turned_away(&device, spoil("exp", json!(now + 3600)), "too long").await;
    turned_away(&device, spoil("nonce", json!("made up")), "nonce").await;
    turned_away(
        &device,
        spoil("iss", json!(uuid::Uuid::new_v4())),
        "unknown device",
    )
    .await;
    turned_away(&device, spoil("exp", json!("soon")), "a time that is none").await;
    for missing in ["iss", "aud", "exp", "iat", "nonce"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(missing);
        turned_away(&device, device.assertion(&claims), missing).await;
    }
    let assertion = device.assertion(&good);
    assert_eq!(device.offer(assertion.clone()).await.status, 200);
    turned_away(&device, assertion, "replayed").await;
}

#[tokio::test]
async fn invariant_23_a_copied_assertion_sent_many_times_at_once_gives_one_token() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let assertion = device.assertion(&device.claims().await);
    let answers = futures::future::join_all((0..20).map(|_| device.offer(assertion.clone()))).await;
    assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 1);
}

#[tokio::test]
async fn a_tampered_foreign_or_expired_access_token_opens_nothing() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let other = lab.device("x").await;
    let token = device.token();
    let parts: Vec<&str> = token.split('.').collect();
    let theirs = other.token();
    let their_claims = theirs.split('.').nth(1).unwrap();
    let key = EncodingKey::from_secret(b"guessed");
    let claims = json!({ "d": 1, "g": 1, "exp": lab.clock.now().timestamp() + 600 });
    let guessed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    for spoilt in [
        format!("{}.{their_claims}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        unsigned(&json!({ "alg": "none" }), &claims, ""),
        guessed,
        "x".repeat(5000),
    ] {
        device.hold(&spoilt);
        let poll = device.poll().await;
        assert_eq!(poll.status, 401, "{spoilt}");
        assert_eq!(poll.answer.header("www-authenticate"), "Bearer");
    }
    device.hold(&token);
    assert_eq!(device.poll().await.status, 200);
    lab.jump(TimeDelta::hours(12));
    assert_eq!(device.poll().await.status, 401, "it lasts twelve hours");
    device.sign_in().await;
    assert_eq!(device.look().await.status, 200);
}

#[tokio::test]
async fn no_call_of_a_device_works_without_a_token() {
    let lab = Lab::start().await;
    let wire = lab.wire();
    let hash = "0".repeat(64);
    let paths = [
        "/assignment".to_owned(),
        format!("/content/{hash}"),
        format!("/manifests/{hash}"),
    ];
    for path in paths {
        assert_eq!(wire.get(&path).await.problem().status, 401, "{path}");
    }
    // Before the body is read: this one is no batch at all.
    for path in ["/events", "/permits"] {
        assert_eq!(
            wire.post(path, &json!([])).await.problem().status,
            401,
            "{path}"
        );
    }
}
