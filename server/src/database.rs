//! Which database: one that is named, or the embedded one.

use anyhow::Context;
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::config::Config;
use crate::embedded_pg::{DATABASE, Durability, EmbeddedPostgres, Options};
use crate::store;

/// A pool, and the embedded PostgreSQL that it needs, which stops when this is closed.
pub struct Database {
    /// Connections.
    pub pool: PgPool,
    /// Where it is, for other pools of this process.
    pub url: String,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Opens the configured database. Without a URL the embedded PostgreSQL is started, durable.
    ///
    /// # Errors
    /// When it can not be started or does not answer.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database_url {
            let url = url.expose_secret().to_owned();
            return Ok(Self {
                pool: store::connect(&url, config.pool_size).await?,
                url,
                embedded: None,
            });
        }
        Self::embedded(config, Durability::Durable).await
    }

    /// Starts the embedded PostgreSQL below the data directory, or joins the one that runs there.
    ///
    /// # Errors
    /// When it can not be started.
    pub async fn embedded(config: &Config, durability: Durability) -> anyhow::Result<Self> {
        let options = Options {
            data_dir: config.data_dir.join("postgresql"),
            durability,
        };
        let embedded = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&options))
            .await
            .context("starting PostgreSQL was interrupted")??;
        let url = embedded.url(DATABASE);
        Ok(Self {
            pool: store::connect(&url, config.pool_size).await?,
            url,
            embedded: Some(embedded),
        })
    }

    /// Closes the pool and stops an embedded PostgreSQL that this process owns.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            let _stopped = tokio::task::spawn_blocking(move || embedded.stop()).await;
        }
    }
}
