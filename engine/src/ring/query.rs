//! The device query language: terms that must all hold.
//!
//! | Term | Takes devices |
//! |---|---|
//! | `tag:pilot` | with that tag |
//! | `model:"Latitude 5*"`, `manufacturer:dell*`, `bios:1.2*`, `edition:enterprise`, `host:LAB-*` | whose text matches, in any case, `*` for anything |
//! | `arch:x64`, `product:client` | of that architecture or product |
//! | `build<26100.8117`, also `<=`, `>`, `>=`, `=` | of that family on such a build |
//! | `-term` | for which the term does not hold |

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use servicing::{Architecture, Build, Facts, Product};

use super::pattern::Pattern;

/// Longest query, in bytes: read for every device, so it has an end.
const MAX_LEN: usize = 2000;

const TERM: &str =
    "a term such as tag:pilot, model:\"Latitude 5440\", build<26100.8117 or -host:LAB-*";

/// What a query is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the device says about itself.
    pub facts: &'a Facts,
    /// Its host name.
    pub host_name: &'a str,
}

/// A text that is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("at {at}: expected {expected}")]
pub struct QueryError {
    /// Byte at which it went wrong.
    pub at: usize,
    /// What would have been right.
    pub expected: String,
}

/// Terms that must all hold. Serialised as the text people wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Text(Field, Pattern),
    Arch(Architecture),
    Product(Product),
    Build(Comparison, Build),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Tag,
    Model,
    Manufacturer,
    Bios,
    Edition,
    Host,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Where the text stops being one, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_LEN {
            return Err(error(MAX_LEN, &format!("at most {MAX_LEN} bytes")));
        }
        let mut terms = Vec::new();
        let mut rest = Rest { text, at: 0 };
        while rest.skip_blanks() {
            terms.push(term(&mut rest)?);
        }
        if terms.is_empty() {
            return Err(error(0, TERM));
        }
        Ok(Self {
            text: text.trim().to_owned(),
            terms,
        })
    }

    /// Whether every term holds for a device.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.terms
            .iter()
            .all(|term| term.test.holds(subject) != term.negated)
    }
}

impl Test {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let facts = subject.facts;
        match self {
            Self::Text(field, pattern) => match field {
                Field::Tag => facts.tags.iter().any(|tag| pattern.matches(tag)),
                Field::Model => pattern.matches(&facts.model),
                Field::Manufacturer => pattern.matches(&facts.manufacturer),
                Field::Bios => pattern.matches(&facts.bios_version),
                Field::Edition => pattern.matches(facts.edition.as_str()),
                Field::Host => pattern.matches(subject.host_name),
            },
            Self::Arch(arch) => facts.architecture == *arch,
            Self::Product(product) => facts.product == *product,
            // UBRs of another family say nothing: such a device is neither below nor above.
            Self::Build(comparison, build) => facts
                .build
                .compare(*build, facts.product, facts.series)
                .is_some_and(|order| comparison.holds(order)),
        }
    }
}

impl Comparison {
    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::More => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Equal => order.is_eq(),
        }
    }
}

/// What is left to read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn left(&self) -> &'a str {
        &self.text[self.at..]
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
}

fn error(at: usize, expected: &str) -> QueryError {
    QueryError {
        at,
        expected: expected.to_owned(),
    }
}

fn term(rest: &mut Rest<'_>) -> Result<Term, QueryError> {
    let negated = rest.take("-");
    let start = rest.at;
    let key = rest
        .take_while(|c| c.is_ascii_alphabetic())
        .to_ascii_lowercase();
    let text = |field, rest: &mut Rest<'_>| Ok(Test::Text(field, Pattern::new(&value(rest)?.0)));
    let test = match key.as_str() {
        "tag" => text(Field::Tag, rest),
        "model" => text(Field::Model, rest),
        "manufacturer" => text(Field::Manufacturer, rest),
        "bios" => text(Field::Bios, rest),
        "edition" => text(Field::Edition, rest),
        "host" => text(Field::Host, rest),
        "arch" => parsed(rest).map(Test::Arch),
        "product" => parsed(rest).map(Test::Product),
        "build" => build(rest),
        _ => Err(error(start, TERM)),
    }?;
    Ok(Term { negated, test })
}

/// `:value` or `:"a value with blanks"`, and where it stands.
fn value(rest: &mut Rest<'_>) -> Result<(String, usize), QueryError> {
    if !rest.take(":") {
        return Err(error(rest.at, "a colon"));
    }
    let at = rest.at;
    let value = if rest.take("\"") {
        let quoted = rest.take_while(|c| c != '"');
        if !rest.take("\"") {
            return Err(error(rest.at, "a closing quotation mark"));
        }
        if rest.left().starts_with(|c: char| !c.is_whitespace()) {
            return Err(error(rest.at, "a blank between two terms"));
        }
        quoted
    } else {
        rest.take_while(|c| !c.is_whitespace() && c != '"')
    };
    if rest.left().starts_with('"') {
        return Err(error(rest.at, "quotation marks around the whole value"));
    }
    if value.trim().is_empty() {
        Err(error(at, "a value"))
    } else {
        Ok((value.to_owned(), at))
    }
}

fn parsed<T: FromStr<Err = servicing::ParseError>>(rest: &mut Rest<'_>) -> Result<T, QueryError> {
    let (value, at) = value(rest)?;
    value
        .to_ascii_lowercase()
        .parse()
        .map_err(|e: servicing::ParseError| error(at, e.expected))
}

fn build(rest: &mut Rest<'_>) -> Result<Test, QueryError> {
    // The longer sign first: `<` begins `<=`.
    let signs = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::More),
        ("=", Comparison::Equal),
        (":", Comparison::Equal),
    ];
    let Some((_, comparison)) = signs.into_iter().find(|(sign, _)| rest.take(sign)) else {
        return Err(error(rest.at, "<, <=, >, >= or = and a build"));
    };
    let at = rest.at;
    let build = rest.take_while(|c| !c.is_whitespace());
    build
        .parse()
        .map(|build| Test::Build(comparison, build))
        .map_err(|e: servicing::ParseError| error(at, e.expected))
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::parse(text)
    }
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
