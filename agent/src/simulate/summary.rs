//! What became of a fleet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use servicing::{HResult, KbNumber};
use uuid::Uuid;

use super::http::Requests;
use super::member::Member;

/// What became of a fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Devices.
    pub devices: usize,
    /// How many stand where; `dark` for those never to be heard of again.
    pub states: BTreeMap<String, u64>,
    /// How many are on which build.
    pub builds: BTreeMap<String, u64>,
    /// Requests by kind and status.
    pub requests: Requests,
    /// Events that the server acknowledged.
    pub events_acknowledged: u64,
    /// Events that are still spooled.
    pub events_spooled: u64,
    /// What each fault of the scenario struck.
    pub faults: BTreeMap<String, Vec<StruckDevice>>,
}

/// A device that a fault struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StruckDevice {
    /// Host name.
    pub host_name: String,
    /// The device's id, once enrolled.
    pub device_id: Option<Uuid>,
    /// Model.
    pub model: String,
    /// KB that was being installed, where it was an installation.
    pub kb: Option<KbNumber>,
    /// Code that the device reports, where there is one.
    pub code: Option<HResult>,
}

/// How far a server acknowledged a device's telemetry: a promise it can be held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// Host name.
    pub host_name: String,
    /// The device's id, once enrolled.
    pub device_id: Option<Uuid>,
    /// Epoch.
    pub epoch: u32,
    /// Everything up to here.
    pub acked: u64,
}

pub(super) fn summary(members: &[Member], requests: Requests) -> Summary {
    let mut summary = Summary {
        devices: members.len(),
        states: BTreeMap::new(),
        builds: BTreeMap::new(),
        requests,
        events_acknowledged: 0,
        events_spooled: 0,
        faults: BTreeMap::new(),
    };
    for member in members {
        let state = member
            .status()
            .map_or_else(|| "dark".to_owned(), |status| status.to_string());
        *summary.states.entry(state).or_default() += 1;
        let facts = member.device().facts();
        *summary.builds.entry(facts.build.to_string()).or_default() += 1;
        let (_, acked, spooled) = member.telemetry();
        summary.events_acknowledged += acked;
        summary.events_spooled += spooled.len() as u64;
        for struck in member.struck() {
            summary
                .faults
                .entry(struck.fault.clone())
                .or_default()
                .push(StruckDevice {
                    host_name: member.device().host_name().to_owned(),
                    device_id: member.device_id(),
                    model: facts.model.clone(),
                    kb: struck.kb,
                    code: struck.code,
                });
        }
    }
    summary
}

pub(super) fn acknowledged(members: &[Member]) -> Vec<Acknowledged> {
    members
        .iter()
        .map(|member| {
            let (epoch, acked, _) = member.telemetry();
            let host_name = member.device().host_name().to_owned();
            Acknowledged {
                host_name,
                device_id: member.device_id(),
                epoch,
                acked,
            }
        })
        .collect()
}
