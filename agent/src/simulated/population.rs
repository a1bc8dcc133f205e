//! Who is in the fleet: one device by its number.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use servicing::{
    Architecture, Edition, Facts, Ledger, LedgerEntry, PackageState, Product, Series, StoreHealth,
    UpdateAuthority,
};
use uuid::Uuid;

use super::dice::{dice, pick};
use super::scenario::{Model, Population, TagShare};
use super::windows::rollup_identity;
use crate::core::Hardware;

/// Free space of a device in good order.
const FREE_DISK_BYTES: u64 = 120 << 30;

/// Every so many devices of a tag one has a model that the tag asks for.
const EVERY: u32 = 4;

/// A device as it comes into the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its number in the fleet, from 0.
    pub index: u32,
    /// Which machine it is.
    pub hardware: Hardware,
    /// Its facts.
    pub facts: Facts,
    /// What it has installed.
    pub ledger: Ledger,
}

impl Profile {
    /// The device with this number in a fleet of `devices`.
    #[must_use]
    pub fn of(
        population: &Population,
        seed: u64,
        index: u32,
        devices: u32,
        born: DateTime<Utc>,
    ) -> Self {
        let mut rng = dice(seed, index, "profile", 0);
        let (tag, place) = tag_of(population, index, devices);
        let model = model_of(population, seed, index, tag, place);
        let build =
            pick(&mut rng, &population.builds, |build| build.weight).map(|share| share.build);
        let build = build.unwrap_or(servicing::Build {
            base: 26100,
            ubr: 7840,
        });
        let edition = pick(&mut rng, &population.editions, |edition| edition.weight);
        let edition: Option<Edition> = edition.map(|share| share.edition.clone());
        let bios = rng.random_range(0..model.bios.len());
        let offsets = &population.utc_offsets_minutes;
        let facts = Facts {
            product: Product::Client,
            build,
            series: Series::Standard,
            edition: edition.unwrap_or_else(|| "Professional".parse().expect("a known edition")),
            architecture: model.architecture,
            manufacturer: model.manufacturer.clone(),
            model: model.model.clone(),
            bios_version: model.bios[bios].clone(),
            free_disk_bytes: FREE_DISK_BYTES,
            restart_pending: false,
            store_health: StoreHealth::Healthy,
            on_battery: false,
            oobe_complete: true,
            update_authority: UpdateAuthority::Ringfence,
            tags: tag.map(|tag| tag.tag.clone()).into_iter().collect(),
            utc_offset_minutes: offsets[index as usize % offsets.len()],
            attributes: attributes_of(population, seed, index),
        };
        let ledger = Ledger(vec![LedgerEntry {
            identity: rollup_identity(facts.architecture, build.ubr),
            kb: None,
            build: Some(build),
            state: PackageState::Installed,
            at: Some(born - TimeDelta::days(30)),
            client: Some("UpdateAgentLCU".to_owned()),
        }]);
        let hardware = Hardware {
            serial: format!("SIM{:06}{:04X}", index + 1, seed & 0xFFFF),
            smbios_uuid: Uuid::from_u128(rng.random()),
            tpm_ek_sha256: Some(hex::encode(rng.random::<[u8; 32]>())),
            host_name: format!("{}{:05}", population.host_prefix, index + 1),
        };
        Self {
            index,
            hardware,
            facts,
            ledger,
        }
    }
}

fn attributes_of(population: &Population, seed: u64, index: u32) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for (place, of) in (0..).zip(&population.attributes) {
        let takes = dice(seed, index, "attribute", place).random_bool(of.share);
        if takes && !attributes.contains_key(&of.name) {
            attributes.insert(of.name.clone(), of.value.clone());
        }
    }
    attributes
}

/// The tag of a device, and its place among the devices that have it.
fn tag_of(population: &Population, index: u32, devices: u32) -> (Option<&TagShare>, u32) {
    let mut first = 0;
    for tag in &population.tags {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a u32 is one"
        )]
        let by_share = (f64::from(devices) * tag.share).round() as u32;
        let size = by_share.max(tag.minimum);
        if index < first + size {
            return (Some(tag), index - first);
        }
        first += size;
    }
    (None, index - first)
}

fn model_of<'a>(
    population: &'a Population,
    seed: u64,
    index: u32,
    tag: Option<&TagShare>,
    place: u32,
) -> &'a Model {
    let wanted = tag.map_or(&[][..], |tag| &tag.with_models);
    if !wanted.is_empty() && place.is_multiple_of(EVERY) {
        let name = &wanted[(place / EVERY) as usize % wanted.len()];
        if let Some(model) = population.models.iter().find(|model| model.model == *name) {
            return model;
        }
    }
    let mut rng = dice(seed, index, "model", 0);
    let is_arm = rng.random_bool(population.arm64_share);
    let architecture = if is_arm {
        Architecture::Arm64
    } else {
        Architecture::X64
    };
    let unwanted =
        |model: &&Model| tag.is_some_and(|tag| tag.without_models.contains(&model.model));
    let of_architecture: Vec<&Model> = population
        .models
        .iter()
        .filter(|model| model.architecture == architecture)
        .collect();
    let allowed: Vec<&Model> = of_architecture
        .iter()
        .copied()
        .filter(|model| !unwanted(model))
        .collect();
    let from = if allowed.is_empty() {
        of_architecture
    } else {
        allowed
    };
    pick(&mut rng, &from, |model| model.weight)
        .copied()
        .unwrap_or(&population.models[0])
}
