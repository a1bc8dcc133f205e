//! Devices, ledgers and sequences to try rules on.

use serde_json::{Value, json};
use servicing::{
    Architecture, Build, Facts, KbNumber, Ledger, LedgerEntry, PackageState, Plan, Planned,
    Product, Sequence, Series, StoreHealth, UpdateAuthority, known_sequences, plan,
};

pub const GIB: u64 = 1 << 30;

pub fn kb(text: &str) -> KbNumber {
    text.parse().expect("a KB")
}

pub fn build(text: &str) -> Build {
    text.parse().expect("a build")
}

/// A healthy x64 client that may install now.
pub fn device(at: &str) -> Facts {
    Facts {
        product: Product::Client,
        build: build(at),
        series: Series::Standard,
        edition: "Professional".parse().expect("an edition"),
        architecture: Architecture::X64,
        manufacturer: "Contoso".into(),
        model: "Laptop 7".into(),
        bios_version: "1.2.3".into(),
        free_disk_bytes: 100 * GIB,
        restart_pending: false,
        store_health: StoreHealth::Healthy,
        on_battery: false,
        oobe_complete: true,
        update_authority: UpdateAuthority::Ringfence,
        tags: Vec::new(),
        utc_offset_minutes: 60,
        attributes: std::collections::BTreeMap::new(),
    }
}

/// A sequence that shipped with this version.
pub fn known(number: &str) -> Sequence {
    let found = known_sequences()
        .iter()
        .find(|known| known.sequence.kb == kb(number));
    found.expect("a known sequence").sequence.clone()
}

/// A sequence of one x64 client variant for 24H2 and 25H2, changed by `change`.
pub fn sequence(
    kind: &str,
    target_ubr: Option<u32>,
    packages: &Value,
    change: impl FnOnce(&mut Value),
) -> Sequence {
    let last = packages
        .as_array()
        .and_then(|all| all.last())
        .expect("a package");
    let mut value = json!({
        "kb": last["kb"], "title": "An update", "kind": kind,
        "variants": [{
            "arch": "x64", "base_builds": [26100, 26200], "target_ubr": target_ubr, "packages": packages,
        }],
    });
    change(&mut value);
    serde_json::from_value(value).expect("a sequence")
}

/// Two checkpoints and a target, one by one unless changed.
pub fn long_sequence(method: &str) -> Sequence {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5043080", "role": "checkpoint", "build": "26100.1742", "size_bytes": GIB},
        {"ordinal": 2, "kb": "KB5050000", "role": "checkpoint", "build": "26100.4000", "size_bytes": GIB},
        {"ordinal": 3, "kb": "KB5086672", "role": "lcu", "build": "26100.8117", "size_bytes": 8 * GIB},
    ]);
    sequence("security", Some(8117), &packages, |value| {
        value["variants"][0]["method"] = json!(method);
    })
}

pub fn entry(number: Option<&str>, at: Option<&str>, state: PackageState) -> LedgerEntry {
    let version = at.unwrap_or("26100.1");
    LedgerEntry {
        identity: format!("Package_for_RollupFix~31bf3856ad364e35~amd64~~{version}.1.1"),
        kb: number.map(kb),
        build: at.map(build),
        state,
        at: None,
        client: Some("DISM Package Manager Provider".into()),
    }
}

pub fn ledger(entries: &[(&str, Option<&str>, PackageState)]) -> Ledger {
    Ledger(
        entries
            .iter()
            .map(|(number, at, state)| entry(Some(number), *at, *state))
            .collect(),
    )
}

/// The plan that can start now.
pub fn steps(sequence: &Sequence, facts: &Facts, ledger: &Ledger) -> Plan {
    match plan(sequence, facts, ledger) {
        Planned::Steps(plan) => plan,
        other => panic!("no steps but {other:?}"),
    }
}

/// The plan's KBs, a step per line.
pub fn shown(plan: &Plan) -> String {
    let lines = plan.steps.iter().map(|step| {
        let kbs: Vec<String> = step
            .packages
            .iter()
            .map(|package| package.kb.to_string())
            .collect();
        let restart = if step.restart_after { ", restart" } else { "" };
        format!("{}. {}{restart}", step.number, kbs.join(" + "))
    });
    let mut text: Vec<String> = lines.collect();
    text.push(format!("-> {}", plan.target));
    text.join("\n")
}

/// From 24H2 to 25H2: a cumulative update, then the enablement package.
pub fn feature() -> Sequence {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5066835", "role": "lcu", "build": "26100.6899"},
        {"ordinal": 2, "kb": "KB5054156", "role": "enablement", "build": "26200.6899"},
    ]);
    sequence("feature", Some(6899), &packages, |value| {
        value["variants"][0]["base_builds"] = json!([26100]);
    })
}
