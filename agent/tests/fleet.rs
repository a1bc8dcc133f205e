//! Whole fleets over real HTTP, in virtual time.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use std::sync::{Arc, Mutex};

use agent::core::{Answer, Call, Reply, Request};
use agent::simulate::{Fleet, FleetOptions, Summary, VirtualClock, run_for};
use agent::simulated::Scenario;
use agent_protocol::{EventKind, POLL_AFTER};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use chrono::{DateTime, TimeDelta, Utc};
use support::server::{Server, Stage};
use support::{rig::CALM, start};

type Shared = Arc<Mutex<Server>>;

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

async fn agent_api(
    State(server): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().strip_prefix("/agent/v1").unwrap();
    let call = match (method.as_str(), path) {
        ("GET", "/enroll/nonce") => Call::Nonce,
        ("POST", "/enroll") => Call::Enrol(serde_json::from_slice(&body).unwrap()),
        ("POST", "/token") => Call::Token(serde_json::from_slice(&body).unwrap()),
        ("GET", "/assignment") => {
            let etag = headers
                .get("if-none-match")
                .map(|value| value.to_str().unwrap().to_owned());
            Call::Poll { etag }
        }
        ("POST", "/permits") => Call::Permit(serde_json::from_slice(&body).unwrap()),
        ("PUT", "/inventory") => Call::Inventory(serde_json::from_slice(&body).unwrap()),
        ("POST", "/events") => Call::Events(serde_json::from_slice(&body).unwrap()),
        ("GET", path) => Call::Manifest {
            digest: path.strip_prefix("/manifests/").unwrap().to_owned(),
        },
        other => panic!("{other:?}"),
    };
    let request = Request {
        call,
        bearer: bearer(&headers),
    };
    let answer = server.lock().unwrap().answer(&request);
    let Answer::Reply(reply) = answer else {
        panic!("a server answers")
    };
    into_response(reply)
}

fn into_response(reply: Reply) -> Response {
    let mut response = (StatusCode::from_u16(reply.status).unwrap(), reply.body).into_response();
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            headers.insert(name, value.parse().unwrap());
        }
    };
    put(
        "date",
        reply
            .date
            .map(|date| date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
    );
    put("etag", reply.etag);
    put(
        POLL_AFTER,
        reply.poll_after_s.map(|seconds| seconds.to_string()),
    );
    put(
        "retry-after",
        reply.retry_after_s.map(|seconds| seconds.to_string()),
    );
    response
}

async fn content(
    State(server): State<Shared>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Response {
    let server = server.lock().unwrap();
    if bearer(&headers).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(file) = server.files.get(&sha256) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let range = headers.get("range").map(|value| value.to_str().unwrap());
    let from = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    match from {
        Some(from) => (StatusCode::PARTIAL_CONTENT, file[from..].to_vec()).into_response(),
        None => file.clone().into_response(),
    }
}

async fn serve(server: Server) -> (String, Shared) {
    let shared = Arc::new(Mutex::new(server));
    let router = Router::new()
        .route("/agent/v1/content/{sha256}", get(content))
        .route("/agent/v1/{*path}", any(agent_api))
        .with_state(Arc::clone(&shared));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), shared)
}

fn options(server_url: String, devices: u32, scenario: Scenario) -> FleetOptions {
    FleetOptions {
        server_url,
        ca_pem: None,
        enrolment_token: "token".to_owned(),
        devices,
        seed: 11,
        scenario,
    }
}

async fn run(
    devices: u32,
    scenario: Scenario,
    days: i64,
) -> (Summary, Shared, Vec<agent::simulate::Acknowledged>) {
    let (url, server) = serve(Server::new(start())).await;
    let clock = VirtualClock::new(start());
    let mut fleet = Fleet::new(options(url, devices, scenario), Arc::clone(&clock)).unwrap();
    fleet.enrol_all().await.unwrap();
    let end = start() + TimeDelta::days(days);
    while let Some(next) = fleet.next_due().filter(|next| *next <= end) {
        assert!(next > clock.now(), "time stands still");
        clock.advance_to(next).await;
        server.lock().unwrap().now = next;
        fleet.run_due(next).await.unwrap();
    }
    (fleet.summary(), server, fleet.acknowledged())
}

fn count(server: &Server, wanted: impl Fn(&EventKind) -> bool) -> usize {
    server
        .devices
        .values()
        .filter(|device| device.log.iter().any(|event| wanted(&event.kind)))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_ends_everywhere_and_fails_where_it_should() {
    let mut scenario = Scenario::main_job();
    // So few devices would hardly meet what is rare.
    for fault in scenario
        .faults
        .iter_mut()
        .filter(|fault| fault.rate == 0.01)
    {
        fault.rate = 0.05;
    }
    let (summary, server, acknowledged) = run(120, scenario, 4).await;
    let server = server.lock().unwrap();
    assert_eq!((summary.devices, server.devices.len()), (120, 120));
    let of = |state: &str| summary.states.get(state).copied().unwrap_or(0);
    assert!(of("succeeded") > 70, "{:?}", summary.states);
    assert!(
        of("not_applicable") > 0,
        "arm64 has no variant here: {:?}",
        summary.states
    );
    let bad = &summary.faults["KB5079391 on three models"];
    assert!(bad.len() > 8, "{bad:#?}");
    assert!(
        bad.iter()
            .all(|struck| struck.code.unwrap().to_string() == "0x80073712")
    );
    let failed = count(
        &server,
        |kind| matches!(kind, EventKind::Failed { code, .. } if code == "0x80073712"),
    );
    let hosts: std::collections::BTreeSet<_> = bad.iter().map(|struck| &struck.host_name).collect();
    assert!(failed >= hosts.len());
    for name in [
        "delivered twice",
        "answer lost",
        "download cut",
        "power loss between steps",
    ] {
        assert!(summary.faults.contains_key(name), "{name} struck nobody");
    }
    assert_eq!(summary.events_spooled, 0, "{:?}", summary.states);
    for device in acknowledged {
        let stored = &server.devices[&device.device_id.unwrap()];
        assert_eq!((device.epoch, device.acked), (stored.epoch, stored.acked));
        let seqs = stored.log.iter().map(|event| event.seq);
        assert!(seqs.eq(1..=stored.acked), "contiguous, each once");
    }
    for status in ["200", "206"] {
        assert!(
            summary.requests["content"].contains_key(status),
            "{:?}",
            summary.requests
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_and_the_same_answers_give_the_same_fate() {
    let told = |server: &Server| {
        let mut logs: Vec<_> = server
            .devices
            .values()
            .map(|device| (device.serial.clone(), device.log.len()))
            .collect();
        logs.sort();
        logs
    };
    let (one, one_server, _) = run(25, Scenario::main_job(), 2).await;
    let (two, two_server, _) = run(25, Scenario::main_job(), 2).await;
    assert_eq!(
        (one.states, one.builds, one.requests),
        (two.states, two.builds, two.requests)
    );
    assert_eq!(
        told(&one_server.lock().unwrap()),
        told(&two_server.lock().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_device_shows_in_the_summary() {
    let faults = [
        ("goes dark", "0.2", "\"goes_dark\""),
        ("hangs", "0.2", "\"hangs\""),
        (
            "rolls back",
            "0.2",
            "{ rolls_back = { code = \"0x800F0922\" } }",
        ),
        ("inside", "0.2", "\"power_loss_inside\""),
        ("corrupt", "0.3", "\"corrupt_download\""),
        ("again", "0.3", "\"reordered\""),
    ];
    let faults = faults.map(|(name, rate, effect)| {
        format!("[[faults]]\nname = \"{name}\"\nrate = {rate}\neffect = {effect}\n")
    });
    let scenario = Scenario::parse(&format!("{CALM}\n{}", faults.concat())).unwrap();
    let (summary, server, _) = run(40, scenario, 3).await;
    for name in [
        "goes dark",
        "hangs",
        "rolls back",
        "inside",
        "corrupt",
        "again",
    ] {
        assert!(
            summary.faults.contains_key(name),
            "{name}: {:?}",
            summary.faults.keys()
        );
    }
    assert!(
        summary.states["dark"] > 0 && summary.states["installing"] > 0,
        "{:?}",
        summary.states
    );
    let server = server.lock().unwrap();
    assert!(count(&server, |kind| matches!(kind, EventKind::RolledBack { .. })) > 0);
    assert!(
        count(
            &server,
            |kind| matches!(kind, EventKind::Failed { code, .. } if code == "0x8007042B")
        ) > 0
    );
    assert!(
        server
            .devices
            .values()
            .any(|device| device.stage == Stage::Ended)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_are_offline_enrol_and_report_later() {
    let fault = "[[faults]]\nname = \"off\"\nrate = 1\neffect = { offline = { min_hours = 20, max_hours = 30 } }\n";
    let slow = "[[faults]]\nname = \"slow\"\nrate = 1\neffect = { slow = { factor = 3 } }\n";
    let scenario = Scenario::parse(&format!("{CALM}\n{fault}{slow}")).unwrap();
    let (summary, server, _) = run(10, scenario, 20).await;
    assert_eq!(server.lock().unwrap().devices.len(), 10);
    assert!(
        summary
            .states
            .get("succeeded")
            .is_some_and(|devices| *devices > 0),
        "{:?}",
        summary.states
    );
}

#[tokio::test]
async fn a_fleet_that_can_not_enrol_says_so() {
    let (url, _server) = serve(Server::new(start())).await;
    let mut options = options(url, 3, Scenario::parse(CALM).unwrap());
    options.enrolment_token = "wrong".to_owned();
    let mut fleet = Fleet::new(options, VirtualClock::new(start())).unwrap();
    let error = fleet.enrol_all().await.unwrap_err().to_string();
    assert!(
        error.starts_with("3 of 3 devices could not enrol"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_runs_in_real_time_too() {
    let now: DateTime<Utc> = std::time::SystemTime::now().into();
    let (url, _server) = serve(Server::new(now)).await;
    let scenario = Scenario::parse(CALM).unwrap();
    let summary = run_for(
        options(url, 2, scenario),
        std::time::Duration::from_millis(1500),
    )
    .await
    .unwrap();
    assert_eq!(summary.devices, 2);
    assert!(summary.requests["poll"].contains_key("200"));
}

#[test]
fn a_fleet_can_run_on_any_thread() {
    fn is_send<T: Send>(_: T) {}
    let scenario = Scenario::parse(CALM).unwrap();
    let mut fleet = Fleet::new(
        options("http://localhost".to_owned(), 1, scenario),
        VirtualClock::new(start()),
    )
    .unwrap();
    is_send(fleet.run_due(start()));
    is_send(fleet.enrol_all());
}
