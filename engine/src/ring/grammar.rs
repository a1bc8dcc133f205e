//! How terms are written: `key:value`, `key:"a value"`, `key<value`, and `-` before a term that must not hold. Which
//! keys there are is left to each language.

use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::query::Comparison;

/// Longest query, in bytes: read for every device, so it has an end.
const MAX_LEN: usize = 2000;

/// A text that is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("at {at}: expected {expected}")]
pub struct QueryError {
    /// Byte at which it went wrong.
    pub at: usize,
    /// What would have been right.
    pub expected: String,
}

impl QueryError {
    /// What was expected at a byte.
    pub fn new(at: usize, expected: impl Into<String>) -> Self {
        Self {
            at,
            expected: expected.into(),
        }
    }
}

/// A test that must hold, or must not. Two of them are equal that ask the same, wherever they are written.
#[derive(Debug, Clone)]
pub struct Term<T> {
    /// It must not hold.
    pub negated: bool,
    /// What is tested.
    pub test: T,
    /// Bytes in which it is written.
    pub span: Range<usize>,
}

impl<T: PartialEq> PartialEq for Term<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.negated, &self.test) == (other.negated, &other.test)
    }
}

impl<T: Eq> Eq for Term<T> {}

/// Reads a text as terms. `read` gets a key in lower case and what follows it; it answers nothing for a key that it
/// does not know, which is then `expected`.
///
/// # Errors
/// Where the text stops being terms, and what was expected there.
pub fn terms<T>(
    text: &str,
    expected: &str,
    mut read: impl FnMut(&str, &mut Reader<'_>) -> Option<Result<T, QueryError>>,
) -> Result<Vec<Term<T>>, QueryError> {
    if text.len() > MAX_LEN {
        return Err(QueryError::new(MAX_LEN, format!("at most {MAX_LEN} bytes")));
    }
    let mut terms = Vec::new();
    let mut rest = Reader { text, at: 0 };
    while rest.skip_blanks() {
        let from = rest.at;
        let negated = rest.take("-");
        let start = rest.at;
        let key = rest
            .take_while(|c| c.is_ascii_alphabetic())
            .to_ascii_lowercase();
        let test = read(&key, &mut rest).ok_or_else(|| QueryError::new(start, expected))??;
        terms.push(Term {
            negated,
            test,
            span: from..rest.at,
        });
    }
    Ok(terms)
}

/// What is left to read.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Byte that is read next.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether anything follows.
    fn skip_blanks(&mut self) -> bool {
        let left = self.left();
        self.at += left.len() - left.trim_start().len();
        !self.left().is_empty()
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.left().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let left = self.left();
        let end = left.find(|c| !keep(c)).unwrap_or(left.len());
        self.at += end;
        &left[..end]
    }

    /// `:value` or `:"a value with blanks"`, and where it stands.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn value(&mut self) -> Result<(String, usize), QueryError> {
        if !self.take(":") {
            return Err(QueryError::new(self.at, "a colon"));
        }
        self.text()
    }

    /// `:name=value` or `:name="a value with blanks"`, whose name `is_name` takes.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn named(
        &mut self,
        is_name: fn(&str) -> bool,
        expected: &str,
    ) -> Result<(String, String), QueryError> {
        if !self.take(":") {
            return Err(QueryError::new(self.at, "a colon"));
        }
        let at = self.at;
        let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
        if !is_name(name) || !self.take("=") {
            return Err(QueryError::new(at, expected));
        }
        Ok((name.to_owned(), self.text()?.0))
    }

    /// `value` or `"a value with blanks"`, and where it stands.
    fn text(&mut self) -> Result<(String, usize), QueryError> {
        let at = self.at;
        let value = if self.take("\"") {
            let quoted = self.take_while(|c| c != '"');
            if !self.take("\"") {
                return Err(QueryError::new(self.at, "a closing quotation mark"));
            }
            if self.left().starts_with(|c: char| !c.is_whitespace()) {
                return Err(QueryError::new(self.at, "a blank between two terms"));
            }
            quoted
        } else {
            self.take_while(|c| !c.is_whitespace() && c != '"')
        };
        if self.left().starts_with('"') {
            return Err(QueryError::new(
                self.at,
                "quotation marks around the whole value",
            ));
        }
        if value.trim().is_empty() {
            Err(QueryError::new(at, "a value"))
        } else {
            Ok((value.to_owned(), at))
        }
    }

    /// A value of a type with words or a spelling of its own, in any case.
    ///
    /// # Errors
    /// What the type expects.
    pub fn parsed<T: FromStr<Err = servicing::ParseError>>(&mut self) -> Result<T, QueryError> {
        let (value, at) = self.value()?;
        value
            .to_ascii_lowercase()
            .parse()
            .map_err(|e: servicing::ParseError| QueryError::new(at, e.expected))
    }

    /// `<value`, `<=value`, `>value`, `>=value`, `=value` or `:value`, and where the value stands.
    ///
    /// # Errors
    /// Where there is no sign; `of` says what it would have compared with.
    pub fn compared(&mut self, of: &str) -> Result<(Comparison, &'a str, usize), QueryError> {
        // The longer sign first: `<` begins `<=`.
        let signs = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
            (":", Comparison::Equal),
        ];
        let Some((_, comparison)) = signs.into_iter().find(|(sign, _)| self.take(sign)) else {
            return Err(QueryError::new(
                self.at,
                format!("<, <=, >, >= or = and {of}"),
            ));
        };
        let at = self.at;
        Ok((comparison, self.take_while(|c| !c.is_whitespace()), at))
    }
}
