//! `/approvals/{id}`: everything that one decision is made from.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use engine::approval::RequestState;
use engine::words::ended;
use servicing::KnownIssue;
use uuid::Uuid;

use super::asked::Asked;
use super::decision::{Choice, Panel};
use super::differences::{Difference, differences};
use super::outlook::{Does, Outlook};
use super::voters::{Reader, Voter};
use super::words::outcome;
use crate::app::App;
use crate::auth::{As, Right, Viewer, kinds};
use crate::http::{At, Failure};
use crate::views::CodeLine;
use crate::web::form::Mistakes;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{GateTable, State as Chip, Tally, When, around, isolated};
use crate::web::problem_page::html;
use crate::web::step_up;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/approvals/{id}", get(page))
}

/// What was typed.
#[derive(Debug, Default)]
pub struct Typed {
    pub reason: String,
    pub seen: Vec<String>,
}

/// An error code that devices failed with.
struct Code {
    code: String,
    meaning: String,
    remedy: String,
    devices: Tally,
}

impl Code {
    fn new(line: &CodeLine, rollout: Uuid) -> Self {
        let unknown = "This code is not in the list of known ones.";
        let terms = [format!("rollout:{rollout}"), format!("error:{}", line.code)];
        Self {
            code: line.code.to_string(),
            meaning: line.meaning.unwrap_or(unknown).to_owned(),
            remedy: line.remedy.unwrap_or_default().to_owned(),
            devices: Tally::found(line.devices, &terms),
        }
    }
}

/// The gate as it was frozen.
struct Gate {
    heading: String,
    summary: String,
    table: GateTable,
}

#[derive(Template)]
#[template(path = "pages/approval.html")]
pub struct ApprovalPage {
    frame: Frame,
    id: Uuid,
    rollout: Uuid,
    kb: String,
    title: String,
    track: String,
    ring: String,
    /// What stands before and after the name of the ring in what is asked.
    around: (&'static str, &'static str),
    state: Chip,
    requested_by: String,
    requested_at: When,
    expires_at: Option<When>,
    /// How it ended, and when.
    ended: Option<(String, Option<When>)>,
    outlook: Outlook,
    differences: Vec<Difference>,
    /// What the differences mean for the request.
    standing: String,
    gate: Option<Gate>,
    codes: Vec<Code>,
    started: u64,
    issues: Option<Vec<(String, String)>>,
    panel: Option<Panel>,
    /// Those who said yes, of a request that has ended.
    approved: Vec<Voter>,
    hash: String,
    mistakes: Mistakes,
    typed: Typed,
}

impl ApprovalPage {
    fn step_up(&self) -> String {
        step_up::address(&self.frame.here)
    }

    /// The page; 422 where the form was answered wrongly.
    pub fn response(&self) -> Response {
        let status = if self.mistakes.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }

    /// Reads the page for someone who has the right over the request's track.
    pub async fn read<R: Right>(
        app: &App,
        caller: As<R>,
        id: Uuid,
        typed: Typed,
        mistakes: Mistakes,
    ) -> Result<Self, Failure> {
        let person = caller.caller().clone();
        let asked = Asked::read(app, caller, id).await?;
        let reader = Reader {
            person: person.person(),
            decides: person.may::<kinds::Approver>(asked.track.id),
        };
        let here = format!("/approvals/{id}");
        let zone = Some(asked.track.time_zone);
        let heading = asked.heading();
        let frame = Frame::read(app, &person, Nav::Approvals, heading, here, zone).await?;
        Ok(Self::new(&asked, &reader, frame, typed, mistakes))
    }

    /// The page of what was read.
    pub fn new(
        asked: &Asked,
        reader: &Reader,
        frame: Frame,
        typed: Typed,
        mistakes: Mistakes,
    ) -> Self {
        let (line, rollout) = (&asked.line, &asked.rollout);
        let open = line.state_detail == RequestState::Open;
        let panel = Panel::new(asked, reader, &frame, &typed.seen);
        let compared = if open { differences(asked) } else { Vec::new() };
        let page = Self {
            id: line.id.0,
            rollout: rollout.line.id,
            outlook: Outlook::new(asked),
            standing: standing(&compared, &panel),
            differences: compared,
            gate: line.frozen.gate.as_ref().map(|report| Gate {
                heading: asked
                    .judged()
                    .map(|s| isolated(&s.name))
                    .unwrap_or_default(),
                summary: GateTable::summary(report),
                table: GateTable::new(report),
            }),
            codes: rollout
                .codes
                .iter()
                .map(|c| Code::new(c, rollout.line.id))
                .collect(),
            started: rollout.counts.started,
            issues: asked.sequence.as_deref().map(|s| {
                let issue = |i: &KnownIssue| (i.id.clone(), i.text.clone());
                s.known_issues.iter().map(issue).collect()
            }),
            ended: outcome(line, &asked.names)
                .map(|how| (how, asked.ended_at.map(|at| frame.when(at)))),
            state: Chip::of_request(&line.state_detail),
            requested_by: asked.names.actor(line.requested_by),
            requested_at: frame.when(line.requested_at),
            expires_at: open.then(|| frame.when(line.expires_at)),
            hash: line.hash.to_string(),
            approved: Vec::new(),
            panel: Some(panel),
            kb: asked.kb(),
            title: rollout.line.title.clone().unwrap_or_default(),
            track: asked.track.name.clone(),
            ring: line.ring_name.clone(),
            around: around(&line.ask),
            mistakes,
            typed,
            frame,
        };
        if open { page } else { page.closed() }
    }

    /// Of a request that has ended only those who said yes are left of the panel.
    fn closed(mut self) -> Self {
        if let Some(panel) = self.panel.take() {
            let said_yes = |v: &Voter| v.at.is_some();
            self.approved = panel.voters.into_iter().filter(said_yes).collect();
        }
        self
    }
}

/// What the differences come to, in a sentence.
fn standing(compared: &[Difference], panel: &Panel) -> String {
    let loud = compared.iter().filter(|d| d.is_loud()).count();
    let stands = match &panel.choice {
        Choice::No(why) if !panel.may_reject => ended(why),
        _ => "The request stands.".to_owned(),
    };
    match loud {
        0 => format!("Nothing got worse. {stands}"),
        1 => format!("1 line got worse or changed. {stands}"),
        n => format!("{n} lines got worse or changed. {stands}"),
    }
}

async fn page(State(app): State<App>, caller: Viewer, At(id): At<Uuid>) -> Shown {
    show(ApprovalPage::read(&app, caller, id, Typed::default(), Mistakes::none()).await?)
}
