//! Access tokens and nonces, both made of the secret that replicas share and nothing else: no row, no lookup.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
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
    /// Made once: a key's first blocks are hashed here and not for each poll.
    check: hmac::Key,
    /// How each token of ours begins: its header as it is sent, and the dot after it.
    start: String,
    nonce_key: [u8; 32],
}

impl AgentKeys {
    /// Derives the keys.
    #[must_use]
    pub fn new(secret: &ServerSecret) -> Self {
        let key = secret.derive("agent-access-token");
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(secret.kid());
        let encode = EncodingKey::from_secret(&key);
        // Never fails with a symmetric key; with an empty start no token would be taken.
        let start = jsonwebtoken::encode(&header, &(), &encode)
            .ok()
            .and_then(|token| Some(format!("{}.", token.split_once('.')?.0)))
            .unwrap_or_default();
        Self {
            header,
            encode,
            check: hmac::Key::new(hmac::HMAC_SHA256, &key),
            start,
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
        // Compared instead of parsed: it says the algorithm and which secret, and there is one of each. Every poll comes
        // by here, and parsing the header took most of this check.
        let (message, signature) = token.rsplit_once('.')?;
        let claims = message.strip_prefix(&self.start)?;
        // One byte more than a signature has, so that a longer one is not taken for it.
        let mut bytes = [0; 33];
        let n = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).ok()?;
        hmac::verify(&self.check, message.as_bytes(), &bytes[..n]).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        // By the injected clock.
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_795_000_000, 0).expect("a date");

    fn keys(directory: &std::path::Path) -> (AgentKeys, [u8; 32]) {
        let secret = ServerSecret::load_or_create(&directory.join("secret")).unwrap();
        (AgentKeys::new(&secret), secret.derive("agent-access-token"))
    }

    #[test]
    fn a_token_is_good_for_its_time_and_says_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, _) = keys(directory.path());
        let token = keys.token(7, 3, NOW).unwrap();
        let claims = keys.check(&token, NOW).unwrap();
        assert_eq!((claims.d, claims.g), (7, 3));
        let last = NOW + TOKEN_LASTS - TimeDelta::seconds(1);
        assert!(keys.check(&token, last).is_some());
        assert_eq!(keys.check(&token, NOW + TOKEN_LASTS), None);
    }

    #[test]
    fn only_our_own_header_is_read_whoever_signed_it() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, key) = keys(directory.path());
        let token = keys.token(7, 3, NOW).unwrap();
        let key = EncodingKey::from_secret(&key);
        let claims = keys.check(&token, NOW).unwrap();
        let signed = |header: &Header| jsonwebtoken::encode(header, &claims, &key).unwrap();
        assert_eq!(signed(&keys.header), token);
        let mut other = keys.header.clone();
        other.kid = Some("another".into());
        for header in [
            other,
            Header::new(Algorithm::HS256),
            Header::new(Algorithm::HS512),
        ] {
            assert_eq!(keys.check(&signed(&header), NOW), None);
        }
    }

    #[test]
    fn every_letter_of_a_token_counts() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, _) = keys(directory.path());
        let token = keys.token(7, 3, NOW).unwrap();
        for (i, letter) in token.char_indices() {
            // The last letter of a part holds bits that stand for nothing, so another high bit is flipped.
            let other = if letter == 'A' { 'Q' } else { 'A' };
            let mut spoilt = token.clone();
            spoilt.replace_range(i..=i, &other.to_string());
            assert_eq!(keys.check(&spoilt, NOW), None, "{spoilt}");
        }
        for wrong in ["", ".", "..", "a.b", "a.b.c"] {
            assert_eq!(keys.check(wrong, NOW), None, "{wrong}");
        }
        assert_eq!(keys.check(&format!("{token}."), NOW), None);
        assert_eq!(keys.check(token.rsplit_once('.').unwrap().0, NOW), None);
    }
}
