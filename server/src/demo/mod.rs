//! `ringfence demo`: the real server, the real agents' core over real HTTPS, and virtual time.
//!
//! Nothing in engine, control or ingest knows that this is a demo. What differs from production is handed in: a
//! clock that is moved instead of running, a database that is thrown away, and devices that are simulated.

mod check;
mod clock;
pub mod people;
mod plant;
mod story;
mod visit;
mod world;

use std::process::ExitCode;

use clap::Parser;

use world::World;

pub use clock::{DemoClock, STEP};
pub use plant::Plant;
pub use story::summary;
pub use world::RINGS;

/// Flags of `ringfence demo`.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Let the story's own people decide over the API, as fast as the machine can, instead of a visitor with a browser
    #[arg(long)]
    pub headless: bool,
    /// Real seconds for a day of the story while nobody is asked; for visitors
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub day_takes: u32,
    /// End when the story is over and checked; without it the server stays up until Ctrl-C
    #[arg(long)]
    pub until_done: bool,
    /// The same seed gives the same devices and the same fate
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Simulated devices; with fewer than 500 a ring of 15 % is too small to show what its gate asks for
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(500..=100_000))]
    pub devices: u32,
    /// Break one promise on purpose, to show that the check finds it
    #[arg(long, value_enum)]
    pub plant: Option<Plant>,
    /// What is logged, such as `warn` or `info`
    #[arg(long, default_value = "warn")]
    pub log_filter: String,
}

/// Plays the story, checks it, and says what came of it.
///
/// # Errors
/// When the story's world could not be built at all.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut world = World::build(&options).await?;
    let played = tokio::select! {
        played = play(&mut world, &options) => played,
        stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into).map(|()| {
            println!("Stopped.");
            ExitCode::FAILURE
        }),
    };
    world.end().await;
    played
}

/// Plays it; afterwards the world goes on until somebody stops it, unless it is to end.
async fn play(world: &mut World, options: &Options) -> anyhow::Result<ExitCode> {
    let findings = tell(world, options.plant).await?;
    println!();
    for finding in &findings {
        println!("FAILED  {finding}");
    }
    let verdict = if findings.is_empty() {
        "Every check holds."
    } else {
        "The checks above failed."
    };
    println!(
        "{verdict} {:.0} s of real time.",
        world.started.elapsed().as_secs_f64()
    );
    if !options.until_done {
        println!("The server stays up at {} until Ctrl-C.", world.address());
        world.asked = false;
        while world.has_visitor() {
            world.step().await?;
        }
        std::future::pending::<()>().await;
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays the story and returns a sentence for each promise that did not hold.
async fn tell(world: &mut World, plant: Option<Plant>) -> anyhow::Result<Vec<String>> {
    match story::play(world).await {
        Ok(told) => {
            if let Some(plant) = plant {
                plant.after(world, &told).await?;
            }
            check::run(world, &told).await
        }
        Err(error) => Ok(vec![format!(
            "the story did not come to its end: {error:#}"
        )]),
    }
}

/// Plays the story once, checks it, then breaks one promise after the other and checks again. Returns what each check
/// found, the unbroken one first. For tests: one story instead of one for each plant.
///
/// # Errors
/// When the story could not be played.
pub async fn rehearse(options: &Options, plants: &[Plant]) -> anyhow::Result<Vec<Vec<String>>> {
    let mut world = World::build(options).await?;
    let told = story::play(&mut world).await?;
    let mut found = vec![check::run(&world, &told).await?];
    for plant in plants {
        plant.after(&world, &told).await?;
        found.push(check::run(&world, &told).await?);
    }
    world.end().await;
    Ok(found)
}
