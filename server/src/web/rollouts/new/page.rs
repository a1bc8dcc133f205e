//! The page: the form, and below it what it would come to.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::choices::{PresetChoice, SEQUENCES, is_full, presets, scopes, sequence_choices};
use super::reading::{Preview, Reading};
use super::settings::Field;
use super::typed::Typed;
use crate::app::App;
use crate::auth::{Operator, kinds};
use crate::control::{NewRollout, NewScope, wrong_ticket};
use crate::http::Failure;
use crate::store::preview;
use crate::store::{self, sequences, tracks};
use crate::web::form::Mistakes;
use crate::web::frame::{Frame, Nav};
use crate::web::parts::Choice;
use crate::web::problem_page::html;

#[derive(Template)]
#[template(path = "pages/new_rollout.html")]
pub struct NewRolloutPage {
    pub(super) frame: Frame,
    pub(super) sequences: Vec<Choice>,
    /// There are older ones than the list holds.
    pub(super) cut: bool,
    pub(super) tracks: Vec<Choice>,
    pub(super) scopes: Vec<Choice>,
    pub(super) presets: Vec<PresetChoice>,
    pub(super) ticket: String,
    pub(super) preview: Option<Preview>,
    pub(super) mistakes: Mistakes,
    pub(super) written: Option<NewRollout>,
}

impl NewRolloutPage {
    /// Reads the form's lists and the preview of what was chosen. Writes nothing and locks nothing.
    pub async fn read(
        app: &App,
        caller: &Operator,
        typed: Typed,
        mut mistakes: Mistakes,
    ) -> Result<Self, Failure> {
        if let Some(track) = typed.track {
            caller.clone().on(track)?;
        }
        let person = caller.caller().clone();
        let mut tx = store::reading(&app.pool).await?;
        let mut tracks = tracks::all(&mut tx).await?;
        tracks.retain(|t| person.may::<kinds::Operator>(t.id));
        let published = preview::sequences(&mut tx, false, SEQUENCES).await?;
        let withdrawn = preview::sequences(&mut tx, true, SEQUENCES).await?;
        let chosen = match typed.sequence {
            Some(id) => sequences::by_id(&mut tx, id).await?,
            None => None,
        };
        if typed.sequence.is_some() && chosen.is_none() {
            mistakes.add("sequence", "a sequence that is there");
        }
        let track = tracks.iter().find(|t| Some(t.id) == typed.track);
        if typed.track.is_some() && track.is_none() {
            mistakes.add("track", "a track that is there");
        }
        if !typed.ticket.is_empty() {
            mistakes.0.extend(wrong_ticket(&typed.ticket));
        }
        let mut shown = None;
        let mut written = None;
        if let (Some(track), Some(sequence)) = (track, &chosen) {
            let reading = Reading {
                app,
                typed: &typed,
                admin: person.may::<kinds::Admin>(track.id),
            };
            let (read, policies) = reading
                .preview(&mut tx, track, sequence, &mut mistakes)
                .await?;
            shown = Some(read);
            written = Some(NewRollout {
                sequence: sequence.id,
                track: track.id,
                preset: typed.preset,
                scope: typed
                    .affected_by
                    .map_or(NewScope::Track, NewScope::AffectedBy),
                ticket: Some(typed.ticket.clone()).filter(|t| !t.is_empty()),
                policies,
            });
        }
        drop(tx);
        let zone = track.map(|t| t.time_zone);
        let frame = Frame::read(
            app,
            &person,
            Nav::Rollouts,
            "New rollout",
            "/rollouts/new",
            zone,
        );
        Ok(Self {
            frame: frame.await?,
            cut: is_full(published.len()),
            sequences: sequence_choices(&published, chosen.as_ref()),
            tracks: tracks
                .iter()
                .map(|t| Choice::new(t.id, &t.name, Some(t.id) == typed.track))
                .collect(),
            scopes: scopes(&withdrawn, typed.affected_by),
            presets: presets(typed.preset),
            ticket: typed.ticket,
            preview: shown,
            written: written.filter(|_| mistakes.is_empty()),
            mistakes,
        })
    }

    /// The rollout, where the form is complete and nothing in it is wrong.
    pub fn written(&self) -> Option<NewRollout> {
        self.written.clone()
    }

    /// The same page with what an operation found wrong.
    pub fn with(mut self, mistakes: Mistakes) -> Self {
        self.mistakes.0.extend(mistakes.0);
        self
    }

    /// Asks; 422 where something is wrong.
    pub fn response(&self) -> Response {
        let status = if self.mistakes.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }

    /// What is wrong with a setting of a ring.
    fn wrong(&self, ring: &str, field: &Field) -> Option<&str> {
        self.mistakes
            .of(&format!("policies.{ring}.{}", field.setting.field()))
    }
}
