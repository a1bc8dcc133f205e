//! Rollouts of a lab: written, steered, looked at, and checked against what they were made from.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use engine::Input;
use engine::approval::Request;
use engine::evidence::Counts;
use engine::ids::{PersonId, RolloutId};
use engine::policy::{
    FailureLimit, Growth, Limits, MOST_TRIES, Percent, Preset, RestartPolicy, Sample, StagePolicy,
};
use engine::rollout::RolloutState;
use engine::stage::StageState;
use server::control::{Approvals, NewRollout, NewScope};
use server::error::OpError;
use server::store::devices::Device;
use server::store::rollouts::StoredStage;
use server::store::{self, audit, devices, requests, rollouts, service_clock};
use server::{registry, verify};
use servicing::Sequence;
use sqlx::Row;
use sqlx::pool::PoolConnection;
use uuid::Uuid;

use crate::content::{signed, synthetic};
use crate::device::TestDevice;
use crate::lab::Lab;

impl Lab {
    /// A connection for the test itself.
    pub async fn conn(&self) -> PoolConnection<sqlx::Postgres> {
        self.database.pool.acquire().await.unwrap()
    }

    /// The policy of every stage unless a test says otherwise: a working day of soak, every device, no failure,
    /// no approval.
    #[must_use]
    pub fn policy() -> StagePolicy {
        StagePolicy {
            soak_hours: 24,
            sample: Sample::All,
            failures: FailureLimit::None,
            coverage: Percent(90.0),
            telemetry: Percent(95.0),
            minimum_age_days: 0,
            approvals: 0,
            growth: Growth::Standard,
            limits: Limits::default(),
            restart: RestartPolicy::default(),
            tries: MOST_TRIES,
            time_zone: "UTC".parse().unwrap(),
        }
    }

    /// A known sequence with made-up files, published; once per lab.
    pub async fn publish(&self, kb: &str) -> (Uuid, Sequence) {
        let sequence = synthetic(kb, &self.directory().join("content"));
        let digest = sequence.content_digest();
        let found = sqlx::query_scalar("SELECT id FROM sequence WHERE digest = $1")
            .bind(digest.as_bytes().as_slice())
            .fetch_optional(&self.database.pool)
            .await
            .unwrap();
        if let Some(id) = found {
            return (id, sequence);
        }
        let by = self.people.operator;
        let id = self.control.add_sequence(&sequence, by).await.unwrap();
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let manifest = signed(&sequence, counter, self.clock.now() + TimeDelta::days(180));
        self.control
            .publish_sequence(id, &manifest, by)
            .await
            .unwrap();
        (id, sequence)
    }

    /// Publishes a known sequence and rolls it out; the first ring is open when this returns.
    pub async fn rollout(&self, kb: &str) -> RolloutId {
        self.rollout_with(kb, |_| Self::policy()).await
    }

    /// The same with a policy for each ring, by its name.
    pub async fn rollout_with(&self, kb: &str, policy: impl Fn(&str) -> StagePolicy) -> RolloutId {
        let id = self.draft_with(kb, policy).await;
        let by = self.people.operator;
        let not_before = None;
        self.apply(id, Input::Submit { by, not_before })
            .await
            .unwrap();
        self.tick(id).await;
        id
    }

    /// A draft that was not submitted.
    pub async fn draft_with(&self, kb: &str, policy: impl Fn(&str) -> StagePolicy) -> RolloutId {
        let (sequence, _) = self.publish(kb).await;
        let rings = self.rings().await;
        let new = NewRollout {
            sequence,
            track: self.track,
            preset: Preset::Standard,
            scope: NewScope::Track,
            ticket: None,
            policies: rings
                .iter()
                .map(|r| (r.name.clone(), policy(&r.name)))
                .collect(),
        };
        let by = self.people.operator;
        self.control
            .create(new, by, Approvals::MayBeFewer)
            .await
            .unwrap()
    }

    /// Lets something happen to a rollout, and every server know.
    ///
    /// # Errors
    /// As the write path says.
    pub async fn apply(&self, id: RolloutId, input: Input) -> Result<(), OpError> {
        let _kept_in_the_database = self.control.apply(id, input).await?;
        self.settle().await;
        Ok(())
    }

    /// Ticks a rollout to rest.
    pub async fn tick(&self, id: RolloutId) {
        self.control.tick(id).await.unwrap();
        self.settle().await;
    }

    /// Someone halts it.
    pub async fn halt(&self, id: RolloutId) {
        let by = self.people.admin;
        let reason = "seen enough".into();
        self.apply(id, Input::Halt { by, reason }).await.unwrap();
    }

    /// The request that is open for a rollout, where there is one.
    pub async fn request(&self, id: RolloutId) -> Option<Request> {
        let mut conn = self.conn().await;
        requests::open(&mut conn, id).await.unwrap().pop()
    }

    /// Someone says yes to the open request, having seen what it asks for.
    ///
    /// # Errors
    /// Where they may not.
    pub async fn approve(&self, id: RolloutId, by: PersonId) -> Result<(), OpError> {
        let request = self.request(id).await.expect("an open request");
        let (request, hash) = (request.id, request.hash);
        self.apply(id, Input::Approve { by, request, hash }).await
    }

    /// State of a rollout.
    pub async fn state(&self, id: RolloutId) -> RolloutState {
        let mut conn = self.conn().await;
        let stored = rollouts::by_id(&mut conn, id).await.unwrap();
        stored.expect("a rollout").rollout.state
    }

    /// The stage of a ring.
    pub async fn stage(&self, id: RolloutId, ring: &str) -> StoredStage {
        let mut conn = self.conn().await;
        let stages = rollouts::stages(&mut conn, id).await.unwrap();
        stages.into_iter().find(|s| s.ring_name == ring).unwrap()
    }

    /// Word of a stage's state.
    pub async fn phase(&self, id: RolloutId, ring: &str) -> &'static str {
        StageState::word(&self.stage(id, ring).await.state)
    }

    /// Counters of a ring for what a rollout rolls out.
    pub async fn counts(&self, id: RolloutId, ring: &str) -> Counts {
        let row = sqlx::query(
            "SELECT sum(started)::bigint, sum(ok)::bigint, sum(failed)::bigint, sum(severe)::bigint, sum(silent)::bigint,
                    sum(overdue)::bigint, sum(resolved)::bigint, sum(drift)::bigint, sum(recovered)::bigint,
                    sum(relapsed)::bigint
             FROM rollout r JOIN ring g ON g.track_id = r.track_id AND g.name = $2 JOIN stage s ON s.ring_id = g.id
             JOIN evidence e ON e.stage_id = s.id AND e.digest = r.digest AND e.cohort = 0 WHERE r.id = $1",
        )
        .bind(id.0)
        .bind(ring)
        .fetch_one(&self.database.pool)
        .await
        .unwrap();
        let n = |i| u64::try_from(row.get::<Option<i64>, usize>(i).unwrap_or(0)).unwrap();
        Counts {
            started: n(0),
            ok: n(1),
            failed: n(2),
            severe: n(3),
            silent: n(4),
            overdue: n(5),
            resolved: n(6),
            drift: n(7),
            recovered: n(8),
            relapsed: n(9),
        }
    }

    /// The service clock.
    pub async fn service_now(&self) -> DateTime<Utc> {
        let mut conn = self.conn().await;
        let clock = service_clock::read(&mut conn).await.unwrap();
        clock.expect("a first tick").now
    }

    /// A device as stored.
    pub async fn stored(&self, device: &TestDevice) -> Device {
        let mut conn = self.conn().await;
        let stored = devices::by_id(&mut conn, device.id).await.unwrap();
        stored.expect("a device")
    }

    /// A number that a query returns; its one parameter is a text.
    pub async fn number(&self, query: &'static str, parameter: impl ToString) -> i64 {
        sqlx::query_scalar(query)
            .bind(parameter.to_string())
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    /// Throws a device out.
    pub async fn revoke(&self, device: &TestDevice) {
        let (pool, by, now) = (&self.database.pool, self.people.admin.0, self.clock.now());
        let picture = Arc::clone(&self.picture);
        registry::revoke(pool, &self.catalogue, &picture, device.id, by, now)
            .await
            .unwrap();
        self.settle().await;
    }

    /// Everything that is stored agrees with what it was made from: counters, decisions, the audit chain.
    pub async fn verify(&self) {
        let pool = &self.database.pool;
        assert_eq!(verify::recount(pool).await.unwrap(), Vec::<String>::new());
        assert_eq!(verify::decisions(pool).await.unwrap(), Vec::<String>::new());
        // As of one moment: drivers go on appending.
        let mut tx = store::reading(pool).await.unwrap();
        audit::verify(&mut tx).await.unwrap();
    }
}
