//! Telemetry over HTTP beside bare COPY of the rows that it made.

use std::time::Duration;

use anyhow::ensure;

use super::copy::{Rows, selects};
use super::{Bench, THREADS, each};
use crate::load::telemetry::{BATCH, Script, Telemetry};
use crate::load::{Outcome, Pace, Plan};
use crate::proc;
use crate::replica::Replica;
use crate::slow_disk::SlowDisk;
use crate::stats;
use crate::world::{BUILD, Rollout};

/// Connections, each with one batch under way.
const CONNECTIONS: usize = 512;

/// Share of the batches whose answer was lost, as it were.
const RESENT: f64 = 0.10;

/// Telemetry beside polls, of bare COPY: 20 % of the bar of telemetry.
pub(crate) const BACKGROUND: f64 = 0.2 * 0.15;

impl Bench {
    /// The devices that will install report their downloads and agree a restart.
    pub(super) async fn prepare(&mut self, rollout: Rollout) -> anyhow::Result<Vec<Telemetry>> {
        println!(
            "{} devices download and agree a restart",
            self.extent.reporters
        );
        let server = self.serve()?;
        let devices = 1..self.extent.reporters + 1;
        let mut sources =
            Telemetry::split(&self.tokens, devices, THREADS, rollout.id, BUILD, RESENT);
        for source in &mut sources {
            source.tell(Script::Prepare);
        }
        let plan = telemetry_plan(&server, Pace::Closed, Duration::from_secs(3600));
        let (outcome, mut sources) = Self::load(plan, sources).await?;
        let events: u64 = sources.iter().map(|s| s.events + s.repeated).sum();
        self.report.note(format!(
            "{events} events of downloads before permits, each batch the first of its device: {:.0} a second",
            per_second(events, &outcome)
        ));
        no_refusals(&outcome)?;
        server.stop()?;
        for source in &mut sources {
            source.tell(Script::Install);
        }
        Ok(sources)
    }

    /// The devices install under their permits; each round is paired with the ceiling.
    pub(super) async fn telemetry(&mut self, telemetry: &mut Vec<Telemetry>) -> anyhow::Result<()> {
        println!("Telemetry");
        let pool = self.world.postgres.pool.clone();
        let rows = Rows::of_log(&pool).await?;
        let server = self.serve()?;
        let mut found = [const { Vec::new() }; 6];
        for _ in 0..self.extent.rounds {
            let [selected, ceiling, rate, ratio, cpu, cpu_postgres] = &mut found;
            selected.push(selects(&pool, Duration::from_secs(1)).await?);
            let copied = rows.copy(&pool, self.extent.lasts).await?;
            let before = (server.cpu()?, proc::cpu_of_family(self.world.postgres.pid)?);
            let plan = telemetry_plan(&server, Pace::Closed, self.extent.lasts);
            let (outcome, events) = Self::report_once(telemetry, plan).await?;
            let after = (server.cpu()?, proc::cpu_of_family(self.world.postgres.pid)?);
            no_refusals(&outcome)?;
            let per_second = per_second(events, &outcome);
            ceiling.push(copied);
            rate.push(per_second);
            ratio.push(per_second / copied);
            cpu.push(each(after.0 - before.0, events));
            cpu_postgres.push(each(after.1 - before.1, events));
        }
        self.slow_disk(&server, telemetry).await?;
        let half = stats::median(&found[2]) / 2.0;
        let names = [
            "select",
            "copy",
            "telemetry",
            "telemetry.ratio",
            "telemetry.cpu",
            "telemetry.cpu.postgres",
        ];
        for (name, values) in names.into_iter().zip(found) {
            self.report.add(name, values);
        }
        let mut p99 = Vec::new();
        for _ in 0..self.extent.rounds {
            #[allow(clippy::cast_precision_loss, reason = "twenty")]
            let pace = Pace::Open {
                per_second: half / BATCH as f64,
            };
            let plan = telemetry_plan(&server, pace, self.extent.lasts);
            let (outcome, _) = Self::report_once(telemetry, plan).await?;
            p99.push(outcome.latency_ms(0.99));
        }
        self.report.add("telemetry.p99", p99);
        server.stop()
    }

    /// The same on a disk that takes 2 ms longer, in turn with the disk as it is.
    async fn slow_disk(
        &mut self,
        server: &Replica,
        telemetry: &mut Vec<Telemetry>,
    ) -> anyhow::Result<()> {
        let Some(disk) = SlowDisk::of_this_process() else {
            self.report
                .note("The slow disk was not measured: it needs a C compiler.");
            return Ok(());
        };
        let mut ratios = Vec::new();
        for _ in 0..self.extent.rounds {
            let mut rates = [0.0; 2];
            for (slow, rate) in [false, true].into_iter().zip(&mut rates) {
                disk.set(slow)?;
                let plan = telemetry_plan(server, Pace::Closed, self.extent.lasts);
                let (outcome, events) = Self::report_once(telemetry, plan).await?;
                no_refusals(&outcome)?;
                *rate = per_second(events, &outcome);
            }
            disk.set(false)?;
            ratios.push(rates[1] / rates[0]);
        }
        self.report.add("telemetry.slow.ratio", ratios);
        Ok(())
    }

    /// Runs telemetry for a while; returns the events that were acknowledged, those that were sent again included.
    async fn report_once(
        telemetry: &mut Vec<Telemetry>,
        plan: Plan,
    ) -> anyhow::Result<(Outcome, u64)> {
        for source in telemetry.iter_mut() {
            source.reset();
        }
        let (outcome, back) = Self::load(plan, std::mem::take(telemetry)).await?;
        *telemetry = back;
        Ok((
            outcome,
            telemetry.iter().map(|s| s.events + s.repeated).sum(),
        ))
    }
}

/// Telemetry to a server.
pub(super) fn telemetry_plan(server: &Replica, pace: Pace, lasts: Duration) -> Plan {
    Plan {
        to: vec![server.address],
        connections: CONNECTIONS,
        pace,
        lasts,
    }
}

#[allow(clippy::cast_precision_loss, reason = "some million events")]
fn per_second(events: u64, outcome: &Outcome) -> f64 {
    events as f64 / outcome.took.as_secs_f64()
}

/// Whoever is turned away comes again; nobody may be told that what it sends is wrong.
fn no_refusals(outcome: &Outcome) -> anyhow::Result<()> {
    let others: Vec<_> = outcome
        .statuses
        .iter()
        .filter(|(s, _)| ![200, 503].contains(*s))
        .collect();
    ensure!(others.is_empty(), "telemetry was answered with {others:?}");
    Ok(())
}
