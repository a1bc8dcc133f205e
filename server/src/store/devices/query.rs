//! The language in which devices are looked for: the terms of ring rules, and terms about place and progress.
//!
//! | Term | Takes devices |
//! |---|---|
//! | every term of [`engine::ring::Query`] | as there |
//! | `track:"Production"`, `ring:Pilot` | of a track or ring with that name; `*` for anything |
//! | `serial:PF3*` | whose serial matches |
//! | `status:revoked` | `admitted`, `awaiting_approval` or `revoked` |
//! | `pinned:yes`, `clone:yes` | pinned to a ring; suspected to be two machines |
//! | `seen<2d`, `seen>12h` | heard of less, or longer, ago: minutes `m`, hours `h`, days `d` |
//! | `rollout:<uuid>` | that the rollout is for, or that began it; `ring:` is then the ring in which they are there |
//! | `state:failed` | that are there in the rollout |
//! | `error:0x80073712` | whose last failure in the rollout has that code |
//! | `class:targeted` | of that class for the rollout, as its populations count them |
//!
//! Without `rollout:`, the last three are about the newest rollout of the device's track that is live and for it.

use std::fmt;
use std::str::FromStr;

use engine::ring::{self, Comparison, Pattern, QueryError, Reader, Term, terms};
use servicing::HResult;
use uuid::Uuid;

use super::DeviceStatus;

const TERM: &str = "a term such as ring:Pilot, state:failed, model:\"Latitude 5440\", build<26100.8117 or -host:LAB-*";

/// Words of `state:`. `targeted`, `complete` and `ahead` are those of devices that have not begun; `not_ready` is
/// said beside another state; `not_applicable` is both what a device said and what is known before it began.
pub const STATES: [&str; 22] = [
    "targeted",
    "downloading",
    "ready",
    "restart_agreed",
    "permitted",
    "installing",
    "step_done",
    "restarting",
    "verifying",
    "succeeded",
    "failed",
    "remediating",
    "rolled_back",
    "removed",
    "not_removed",
    "hang_suspected",
    "lost",
    "not_ready",
    "not_applicable",
    "installed_elsewhere",
    "complete",
    "ahead",
];

/// Longest time that `seen` compares with, in minutes: contacts are kept for 45 days.
const LONGEST_AGO: u32 = 45 * 24 * 60;

/// A class of a population: `targeted`, `complete`, `ahead`, `not_applicable`, or that with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class(pub String);

/// What a term asks of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// As in ring rules.
    Device(ring::Test),
    /// Name of its track.
    Track(Pattern),
    /// Name of its ring.
    Ring(Pattern),
    /// Serial.
    Serial(Pattern),
    /// Whether it may work.
    Status(DeviceStatus),
    /// It is pinned to a ring, or is not.
    Pinned(bool),
    /// Two machines report as it, or do not.
    Clone(bool),
    /// Last contact so many minutes ago.
    Seen(Comparison, u32),
    /// The rollout that the next three are about.
    Rollout(Uuid),
    /// How far it is.
    State(&'static str),
    /// Code of its failure.
    Error(HResult),
    /// Of which class it is.
    Class(Class),
}

/// Terms that must all hold; none: every device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceQuery {
    text: String,
    /// The terms.
    pub terms: Vec<Term<Test>>,
}

impl DeviceQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Where the text stops being one, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut rollouts = 0;
        let terms = terms(text, TERM, |key, rest| {
            if key == "rollout" {
                rollouts += 1;
                if rollouts > 1 {
                    return Some(Err(QueryError::new(rest.at(), "one rollout: at most")));
                }
            }
            read(key, rest)
        })?;
        if terms
            .iter()
            .any(|t| t.negated && matches!(t.test, Test::Rollout(_)))
        {
            let at = text.to_ascii_lowercase().find("-rollout").unwrap_or(0);
            let expected = "rollout: without a minus: it says which rollout state:, error: and class: are about";
            return Err(QueryError::new(at, expected));
        }
        Ok(Self {
            text: text.to_owned(),
            terms,
        })
    }

    /// Each of its terms as it is written, with the query that is left without it.
    #[must_use]
    pub fn without_each(&self) -> Vec<(String, Self)> {
        let cut = |term: &Term<Test>| {
            let rest = format!(
                "{} {}",
                &self.text[..term.span.start],
                &self.text[term.span.end..]
            );
            let term = self.text[term.span.clone()].to_owned();
            Some((term, Self::parse(rest.trim()).ok()?))
        };
        self.terms.iter().filter_map(cut).collect()
    }

    /// The same, of one status.
    #[must_use]
    pub fn with_status(mut self, status: DeviceStatus) -> Self {
        self.terms.push(Term {
            negated: false,
            test: Test::Status(status),
            span: 0..0,
        });
        self
    }

    /// The rollout that it names.
    #[must_use]
    pub fn rollout(&self) -> Option<Uuid> {
        self.terms.iter().find_map(|t| match t.test {
            Test::Rollout(id) => Some(id),
            _ => None,
        })
    }

    /// It asks of nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// Reads what follows a key.
fn read(key: &str, rest: &mut Reader<'_>) -> Option<Result<Test, QueryError>> {
    if let Some(test) = ring::Test::read(key, rest) {
        return Some(test.map(Test::Device));
    }
    let pattern = |rest: &mut Reader<'_>| rest.value().map(|(text, _)| Pattern::new(&text));
    Some(match key {
        "track" => pattern(rest).map(Test::Track),
        "ring" => pattern(rest).map(Test::Ring),
        "serial" => pattern(rest).map(Test::Serial),
        "status" => word(rest, &["admitted", "awaiting_approval", "revoked"]).map(|w| {
            Test::Status(match w {
                "admitted" => DeviceStatus::Admitted,
                "revoked" => DeviceStatus::Revoked,
                _ => DeviceStatus::AwaitingApproval,
            })
        }),
        "pinned" => word(rest, &["yes", "no"]).map(|w| Test::Pinned(w == "yes")),
        "clone" => word(rest, &["yes", "no"]).map(|w| Test::Clone(w == "yes")),
        "seen" => seen(rest),
        "rollout" => rest.value().and_then(|(text, at)| {
            Uuid::parse_str(&text)
                .map(Test::Rollout)
                .map_err(|_| QueryError::new(at, "the UUID of a rollout"))
        }),
        "state" => word(rest, &STATES).map(Test::State),
        "error" => rest.parsed().map(Test::Error),
        "class" => class(rest).map(Test::Class),
        _ => return None,
    })
}

/// One of some words, in any case.
fn word(rest: &mut Reader<'_>, words: &[&'static str]) -> Result<&'static str, QueryError> {
    let (text, at) = rest.value()?;
    let known = words.iter().find(|w| w.eq_ignore_ascii_case(&text));
    let expected = || match words {
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
        [] => String::new(),
    };
    known
        .copied()
        .ok_or_else(|| QueryError::new(at, expected()))
}

fn class(rest: &mut Reader<'_>) -> Result<Class, QueryError> {
    let (text, at) = rest.value()?;
    let text = text.to_ascii_lowercase();
    let why = text.strip_prefix("not_applicable:");
    let known = matches!(
        text.as_str(),
        "targeted" | "complete" | "ahead" | "not_applicable"
    ) || why.is_some_and(|why| {
        !why.is_empty() && why.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    if known {
        return Ok(Class(text));
    }
    let expected = "targeted, complete, ahead, not_applicable, or a reason such as not_applicable:architecture";
    Err(QueryError::new(at, expected))
}

fn seen(rest: &mut Reader<'_>) -> Result<Test, QueryError> {
    const TIME: &str = "a time of at most 45 days, such as 30m, 12h or 2d";
    let (comparison, text, at) = rest.compared("a time such as 2d")?;
    if comparison == Comparison::Equal {
        return Err(QueryError::new(
            at - 1,
            "<, <=, > or >= and a time such as 2d",
        ));
    }
    let unit = match text.chars().last() {
        Some('m') => 1,
        Some('h') => 60,
        Some('d') => 24 * 60,
        _ => return Err(QueryError::new(at, TIME)),
    };
    let minutes = text[..text.len() - 1]
        .parse::<u32>()
        .ok()
        .and_then(|n| n.checked_mul(unit))
        .filter(|n| (1..=LONGEST_AGO).contains(n));
    minutes
        .map(|minutes| Test::Seen(comparison, minutes))
        .ok_or_else(|| QueryError::new(at, TIME))
}

impl fmt::Display for DeviceQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DeviceQuery {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        DeviceQuery::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_term_that_is_documented_is_read() {
        let text = "track:\"Production\" ring:pilot model:\"Latitude 5440\" build<26100.8117 state:failed error:0x80073712 \
                    rollout:01a1f90a-ee2a-760e-9ef9-2204d63f8147 status:revoked tag:pilot host:LAB-* arch:arm64 class:complete \
                    -edition:enterprise seen<2d pinned:yes clone:no serial:PF3* class:not_applicable:architecture";
        let query = DeviceQuery::parse(text).unwrap();
        assert_eq!(query.terms.len(), 18);
        assert_eq!(query.terms.iter().filter(|t| t.negated).count(), 1);
        assert!(query.rollout().is_some());
        assert!(DeviceQuery::parse("  ").unwrap().is_empty());
    }

    #[test]
    fn every_state_is_a_word_of_the_language() {
        for state in STATES {
            assert!(DeviceQuery::parse(&format!("state:{state}")).is_ok());
        }
    }

    #[test]
    fn a_mistake_is_shown_where_it_is_with_what_was_expected() {
        insta::assert_snapshot!(wrong("ring:Pilot colour:red"), @r#"at 11: expected a term such as ring:Pilot, state:failed, model:"Latitude 5440", build<26100.8117 or -host:LAB-*"#);
        insta::assert_snapshot!(wrong("status:gone"), @"at 7: expected admitted, awaiting_approval or revoked");
        insta::assert_snapshot!(wrong("error:80073712"), @"at 6: expected a result code such as 0x80073712");
        insta::assert_snapshot!(wrong("seen<soon"), @"at 5: expected a time of at most 45 days, such as 30m, 12h or 2d");
        insta::assert_snapshot!(wrong("seen:2d"), @"at 4: expected <, <=, > or >= and a time such as 2d");
        insta::assert_snapshot!(wrong("rollout:KB5086672"), @"at 8: expected the UUID of a rollout");
        insta::assert_snapshot!(wrong("class:contaminated"), @"at 6: expected targeted, complete, ahead, not_applicable, or a reason such as not_applicable:architecture");
        let rollout = "rollout:01a1f90a-ee2a-760e-9ef9-2204d63f8147";
        insta::assert_snapshot!(wrong(&format!("{rollout} {rollout}")), @"at 52: expected one rollout: at most");
        insta::assert_snapshot!(wrong(&format!("tag:a -{rollout}")), @"at 6: expected rollout: without a minus: it says which rollout state:, error: and class: are about");
    }
}
