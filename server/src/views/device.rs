//! A device as it is shown: what it is, what it has, and where it stands in every rollout of its track, those
//! included in which it has not begun.

use chrono::{DateTime, Utc};
use engine::assignment::{Assignment, State, Suspicion};
use engine::hold::{self, Hold, HoldKind};
use engine::ids::RolloutId;
use engine::ring::Subject;
use engine::rollout::Scope;
use serde::Serialize;
use serde_json::Value;
use servicing::{Facts, KbNumber, Ledger, Planned, Sequence, Sha256, plan};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::fleet::Catalogue;
use crate::store::assignments::{self, PlannedStep};
use crate::store::devices::{Device, DeviceStatus};
use crate::store::{events, holds, populations, rollouts, seen, tracks};

/// Newest rollouts of which a page shows the device's assignment.
const ASSIGNMENTS: usize = 50;

/// Newest events that a page shows.
const EVENTS: i64 = 50;

/// A device with everything people ask about it.
#[derive(Debug, Serialize)]
pub struct DevicePage {
    /// Id.
    pub id: Uuid,
    /// Number.
    pub device_no: i32,
    /// Track.
    pub track_id: Uuid,
    /// Ring now.
    pub ring_id: Uuid,
    /// Ring's name.
    pub ring_name: Option<String>,
    /// Ring it is pinned to.
    pub pin: Option<Uuid>,
    /// Whether it may work.
    pub status: DeviceStatus,
    /// Two machines report as this device.
    pub clone_suspected: bool,
    /// Counts reimages.
    pub incarnation: i32,
    /// Host name.
    pub host_name: String,
    /// SMBIOS serial.
    pub serial: String,
    /// SMBIOS UUID.
    pub smbios_uuid: Uuid,
    /// Hash of the TPM's endorsement key, hex.
    pub tpm_ek_sha256: Option<String>,
    /// SHA-256 of the device's public key.
    pub key_sha256: Sha256,
    /// Version of its agent.
    pub agent_version: String,
    /// First or last enrolment.
    pub enrolled_at: DateTime<Utc>,
    /// Last contact, to the minute.
    pub last_seen: Option<DateTime<Utc>>,
    /// Facts.
    pub facts: Facts,
    /// Servicing ledger.
    pub ledger: Ledger,
    /// Where it stands in rollouts that are not over.
    pub rollouts: Vec<Place>,
    /// How far it got, newest rollout first.
    pub assignments: Vec<AssignmentLine>,
    /// Newest first.
    pub events: Vec<EventLine>,
}

/// Where a device stands in a rollout.
#[derive(Debug, Serialize)]
pub struct Place {
    /// Rollout.
    pub rollout: RolloutId,
    /// The rollout's state, as a word.
    pub rollout_state: &'static str,
    /// KB, where the sequence is known.
    pub kb: Option<KbNumber>,
    /// Ring to which it belongs in this rollout; none where its ring came after the rollout.
    pub ring_name: Option<String>,
    /// The stage's state, as a word.
    pub stage_state: Option<&'static str>,
    /// How far it is, or `targeted`, `held`, `excluded`, `not_ready:<why>`, `complete`, `ahead`, `not_applicable:<why>`, `not_listed`.
    pub place: String,
    /// Why, where there is more to say.
    pub sentences: Vec<String>,
}

/// How far a device is in a rollout.
#[derive(Debug, Serialize)]
pub struct AssignmentLine {
    /// Rollout.
    pub rollout: Uuid,
    /// Stage.
    pub stage: Uuid,
    /// State, as a word.
    pub state: &'static str,
    /// With its data.
    pub detail: Assignment,
    /// Steps, frozen at the permit.
    pub plan: Vec<PlannedStep>,
    /// What keeps it from being ready.
    pub not_ready: Option<String>,
    /// When it got its permit.
    pub permitted_at: Option<DateTime<Utc>>,
    /// When the permit ends unused.
    pub start_by: Option<DateTime<Utc>>,
    /// When it last moved.
    pub progress_at: DateTime<Utc>,
}

/// An event as it was stored.
#[derive(Debug, Serialize)]
pub struct EventLine {
    /// Place in the device's history.
    pub event_no: i64,
    /// When the server took it in.
    pub received_at: DateTime<Utc>,
    /// Incarnation's epoch.
    pub epoch: i32,
    /// The device's own number; 0 for the server's events.
    pub seq: i64,
    /// Kind.
    pub kind: String,
    /// Body.
    pub body: Value,
}

/// The word for how far a device is: a suspicion, while it stands, says more than the last report.
fn word(assignment: &Assignment) -> &'static str {
    match assignment.suspicion {
        Some(Suspicion::Hang) => "hang_suspected",
        Some(Suspicion::Lost) => "lost",
        None => assignment.state.word(),
    }
}

impl From<assignments::Stored> for AssignmentLine {
    fn from(stored: assignments::Stored) -> Self {
        Self {
            rollout: stored.rollout,
            stage: stored.stage,
            state: word(&stored.assignment),
            detail: stored.assignment,
            plan: stored.plan,
            not_ready: stored.not_ready,
            permitted_at: stored.permitted_at,
            start_by: stored.start_by,
            progress_at: stored.progress_at,
        }
    }
}

impl From<events::LoggedEvent> for EventLine {
    fn from(e: events::LoggedEvent) -> Self {
        Self {
            event_no: e.event_no,
            received_at: e.received_at,
            epoch: e.epoch,
            seq: e.seq,
            kind: e.kind,
            body: e.body,
        }
    }
}

impl DevicePage {
    /// Reads it; `here` is the last contact with this replica.
    pub async fn read(
        conn: &mut PgConnection,
        catalogue: &Catalogue,
        device: Device,
        here: Option<DateTime<Utc>>,
    ) -> anyhow::Result<Self> {
        let mut assignments = assignments::of_devices(&mut *conn, &[device.device_no]).await?;
        let rollouts = places(&mut *conn, catalogue, &device, &assignments).await?;
        assignments.truncate(ASSIGNMENTS);
        let rings = tracks::rings(&mut *conn, device.track_id).await?;
        let written = seen::newest(&mut *conn, &[device.device_no]).await?;
        let events = events::newest(conn, device.device_no, EVENTS).await?;
        Ok(Self {
            id: device.id,
            device_no: device.device_no,
            track_id: device.track_id,
            ring_id: device.ring_id,
            ring_name: rings
                .into_iter()
                .find(|r| r.id == device.ring_id)
                .map(|r| r.name),
            pin: device.pin,
            status: device.status,
            clone_suspected: device.clone_suspected,
            incarnation: device.incarnation,
            host_name: device.identity.host_name,
            serial: device.identity.serial,
            smbios_uuid: device.identity.smbios_uuid,
            tpm_ek_sha256: device.identity.tpm_ek_sha256.map(hex::encode),
            key_sha256: Sha256::of(&device.public_key),
            agent_version: device.agent_version,
            enrolled_at: device.enrolled_at,
            last_seen: here.max(written.get(&device.device_no).copied()),
            facts: device.facts,
            ledger: device.ledger,
            rollouts,
            assignments: assignments.into_iter().map(AssignmentLine::from).collect(),
            events: events.into_iter().map(EventLine::from).collect(),
        })
    }
}

/// Places of a device in the rollouts of its track that are not over.
async fn places(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    device: &Device,
    begun: &[assignments::Stored],
) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    let on = holds::on(&mut *conn, &[device.track_id]).await?;
    for id in rollouts::live(&mut *conn, Some(device.track_id)).await? {
        let Some(stored) = rollouts::by_id(&mut *conn, id).await? else {
            continue;
        };
        let sequence = catalogue.get(&mut *conn, stored.rollout.digest).await?;
        let own = begun.iter().find(|a| a.rollout == id.0);
        let listed = stored.rollout.scope == Scope::Track
            || populations::is_listed(&mut *conn, id.0, device.device_no).await?;
        let holds = holds::of_rollout(&on, id.0, stored.rollout.digest);
        let (place, sentences) = match (own, sequence.as_deref()) {
            (Some(own), _) => {
                // One that has begun goes on; one that only has its permit does not begin.
                let started = own.assignment.started;
                let begins = !started || own.assignment.state == State::Permitted;
                let hold = begins.then(|| hold_on(&holds, device, started)).flatten();
                let held = hold.map(Hold::sentence).into_iter();
                (
                    word(&own.assignment).to_owned(),
                    held.chain(own.not_ready.iter().cloned()).collect(),
                )
            }
            (None, Some(sequence)) => {
                not_begun(device, sequence, listed, hold_on(&holds, device, false))
            }
            (None, None) => continue,
        };
        let stages = rollouts::stages(&mut *conn, id).await?;
        let stage = stages
            .into_iter()
            .find(|s| own.map_or(s.ring_id == device.ring_id, |own| s.id.0 == own.stage));
        places.push(Place {
            rollout: id,
            rollout_state: stored.rollout.state.word(),
            kb: sequence.as_ref().map(|s| s.kb),
            stage_state: stage.as_ref().map(|s| s.state.word()),
            ring_name: stage.map(|s| s.ring_name),
            place,
            sentences,
        });
    }
    Ok(places)
}

/// The hold that a device is under.
pub(super) fn hold_on<'a>(
    holds: &'a [Hold],
    device: &Device,
    has_started: bool,
) -> Option<&'a Hold> {
    let subject = Subject {
        facts: &device.facts,
        host_name: &device.identity.host_name,
    };
    hold::on(holds, &subject, has_started)
}

/// Where a device stands that has not begun, and why.
pub(super) fn not_begun(
    device: &Device,
    sequence: &Sequence,
    listed: bool,
    hold: Option<&Hold>,
) -> (String, Vec<String>) {
    let plain = |word: &str| (word.to_owned(), Vec::new());
    match device.status {
        DeviceStatus::AwaitingApproval => return plain("awaiting_approval"),
        DeviceStatus::Revoked => return plain("revoked"),
        DeviceStatus::Admitted if !listed => return plain("not_listed"),
        DeviceStatus::Admitted => {}
    }
    let planned = plan(sequence, &device.facts, &device.ledger);
    if let (Planned::Steps(_) | Planned::NotReady(..), Some(hold)) = (&planned, hold) {
        let word = match hold.kind {
            HoldKind::Safeguard => "held",
            HoldKind::Exclusion => "excluded",
        };
        return (word.to_owned(), vec![hold.sentence()]);
    }
    match planned {
        Planned::Steps(_) => plain("targeted"),
        Planned::Complete => plain("complete"),
        Planned::Ahead => plain("ahead"),
        Planned::NotApplicable(why) => (
            format!("not_applicable:{}", why.word()),
            vec![why.to_string()],
        ),
        Planned::NotReady(_, why) => {
            let word = why.first().map_or("not_ready".to_owned(), |first| {
                format!("not_ready:{}", first.word())
            });
            (word, why.iter().map(ToString::to_string).collect())
        }
    }
}
