//! Several servers on one database, in processes of their own: floods, halts and power cuts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use agent_protocol::{EventsAnswer, PermitAnswer, PermitRequest};
use engine::ids::RolloutId;
use engine::policy::{Limits, StagePolicy};
use reqwest::Method;
use serde_json::Value;
use server::agent_api::keys::AgentKeys;
use server::secret::ServerSecret;
use tests::{Lab, Member, Process, Setup, TestDevice, Wire, kinds};
use tokio::task::JoinSet;

/// Requests of the flood, devices that send them, and places for them.
const REQUESTS: u64 = 20_000;
const DEVICES: i32 = 400;
const SLOTS: u64 = 10;

/// Requests under way at once.
const WORKERS: u64 = 32;

fn slots() -> StagePolicy {
    StagePolicy {
        limits: Limits {
            devices_at_once: Some(SLOTS),
            ..Limits::default()
        },
        ..Lab::policy()
    }
}

/// Both servers are asked in turn, by all devices in turn, until all requests are sent.
async fn flood(wires: [Wire; 2], crowd: Vec<Member>, rollout: RolloutId) -> Flood {
    let state = Arc::new(Flood::default());
    let crowd = Arc::new(crowd);
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (state, crowd, wires) = (Arc::clone(&state), Arc::clone(&crowd), wires.clone());
        workers.spawn(async move {
            loop {
                let n = state.sent.fetch_add(1, Ordering::Relaxed);
                if n >= REQUESTS {
                    return;
                }
                let n = usize::try_from(n).unwrap();
                let (wire, member) = (&wires[n % 2], &crowd[(n / 2) % crowd.len()]);
                let body = PermitRequest {
                    rollout: rollout.0,
                    restart_in_s: 60,
                };
                let request = wire
                    .request(Method::POST, "/permits")
                    .bearer_auth(&member.token);
                let answer = Wire::send(request.json(&body)).await;
                state.count(&answer);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    Arc::into_inner(state).unwrap()
}

#[derive(Default)]
struct Flood {
    sent: AtomicU64,
    granted: AtomicU64,
    waiting: AtomicU64,
    halted: AtomicU64,
    other: AtomicU64,
}

impl Flood {
    fn count(&self, answer: &tests::Answer) {
        let counter = match (answer.status, serde_json::from_slice(&answer.body).ok()) {
            (200, Some(PermitAnswer::Granted { .. })) => &self.granted,
            (200, Some(PermitAnswer::Wait { .. })) => &self.waiting,
            (200, Some(PermitAnswer::Refused { reason, .. })) if reason == "halted" => &self.halted,
            // Turned away under load: allowed, and no permit.
            (503, _) => &self.other,
            _ => panic!("{}: {}", answer.status, answer.text()),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Twenty thousand requests for ten places on two servers, with a halt in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_and_06_twenty_thousand_requests_for_ten_places_and_a_halt() {
    let lab = Lab::with(Setup {
        servers: 1,
        real_time: true,
        ..Setup::default()
    })
    .await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout_with("KB5079391", |_| slots()).await;
    lab.lift_generations(rollout).await;
    let stage = lab.stage(rollout, "broad").await.id.0;
    let crowd = lab.crowd(&broad, DEVICES).await;
    lab.crowd_ready(rollout, stage, &crowd).await;
    let (one, two) = (Process::start(&lab).await, Process::start(&lab).await);

    let flooding = tokio::spawn(flood([one.wire.clone(), two.wire.clone()], crowd, rollout));
    let rows = "SELECT count(*) FROM assignment WHERE permit_no > 0 AND rollout_id = $1::uuid";
    tests::eventually("all places are taken", async || {
        lab.number(rows, rollout).await == i64::try_from(SLOTS).unwrap()
    })
    .await;
    lab.halt(rollout).await;
    let flood = flooding.await.unwrap();

    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert!(count(&flood.granted) >= SLOTS, "places are given");
    assert!(count(&flood.halted) > 0, "the halt came in between");
    assert_eq!(
        lab.number(rows, rollout).await,
        i64::try_from(SLOTS).unwrap()
    );
    assert_eq!(lab.counts(rollout, "broad").await.started, SLOTS);
    let late = "SELECT count(*) FROM event e JOIN stage_gate g ON g.stage_id = (e.body ->> 'stage')::uuid
                WHERE e.kind = 'permitted' AND g.rollout_id = $1::uuid AND (e.body ->> 'gate_version')::bigint >= g.version";
    assert_eq!(
        lab.number(late, rollout).await,
        0,
        "a permit after the halt"
    );
    let twice = "SELECT count(*) - count(DISTINCT device_no) FROM event WHERE kind = $1";
    assert_eq!(lab.number(twice, "permitted").await, 0);
    lab.verify().await;
}

fn busy(device: &TestDevice, after: u64) -> Value {
    device.batch(1, after + 1, &vec![kinds::heartbeat("busy"); 20])
}

/// The last number that was acknowledged, and the batch that was not.
async fn report_until_dead(
    device: Arc<TestDevice>,
    wire: Wire,
    stop: Arc<AtomicBool>,
) -> (u64, Value) {
    let mut acked = 0;
    let mut batch = busy(&device, 0);
    while !stop.load(Ordering::Relaxed) {
        let request = device
            .request_at(&wire, Method::POST, "/events")
            .json(&batch);
        match Wire::try_send(request).await {
            Ok(answer) if answer.status == 200 => {
                acked = answer.json::<EventsAnswer>().acked;
                batch = busy(&device, acked);
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            // The power is gone, and with it the answer.
            Err(_) => break,
        }
    }
    (acked, batch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_08_what_was_acknowledged_survives_a_power_cut() {
    let lab = Lab::with(Setup {
        servers: 1,
        real_time: true,
        ..Setup::default()
    })
    .await;
    let broad = lab.ring("broad", 8).await;
    let mut doomed = Process::start(&lab).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut reports = JoinSet::new();
    for device in broad.devices {
        let device = Arc::new(device);
        let (wire, stop) = (doomed.wire.clone(), Arc::clone(&stop));
        reports.spawn(async move {
            let (acked, batch) = report_until_dead(Arc::clone(&device), wire, stop).await;
            (device, acked, batch)
        });
    }
    let events = "SELECT count(*) FROM event WHERE kind = $1";
    tests::eventually("reports flow", async || {
        lab.number(events, "heartbeat").await > 2000
    })
    .await;
    doomed.kill();
    stop.store(true, Ordering::Relaxed);
    let mut ends = Vec::new();
    while let Some(ended) = reports.join_next().await {
        ends.push(ended.unwrap());
    }
    for (device, acked, _) in &ends {
        assert!(*acked > 0, "every device had reported");
        let stored = "SELECT count(*) FROM event e JOIN device d USING (device_no) WHERE d.id = $1::uuid AND e.epoch = 1";
        let stored = u64::try_from(lab.number(stored, device.id).await).unwrap();
        assert!(stored >= *acked, "acknowledged {acked}, stored {stored}");
        let holes = "SELECT max(e.seq) - count(*) FROM event e JOIN device d USING (device_no) WHERE d.id = $1::uuid AND e.epoch = 1";
        assert_eq!(
            lab.number(holes, device.id).await,
            0,
            "each number is there once"
        );
    }
    // The next server goes on where the dead one was, also for those who never saw their answer.
    let next = Process::start(&lab).await;
    for (device, acked, batch) in &ends {
        let request = device
            .request_at(&next.wire, Method::POST, "/events")
            .json(batch);
        let answer: EventsAnswer = Wire::send(request).await.json();
        assert_eq!(answer.acked, acked + 20);
    }
    lab.verify().await;
}

#[tokio::test]
async fn servers_share_one_secret_and_nothing_else_opens_their_doors() {
    let lab = Lab::with(Setup {
        servers: 2,
        ..Setup::default()
    })
    .await;
    let device = lab.device("x").await;
    assert_eq!(device.poll_at(&lab.nodes[1].wire).await.status, 200);
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = ServerSecret::load_or_create(&elsewhere.path().join("secret")).unwrap();
    let no = lab.stored(&device).await.device_no;
    let token = AgentKeys::new(&foreign)
        .token(no, 1, lab.clock.now())
        .unwrap();
    device.hold(&token);
    assert_eq!(device.look().await.status, 401);
}
