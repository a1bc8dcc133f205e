//! A server in memory: checks signatures, nonces and tokens, takes telemetry by (epoch, seq), and leads each
//! device through one rollout.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agent::core::{Answer, Call, Reply, Request};
use agent::inventory;
use agent_protocol::{
    Assignment, EnrolAnswer, EnrolStatus, Event, EventBatch, EventKind, EventsAnswer, Inventory,
    InventoryAnswer, Nonce, Order, PermitAnswer, Problem, PublisherKey, RemediationAction,
    Settings, TokenAnswer, enrolment_message,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Serialize;
use servicing::{Planned, Sequence, Sha256, SignedManifest, key_id, plan};
use uuid::Uuid;

use super::{checkpoint_file, facts, manifest, publisher, sequence, target_file};

pub const ROLLOUT: Uuid = Uuid::from_u128(0xA0);
const POLL_AFTER_S: u64 = 300;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Targeted,
    Downloaded,
    Agreed,
    Permitted,
    Done { step: u16, restart: bool },
    Restarted { step: u16 },
    Remediating,
    Remediated,
    Ended,
}

#[derive(Debug)]
pub struct Device {
    pub serial: String,
    pub key: String,
    pub epoch: u32,
    pub acked: u64,
    pub log: Vec<Event>,
    pub inventory: Inventory,
    pub stage: Stage,
    pub permit_no: u32,
    pub plan: Vec<Vec<String>>,
    pub version: u64,
    pub tries: u32,
    pub max_tries: u32,
}

#[derive(Debug)]
pub struct Server {
    pub now: DateTime<Utc>,
    pub sequence: Sequence,
    pub manifest: SignedManifest,
    pub files: HashMap<String, Vec<u8>>,
    pub devices: BTreeMap<Uuid, Device>,
    pub forced: Option<Order>,
    /// When restarts can no longer be put off, with the seconds of grace after it.
    pub deadline: Option<(DateTime<Utc>, u64)>,
    pub permit: Option<PermitAnswer>,
    pub status: EnrolStatus,
    /// Answers to give instead of real ones, by kind of call; `Some(n)` of them.
    pub trouble: BTreeMap<&'static str, (u32, Reply)>,
    pub calls: BTreeMap<&'static str, u32>,
    pub token_life_s: u32,
    pub published_digest: Option<String>,
    nonces: BTreeSet<String>,
    count: u64,
}

pub fn kind(call: &Call) -> &'static str {
    match call {
        Call::Nonce => "nonce",
        Call::Enrol(_) => "enrol",
        Call::Token(_) => "token",
        Call::Poll { .. } => "poll",
        Call::Permit(_) => "permit",
        Call::Inventory(_) => "inventory",
        Call::Events(_) => "events",
        Call::Manifest { .. } => "manifest",
    }
}

impl Server {
    pub fn new(now: DateTime<Utc>) -> Self {
        let sequence = sequence("one_by_one", "x64");
        let files = [checkpoint_file(), target_file()];
        Self {
            now,
            manifest: manifest(sequence.clone(), 5),
            sequence,
            files: files
                .into_iter()
                .map(|file| (Sha256::of(&file).to_string(), file))
                .collect(),
            devices: BTreeMap::new(),
            forced: None,
            deadline: None,
            permit: None,
            status: EnrolStatus::Admitted,
            trouble: BTreeMap::new(),
            calls: BTreeMap::new(),
            token_life_s: 12 * 3600,
            published_digest: None,
            nonces: BTreeSet::new(),
            count: 0,
        }
    }

    pub fn digest(&self) -> String {
        self.published_digest
            .clone()
            .unwrap_or_else(|| self.sequence.content_digest().to_string())
    }

    pub fn only(&self) -> &Device {
        self.devices.values().next().unwrap()
    }

    pub fn only_mut(&mut self) -> &mut Device {
        self.devices.values_mut().next().unwrap()
    }

    /// Everything the only device ever reported, in order.
    pub fn kinds(&self) -> Vec<EventKind> {
        self.only()
            .log
            .iter()
            .map(|event| event.kind.clone())
            .collect()
    }

    pub fn answer(&mut self, request: &Request) -> Answer {
        let kind = kind(&request.call);
        *self.calls.entry(kind).or_default() += 1;
        if let Some((left, reply)) = self.trouble.get_mut(kind)
            && *left > 0
        {
            *left -= 1;
            let reply = reply.clone();
            return if reply.status == 0 {
                Answer::Unreachable
            } else {
                Answer::Reply(reply)
            };
        }
        let mut reply = self.reply(request);
        reply.date = Some(self.now);
        Answer::Reply(reply)
    }

    fn reply(&mut self, request: &Request) -> Reply {
        let device = request
            .bearer
            .as_ref()
            .and_then(|bearer| bearer.parse::<Uuid>().ok());
        match (&request.call, device) {
            (Call::Nonce, _) => {
                self.count += 1;
                let nonce = format!("nonce-{}", self.count);
                self.nonces.insert(nonce.clone());
                json(
                    200,
                    &Nonce {
                        nonce,
                        expires_in_s: 60,
                    },
                )
            }
            (Call::Enrol(request), _) => {
                assert!(self.nonces.remove(&request.nonce), "a nonce is used once");
                let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
                let key = VerifyingKey::from_bytes(&bytes(&request.public_key).try_into().unwrap())
                    .unwrap();
                let message =
                    enrolment_message(&request.nonce, &request.token, &request.public_key);
                let signature = Signature::from_slice(&bytes(&request.signature)).unwrap();
                key.verify_strict(message.as_bytes(), &signature)
                    .expect("a good enrolment signature");
                if request.token != "token" {
                    return json(403, &());
                }
                let id = self.enrol(&request.public_key, request.inventory.clone());
                let publisher = publisher().verifying_key();
                json(
                    201,
                    &EnrolAnswer {
                        device_id: id,
                        incarnation: 1,
                        status: self.status,
                        publisher_keys: vec![PublisherKey {
                            key_id: key_id(&publisher),
                            public_key: URL_SAFE_NO_PAD.encode(publisher.as_bytes()),
                        }],
                        settings: Settings {
                            poll_after_s: 900,
                            heartbeat_s: 600,
                        },
                    },
                )
            }
            (Call::Token(request), _) => self.token(&request.assertion),
            (_, None) => json(401, &()),
            (_, Some(id)) if !self.devices.contains_key(&id) => json(401, &()),
            (Call::Poll { etag }, Some(id)) => self.poll(id, etag.as_deref()),
            (Call::Permit(request), Some(id)) => {
                assert!(
                    request.restart_in_s <= 3600,
                    "asked {} s ahead",
                    request.restart_in_s
                );
                json(200, &self.permit(id))
            }
            (Call::Inventory(body), Some(id)) => {
                let device = self.devices.get_mut(&id).unwrap();
                device.inventory = (**body).clone();
                device.version += 1;
                json(
                    200,
                    &InventoryAnswer {
                        digest: inventory::digest(body),
                    },
                )
            }
            (Call::Events(batch), Some(id)) => self.events(id, batch),
            (Call::Manifest { digest }, Some(_)) => {
                assert_eq!(*digest, self.digest());
                json(200, &self.manifest)
            }
        }
    }

    fn enrol(&mut self, key: &str, inventory: Inventory) -> Uuid {
        let known = self
            .devices
            .iter()
            .find(|(_, device)| device.serial == inventory.serial);
        if let Some((id, _)) = known {
            return *id;
        }
        let id = Uuid::from_u128(0xD000 + self.devices.len() as u128);
        self.devices.insert(
            id,
            Device {
                serial: inventory.serial.clone(),
                key: key.to_owned(),
                epoch: 1,
                acked: 0,
                log: Vec::new(),
                inventory,
                stage: Stage::Targeted,
                permit_no: 1,
                plan: Vec::new(),
                version: 1,
                tries: 0,
                max_tries: 30,
            },
        );
        id
    }

    fn token(&mut self, assertion: &str) -> Reply {
        #[derive(serde::Deserialize)]
        struct Claims {
            iss: Uuid,
            iat: i64,
            exp: i64,
            jti: String,
            nonce: String,
        }
        let unverified: serde_json::Value = serde_json::from_slice(
            &URL_SAFE_NO_PAD
                .decode(assertion.split('.').nth(1).unwrap())
                .unwrap(),
        )
        .unwrap();
        let id: Uuid = unverified["iss"].as_str().unwrap().parse().unwrap();
        let Some(device) = self.devices.get(&id) else {
            return json(401, &());
        };
        let key = DecodingKey::from_ed_components(&device.key).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["ringfence"]);
        // The machine's own clock must not decide here.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(assertion, &key, &validation)
            .expect("a good assertion")
            .claims;
        assert!(self.nonces.remove(&claims.nonce), "a nonce is used once");
        assert_eq!(claims.iss, id);
        assert!(!claims.jti.is_empty());
        assert!(claims.exp - claims.iat <= 600);
        assert!(
            (claims.iat - self.now.timestamp()).abs() <= 1,
            "not in the server's time"
        );
        if self.status == EnrolStatus::AwaitingApproval {
            return json(403, &());
        }
        json(
            200,
            &TokenAnswer {
                access_token: id.to_string(),
                expires_in_s: self.token_life_s,
            },
        )
    }

    fn poll(&mut self, id: Uuid, etag: Option<&str>) -> Reply {
        let order = self.forced.clone().unwrap_or_else(|| self.order(id));
        let device = &self.devices[&id];
        let digest = inventory::digest(&device.inventory);
        // What is left until a deadline changes all the time and is no change.
        let what = match &order {
            Order::AgreeRestart { .. } if self.deadline.is_some() => "restart".to_owned(),
            order => format!("{order:?}"),
        };
        let own = format!("\"{what}-{}-{digest}\"", device.version);
        let mut reply = if etag == Some(own.as_str()) {
            Reply {
                status: 304,
                ..Reply::default()
            }
        } else {
            json(
                200,
                &Assignment {
                    order,
                    why: "test".to_owned(),
                    inventory_digest: Some(digest),
                },
            )
        };
        reply.etag = Some(own);
        reply.poll_after_s = Some(POLL_AFTER_S);
        reply
    }

    fn order(&self, id: Uuid) -> Order {
        let rollout = ROLLOUT;
        let device = &self.devices[&id];
        let step = |step: u16| Order::RunStep {
            rollout,
            digest: self.digest(),
            permit_no: device.permit_no,
            step,
            of: u16::try_from(device.plan.len()).unwrap(),
            packages: device.plan[usize::from(step) - 1].clone(),
        };
        let after = |done: u16| {
            if usize::from(done) < device.plan.len() {
                step(done + 1)
            } else {
                Order::Verify {
                    rollout,
                    expected_build: "26100.8116".to_owned(),
                }
            }
        };
        match device.stage {
            Stage::Targeted => Order::Prepare {
                rollout,
                digest: self.digest(),
            },
            Stage::Downloaded => Order::AgreeRestart {
                rollout,
                deadline_s: self
                    .deadline
                    .map(|(at, _)| u64::try_from((at - self.now).num_seconds()).unwrap_or(0)),
                grace_s: self.deadline.map_or(0, |(_, grace_s)| grace_s),
            },
            Stage::Agreed | Stage::Remediated => Order::RequestPermit { rollout },
            Stage::Permitted => step(1),
            Stage::Done {
                step,
                restart: true,
            } => Order::Restart { rollout, step },
            Stage::Done {
                step,
                restart: false,
            }
            | Stage::Restarted { step } => after(step),
            Stage::Remediating => Order::Remediate {
                rollout,
                action: RemediationAction::RestoreHealth,
            },
            Stage::Ended => Order::Nothing,
        }
    }

    fn permit(&mut self, id: Uuid) -> PermitAnswer {
        if let Some(answer) = &self.permit {
            return answer.clone();
        }
        let device = self.devices.get_mut(&id).unwrap();
        if device.stage != Stage::Permitted {
            let planned = plan(
                &self.sequence,
                &facts::facts(&device.inventory),
                &facts::ledger(&device.inventory),
            );
            let Planned::Steps(plan) = planned else {
                panic!("a permit for {planned:?}")
            };
            let kbs = |step: &servicing::Step| {
                step.packages
                    .iter()
                    .map(|package| package.kb.to_string())
                    .collect()
            };
            device.plan = plan.steps.iter().map(kbs).collect();
            device.stage = Stage::Permitted;
            device.version += 1;
        }
        PermitAnswer::Granted {
            permit_no: device.permit_no,
            start_within_s: 7200,
        }
    }

    fn events(&mut self, id: Uuid, batch: &EventBatch) -> Reply {
        let device = self.devices.get_mut(&id).unwrap();
        let problem = |kind: &str, device: &Device| {
            json(
                409,
                &Problem {
                    kind: kind.to_owned(),
                    title: "conflict".to_owned(),
                    status: 409,
                    detail: None,
                    fields: Vec::new(),
                    epoch: Some(device.epoch),
                    acked: Some(device.acked),
                },
            )
        };
        if batch.epoch > device.epoch && batch.events.first().is_some_and(|event| event.seq == 1) {
            device.epoch = batch.epoch;
            device.acked = 0;
        }
        if batch.epoch != device.epoch {
            return problem("/problems/gap", device);
        }
        for event in &batch.events {
            if event.seq > device.acked + 1 {
                return problem("/problems/gap", device);
            }
            if event.seq <= device.acked {
                continue;
            }
            device.acked = event.seq;
            device.version += 1;
            device.log.push(event.clone());
            device.fold(&event.kind);
        }
        json(
            200,
            &EventsAnswer {
                epoch: device.epoch,
                acked: device.acked,
            },
        )
    }
}

impl Device {
    fn fold(&mut self, kind: &EventKind) {
        self.stage = match kind {
            EventKind::DownloadDone { .. } if self.stage == Stage::Targeted => Stage::Downloaded,
            EventKind::RestartAgreed { .. } if self.stage == Stage::Downloaded => Stage::Agreed,
            EventKind::StepDone {
                step,
                restart_needed,
                ..
            } => Stage::Done {
                step: *step,
                restart: *restart_needed,
            },
            EventKind::Restarted { step, .. } => Stage::Restarted { step: *step },
            EventKind::Failed { .. } if self.tries < self.max_tries => Stage::Remediating,
            EventKind::RemediationDone { .. } if self.stage == Stage::Remediating => {
                self.tries += 1;
                self.permit_no += 1;
                Stage::Remediated
            }
            EventKind::Verified { .. }
            | EventKind::Failed { .. }
            | EventKind::RolledBack { .. }
            | EventKind::NotApplicable { .. } => Stage::Ended,
            _ => return,
        };
    }
}

pub fn json(status: u16, body: &impl Serialize) -> Reply {
    Reply {
        status,
        body: serde_json::to_vec(body).unwrap(),
        ..Reply::default()
    }
}
