//! A fleet whose time somebody else moves, line by line: several processes share one virtual time, and a fleet can be larger
//! than what one process drives.
//!
//! Each line that comes in is an [`Order`] as JSON, and is answered with one [`Report`]. The fleet ends with its input.

use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use super::{Fleet, FleetOptions, Summary, VirtualClock};

/// What a fleet is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// It is this time now: do everything that is due. The first one is when the fleet comes into being.
    Run(DateTime<Utc>),
    /// Tell what became of you.
    Summary,
}

/// What a fleet answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It did what was due.
    Ran {
        /// When the next device has something to do.
        next_due: Option<DateTime<Utc>>,
        /// Requests so far.
        requests: u64,
    },
    /// What became of it.
    Summary(Box<Summary>),
}

/// Runs a fleet until its input ends.
///
/// # Errors
/// A line that is no order, or a fleet that can not be made.
pub async fn run_conducted(
    options: FleetOptions,
    orders: impl AsyncBufRead + Unpin,
    mut reports: impl AsyncWrite + Unpin,
) -> Result<()> {
    let mut orders = orders.lines();
    let mut options = Some(options);
    let mut born: Option<(Fleet, Arc<VirtualClock>)> = None;
    while let Some(line) = orders.next_line().await? {
        let order: Order =
            serde_json::from_str(&line).with_context(|| format!("expected an order: {line}"))?;
        if let (Order::Run(now), Some(options)) = (&order, options.take()) {
            let clock = VirtualClock::new(*now);
            born = Some((Fleet::new(options, Arc::clone(&clock))?, clock));
        }
        let (fleet, clock) = born
            .as_mut()
            .context("a fleet has no time yet: tell it to run first")?;
        let report = match order {
            Order::Run(now) => {
                clock.advance_to(now).await;
                fleet.run_due(now).await?;
                Report::Ran {
                    next_due: fleet.next_due(),
                    requests: fleet.requests(),
                }
            }
            Order::Summary => Report::Summary(Box::new(fleet.summary())),
        };
        let mut text = serde_json::to_vec(&report)?;
        text.push(b'\n');
        reports.write_all(&text).await?;
        reports.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::Scenario;

    async fn told(orders: &str) -> Result<String> {
        let options = FleetOptions {
            server_url: "http://127.0.0.1:9".into(),
            ca_pem: None,
            enrolment_token: "rfe_none".into(),
            devices: 3,
            seed: 1,
            scenario: Scenario::main_job(),
        };
        let mut reports = Vec::new();
        run_conducted(options, orders.as_bytes(), &mut reports).await?;
        Ok(String::from_utf8(reports)?)
    }

    #[tokio::test]
    async fn each_order_is_answered_and_the_fleet_ends_with_its_input() {
        let reports = told("{\"run\":\"2026-03-26T07:00:00Z\"}\n\"summary\"\n").await;
        let reports = reports.unwrap();
        let lines: Vec<Report> = reports
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [Report::Ran { next_due, requests }, Report::Summary(summary)] = &lines[..] else {
            panic!("{reports}");
        };
        assert!(
            next_due
                .is_some_and(|due| due > "2026-03-26T07:00:00Z".parse::<DateTime<Utc>>().unwrap())
        );
        assert_eq!((*requests, summary.devices), (3, 3), "nobody answers there");
    }

    #[tokio::test]
    async fn what_is_no_order_is_an_error_that_quotes_it() {
        for (orders, says) in [
            ("run\n", "expected an order: run"),
            ("{\"run\":\"tomorrow\"}\n", "expected an order"),
            ("\"summary\"\n", "no time yet"),
        ] {
            let error = told(orders).await.unwrap_err();
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
    }
}
