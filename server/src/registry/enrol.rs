//! How devices become known, and come back after a reimage.
//!
//! Many enrol at once when an agent is rolled out, and each moves a token, a nonce, counters and the audit chain, which all
//! others want too: so enrolments are decided and written together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use engine::ring::RingRule;
use serde_json::json;
use servicing::{Facts, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::inventory::{ParsedInventory, placed, rules_of};
use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::devices::{self, Device, DeviceStatus, KnownBy};
use crate::store::{audit, changes, cohorts, enrolment, service_clock, sha256};

/// Serials that vendors leave in place of one: they are nobody's.
const PLACEHOLDERS: [&str; 9] = [
    "",
    "0",
    "none",
    "n/a",
    "default string",
    "system serial number",
    "to be filled by o.e.m.",
    "not specified",
    "123456789",
];

/// UUIDs that vendors leave in place of one: none, all ones, and a constant that boards of many makers share.
const PLACEHOLDER_UUIDS: [u128; 4] = [
    0,
    u128::MAX,
    0x0300_0200_0400_0500_0006_0007_0008_0009,
    0x0002_0003_0004_0005_0006_0007_0008_0009,
];

/// A device that asks to be known. Its proof of possession was checked.
#[derive(Debug, Clone)]
pub struct EnrolmentInput {
    /// SHA-256 of the enrolment token.
    pub token_hash: [u8; 32],
    /// SHA-256 of the nonce: spent here.
    pub nonce_hash: [u8; 32],
    /// Until when the nonce would have been good.
    pub nonce_expires_at: DateTime<Utc>,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// Version of the agent.
    pub agent_version: String,
    /// First inventory.
    pub inventory: ParsedInventory,
}

/// Enrols devices: new ones, or the next incarnations of those that are known by TPM key, SMBIOS UUID or serial. Tokens,
/// nonces, devices, populations and audit rows of all of them move in one transaction. No two may share a name, see
/// [`names`]. The answers are in the order of the inputs: the device, or [`OpError::Refused`] with `token`, `nonce`,
/// `not_listed`, `known`, `other_track` or `no_ring`. With a good token a refusal spends the nonce all the same.
///
/// # Errors
/// When the database fails; nothing was done then.
pub async fn enrol(
    pool: &PgPool,
    catalogue: &Catalogue,
    picture: &Picture,
    inputs: &[EnrolmentInput],
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<Result<Device, OpError>>> {
    let mut tx = pool.begin().await?;
    let desk = Desk::open(&mut tx, inputs, now).await?;
    let mut uses = BTreeMap::new();
    let mut decisions: Vec<Result<Enrolment<'_>, OpError>> = (0..inputs.len())
        .map(|n| {
            let enrolment = desk.decide(&inputs[n], n, &uses, now)?;
            *uses.entry(enrolment.token).or_default() += 1;
            Ok(enrolment)
        })
        .collect();
    let mut enrolled: Vec<&mut Enrolment<'_>> = decisions.iter_mut().flatten().collect();
    if enrolled.is_empty() {
        // Nonces stay spent; nothing else is touched for whoever is not let in.
        tx.commit().await?;
        return Ok(decisions
            .into_iter()
            .map(|decision| decision.map(|enrolment| enrolment.after))
            .collect());
    }
    find_cohorts(&mut tx, &mut enrolled).await?;
    save(&mut tx, &mut enrolled, now).await?;
    enrolment::use_tokens(&mut tx, &uses).await?;
    let changed: Vec<_> = enrolled.iter().map(|e| (e.before, &e.after)).collect();
    population::delta(&mut tx, catalogue, &changed).await?;
    let device_nos: Vec<i32> = enrolled.iter().map(|e| e.after.device_no).collect();
    let announced = changes::announce_devices(&mut tx, &device_nos, true).await?;
    let entries: Vec<audit::Entry> = enrolled.iter().map(|e| e.audited(now)).collect();
    audit::append_all(&mut tx, &entries).await?;
    tx.commit().await?;
    tell(picture, changed.iter().map(|(_, after)| *after), announced);
    Ok(decisions
        .into_iter()
        .map(|decision| decision.map(|enrolment| enrolment.after))
        .collect())
}

/// What an enrolment must not share with another of its batch: its nonce, and each thing by which a machine is known.
#[must_use]
pub fn names(input: &EnrolmentInput) -> Vec<Vec<u8>> {
    let known_by = known_by(&input.inventory.identity);
    let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
    let mut names = vec![tagged(0, &input.nonce_hash)];
    names.extend(known_by.tpm_ek_sha256.map(|ek| tagged(1, &ek)));
    names.extend(known_by.smbios_uuid.map(|uuid| tagged(2, uuid.as_bytes())));
    names.extend(known_by.serial.map(|serial| tagged(3, serial.as_bytes())));
    names
}

fn known_by(identity: &devices::Identity) -> KnownBy {
    let is_placeholder = |serial: &str| PLACEHOLDERS.contains(&serial.to_lowercase().as_str());
    KnownBy {
        tpm_ek_sha256: identity.tpm_ek_sha256.clone(),
        smbios_uuid: Some(identity.smbios_uuid)
            .filter(|uuid| !PLACEHOLDER_UUIDS.contains(&uuid.as_u128())),
        serial: Some(identity.serial.clone()).filter(|serial| !is_placeholder(serial)),
    }
}

/// What enrolments are decided from. Tokens, known devices and rings stay as they are until the transaction ends.
struct Desk {
    /// Good tokens by hash.
    tokens: HashMap<[u8; 32], enrolment::Token>,
    /// Hashes of nonces that were spent just now.
    unspent: HashSet<[u8; 32]>,
    /// Listed serials, by track.
    expected: HashSet<(Uuid, String)>,
    /// Rules of rings, by track.
    rules: HashMap<Uuid, Vec<RingRule>>,
    /// What each input's device was before: in the order of the inputs.
    known: Vec<Option<Device>>,
}

/// An enrolment that is let in.
struct Enrolment<'a> {
    token: Uuid,
    before: Option<&'a Device>,
    after: Device,
}

impl Desk {
    async fn open(
        conn: &mut PgConnection,
        inputs: &[EnrolmentInput],
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let hashes: Vec<[u8; 32]> = inputs.iter().map(|i| i.token_hash).collect();
        let tokens = enrolment::lock_tokens(conn, &hashes, now).await?;
        // Whoever guesses tokens writes nothing.
        let with_token = || inputs.iter().filter(|i| tokens.contains_key(&i.token_hash));
        let nonces = with_token().map(|i| (i.nonce_hash, i.nonce_expires_at));
        let unspent = enrolment::spend_nonces(conn, &nonces.collect()).await?;
        let listed = tokens.values().filter(|t| t.admission == "listed");
        let listed: Vec<Uuid> = listed.map(|t| t.track_id).collect();
        let serials = inputs.iter().map(|i| i.inventory.identity.serial.clone());
        let expected = enrolment::expected(conn, &listed, &serials.collect::<Vec<_>>()).await?;
        let identities = inputs.iter().map(|i| known_by(&i.inventory.identity));
        let known = devices::by_identity(conn, &identities.collect::<Vec<_>>()).await?;
        let mut rules = HashMap::new();
        let tracks: BTreeSet<Uuid> = tokens.values().map(|t| t.track_id).collect();
        for track in tracks {
            rules.insert(track, rules_of(conn, track).await?);
        }
        Ok(Self {
            tokens,
            unspent,
            expected,
            rules,
            known,
        })
    }

    /// Decides the `n`th input; `uses` has how often each token was used by those before it.
    fn decide(
        &self,
        input: &EnrolmentInput,
        n: usize,
        uses: &BTreeMap<Uuid, i32>,
        now: DateTime<Utc>,
    ) -> Result<Enrolment<'_>, OpError> {
        let left = |t: &enrolment::Token| t.uses_left - uses.get(&t.id).copied().unwrap_or(0);
        let token = self.tokens.get(&input.token_hash);
        let Some(token) = token.filter(|token| left(token) > 0) else {
            return refused(
                "token",
                "The enrolment token is unknown, expired, revoked or used up.",
            );
        };
        if !self.unspent.contains(&input.nonce_hash) {
            return refused("nonce", "The nonce was used already. Ask for a new one.");
        }
        let before = self.known[n].as_ref();
        let status = self.status(token, before, &input.inventory.identity)?;
        let ParsedInventory {
            identity,
            facts,
            ledger,
            digest,
        } = input.inventory.clone();
        let track_id = token.track_id;
        let id = before.map_or_else(Uuid::new_v4, |d| d.id);
        let pin = before.filter(|d| d.track_id == track_id);
        let pin = pin.and_then(|d| d.pin);
        let rules = &self.rules[&track_id];
        let Some(ring_id) = placed(rules, track_id, id, pin, &facts, &identity.host_name) else {
            return refused(
                "no_ring",
                "No ring of the token's track takes this device: its last ring has a rule that does not match.",
            );
        };
        let after = Device {
            device_no: before.map_or(0, |d| d.device_no),
            id,
            track_id,
            ring_id,
            pin,
            status,
            clone_suspected: false,
            incarnation: before.map_or(0, |d| d.incarnation) + 1,
            generation: before.map_or(0, |d| d.generation) + 1,
            public_key: input.public_key.to_vec(),
            cohorts: Vec::new(),
            identity,
            agent_version: input.agent_version.clone(),
            facts,
            ledger,
            inventory_digest: digest.as_bytes().to_vec(),
            enrolled_at: now,
        };
        Ok(Enrolment {
            token: token.id,
            before,
            after,
        })
    }

    /// The status that a token gives a device. What an enrolling machine says of itself is only claimed: a token must
    /// not reach devices that it could not have let in.
    fn status(
        &self,
        token: &enrolment::Token,
        known: Option<&Device>,
        claimed: &devices::Identity,
    ) -> Result<DeviceStatus, OpError> {
        let listed = token.admission == "listed";
        let expected = (token.track_id, claimed.serial.clone());
        if listed && !self.expected.contains(&expected) {
            return refused(
                "not_listed",
                "This token lets in listed serials only, and the device's is not listed.",
            );
        }
        let status = if token.admission == "approval" {
            DeviceStatus::AwaitingApproval
        } else {
            DeviceStatus::Admitted
        };
        let Some(known) = known else {
            return Ok(status);
        };
        if known.track_id != token.track_id && known.status != DeviceStatus::Revoked {
            return refused(
                "other_track",
                "The device belongs to another track. Use a token of that track, or revoke it first.",
            );
        }
        if status == DeviceStatus::AwaitingApproval && known.status == DeviceStatus::Admitted {
            return refused(
                "known",
                "The device is known and admitted. Revoke it first, or use a token that lets devices in.",
            );
        }
        if listed && known.identity.serial != claimed.serial {
            return refused(
                "not_listed",
                "The device is known under another serial, and that one is not the listed one.",
            );
        }
        Ok(status)
    }
}

fn refused<T>(code: &str, sentence: &str) -> Result<T, OpError> {
    Err(OpError::Refused {
        code: code.into(),
        sentence: sentence.into(),
    })
}

impl Enrolment<'_> {
    fn audited(&self, at: DateTime<Utc>) -> audit::Entry {
        let action = match self.before {
            Some(_) => "device_enrolled_again",
            None => "device_enrolled",
        };
        let Device {
            incarnation,
            status,
            ..
        } = &self.after;
        let detail = json!({ "token": self.token, "incarnation": incarnation, "status": status });
        audited(at, None, action, &self.after, &detail)
    }
}

/// Finds the cohorts of devices that are let in. New values get ids, which are scarce: not for whoever is refused.
async fn find_cohorts(
    conn: &mut PgConnection,
    enrolled: &mut [&mut Enrolment<'_>],
) -> anyhow::Result<()> {
    let facts: Vec<&Facts> = enrolled.iter().map(|e| &e.after.facts).collect();
    let cohorts = cohorts::of_all(conn, &facts).await?;
    for (enrolment, cohorts) in enrolled.iter_mut().zip(cohorts) {
        enrolment.after.cohorts = cohorts;
    }
    Ok(())
}

/// Writes devices; those that are new get their numbers.
async fn save(
    conn: &mut PgConnection,
    enrolled: &mut [&mut Enrolment<'_>],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let service_now = service_clock::time(conn, now).await?;
    let devices = enrolled.iter_mut();
    let (new, known): (Vec<_>, Vec<_>) = devices
        .map(|enrolment| (enrolment.before.is_none(), &mut enrolment.after))
        .partition(|(is_new, _)| *is_new);
    let known: Vec<&Device> = known.iter().map(|(_, device)| &**device).collect();
    devices::save(conn, &known).await?;
    for device in known {
        devices::new_epoch(conn, device.device_no, device.incarnation).await?;
    }
    let added: Vec<&Device> = new.iter().map(|(_, device)| &**device).collect();
    let nos = devices::add(conn, &added, service_now).await?;
    for ((_, device), no) in new.into_iter().zip(nos) {
        device.device_no = no;
    }
    Ok(())
}

/// What the audit chain says of a decision about a device.
pub(super) fn audited(
    at: DateTime<Utc>,
    actor: Option<Uuid>,
    action: &str,
    device: &Device,
    detail: &serde_json::Value,
) -> audit::Entry {
    let key = Sha256::of(&device.public_key).to_string();
    let body = json!({ "device": device.id, "host_name": device.identity.host_name, "key_sha256": key, "detail": detail });
    audit::Entry {
        at,
        actor,
        action: action.to_owned(),
        subject: format!("device:{}", device.id),
        body,
    }
}

/// The local picture learns of devices before the answer goes out: they may poll at once.
pub(super) fn tell<'a>(
    picture: &Picture,
    devices: impl IntoIterator<Item = &'a Device>,
    announced: changes::Announced,
) {
    for device in devices {
        if let Ok(inventory_digest) = sha256(&device.inventory_digest) {
            picture.place(&devices::Sketch {
                device_no: device.device_no,
                ring_id: device.ring_id,
                generation: device.generation,
                admitted: device.status == DeviceStatus::Admitted,
                inventory_digest,
            });
        }
    }
    for (_, n, device_nos) in announced {
        picture.advance(&device_nos, n);
    }
    picture.wake.notify_one();
}
