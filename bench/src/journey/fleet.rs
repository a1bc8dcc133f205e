//! Simulated devices in processes of their own, which share one virtual time.

use std::process::Stdio;

use agent::simulate::{Order, Report, Summary};
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::replica::program;

/// Where devices enrol, and with what.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The server.
    pub url: String,
    /// Its enrolment token.
    pub token: String,
}

/// All processes.
pub struct Fleet(Vec<Process>);

/// One process. Killed when dropped.
struct Process {
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Fleet {
    /// Starts `processes` with so many devices together; each has a seed, and so devices, of its own.
    ///
    /// # Errors
    /// When the program is missing or does not start.
    pub fn start(enrolment: &Enrolment, devices: u32, processes: u32) -> anyhow::Result<Self> {
        let share = |k: u32| devices / processes + u32::from(k < devices % processes);
        let all = (0..processes).map(|k| Process::start(enrolment, share(k), u64::from(k) + 1));
        Ok(Self(all.collect::<anyhow::Result<_>>()?))
    }

    /// Lets all devices do what is due by now; returns the requests so far.
    ///
    /// # Errors
    /// When a process fails.
    pub async fn run(&mut self, now: DateTime<Utc>) -> anyhow::Result<u64> {
        let order = Order::Run(now);
        let reports = try_join_all(self.0.iter_mut().map(|p| p.tell(&order))).await?;
        reports
            .iter()
            .map(|report| match report {
                Report::Ran { requests, .. } => Ok(*requests),
                other @ Report::Summary(_) => bail!("expected that it ran: {other:?}"),
            })
            .sum()
    }

    /// What became of each process's devices.
    ///
    /// # Errors
    /// When a process fails.
    pub async fn summaries(&mut self) -> anyhow::Result<Vec<Summary>> {
        let reports = try_join_all(self.0.iter_mut().map(|p| p.tell(&Order::Summary))).await?;
        reports
            .into_iter()
            .map(|report| match report {
                Report::Summary(summary) => Ok(*summary),
                other @ Report::Ran { .. } => bail!("expected a summary: {other:?}"),
            })
            .collect()
    }

    /// The processes.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.0.iter().filter_map(|p| p.child.id()).collect()
    }
}

impl Process {
    fn start(enrolment: &Enrolment, devices: u32, seed: u64) -> anyhow::Result<Self> {
        let mut child = Command::new(program("ringfence-agent")?)
            .args(["simulate", "--conducted"])
            .args(["--server", &enrolment.url])
            .args(["--devices", &devices.to_string()])
            .args(["--seed", &seed.to_string()])
            .env("RINGFENCE_ENROLMENT_TOKEN", &enrolment.token)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = child.stdin.take().context("a fleet without an input")?;
        let reports = child.stdout.take().context("a fleet without an output")?;
        Ok(Self {
            orders,
            reports: BufReader::new(reports).lines(),
            child,
        })
    }

    async fn tell(&mut self, order: &Order) -> anyhow::Result<Report> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        self.orders.flush().await?;
        let answer = self.reports.next_line().await?;
        let answer = answer.context("a fleet ended before its time")?;
        Ok(serde_json::from_str(&answer)?)
    }
}
