//! Inventories, parsed at the edge, and the ring in which they place a device.

use std::str::FromStr;

use agent_protocol::Inventory;
use engine::ids::{RingId, TrackId};
use engine::ring::{RingRule, Subject, place};
use serde::de::DeserializeOwned;
use servicing::{
    Build, Facts, FieldError, KbNumber, Ledger, LedgerEntry, MOST_ATTRIBUTES, Sha256,
    is_attribute_name, is_attribute_value,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::OpError;
use crate::store::devices::Identity;
use crate::store::{from_word, tracks};

/// Longest text of an inventory field.
const LONGEST: usize = 256;

/// Most ledger entries of one device.
const LEDGER: usize = 2000;

/// An inventory in the domain's types.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedInventory {
    /// Who it is.
    pub identity: Identity,
    /// Facts.
    pub facts: Facts,
    /// Ledger.
    pub ledger: Ledger,
    /// SHA-256 of the JSON of the wire type.
    pub digest: Sha256,
}

/// SHA-256 of an inventory: of the JSON of the wire type, its fields in the order of the type.
///
/// # Errors
/// Never in practice: every field of the wire type has a JSON form.
pub fn digest_of(inventory: &Inventory) -> anyhow::Result<Sha256> {
    Ok(Sha256::of(&serde_json::to_vec(inventory)?))
}

/// Collects wrong fields instead of stopping at the first.
#[derive(Default)]
struct Fields(Vec<FieldError>);

impl Fields {
    fn wrong(&mut self, field: impl Into<String>, expected: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            expected: expected.into(),
        });
    }

    fn text(&mut self, field: &str, value: &str) -> String {
        if value.len() > LONGEST || value.chars().any(char::is_control) {
            self.wrong(
                field,
                format!("at most {LONGEST} characters, none of them a control character"),
            );
        }
        value.to_owned()
    }

    fn value<T: FromStr>(&mut self, field: String, value: &str, expected: &str) -> Option<T> {
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.wrong(field, expected);
        }
        parsed
    }

    fn word<T: DeserializeOwned>(
        &mut self,
        field: String,
        value: &str,
        expected: &str,
    ) -> Option<T> {
        let parsed = from_word("word", value.to_owned()).ok();
        if parsed.is_none() {
            self.wrong(field, expected);
        }
        parsed
    }
}

/// Parses an inventory. Every wrong field is named, with what was expected.
///
/// # Errors
/// [`OpError::Invalid`].
pub fn parse(inventory: &Inventory) -> Result<ParsedInventory, OpError> {
    let mut f = Fields::default();
    let ek = inventory
        .tpm_ek_sha256
        .as_deref()
        .and_then(|e| f.value::<Sha256>("tpm_ek_sha256".into(), e, "64 hex digits"));
    let identity = Identity {
        // As the serials that people expect: a blank at an end makes no other machine.
        serial: f.text("serial", inventory.serial.trim()),
        smbios_uuid: inventory.smbios_uuid,
        tpm_ek_sha256: ek.map(|e| e.as_bytes().to_vec()),
        host_name: f.text("host_name", &inventory.host_name),
    };
    let product = f.word("product".into(), &inventory.product, "client or server");
    let build: Option<Build> = f.value(
        "build".into(),
        &inventory.build,
        "base and revision, such as 26100.8117",
    );
    let series = f.word("series".into(), &inventory.series, "standard or hotpatch");
    let edition = f.value(
        "edition".into(),
        &inventory.edition,
        "an EditionID, such as Professional",
    );
    let architecture = f.word(
        "architecture".into(),
        &inventory.architecture,
        "x64 or arm64",
    );
    let store_health = f.word(
        "store_health".into(),
        &inventory.store_health,
        "healthy, repairable or non_repairable",
    );
    let update_authority = f.word(
        "update_authority".into(),
        &inventory.update_authority,
        "ringfence, windows_update, wsus, configmgr, autopatch or conflict",
    );
    let (manufacturer, model, bios_version) = (
        f.text("manufacturer", &inventory.manufacturer),
        f.text("model", &inventory.model),
        f.text("bios_version", &inventory.bios_version),
    );
    if inventory.tags.len() > 64 {
        f.wrong("tags", "at most 64 tags");
    }
    let tags = inventory
        .tags
        .iter()
        .enumerate()
        .map(|(i, t)| f.text(&format!("tags[{i}]"), t))
        .collect();
    if !(-14 * 60..=14 * 60).contains(&inventory.utc_offset_minutes) {
        f.wrong("utc_offset_minutes", "minutes east of UTC, -840 to 840");
    }
    if inventory.attributes.len() > MOST_ATTRIBUTES {
        f.wrong(
            "attributes",
            format!("at most {MOST_ATTRIBUTES} attributes"),
        );
    }
    for (name, value) in inventory.attributes.iter().take(MOST_ATTRIBUTES) {
        if !is_attribute_name(name) {
            let expected =
                "names of 1 to 32 lower-case letters, digits and _, a letter first, such as edr";
            f.wrong("attributes", expected);
        } else if !is_attribute_value(value) {
            f.wrong(
                format!("attributes.{name}"),
                "1 to 100 characters, none of them a control character, no blank at an end",
            );
        }
    }
    if inventory.ledger.len() > LEDGER {
        f.wrong("ledger", format!("at most {LEDGER} packages"));
    }
    let ledger: Vec<LedgerEntry> = inventory
        .ledger
        .iter()
        .take(LEDGER)
        .enumerate()
        .filter_map(|(i, e)| {
            let at = |field: &str| format!("ledger[{i}].{field}");
            let identity = f.text(&at("identity"), &e.identity);
            let kb = e.kb.as_deref().map(|kb| f.value::<KbNumber>(at("kb"), kb, "KB and digits, such as KB5086672"));
            let build = e.build.as_deref().map(|b| f.value::<Build>(at("build"), b, "base and revision, such as 26100.8117"));
            let state = f.word(
                at("state"),
                &e.state,
                "staged, install_pending, installed, superseded, uninstall_pending or partially_installed",
            );
            Some(LedgerEntry { identity, kb: kb.flatten(), build: build.flatten(), state: state?, at: e.at, client: e.client.clone() })
        })
        .collect();
    let parsed = (|| {
        Some(Facts {
            product: product?,
            build: build?,
            series: series?,
            edition: edition?,
            architecture: architecture?,
            manufacturer,
            model,
            bios_version,
            free_disk_bytes: inventory.free_disk_bytes,
            restart_pending: inventory.restart_pending,
            store_health: store_health?,
            on_battery: inventory.on_battery,
            oobe_complete: inventory.oobe_complete,
            update_authority: update_authority?,
            tags,
            utc_offset_minutes: inventory.utc_offset_minutes,
            attributes: inventory.attributes.clone(),
        })
    })();
    match parsed {
        Some(facts) if f.0.is_empty() => Ok(ParsedInventory {
            identity,
            facts,
            ledger: Ledger(ledger),
            digest: digest_of(inventory)?,
        }),
        _ => Err(OpError::Invalid(f.0)),
    }
}

/// The ring in which a device belongs by the track's rules; none where no rule matches. The rules stay as they are until
/// the transaction ends.
pub(super) async fn ring_of(
    conn: &mut PgConnection,
    track: Uuid,
    id: Uuid,
    pin: Option<Uuid>,
    facts: &Facts,
    host_name: &str,
) -> anyhow::Result<Option<Uuid>> {
    let rules = rules_of(conn, track).await?;
    Ok(placed(&rules, track, id, pin, facts, host_name))
}

/// The rules of a track's rings. They stay as they are until the transaction ends.
pub(super) async fn rules_of(
    conn: &mut PgConnection,
    track: Uuid,
) -> anyhow::Result<Vec<RingRule>> {
    tracks::share(&mut *conn, track).await?;
    rules(&tracks::rings(conn, track).await?)
}

/// Rules of rings, in their order.
pub(super) fn rules(rings: &[tracks::Ring]) -> anyhow::Result<Vec<RingRule>> {
    rings.iter().map(tracks::Ring::rule).collect()
}

/// The ring in which a device belongs by these rules; none where none of them matches.
pub(super) fn placed(
    rules: &[RingRule],
    track: Uuid,
    id: Uuid,
    pin: Option<Uuid>,
    facts: &Facts,
    host_name: &str,
) -> Option<Uuid> {
    let subject = Subject { facts, host_name };
    place(rules, TrackId(track), id, &subject, pin.map(RingId)).map(|r| r.0)
}
