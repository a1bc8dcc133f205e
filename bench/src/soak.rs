//! Hours at half load: whether memory, latency, connections or tables grow.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::load::polls::Polls;
use crate::load::telemetry::{BATCH, Telemetry};
use crate::load::tokens::Tokens;
use crate::load::{self, Outcome, Pace, Plan};
use crate::replica::Replica;
use crate::stats::{self, Slope};
use crate::world::{BUILD, World};
use crate::{measure, proc};

/// One look.
const WINDOW: Duration = Duration::from_secs(15);

/// What is filled first is not growth: caches, the first version of every device, the file system's pages.
const WARM_UP: Duration = Duration::from_secs(300);

/// How hard, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Soak {
    /// How long, warm-up included.
    pub lasts: Duration,
    /// Polls a second.
    pub polls: f64,
    /// Events a second.
    pub events: f64,
}

/// What was seen in one window.
#[derive(Debug, Clone, Copy)]
struct Sample {
    hours: f64,
    values: [f64; NAMES.len()],
}

/// What is looked at, and its unit.
const NAMES: [(&str, &str); 8] = [
    ("memory of the server", "MiB"),
    ("memory of PostgreSQL", "MiB"),
    ("polls, p99", "ms"),
    ("telemetry, p99", "ms"),
    ("open files of the server", COUNT),
    ("connections to PostgreSQL", COUNT),
    ("tables but the event log", "MiB"),
    ("event log, bytes an event", "B"),
];

/// The unit of what is counted in pieces.
const COUNT: &str = "";

/// Pieces by which a count may grow in an hour: a pool of eight connections opens and closes some by itself.
const TOLERATED_PIECES: f64 = 1.0;

/// Growth of an hour, as a share of the mean, below which nobody would notice in a month between restarts.
const TOLERATED: f64 = 0.02;

/// Runs it; the report as Markdown, and whether nothing grew.
///
/// # Errors
/// When something could not be measured.
#[allow(
    clippy::cast_precision_loss,
    reason = "sizes and counts are far below 2^52"
)]
pub async fn run(world: &mut World, soak: Soak) -> anyhow::Result<(String, bool)> {
    let tokens = Arc::new(world.tokens()?);
    let server = world.serve()?;
    let etags = measure::first_etags(&server, &tokens).await?;
    let mut polls = Polls::split(
        &tokens,
        u32::try_from(world.devices)?,
        measure::THREADS,
        etags,
        measure::CHANGED,
    );
    let mut telemetry = reports(&tokens, world.devices);
    let started = Instant::now();
    let (mut samples, mut events) = (Vec::new(), 0);
    let (mut asked, mut failed) = (0, 0);
    while started.elapsed() < soak.lasts {
        let plan = |per_second, connections| Plan {
            to: vec![server.address],
            connections,
            pace: Pace::Open { per_second },
            lasts: WINDOW,
        };
        let (poll, report) = (plan(soak.polls, 256), plan(soak.events / BATCH as f64, 256));
        let polling = tokio::task::spawn_blocking(move || load::run(&poll, polls));
        let reporting = tokio::task::spawn_blocking(move || load::run(&report, telemetry));
        let (polled, reported): (Outcome, Outcome);
        (polled, polls) = polling.await??;
        (reported, telemetry) = reporting.await??;
        events += telemetry.iter().map(|t| t.events).sum::<u64>();
        telemetry.iter_mut().for_each(Telemetry::reset);
        asked += polled.answers() + reported.answers();
        failed += polled.errors + reported.errors + polled.with(503) + reported.with(503);
        let sample = look(world, &server, started, &polled, &reported, events).await?;
        println!(
            "  {:.0} s: {:?}",
            sample.hours * 3600.0,
            sample.values.map(|v| (v * 10.0).round() / 10.0)
        );
        samples.push(sample);
    }
    server.stop()?;
    samples.retain(|s| s.hours > WARM_UP.as_secs_f64() / 3600.0);
    ensure!(samples.len() >= 3, "too short to see a slope");
    Ok(tell(soak, &samples, asked, failed))
}

fn reports(tokens: &Arc<Tokens>, devices: i32) -> Vec<Telemetry> {
    let devices = 1..u32::try_from(devices).unwrap_or(1) + 1;
    Telemetry::split(
        tokens,
        devices,
        measure::THREADS,
        uuid::Uuid::nil(),
        BUILD,
        0.10,
    )
}

#[allow(
    clippy::cast_precision_loss,
    reason = "sizes and counts are far below 2^52"
)]
async fn look(
    world: &World,
    server: &Replica,
    started: Instant,
    polled: &Outcome,
    reported: &Outcome,
    events: u64,
) -> anyhow::Result<Sample> {
    let pool = &world.postgres.pool;
    let (log, all, connections): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COALESCE(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = 'event'::regclass),
                pg_database_size(current_database()), (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())",
    )
    .fetch_one(pool)
    .await?;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    Ok(Sample {
        hours: started.elapsed().as_secs_f64() / 3600.0,
        values: [
            mib(server.memory()?.resident as f64),
            mib(proc::memory_of_family(world.postgres.pid)? as f64),
            polled.latency_ms(0.99),
            reported.latency_ms(0.99),
            proc::open_files(server.pid())? as f64,
            connections as f64,
            mib((all - log) as f64),
            log as f64 / events.max(1) as f64,
        ],
    })
}

/// What grew: what the interval of the slope says beyond doubt, and by more than is tolerated.
fn grows(unit: &str, mean: f64, slope: Slope) -> bool {
    let pieces = if unit == COUNT { TOLERATED_PIECES } else { 0.0 };
    slope.slope - slope.half_width > 0.0 && slope.slope > pieces.max(TOLERATED * mean)
}

fn tell(soak: Soak, samples: &[Sample], asked: u64, failed: u64) -> (String, bool) {
    let mut text = format!(
        "{:.0} minutes at {:.0} polls and {:.0} events a second: {asked} requests, {failed} of them failed or turned away.\n\n\
         | What | Mean | Change in an hour, 95 % interval | |\n|---|---|---|---|\n",
        soak.lasts.as_secs_f64() / 60.0,
        soak.polls,
        soak.events
    );
    let mut flat = true;
    for (n, (what, unit)) in NAMES.into_iter().enumerate() {
        let points: Vec<_> = samples.iter().map(|s| (s.hours, s.values[n])).collect();
        let Some(slope) = stats::slope(&points) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "some hundred samples")]
        let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
        let grows = grows(unit, mean, slope);
        flat &= !grows;
        let _ = writeln!(
            text,
            "| {what} | {mean:.1} {unit} | {:+.2} ± {:.2} {unit} | {} |",
            slope.slope,
            slope.half_width,
            if grows { "**grows**" } else { "flat" }
        );
    }
    (text, flat)
}

/// Half of what a report says that polls and the telemetry beside them reach.
///
/// # Errors
/// When the report does not have them.
pub fn half_of(report: &crate::report::Report) -> anyhow::Result<(f64, f64)> {
    let median = |id: &str| {
        let found = report.findings.iter().find(|f| f.id == id);
        found
            .map(crate::report::Finding::median)
            .with_context(|| format!("the report has no {id}"))
    };
    Ok((
        median("polls.busy")? / 2.0,
        median("copy")? * measure::BACKGROUND / 2.0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_is_beyond_doubt_and_worth_telling() {
        let slope = |slope, half_width| Slope { slope, half_width };
        let grows = |slope| grows("MiB", 100.0, slope);
        assert!(grows(slope(5.0, 1.0)));
        assert!(!grows(slope(5.0, 6.0)), "in doubt");
        assert!(!grows(slope(1.0, 0.1)), "nobody would notice");
        assert!(!grows(slope(-9.0, 1.0)));
    }

    #[test]
    fn a_connection_that_a_pool_opens_is_no_growth_and_two_in_an_hour_are() {
        let slope = |slope| Slope {
            slope,
            half_width: 0.4,
        };
        assert!(!grows(COUNT, 20.0, slope(0.8)));
        assert!(grows(COUNT, 20.0, slope(2.0)));
        assert!(grows("MiB", 20.0, slope(0.8)));
    }
}
