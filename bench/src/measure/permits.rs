//! Permits on one hot stage, asked for at two replicas.

use std::time::Duration;

use anyhow::ensure;

use super::copy::selects;
use super::{Bench, THREADS};
use crate::load::permits::Permits;
use crate::load::{Pace, Plan};
use crate::world::Rollout;

/// How long the database's own speed is measured before each round.
const YARDSTICK: Duration = Duration::from_secs(1);

/// Connections to both replicas together.
pub(super) const CONNECTIONS: usize = 1024;

impl Bench {
    /// Every prepared device gets its permit, a fifth of them in each round.
    #[allow(clippy::cast_precision_loss, reason = "some hundred thousand permits")]
    pub(super) async fn permits(&mut self, rollout: Rollout) -> anyhow::Result<()> {
        println!("Permits at two replicas");
        self.world.lift_generations(rollout).await?;
        let replicas = [self.serve()?, self.serve()?];
        let each = self.extent.reporters / u32::try_from(self.extent.rounds)?;
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        let mut from = 1;
        for round in 0..self.extent.rounds {
            let last = round + 1 == self.extent.rounds;
            let to = if last {
                self.extent.reporters + 1
            } else {
                from + each
            };
            let sources = Permits::split(&self.tokens, &(from..to), THREADS, rollout.id);
            let plan = Plan {
                to: replicas.iter().map(|r| r.address).collect(),
                connections: CONNECTIONS,
                pace: Pace::Closed,
                lasts: Duration::from_secs(600),
            };
            let yardstick = selects(&self.world.postgres.pool, YARDSTICK).await?;
            let (outcome, sources) = Self::load(plan, sources).await?;
            let granted: u64 = sources.iter().map(|s| s.granted).sum();
            let other: u64 = sources.iter().map(|s| s.waiting + s.refused).sum();
            ensure!(
                other == 0,
                "{other} devices were told to wait or refused on an open stage; answers {:?}",
                outcome.statuses
            );
            ensure!(
                granted == u64::from(to - from),
                "{granted} permits for {} devices",
                to - from
            );
            let rate = granted as f64 / outcome.took.as_secs_f64();
            rates.push(rate);
            ratios.push(rate / yardstick);
            from = to;
        }
        self.report.add("permits", rates);
        self.report.add("permits.ratio", ratios);
        self.still_active(rollout).await?;
        for replica in replicas {
            replica.stop()?;
        }
        Ok(())
    }
}
