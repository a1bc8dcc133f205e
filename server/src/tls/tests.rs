use super::reload::{Outcome, Reloader};
use super::*;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use std::fs;
use std::sync::Arc;

/// Connects a client that trusts `ca_pem` and answers with the server's certificate, or with the
/// client's complaint.
fn handshake(config: &RustlsConfig, ca_pem: &str, name: &str) -> Result<Vec<u8>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let trusting = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(trusting), name).unwrap();
    let mut server = ServerConnection::new(config.get_inner()).unwrap();

    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    let chain = client
        .peer_certificates()
        .expect("a finished handshake has them");
    Ok(chain[0].to_vec())
}

fn authority() -> LocalAuthority {
    LocalAuthority::create(&["localhost", "127.0.0.1"]).unwrap()
}

struct Site {
    _directory: tempfile::TempDir,
    files: LocalFiles,
    config: RustlsConfig,
    reloader: Reloader,
}

/// A running site that uses this authority's certificate.
async fn site(authority: &LocalAuthority) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let files = authority.write_to(directory.path()).unwrap();
    let config = server_config(&files.certificate, &files.key).await.unwrap();
    let (certificate, key) = (files.certificate.clone(), files.key.clone());
    let reloader = Reloader::new(config.clone(), certificate, key).await;
    Site {
        _directory: directory,
        files,
        config,
        reloader,
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_connects_by_name_and_by_address() {
    let authority = authority();
    let site = site(&authority).await;
    for name in ["localhost", "127.0.0.1"] {
        handshake(&site.config, &authority.ca_pem, name).unwrap();
    }
    assert!(handshake(&site.config, &authority.ca_pem, "example.org").is_err());
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over() {
    let (old, new) = (authority(), authority());
    let mut site = site(&old).await;
    assert!(matches!(site.reloader.check().await, Outcome::Unchanged));

    new.write_to(site.files.key.parent().unwrap()).unwrap();
    assert!(matches!(site.reloader.check().await, Outcome::Reloaded));
    assert!(matches!(site.reloader.check().await, Outcome::Unchanged));

    let shown = handshake(&site.config, &new.ca_pem, "localhost").unwrap();
    let expected = CertificateDer::from_pem_slice(new.cert_pem.as_bytes()).unwrap();
    assert_eq!(shown, expected.to_vec());
    assert!(handshake(&site.config, &old.ca_pem, "localhost").is_err());
}

#[tokio::test]
async fn bad_files_keep_the_old_certificate_and_are_reported_once() {
    let (old, new) = (authority(), authority());
    let mut site = site(&old).await;

    // A renewal that has replaced only one of the two files so far.
    fs::write(&site.files.certificate, &new.cert_pem).unwrap();
    let Outcome::Kept(reason) = site.reloader.check().await else {
        panic!("the key belongs to another certificate");
    };
    assert!(
        reason.to_string().contains("have to belong together"),
        "{reason}"
    );
    assert!(matches!(site.reloader.check().await, Outcome::Unchanged));
    handshake(&site.config, &old.ca_pem, "localhost").unwrap();

    fs::write(&site.files.key, "garbage").unwrap();
    assert!(matches!(site.reloader.check().await, Outcome::Kept(_)));
    fs::remove_file(&site.files.key).unwrap();
    assert!(matches!(site.reloader.check().await, Outcome::Kept(_)));
    handshake(&site.config, &old.ca_pem, "localhost").unwrap();

    fs::write(&site.files.key, &new.key_pem).unwrap();
    assert!(matches!(site.reloader.check().await, Outcome::Reloaded));
    handshake(&site.config, &new.ca_pem, "localhost").unwrap();
}

#[tokio::test]
async fn the_task_notices_by_itself() {
    let (old, new) = (authority(), authority());
    let site = site(&old).await;
    let task = tokio::spawn(reload_on_change(
        site.config.clone(),
        site.files.certificate.clone(),
        site.files.key.clone(),
        std::time::Duration::from_millis(5),
    ));
    // Let it take note of the old files first.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    new.write_to(site.files.key.parent().unwrap()).unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while handshake(&site.config, &new.ca_pem, "localhost").is_err() {
        assert!(tokio::time::Instant::now() < deadline, "not within 10 s");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    task.abort();
}

#[tokio::test]
async fn missing_files_are_named_at_the_start() {
    let nowhere = Path::new("/does/not/exist.pem");
    let error = server_config(nowhere, nowhere).await.unwrap_err();
    assert!(error.to_string().contains("/does/not/exist.pem"), "{error}");
}
