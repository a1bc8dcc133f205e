//! `POST /token`: an assertion signed by the device's key gives an access token.

use agent_protocol::{TokenAnswer, TokenRequest};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use servicing::Sha256;
use uuid::Uuid;

use super::identity::fresh;
use super::keys::TOKEN_LASTS;
use super::nonces::Nonce;
use super::room::StrangersRoom;
use crate::app::App;
use crate::http::{Body, Failure, busy};
use crate::store::devices::{self, DeviceStatus};

/// Longest life of an assertion, seconds.
const ASSERTION_LASTS: i64 = 600;

/// Seconds by which a device's clock may be off. Its agent follows the server's `Date`, so little is needed.
const LEEWAY: i64 = 120;

#[derive(Debug, Deserialize)]
struct Assertion {
    iss: Uuid,
    iat: i64,
    exp: i64,
    nonce: String,
}

/// Issues an access token.
pub async fn issue(
    State(app): State<App>,
    _room: StrangersRoom,
    Body(request): Body<TokenRequest>,
) -> Result<Json<TokenAnswer>, Failure> {
    const WRONG: Failure = Failure::Unauthorized(
        "The assertion must be signed by the device's key, name the device as iss, ringfence as aud, be valid now, and carry a fresh nonce.",
    );
    fresh(&app)?;
    let now = app.clock.now();
    let claimed = jsonwebtoken::dangerous::insecure_decode::<Assertion>(&request.assertion)
        .map_err(|_| WRONG)?
        .claims;
    let device = {
        let _place = app.bounds.calls.enter().await.map_err(busy)?;
        devices::credentials(&mut *app.pool.acquire().await?, claimed.iss).await?
    };
    let device = device.ok_or(WRONG)?;
    let assertion = verify(&request.assertion, &device.public_key, now).ok_or(WRONG)?;
    let nonce = Nonce {
        hash: *Sha256::of(assertion.nonce.as_bytes()).as_bytes(),
        expires_at: app.keys.check_nonce(&assertion.nonce, now).ok_or(WRONG)?,
    };
    if !app.spending.ask(nonce).await.map_err(busy)? {
        return Err(WRONG);
    }
    match device.status {
        DeviceStatus::Admitted => {}
        DeviceStatus::AwaitingApproval => {
            return Err(Failure::Forbidden(
                "The device waits for a person to let it in.".into(),
            ));
        }
        DeviceStatus::Revoked => {
            return Err(Failure::Forbidden(
                "The device was revoked. Enrol it again.".into(),
            ));
        }
    }
    let access_token = app.keys.token(device.device_no, device.generation, now)?;
    Ok(Json(TokenAnswer {
        access_token,
        expires_in_s: u32::try_from(TOKEN_LASTS.num_seconds()).map_err(anyhow::Error::from)?,
    }))
}

/// Checks signature, audience and times with the injected clock.
fn verify(assertion: &str, public_key: &[u8], now: DateTime<Utc>) -> Option<Assertion> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["ringfence"]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Assertion>(
        assertion,
        &DecodingKey::from_ed_der(public_key),
        &validation,
    )
    .ok()?
    .claims;
    let now = now.timestamp();
    let timely = claims.exp > now - LEEWAY
        && claims.iat < now + LEEWAY
        && claims.exp - claims.iat <= ASSERTION_LASTS;
    timely.then_some(claims)
}
