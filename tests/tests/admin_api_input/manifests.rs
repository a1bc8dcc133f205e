//! Manifests that do not vouch for what is to be published.

use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use servicing::{Manifest, Sequence, SignedManifest};
use tests::{Desk, Lab};
use uuid::Uuid;

use crate::sequences::{good, with};

/// The key that every lab trusts.
fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A draft of the good sequence, and what publishes it.
struct Draft {
    path: String,
    sequence: Sequence,
}

impl Draft {
    async fn of(desk: &Desk<'_>, sequence: &Value) -> Self {
        let made = desk.done(Method::POST, "/sequences", sequence).await;
        Self {
            path: format!("/sequences/{}/publish", made["id"].as_str().unwrap()),
            sequence: serde_json::from_value(sequence.clone()).unwrap(),
        }
    }

    fn manifest(&self, lab: &Lab) -> Manifest {
        Manifest {
            sequence: self.sequence.clone(),
            revision: 1,
            counter: 5,
            expires_at: lab.clock.now() + TimeDelta::days(30),
            sources: Vec::new(),
        }
    }
}

fn body(manifest: &SignedManifest) -> Value {
    json!({ "manifest": manifest })
}

#[tokio::test]
async fn a_draft_without_hashes_is_not_published() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    for field in ["sha256", "file_sha1", "file_name", "size_bytes"] {
        let sequence = with(&format!("/variants/0/packages/1/{field}"), json!(null));
        let draft = Draft::of(&desk, &sequence).await;
        let signed = body(&draft.manifest(&lab).sign(&publisher()));
        let named = format!("variants[0].packages[1].{field}");
        desk.wrong(Method::POST, &draft.path, &signed, &named).await;
    }
}

#[tokio::test]
async fn a_manifest_that_does_not_vouch_for_the_draft_is_refused() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let draft = Draft::of(&desk, &good()).await;
    let manifest = draft.manifest(&lab);
    let signed = manifest.sign(&publisher());
    let publish = async |signed: &SignedManifest, field: &str| {
        desk.wrong(Method::POST, &draft.path, &body(signed), field)
            .await;
    };
    // Somebody else's key, also under the name of the known one.
    let forged = manifest.sign(&SigningKey::from_bytes(&[8; 32]));
    publish(&forged, "manifest").await;
    publish(
        &SignedManifest {
            key_id: signed.key_id.clone(),
            ..forged.clone()
        },
        "manifest",
    )
    .await;
    // Tampered with: another payload under the same signature, a cut one, none.
    let later = Manifest {
        counter: 6,
        ..manifest.clone()
    }
    .sign(&publisher());
    publish(
        &SignedManifest {
            payload: later.payload.clone(),
            ..signed.clone()
        },
        "manifest",
    )
    .await;
    publish(
        &SignedManifest {
            signature: later.signature.clone(),
            ..signed.clone()
        },
        "manifest",
    )
    .await;
    publish(
        &SignedManifest {
            signature: String::new(),
            ..signed.clone()
        },
        "manifest",
    )
    .await;
    publish(
        &SignedManifest {
            payload: signed.payload[1..].to_owned(),
            ..signed.clone()
        },
        "manifest",
    )
    .await;
    // Properly signed, and for something else, or no longer.
    let other: Sequence =
        serde_json::from_value(with("/variants/0/packages/1/sha256", json!("d".repeat(64))))
            .unwrap();
    publish(
        &Manifest {
            sequence: other,
            ..manifest.clone()
        }
        .sign(&publisher()),
        "manifest.payload",
    )
    .await;
    let past = lab.clock.now();
    publish(
        &Manifest {
            expires_at: past,
            ..manifest.clone()
        }
        .sign(&publisher()),
        "manifest",
    )
    .await;

    let nothing = format!("/sequences/{}/publish", Uuid::now_v7());
    desk.refused(Method::POST, &nothing, &body(&signed), (404, "not-found"))
        .await;
    desk.done(Method::POST, &draft.path, &body(&signed)).await;
    desk.refused(Method::POST, &draft.path, &body(&signed), (409, "conflict"))
        .await;
}

#[tokio::test]
async fn counters_of_a_kb_only_grow_and_published_content_is_fixed() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let first = Draft::of(&desk, &good()).await;
    let own = first.path.trim_end_matches("/publish").to_owned();
    desk.refused(
        Method::POST,
        &format!("{own}/withdraw"),
        &json!({ "reason": "not out yet" }),
        (409, "conflict"),
    )
    .await;
    desk.done(
        Method::POST,
        &first.path,
        &body(&first.manifest(&lab).sign(&publisher())),
    )
    .await;
    desk.refused(Method::PUT, &own, &good(), (409, "conflict"))
        .await;

    let second = Draft::of(
        &desk,
        &with("/variants/0/packages/1/sha256", json!("d".repeat(64))),
    )
    .await;
    for (counter, field) in [(4, "manifest"), (0, "manifest"), (5, "manifest.payload")] {
        let manifest = Manifest {
            counter,
            ..second.manifest(&lab)
        };
        desk.wrong(
            Method::POST,
            &second.path,
            &body(&manifest.sign(&publisher())),
            field,
        )
        .await;
    }
    // The same content once more is no other sequence.
    let twin = Draft::of(&desk, &good()).await;
    let manifest = Manifest {
        counter: 6,
        ..twin.manifest(&lab)
    };
    desk.refused(
        Method::POST,
        &twin.path,
        &body(&manifest.sign(&publisher())),
        (409, "conflict"),
    )
    .await;

    for reason in [
        json!(""),
        json!(" "),
        json!("x".repeat(1001)),
        json!("a\u{7}"),
    ] {
        desk.wrong(
            Method::POST,
            &format!("{own}/withdraw"),
            &json!({ "reason": reason }),
            "reason",
        )
        .await;
    }
    let replaced = json!({ "reason": "bad", "replaced_by": "the next one" });
    desk.wrong(
        Method::POST,
        &format!("{own}/withdraw"),
        &replaced,
        "replaced_by",
    )
    .await;
    desk.done(
        Method::POST,
        &format!("{own}/withdraw"),
        &json!({ "reason": "bad" }),
    )
    .await;
    desk.refused(
        Method::POST,
        &format!("{own}/withdraw"),
        &json!({ "reason": "bad" }),
        (409, "conflict"),
    )
    .await;
}
