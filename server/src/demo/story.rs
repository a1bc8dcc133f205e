//! The story: a bad update goes to Test and Pilot and is stopped; the one that mends it goes to everyone.

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use engine::policy::{Preset, StagePolicy, preset};
use engine::words;
use serde_json::{Value, json};

use super::people::Someone;
use super::world::World;

/// The bad update, and the one that replaces it.
pub const BAD: &str = "KB5079391";
/// See [`BAD`].
pub const GOOD: &str = "KB5086672";

/// How long the story may take in its own time before it counts as stuck.
const PATIENCE: TimeDelta = TimeDelta::days(25);

/// Steps between two looks of people at a rollout: twenty minutes.
const LOOK_EVERY: u32 = 5;

/// Ids of what happened, for the check.
pub struct Told {
    /// The rollout that had to be halted.
    pub bad: String,
    /// The expedited one for those it concerned.
    pub expedited: String,
    /// The one that goes through all rings.
    pub good: String,
}

/// How a rollout came to rest.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Completed,
    Halted,
}

/// Plays the story to its end.
pub async fn play(world: &mut World) -> anyhow::Result<Told> {
    let bad_sequence = world.publish(BAD).await?;
    world.say(&format!(
        "{BAD} is published; Kai Fischer submits it to Production, preset standard"
    ));
    let bad = submit(world, &bad_sequence, "standard", None).await?;
    let end = follow(world, &bad).await?;
    anyhow::ensure!(
        end == End::Halted,
        "{BAD} was to be halted and came through"
    );

    // What was in flight ends; the vendor pulls the update.
    wait_until(
        world,
        Utc.with_ymd_and_hms(2026, 3, 31, 9, 0, 0)
            .single()
            .context("a date")?,
    )
    .await?;
    let reason = "Pulled by the vendor: install error 0x80073712 on several models";
    world
        .admin
        .post(
            &format!("/sequences/{bad_sequence}/withdraw"),
            &json!({ "reason": reason, "replaced_by": GOOD }),
        )
        .await?;
    world.say(&format!(
        "Ada Admin withdraws {BAD}: no track grants another permit for it"
    ));

    let good_sequence = world.publish(GOOD).await?;
    world.say(&format!("{GOOD} is published; it is expedited to those that have {BAD}, failed on it or have it pending"));
    let expedited = submit(world, &good_sequence, "expedited", Some(&bad_sequence)).await?;
    anyhow::ensure!(
        follow(world, &expedited).await? == End::Completed,
        "the expedited rollout of {GOOD} was halted"
    );

    world.say(&format!("Kai Fischer submits {GOOD} to the whole track"));
    let good = submit(world, &good_sequence, "standard", None).await?;
    anyhow::ensure!(
        follow(world, &good).await? == End::Completed,
        "{GOOD} was halted"
    );
    // Machines that were switched off at the end get it too.
    let until = world.clock.now() + TimeDelta::days(2);
    wait_until(world, until).await?;
    report(world, &good).await?;
    Ok(Told {
        bad,
        expedited,
        good,
    })
}

/// Pilot is where models meet an update for the first time: few at once, beside the generations of admission.
const PILOT_AT_ONCE: u64 = 4;

/// The preset's policy for Pilot, with a limit of this track.
fn pilot() -> StagePolicy {
    let mut policy = preset(Preset::Standard, 1, 4, Tz::Europe__Berlin);
    policy.limits.devices_at_once = Some(PILOT_AT_ONCE);
    policy
}

async fn submit(
    world: &mut World,
    sequence: &str,
    preset_name: &str,
    affected_by: Option<&str>,
) -> anyhow::Result<String> {
    let scope = affected_by.map_or(json!("track"), |id| json!({ "affected_by": id }));
    let new = json!({
        "sequence": sequence, "track": world.track, "preset": preset_name, "scope": scope, "ticket": "CHG-2026-0331",
        "policies": if preset_name == "standard" { json!({ "Pilot": pilot() }) } else { json!({}) },
    });
    let rollout = world.operator.post("/rollouts", &new).await?;
    let id = rollout["id"]
        .as_str()
        .context("a rollout without an id")?
        .to_owned();
    world
        .operator
        .post(&format!("/rollouts/{id}/submit"), &json!({}))
        .await?;
    Ok(id)
}

async fn wait_until(world: &mut World, until: DateTime<Utc>) -> anyhow::Result<()> {
    while world.clock.now() < until {
        world.step().await?;
    }
    Ok(())
}

/// Lets time pass; people approve what waits for them. Ends when the rollout completes or is halted.
async fn follow(world: &mut World, id: &str) -> anyhow::Result<End> {
    let give_up = world.clock.now() + PATIENCE;
    let mut told = String::new();
    let mut steps = 0_u32;
    loop {
        world.step().await?;
        steps += 1;
        if !world.asked && !steps.is_multiple_of(LOOK_EVERY) {
            continue;
        }
        let rollout = world.operator.get(&format!("/rollouts/{id}")).await?;
        let now = summary(&rollout);
        if now != told {
            world.say(&now);
            told = now;
        }
        match rollout["state"].as_str() {
            Some("completed") => return Ok(End::Completed),
            Some("halted") => {
                for reason in rollout["reasons"].as_array().into_iter().flatten() {
                    world.say(&format!(
                        "  {}",
                        reason["sentence"].as_str().unwrap_or_default()
                    ));
                }
                return Ok(End::Halted);
            }
            Some("active" | "scheduled") => {}
            // A visitor may stop it, and go on later.
            Some("paused") if world.has_visitor() => {}
            other => bail!("the rollout is {other:?}"),
        }
        if world.has_visitor() {
            ask(world, &rollout);
        } else {
            approve(world, id).await?;
        }
        if world.clock.now() > give_up {
            let why = rollout["reasons"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|r| r["sentence"].as_str())
                .collect::<Vec<_>>()
                .join(" ");
            bail!("nothing moved for {} days: {why}", PATIENCE.num_days());
        }
    }
}

/// A visitor decides: says once that someone is asked, and slows down until they have answered.
fn ask(world: &mut World, rollout: &Value) {
    let mut requests = rollout["requests"].as_array().into_iter().flatten();
    let open = requests.find(|r| r["state"].as_str() == Some("open"));
    if let (Some(request), false) = (open, world.asked) {
        world.say(&format!(
            "  {} waits for {}. Yours: {}/approvals/{}",
            request["ring_name"].as_str().unwrap_or("A ring"),
            words::count(request["needed"].as_u64().unwrap_or(1), "approval"),
            world.address(),
            request["id"].as_str().unwrap_or_default(),
        ));
    }
    world.asked = open.is_some();
}

/// One line: where a rollout stands, as the API tells it.
#[must_use]
pub fn summary(rollout: &Value) -> String {
    let stages: Vec<String> = rollout["stages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| {
            format!(
                "{} {}",
                s["ring_name"].as_str().unwrap_or("?"),
                s["state"].as_str().unwrap_or("?").replace('_', " ")
            )
        })
        .collect();
    format!(
        "{}: {}",
        rollout["state"].as_str().unwrap_or("?"),
        stages.join(", ")
    )
}

/// Approvers read what is asked and say yes, each with the hash of the evidence that was shown. First the author
/// tries, and must be turned away.
async fn approve(world: &World, rollout: &str) -> anyhow::Result<()> {
    let open = world.approvers[0].get("/approvals?open=true").await?;
    for request in open["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|r| r["rollout"].as_str() == Some(rollout))
    {
        let id = request["id"].as_str().context("a request without an id")?;
        let needed = usize::try_from(request["needed"].as_u64().unwrap_or(1))?;
        let given: Vec<&str> = request["approvals"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|a| a["by"].as_str())
            .collect();
        let body = json!({ "hash": request["hash"] });
        let path = format!("/approvals/{id}/approve");
        anyhow::ensure!(
            world.operator.post(&path, &body).await.is_err(),
            "the author could approve his own rollout"
        );
        for someone in world
            .approvers
            .iter()
            .skip(given.len())
            .take(needed.saturating_sub(given.len()))
        {
            yes(world, someone, &path, &body).await?;
        }
    }
    Ok(())
}

async fn yes(world: &World, someone: &Someone, path: &str, body: &Value) -> anyhow::Result<()> {
    someone.post(path, body).await?;
    world.say(&format!("{} approves", someone.name));
    Ok(())
}

/// What became of the devices, by ring.
async fn report(world: &World, id: &str) -> anyhow::Result<()> {
    let rollout = world.operator.get(&format!("/rollouts/{id}")).await?;
    for stage in rollout["stages"].as_array().into_iter().flatten() {
        world.say(&format!(
            "  {:<8} population {}  devices {}",
            stage["ring_name"].as_str().unwrap_or("?"),
            stage["population"],
            stage["assignments"]
        ));
    }
    for code in rollout["codes"].as_array().into_iter().flatten() {
        world.say(&format!(
            "  {} devices failed with {}: {}",
            code["devices"],
            code["code"].as_str().unwrap_or("?"),
            code["meaning"].as_str().unwrap_or("not a documented code")
        ));
    }
    Ok(())
}
