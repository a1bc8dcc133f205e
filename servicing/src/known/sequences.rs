//! Real sequences to start from: drafts, since sizes and SHA-256 are computed by whoever has the files.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{KbNumber, Sequence};

/// Why an update must not be installed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Reason, in words.
    pub reason: String,
    /// What takes its place.
    pub replaced_by: Option<KbNumber>,
}

/// A sequence that shipped with this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownSequence {
    /// The sequence, as a draft.
    pub sequence: Sequence,
    /// Whether its publisher pulled it.
    pub withdrawn: Option<Withdrawal>,
    /// How sure its parts are, in words.
    pub trust: String,
}

#[derive(Deserialize)]
struct File {
    sequences: Vec<Map<String, Value>>,
}

/// What surrounds a sequence in the file is taken out first: sequences refuse fields they do not know.
fn read(mut entry: Map<String, Value>) -> serde_json::Result<KnownSequence> {
    let mut take = |name: &str| entry.remove(name).unwrap_or_default();
    Ok(KnownSequence {
        withdrawn: serde_json::from_value(take("withdrawn"))?,
        trust: serde_json::from_value(take("trust"))?,
        sequence: serde_json::from_value(Value::Object(entry))?,
    })
}

static FILE: LazyLock<Vec<KnownSequence>> = LazyLock::new(|| {
    serde_json::from_str::<File>(include_str!("../../data/kb_sequences.json"))
        .and_then(|file| file.sequences.into_iter().map(read).collect())
        .expect("the file is compiled in, and a test reads every sequence")
});

/// Known sequences.
#[must_use]
pub fn known_sequences() -> &'static [KnownSequence] {
    &FILE
}
