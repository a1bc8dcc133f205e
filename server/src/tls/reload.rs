//! Takes over a renewed certificate while the server runs.

use super::{Files, TlsError};
use axum_server::tls_rustls::RustlsConfig;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Looks at both files again and again, and uses them when their content has changed. Open connections
/// go on with what they have; new ones get the new certificate. Files that cannot be used change
/// nothing but the log. Never returns: spawn it beside the server.
pub async fn reload_on_change(
    config: RustlsConfig,
    certificate: PathBuf,
    key: PathBuf,
    interval: Duration,
) {
    let mut reloader = Reloader::new(config, certificate, key).await;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match reloader.check().await {
            Outcome::Unchanged => {}
            Outcome::Reloaded => {
                tracing::info!(certificate = %reloader.certificate.display(), "the new certificate is in use");
            }
            Outcome::Kept(reason) => {
                tracing::warn!(%reason, "the TLS files have changed but cannot be used; the old ones stay in use");
            }
        }
    }
}

/// What a look at the files led to.
#[derive(Debug)]
pub(super) enum Outcome {
    Unchanged,
    Reloaded,
    Kept(TlsError),
}

/// What was seen last: content is compared, because times and sizes stay the same in some renewals.
/// `None` stands for files that could not be read.
type Seen = Option<[u8; 32]>;

pub(super) struct Reloader {
    config: RustlsConfig,
    certificate: PathBuf,
    key: PathBuf,
    seen: Seen,
}

impl Reloader {
    /// Takes what is in the files now as what `config` was made of.
    pub(super) async fn new(config: RustlsConfig, certificate: PathBuf, key: PathBuf) -> Self {
        let seen = digest(Files::read(&certificate, &key).await.as_ref().ok());
        Self {
            config,
            certificate,
            key,
            seen,
        }
    }

    /// Bad files are reported once, not at every look.
    pub(super) async fn check(&mut self) -> Outcome {
        let files = Files::read(&self.certificate, &self.key).await;
        let now = digest(files.as_ref().ok());
        if now == self.seen {
            return Outcome::Unchanged;
        }
        self.seen = now;
        match self.take_over(files).await {
            Ok(()) => Outcome::Reloaded,
            Err(reason) => Outcome::Kept(reason),
        }
    }

    async fn take_over(&self, files: Result<Files, TlsError>) -> Result<(), TlsError> {
        let files = files?;
        self.config
            .reload_from_pem(files.certificate, files.key)
            .await
            .map_err(|source| TlsError::Unusable {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                source,
            })
    }
}

fn digest(files: Option<&Files>) -> Seen {
    let files = files?;
    let mut hasher = Sha256::new();
    // The length keeps the end of one file apart from the beginning of the next.
    hasher.update(files.certificate.len().to_be_bytes());
    hasher.update(&files.certificate);
    hasher.update(&files.key);
    Some(hasher.finalize().into())
}
