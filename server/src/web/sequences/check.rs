//! Whether a text is a sequence that can be saved, and what is missing before it can be published.

use servicing::{Completeness, FieldError, Sequence};

use super::lines::line_of;
use crate::error::OpError;
use crate::http::parse_json;

/// A sequence that is complete enough to be saved. A test holds this.
pub(super) const EXAMPLE: &str = include_str!("example.json");

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub field: String,
    pub line: Option<usize>,
    pub expected: String,
}

/// What checking found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// It was checked.
    pub checked: bool,
    /// It can not be read: nothing behind the first mistake was looked at.
    pub unread: bool,
    /// Mistakes that keep it from being saved.
    pub wrong: Vec<Wrong>,
    /// What is missing before it can be published.
    pub missing: Vec<Wrong>,
}

/// Reads and checks a text; what was read is there where it can be saved.
pub(super) fn check(text: &str) -> (Option<Sequence>, Found) {
    let mut found = Found {
        checked: true,
        ..Found::default()
    };
    let at = |fields: Vec<FieldError>| -> Vec<Wrong> {
        let wrong = fields.into_iter().map(|e| Wrong {
            line: line_of(text, &e.field),
            field: e.field,
            expected: e.expected,
        });
        wrong.collect()
    };
    let sequence = match parse_json::<Sequence>(text.as_bytes()) {
        Ok(sequence) => sequence,
        Err(OpError::Invalid(fields)) => {
            found.unread = true;
            found.wrong = fields.into_iter().map(unreadable).collect();
            return (None, found);
        }
        Err(_) => return (None, found),
    };
    found.wrong = at(sequence
        .validate(Completeness::Draft)
        .err()
        .unwrap_or_default());
    if found.wrong.is_empty() {
        found.missing = at(sequence
            .validate(Completeness::Publish)
            .err()
            .unwrap_or_default());
        return (Some(sequence), found);
    }
    (None, found)
}

/// The reader of JSON says at the end where it stopped: `... at line 3 column 5`.
fn unreadable(error: FieldError) -> Wrong {
    let (text, at) = match error.expected.rsplit_once(" at line ") {
        Some((text, at)) => (text.to_owned(), Some(at)),
        None => (error.expected, None),
    };
    let line = at.and_then(|at| at.split(' ').next()?.parse().ok());
    Wrong {
        field: match error.field.as_str() {
            "body" => "the text".to_owned(),
            _ => error.field,
        },
        line,
        expected: plain(&text),
    }
}

/// What the reader of JSON says, for people who do not know its words.
fn plain(text: &str) -> String {
    if text.starts_with("EOF") {
        return "The text ends too early.".to_owned();
    }
    let text = text.replace("struct Sequence", "an object with the fields of a sequence");
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.map_or_else(String::new, |first| {
        engine::words::ended(&format!("{first}{}", letters.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_can_be_saved_and_says_what_is_missing_to_publish_it() {
        let (read, found) = check(EXAMPLE);
        assert!(read.is_some());
        let wrong: Vec<_> = found.wrong.iter().chain(&found.missing).collect();
        insta::assert_debug_snapshot!(wrong);
    }

    #[test]
    fn a_text_that_can_not_be_read_names_the_line_where_reading_stopped() {
        let typo = EXAMPLE.replace("\"role\": \"lcu\"", "\"role\": \"LCU\"");
        let (_, found) = check(&typo);
        insta::assert_debug_snapshot!(found);
        let unknown = EXAMPLE.replace("\"label\"", "\"lable\"");
        let broken = "{ \"kb\": \"KB5086672\",\n \"title\": }";
        let found: Vec<Found> = [&unknown, broken, "", "[]", "{} {}"]
            .iter()
            .map(|text| check(text).1)
            .collect();
        insta::assert_debug_snapshot!(found);
    }
}
