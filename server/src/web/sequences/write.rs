//! `/sequences/new`, `/sequences/{id}/edit`: a sequence as JSON, checked before it is saved.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use servicing::{Sequence, known_sequences};
use uuid::Uuid;

use super::check::{EXAMPLE, Found, check};
use super::stored;
use crate::app::App;
use crate::auth::{Caller, Operator};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::store::sequences::SequenceState;
use crate::web::form::{Filter, Form};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::Link;
use crate::web::problem_page::html;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/sequences/new", get(new).post(add))
        .route("/sequences/validate", get(start_over).post(validate))
        .route("/sequences/{id}/edit", get(edit).post(rewrite))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    from: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    json: String,
    id: Option<Uuid>,
}

/// A known sequence to start from.
struct Known {
    link: Link,
    label: String,
    title: String,
    trust: String,
    withdrawn: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/sequence_write.html")]
struct WritePage {
    frame: Frame,
    crumbs: Vec<Link>,
    heading: String,
    /// Where the form goes, and where Cancel leads.
    action: String,
    back: String,
    id: Option<Uuid>,
    json: String,
    found: Found,
    known: Vec<Known>,
    example: &'static str,
}

impl WritePage {
    async fn read(
        app: &App,
        person: &Caller,
        id: Option<Uuid>,
        json: String,
        found: Found,
    ) -> Result<Self, Failure> {
        let mut crumbs = vec![Link::new("KB sequences", "/sequences")];
        let (heading, action, back) = match id {
            Some(id) => {
                let kb = draft(app, id).await?.kb;
                let back = format!("/sequences/{id}");
                crumbs.push(Link::new(kb.to_string(), back.as_str()));
                (format!("Edit {kb}"), format!("{back}/edit"), back)
            }
            None => (
                "New sequence".to_owned(),
                "/sequences/new".to_owned(),
                "/sequences".to_owned(),
            ),
        };
        let here = action.as_str();
        Ok(Self {
            frame: Frame::read(app, person, Nav::Sequences, &heading, here, None).await?,
            crumbs,
            heading,
            action,
            back,
            id,
            json,
            found,
            known: if id.is_none() { known() } else { Vec::new() },
            example: EXAMPLE,
        })
    }

    fn response(&self) -> Response {
        let status = if self.found.wrong.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }
}

fn known() -> Vec<Known> {
    let known = known_sequences().iter().map(|k| Known {
        link: Link::new(
            k.sequence.kb.to_string(),
            format!("/sequences/new?from={}", k.sequence.kb),
        ),
        label: k.sequence.label.clone(),
        title: k.sequence.title.clone(),
        trust: k.trust.clone(),
        withdrawn: k
            .withdrawn
            .as_ref()
            .map(|w| engine::words::ended(&w.reason)),
    });
    known.collect()
}

/// The content of a draft; what is published can not be edited.
async fn draft(app: &App, id: Uuid) -> Result<Sequence, OpError> {
    let stored = stored(app, id).await?;
    if stored.state != SequenceState::Draft {
        return Err(OpError::Conflict(
            "The sequence is published: its content is fixed. Write a new one instead.".into(),
        ));
    }
    Ok(stored.sequence)
}

fn written(sequence: &Sequence) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(sequence).map_err(anyhow::Error::from)?)
}

async fn new(State(app): State<App>, caller: Operator, Filter(asked): Filter<Asked>) -> Shown {
    let wanted = asked.from.as_deref();
    let from = known_sequences()
        .iter()
        .find(|k| wanted.is_some_and(|kb| k.sequence.kb.to_string() == kb));
    let json = from.map(|k| written(&k.sequence)).transpose()?;
    let person = caller.caller();
    let page = WritePage::read(
        &app,
        person,
        None,
        json.unwrap_or_default(),
        Found::default(),
    );
    Ok(page.await?.response())
}

async fn edit(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    let json = written(&draft(&app, id).await?)?;
    let page = WritePage::read(&app, caller.caller(), Some(id), json, Found::default());
    Ok(page.await?.response())
}

async fn start_over(_caller: Operator) -> Redirect {
    Redirect::to("/sequences/new")
}

async fn validate(State(app): State<App>, caller: Operator, Form(typed): Form<Typed>) -> Shown {
    let (_, found) = check(&typed.json);
    let page = WritePage::read(&app, caller.caller(), typed.id, typed.json, found);
    Ok(page.await?.response())
}

async fn add(State(app): State<App>, caller: Operator, Form(typed): Form<Typed>) -> Shown {
    let (sequence, found) = check(&typed.json);
    let person = caller.caller();
    let Some(sequence) = sequence else {
        let page = WritePage::read(&app, person, None, typed.json, found).await?;
        return Ok(page.response());
    };
    let id = app.control.add_sequence(&sequence, person.person()).await?;
    Ok(Redirect::to(&format!("/sequences/{id}")).into_response())
}

async fn rewrite(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    let (sequence, found) = check(&typed.json);
    let person = caller.caller();
    let Some(sequence) = sequence else {
        let page = WritePage::read(&app, person, Some(id), typed.json, found).await?;
        return Ok(page.response());
    };
    app.control
        .rewrite_sequence(id, &sequence, person.person())
        .await?;
    Ok(Redirect::to(&format!("/sequences/{id}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    fn page(json: &str, found: Found) -> WritePage {
        WritePage {
            frame: Frame::sample(Nav::Sequences, "New sequence", "/sequences/new"),
            crumbs: vec![Link::new("KB sequences", "/sequences")],
            heading: "New sequence".to_owned(),
            action: "/sequences/new".to_owned(),
            back: "/sequences".to_owned(),
            id: None,
            json: json.to_owned(),
            found,
            known: known(),
            example: EXAMPLE,
        }
    }

    #[test]
    fn every_mistake_has_its_path_its_line_and_what_was_expected() {
        let text = EXAMPLE
            .replace("\"2026-03 Cumulative Update for Windows 11\"", "\"\"")
            .replace("[26100, 26200]", "[26100, 28000]")
            .replace("8117,", "0,");
        let (read, found) = check(&text);
        assert!(read.is_none() && !found.unread);
        let main = main_of(&page(&text, found));
        insta::assert_snapshot!(main);
    }

    #[test]
    fn an_empty_page_has_an_example_and_what_to_start_from() {
        insta::assert_snapshot!(main_of(&page("", Found::default())));
    }
}
