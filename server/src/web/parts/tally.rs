//! Numbers of devices: each opens the list that it counts. A zero is muted and no link.

use askama::Template;
use askama::filters::HtmlSafe;

use super::number;

/// A number of devices.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(href) = href %}<a href="{{ href }}">{{ text }}</a>{% else %}<span{% if zero %} class="z"{% endif %}>{{ text }}</span>{% endif %}"#
)]
pub struct Tally {
    /// How many.
    pub n: u64,
    text: String,
    zero: bool,
    href: Option<String>,
}

impl HtmlSafe for Tally {}

impl Tally {
    /// A number whose list is found by these terms of the query language.
    pub fn found(n: u64, terms: &[String]) -> Self {
        Self::of(n, &terms.join(" "))
    }

    /// A number whose list is found by this query; no query, no list.
    pub fn of(n: u64, query: &str) -> Self {
        let href = (n > 0 && !query.is_empty()).then(|| device_list(query));
        Self {
            n,
            text: number(n),
            zero: n == 0,
            href,
        }
    }

    /// A number whose list no query can tell.
    pub fn plain(n: u64) -> Self {
        Self::of(n, "")
    }

    /// Muted.
    pub fn is_zero(&self) -> bool {
        self.zero
    }

    /// The same with other words: `7 failed`, `20.7 %`.
    #[must_use]
    pub fn said(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }
}

/// Address of the devices that a query finds.
pub fn device_list(query: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("/devices?q={query}")
}

/// A term such as `ring:"Pilot"`. A quote can not be written in one: any character stands for it.
pub fn term(key: &str, value: &str) -> String {
    format!("{key}:\"{}\"", value.replace('"', "*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_opens_its_list_and_a_zero_does_not() {
        let terms = [
            term("ring", "Büro \"Nord\" & <Süd>"),
            "state:failed".to_owned(),
        ];
        assert_eq!(
            Tally::found(1_200, &terms).to_string(),
            r#"<a href="/devices?q=ring%3A%22B%C3%BCro+*Nord*+%26+%3CS%C3%BCd%3E%22+state%3Afailed">1,200</a>"#
        );
        assert_eq!(
            Tally::found(0, &terms).to_string(),
            r#"<span class="z">0</span>"#
        );
        assert_eq!(Tally::plain(3).to_string(), "<span>3</span>");
    }
}
