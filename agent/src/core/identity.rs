//! How the device proves who it is: enrolment and token assertions, both signed by the device key.

use agent_protocol::{EnrolRequest, Inventory, TokenRequest, enrolment_message};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rand::Rng;
use serde::Serialize;

use super::state::Identity;

/// Audience of every assertion.
const AUDIENCE: &str = "ringfence";

/// 5 min: half of what a server accepts, and enough for a slow line.
const ASSERTION_LIFE_S: i64 = 300;

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: String,
    aud: &'static str,
    iat: i64,
    exp: i64,
    jti: String,
    nonce: &'a str,
}

/// Body of `POST /enroll`.
pub(super) fn enrol_request(
    key: &SigningKey,
    nonce: String,
    token: String,
    agent_version: String,
    inventory: Inventory,
) -> EnrolRequest {
    let public_key = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let message = enrolment_message(&nonce, &token, &public_key);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    EnrolRequest {
        token,
        nonce,
        public_key,
        signature,
        agent_version,
        inventory,
    }
}

/// Body of `POST /token`: a JWT by the device key, in the server's time.
pub(super) fn token_request(
    key: &SigningKey,
    identity: &Identity,
    nonce: &str,
    server_time: DateTime<Utc>,
    rng: &mut impl Rng,
) -> TokenRequest {
    let mut jti = [0; 16];
    rng.fill_bytes(&mut jti);
    let claims = Claims {
        iss: identity.device_id.to_string(),
        aud: AUDIENCE,
        iat: server_time.timestamp(),
        exp: server_time.timestamp() + ASSERTION_LIFE_S,
        jti: URL_SAFE_NO_PAD.encode(jti),
        nonce,
    };
    let part = |json: serde_json::Result<Vec<u8>>| {
        URL_SAFE_NO_PAD.encode(json.expect("text and numbers make JSON"))
    };
    let header = part(serde_json::to_vec(&Header {
        alg: "EdDSA",
        typ: "JWT",
    }));
    let signed = format!("{header}.{}", part(serde_json::to_vec(&claims)));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    TokenRequest {
        assertion: format!("{signed}.{signature}"),
    }
}

/// The pinned publisher keys; one that can not be read is as if it were not there.
pub(super) fn pinned_keys(identity: &Identity) -> Vec<VerifyingKey> {
    identity
        .publisher_keys
        .iter()
        .filter_map(|key| {
            let bytes = URL_SAFE_NO_PAD.decode(&key.public_key).ok()?;
            VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()
        })
        .collect()
}
