//! Forms and filters as handlers take them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use servicing::FieldError;

use super::guard::Fields;
use crate::error::OpError;
use crate::http::Failure;

/// A form whose token was checked. Fields that were left blank are left out: give them `#[serde(default)]`, and say in
/// the handler what is missing, beside the field.
#[derive(Debug, Clone, Copy)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Form<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let fields = parts.extensions.remove::<Fields>();
        let fields = fields.ok_or_else(|| OpError::field("form", "a form"))?.0;
        Ok(Self(read(&fields)?))
    }
}

/// What a page was asked for in its query string. Parsed strictly, like a form: blank values are left out, because a
/// filter that is sent as a form has all its fields.
#[derive(Debug, Clone, Copy)]
pub struct Filter<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Filter<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        // PostgreSQL stores no NUL in text, so nothing can be looked up by one.
        if fields
            .iter()
            .any(|(name, value)| name.contains('\0') || value.contains('\0'))
        {
            return Err(OpError::field("query", "no NUL character in any value").into());
        }
        Ok(Self(read(&fields)?))
    }
}

/// Reads fields into a form's struct.
fn read<T: DeserializeOwned>(fields: &[(String, String)]) -> Result<T, OpError> {
    let text = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields.iter().filter(|(_, value)| !value.trim().is_empty()))
        .finish();
    serde_html_form::from_str(&text).map_err(|e| OpError::field("form", e.to_string()))
}

/// What is wrong with a form, for the fields it names.
#[derive(Debug, Clone, Default)]
pub struct Mistakes(pub Vec<FieldError>);

impl Mistakes {
    /// None yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// What was expected of a field, where it is wrong.
    pub fn of(&self, field: &str) -> Option<&str> {
        let wrong = self.0.iter().find(|e| e.field == field);
        wrong.map(|e| e.expected.as_str())
    }

    /// Whether it is the first field that is wrong: the cursor goes there, so that people find it without searching.
    pub fn begin_at(&self, field: &str) -> bool {
        self.0.first().is_some_and(|e| e.field == field)
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one.
    pub fn add(&mut self, field: &str, expected: impl Into<String>) {
        self.0.push(FieldError {
            field: field.to_owned(),
            expected: expected.into(),
        });
    }

    /// The same, where one field of the form has all that is wrong.
    pub fn under(self, field: &str) -> Self {
        let same = self.0.into_iter().map(|wrong| FieldError {
            field: field.to_owned(),
            ..wrong
        });
        Self(same.collect())
    }

    /// Takes what a person can mend in the form out of a failed operation; everything else stays a failure.
    ///
    /// # Errors
    /// What is not about fields.
    pub fn from_error(error: OpError) -> Result<Self, Failure> {
        match error {
            OpError::Invalid(fields) => Ok(Self(fields)),
            other => Err(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Typed {
        #[serde(default)]
        reason: String,
        #[serde(default)]
        role: Vec<String>,
    }

    fn typed(fields: &[(&str, &str)]) -> Result<Typed, OpError> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        read(&fields)
    }

    #[test]
    fn blank_fields_are_left_out_and_unknown_ones_refused() {
        let form = typed(&[("reason", "  "), ("role", "viewer"), ("role", "admin")]).unwrap();
        assert_eq!((form.reason.as_str(), form.role.len()), ("", 2));
        assert!(typed(&[("raeson", "x")]).is_err());
    }
}
