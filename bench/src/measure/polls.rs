//! Polls beside the smallest axum program, through the same client.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::telemetry::{BACKGROUND, telemetry_plan};
use super::{Bench, THREADS, each};
use crate::load::polls::{self, ETag, Polls};
use crate::load::telemetry::{BATCH, Telemetry};
use crate::load::tokens::Tokens;
use crate::load::{Connection, Outcome, Pace, Plan};
use crate::replica::Replica;
use crate::stats;

/// Connections of the closed loops, of ceiling and subject alike. Few of them would measure how long the few polls take that
/// ask the database, and not what the server can do: devices have a connection each.
const CONNECTIONS: usize = 256;

/// Polls a second of a million devices that ask every minute.
const PER_SECOND: f64 = 17_000.0;

/// Share of devices that something changed for.
pub(crate) const CHANGED: f64 = 0.05;

impl Bench {
    /// Measures polls alone, and with telemetry beside them.
    pub(super) async fn polls(&mut self, mut telemetry: Vec<Telemetry>) -> anyhow::Result<()> {
        println!("Polls");
        let server = self.serve()?;
        let etags = first_etags(&server, &self.tokens).await?;
        let mut sources = Polls::split(
            &self.tokens,
            u32::try_from(self.world.devices)?,
            THREADS,
            etags,
            0.0,
        );
        let hello = Replica::hello()?;
        let copied = self.report.findings.iter().find(|f| f.id == "copy");
        let background = copied
            .context("telemetry was not measured before")?
            .median()
            * BACKGROUND;
        #[allow(clippy::cast_precision_loss, reason = "twenty")]
        let background = Pace::Open {
            per_second: background / BATCH as f64,
        };

        let mut found = [const { Vec::new() }; 9];
        for _ in 0..self.extent.rounds {
            let [
                r0,
                r0_cpu,
                alone,
                alone_ratio,
                cpu,
                cpu_ratio,
                busy,
                busy_ratio,
                changed,
            ] = &mut found;
            let (ceiling, ceiling_cpu) = self.round(&hello, &mut sources, 0.0).await?;
            let (outcome, server_cpu) = self.round(&server, &mut sources, 0.0).await?;
            r0.push(ceiling.per_second());
            r0_cpu.push(ceiling_cpu);
            alone.push(outcome.per_second());
            alone_ratio.push(outcome.per_second() / ceiling.per_second());
            cpu.push(server_cpu);
            cpu_ratio.push(server_cpu / ceiling_cpu);

            let plan = telemetry_plan(&server, background, self.extent.lasts);
            let beside = tokio::spawn(Self::load(plan, telemetry));
            let (outcome, _) = self.round(&server, &mut sources, CHANGED).await?;
            telemetry = beside.await??.1;
            busy.push(outcome.per_second());
            busy_ratio.push(outcome.per_second() / ceiling.per_second());
            changed.push(100.0 * share(&outcome));
        }
        let names = [
            "hello",
            "hello.cpu",
            "polls",
            "polls.ratio",
            "polls.cpu",
            "polls.cpu.ratio",
            "polls.busy",
            "polls.busy.ratio",
            "polls.busy.changed",
        ];
        for (name, values) in names.into_iter().zip(found) {
            self.report.add(name, values);
        }
        self.latency(&server, sources).await?;
        #[allow(
            clippy::cast_precision_loss,
            reason = "bytes of memory are far below 2^52"
        )]
        let peak = server.memory()?.peak as f64 / f64::from(1 << 20);
        self.report.add("memory.peak", vec![peak]);
        hello.stop()?;
        server.stop()
    }

    /// One closed loop, and the server's processor time for each answer in microseconds.
    async fn round(
        &self,
        server: &Replica,
        sources: &mut Vec<Polls>,
        changed: f64,
    ) -> anyhow::Result<(Outcome, f64)> {
        for source in sources.iter_mut() {
            source.set_changed(changed);
        }
        let plan = Plan {
            to: vec![server.address],
            connections: CONNECTIONS,
            pace: Pace::Closed,
            lasts: self.extent.lasts,
        };
        let before = server.cpu()?;
        let (outcome, back) = Self::load(plan, std::mem::take(sources)).await?;
        let cpu = each(server.cpu()? - before, outcome.answers());
        *sources = back;
        let others: Vec<_> = outcome
            .statuses
            .iter()
            .filter(|(s, _)| ![200, 304].contains(*s))
            .collect();
        ensure!(
            others.is_empty() && outcome.errors == 0,
            "polls were answered with {others:?}"
        );
        ensure!(
            changed > 0.0 || share(&outcome) < 0.01,
            "polls of unchanged devices were answered with 200"
        );
        Ok((outcome, cpu))
    }

    /// Latency at the pace of a million devices that ask every minute.
    async fn latency(&mut self, server: &Replica, mut sources: Vec<Polls>) -> anyhow::Result<()> {
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for _ in 0..self.extent.rounds {
            let plan = Plan {
                to: vec![server.address],
                connections: CONNECTIONS,
                pace: Pace::Open {
                    per_second: PER_SECOND,
                },
                lasts: self.extent.lasts,
            };
            let (outcome, back) = Self::load(plan, sources).await?;
            sources = back;
            p50.push(outcome.latency_ms(0.5));
            p99.push(outcome.latency_ms(0.99));
        }
        ensure!(stats::median(&p50) > 0.0, "no poll was answered");
        self.report.add("polls.p50", p50);
        self.report.add("polls.p99", p99);
        Ok(())
    }

    /// Until a device's poll is answered with other words than these, or for at most ten seconds.
    pub(super) async fn until_poll(
        &self,
        server: &Replica,
        device_no: u32,
        differs_from: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let mut request = Vec::new();
        polls::write(&mut request, self.tokens.of(device_no), b"");
        let mut connection = Connection::open(server.address).await?;
        let asked = std::time::Instant::now();
        while asked.elapsed() < Duration::from_secs(10) {
            let answer = connection.ask(&request).await?;
            if answer.body != differs_from {
                return Ok(answer.body.to_vec());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("a poll did not change within ten seconds")
    }
}

/// ETags of devices with an even and with an odd number, for whoever asks first: a server that just started knows every
/// device of a lane by one version.
///
/// # Errors
/// When a poll fails.
pub(crate) async fn first_etags(server: &Replica, tokens: &Tokens) -> anyhow::Result<[ETag; 2]> {
    let mut etags = [ETag::default(); 2];
    let mut connection = Connection::open(server.address).await?;
    for device_no in [1, 2] {
        let mut request = Vec::new();
        polls::write(&mut request, tokens.of(device_no), b"");
        let answer = connection.ask(&request).await?;
        ensure!(
            answer.status == 200,
            "a poll was answered with {}",
            answer.status
        );
        etags[device_no as usize % 2] = ETag::new(answer.etag.context("a poll without an ETag")?);
    }
    Ok(etags)
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(outcome: &Outcome) -> f64 {
    outcome.with(200) as f64 / outcome.answers().max(1) as f64
}
