//! Package files and manifests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use reqwest::Method;
use reqwest::header::RANGE;
use servicing::{Sha256, SignedManifest};
use tests::{Answer, Lab, TestDevice, Wire};

async fn get(device: &TestDevice, path: &str, range: Option<&str>) -> Answer {
    let mut request = device.request(Method::GET, path);
    if let Some(range) = range {
        request = request.header(RANGE, range);
    }
    Wire::send(request).await
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_where_it_was() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let (_, sequence) = lab.publish("KB5079391").await;
    let hash = sequence.variants[0].packages[1].sha256.unwrap();
    let path = format!("/content/{hash}");
    let whole = get(&device, &path, None).await;
    assert_eq!(whole.status, 200);
    assert_eq!(Sha256::of(&whole.body), hash);
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    let first = get(&device, &path, Some("bytes=0-4999")).await;
    let rest = get(&device, &path, Some("bytes=5000-")).await;
    assert_eq!((first.status, rest.status), (206, 206));
    assert_eq!(
        first.header("content-range"),
        format!("bytes 0-4999/{}", whole.body.len())
    );
    assert_eq!([first.body, rest.body].concat(), whole.body);
    assert_eq!(get(&device, &path, Some("bytes=999999-")).await.status, 416);
}

#[tokio::test]
async fn nothing_but_package_files_is_handed_out() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let secret = std::fs::read_to_string(lab.directory().join("secret")).unwrap();
    let unknown = get(&device, &format!("/content/{}", "0".repeat(64)), None).await;
    assert_eq!(unknown.problem().kind, "/problems/not-found");
    for path in [
        "/content/..%2Fsecret",
        "/content/%2e%2e%2fsecret",
        "/content/..%5Csecret",
        "/content/../secret",
        "/content/secret",
        "/content/%00",
        "/content/%ff%fe",
        "/content/",
        "/manifests/..%2F..%2Fsecret",
    ] {
        let answer = get(&device, path, None).await;
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains(secret.trim()), "{path}");
    }
    // A directory with the name of a hash is no file.
    let name = "a".repeat(64);
    std::fs::create_dir(lab.directory().join("content").join(&name)).unwrap();
    assert_eq!(
        get(&device, &format!("/content/{name}"), None).await.status,
        404
    );
}

#[tokio::test]
async fn the_manifest_is_the_one_the_publisher_signed() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let (_, sequence) = lab.publish("KB5079391").await;
    let digest = sequence.content_digest();
    let manifest: SignedManifest = get(&device, &format!("/manifests/{digest}"), None)
        .await
        .json();
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let content = manifest.verify(&[key], lab.clock.now(), 0).unwrap();
    assert_eq!(content.sequence.content_digest(), digest);
    assert!(content.expires_at > lab.clock.now() + TimeDelta::days(1));
    let unknown = get(&device, &format!("/manifests/{}", "1".repeat(64)), None).await;
    assert_eq!(unknown.problem().status, 404);
    let wrong = get(&device, "/manifests/latest", None).await;
    assert_eq!(wrong.wrong_field(), "digest");
}
