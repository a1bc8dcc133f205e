//! `/sequences/{id}/publish`: a publisher's signature fixes a draft. The signature is the permission: whoever hands it in
//! only delivers it.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;
use servicing::{Completeness, FieldError, SignedManifest};
use uuid::Uuid;

use super::content::targets;
use crate::app::App;
use crate::auth::{Caller, Operator};
use crate::error::OpError;
use crate::http::{At, Failure, parse_json};
use crate::store::sequences::{self, SequenceState, Stored};
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::Link;
use crate::web::problem_page::html;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/sequences/{id}/publish", get(ask).post(publish))
}

/// What belongs into the field.
const FORM: &str = "JSON with the texts payload, key_id and signature";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    manifest: String,
}

/// A [`SignedManifest`], read as strictly as every other input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    payload: String,
    key_id: String,
    signature: String,
}

#[derive(Template)]
#[template(path = "pages/sequence_publish.html")]
struct PublishPage {
    frame: Frame,
    crumbs: Vec<Link>,
    kb: String,
    action: String,
    back: String,
    digest: String,
    builds: Vec<String>,
    variants: usize,
    packages: usize,
    missing: usize,
    keys: Vec<String>,
    next_counter: u64,
    manifest: String,
    mistakes: Mistakes,
}

impl PublishPage {
    async fn read(
        app: &App,
        person: &Caller,
        id: Uuid,
        manifest: String,
        mistakes: Mistakes,
    ) -> Result<Self, Failure> {
        let stored = draft(app, id).await?;
        let kb = stored.sequence.kb;
        let mut conn = app.pool.acquire().await?;
        let keys = sequences::keys(&mut conn).await?;
        let newest = sequences::newest_counter(&mut conn, kb).await?;
        drop(conn);
        let back = format!("/sequences/{id}");
        let here = format!("{back}/publish");
        let title = format!("Publish {kb}");
        let variants = &stored.sequence.variants;
        let missing = stored.sequence.validate(Completeness::Publish).err();
        Ok(Self {
            frame: Frame::read(app, person, Nav::Sequences, title, here.as_str(), None).await?,
            crumbs: vec![
                Link::new("KB sequences", "/sequences"),
                Link::new(kb.to_string(), back.as_str()),
            ],
            kb: kb.to_string(),
            action: here,
            back,
            digest: stored.digest.to_string(),
            builds: targets(&stored.sequence),
            variants: variants.len(),
            packages: variants.iter().map(|v| v.packages.len()).sum(),
            missing: missing.map_or(0, |wrong| wrong.len()),
            keys: keys.into_iter().map(|k| k.key_id).collect(),
            next_counter: newest.saturating_add(1),
            manifest,
            mistakes,
        })
    }

    fn response(&self) -> Response {
        let status = if self.mistakes.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }
}

async fn draft(app: &App, id: Uuid) -> Result<Stored, OpError> {
    let stored = super::stored(app, id).await?;
    if stored.state != SequenceState::Draft {
        return Err(OpError::Conflict(
            "The sequence is published already.".into(),
        ));
    }
    Ok(stored)
}

/// Reads a signed manifest: by itself, or as the body that the API takes.
fn signed(text: &str) -> Result<SignedManifest, String> {
    let inner = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut body)) if body.len() == 1 && body.contains_key("manifest") => {
            body.remove("manifest").unwrap_or_default().to_string()
        }
        _ => text.to_owned(),
    };
    match parse_json::<Signed>(inner.as_bytes()) {
        Ok(signed) => Ok(SignedManifest {
            payload: signed.payload,
            key_id: signed.key_id,
            signature: signed.signature,
        }),
        Err(OpError::Invalid(fields)) => {
            let why: Vec<&str> = fields.iter().map(|e| e.expected.as_str()).collect();
            Err(format!("{FORM}; reading it stopped at: {}", why.join("; ")))
        }
        Err(_) => Err(FORM.to_owned()),
    }
}

/// What was expected, in one line beside the field.
fn beside(fields: &[FieldError]) -> String {
    if fields.iter().all(|e| !e.field.starts_with("manifest")) {
        return "a complete draft first: what it lacks is listed on its page".to_owned();
    }
    let lines: Vec<String> = fields
        .iter()
        .map(|e| match e.field.as_str() {
            "manifest" => format!("a manifest that holds: {}", e.expected),
            "manifest.payload" => e.expected.clone(),
            field => format!("{} in {field}", e.expected),
        })
        .collect();
    lines.join("; ")
}

async fn ask(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    let person = caller.caller();
    let page = PublishPage::read(&app, person, id, String::new(), Mistakes::none()).await?;
    Ok(page.response())
}

async fn publish(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller();
    let mut mistakes = Mistakes::none();
    match signed(&typed.manifest) {
        Ok(manifest) => {
            let done = app.control.publish_sequence(id, &manifest, person.person());
            match done.await {
                Ok(()) => return Ok(Redirect::to(&format!("/sequences/{id}")).into_response()),
                Err(error) => mistakes.add("manifest", beside(&Mistakes::from_error(error)?.0)),
            }
        }
        Err(expected) => mistakes.add("manifest", expected),
    }
    let page = PublishPage::read(&app, person, id, typed.manifest, mistakes).await?;
    Ok(page.response())
}

#[cfg(test)]
mod tests {
    use servicing::Sequence;

    use super::*;
    use crate::web::frame::main_of;

    fn example() -> Sequence {
        serde_json::from_str(include_str!("example.json")).unwrap()
    }

    fn page() -> PublishPage {
        PublishPage {
            frame: Frame::sample(Nav::Sequences, "Publish KB5086672", "/sequences/1/publish"),
            crumbs: vec![
                Link::new("KB sequences", "/sequences"),
                Link::new("KB5086672", "/sequences/1"),
            ],
            kb: "KB5086672".to_owned(),
            action: "/sequences/1/publish".to_owned(),
            back: "/sequences/1".to_owned(),
            digest: "b81d44c0".to_owned(),
            builds: vec!["26100.8117".to_owned()],
            variants: 1,
            packages: 2,
            missing: 0,
            keys: vec!["86cd382dd3bfe28f".to_owned()],
            next_counter: 2,
            manifest: String::new(),
            mistakes: Mistakes::none(),
        }
    }

    #[test]
    fn it_says_what_will_be_fixed() {
        insta::assert_snapshot!(main_of(&page()));
    }

    #[test]
    fn a_draft_that_lacks_hashes_and_a_server_without_keys_say_so_first() {
        let mut page = page();
        page.missing = 6;
        page.keys.clear();
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_named_beside_the_field_and_kept() {
        let mut page = page();
        page.manifest = "{\"payload\": 1}".to_owned();
        let expected = signed(&page.manifest).unwrap_err();
        page.mistakes.add("manifest", expected);
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_manifest_is_taken_alone_or_as_the_body_of_the_api() {
        let alone = r#"{"payload": "cA", "key_id": "86cd382dd3bfe28f", "signature": "cw"}"#;
        let body = format!(r#"{{"manifest": {alone}}}"#);
        assert_eq!(signed(alone), signed(&body));
        let incomplete = Sequence::validate(&example(), Completeness::Publish).unwrap_err();
        assert!(beside(&incomplete).starts_with("a complete draft"));
        for wrong in [
            "",
            "[]",
            "{\"manifest\": {}}",
            &alone.replace("cA", "cA\", \"x\": \""),
        ] {
            assert!(signed(wrong).is_err(), "{wrong}");
        }
    }
}
