//! What people do, and how soon devices know: start, halt; and what a gate costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use engine::ids::RolloutId;
use engine::policy::Limits;
use engine::{Input, decide};
use hdrhistogram::Histogram;
use serde_json::json;
use server::clock::{Clock, SystemClock};
use server::control::{Control, IngestHealth};
use server::store::rollouts;

use super::Bench;
use crate::world::Rollout;

/// Times that something is done.
const TIMES: usize = 5;

/// Times that a gate is read.
const READS: u32 = 500;

#[allow(
    clippy::cast_precision_loss,
    reason = "a minute in nanoseconds is far below 2^52"
)]
fn median(times: &Histogram<u64>, unit: Duration) -> f64 {
    times.value_at_quantile(0.5) as f64 / unit.as_nanos() as f64
}

impl Bench {
    /// Starts a rollout over the whole fleet, several times; the last one stays.
    #[allow(clippy::cast_precision_loss, reason = "some kilobytes")]
    pub(super) async fn decisions(&mut self) -> anyhow::Result<Rollout> {
        println!("Starting a rollout");
        let server = self.serve()?;
        let (mut times, mut wal) = (Vec::new(), Vec::new());
        let mut last: Option<Rollout> = None;
        for _ in 0..=TIMES {
            if let Some(rollout) = last.take() {
                self.world
                    .act(rollout, "cancel", &json!({ "reason": "measured" }))
                    .await?;
            }
            let rollout = self
                .world
                .draft(self.world.fleet, Limits::default())
                .await?;
            let nothing = self.until_poll(&server, 1, b"").await?;
            // Not what the server does beside it: checkpoints, ticks.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let before = self.world.postgres.wal().await?;
            let started = Instant::now();
            self.world.submit(rollout).await?;
            self.until_poll(&server, 1, &nothing).await?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            wal.push((self.world.postgres.wal().await? - before) as f64 / 1000.0);
            self.world.opened(rollout).await?;
            last = Some(rollout);
        }
        let rollout = last.context("no rollout was started")?;
        // The first pays for pages that are written for the first time since the checkpoint.
        self.report.add("rollout.time", times.split_off(1));
        self.report.add("rollout.wal", wal.split_off(1));
        self.gate(rollout).await?;
        server.stop()?;
        Ok(rollout)
    }

    /// Halts a rollout at one replica until the polls of another one know, several times.
    pub(super) async fn halt(&mut self, rollout: Rollout) -> anyhow::Result<()> {
        println!("Halt");
        let (one, other) = (self.serve()?, self.serve()?);
        // This device was not asked to do anything yet: its order changes with the rollout.
        let device_no = u32::try_from(self.world.devices)?;
        let (mut times, mut nothing) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            self.world.opened(rollout).await?;
            // The other replica may still say what it said after the halt before.
            let ordered = self.until_poll(&other, device_no, &nothing).await?;
            let there = self.world.admin.at(format!("http://{}", one.address));
            let started = Instant::now();
            there
                .post(
                    &format!("/rollouts/{}/halt", rollout.id),
                    &json!({ "reason": "measured" }),
                )
                .await?;
            nothing = self.until_poll(&other, device_no, &ordered).await?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            self.world
                .act(rollout, "clear-halt", &json!({ "reason": "measured" }))
                .await?;
        }
        self.report.add("halt", times);
        one.stop()?;
        other.stop()
    }

    /// Reads what the rollout's gates are judged by, and judges it.
    async fn gate(&mut self, rollout: Rollout) -> anyhow::Result<()> {
        let pool = self.world.postgres.pool.clone();
        let control = Control::new(
            pool.clone(),
            Arc::new(SystemClock),
            Arc::default(),
            Arc::default(),
            Arc::new(IngestHealth::default()),
            false,
        );
        let mut conn = pool.acquire().await?;
        let stored = rollouts::by_id(&mut conn, RolloutId(rollout.id)).await?;
        let stored = stored.context("the rollout is gone")?;
        let (mut reads, mut decisions) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
        let mut trips = Histogram::<u64>::new(3)?;
        for _ in 0..READS {
            let started = Instant::now();
            let _one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *conn).await?;
            trips.record(u64::try_from(started.elapsed().as_nanos())?)?;
            let started = Instant::now();
            let snapshot = control.look(&mut conn, &stored).await?;
            reads.record(u64::try_from(started.elapsed().as_nanos())?)?;
            for _ in 0..20 {
                let started = Instant::now();
                let decision = decide(&snapshot, Input::Tick, SystemClock.now());
                decisions.record(u64::try_from(started.elapsed().as_nanos())?)?;
                let _event = decision
                    .map_err(|refused| anyhow::anyhow!("a tick was refused: {refused:?}"))?;
            }
        }
        let millisecond = Duration::from_millis(1);
        let read = median(&reads, millisecond);
        self.report.add("gate.read", vec![read]);
        self.report
            .add("gate.read.ratio", vec![read / median(&trips, millisecond)]);
        self.report.add(
            "gate.decide",
            vec![median(&decisions, Duration::from_micros(1))],
        );
        Ok(())
    }
}
