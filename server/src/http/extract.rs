//! What handlers are given: ids and query strings, parsed strictly, and lists that have an end.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::error::OpError;

/// Longest reason that people may give.
const LONGEST_REASON: usize = 1000;

/// The ids of a path.
#[derive(Debug, Clone, Copy)]
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id))
            .map_err(|_| OpError::field("id", "a UUID in the path").into())
    }
}

/// A query string, parsed strictly.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        // PostgreSQL stores no NUL in text, so nothing can be looked up by one.
        if parts.uri.query().is_some_and(|q| q.contains("%00")) {
            return Err(OpError::field("query", "no NUL character in any value").into());
        }
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(error) => {
                let text = error.body_text();
                let expected = text
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&text);
                Err(OpError::field("query", expected).into())
            }
        }
    }
}

/// Why someone does something: 1 to 1,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Why(String);

impl TryFrom<String> for Why {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        let control = text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t');
        if text.is_empty() || text.chars().count() > LONGEST_REASON || control {
            return Err("a reason of 1 to 1,000 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A body that is a reason and nothing else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// The reason.
    pub reason: Why,
}

impl Because {
    /// Its text.
    #[must_use]
    pub fn text(self) -> String {
        self.reason.0
    }
}

impl Why {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How many a list may hold: `fallback` where nobody asks for another number, at most `most`.
///
/// # Errors
/// [`OpError::Invalid`].
pub fn limit(asked: Option<i64>, fallback: i64, most: i64) -> Result<i64, OpError> {
    match asked {
        None => Ok(fallback),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(OpError::field("limit", format!("1 to {most}"))),
    }
}

/// A part of a list, and where the next part starts.
#[derive(Debug, Serialize)]
pub struct Page<T, C> {
    /// This part.
    pub items: Vec<T>,
    /// Cursor of the next part; none where this is the last one.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A part of at most `limit`; a full one has a successor.
    pub fn of(items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> C) -> Self {
        let full = usize::try_from(limit).is_ok_and(|limit| items.len() >= limit);
        let next = items.last().filter(|_| full).map(cursor);
        Self { items, next }
    }
}

/// A list that is always whole, because its length is bounded where it grows.
#[derive(Debug, Serialize)]
pub struct All<T> {
    /// Everything.
    pub items: Vec<T>,
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::http::parse_json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        limit: Option<i64>,
    }

    async fn query(text: &str) -> Result<Option<i64>, Failure> {
        let request = Request::builder()
            .uri(format!("/devices?{text}"))
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        Query::<Asked>::from_request_parts(&mut parts, &())
            .await
            .map(|q| q.0.limit)
    }

    #[tokio::test]
    async fn a_query_string_that_is_not_understood_is_refused() {
        assert_eq!(query("limit=5").await.unwrap(), Some(5));
        assert_eq!(query("").await.unwrap(), None);
        for wrong in [
            "limits=5",
            "limit=five",
            "limit=5&limit=6",
            "limit=5&x=%00",
            "limit=",
        ] {
            let failure = query(wrong).await.unwrap_err();
            assert!(
                matches!(failure, Failure::Op(OpError::Invalid(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_reason_says_something() {
        let read = |text: &str| parse_json::<Because>(text.as_bytes()).map(Because::text);
        assert_eq!(
            read(r#"{"reason":" The VPN fails. "}"#).unwrap(),
            "The VPN fails."
        );
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(1001));
        for wrong in [
            r#"{"reason":"  "}"#,
            r#"{"reason":"\u0007"}"#,
            r#"{}"#,
            r#"{"reason":"a","b":1}"#,
            &long,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_full_page_has_a_successor() {
        assert_eq!(Page::of(vec![1, 2], 2, |n| *n).next, Some(2));
        assert_eq!(Page::of(vec![1], 2, |n| *n).next, None);
        assert_eq!(Page::of(Vec::<i32>::new(), 2, |n| *n).next, None);
        assert!(limit(Some(0), 50, 200).is_err() && limit(Some(201), 50, 200).is_err());
        assert_eq!(limit(None, 50, 200).unwrap(), 50);
    }
}
