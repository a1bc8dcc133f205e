//! HTTPS: one cryptography provider for the whole process, certificates that can be renewed without a
//! restart, and a local authority for trying things out.

mod authority;
mod reload;

pub use authority::{AuthorityError, LocalAuthority, LocalFiles};
pub use reload::reload_on_change;

use axum_server::tls_rustls::RustlsConfig;
use std::io;
use std::path::{Path, PathBuf};

/// Makes aws-lc-rs the provider of this process. Without a choice rustls panics at the first use, since
/// dependencies bring more than one. May be called again: the first call counts.
pub fn install_provider() {
    // Refused only when there is one already, and there is no other in this program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the files cannot be read.
    #[error("The TLS file {} cannot be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The files can be read, but not used.
    #[error(
        "The certificate {} and the key {} cannot be used: {source}. Both have to be PEM files, and \
         they have to belong together.", certificate.display(), key.display()
    )]
    Unusable {
        /// `tls.certificate`.
        certificate: PathBuf,
        /// `tls.key`.
        key: PathBuf,
        /// What rustls says.
        source: io::Error,
    },
}

/// Reads certificate and key for HTTP/1.1 and HTTP/2.
///
/// # Errors
/// When one of them cannot be read, is not PEM, or does not belong to the other.
pub async fn server_config(certificate: &Path, key: &Path) -> Result<RustlsConfig, TlsError> {
    install_provider();
    let files = Files::read(certificate, key).await?;
    RustlsConfig::from_pem(files.certificate, files.key)
        .await
        .map_err(|source| TlsError::Unusable {
            certificate: certificate.to_path_buf(),
            key: key.to_path_buf(),
            source,
        })
}

/// The content of both files.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    async fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(certificate).await?,
            key: read(key).await?,
        })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path)
        .await
        .map_err(|source| TlsError::Unreadable {
            path: path.to_path_buf(),
            source,
        })
}

#[cfg(test)]
mod tests;
