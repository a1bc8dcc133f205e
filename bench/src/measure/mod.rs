//! What is measured, one file for each part. Ceilings and what stands below them are measured in turn, within seconds of
//! each other: the machine is shared, and ratios hold where absolute figures swing.

mod contest;
mod copy;
mod decisions;
mod pages;
mod permits;
mod polls;
mod standing;
mod telemetry;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::load::tokens::Tokens;
use crate::load::{self, Outcome, Plan, Source};
use crate::replica::Replica;
use crate::report::Report;
use crate::world::{Rollout, World};

pub(crate) use polls::{CHANGED, first_etags};
pub(crate) use telemetry::BACKGROUND;

/// Threads of the load.
pub(crate) const THREADS: u32 = 2;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Pairs of ceiling and subject.
    pub rounds: usize,
    /// How long each of them is loaded.
    pub lasts: Duration,
    /// Devices that report and install.
    pub reporters: u32,
    /// Connections that are kept idle.
    pub idle: usize,
}

impl Extent {
    /// For so many devices, on a system that allows so many open files.
    #[must_use]
    pub fn of(devices: i32, quick: bool, open_files: u64) -> Self {
        // Each side of a connection is a file, and both sides have others too.
        let most = usize::try_from(open_files.saturating_sub(500)).unwrap_or(usize::MAX);
        let half = u32::try_from(devices / 2).unwrap_or(0);
        Self {
            rounds: 5,
            lasts: Duration::from_secs(if quick { 2 } else { 5 }),
            reporters: half.min(400_000),
            idle: most.min(if quick { 2_000 } else { 10_000 }),
        }
    }
}

/// Everything a measurement needs.
pub struct Bench {
    /// What is measured on.
    pub world: World,
    /// Tokens of all devices.
    pub tokens: Arc<Tokens>,
    /// What was found.
    pub report: Report,
    /// How much is measured.
    pub extent: Extent,
}

impl Bench {
    /// Measures everything.
    ///
    /// # Errors
    /// When something could not be measured.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        self.standing().await?;
        let rollout = self.decisions().await?;
        let mut telemetry = self.prepare(rollout).await?;
        self.permits(rollout).await?;
        self.telemetry(&mut telemetry).await?;
        self.polls(telemetry).await?;
        self.halt(rollout).await?;
        self.contest().await?;
        self.recount().await?;
        self.pages(rollout).await
    }

    /// Runs a load beside the runtime.
    pub(crate) async fn load<S: Source + 'static>(
        plan: Plan,
        sources: Vec<S>,
    ) -> anyhow::Result<(Outcome, Vec<S>)> {
        let (outcome, sources) =
            tokio::task::spawn_blocking(move || load::run(&plan, sources)).await??;
        Ok((outcome, sources))
    }

    /// Counters equal what the stored events say.
    async fn recount(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let said = self.world.postgres.recount().await?;
        self.report
            .note(format!("`ringfence verify recount`: {said}"));
        self.report
            .add("recount", vec![started.elapsed().as_secs_f64()]);
        Ok(())
    }

    /// A server on the world, and how it is called from here.
    fn serve(&mut self) -> anyhow::Result<Replica> {
        self.world.serve()
    }

    /// Whether a rollout is still active: evidence of a benchmark must not halt it.
    async fn still_active(&self, rollout: Rollout) -> anyhow::Result<()> {
        let phase: String = sqlx::query_scalar("SELECT phase FROM rollout WHERE id = $1")
            .bind(rollout.id)
            .fetch_one(&self.world.postgres.pool)
            .await
            .context("the rollout is gone")?;
        ensure!(
            phase == "active" || phase == "completed",
            "the rollout is {phase}"
        );
        Ok(())
    }
}

/// Processor time for each of so many, microseconds.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn each(time: Duration, n: u64) -> f64 {
    time.as_secs_f64() * 1e6 / n.max(1) as f64
}
