//! `/tracks`: populations of devices, their rings in order, and how a device comes into one.

mod cohorts;
mod draft;
mod freezes;
mod holds;
mod list;
mod new;
mod page;
mod preview;
mod rings;

use axum::Router;
use engine::words;

use crate::app::App;
use crate::store::tracks::Ring;
use crate::web::parts::Link;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(new::router())
        .merge(page::router())
        .merge(rings::router())
        .merge(freezes::router())
        .merge(holds::router())
        .merge(cohorts::router())
}

/// How devices come into a ring, in words; a query stands behind them.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    words: String,
    query: Option<String>,
}

impl Rule {
    fn of(ring: &Ring, is_last: bool) -> Self {
        Self::new(ring.query.as_deref(), ring.share, is_last)
    }

    fn new(query: Option<&str>, share: Option<f64>, is_last: bool) -> Self {
        let words = match (query, share) {
            (Some(_), Some(share)) => {
                format!("{} of the devices that match", words::limit(share))
            }
            (Some(_), None) => "Every device that matches".to_owned(),
            (None, Some(share)) => format!("{} of all devices", words::limit(share)),
            (None, None) if is_last => "Every device that no ring before it takes".to_owned(),
            (None, None) => "Every device: rings after it stay empty".to_owned(),
        };
        Self {
            words,
            query: query.map(str::to_owned),
        }
    }
}

/// `Tracks / Production`.
fn crumbs(id: uuid::Uuid, name: &str) -> Vec<Link> {
    vec![
        Link::new("Tracks and rings", "/tracks"),
        Link::new(name, format!("/tracks/{id}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_said_in_words() {
        let words = |query, share, last| Rule::new(query, share, last).words;
        assert_eq!(
            words(Some("tag:x"), Some(2.5), false),
            "2.5 % of the devices that match"
        );
        assert_eq!(
            words(Some("tag:x"), None, false),
            "Every device that matches"
        );
        assert_eq!(words(None, Some(5.0), false), "5 % of all devices");
        assert!(words(None, None, true).ends_with("takes"));
        assert!(words(None, None, false).contains("stay empty"));
    }
}
