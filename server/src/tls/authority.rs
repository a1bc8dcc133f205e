//! A certificate authority for one machine, for demonstrations and tests.
//!
//! It signs one certificate and then forgets its own key, so nobody can sign another one with it: who
//! trusts its certificate in a browser trusts these names and nothing else.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Browsers accept at most 825 days, also from an authority that a person has added.
const VALIDITY: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

/// A certificate for this machine and what is needed to trust it.
#[derive(Clone)]
pub struct LocalAuthority {
    /// The certificate of the authority, to be trusted by browsers and agents.
    pub ca_pem: String,
    /// The certificate of the server.
    pub cert_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl std::fmt::Debug for LocalAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalAuthority").finish_non_exhaustive()
    }
}

/// Where the parts have been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFiles {
    /// `ca.pem`
    pub ca: PathBuf,
    /// `cert.pem`
    pub certificate: PathBuf,
    /// `key.pem`
    pub key: PathBuf,
}

/// Why there is no local authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The names or the cryptography.
    #[error("The local certificate cannot be made: {0}.")]
    Certificate(#[from] rcgen::Error),

    /// The files.
    #[error("The local certificate cannot be saved as {}: {source}.", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LocalAuthority {
    /// Makes an authority and a certificate for these DNS names and IP addresses, valid for two years.
    ///
    /// The time is the machine's own and not the injected one: the certificate is checked by browsers,
    /// which know no other.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn create(names: &[&str]) -> Result<Self, AuthorityError> {
        Self::create_at(names, SystemTime::now())
    }

    fn create_at(names: &[&str], now: SystemTime) -> Result<Self, AuthorityError> {
        super::install_provider();
        let authority_key = KeyPair::generate()?;
        let mut authority = params(&[], "Ringfence local authority", now)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = authority.self_signed(&authority_key)?.pem();

        let server_key = KeyPair::generate()?;
        let mut server = params(names, "Ringfence", now)?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority, authority_key);
        Ok(Self {
            ca_pem,
            cert_pem: server.signed_by(&server_key, &issuer)?.pem(),
            key_pem: server_key.serialize_pem(),
        })
    }

    /// Writes `ca.pem`, `cert.pem` and `key.pem`; the last one for its owner only.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn write_to(&self, directory: &Path) -> Result<LocalFiles, AuthorityError> {
        fs::create_dir_all(directory).map_err(|source| AuthorityError::Write {
            path: directory.to_path_buf(),
            source,
        })?;
        let files = LocalFiles {
            ca: directory.join("ca.pem"),
            certificate: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        };
        write(&files.ca, &self.ca_pem, 0o644)?;
        write(&files.certificate, &self.cert_pem, 0o644)?;
        write(&files.key, &self.key_pem, 0o600)?;
        Ok(files)
    }
}

fn params(
    names: &[&str],
    common_name: &str,
    now: SystemTime,
) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    // Before 1970 there is nothing to be early for.
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    // A day earlier, for devices whose clock is behind.
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + VALIDITY;
    Ok(params)
}

/// Replaces a file in one step, and never lets a key be readable for a moment.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let draft = path.with_extension("pem.new");
    let failed = |source| AuthorityError::Write {
        path: path.to_path_buf(),
        source,
    };
    // What a crash left could have other permissions.
    let _ = fs::remove_file(&draft);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&draft, path))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_key_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let authority = LocalAuthority::create(&["localhost", "127.0.0.1"]).unwrap();
        let inside = directory.path().join("tls");
        authority.write_to(&inside).unwrap();
        let files = authority.write_to(&inside).unwrap();

        assert_eq!(fs::metadata(&files.key).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&files.ca).unwrap(), authority.ca_pem);
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 3);
        assert!(!format!("{authority:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_name_that_cannot_be_certified_is_refused() {
        let error = LocalAuthority::create(&["größe.example"]).unwrap_err();
        assert!(
            error.to_string().starts_with("The local certificate"),
            "{error}"
        );
    }
}
