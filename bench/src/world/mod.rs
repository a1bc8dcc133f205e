//! What is measured on: people, two tracks, a published sequence, and as many devices as are asked for.
//!
//! Everything but the devices comes through the API. Devices are written by SQL, because a million enrolments are not what
//! is measured; their facts and ledgers are made by the product's own types, and everything they do afterwards comes over HTTP.

mod devices;
mod rollouts;

use std::path::{Path, PathBuf};

use anyhow::Context;
use ed25519_dalek::SigningKey;
use server::auth;
use server::clock::{Clock, SystemClock};
use server::demo::people::Someone;
use uuid::Uuid;

use crate::load::tokens::Tokens;
use crate::postgres::Postgres;
use crate::proc::Memory;
use crate::replica::Replica;

pub use rollouts::Rollout;

/// The sequence that is rolled out.
const KB: &str = "KB5086672";

/// The build on which a good installation of it ends.
pub const BUILD: &str = "26100.8117";

/// Who set it up.
pub const ADA: &str = "Ada Admin";

/// Devices of the second track, which compete for a few places.
pub const CONTESTANTS: i32 = 20_000;

/// The world.
pub struct World {
    /// Its database.
    pub postgres: Postgres,
    /// May do everything.
    pub admin: Someone,
    /// Her id.
    pub ada: Uuid,
    /// The track of the fleet.
    pub fleet: Uuid,
    /// The track of the contestants.
    pub contest: Uuid,
    /// The published sequence.
    pub sequence: Uuid,
    /// Devices of the fleet: numbers 1 to this one. Those of the contestants follow.
    pub devices: i32,
    /// A server without a device, just started.
    pub empty: Memory,
    /// How long an empty server takes to start.
    pub empty_start: std::time::Duration,
}

impl World {
    /// Builds it.
    ///
    /// # Errors
    /// When anything fails.
    pub async fn build(postgres: Postgres, devices: i32) -> anyhow::Result<Self> {
        std::fs::create_dir(postgres.home())?;
        std::fs::create_dir(content(&postgres))?;
        let (ada, token) = auth::create_admin(&postgres.pool, &SystemClock, ADA).await?;
        let server = Replica::start(&postgres.url, &postgres.home())?;
        let (empty, empty_start) = (server.memory()?, server.started_in);
        let url = format!("http://{}", server.address);
        let admin = Someone::new(ADA, reqwest::Client::new(), &url, token);
        // One ring takes every device.
        let rings = [("Broad", None)];
        let fleet = admin.add_track("Fleet", "UTC", &rings).await?.parse()?;
        let contest = admin.add_track("Contest", "UTC", &rings).await?.parse()?;
        let sequence = publish(&admin, &content(&postgres)).await?;
        server.stop()?;
        let world = Self {
            postgres,
            admin,
            ada,
            fleet,
            contest,
            sequence,
            devices,
            empty,
            empty_start,
        };
        world.load_devices().await?;
        Ok(world)
    }

    /// Starts a server on it, and speaks to that one from now on.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn serve(&mut self) -> anyhow::Result<Replica> {
        let server = Replica::start(&self.postgres.url, &self.postgres.home())?;
        self.admin = self.admin.at(format!("http://{}", server.address));
        Ok(server)
    }

    /// Tokens of all devices, the contestants included.
    ///
    /// # Errors
    /// When the servers' secret can not be read.
    pub fn tokens(&self) -> anyhow::Result<Tokens> {
        let secret =
            server::secret::ServerSecret::load_or_create(&self.postgres.home().join("secret"))?;
        Tokens::make(&secret, self.devices + CONTESTANTS, SystemClock.now())
    }
}

fn content(postgres: &Postgres) -> PathBuf {
    postgres.home().join("content")
}

async fn publish(admin: &Someone, content: &Path) -> anyhow::Result<Uuid> {
    let key = SigningKey::from_bytes(&[7; 32]);
    admin.trust(&key).await?;
    let id = admin
        .publish(KB, content, &key, 1, SystemClock.now())
        .await?;
    id.parse().context("a sequence whose id is none")
}
