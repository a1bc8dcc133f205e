//! What happens by itself: the service clock, deadlines, ticks of rollouts, partitions, and forgetting.
//!
//! One replica drives at a time, held by an advisory lock. Correctness does not rest on it: ticks may run twice,
//! rows and versions guard what they change. The service clock is moved on the very connection that holds the lock.

mod deadlines;
mod leader;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::control::{Control, IngestHealth};
use crate::fleet::{Catalogue, Picture, flush};
use crate::ingest::Ingest;
use crate::registry::Holder;
use crate::store::{
    self, changes, device_kinds, enrolment, events, rollouts, service_clock, sign_in,
};
use leader::Leader;

/// Days for which partitions of the event log stand ready.
const DAYS_AHEAD: u64 = 3;

/// What the drivers need.
#[derive(Clone)]
pub struct Drivers {
    /// Database.
    pub pool: PgPool,
    /// Where time comes from.
    pub clock: SharedClock,
    /// Moves rollouts.
    pub control: Control,
    /// Takes the deadline tick's findings.
    pub ingest: Ingest,
    /// Sequences by digest.
    pub catalogue: Arc<Catalogue>,
    /// Last contacts.
    pub picture: Arc<Picture>,
    /// Whether telemetry is taken in.
    pub health: Arc<IngestHealth>,
    /// Woken when outcomes came in.
    pub outcomes: Arc<Notify>,
    /// Nothing expires for so long after an outage: two poll intervals.
    pub grace: TimeDelta,
    /// How long the event log is kept.
    pub retention: TimeDelta,
    /// This process, among replicas.
    pub replica: Uuid,
}

/// Ticks between two looks at all rollouts. Outcomes are followed at once: this is for what only time changes.
const TICKS_PER_LOOK: u32 = 5;

/// Pause after rollouts were ticked because outcomes came in. Permits judge the evidence themselves, so a halt
/// loses nothing by it, and a thousand outcomes a second make ten ticks instead of a thousand.
const BREATH: Duration = Duration::from_millis(100);

/// When the rarer chores ran last.
#[derive(Default)]
struct Chores {
    partitions: Option<DateTime<Utc>>,
    forgotten: Option<DateTime<Utc>>,
    flushed: Option<DateTime<Utc>>,
    /// By the service clock.
    silence_counted: Option<DateTime<Utc>>,
    ticks: u32,
}

fn is_due(last: Option<DateTime<Utc>>, now: DateTime<Utc>, every: TimeDelta) -> bool {
    last.is_none_or(|l| now - l >= every || now < l)
}

impl Drivers {
    /// Runs until cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut leader = Leader::default();
        let mut chores = Chores::default();
        loop {
            if let Err(error) = self.tick(&mut leader, &mut chores).await {
                tracing::warn!(%error, "a tick failed; the next one tries again");
                leader.step_down();
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.sleep(self.clock.tick()) => {}
            }
        }
        if let Err(error) = flush(&self.pool, &self.picture, self.replica).await {
            tracing::warn!(%error, "last contacts could not be written");
        }
    }

    /// Ticks rollouts as soon as outcomes came in, so that a halt does not wait for the next second.
    pub async fn follow_outcomes(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.outcomes.notified() => {}
            }
            if let Err(error) = self.tick_rollouts().await {
                tracing::warn!(%error, "rollouts could not be ticked");
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Makes the partitions of the coming days, and drops those past their retention.
    async fn look_after_partitions(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        events::make_partitions(&mut *conn, now.date_naive(), DAYS_AHEAD).await?;
        let strays = events::strays(&mut *conn).await?;
        if strays > 0 {
            tracing::error!(
                strays,
                "events are in the default partition: partitions were not made in time"
            );
        }
        for dropped in events::drop_partitions(&mut *conn, now - self.retention).await? {
            tracing::info!(
                partition = dropped,
                "dropped a partition past its retention"
            );
        }
        Ok(())
    }

    async fn tick(&self, leader: &mut Leader, chores: &mut Chores) -> anyhow::Result<()> {
        let now = self.clock.now();
        if is_due(chores.flushed, now, TimeDelta::minutes(5)) {
            flush(&self.pool, &self.picture, self.replica).await?;
            chores.flushed = Some(now);
        }
        let Some(conn) = leader.lead(&self.pool).await? else {
            return Ok(());
        };
        if is_due(chores.partitions, now, TimeDelta::hours(1)) {
            match self.look_after_partitions(&mut *conn, now).await {
                Ok(()) => chores.partitions = Some(now),
                Err(error) if events::is_lock_timeout(&error) => {
                    tracing::debug!("partitions are in use; the next tick tries again");
                }
                Err(error) => return Err(error),
            }
        }
        if self.health.works() {
            let largest = TimeDelta::from_std(self.clock.largest_tick())?;
            let clock = service_clock::tick(&mut *conn, now, largest, self.grace).await?;
            if clock.now >= clock.grace_until {
                let counted_at = &mut chores.silence_counted;
                silence::count(&mut *conn, &self.picture, counted_at, clock.now).await?;
                // What keeps an issue from ending must not keep hangs from being found.
                if let Err(error) = self.holder().expire(clock.now, now).await {
                    tracing::error!(%error, "a known issue whose time has come could not be ended");
                }
                deadlines::expire(&self.pool, &self.ingest, &self.picture, clock.now).await?;
            }
        } else {
            // Ingest failed last time; only a write that works shows that it is over.
            self.health.set(store::answers(&self.pool).await);
        }
        device_kinds::fold(&mut *conn).await?;
        if is_due(chores.forgotten, now, TimeDelta::minutes(10)) {
            changes::prune(&mut *conn).await?;
            device_kinds::prune(&mut *conn).await?;
            enrolment::forget_nonces(&mut *conn, now).await?;
            // What has expired by real time: sessions do not run on the clock of rollouts.
            sign_in::sweep(&mut *conn).await?;
            chores.forgotten = Some(now);
        }
        chores.ticks = chores.ticks.wrapping_add(1);
        if chores.ticks.is_multiple_of(TICKS_PER_LOOK) {
            self.tick_rollouts().await?;
        }
        Ok(())
    }

    fn holder(&self) -> Holder<'_> {
        Holder {
            pool: &self.pool,
            catalogue: &self.catalogue,
            picture: &self.picture,
        }
    }

    async fn tick_rollouts(&self) -> anyhow::Result<()> {
        let live = rollouts::live(&mut *self.pool.acquire().await?, None).await?;
        for rollout in live {
            if let Err(error) = self.control.tick(rollout).await {
                tracing::error!(%error, %rollout, "a rollout could not be ticked");
            }
        }
        Ok(())
    }
}
