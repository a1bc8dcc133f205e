//! Everything the story needs: a server, its people, a track with rings, and a fleet.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use agent::simulate::{Fleet, FleetOptions, VirtualClock};
use agent::simulated::Scenario;
use anyhow::Context;
use axum_server::Handle;
use chrono::{DateTime, TimeZone, Utc};
use ed25519_dalek::SigningKey;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::clock::{DemoClock, Pace, STEP};
use super::people::Someone;
use super::visit::Door;
use super::{Options, Plant};
use crate::app::{Parts, Running};
use crate::config::{Config, Flags, Log, Poll, Tls};
use crate::database::Database;
use crate::embedded_pg::Durability;
use crate::secret::ServerSecret;
use crate::tls::{LocalAuthority, server_config};
use crate::{auth, serve, store, telemetry};

/// Poll intervals in the story: an hour, and twenty minutes while a rollout is active for a device.
const POLL: Poll = Poll {
    idle_s: 3600,
    active_s: 1200,
};

/// Rings of the story, each with the query of its devices. Tags are those of the scenario.
pub const RINGS: [(&str, Option<&str>); 4] = [
    ("Test", Some("tag:test")),
    ("Pilot", Some("tag:pilot")),
    ("Limited", Some("tag:limited")),
    ("Broad", None),
];

/// The story's world.
pub struct World {
    /// When it began, real time.
    pub started: Instant,
    /// Where the server listens.
    pub url: String,
    /// The injected clock.
    pub clock: Arc<VirtualClock>,
    /// Its database, for the check.
    pub database: Database,
    /// Writes rollouts.
    pub operator: Someone,
    /// May clear halts and withdraw.
    pub admin: Someone,
    /// Approve.
    pub approvers: Vec<Someone>,
    /// Track.
    pub track: String,
    /// Devices.
    pub fleet: Fleet,
    /// How fast it goes while nobody is asked.
    pace: Pace,
    /// People are asked, and a visitor answers.
    pub asked: bool,
    door: Option<Door>,
    key: SigningKey,
    counter: u64,
    config: Arc<Config>,
    handle: Handle<std::net::SocketAddr>,
    server: JoinHandle<std::io::Result<()>>,
    running: Running,
    directory: TempDir,
}

/// The day on which KB5079391 was released.
fn begin() -> anyhow::Result<DateTime<Utc>> {
    Utc.with_ymd_and_hms(2026, 3, 26, 7, 0, 0)
        .single()
        .context("a date")
}

fn configuration(options: &Options, directory: &TempDir) -> anyhow::Result<Config> {
    let flags = Flags {
        data_dir: Some(directory.path().to_owned()),
        ..Flags::default()
    };
    let mut config = Config::load(&flags)?;
    config.poll = POLL;
    config.log = Log {
        filter: options.log_filter.clone(),
        ..config.log
    };
    // The story's own database and certificates, whatever the environment says.
    config.database_url = None;
    config.content_dir = directory.path().join("content");
    config.secret_file = directory.path().join("secret");
    std::fs::create_dir_all(&config.content_dir)?;
    let files = LocalAuthority::create(&["localhost", "127.0.0.1"])?.write_to(directory.path())?;
    config.tls = Some(Tls {
        certificate: files.certificate,
        key: files.key,
    });
    Ok(config)
}

impl World {
    /// Builds it: two thousand devices enrol over HTTPS.
    pub async fn build(options: &Options) -> anyhow::Result<Self> {
        let started = Instant::now();
        let directory = tempfile::Builder::new()
            .prefix("ringfence-demo-")
            .tempdir()?;
        let config = Arc::new(configuration(options, &directory)?);
        telemetry::init(&config.log)?;
        let clock = VirtualClock::new(begin()?);
        let shared: crate::clock::SharedClock = Arc::new(DemoClock(Arc::clone(&clock)));

        let database = Database::embedded(&config, Durability::Throwaway).await?;
        store::migrate(&database.pool).await?;
        let secret = ServerSecret::load_or_create(&config.secret_file)?;
        let (_, token) = auth::create_admin(&database.pool, shared.as_ref(), "Ada Admin").await?;
        let running = Running::start(
            &config,
            Parts {
                pool: database.pool.clone(),
                clock: shared,
                secret,
            },
        )
        .await?;
        let files = config.tls.clone().context("the demo has certificates")?;
        let tls = server_config(&files.certificate, &files.key).await?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("https://127.0.0.1:{}", listener.local_addr()?.port());
        let handle = Handle::new();
        let server = tokio::spawn(serve::serve(
            listener,
            serve::Front::new(running.app.clone(), Arc::clone(&config)),
            Some(tls),
            handle.clone(),
        ));

        let ca = std::fs::read_to_string(directory.path().join("ca.pem"))?;
        let client = reqwest::Client::builder()
            .add_root_certificate(reqwest::Certificate::from_pem(ca.as_bytes())?)
            .build()?;
        let admin = Someone::new("Ada Admin", client, &url, token);
        let operator = admin.invite("Kai Fischer", &["operator"]).await?;
        let approvers = vec![
            admin.invite("Anna Novak", &["approver"]).await?,
            admin.invite("Mary Osei", &["approver"]).await?,
        ];
        println!(
            "Ringfence demo, seed {}, {} devices, {url}",
            options.seed, options.devices
        );

        let track = admin
            .add_track("Production", "Europe/Berlin", &RINGS)
            .await?;
        let key = SigningKey::from_bytes(store_key(options.seed).as_bytes());
        admin.trust(&key).await?;
        let token = admin
            .post("/enrolment-tokens", &json!({ "track": track, "admission": "let_in", "uses": options.devices * 2, "expires_in_hours": 2400 }))
            .await?;
        let scenario = scenario(options)?;
        let fleet = FleetOptions {
            server_url: url.clone(),
            ca_pem: Some(ca),
            enrolment_token: token["token"]
                .as_str()
                .context("a token that is not shown")?
                .to_owned(),
            devices: options.devices,
            seed: options.seed,
            scenario,
        };
        let mut fleet = Fleet::new(fleet, Arc::clone(&clock))?;
        let mut door = None;
        let mut pace = Pace::Headlong;
        if !options.headless {
            pace = Pace::day_takes(options.day_takes);
            let opened = Door::open(&running.app, &config)?;
            opened.invite(&running.app).await?;
            opened.show();
            door = Some(opened);
        }
        fleet.enrol_all().await?;
        println!(
            "{}  {} devices enrolled over HTTPS",
            clock.now().format("%a %e %b %H:%M"),
            options.devices
        );
        Ok(Self {
            started,
            url,
            clock,
            database,
            operator,
            admin,
            approvers,
            track,
            fleet,
            pace,
            asked: false,
            door,
            key,
            counter: 0,
            config,
            handle,
            server,
            running,
            directory,
        })
    }

    /// Moves time on by one step: drivers tick, devices do what is due.
    pub async fn step(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let next = self.clock.now() + STEP;
        self.clock.advance_to(next).await;
        self.fleet.run_due(next).await?;
        let pace = if self.asked { Pace::Asked } else { self.pace };
        tokio::time::sleep(pace.step().saturating_sub(began.elapsed())).await;
        Ok(())
    }

    /// Where people find it.
    pub fn address(&self) -> &str {
        self.door.as_ref().map_or(&self.url, |door| &door.url)
    }

    /// Somebody decides in a browser.
    pub fn has_visitor(&self) -> bool {
        self.door.is_some()
    }

    /// Adds, signs and publishes a known sequence with synthetic files; returns its id.
    pub async fn publish(&mut self, kb: &str) -> anyhow::Result<String> {
        self.counter += 1;
        let now = self.clock.now();
        self.operator
            .publish(kb, &self.config.content_dir, &self.key, self.counter, now)
            .await
    }

    /// Says what happens, with the story's time.
    pub fn say(&self, text: &str) {
        println!("{}  {text}", self.clock.now().format("%a %e %b %H:%M"));
    }

    /// Stops everything. Nothing is left running, and the files are gone.
    pub async fn end(self) {
        if let Some(door) = self.door {
            door.close(&self.running.app).await;
        }
        serve::stop(&self.handle, &self.running.app);
        let _served = self.server.await;
        // Drivers sleep on the virtual clock; they end when they are told to.
        self.running.stop().await;
        self.database.close().await;
        drop(self.directory);
    }
}

fn store_key(seed: u64) -> servicing::Sha256 {
    servicing::Sha256::of(format!("publisher of demo {seed}").as_bytes())
}

fn scenario(options: &Options) -> anyhow::Result<Scenario> {
    let scenario = Scenario::main_job();
    match options.plant {
        Some(Plant::GoodUpdateHalted) => Plant::spoil(scenario),
        _ => Ok(scenario),
    }
}
