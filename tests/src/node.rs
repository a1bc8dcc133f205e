//! A server in this process, on a loopback port.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use axum_server::Handle;
use serde_json::json;
use server::app::{App, Parts, Running};
use server::clock::SharedClock;
use server::config::Config;
use server::secret::ServerSecret;
use server::{serve, store};
use tokio::task::JoinHandle;

use crate::cluster::Database;
use crate::eventually;
use crate::wire::Wire;

/// A running server.
pub struct Node {
    /// What its handlers share.
    pub app: App,
    /// For requests to it.
    pub wire: Wire,
    handle: Handle<SocketAddr>,
    served: JoinHandle<std::io::Result<()>>,
    running: Running,
}

/// A configuration without looking at environment or files.
pub(crate) fn configuration(directory: &Path, notify: bool) -> Config {
    let settings = json!({
        "data_dir": directory,
        "secret_file": directory.join("secret"),
        "content_dir": directory.join("content"),
        "notify": notify,
        // Visitors of tests can come as if through a proxy of ours.
        "trusted_proxies": ["127.0.0.1"],
    });
    serde_json::from_value(settings).unwrap()
}

pub(crate) fn secret(directory: &Path) -> ServerSecret {
    ServerSecret::load_or_create(&directory.join("secret")).unwrap()
}

impl Node {
    /// Starts one on this database. Those that are given the same directory share its secret.
    pub(crate) async fn start(
        database: &Database,
        clock: &SharedClock,
        directory: &Path,
        notify: bool,
    ) -> Self {
        let config = Arc::new(configuration(directory, notify));
        let pool = store::connect(&database.url(), config.pool_size)
            .await
            .unwrap();
        let parts = Parts {
            pool,
            clock: clock.clone(),
            secret: secret(directory),
        };
        let running = Running::start(&config, parts).await.unwrap();
        let app = running.app.clone();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let handle = Handle::new();
        let router = serve::Front::new(app.clone(), config);
        let served = tokio::spawn(serve::serve(listener, router, None, handle.clone()));
        Self {
            app,
            wire: Wire::to(&url),
            handle,
            served,
            running,
        }
    }

    /// Waits until it has read everything that was committed before.
    pub async fn catch_up(&self) {
        // The read under way may have begun too early; the one after it has not.
        let until = self.app.picture.reads() + 2;
        eventually("the picture is read", async || {
            self.app.picture.wake.notify_one();
            self.app.picture.reads() >= until
        })
        .await;
    }

    /// Ends it in order.
    pub async fn stop(self) {
        self.handle.shutdown();
        let _served = self.served.await;
        self.running.stop().await;
        self.app.pool.close().await;
    }
}
