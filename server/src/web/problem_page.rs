//! Failures as pages: what happened, what is unharmed, what to do.

use agent_protocol::Problem;
use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::assets::address;
use super::parts::Bare;

#[derive(Template)]
#[template(path = "pages/problem.html")]
struct ProblemPage {
    bare: Bare,
    status: u16,
    heading: &'static str,
    detail: String,
    unharmed: &'static str,
    fields: Vec<(String, String)>,
    request_id: Option<String>,
    /// The page from which it was asked.
    back: Option<String>,
}

impl ProblemPage {
    fn new(problem: &Problem, request_id: Option<String>) -> Self {
        let (heading, unharmed) = match problem.status {
            403 => ("This is not yours to do", "Nothing was changed."),
            404 => ("There is nothing here", "Nothing was changed."),
            409 if problem.kind.starts_with("/problems/refused") => {
                ("The rules say no", "Nothing was changed.")
            }
            409 => ("It changed since you looked", "Nothing was changed."),
            422 => ("Something in the form is not right", "Nothing was changed."),
            503 if !problem.kind.ends_with("/unavailable") => {
                ("That took too long", "What was confirmed before is stored.")
            }
            503 => (
                "The database does not answer",
                "No permits are granted while it is away; devices keep their state.",
            ),
            400..=499 => ("That did not work", "Nothing was changed."),
            _ => (
                "Something went wrong on our side",
                "What was confirmed before is stored.",
            ),
        };
        Self {
            bare: Bare::new(heading),
            status: problem.status,
            heading,
            detail: problem.detail.clone().unwrap_or_default(),
            unharmed,
            fields: problem
                .fields
                .iter()
                .map(|f| (f.field.clone(), f.expected.clone()))
                .collect(),
            request_id,
            back: None,
        }
    }

    /// For snapshots.
    #[cfg(test)]
    fn sample() -> Self {
        let refused = crate::http::problem(
            StatusCode::CONFLICT,
            "refused/state",
            "Refused",
            "The rollout is halted: an admin with a reason can clear it.",
        );
        Self::new(&refused, Some("5d0c".to_owned()))
    }
}

/// Shows a failure as a page; everything else passes unchanged.
pub fn of(response: Response, back: Option<&str>) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else {
        return response;
    };
    let id = response
        .headers()
        .get("x-request-id")
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    let mut page = ProblemPage::new(problem, id);
    page.back = back.map(str::to_owned);
    let mut shown = (response.status(), html(&page)).into_response();
    if let Some(after) = response.headers().get(header::RETRY_AFTER) {
        shown
            .headers_mut()
            .insert(header::RETRY_AFTER, after.clone());
    }
    shown
}

/// A rendered page; one that can not be rendered is our mistake.
pub fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Bare {
    /// A page without navigation.
    pub fn new(title: &'static str) -> Self {
        Self {
            title,
            style: address("ringfence.css"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_is_unharmed_and_what_to_do() {
        insta::assert_snapshot!(crate::web::frame::main_of(&ProblemPage::sample()));
    }
}
