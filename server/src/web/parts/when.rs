//! Times: local, 24 hours, exact for programs.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;

/// A time as `<time>`.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ exact }}">{{ text }}</time>"#
)]
pub struct When {
    exact: String,
    text: String,
}

impl HtmlSafe for When {}

impl When {
    /// `08:12` on the day of `now`, else `Tue 7 Apr 08:12`; with the year where it is another.
    pub fn near(at: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> Self {
        let (local, here) = (at.with_timezone(&zone), now.with_timezone(&zone));
        let format = if local.date_naive() == here.date_naive() {
            "%H:%M"
        } else if local.format("%Y").to_string() == here.format("%Y").to_string() {
            "%a %-d %b %H:%M"
        } else {
            "%a %-d %b %Y %H:%M"
        };
        Self::written(at, zone, format)
    }

    /// `Tue 7 Apr 08:12:07 CEST`: once on a page, where it says how fresh it is.
    pub fn to_the_second(at: DateTime<Utc>, zone: Tz) -> Self {
        Self::written(at, zone, "%a %-d %b %H:%M:%S %Z")
    }

    /// `08:12:07`, for events that follow each other closely.
    pub fn clock(at: DateTime<Utc>, zone: Tz) -> Self {
        Self::written(at, zone, "%H:%M:%S")
    }

    /// `Tue 7 Apr 2026`.
    pub fn day(at: DateTime<Utc>, zone: Tz) -> Self {
        Self::written(at, zone, "%a %-d %b %Y")
    }

    fn written(at: DateTime<Utc>, zone: Tz, format: &str) -> Self {
        let local = at.with_timezone(&zone);
        Self {
            exact: local.to_rfc3339_opts(SecondsFormat::Secs, true),
            text: local.format(format).to_string(),
        }
    }

    /// Its text alone, for sentences and labels.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_short_as_it_can_be_understood() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let now = at("2026-04-07T06:12:07Z");
        let zone = Tz::Europe__Berlin;
        let text = |when: &str| When::near(at(when), zone, now).text;
        assert_eq!(text("2026-04-06T22:30:00Z"), "00:30");
        assert_eq!(text("2026-04-06T20:30:00Z"), "Mon 6 Apr 22:30");
        assert_eq!(text("2025-12-31T12:00:00Z"), "Wed 31 Dec 2025 13:00");
        let html = When::to_the_second(now, zone).to_string();
        assert_eq!(
            html,
            r#"<time datetime="2026-04-07T08:12:07+02:00">Tue 7 Apr 08:12:07 CEST</time>"#
        );
    }
}
