//! `GET /enroll/nonce` and `POST /enroll`.

use agent_protocol::{EnrolAnswer, EnrolRequest, EnrolStatus, Nonce, Settings, enrolment_message};
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use servicing::Sha256;

use super::keys::NONCE_LASTS;
use super::room::StrangersRoom;
use crate::app::App;
use crate::error::OpError;
use crate::http::{Body, Failure, busy};
use crate::registry::{self, EnrolmentInput};
use crate::store::devices::DeviceStatus;

/// Hands out a nonce.
pub async fn nonce(State(app): State<App>) -> Json<Nonce> {
    let expires_in_s = u32::try_from(NONCE_LASTS.num_seconds()).unwrap_or(0);
    Json(Nonce {
        nonce: app.keys.nonce(app.clock.now()),
        expires_in_s,
    })
}

/// Enrols a device that proves possession of its key.
pub async fn enrol(
    State(app): State<App>,
    _room: StrangersRoom,
    Body(request): Body<EnrolRequest>,
) -> Result<Json<EnrolAnswer>, Failure> {
    let now = app.clock.now();
    let key = bytes::<32>(&request.public_key)
        .and_then(|k| VerifyingKey::from_bytes(&k).ok())
        .ok_or_else(|| {
            OpError::field(
                "public_key",
                "an Ed25519 public key: 32 bytes, base64url without padding",
            )
        })?;
    let signature = bytes::<64>(&request.signature).ok_or_else(|| {
        OpError::field(
            "signature",
            "an Ed25519 signature: 64 bytes, base64url without padding",
        )
    })?;
    let nonce_expires_at = app.keys.check_nonce(&request.nonce, now).ok_or_else(|| {
        OpError::field(
            "nonce",
            "a nonce of GET /agent/v1/enroll/nonce that has not expired",
        )
    })?;
    let message = enrolment_message(&request.nonce, &request.token, &request.public_key);
    key.verify(message.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| {
            OpError::field(
                "signature",
                "the signature of that key over context, nonce, token and public key",
            )
        })?;
    if request.agent_version.len() > 64 || request.agent_version.chars().any(char::is_control) {
        return Err(OpError::field(
            "agent_version",
            "at most 64 characters, none of them a control character",
        )
        .into());
    }
    let input = EnrolmentInput {
        token_hash: *Sha256::of(request.token.as_bytes()).as_bytes(),
        nonce_hash: *Sha256::of(request.nonce.as_bytes()).as_bytes(),
        nonce_expires_at,
        public_key: key.to_bytes(),
        agent_version: request.agent_version,
        inventory: registry::parse(&request.inventory)?,
    };
    let (device, publisher_keys) = app.enrolling.ask(input).await.map_err(busy)??;
    Ok(Json(EnrolAnswer {
        device_id: device.id,
        incarnation: u32::try_from(device.incarnation).map_err(anyhow::Error::from)?,
        status: if device.status == DeviceStatus::Admitted {
            EnrolStatus::Admitted
        } else {
            EnrolStatus::AwaitingApproval
        },
        publisher_keys: publisher_keys.to_vec(),
        settings: Settings {
            poll_after_s: app.pace.idle_s,
            heartbeat_s: 600,
        },
    }))
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
