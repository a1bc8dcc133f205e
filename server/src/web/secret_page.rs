//! A page that shows a secret, the one time it is shown.

use askama::Template;

use super::frame::Frame;
use super::parts::{Link, When};

/// What was made.
#[derive(Template)]
#[template(path = "pages/secret.html")]
pub struct SecretPage {
    /// Around the page.
    pub frame: Frame,
    /// Where it comes from; the last one is where people go on.
    pub crumbs: Vec<Link>,
    /// What was made: `Enrolment token for Production`.
    pub heading: String,
    /// What to do with it.
    pub lead: String,
    /// What is shown: `Token`, `Link`.
    pub label: &'static str,
    /// The secret.
    pub secret: String,
    /// When it ends.
    pub expires: When,
    /// A command line that uses it, with what it does.
    pub command: Option<(&'static str, String)>,
}

impl SecretPage {
    /// Where people go on.
    fn back(&self) -> &str {
        self.crumbs.last().map_or("/overview", |c| c.href.as_str())
    }

    /// For snapshots.
    #[cfg(test)]
    fn sample() -> Self {
        let frame = Frame::sample(super::frame::Nav::Enrolment, "Enrolment token", "/x");
        Self {
            expires: frame.when(frame.now + chrono::TimeDelta::hours(24)),
            frame,
            crumbs: vec![Link::new("Enrolment tokens", "/enrolment-tokens")],
            heading: "Enrolment token for Production".to_owned(),
            lead: "Give it to the devices that are to come in.".to_owned(),
            label: "Token",
            secret: "rfe_0123".to_owned(),
            command: Some(("A simulated fleet", "ringfence-agent simulate".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_with_what_to_do_with_it() {
        insta::assert_snapshot!(crate::web::frame::main_of(&SecretPage::sample()));
    }
}
