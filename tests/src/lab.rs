//! A database, servers on it, a track, its people, its devices.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chrono::TimeDelta;
use server::clock::{SharedClock, SystemClock};
use server::control::{Control, IngestHealth};
use server::fleet::{Catalogue, Picture};
use server::store::enrolment::{self, Token};
use server::store::tracks::{self, Track};
use server::store::{events, sequences};
use servicing::{Sha256, key_id};
use tempfile::TempDir;
use uuid::Uuid;

use crate::clock::ManualClock;
use crate::cluster::Database;
use crate::content::publisher;
use crate::fleet::TOKEN;
use crate::node::Node;
use crate::people::People;
use crate::wire::Wire;

/// How a lab is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Servers in this process.
    pub servers: u16,
    /// Whether they wake each other.
    pub notify: bool,
    /// How far the service clock follows the manual one at once.
    pub largest_tick: Duration,
    /// The machine's clock instead of the manual one: for servers in processes of their own.
    pub real_time: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            servers: 1,
            notify: true,
            largest_tick: Duration::from_secs(100 * 24 * 3600),
            real_time: false,
        }
    }
}

/// A world of its own.
pub struct Lab {
    /// Servers in this process. Before the database, so that they go first.
    pub nodes: Vec<Node>,
    /// Its database.
    pub database: Database,
    /// The injected clock.
    pub clock: SharedClock,
    /// The write path of a replica that serves nobody: set-up comes through it.
    pub control: Control,
    /// Track "Production".
    pub track: Uuid,
    /// Who decides.
    pub people: People,
    pub(crate) catalogue: Catalogue,
    pub(crate) picture: Arc<Picture>,
    pub(crate) counter: AtomicU64,
    pub(crate) serial: AtomicU64,
    manual: Option<Arc<ManualClock>>,
    setup: Setup,
    directory: TempDir,
}

impl Lab {
    /// One server, a track with one ring ("broad", which takes every device), nothing rolled out.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// The same, set up otherwise.
    pub async fn with(setup: Setup) -> Self {
        let mut lab = Self::bare(setup).await;
        lab.people = People::add(&lab.database.pool, lab.clock.now()).await;
        lab.furnish().await;
        for _ in 0..setup.servers {
            lab.add_node().await;
        }
        lab
    }

    /// An installation as it is after the first start: one server, nobody and nothing.
    pub async fn empty() -> Self {
        let mut lab = Self::bare(Setup::default()).await;
        lab.add_node().await;
        lab
    }

    async fn bare(setup: Setup) -> Self {
        let database = Database::create().await;
        let directory = tempfile::Builder::new()
            .prefix("ringfence-lab-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(directory.path().join("content")).unwrap();
        let manual = (!setup.real_time).then(|| Arc::new(ManualClock::new(setup.largest_tick)));
        let clock: SharedClock = match &manual {
            Some(manual) => Arc::clone(manual) as SharedClock,
            None => Arc::new(SystemClock),
        };
        let pool = &database.pool;
        let picture = Arc::new(Picture::default());
        let control = Control::new(
            pool.clone(),
            clock.clone(),
            Arc::clone(&picture),
            Arc::default(),
            Arc::new(IngestHealth::default()),
            setup.notify,
        );
        Self {
            nodes: Vec::new(),
            track: Uuid::now_v7(),
            catalogue: Catalogue::default(),
            counter: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            database,
            clock,
            control,
            people: People::default(),
            picture,
            manual,
            setup,
            directory,
        }
    }

    /// Track, ring, publisher's key and enrolment token.
    async fn furnish(&self) {
        let mut conn = self.database.pool.acquire().await.unwrap();
        let now = self.clock.now();
        let track = Track {
            id: self.track,
            name: "Production".into(),
            time_zone: "UTC".parse().unwrap(),
        };
        tracks::add(&mut conn, &track, now).await.unwrap();
        let key = publisher().verifying_key();
        let by = self.people.admin.0;
        sequences::add_key(&mut conn, &key_id(&key), key.as_bytes(), by, now)
            .await
            .unwrap();
        events::make_partitions(&mut conn, now.date_naive(), 3)
            .await
            .unwrap();
        drop(conn);
        self.define_rings(&[]).await;
        self.enrolment_token(TOKEN, "let_in", 1_000_000).await;
    }

    /// Adds an enrolment token that ends in a month; returns its id.
    pub async fn enrolment_token(&self, secret: &str, admission: &str, uses: i32) -> Uuid {
        let token = Token {
            id: Uuid::now_v7(),
            track_id: self.track,
            admission: admission.to_owned(),
            uses_left: uses,
            expires_at: self.clock.now() + TimeDelta::days(30),
        };
        let hash = Sha256::of(secret.as_bytes());
        let mut conn = self.database.pool.acquire().await.unwrap();
        let (by, now) = (self.people.admin.0, self.clock.now());
        enrolment::add_token(&mut conn, &token, hash.as_bytes(), by, now)
            .await
            .unwrap();
        token.id
    }

    /// Starts another server on the same database.
    pub async fn add_node(&mut self) -> &Node {
        let node = Node::start(
            &self.database,
            &self.clock,
            self.directory.path(),
            self.setup.notify,
        )
        .await;
        self.nodes.push(node);
        self.nodes.last().unwrap()
    }

    /// Where secret, content and everything else lies that is not in the database.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The first server.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.nodes[0].wire
    }

    /// Waits until every server has read what was committed so far.
    pub async fn settle(&self) {
        for node in &self.nodes {
            node.catch_up().await;
        }
    }

    /// Moves the injected clock, forward or back, and waits for nothing.
    pub fn jump(&self, by: TimeDelta) {
        self.manual.as_ref().expect("a manual clock").advance(by);
    }

    /// Lets time pass and waits until the service clock has followed it.
    pub async fn pass(&self, by: TimeDelta) {
        self.jump(by);
        self.clock_followed().await;
    }

    /// Waits until the service clock has read the injected one as it is now.
    pub async fn clock_followed(&self) {
        let now = self.clock.now();
        crate::eventually("the service clock ticks", async || {
            let source = sqlx::query_scalar("SELECT source_at FROM service_clock");
            let source: Option<chrono::DateTime<chrono::Utc>> =
                source.fetch_optional(&self.database.pool).await.unwrap();
            source == Some(now)
        })
        .await;
    }
}
