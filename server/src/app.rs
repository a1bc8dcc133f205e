//! Wires everything: what handlers share, and the tasks that run beside them.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::ids::{HoldId, RolloutId};
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::agent_api::asking::Answering;
use crate::agent_api::enrolling::Enrolling;
use crate::agent_api::inventory::Storing;
use crate::agent_api::keys::AgentKeys;
use crate::agent_api::nonces::Spending;
use crate::auth::Passwords;
use crate::batcher::Batcher;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::control::{Control, IngestHealth};
use crate::drivers::Drivers;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture, Reader};
use crate::forecasts::Forecasts;
use crate::ingest::Ingest;
use crate::permits::Permits;
use crate::registry::{self, Holder, NewExclusion, NewHold, NewRings, RingInput};
use crate::room::Bounds;
use crate::secret::ServerSecret;
use crate::store::holds::Stored as Held;
use crate::store::tracks::Ring;

/// Two: each holds one of few connections to the database, and people who click come first.
const REFRESHES: usize = 2;

/// How polls are paced.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds between polls while nothing is going on.
    pub idle_s: u32,
    /// Seconds between polls while a rollout is active for the device.
    pub active_s: u32,
}

/// What handlers share. Cloned per request.
#[derive(Clone)]
pub struct App(Arc<Handles>);

impl Deref for App {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

/// What is in an [`App`].
pub struct Handles {
    /// Database.
    pub pool: PgPool,
    /// Where time comes from.
    pub clock: SharedClock,
    /// The machine's clock, for people at browsers: a session is as long as their day, whatever runs faster.
    pub wall_clock: SharedClock,
    /// Passwords of people.
    pub passwords: Arc<Passwords>,
    /// How many pages may refresh themselves at once.
    pub refreshes: Semaphore,
    /// Cancelled when the server begins to stop: streams that have no end of their own end.
    pub closing: CancellationToken,
    /// The write path of rollouts.
    pub control: Control,
    /// Where telemetry goes.
    pub ingest: Ingest,
    /// Where permits come from.
    pub permits: Permits,
    /// Where polls ask that memory can not answer.
    pub asking: Batcher<Answering>,
    /// Where devices enrol.
    pub enrolling: Batcher<Enrolling>,
    /// Where inventories are stored.
    pub storing: Batcher<Storing>,
    /// Where nonces of token requests are spent.
    pub spending: Batcher<Spending>,
    /// What polls read.
    pub picture: Arc<Picture>,
    /// Sequences by digest.
    pub catalogue: Arc<Catalogue>,
    /// Keys of agents' tokens and nonces.
    pub keys: AgentKeys,
    /// How much may be under way at once.
    pub bounds: Bounds,
    /// Forecasts of rollouts that have not begun.
    pub forecasts: Forecasts,
    /// Pace of polls.
    pub pace: Pace,
    /// Package files by SHA-256.
    pub content_dir: PathBuf,
}

impl App {
    /// Adds a known issue, to the end also when whoever asked for it does not wait so long: of a large track many devices are
    /// counted.
    ///
    /// # Errors
    /// As [`Holder::add`].
    pub async fn hold_devices(&self, track: Uuid, new: NewHold, by: Uuid) -> Result<Held, OpError> {
        let app = self.clone();
        to_its_end(async move { app.holder().add(track, new, by, app.clock.now()).await }).await
    }

    /// Lets a rollout go on without devices, in the same way.
    ///
    /// # Errors
    /// As [`Holder::exclude`].
    pub async fn exclude_devices(
        &self,
        rollout: RolloutId,
        new: NewExclusion,
        by: Uuid,
    ) -> Result<Held, OpError> {
        let app = self.clone();
        to_its_end(async move {
            app.holder()
                .exclude(rollout, new, by, app.clock.now())
                .await
        })
        .await
    }

    /// Ends a known issue or an exclusion, in the same way.
    ///
    /// # Errors
    /// As [`Holder::end`].
    pub async fn end_hold(&self, track: Uuid, id: HoldId, by: Uuid) -> Result<Held, OpError> {
        let app = self.clone();
        to_its_end(async move { app.holder().end(track, id, Some(by), app.clock.now()).await })
            .await
    }

    /// Adds and ends known issues and exclusions.
    fn holder(&self) -> Holder<'_> {
        Holder {
            pool: &self.pool,
            catalogue: &self.catalogue,
            picture: &self.picture,
        }
    }

    /// Defines rings to the end, also when whoever asked for it does not wait so long: on a large track it may take
    /// longer than a request.
    ///
    /// # Errors
    /// As [`registry::define`].
    pub async fn define_rings(
        &self,
        track: Uuid,
        rings: Vec<RingInput>,
        instead_of: Option<Vec<Ring>>,
        by: Uuid,
    ) -> Result<Vec<Ring>, OpError> {
        let app = self.clone();
        to_its_end(async move {
            let new = NewRings {
                rings: &rings,
                instead_of: instead_of.as_deref(),
            };
            let (pool, now) = (&app.pool, app.clock.now());
            registry::define(pool, &app.catalogue, &app.picture, track, new, by, now).await
        })
        .await
    }
}

/// Work that goes on when its request is given up.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, OpError>> + Send + 'static,
) -> Result<T, OpError> {
    tokio::spawn(work).await.map_err(anyhow::Error::from)?
}

/// A running server, without its sockets.
pub struct Running {
    /// For handlers.
    pub app: App,
    stop: CancellationToken,
    front: Vec<JoinHandle<()>>,
    back: Vec<JoinHandle<()>>,
}

/// What a server is started with beside its configuration file.
pub struct Parts {
    /// A migrated database.
    pub pool: PgPool,
    /// Where time comes from.
    pub clock: SharedClock,
    /// The secret that replicas share.
    pub secret: ServerSecret,
}

impl Running {
    /// Loads the picture and starts every task.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            pool,
            clock,
            secret,
        } = parts;
        let stop = CancellationToken::new();
        let picture = Arc::new(Picture::default());
        let catalogue = Arc::new(Catalogue::default());
        let health = Arc::new(IngestHealth::default());
        let outcomes = Arc::new(Notify::new());
        let pace = Pace {
            idle_s: config.poll.idle_s,
            active_s: config.poll.active_s,
        };

        let reader = Reader::load(pool.clone(), Arc::clone(&picture)).await?;
        let control = Control::new(
            pool.clone(),
            Arc::clone(&clock),
            Arc::clone(&picture),
            Arc::clone(&catalogue),
            Arc::clone(&health),
            config.notify,
        );
        let (ingest, lanes) = Ingest::start(
            pool.clone(),
            Arc::clone(&clock),
            Arc::clone(&picture),
            Arc::clone(&health),
            Arc::clone(&outcomes),
            config.ingest.max_batch,
            &stop,
        );
        let (permits, granting) = Permits::start(
            pool.clone(),
            Arc::clone(&clock),
            Arc::clone(&picture),
            Arc::clone(&catalogue),
            Arc::clone(&outcomes),
            Duration::from_secs(u64::from(pace.active_s)),
            &stop,
        );
        let answering = Answering {
            pool: pool.clone(),
            picture: Arc::clone(&picture),
            catalogue: Arc::clone(&catalogue),
            clock: Arc::clone(&clock),
        };
        let (asking, answers) = Batcher::start(answering, &stop);
        let enrolling = Enrolling {
            pool: pool.clone(),
            picture: Arc::clone(&picture),
            catalogue: Arc::clone(&catalogue),
            clock: Arc::clone(&clock),
        };
        let (enrolling, enrolments) = Batcher::start(enrolling, &stop);
        let storing = Storing {
            pool: pool.clone(),
            picture: Arc::clone(&picture),
            catalogue: Arc::clone(&catalogue),
        };
        let (storing, stored) = Batcher::start(storing, &stop);
        let (spending, spent) = Batcher::start(Spending { pool: pool.clone() }, &stop);
        let drivers = Drivers {
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            control: control.clone(),
            ingest: ingest.clone(),
            catalogue: Arc::clone(&catalogue),
            picture: Arc::clone(&picture),
            health,
            outcomes,
            grace: TimeDelta::seconds(i64::from(pace.idle_s) * 2),
            retention: TimeDelta::days(i64::from(config.event_retention_days)),
            replica: Uuid::new_v4(),
        };
        let back = vec![
            tokio::spawn(reader.run(config.notify, stop.clone())),
            tokio::spawn(clock.take_part(Box::pin(drivers.clone().run(stop.clone())))),
            tokio::spawn(drivers.follow_outcomes(stop.clone())),
        ];
        let mut front = lanes;
        front.extend([granting, answers, enrolments, stored, spent]);
        let forecasts =
            Forecasts::new(pool.clone(), Arc::clone(&clock), pace.idle_s, pace.active_s);
        let app = App(Arc::new(Handles {
            pool,
            clock,
            wall_clock: Arc::new(SystemClock),
            passwords: Arc::default(),
            refreshes: Semaphore::new(REFRESHES),
            closing: CancellationToken::new(),
            control,
            ingest,
            permits,
            asking,
            enrolling,
            storing,
            spending,
            picture,
            catalogue,
            keys: AgentKeys::new(&secret),
            bounds: Bounds::new(config.pool_size),
            forecasts,
            pace,
            content_dir: config.content_dir.clone(),
        }));
        Ok(Self {
            app,
            stop,
            front,
            back,
        })
    }

    /// Stops every task; what was taken in is finished and answered first.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.front.into_iter().chain(self.back) {
            let _ended = task.await;
        }
    }
}
