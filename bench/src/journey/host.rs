//! The real server in this process, in virtual time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use agent::simulate::VirtualClock;
use axum_server::Handle;
use chrono::{DateTime, Utc};
use server::app::{Parts, Running};
use server::auth;
use server::clock::SharedClock;
use server::config::{Config, Flags, Poll};
use server::demo::DemoClock;
use server::demo::people::Someone;
use server::secret::ServerSecret;
use server::serve::{self, Front};
use tokio::task::JoinHandle;

use crate::postgres::Postgres;
use crate::world::ADA;

/// A running server.
pub struct Host {
    /// The time of everybody.
    pub clock: Arc<VirtualClock>,
    /// May do everything.
    pub admin: Someone,
    /// Where it listens.
    pub url: String,
    /// Settings.
    pub config: Arc<Config>,
    handle: Handle<SocketAddr>,
    serving: JoinHandle<std::io::Result<()>>,
    running: Running,
}

impl Host {
    /// Starts it on an empty database, at this time, with devices that poll so often.
    ///
    /// # Errors
    /// When it can not be started.
    pub async fn start(
        postgres: &Postgres,
        begin: DateTime<Utc>,
        poll: Poll,
    ) -> anyhow::Result<Self> {
        let home = postgres.home();
        let mut config = Config::load(&Flags {
            data_dir: Some(home.clone()),
            ..Flags::default()
        })?;
        config.poll = poll;
        // Its own files, whatever the environment says.
        config.database_url = None;
        config.content_dir = home.join("content");
        config.secret_file = home.join("secret");
        std::fs::create_dir_all(&config.content_dir)?;
        let config = Arc::new(config);

        let clock = VirtualClock::new(begin);
        let shared: SharedClock = Arc::new(DemoClock(Arc::clone(&clock)));
        let (_, token) = auth::create_admin(&postgres.pool, shared.as_ref(), ADA).await?;
        let parts = Parts {
            pool: postgres.pool.clone(),
            clock: shared,
            secret: ServerSecret::load_or_create(&config.secret_file)?,
        };
        let running = Running::start(&config, parts).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let handle = Handle::new();
        let front = Front::new(running.app.clone(), Arc::clone(&config));
        let serving = tokio::spawn(serve::serve(listener, front, None, handle.clone()));
        Ok(Self {
            clock,
            admin: Someone::new(ADA, reqwest::Client::new(), &url, token),
            url,
            config,
            handle,
            serving,
            running,
        })
    }

    /// Ends it in order.
    pub async fn stop(self) {
        serve::stop(&self.handle, &self.running.app);
        let _served = self.serving.await;
        self.running.stop().await;
    }
}
