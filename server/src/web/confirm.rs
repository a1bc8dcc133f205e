//! A page that asks once more: what will be touched, how many, and why.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::form::Mistakes;
use super::frame::Frame;
use super::parts::Link;
use super::problem_page::html;
use super::step_up;

/// What is asked.
#[derive(Template)]
#[template(path = "pages/confirm.html")]
pub struct Confirm {
    /// Around the page.
    pub frame: Frame,
    /// Where it comes from; the last one is where Cancel leads.
    pub crumbs: Vec<Link>,
    /// The question: `Halt KB5086672 on Production?`
    pub heading: String,
    /// What it touches and how many, what stays as it is, and who can take it back.
    pub touches: Vec<String>,
    /// Where the form goes.
    pub action: String,
    /// The button: `Halt 1 rollout`.
    pub button: String,
    /// It takes something away.
    pub danger: bool,
    /// What was typed as the reason; none where none is asked for.
    pub reason: Option<String>,
    /// Further fields.
    pub fields: Vec<TextField>,
    /// What is wrong.
    pub mistakes: Mistakes,
    /// It needs the password given a short while ago.
    pub needs_step_up: bool,
}

/// A line of text in a form.
pub struct TextField {
    /// Name.
    pub name: &'static str,
    /// Label.
    pub label: &'static str,
    /// What belongs there.
    pub hint: &'static str,
    /// What was typed.
    pub value: String,
}

impl Confirm {
    /// Where Cancel leads.
    fn back(&self) -> &str {
        self.crumbs.last().map_or("/overview", |c| c.href.as_str())
    }

    /// The password has to be given first.
    fn must_step_up(&self) -> bool {
        self.needs_step_up && !self.frame.stepped_up
    }

    fn step_up(&self) -> String {
        step_up::address(&self.frame.here)
    }

    /// Asks; 422 where it was answered wrongly.
    pub fn response(&self) -> Response {
        let status = if self.mistakes.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }
}
