//! A rollout through four rings, from draft to completed, with as many simulated devices as the machine holds: the agent's
//! own core, real HTTP, several processes, one virtual time. What the fleet is and what befalls it is the demo's main job.

mod fleet;
mod host;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use ed25519_dalek::SigningKey;
use engine::policy::{Percent, Preset, StagePolicy, preset};
use serde_json::{Value, json};
use server::config::Poll;
use server::demo::people::{Someone, text};
use server::demo::{RINGS, STEP, summary};

use crate::postgres::Postgres;
use crate::proc;
use fleet::{Enrolment, Fleet};
use host::Host;

/// What is rolled out: the sequence whose order matters.
const KB: &str = "KB5086672";

/// What a forecast is told of these devices and people: agreed restarts are half an hour to three hours ahead, nothing fails,
/// approvers look every twenty minutes.
const KNOWN: &str = "restart_hours=1.75&install_minutes=45&failure_percent=0&approval_hours=0";

/// Steps between two looks of people at the rollout: twenty minutes.
const LOOK_EVERY: u32 = 5;

/// How long it may take in its own time before it counts as stuck.
const PATIENCE: TimeDelta = TimeDelta::days(30);

/// Shorter moments say nothing about load.
const MOMENT: Duration = Duration::from_secs(1);

/// Memory is looked at no more often: walking the pages of a million devices takes a second.
const MEMORY_EVERY: Duration = Duration::from_secs(15);

/// What is played.
#[derive(Debug, Clone, Copy)]
pub struct Journey {
    /// Devices.
    pub devices: u32,
    /// Processes that simulate them.
    pub processes: u32,
    /// Preset of the rollout.
    pub preset: Preset,
    /// Working hours that each ring soaks for, at most.
    pub soak_hours: u32,
    /// Part of a ring that may start on one day; none: as the preset says.
    pub percent_per_day: Option<f64>,
    /// How often devices poll.
    pub poll: Poll,
}

/// Plays it, and tells what came of it as Markdown.
///
/// # Errors
/// When the rollout does not complete, or a recount differs.
pub async fn run(postgres: &Postgres, journey: Journey) -> anyhow::Result<String> {
    let begin = Utc.with_ymd_and_hms(2026, 3, 30, 7, 0, 0);
    let begin = begin.single().context("a date")?;
    let host = Host::start(postgres, begin, journey.poll).await?;
    let told = Told::play(postgres, &host, journey).await;
    host.stop().await;
    let told = told?;
    let recount = postgres.recount().await?;
    told.markdown(postgres, journey, &recount).await
}

/// What was seen.
struct Told {
    started: Instant,
    enrolled_in: Duration,
    begun: DateTime<Utc>,
    completed: DateTime<Utc>,
    /// When the rollout was submitted and when it was completed, real time.
    rolled_out_in: Duration,
    peak: Peak,
    fleet: Vec<agent::simulate::Summary>,
    rollout: Value,
    /// What the server said of it before it was submitted.
    forecast: Value,
}

/// The most that was asked of the machine.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    requests_a_second: f64,
    server_bytes: u64,
    postgres_bytes: u64,
    fleet_bytes: u64,
}

impl Told {
    async fn play(postgres: &Postgres, host: &Host, journey: Journey) -> anyhow::Result<Self> {
        let started = Instant::now();
        let admin = &host.admin;
        let operator = admin.invite("Kai Fischer", &["operator"]).await?;
        let approvers = [
            admin.invite("Anna Novak", &["approver"]).await?,
            admin.invite("Mary Osei", &["approver"]).await?,
        ];
        let track = admin
            .add_track("Production", "Europe/Berlin", &RINGS)
            .await?;
        let token = json!({ "track": track, "admission": "let_in", "uses": journey.devices, "expires_in_hours": 24 });
        let token = admin.post("/enrolment-tokens", &token).await?;
        let enrolment = Enrolment {
            url: host.url.clone(),
            token: text(&token, "token")?.to_owned(),
        };
        let key = SigningKey::from_bytes(&[7; 32]);
        admin.trust(&key).await?;
        let sequence = operator
            .publish(KB, &host.config.content_dir, &key, 1, host.clock.now())
            .await?;

        let mut stage = Stage {
            host,
            fleet: Fleet::start(&enrolment, journey.devices, journey.processes)?,
            postgres,
            requests: 0,
            looked: Instant::now(),
            weighed: None,
            peak: Peak::default(),
        };
        let requests = stage.fleet.run(host.clock.now()).await?;
        stage.count(requests);
        stage.weigh()?;
        let enrolled_in = started.elapsed();
        stage.say(started, "enrolled");

        let begun = host.clock.now();
        let draft = json!({ "sequence": sequence, "track": track, "preset": journey.preset, "policies": journey.policies() });
        let rollout = operator.post("/rollouts", &draft).await?;
        let rollout = text(&rollout, "id")?.to_owned();
        let forecast = operator
            .get(&format!("/rollouts/{rollout}/forecast?{KNOWN}"))
            .await?;
        let submit = format!("/rollouts/{rollout}/submit");
        operator.post(&submit, &json!({})).await?;
        let submitted = Instant::now();
        let ended = stage
            .follow(started, &rollout, &operator, &approvers)
            .await?;
        Ok(Self {
            started,
            enrolled_in,
            begun,
            completed: host.clock.now(),
            rolled_out_in: submitted.elapsed(),
            peak: stage.peak,
            fleet: stage.fleet.summaries().await?,
            rollout: ended,
            forecast,
        })
    }

    async fn markdown(
        &self,
        postgres: &Postgres,
        journey: Journey,
        recount: &str,
    ) -> anyhow::Result<String> {
        let (events, bytes): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM event), pg_database_size(current_database())",
        )
        .fetch_one(&postgres.pool)
        .await?;
        let mut out = format!(
            "{} simulated devices in {} processes, {KB} {} through four rings: from draft to completed in {:.1} days of virtual \
             time.\n\n| What | |\n|---|---|\n",
            journey.devices,
            journey.processes,
            journey.words(),
            days(self.completed - self.begun),
        );
        let mut line = |what: &str, value: String| {
            let _ = writeln!(out, "| {what} | {value} |");
        };
        let minutes = |time: Duration| format!("{:.1} min", time.as_secs_f64() / 60.0);
        line("forecast of its days", self.forecasted());
        line("enrolment, real time", minutes(self.enrolled_in));
        line("draft to completed, real time", minutes(self.rolled_out_in));
        line("all of it, real time", minutes(self.started.elapsed()));
        line(
            "peak load",
            format!("{:.0} requests/s", self.peak.requests_a_second),
        );
        line("server and conductor, peak", mib(self.peak.server_bytes));
        line("PostgreSQL, peak", mib(self.peak.postgres_bytes));
        line("simulated devices, peak", mib(self.peak.fleet_bytes));
        line("events", events.to_string());
        line("database", mib(bytes.unsigned_abs()));
        line("recount", recount.to_owned());
        for (kind, count) in self.requests() {
            line(&format!("requests: {kind}"), count);
        }
        for stage in self.rollout["stages"].as_array().into_iter().flatten() {
            let name = stage["ring_name"].as_str().unwrap_or("?");
            line(
                &format!("ring {name}: devices"),
                format!("{} of {}", stage["assignments"], stage["population"]),
            );
        }
        Ok(out)
    }

    /// What the forecast said, and how far its median was off.
    fn forecasted(&self) -> String {
        let said = |which| self.forecast["completed"][which].as_f64();
        let (Some(low), Some(median), Some(high)) = (said("low"), said("median"), said("high"))
        else {
            return "that it does not complete by itself".to_owned();
        };
        let off = 100.0 * (median / days(self.completed - self.begun) - 1.0);
        format!("{median:.2} ({low:.2} to {high:.2}), {off:+.1} % of what it took")
    }

    /// Requests by kind, each with its answers.
    fn requests(&self) -> Vec<(String, String)> {
        let mut sums = agent::simulate::Requests::new();
        for summary in &self.fleet {
            for (kind, answers) in &summary.requests {
                let of_kind = sums.entry(kind.clone()).or_default();
                for (status, n) in answers {
                    *of_kind.entry(status.clone()).or_default() += n;
                }
            }
        }
        let told = |answers: BTreeMap<String, u64>| {
            let each = answers.iter().map(|(status, n)| format!("{status}: {n}"));
            each.collect::<Vec<_>>().join(", ")
        };
        sums.into_iter()
            .map(|(kind, answers)| (kind.into_owned(), told(answers)))
            .collect()
    }
}

/// Everybody who takes part, while it plays.
struct Stage<'a> {
    host: &'a Host,
    fleet: Fleet,
    postgres: &'a Postgres,
    requests: u64,
    looked: Instant,
    /// When memory was last looked at.
    weighed: Option<Instant>,
    peak: Peak,
}

impl Stage<'_> {
    /// Lets time pass; people approve what waits for them. The rollout as it is when it is completed.
    async fn follow(
        &mut self,
        started: Instant,
        id: &str,
        operator: &Someone,
        approvers: &[Someone],
    ) -> anyhow::Result<Value> {
        let give_up = self.host.clock.now() + PATIENCE;
        let mut told = String::new();
        loop {
            for _ in 0..LOOK_EVERY {
                let next = self.host.clock.now() + STEP;
                self.host.clock.advance_to(next).await;
                let requests = self.fleet.run(next).await?;
                self.count(requests);
            }
            self.weigh()?;
            let rollout = operator.get(&format!("/rollouts/{id}")).await?;
            let now = summary(&rollout);
            if now != told {
                self.say(started, &now);
                told = now;
            }
            match text(&rollout, "state")? {
                "completed" => return Ok(rollout),
                "active" | "scheduled" => {}
                other => bail!("the rollout is {other}: {}", rollout["reasons"]),
            }
            approve(id, approvers).await?;
            ensure!(
                self.host.clock.now() < give_up,
                "it did not complete: {}",
                rollout["reasons"]
            );
        }
    }

    /// Notes how many requests a second there were since the last note, where that was long enough ago.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn count(&mut self, requests: u64) {
        let took = self.looked.elapsed();
        if took < MOMENT {
            return;
        }
        let a_second = (requests - self.requests) as f64 / took.as_secs_f64();
        self.peak.requests_a_second = self.peak.requests_a_second.max(a_second);
        (self.requests, self.looked) = (requests, Instant::now());
    }

    /// Notes memory, where that was long enough ago.
    fn weigh(&mut self) -> anyhow::Result<()> {
        if self.weighed.is_some_and(|at| at.elapsed() < MEMORY_EVERY) {
            return Ok(());
        }
        self.weighed = Some(Instant::now());
        let peak = &mut self.peak;
        peak.server_bytes = proc::memory(std::process::id())?.peak;
        let postgres = proc::memory_of_family(self.postgres.pid)?;
        peak.postgres_bytes = peak.postgres_bytes.max(postgres);
        let mut fleet = 0;
        for pid in self.fleet.pids() {
            fleet += proc::memory(pid)?.resident;
        }
        peak.fleet_bytes = peak.fleet_bytes.max(fleet);
        Ok(())
    }

    fn say(&self, started: Instant, what: &str) {
        println!(
            "{}  after {:.0} s, {} requests: {what}",
            self.host.clock.now().format("%a %e %b %H:%M"),
            started.elapsed().as_secs_f64(),
            self.requests
        );
    }
}

impl Journey {
    /// The preset's policies with what is played otherwise.
    fn policies(&self) -> BTreeMap<&'static str, StagePolicy> {
        let policy = |(position, (name, _)): (usize, (&'static str, Option<&str>))| {
            let mut policy = preset(self.preset, position, RINGS.len(), Tz::Europe__Berlin);
            policy.soak_hours = policy.soak_hours.min(self.soak_hours);
            if let Some(percent) = self.percent_per_day {
                policy.limits.percent_per_day = Some(Percent(percent));
            }
            (name, policy)
        };
        RINGS.into_iter().enumerate().map(policy).collect()
    }

    fn words(&self) -> String {
        let preset = format!("{:?}", self.preset).to_lowercase();
        let mut words = format!(
            "by the preset {preset}, soaks of at most {} hours",
            self.soak_hours
        );
        if let Some(percent) = self.percent_per_day {
            let _ = write!(words, ", {percent} % of a ring a day");
        }
        let _ = write!(
            words,
            ", polled every {} min at rest",
            self.poll.idle_s / 60
        );
        words
    }
}

/// Everybody says yes to what waits for them, with the hash of the evidence that was shown.
async fn approve(rollout: &str, approvers: &[Someone]) -> anyhow::Result<()> {
    for someone in approvers {
        let open = someone.get("/approvals?open=true").await?;
        let requests = open["items"].as_array().into_iter().flatten();
        for request in requests.filter(|r| r["rollout"].as_str() == Some(rollout)) {
            let id = text(request, "id")?;
            let hash = json!({ "hash": request["hash"] });
            someone
                .post(&format!("/approvals/{id}/approve"), &hash)
                .await?;
        }
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

#[allow(clippy::cast_precision_loss, reason = "some weeks")]
fn days(time: TimeDelta) -> f64 {
    time.num_minutes() as f64 / (24.0 * 60.0)
}
