//! The PostgreSQL under test: the embedded one with the settings that the product gives it, durable, thrown away afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use server::embedded_pg::{DATABASE, Durability, EmbeddedPostgres, Options};
use server::store;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::replica::program;

/// Settings without which a measurement of commits says nothing.
const DURABLE: [(&str, &str); 3] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
];

/// A running cluster with an empty, migrated database.
pub struct Postgres {
    /// Connections of the benchmark itself.
    pub pool: PgPool,
    /// For servers.
    pub url: String,
    /// The postmaster.
    pub pid: u32,
    /// Version and settings, as PostgreSQL tells them.
    pub settings: Vec<(String, String)>,
    /// Where everything of this run lies.
    pub directory: TempDir,
    embedded: EmbeddedPostgres,
}

impl Postgres {
    /// Starts it below `parent`.
    ///
    /// # Errors
    /// When it can not be started, or would lose what it acknowledges.
    pub async fn start(parent: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("ringfence-bench-")
            .tempdir_in(parent)
            .with_context(|| format!("no directory can be made in {}", parent.display()))?;
        let options = Options {
            data_dir: directory.path().join("postgresql"),
            durability: Durability::Durable,
        };
        let embedded =
            tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&options)).await??;
        let url = embedded.url(DATABASE);
        let pool = store::connect(&url, 8).await?;
        store::migrate(&pool).await?;
        let mut settings = Vec::new();
        for name in [
            "server_version",
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "wal_sync_method",
            "shared_buffers",
            "max_wal_size",
        ] {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(name)
                .fetch_one(&pool)
                .await?;
            settings.push((name.to_owned(), value));
        }
        for (name, wanted) in DURABLE {
            let is = settings.iter().any(|(n, v)| n == name && v == wanted);
            ensure!(is, "PostgreSQL runs without {name} = {wanted}");
        }
        let pid = postmaster(&directory.path().join("postgresql/data/postmaster.pid"))?;
        Ok(Self {
            pool,
            url,
            pid,
            settings,
            directory,
            embedded,
        })
    }

    /// The write-ahead log so far, bytes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wal(&self) -> anyhow::Result<i64> {
        let bytes = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        Ok(sqlx::query_scalar(bytes).fetch_one(&self.pool).await?)
    }

    /// Where servers on it keep what is not in the database.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    /// What `ringfence verify recount` says: counters equal what the stored events say.
    ///
    /// # Errors
    /// When they do not.
    pub async fn recount(&self) -> anyhow::Result<String> {
        let mut verify = Command::new(program("ringfence")?);
        verify
            .args(["verify", "recount"])
            .env("RINGFENCE_DATABASE_URL", &self.url)
            .env("RINGFENCE_DATA_DIR", self.home());
        let output = tokio::task::spawn_blocking(move || verify.output()).await??;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            output.status.success(),
            "a recount of the events differs from the counters: {said}"
        );
        Ok(said)
    }

    /// Stops it and removes everything.
    pub async fn stop(self) {
        self.pool.close().await;
        let embedded = self.embedded;
        let _stopped = tokio::task::spawn_blocking(move || embedded.stop()).await;
        drop(self.directory);
    }
}

/// The process id in the cluster's own file.
fn postmaster(file: &Path) -> anyhow::Result<u32> {
    let text = std::fs::read_to_string(file)?;
    let pid = text.lines().next().context("an empty postmaster.pid")?;
    Ok(pid.trim().parse()?)
}
