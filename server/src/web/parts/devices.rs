//! Numbers that count devices: each leads to the list that it counts.

use askama::Template;
use askama::filters::HtmlSafe;
use engine::words::number;

/// A number of devices as a link to its list; a zero leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(href) = href %}<a href="{{ href }}">{{ n }}</a>{% else %}{{ n }}{% endif %}"#
)]
pub struct DeviceCount {
    /// The number.
    pub n: String,
    /// Its list.
    pub href: Option<String>,
}

impl HtmlSafe for DeviceCount {}

impl DeviceCount {
    /// So many devices, found by a query.
    pub fn new(n: u64, query: &str) -> Self {
        Self {
            n: number(n),
            href: (n > 0).then(|| device_list(query)),
        }
    }

    /// So many devices of which there is no list.
    pub fn plain(n: u64) -> Self {
        Self {
            n: number(n),
            href: None,
        }
    }

    /// Muted.
    pub fn is_zero(&self) -> bool {
        self.n == "0"
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
    fn a_count_leads_to_its_list_and_a_zero_nowhere() {
        let query = format!("state:failed {}", term("ring", "Büro \"Nord\" & <Süd>"));
        assert_eq!(
            DeviceCount::new(1_840, &query).to_string(),
            "<a href=\"/devices?q=state%3Afailed+ring%3A%22B%C3%BCro+*Nord*+%26+%3CS%C3%BCd%3E%22\">1,840</a>"
        );
        assert_eq!(DeviceCount::new(0, &query).to_string(), "0");
    }
}
