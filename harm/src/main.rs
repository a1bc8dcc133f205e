//! `ringfence-harm`: what bad updates harm before the rules halt them, how often good ones are halted and how long they take;
//! each figure with its 95 % interval, against its bar.

mod compare;
mod scenarios;
mod stats;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use clap::Parser;
use engine::simulation::{Course, Dice, Fault, Fleet, Symptom, Victims, play};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scenarios::{Figure, Scenario};
use stats::Estimate;

/// Plays bad and good updates on the rules of the product.
#[derive(Debug, Parser)]
#[command(name = "ringfence-harm")]
struct Arguments {
    /// Runs of every scenario, instead of 2,000 up to 5,000 devices and 300 beyond
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    runs: Option<u32>,
    /// The same seed plays the same courses
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only scenarios whose name has this in it
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let only = arguments.only.as_deref().unwrap_or("");
    println!("| What | Runs | Figure, 95 % interval | Bar | |\n|---|---|---|---|---|");
    let (mut missed, mut judged) = (0, 0);
    for scenario in scenarios::all().iter().filter(|s| s.name.contains(only)) {
        let started = Instant::now();
        let runs = arguments.runs.unwrap_or(scenario.runs);
        let courses = courses(scenario, runs, arguments.seed);
        let estimate = estimate(scenario.figure, &courses);
        let verdict = scenario
            .bar
            .map(|bar| holds(scenario.figure, estimate, bar));
        judged += u32::from(verdict.is_some());
        missed += u32::from(verdict == Some(false));
        println!("{}", line(scenario, runs, estimate, verdict));
        eprintln!(
            "  {:.1} s: {}",
            started.elapsed().as_secs_f64(),
            scenario.name
        );
    }
    if only.is_empty() {
        for text in comparison(arguments.runs.unwrap_or(300), arguments.seed) {
            println!("{text}");
        }
    }
    println!(
        "\nSeed {}: {} of {judged} bars were reached.",
        arguments.seed,
        judged - missed
    );
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Plays all runs of a scenario on all processors; which one plays which run changes nothing.
fn courses(scenario: &Scenario, runs: u32, seed: u64) -> Vec<Course> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let next = AtomicU32::new(0);
    let work = || {
        let mut courses = Vec::new();
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return courses;
            }
            courses.push((
                run,
                play(&scenario.ring, &mut dice(seed, &scenario.name, run)),
            ));
        }
    };
    let mut all: Vec<(u32, Course)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap_or_default())
            .collect()
    });
    all.sort_by_key(|(run, _)| *run);
    all.into_iter().map(|(_, course)| course).collect()
}

/// A generator whose rolls are the same on every platform.
struct Rolls(ChaCha8Rng);

impl Dice for Rolls {
    fn roll(&mut self) -> f64 {
        self.0.random()
    }
}

/// Each run has dice of its own.
fn dice(seed: u64, name: &str, run: u32) -> Rolls {
    // FNV-1a: the same on every platform and with every version.
    let bytes = name.bytes().chain(run.to_le_bytes());
    let hash = bytes.fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rolls(ChaCha8Rng::seed_from_u64(hash))
}

#[allow(clippy::cast_precision_loss, reason = "devices are far below 2^52")]
fn estimate(figure: Figure, courses: &[Course]) -> Estimate {
    let mean = |value: &dyn Fn(&Course) -> Option<f64>| {
        stats::mean(&courses.iter().filter_map(value).collect::<Vec<_>>())
    };
    match figure {
        Figure::Harmed => mean(&|c| Some(c.harmed as f64)),
        Figure::Hours => mean(&|c| Some(f64::from(c.done_at?) / 60.0)),
        Figure::FalseHalts => {
            let halted = courses.iter().filter(|c| c.halted_at.is_some());
            stats::share(halted.count(), courses.len())
        }
    }
}

/// Beyond doubt, a figure of harm or time is not above its bar; of false halts there is no doubt that they are below.
fn holds(figure: Figure, estimate: Estimate, bar: f64) -> bool {
    match figure {
        Figure::Harmed | Figure::Hours => estimate.low <= bar,
        Figure::FalseHalts => estimate.high <= bar,
    }
}

fn line(scenario: &Scenario, runs: u32, e: Estimate, verdict: Option<bool>) -> String {
    let (times, unit) = match scenario.figure {
        Figure::Harmed => (1.0, "harmed"),
        Figure::Hours => (1.0, "h"),
        Figure::FalseHalts => (100.0, "% halted"),
    };
    let number = |value: f64| format!("{:.2}", value * times);
    let bar = scenario
        .bar
        .map_or_else(String::new, |bar| format!("≤ {}", bar * times));
    let verdict = match verdict {
        None => "",
        Some(true) => "reached",
        Some(false) => "**missed**",
    };
    format!(
        "| {} | {runs} | {} ({} to {}) {unit} | {bar} | {verdict} |",
        scenario.name,
        number(e.value),
        number(e.low),
        number(e.high)
    )
}

/// What rules harm that others use.
fn comparison(runs: u32, seed: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, victims) in [
        ("every device", Victims::All),
        (
            "every device of one model",
            Victims::Cohort(Fleet::FIRST_MODEL),
        ),
    ] {
        let fault = Fault {
            victims,
            share: 1.0,
            symptom: Symptom::Reports,
        };
        for groups in &compare::ALL {
            let name = format!(
                "for comparison: fails on {what}, {}, 50000 devices",
                groups.name
            );
            let harmed: Vec<f64> = (0..runs)
                .map(|run| compare::harmed(groups, 50_000, &fault, &mut dice(seed, &name, run)))
                .collect();
            let e = stats::mean(&harmed);
            lines.push(format!(
                "| {name} | {runs} | {:.0} ({:.0} to {:.0}) harmed | | |",
                e.value, e.low, e.high
            ));
        }
    }
    lines
}
