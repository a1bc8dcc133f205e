//! The device query language: terms that must all hold.
//!
//! | Term | Takes devices |
//! |---|---|
//! | `tag:pilot` | with that tag |
//! | `model:"Latitude 5*"`, `manufacturer:dell*`, `bios:1.2*`, `edition:enterprise`, `host:LAB-*` | whose text matches, in any case, `*` for anything |
//! | `arch:x64`, `product:client` | of that architecture or product |
//! | `attribute:edr="Contoso*"` | that report that attribute with a text that matches |
//! | `build<26100.8117`, also `<=`, `>`, `>=`, `=` | of that family on such a build |
//! | `-term` | for which the term does not hold |

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use servicing::{Architecture, Build, Facts, Product, is_attribute_name};

use super::grammar::{QueryError, Reader, Term, terms};
use super::pattern::Pattern;

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

/// Terms that must all hold. Serialised as the text people wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    terms: Vec<Term<Test>>,
}

/// What a term asks of a device. Languages that know more terms read these with [`Test::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// A text matches.
    Text(Field, Pattern),
    /// An attribute by its name matches.
    Attribute(String, Pattern),
    /// It is of this architecture.
    Arch(Architecture),
    /// It is of this product.
    Product(Product),
    /// It is on such a build of the family.
    Build(Comparison, Build),
}

/// A text of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Any of its tags.
    Tag,
    /// SMBIOS model.
    Model,
    /// SMBIOS manufacturer.
    Manufacturer,
    /// BIOS version.
    Bios,
    /// Edition.
    Edition,
    /// Host name.
    Host,
}

/// How two values must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Where the text stops being one, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let terms = terms(text, TERM, Test::read)?;
        if terms.is_empty() {
            return Err(QueryError::new(0, TERM));
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
    /// Reads what follows a key; nothing where the key is none of these.
    pub fn read(key: &str, rest: &mut Reader<'_>) -> Option<Result<Self, QueryError>> {
        let field = match key {
            "tag" => Field::Tag,
            "model" => Field::Model,
            "manufacturer" => Field::Manufacturer,
            "bios" => Field::Bios,
            "edition" => Field::Edition,
            "host" => Field::Host,
            "arch" => return Some(rest.parsed().map(Self::Arch)),
            "product" => return Some(rest.parsed().map(Self::Product)),
            "build" => return Some(build(rest)),
            "attribute" => {
                let named = rest.named(
                    is_attribute_name,
                    "an attribute, such as attribute:edr=Contoso*",
                );
                return Some(
                    named.map(|(name, value)| Self::Attribute(name, Pattern::new(&value))),
                );
            }
            _ => return None,
        };
        let value = rest.value();
        Some(value.map(|(value, _)| Self::Text(field, Pattern::new(&value))))
    }

    /// Whether it holds for a device.
    #[must_use]
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
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
            Self::Attribute(name, pattern) => facts
                .attributes
                .get(name)
                .is_some_and(|value| pattern.matches(value)),
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
    /// Whether this is how they compare.
    #[must_use]
    pub const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::More => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Equal => order.is_eq(),
        }
    }
}

fn build(rest: &mut Reader<'_>) -> Result<Test, QueryError> {
    let (comparison, build, at) = rest.compared("a build")?;
    build
        .parse()
        .map(|build| Test::Build(comparison, build))
        .map_err(|e: servicing::ParseError| QueryError::new(at, e.expected))
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
