//! JSON bodies whose errors name the field.

use std::error::Error;

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::Failure;
use crate::error::OpError;
use crate::room::{Full, Room};

/// A JSON body, parsed strictly. A wrong one is answered with the path of the field and what was expected.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| {
                v.split(';')
                    .next()
                    .is_some_and(|v| v.trim().eq_ignore_ascii_case("application/json"))
            });
        if !json {
            return Err(Failure::UnsupportedMedia(
                "The body must be application/json.".into(),
            ));
        }
        if let Some(room) = request.extensions().get::<Room>().cloned() {
            return Ok(Self(parse_json(&read(request, &room).await?)?));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                too_large()
            } else {
                incomplete()
            }
        })?;
        Ok(Self(parse_json(&bytes)?))
    }
}

/// Reads a body of which every byte counts from the moment it arrives: many slow ones are as large as few fast ones.
async fn read(request: Request, room: &Room) -> Result<Vec<u8>, Failure> {
    let mut body = request.with_limited_body().into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            if is_too_large(&e) {
                too_large()
            } else {
                incomplete()
            }
        })?;
        if let Ok(data) = frame.into_data() {
            room.take(data.len()).map_err(|Full| {
                Failure::Unavailable("Too much is being taken in at once. Send it again later.")
            })?;
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn too_large() -> Failure {
    Failure::TooLarge("The body is larger than this call takes.".into())
}

fn incomplete() -> Failure {
    Failure::Op(OpError::field("body", "a complete body"))
}

/// Parses JSON; the error names the field's path and what was expected there.
///
/// # Errors
/// [`OpError::Invalid`] with one field.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, OpError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Named(&mut deserializer)).map_err(|e| {
        let path = e.path().to_string();
        let field = if path == "." || path == "?" {
            "body".to_owned()
        } else {
            path
        };
        OpError::field(field, e.into_inner().to_string())
    })?;
    deserializer
        .end()
        .map_err(|e| OpError::field("body", format!("one JSON value and nothing after it: {e}")))?;
    // PostgreSQL stores no NUL in text, and no field of ours has a use for one.
    let escaped = bytes.contains(&b'\\') && bytes.windows(6).any(|w| w == b"\\u0000");
    if escaped || bytes.contains(&0) {
        return Err(OpError::field("body", "no NUL character in any text"));
    }
    Ok(value)
}

/// A body with fields is an object. JSON readers would also take a list of the fields' values, in the order in which
/// the program happens to write them down.
struct Named<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Named<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Because {
        reason: String,
    }

    #[test]
    fn a_list_of_values_is_no_object() {
        let read = |text: &str| parse_json::<Because>(text.as_bytes()).map(|b| b.reason);
        assert_eq!(read(r#"{"reason":"VPN"}"#).unwrap(), "VPN");
        assert!(read(r#"["VPN"]"#).is_err());
        assert_eq!(parse_json::<Vec<u8>>(b"[1, 2]").unwrap(), [1, 2]);
    }
}
