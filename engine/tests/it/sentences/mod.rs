//! Every sentence that the rules can say to a person, in one place each, to be read as people read them.

mod criteria;
mod events;
mod reasons;
mod refusals;
mod words;

use engine::halt::{HaltCause, Stream};
use engine::ids::CohortId;

use crate::lab::Lab;

/// Lines `what: sentence`. A sentence begins with a capital or a number and ends as one.
pub struct Table(Vec<String>);

impl Table {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn add(&mut self, what: &str, sentence: &str) {
        let first = sentence.chars().next().unwrap_or(' ');
        assert!(first.is_uppercase() || first.is_ascii_digit(), "{sentence}");
        assert!(sentence.ends_with(['.', '!', '?']), "{sentence}");
        assert!(!sentence.contains("  "), "{sentence}");
        assert!(!sentence.contains(".."), "{sentence}");
        self.0.push(format!("{what}: {sentence}"));
    }

    pub fn text(self) -> String {
        self.0.join("\n")
    }
}

pub fn cause(stream: Stream, failures: u64) -> HaltCause {
    HaltCause {
        stream,
        cohort: CohortId(7),
        name: "Latitude 7450".to_owned(),
        failures,
        started: 12,
    }
}

pub fn why() -> String {
    "month end".to_owned()
}

/// The reasons of a rollout as they are now.
pub fn lines(table: &mut Table, lab: &Lab) {
    for line in lab.why().lines() {
        let (code, sentence) = line.split_once(": ").unwrap();
        table.add(code, sentence);
    }
}
