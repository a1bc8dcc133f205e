//! A manifest that a pinned key did not sign is never believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use servicing::{Manifest, ManifestError, SignedManifest, key_id};

use crate::lab::known;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn noon() -> DateTime<Utc> {
    "2026-04-01T12:00:00Z".parse().expect("a time")
}

fn manifest() -> Manifest {
    Manifest {
        sequence: known("KB5086672"),
        revision: 2,
        counter: 7,
        expires_at: noon() + TimeDelta::days(30),
        sources: vec!["https://updates.example.org/".into()],
    }
}

fn verify(signed: &SignedManifest) -> Result<Manifest, ManifestError> {
    signed.verify(&[key(1).verifying_key(), key(2).verifying_key()], noon(), 7)
}

#[test]
fn what_was_signed_comes_back_as_it_was() {
    assert_eq!(verify(&manifest().sign(&key(1))), Ok(manifest()));
    assert_eq!(verify(&manifest().sign(&key(2))), Ok(manifest()));
}

#[test]
fn a_manifest_survives_storage_and_transport() {
    let text = serde_json::to_string(&manifest().sign(&key(1))).unwrap();
    assert_eq!(
        verify(&serde_json::from_str(&text).unwrap()),
        Ok(manifest())
    );
}

#[test]
fn a_server_that_is_taken_over_cannot_sign_with_a_key_of_its_own() {
    assert_eq!(
        verify(&manifest().sign(&key(3))),
        Err(ManifestError::UnknownKey)
    );
    let mut disguised = manifest().sign(&key(3));
    disguised.key_id = key_id(&key(1).verifying_key());
    assert_eq!(verify(&disguised), Err(ManifestError::BadSignature));
    assert_eq!(
        manifest().sign(&key(1)).verify(&[], noon(), 0),
        Err(ManifestError::UnknownKey)
    );
}

#[test]
fn a_changed_payload_does_not_verify() {
    let mut signed = manifest().sign(&key(1));
    let mut other = manifest();
    other.sequence.variants[0].packages.remove(0);
    signed.payload = other.sign(&key(1)).payload;
    assert_eq!(verify(&signed), Err(ManifestError::BadSignature));
}

#[test]
fn an_expired_manifest_is_refused_from_that_instant_on() {
    let signed = manifest().sign(&key(1));
    let keys = [key(1).verifying_key()];
    let end = manifest().expires_at;
    assert_eq!(signed.verify(&keys, end, 0), Err(ManifestError::Expired));
    assert!(signed.verify(&keys, end - TimeDelta::seconds(1), 0).is_ok());
}

#[test]
fn an_older_manifest_cannot_be_played_back() {
    let signed = manifest().sign(&key(1));
    let keys = [key(1).verifying_key()];
    assert_eq!(
        signed.verify(&keys, noon(), 8),
        Err(ManifestError::OldCounter)
    );
    assert!(
        signed.verify(&keys, noon(), 7).is_ok(),
        "the same one may come again"
    );
}

#[test]
fn what_cannot_be_read_is_malformed_even_when_signed() {
    let mut cut = manifest().sign(&key(1));
    cut.signature.truncate(20);
    assert_eq!(verify(&cut), Err(ManifestError::Malformed));
    let mut padded = manifest().sign(&key(1));
    padded.payload.push('=');
    assert_eq!(verify(&padded), Err(ManifestError::Malformed));
    let bytes = br#"{"sequence": 1}"#;
    let signed = SignedManifest {
        payload: URL_SAFE_NO_PAD.encode(bytes),
        key_id: key_id(&key(1).verifying_key()),
        signature: URL_SAFE_NO_PAD.encode(key(1).sign(bytes).to_bytes()),
    };
    assert_eq!(verify(&signed), Err(ManifestError::Malformed));
}

#[test]
fn a_key_is_known_by_16_hex_digits() {
    let id = key_id(&key(1).verifying_key());
    assert_eq!(id.len(), 16);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(id, key_id(&key(2).verifying_key()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flipped_bit_of_payload_or_signature_goes_unnoticed(place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let signed = manifest().sign(&key(1));
        let flip = |text: &str| {
            let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
            let index = place.index(bytes.len());
            bytes[index] ^= 1 << bit;
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let payload = SignedManifest { payload: flip(&signed.payload), ..signed.clone() };
        prop_assert_eq!(verify(&payload), Err(ManifestError::BadSignature));
        let signature = SignedManifest { signature: flip(&signed.signature), ..signed };
        prop_assert_eq!(verify(&signature), Err(ManifestError::BadSignature));
    }
}
