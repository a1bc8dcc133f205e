//! Scenario files, right and wrong, and the fleet that the built-in one makes.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use agent::simulated::{Profile, Scenario};
use servicing::Architecture;
use support::{rig::CALM, start};

const BAD_MODELS: [&str; 3] = ["Latitude 7450", "EliteBook 845 G10", "ThinkPad L14 Gen 4"];

fn fleet(devices: u32) -> Vec<Profile> {
    let population = Scenario::main_job().population;
    (0..devices)
        .map(|index| Profile::of(&population, 3, index, devices, start()))
        .collect()
}

fn tagged<'a>(fleet: &'a [Profile], tag: &str) -> Vec<&'a Profile> {
    fleet
        .iter()
        .filter(|device| device.facts.tags.iter().any(|own| own == tag))
        .collect()
}

#[test]
fn the_main_job_has_the_rings_it_needs() {
    let fleet = fleet(2000);
    let (test, pilot, limited) = (
        tagged(&fleet, "test"),
        tagged(&fleet, "pilot"),
        tagged(&fleet, "limited"),
    );
    assert_eq!((test.len(), pilot.len(), limited.len()), (20, 100, 300));
    let bad = |devices: &[&Profile]| {
        devices
            .iter()
            .filter(|device| BAD_MODELS.contains(&device.facts.model.as_str()))
            .count()
    };
    assert_eq!(bad(&test), 0);
    assert!(bad(&pilot) >= 20, "{}", bad(&pilot));
    for model in BAD_MODELS {
        assert!(
            pilot
                .iter()
                .filter(|device| device.facts.model == model)
                .count()
                >= 5,
            "{model}"
        );
    }
    let small = self::fleet(60);
    assert_eq!(
        (tagged(&small, "test").len(), tagged(&small, "pilot").len()),
        (12, 40)
    );
}

#[test]
fn the_main_job_has_the_mix_it_needs() {
    let fleet = fleet(2000);
    let share = |holds: &dyn Fn(&Profile) -> bool| {
        f64::from(u32::try_from(fleet.iter().filter(|device| holds(device)).count()).unwrap())
            / 2000.0
    };
    let arm = share(&|device| device.facts.architecture == Architecture::Arm64);
    assert!((0.05..0.09).contains(&arm), "{arm}");
    let below = share(&|device| device.facts.build.ubr < 1742);
    assert!((0.06..0.11).contains(&below), "{below}");
    assert!(
        fleet
            .iter()
            .all(|device| device.facts.build.base == 26100 || device.facts.build.ubr >= 7171)
    );
    let mut bios: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for device in &fleet {
        bios.entry(&device.facts.model)
            .or_default()
            .insert(&device.facts.bios_version);
    }
    assert_eq!(bios.len(), 24);
    assert!(bios.values().all(|versions| versions.len() == 2));
    let serials: BTreeSet<_> = fleet.iter().map(|device| &device.hardware.serial).collect();
    assert_eq!(serials.len(), 2000);
}

#[test]
fn a_device_is_the_same_whenever_it_is_made() {
    assert_eq!(fleet(50), fleet(50));
}

#[track_caller]
fn wrong(text: &str, names: &str) {
    let error = Scenario::parse(text).unwrap_err().to_string();
    assert!(error.contains(names), "{error}");
}

#[test]
fn wrong_input_names_the_field() {
    let fault = |rest: &str| format!("{CALM}\n[[faults]]\nname = \"it\"\n{rest}\n");
    wrong(&CALM.replace("resolution_s", "resolution"), "resolution");
    wrong(&CALM.replace("resolution_s = 1\n", ""), "resolution_s");
    wrong(
        &CALM.replace("resolution_s = 1", "resolution_s = 0"),
        "time.resolution_s",
    );
    wrong(
        &CALM.replace("install_median_min = 45", "install_median_min = 0"),
        "time.install_median_min",
    );
    wrong(
        &CALM.replace("install_sigma = 0.5", "install_sigma = -1"),
        "time.install_sigma",
    );
    wrong(
        &CALM.replace("min = 30", "min = 300"),
        "restart.agree_in.uniform",
    );
    wrong(
        &CALM.replace(
            "uniform = { min = 30, max = 180 }",
            "lognormal = { median = 0, sigma = 1 }",
        ),
        "restart.agree_in.lognormal",
    );
    wrong(
        &CALM.replace("[population]", "postpone_rate = 2\n[population]"),
        "restart.postpone_rate",
    );
    wrong(
        &CALM.replace("arm64_share = 0", "arm64_share = 1.5"),
        "population.arm64_share",
    );
    wrong(
        &CALM.replace("arm64_share = 0", "arm64_share = 0.5"),
        "population.models",
    );
    wrong(
        &CALM.replace("[{ build = \"26100.1150\", weight = 1 }]", "[]"),
        "population.builds",
    );
    wrong(&CALM.replace("26100.1150", "26100"), "build");
    wrong(
        &CALM.replace("[{ edition = \"Professional\", weight = 1 }]", "[]"),
        "population.editions",
    );
    wrong(
        &CALM.replace(
            "\"Professional\", weight = 1",
            "\"Professional\", weight = 0",
        ),
        "population.editions[0].weight",
    );
    wrong(
        &CALM.replace("\"26100.1150\", weight = 1", "\"26100.1150\", weight = 0"),
        "population.builds[0].weight",
    );
    wrong(
        &CALM.replace("[60]", "[]"),
        "population.utc_offsets_minutes",
    );
    wrong(
        &CALM.replace("[\"1.19.0\"]", "[]"),
        "population.models[0].bios",
    );
    wrong(
        &CALM.replace("bios =", "weight = 0\nbios ="),
        "population.models[0].weight",
    );
    wrong(&fault("rate = 2\neffect = \"hangs\""), "faults[0].rate");
    wrong(&fault("rate = 1\neffect = \"explodes\""), "explodes");
    wrong(
        &fault("rate = 1\neffect = { fails = { code = \"3010\" } }"),
        "code",
    );
    wrong(
        &fault("rate = 1\neffect = { fails = { code = \"0x00000000\" } }"),
        "faults[0].effect.code",
    );
    wrong(
        &fault("rate = 1\nmodels = [\"Toaster\"]\neffect = \"hangs\""),
        "faults[0].models",
    );
    wrong(
        &fault("rate = 1\nmodel = [\"Latitude 5440\"]\neffect = \"hangs\""),
        "model",
    );
    wrong(
        &fault("rate = 1\neffect = { offline = { min_hours = 9, max_hours = 8 } }"),
        "faults[0].effect.offline",
    );
    let one = "[[faults]]\nname = \"it\"\nrate = 0\neffect = \"hangs\"\n";
    wrong(&format!("{CALM}\n{one}{one}"), "faults[1].name");
    let tag = |rest: &str| format!("{CALM}\n[[population.tags]]\ntag = \"test\"\n{rest}\n");
    wrong(&tag("share = 3"), "population.tags[0].share");
    wrong(
        &tag("share = 0\nwithout_models = [\"Toaster\"]"),
        "population.tags[0].without_models",
    );
    wrong(
        &tag("share = 0\nwith_models = [\"Toaster\"]"),
        "population.tags[0].with_models",
    );
}

#[test]
fn devices_have_the_attributes_of_their_scenario_and_wrong_ones_are_named() {
    let with = |name: &str, share: f64| {
        format!(
            "{CALM}\n[[population.attributes]]\nname = \"{name}\"\nvalue = \"Contoso 7.2\"\nshare = {share}\n"
        )
    };
    let scenario = Scenario::parse(&with("edr", 0.25)).unwrap();
    let has = (0..1000).filter(|index| {
        let device = Profile::of(&scenario.population, 3, *index, 1000, start());
        device.facts.attributes.get("edr").map(String::as_str) == Some("Contoso 7.2")
    });
    assert!((200..300).contains(&has.count()));
    for (text, field) in [
        (with("EDR", 0.5), "population.attributes[0].name"),
        (with("edr", 1.5), "population.attributes[0].share"),
    ] {
        let error = Scenario::parse(&text).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}
