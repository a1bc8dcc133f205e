//! How a device becomes known, and how it proves who it is afterwards.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Inventory;

/// First line of the message that an enrolling device signs, so that the signature means nothing elsewhere.
pub const ENROLMENT_CONTEXT: &str = "ringfence-enrol-v1";

/// The message an enrolling device signs with its new key: context, nonce, token and public key, each on a line.
#[must_use]
pub fn enrolment_message(nonce: &str, token: &str, public_key: &str) -> String {
    format!("{ENROLMENT_CONTEXT}\n{nonce}\n{token}\n{public_key}")
}

/// Answer of `GET /enroll/nonce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce {
    /// Opaque; used once.
    pub nonce: String,
    /// Seconds for which the server accepts it.
    pub expires_in_s: u32,
}

/// Body of `POST /enroll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// Enrolment token as an administrator handed it out.
    pub token: String,
    /// From `GET /enroll/nonce`.
    pub nonce: String,
    /// Ed25519 public key, 32 bytes, base64url without padding.
    pub public_key: String,
    /// Signature by that key over [`enrolment_message`], base64url without padding.
    pub signature: String,
    /// Version of the agent.
    pub agent_version: String,
    /// First inventory.
    pub inventory: Inventory,
}

/// Answer of `POST /enroll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// The device's id for ever; the same serial, SMBIOS UUID or TPM key gets the same id again.
    pub device_id: Uuid,
    /// Counts reimages of the same device, from 1. The device's event epoch starts here.
    pub incarnation: u32,
    /// Whether the device may ask for tokens now.
    pub status: EnrolStatus,
    /// Keys whose manifests this device may run: pinned at enrolment.
    pub publisher_keys: Vec<PublisherKey>,
    /// Server settings that the agent follows.
    pub settings: Settings,
}

/// Whether an enrolled device may already work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolStatus {
    /// It may ask for tokens.
    Admitted,
    /// A person has to let it in first; ask for a token again later.
    AwaitingApproval,
}

/// A publisher's public key, by which manifests are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherKey {
    /// First 16 hex digits of the key's SHA-256.
    pub key_id: String,
    /// Ed25519 public key, 32 bytes, base64url without padding.
    pub public_key: String,
}

/// What the server asks of every agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Seconds between polls while nothing is going on; each answer may say otherwise.
    pub poll_after_s: u32,
    /// Seconds between heartbeats while a step runs.
    #[serde(default = "default_heartbeat_s")]
    pub heartbeat_s: u32,
}

fn default_heartbeat_s() -> u32 {
    600
}

/// Body of `POST /token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// JWT signed by the device key (`EdDSA`): `iss` the device id, `aud` `"ringfence"`, `iat`, `exp` (at most
    /// ten minutes after `iat`), `jti`, and `nonce` from `GET /enroll/nonce`, so that a copied one is worth nothing.
    pub assertion: String,
}

/// Answer of `POST /token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// Bearer token for all other calls.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in_s: u32,
}
