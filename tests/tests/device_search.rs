//! Looking for devices: the search takes those that a ring's rule with the same terms takes, and states and classes
//! are those that a device's own page and the populations have.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::DateTime;
use engine::ring::{Query, Subject};
use reqwest::Method;
use serde_json::{Value, json};
use server::store::devices::{self, Device, DeviceQuery, DeviceStatus, Enough, Identity, Search};
use server::store::populations;
use server::store::tracks::{self, Ring, Track};
use servicing::{Facts, Ledger};
use sqlx::{Connection, PgConnection};
use tests::{Database, Desk, Lab, assert_names};
use uuid::Uuid;

/// So many, however long it takes.
const fn first(n: i64) -> Enough {
    Enough {
        most: n,
        rows: n,
        patience: std::time::Duration::from_secs(60),
    }
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const HOSTS: [&str; 8] = [
    "LAB-1", "lab-22", "PC_100%", "PC-100", "Büro-7", "BÜRO-8", "a\\b", "",
];
const MODELS: [&str; 5] = ["Latitude 5440", "LATITUDE 5450", "OptiPlex", "Œuvre", ""];
const MAKERS: [&str; 3] = ["Dell Inc.", "HP", "LENOVO"];
const BIOS: [&str; 3] = ["1.2.3", "1.2.30", "X88 01.04"];
const EDITIONS: [&str; 3] = ["Enterprise", "Professional", "EnterpriseS"];
const TAGS: [&str; 7] = ["pilot", "PILOT", "pilots", "größe", "GRÖSSE", "a\"b", "50%"];
const BUILDS: [&str; 8] = [
    "26100.8116",
    "26100.8117",
    "26200.8117",
    "26200.9000",
    "28000.1719",
    "22631.5000",
    "19045.1",
    "26100.1",
];

fn facts(dice: &mut Dice) -> Facts {
    let tags: Vec<&str> = (0..dice.below(3)).map(|_| dice.of(&TAGS)).collect();
    serde_json::from_value(json!({
        "product": dice.of(&["client", "client", "server"]), "build": dice.of(&BUILDS), "series": dice.of(&["standard", "hotpatch"]),
        "edition": dice.of(&EDITIONS), "architecture": dice.of(&["x64", "arm64"]), "manufacturer": dice.of(&MAKERS),
        "model": dice.of(&MODELS), "bios_version": dice.of(&BIOS), "free_disk_bytes": 1, "restart_pending": false,
        "store_health": "healthy", "on_battery": false, "oobe_complete": true, "update_authority": "ringfence", "tags": tags,
        "utc_offset_minutes": 0,
    }))
    .unwrap()
}

/// A pattern like one of these texts: the whole of it or a part, in any case.
fn pattern(dice: &mut Dice, all: &[&str]) -> String {
    let text: Vec<char> = dice.of(all).replace('"', "*").chars().collect();
    let (from, to) = (dice.below(text.len() + 1), dice.below(text.len() + 1));
    let part: String = text[from.min(to)..from.max(to)].iter().collect();
    let whole: String = text.iter().collect();
    let pattern = match dice.below(5) {
        0 => format!("{part}*"),
        1 => format!("*{part}"),
        2 => format!("*{part}*"),
        _ => whole,
    };
    let pattern = match dice.below(3) {
        0 => pattern.to_lowercase(),
        1 => pattern.to_uppercase(),
        _ => pattern,
    };
    if pattern.trim().is_empty() {
        "*".to_owned()
    } else {
        pattern
    }
}

fn term(dice: &mut Dice) -> String {
    let minus = if dice.below(3) == 0 { "-" } else { "" };
    let term = match dice.below(9) {
        0 => format!("host:\"{}\"", pattern(dice, &HOSTS)),
        1 => format!("model:\"{}\"", pattern(dice, &MODELS)),
        2 => format!("manufacturer:\"{}\"", pattern(dice, &MAKERS)),
        3 => format!("bios:\"{}\"", pattern(dice, &BIOS)),
        4 => format!("edition:\"{}\"", pattern(dice, &EDITIONS)),
        5 => format!("tag:\"{}\"", pattern(dice, &TAGS)),
        6 => format!("arch:{}", dice.of(&["x64", "arm64"])),
        7 => format!("product:{}", dice.of(&["client", "server"])),
        _ => {
            let sign = dice.of(&["<", "<=", ">", ">=", "=", ":"]);
            format!("build{sign}{}", dice.of(&BUILDS))
        }
    };
    format!("{minus}{term}")
}

async fn fleet(conn: &mut PgConnection, dice: &mut Dice, n: usize) -> Vec<Device> {
    let now = DateTime::from_timestamp(1_775_000_000, 0).unwrap();
    let track = Track {
        id: Uuid::now_v7(),
        name: "Production".into(),
        time_zone: "UTC".parse().unwrap(),
    };
    tracks::add(&mut *conn, &track, now).await.unwrap();
    let ring = Ring {
        id: Uuid::now_v7(),
        track_id: track.id,
        position: 0,
        name: "All".into(),
        query: None,
        share: None,
        revision: 1,
    };
    tracks::save_ring(&mut *conn, &ring).await.unwrap();
    let mut fleet = Vec::new();
    for i in 0..n {
        let mut device = Device {
            device_no: 0,
            id: Uuid::now_v7(),
            track_id: track.id,
            ring_id: ring.id,
            pin: None,
            status: DeviceStatus::Admitted,
            clone_suspected: false,
            incarnation: 1,
            generation: 1,
            public_key: vec![0; 32],
            identity: Identity {
                serial: format!("S{i}"),
                smbios_uuid: Uuid::now_v7(),
                tpm_ek_sha256: None,
                host_name: dice.of(&HOSTS).to_owned(),
            },
            agent_version: String::new(),
            cohorts: vec![1, 2, 3, 4, 5],
            facts: facts(dice),
            ledger: Ledger::default(),
            inventory_digest: Vec::new(),
            enrolled_at: now,
        };
        device.device_no = devices::add(&mut *conn, &[&device], now).await.unwrap()[0];
        fleet.push(device);
    }
    fleet
}

#[tokio::test]
async fn the_search_takes_the_devices_that_a_ring_with_the_same_query_takes() {
    let database = Database::create().await;
    let mut conn = database.pool.acquire().await.unwrap();
    let mut dice = Dice(7);
    let fleet = fleet(&mut conn, &mut dice, 300).await;
    let mut taken = 0;
    for _ in 0..600 {
        let terms: Vec<String> = (0..=dice.below(3)).map(|_| term(&mut dice)).collect();
        let text = terms.join(" ");
        let rule = Query::parse(&text).unwrap();
        let of_rule: Vec<i32> = fleet
            .iter()
            .filter(|d| {
                rule.matches(&Subject {
                    facts: &d.facts,
                    host_name: &d.identity.host_name,
                })
            })
            .map(|d| d.device_no)
            .collect();
        let query = DeviceQuery::parse(&text).unwrap();
        let search = Search {
            query: &query,
            tracks: None,
            heard: None,
            candidates: Vec::new(),
            groups: Vec::new(),
        };
        let mut tx = conn.begin().await.unwrap();
        let found = devices::hits(&mut tx, &search, 0, first(1000))
            .await
            .unwrap();
        assert_eq!(found.device_nos, of_rule, "{text}");
        // Page by page it is the same.
        let (mut pages, mut after) = (Vec::new(), Some(0));
        while let Some(from) = after {
            let page = devices::hits(&mut tx, &search, from, first(100))
                .await
                .unwrap();
            pages.extend(page.device_nos);
            after = page.next;
        }
        assert_eq!(pages, of_rule, "{text}, page by page");
        taken += usize::from(!of_rule.is_empty() && of_rule.len() < fleet.len());
    }
    assert!(taken > 200, "only {taken} queries told devices apart");
}

/// Host names that the API finds.
async fn found(desk: &Desk<'_>, query: &str) -> Vec<String> {
    let query: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
    let path = format!("/devices?q={query}");
    let answer = desk.done(Method::GET, &path, &Value::Null).await;
    let items = answer["items"].as_array().unwrap().iter();
    let mut names: Vec<String> = items
        .map(|d| d["id"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn ids<'a>(devices: impl IntoIterator<Item = &'a tests::TestDevice>) -> Vec<String> {
    let mut ids: Vec<String> = devices.into_iter().map(|d| d.id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn states_and_classes_are_those_of_the_rollout() {
    const KB: &str = "KB5079391";
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 4).await;
    let broad = lab.ring("broad", 3).await;
    let mut arm = lab.machine("broad");
    arm.architecture = "arm64".into();
    let arm = lab.enrol(arm).await;
    let desk = Desk::of(&lab).await;
    assert!(
        found(&desk, "state:targeted").await.is_empty(),
        "no rollout is live"
    );
    let rollout = lab.rollout(KB).await;
    broad.devices[0]
        .change(|i| i.build = "26100.8116".into())
        .await;
    broad.devices[1]
        .change(|i| i.build = "26100.9000".into())
        .await;
    let d = &pilot.devices;
    d[0].make_ready(rollout).await;
    let permit = d[1].permit(rollout).await;
    d[1].break_down(rollout, permit, "0x80073712").await;
    d[2].permit(rollout).await;
    lab.settle().await;

    assert_eq!(found(&desk, "state:failed").await, ids([&d[1]]));
    assert_eq!(
        found(&desk, "error:0x80073712 ring:Pilot").await,
        ids([&d[1]])
    );
    assert_eq!(found(&desk, "error:0x80073713").await, ids([]));
    assert_eq!(found(&desk, "state:permitted").await, ids([&d[2]]));
    assert_eq!(
        found(&desk, "state:targeted").await,
        ids([&d[3], &broad.devices[2]])
    );
    assert_eq!(
        found(&desk, "state:targeted -ring:pilot").await,
        ids([&broad.devices[2]])
    );
    assert_eq!(
        found(&desk, "state:complete").await,
        ids([&broad.devices[0]])
    );
    assert_eq!(found(&desk, "state:ahead").await, ids([&broad.devices[1]]));
    assert_eq!(found(&desk, "state:not_applicable").await, ids([&arm]));
    assert_eq!(
        found(&desk, "class:not_applicable:architecture").await,
        ids([&arm])
    );
    let rest = found(
        &desk,
        "-state:targeted -state:failed -class:complete -class:ahead -class:not_applicable",
    )
    .await;
    assert_eq!(rest, ids([&d[0], &d[2]]));
    // A class is what the populations count; in a rollout a device is in the ring in which it began.
    let mut conn = lab.conn().await;
    let population = populations::of_rollout(&mut conn, rollout.0).await.unwrap();
    drop(conn);
    for ((ring, class), n) in population {
        let name = if ring == pilot.id { "pilot" } else { "broad" };
        let query = format!("rollout:{rollout} ring:{name} class:{class}");
        assert_eq!(found(&desk, &query).await.len() as u64, n, "{query}");
    }
    d[1].change(|i| i.tags = vec!["broad".into()]).await;
    lab.settle().await;
    assert_eq!(found(&desk, "state:failed ring:pilot").await, ids([]));
    assert_eq!(
        found(&desk, &format!("rollout:{rollout} state:failed ring:pilot")).await,
        ids([&d[1]])
    );
    lab.revoke(&d[1]).await;
    assert_eq!(
        found(
            &desk,
            &format!("rollout:{rollout} state:failed status:revoked")
        )
        .await,
        ids([&d[1]])
    );
    assert_eq!(
        found(
            &desk,
            &format!("rollout:{rollout} class:targeted status:revoked")
        )
        .await,
        ids([&d[1]])
    );
    // Everyone has polled within the day, none longer ago.
    assert_eq!(
        found(&desk, "seen>1d ring:pilot status:admitted").await,
        found(&desk, "-seen<=1d ring:pilot status:admitted").await
    );
    assert_eq!(
        found(&desk, "host:PC-* arch:arm64 track:\"*\"").await,
        ids([&arm])
    );
    assert_eq!(found(&desk, "pinned:yes").await, ids([]));
}

#[tokio::test]
async fn a_wrong_query_is_named_with_its_place() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    for query in [
        "colour%3Ared",
        "state%3Agone",
        "host%3A",
        "rollout%3A1",
        "seen%3A2d",
    ] {
        let path = format!("/devices?q={query}");
        let answer = desk.api.call(&desk.token, Method::GET, &path, None).await;
        assert_names(&path, &answer, "q");
    }
}
