//! Access tokens and nonces, both made of the secret that replicas share and nothing else: no row, no lookup.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use servicing::Sha256;

use crate::secret::ServerSecret;

/// How long an access token lasts. Signatures of device keys are dear, so this is hours; revocation does not wait
/// for it, the generation is compared on every call.
pub const TOKEN_LASTS: TimeDelta = TimeDelta::hours(12);

/// How long a nonce is good.
pub const NONCE_LASTS: TimeDelta = TimeDelta::minutes(5);

/// What an access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Device number.
    pub d: i32,
    /// Generation: a token of an older one is worth nothing.
    pub g: i32,
    /// Expiry, seconds since 1970.
    pub exp: i64,
}

/// Keys derived from the shared secret.
pub struct AgentKeys {
    header: Header,
    encode: EncodingKey,
    decode: DecodingKey,
    validation: Validation,
    nonce_key: [u8; 32],
}

impl AgentKeys {
    /// Derives the keys.
    #[must_use]
    pub fn new(secret: &ServerSecret) -> Self {
        let key = secret.derive("agent-access-token");
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(secret.kid());
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is compared with the injected clock, below.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Self {
            header,
            encode: EncodingKey::from_secret(&key),
            decode: DecodingKey::from_secret(&key),
            validation,
            nonce_key: secret.derive("enrolment-nonce"),
        }
    }

    /// Makes an access token.
    ///
    /// # Errors
    /// When signing fails, which it does not with a symmetric key.
    pub fn token(
        &self,
        device_no: i32,
        generation: i32,
        now: DateTime<Utc>,
    ) -> anyhow::Result<String> {
        let claims = Claims {
            d: device_no,
            g: generation,
            exp: (now + TOKEN_LASTS).timestamp(),
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.encode)?)
    }

    /// Reads an access token; none for one that is not ours or has expired.
    #[must_use]
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Option<Claims> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decode, &self.validation)
            .ok()?
            .claims;
        (claims.exp > now.timestamp()).then_some(claims)
    }

    /// Makes a nonce: random bytes and an expiry under a keyed hash, so that any replica can judge it.
    #[must_use]
    pub fn nonce(&self, now: DateTime<Utc>) -> String {
        let random: [u8; 16] = rand::rng().random();
        let expires = (now + NONCE_LASTS).timestamp().to_be_bytes();
        let mut bytes = [&random[..], &expires[..]].concat();
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(&mac[..16]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// When a nonce expires; none for one that is not ours or has expired.
    #[must_use]
    pub fn check_nonce(&self, nonce: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let bytes = URL_SAFE_NO_PAD
            .decode(nonce)
            .ok()
            .filter(|b| b.len() == 40)?;
        let (content, mac) = bytes.split_at(24);
        // Not secret-dependent in time: both sides are hashed once more before they are compared.
        if Sha256::of(mac) != Sha256::of(&self.mac(content)[..16]) {
            return None;
        }
        let expires =
            DateTime::from_timestamp(i64::from_be_bytes(content[16..].try_into().ok()?), 0)?;
        (expires > now).then_some(expires)
    }

    /// HMAC-SHA256 by HKDF-Expand, whose one block it is.
    fn mac(&self, content: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        if let Ok(hkdf) = hkdf::Hkdf::<sha2::Sha256>::from_prk(&self.nonce_key) {
            let _fits = hkdf.expand(content, &mut out);
        }
        out
    }
}
