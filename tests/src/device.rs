//! A device written against the wire types alone, so that it can misbehave.

use std::sync::Mutex;

use agent_protocol::{
    EnrolAnswer, EnrolRequest, EventBatch, EventKind, EventsAnswer, Inventory, Nonce, PermitAnswer,
    PermitRequest, TokenAnswer, TokenRequest, enrolment_message,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signer, SigningKey};
use engine::ids::RolloutId;
use reqwest::Method;
use reqwest::header::{IF_NONE_MATCH, RETRY_AFTER};
use serde_json::{Value, json};
use server::clock::SharedClock;
use uuid::Uuid;

use crate::wire::{Answer, Poll, Wire};

/// One device with its key, its token and its numbers.
pub struct TestDevice {
    /// Id that the server gave it.
    pub id: Uuid,
    /// Counts reimages.
    pub incarnation: u32,
    /// Its Ed25519 key.
    pub key: SigningKey,
    /// The server it talks to.
    pub wire: Wire,
    pub(crate) inventory: Mutex<Inventory>,
    clock: SharedClock,
    token: Mutex<String>,
    etag: Mutex<Option<String>>,
    /// Epoch, and number of the last event that was sent.
    place: Mutex<(u32, u64)>,
    enrolled_at: DateTime<Utc>,
    asleep: Mutex<TimeDelta>,
}

/// A JWT made by hand.
#[must_use]
pub(crate) fn jwt(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}

impl TestDevice {
    /// A new key.
    #[must_use]
    pub fn new_key() -> SigningKey {
        SigningKey::from_bytes(&rand::random())
    }

    /// A correct enrolment with a fresh nonce, to be sent or spoilt.
    pub async fn enrolment(
        wire: &Wire,
        token: &str,
        key: &SigningKey,
        inventory: Inventory,
    ) -> EnrolRequest {
        let nonce = wire.get("/enroll/nonce").await.json::<Nonce>().nonce;
        let public_key = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
        let message = enrolment_message(&nonce, token, &public_key);
        EnrolRequest {
            token: token.to_owned(),
            signature: URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes()),
            nonce,
            public_key,
            agent_version: "0.1.0".into(),
            inventory,
        }
    }

    /// Enrols, without a token for calls yet.
    pub async fn enrol(
        wire: &Wire,
        clock: &SharedClock,
        token: &str,
        key: SigningKey,
        inventory: Inventory,
    ) -> Self {
        let request = Self::enrolment(wire, token, &key, inventory.clone()).await;
        let answer: EnrolAnswer = wire.post("/enroll", &request).await.json();
        Self {
            id: answer.device_id,
            incarnation: answer.incarnation,
            key,
            wire: wire.clone(),
            inventory: Mutex::new(inventory),
            clock: clock.clone(),
            token: Mutex::default(),
            etag: Mutex::default(),
            place: Mutex::new((answer.incarnation, 0)),
            enrolled_at: clock.now(),
            asleep: Mutex::new(TimeDelta::zero()),
        }
    }

    /// So much of the time since it enrolled it was in standby.
    pub fn slept(&self, time: TimeDelta) {
        *self.asleep.lock().unwrap() += time;
    }

    fn powered_s(&self) -> u64 {
        let on = self.clock.now() - self.enrolled_at - *self.asleep.lock().unwrap();
        u64::try_from(on.num_seconds()).unwrap_or(0)
    }

    /// The claims of a correct assertion, with a fresh nonce.
    pub async fn claims(&self) -> Value {
        let nonce = self.wire.get("/enroll/nonce").await.json::<Nonce>().nonce;
        let now = self.clock.now().timestamp();
        json!({
            "iss": self.id, "aud": "ringfence", "iat": now, "exp": now + 300,
            "jti": Uuid::new_v4(), "nonce": nonce,
        })
    }

    /// An assertion over these claims, signed by this device's key.
    #[must_use]
    pub fn assertion(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "JWT" });
        jwt(&header, claims, |text| {
            self.key.sign(text).to_bytes().to_vec()
        })
    }

    /// Offers an assertion for a token.
    pub async fn offer(&self, assertion: String) -> Answer {
        self.wire.post("/token", &TokenRequest { assertion }).await
    }

    /// Gets a token and keeps it.
    pub async fn sign_in(&self) {
        let assertion = self.assertion(&self.claims().await);
        let token: TokenAnswer = self.offer(assertion).await.json();
        *self.token.lock().unwrap() = token.access_token;
    }

    /// The token it holds.
    #[must_use]
    pub fn token(&self) -> String {
        self.token.lock().unwrap().clone()
    }

    /// Holds another token from now on.
    pub fn hold(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    /// A request with its token.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request_at(&self.wire, method, path)
    }

    /// The same to another server.
    pub fn request_at(&self, wire: &Wire, method: Method, path: &str) -> reqwest::RequestBuilder {
        wire.request(method, path).bearer_auth(self.token())
    }

    /// Polls with the ETag of the last answer.
    pub async fn poll(&self) -> Poll {
        self.poll_at(&self.wire).await
    }

    /// Polls as if for the first time.
    pub async fn look(&self) -> Poll {
        self.look_at(&self.wire).await
    }

    /// The same at another server.
    pub async fn look_at(&self, wire: &Wire) -> Poll {
        *self.etag.lock().unwrap() = None;
        self.poll_at(wire).await
    }

    /// Polls another server.
    pub async fn poll_at(&self, wire: &Wire) -> Poll {
        let mut request = self.request_at(wire, Method::GET, "/assignment");
        if let Some(etag) = self.etag.lock().unwrap().clone() {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = Wire::send(request).await;
        let poll = Poll {
            status: answer.status,
            etag: answer.header("etag").to_owned(),
            poll_after: answer.header(agent_protocol::POLL_AFTER).parse().ok(),
            assignment: (answer.status == 200).then(|| answer.json()),
            answer,
        };
        if !poll.etag.is_empty() {
            *self.etag.lock().unwrap() = Some(poll.etag.clone());
        }
        poll
    }

    /// The word of the order it gets now: `nothing`, `prepare`, `run_step` ...
    pub async fn order(&self) -> String {
        let poll = self.look().await;
        let body: Value = poll.answer.json();
        body["do"].as_str().unwrap().to_owned()
    }

    /// A batch of these events from a number on, in an epoch.
    #[must_use]
    pub fn batch(&self, epoch: u32, first: u64, kinds: &[EventKind]) -> Value {
        let events = (first..)
            .zip(kinds)
            .map(|(seq, kind)| agent_protocol::Event {
                seq,
                at: self.clock.now(),
                powered_s: self.powered_s(),
                kind: kind.clone(),
            })
            .collect();
        serde_json::to_value(EventBatch { epoch, events }).unwrap()
    }

    /// The next batch of these events; its numbers count as used.
    #[must_use]
    pub fn next_batch(&self, kinds: &[EventKind]) -> Value {
        let mut place = self.place.lock().unwrap();
        let batch = self.batch(place.0, place.1 + 1, kinds);
        place.1 += u64::try_from(kinds.len()).unwrap();
        batch
    }

    /// Posts a batch as it is.
    pub async fn post(&self, batch: &Value) -> Answer {
        Wire::send(self.request(Method::POST, "/events").json(batch)).await
    }

    /// Posts bytes as they are, as JSON.
    pub async fn post_bytes(&self, path: &str, bytes: Vec<u8>) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        Wire::send(request.body(bytes)).await
    }

    /// Reports; the server must take it.
    pub async fn report(&self, kinds: &[EventKind]) -> EventsAnswer {
        self.post(&self.next_batch(kinds)).await.json()
    }

    /// Asks for a permit with its restart in a quarter of an hour.
    pub async fn ask(&self, rollout: RolloutId) -> PermitAnswer {
        self.ask_in(rollout, 900).await.json()
    }

    /// Asks for a permit with its restart in so many seconds.
    pub async fn ask_in(&self, rollout: RolloutId, restart_in_s: u32) -> Answer {
        let body = PermitRequest {
            rollout: rollout.0,
            restart_in_s,
        };
        Wire::send(self.request(Method::POST, "/permits").json(&body)).await
    }

    /// Asks for a permit; the stable word of the refusal.
    pub async fn refusal(&self, rollout: RolloutId) -> String {
        match self.ask(rollout).await {
            PermitAnswer::Refused { reason, .. } => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What its inventory says.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        self.inventory.lock().unwrap().clone()
    }

    /// Changes its inventory and sends it.
    pub async fn change(&self, change: impl FnOnce(&mut Inventory)) -> Answer {
        let mut inventory = self.inventory();
        change(&mut inventory);
        self.inventory.lock().unwrap().clone_from(&inventory);
        Wire::send(self.request(Method::PUT, "/inventory").json(&inventory)).await
    }
}

/// Whether an answer tells to come again later: 503, and when.
#[must_use]
pub fn is_later(answer: &Answer) -> bool {
    let after: u32 = answer.header(RETRY_AFTER.as_str()).parse().unwrap_or(0);
    answer.status == 503 && after > 0
}
