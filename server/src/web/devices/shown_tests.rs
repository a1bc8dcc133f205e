//! Pages of devices in every condition.

use engine::ids::RolloutId;
use serde_json::json;

use super::*;
use crate::store::devices;
use crate::web::frame::{Nav, main_of};

fn device() -> Device {
    serde_json::from_value::<servicing::Facts>(json!({
        "product": "client", "build": "26100.8116", "series": "standard", "edition": "Enterprise", "architecture": "x64",
        "manufacturer": "Dell Inc.", "model": "Latitude 5440", "bios_version": "1.2.3", "free_disk_bytes": 201_863_462_912_u64,
        "restart_pending": false, "store_health": "healthy", "on_battery": false, "oobe_complete": true,
        "update_authority": "ringfence", "tags": ["pilot"], "utc_offset_minutes": 60
    }))
    .map(|facts| Device {
        device_no: 1,
        id: Uuid::nil(),
        track_id: Uuid::nil(),
        ring_id: Uuid::nil(),
        pin: None,
        status: DeviceStatus::Admitted,
        clone_suspected: false,
        incarnation: 1,
        generation: 1,
        public_key: Vec::new(),
        identity: devices::Identity {
            serial: "PF3ABCD".to_owned(),
            smbios_uuid: Uuid::nil(),
            tpm_ek_sha256: None,
            host_name: "LAB-1".to_owned(),
        },
        agent_version: "0.1.0".to_owned(),
        cohorts: Vec::new(),
        facts,
        ledger: servicing::Ledger::default(),
        inventory_digest: Vec::new(),
        enrolled_at: chrono::DateTime::from_timestamp(1_775_000_000, 0).unwrap(),
    })
    .unwrap()
}

fn shown(device: &Device, places: Vec<Place>) -> DeviceShown {
    let view = DevicePage {
        id: device.id,
        device_no: 1,
        track_id: device.track_id,
        ring_id: device.ring_id,
        ring_name: Some("Pilot".to_owned()),
        pin: device.pin,
        status: device.status,
        clone_suspected: device.clone_suspected,
        incarnation: 1,
        host_name: device.identity.host_name.clone(),
        serial: device.identity.serial.clone(),
        smbios_uuid: Uuid::nil(),
        tpm_ek_sha256: None,
        key_sha256: servicing::Sha256::of(b""),
        agent_version: device.agent_version.clone(),
        enrolled_at: device.enrolled_at,
        last_seen: None,
        facts: device.facts.clone(),
        ledger: device.ledger.clone(),
        rollouts: places,
        assignments: Vec::new(),
        events: Vec::new(),
    };
    let frame = Frame::sample(Nav::Devices, "LAB-1", "/devices/1");
    let mut page = DeviceShown::of(frame, device, &view, Some("Production".to_owned()));
    page.ring_why = "by rule 2:".to_owned();
    page.ring_query = Some("tag:pilot".to_owned());
    page.may_act = true;
    page
}

fn place(word: &str, why: &[&str]) -> Place {
    Place {
        rollout: RolloutId(Uuid::nil()),
        rollout_state: "active",
        kb: Some("KB5086672".parse().unwrap()),
        ring_name: Some("Pilot".to_owned()),
        stage_state: Some("deploying"),
        place: word.to_owned(),
        sentences: why.iter().map(|s| (*s).to_owned()).collect(),
    }
}

#[test]
fn a_device_without_any_rollout() {
    insta::assert_snapshot!(main_of(&shown(&device(), Vec::new())));
}

#[test]
fn a_revoked_and_cloned_device_with_a_name_without_end() {
    let mut device = device();
    device.status = DeviceStatus::Revoked;
    device.clone_suspected = true;
    device.identity.host_name = "W".repeat(200);
    insta::assert_snapshot!(main_of(&shown(&device, vec![place("revoked", &[])])));
}

#[test]
fn a_device_that_waits_and_says_nothing_of_itself() {
    let mut device = device();
    device.status = DeviceStatus::AwaitingApproval;
    device.identity.host_name = String::new();
    device.identity.serial = String::new();
    device.facts.model = String::new();
    device.facts.manufacturer = String::new();
    device.facts.bios_version = String::new();
    device.facts.tags.clear();
    insta::assert_snapshot!(main_of(&shown(&device, Vec::new())));
}

#[test]
fn the_sentence_says_how_it_stands() {
    let frame = Frame::sample(Nav::Devices, "LAB-1", "/devices/1");
    let said = |word: &str, why: &[&str]| stands(&place(word, why), None, &frame);
    insta::assert_snapshot!([
        said("succeeded", &[]),
        said("targeted", &[]),
        said("not_ready:disk", &["19.9 GiB free on the system volume, 20.0 GiB needed."]),
        said("not_applicable:architecture", &["The update is for another processor architecture."]),
        said("complete", &[]),
    ].join("\n"), @r"
    KB5086672 is installed and was verified.
    KB5086672 is meant for it and has not begun; Pilot is deploying.
    KB5086672 is meant for it and could not start now. 19.9 GiB free on the system volume, 20.0 GiB needed.
    KB5086672 is not for this device. The update is for another processor architecture.
    It has KB5086672 already.
    ");
}
