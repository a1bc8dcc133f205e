//! Errors as problem+json. The one place where an outcome becomes a status; causes are logged here, once.

use agent_protocol::{FieldProblem, Problem};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt;

use crate::error::OpError;
use crate::room::Full;

/// A handler's failure.
#[derive(Debug)]
pub enum Failure {
    /// An operation said no.
    Op(OpError),
    /// Who are you?
    Unauthorized(&'static str),
    /// You may not.
    Forbidden(String),
    /// Too large.
    TooLarge(String),
    /// Not in a form that this call reads.
    UnsupportedMedia(String),
    /// Come again later; the answer says when, with jitter.
    Unavailable(&'static str),
    /// Ready-made.
    Problem(Box<Problem>),
}

impl<E: Into<OpError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Op(error.into())
    }
}

/// Too many ask at once.
pub fn busy(_: Full) -> Failure {
    Failure::Unavailable("Too many ask at once. Come again later.")
}

/// A problem without fields.
#[must_use]
pub fn problem(status: StatusCode, word: &str, title: &str, detail: impl Into<String>) -> Problem {
    Problem {
        kind: format!("/problems/{word}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail: Some(detail.into()),
        fields: Vec::new(),
        epoch: None,
        acked: None,
    }
}

fn of_operation(error: OpError) -> Problem {
    match error {
        OpError::NotFound { what } => problem(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("There is no such {what}."),
        ),
        OpError::Conflict(why) => problem(StatusCode::CONFLICT, "conflict", "Conflict", why),
        OpError::Refused { code, sentence } => problem(
            StatusCode::CONFLICT,
            &format!("refused/{}", code.replace('_', "-")),
            "Refused by the rules",
            sentence,
        ),
        OpError::Invalid(fields) => Problem {
            fields: fields
                .into_iter()
                .map(|f| FieldProblem {
                    field: f.field,
                    expected: f.expected,
                })
                .collect(),
            ..problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "The input is not valid",
                "Nothing was changed. See `fields`.",
            )
        },
        OpError::Unavailable(cause) => {
            tracing::warn!(error = ?cause, "the database did not answer a request");
            problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Unavailable",
                "The database does not answer. Try again later.",
            )
        }
        OpError::Internal(cause) => {
            tracing::error!(error = ?cause, "a request failed");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
                "Nothing is known to be lost. The cause is in the server's log.",
            )
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = match self {
            Self::Op(error) => of_operation(error),
            Self::Unauthorized(why) => problem(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Unauthorized",
                why,
            ),
            Self::Forbidden(why) => problem(StatusCode::FORBIDDEN, "forbidden", "Forbidden", why),
            Self::TooLarge(why) => {
                problem(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", why)
            }
            Self::UnsupportedMedia(why) => problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "Unsupported media type",
                why,
            ),
            Self::Unavailable(why) => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Unavailable",
                why,
            ),
            Self::Problem(problem) => *problem,
        };
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&problem)).into_response();
        // For pages, which show it in their own way.
        response.extensions_mut().insert(problem);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // A herd that was turned away together must not come back together.
            let seconds = rand::rng().random_range(5..=60_u32);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
