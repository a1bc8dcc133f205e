//! Twenty thousand devices ask two replicas for ten places, and somebody halts the rollout meanwhile.

use std::time::{Duration, Instant};

use engine::policy::Limits;
use serde_json::json;

use super::telemetry::telemetry_plan;
use super::{Bench, THREADS};
use crate::load::permits::Permits;
use crate::load::telemetry::{Script, Telemetry};
use crate::load::{Pace, Plan};
use crate::world::{BUILD, CONTESTANTS, Rollout};

/// Places.
const PLACES: u64 = 10;

impl Bench {
    /// Plays it.
    #[allow(clippy::cast_precision_loss, reason = "a handful of permits")]
    pub(super) async fn contest(&mut self) -> anyhow::Result<()> {
        println!("{CONTESTANTS} devices ask for {PLACES} places");
        let replicas = [self.serve()?, self.serve()?];
        let limits = Limits {
            devices_at_once: Some(PLACES),
            ..Limits::default()
        };
        let rollout = self.world.draft(self.world.contest, limits).await?;
        self.world.submit(rollout).await?;
        self.world.opened(rollout).await?;
        self.world.lift_generations(rollout).await?;
        let first = u32::try_from(self.world.devices)? + 1;
        let devices = first..first + u32::try_from(CONTESTANTS)?;
        let mut reports = Telemetry::split(
            &self.tokens,
            devices.clone(),
            THREADS,
            rollout.id,
            BUILD,
            0.0,
        );
        for report in &mut reports {
            report.tell(Script::Prepare);
        }
        let plan = telemetry_plan(&replicas[0], Pace::Closed, Duration::from_secs(600));
        Self::load(plan, reports).await?;

        let plan = Plan {
            to: replicas.iter().map(|r| r.address).collect(),
            connections: super::permits::CONNECTIONS,
            pace: Pace::Closed,
            lasts: Duration::from_secs(600),
        };
        let asked = Instant::now();
        let sources = Permits::split(&self.tokens, &devices, THREADS, rollout.id);
        let asking = tokio::spawn(Self::load(plan, sources));
        while self.granted(rollout).await? == 0 && !asking.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.world
            .act(rollout, "halt", &json!({ "reason": "measured" }))
            .await?;
        let at_halt = self.granted(rollout).await?;
        let under_way = !asking.is_finished();
        let (_, sources) = asking.await??;
        let took = asked.elapsed().as_secs_f64();
        let (granted, told) = (
            self.granted(rollout).await?,
            sources.iter().map(|s| s.granted).sum::<u64>(),
        );
        let answered: u64 = sources
            .iter()
            .map(|s| s.granted + s.waiting + s.refused)
            .sum();
        anyhow::ensure!(
            answered == u64::try_from(CONTESTANTS)?,
            "{answered} devices were answered"
        );
        anyhow::ensure!(
            told == granted,
            "{told} devices were told of {granted} permits"
        );
        self.report.note(format!(
            "The halt came {} devices were still asking.",
            if under_way {
                "while"
            } else {
                "after all were answered: no"
            }
        ));
        self.report.add("contest.granted", vec![granted as f64]);
        self.report
            .add("contest.after", vec![(granted - at_halt) as f64]);
        self.report.add("contest.time", vec![took]);
        for replica in replicas {
            replica.stop()?;
        }
        Ok(())
    }

    async fn granted(&self, rollout: Rollout) -> anyhow::Result<u64> {
        let n: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM assignment WHERE rollout_id = $1 AND counted & 1 = 1",
        )
        .bind(rollout.id)
        .fetch_one(&self.world.postgres.pool)
        .await?;
        Ok(u64::try_from(n)?)
    }
}
