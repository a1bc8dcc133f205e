//! `/publisher-keys`: whose signatures count.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use servicing::Sha256;

use crate::app::App;
use crate::auth::{Admin, Caller, Viewer, kinds};
use crate::error::OpError;
use crate::http::Failure;
use crate::operations;
use crate::store::sequences::{self, PublisherKey};
use crate::web::form::{Filter, Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::{Link, When};
use crate::web::problem_page::html;
use crate::web::step_up::{self, SteppedUp};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/publisher-keys", get(list).post(add))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Key that was just added.
    added: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    public_key: String,
}

/// A key as people compare it.
struct Row {
    key_id: String,
    fingerprint: String,
    public_key: String,
    added: When,
}

#[derive(Template)]
#[template(path = "pages/publisher_keys.html")]
struct KeysPage {
    frame: Frame,
    crumbs: Vec<Link>,
    rows: Vec<Row>,
    /// The one that was just added.
    added: Option<String>,
    may_add: bool,
    public_key: String,
    mistakes: Mistakes,
}

impl KeysPage {
    async fn read(
        app: &App,
        person: &Caller,
        public_key: String,
        mistakes: Mistakes,
    ) -> Result<Self, Failure> {
        let title = "Publisher keys";
        let frame =
            Frame::read(app, person, Nav::Sequences, title, "/publisher-keys", None).await?;
        let keys = sequences::keys(&mut *app.pool.acquire().await?).await?;
        Ok(Self {
            crumbs: vec![Link::new("KB sequences", "/sequences")],
            rows: keys.into_iter().map(|key| row(key, &frame)).collect(),
            added: None,
            may_add: person.tracks_with::<kinds::Admin>().is_none(),
            public_key,
            mistakes,
            frame,
        })
    }

    fn step_up(&self) -> String {
        step_up::address("/publisher-keys")
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

fn row(key: PublisherKey, frame: &Frame) -> Row {
    Row {
        fingerprint: Sha256::of(&key.public_key).to_string(),
        key_id: key.key_id,
        public_key: URL_SAFE_NO_PAD.encode(key.public_key),
        added: frame.when(key.added_at),
    }
}

async fn list(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller();
    let mut page = KeysPage::read(&app, person, String::new(), Mistakes::none()).await?;
    page.added = asked
        .added
        .filter(|id| page.rows.iter().any(|row| row.key_id == *id));
    Ok(page.response())
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.everywhere()?.person().0;
    let mut mistakes = Mistakes::none();
    match operations::read_key(typed.public_key.trim()) {
        None => mistakes.add(
            "public_key",
            "an Ed25519 public key: 32 bytes as base64url without padding",
        ),
        Some(key) => match operations::add_key(&app.pool, &key, by, app.clock.now()).await {
            Ok(added) => {
                let to = format!("/publisher-keys?added={}", added.key_id);
                return Ok(Redirect::to(&to).into_response());
            }
            Err(OpError::Conflict(sentence)) => {
                mistakes.add("public_key", format!("another key: {sentence}"));
            }
            Err(error) => mistakes = Mistakes::from_error(error)?,
        },
    }
    let page = KeysPage::read(&app, &person, typed.public_key, mistakes).await?;
    Ok(page.response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    fn page(rows: Vec<Row>, may_add: bool) -> KeysPage {
        KeysPage {
            frame: Frame::sample(Nav::Sequences, "Publisher keys", "/publisher-keys"),
            crumbs: vec![Link::new("KB sequences", "/sequences")],
            rows,
            added: None,
            may_add,
            public_key: String::new(),
            mistakes: Mistakes::none(),
        }
    }

    fn sample() -> Row {
        let frame = Frame::sample(Nav::Sequences, "", "");
        let key = PublisherKey {
            key_id: "86cd382dd3bfe28f".to_owned(),
            public_key: vec![7; 32],
            added_at: frame.now,
        };
        row(key, &frame)
    }

    #[test]
    fn without_a_key_nothing_can_be_published() {
        insta::assert_snapshot!(main_of(&page(Vec::new(), false)));
    }

    #[test]
    fn a_key_that_was_just_added_is_compared_with_its_owners() {
        let mut page = page(vec![sample()], true);
        page.added = Some("86cd382dd3bfe28f".to_owned());
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_text_that_is_no_key_is_kept_and_named() {
        assert!(operations::read_key("bm8ga2V5").is_none());
        let mut page = page(vec![sample()], true);
        page.frame.stepped_up = true;
        page.public_key = "bm8ga2V5".to_owned();
        page.mistakes.add("public_key", "an Ed25519 public key");
        insta::assert_snapshot!(main_of(&page));
    }
}
