//! Entries of the audit as sentences.

use std::collections::HashMap;

use engine::words::{count, devices, ended};
use uuid::Uuid;

use crate::store::audit::{Called, Stored};

/// A piece of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its text.
    pub text: String,
    /// Where it leads.
    pub href: Option<String>,
    /// A name, which can run from right to left.
    pub is_name: bool,
}

/// How people, tracks and what entries are about are called.
#[derive(Debug, Default)]
pub struct Names {
    /// People.
    pub people: HashMap<Uuid, String>,
    /// Tracks.
    pub tracks: HashMap<Uuid, String>,
    /// Everything else.
    pub called: Called,
}

/// Every action and what someone does to its subject. What follows the subject says [`more`].
pub const ACTIONS: &[(&str, &str)] = &[
    // People.
    ("person_added", "added"),
    ("person_disabled", "disabled"),
    ("person_enabled", "enabled"),
    ("roles_granted", "gave further roles to"),
    ("roles_set", "set the roles of"),
    ("sign_in_link_made", "made a sign-in link for"),
    ("password_chosen", "chose a password"),
    ("password_changed", "changed their password"),
    ("sessions_ended", "signed out everywhere"),
    ("token_added", "made an API token for"),
    ("token_revoked", "revoked an API token of"),
    // Tracks and devices.
    ("track_added", "added the track"),
    ("rings_defined", "defined the rings of"),
    ("devices_expected", "expects devices on"),
    ("rollback_started", "has devices remove"),
    ("rollback_stopped", "has no further devices remove"),
    ("freeze_added", "added a change freeze on"),
    ("freeze_lifted", "lifted a change freeze on"),
    ("hold_added", "added a known issue on"),
    ("hold_ended", "ended a known issue on"),
    ("enrolment_token_added", "made an enrolment token for"),
    ("enrolment_token_revoked", "revoked an enrolment token for"),
    ("device_enrolled", "enrolled"),
    ("device_enrolled_again", "enrolled again"),
    ("track_cohorts_set", "chose the cohorts of"),
    ("device_admitted", "admitted"),
    ("device_revoked", "revoked"),
    ("device_pinned", "pinned"),
    ("clone_suspected", "suspects a clone of"),
    // Sequences.
    ("publisher_key_added", "trusted the publisher key"),
    ("sequence_drafted", "wrote a draft of"),
    ("sequence_rewritten", "rewrote the draft of"),
    ("sequence_published", "published"),
    ("sequence_withdrawn", "withdrew"),
    // Rollouts.
    ("rollout_created", "wrote a rollout of"),
    ("submitted", "submitted"),
    ("started", "started"),
    ("stage_opened", "opened a ring for"),
    ("approval_requested", "asked for approval of"),
    ("approved", "approved a request for"),
    ("rejected", "rejected a request for"),
    ("request_void", "ended a request for"),
    ("request_expired", "ended a request for"),
    ("request_missing", "set a ring back in"),
    ("soaking", "began a soak of"),
    ("inconclusive", "found a gate inconclusive for"),
    ("override_requested", "asked to override a gate of"),
    ("expedite_requested", "asked to expedite"),
    ("expedited", "expedited"),
    ("stage_passed", "passed a gate of"),
    ("stage_overridden", "passed a gate by an override for"),
    ("paused", "paused"),
    ("resumed", "resumed"),
    ("halted", "halted"),
    ("halt_cleared", "cleared the halt of"),
    ("cancelled", "cancelled"),
    ("superseded", "ended"),
    ("withdrawn", "stopped"),
    ("completed", "completed"),
    ("devices_excluded", "left devices out of"),
    ("exclusion_ended", "took devices back into"),
];

/// What an action is called where it is chosen: `Roles set`.
pub fn name_of(action: &str) -> String {
    let text = action.replace('_', " ");
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// An entry as a sentence.
pub fn sentence(entry: &Stored, names: &Names) -> Vec<Piece> {
    let verb = ACTIONS.iter().find(|(word, _)| *word == entry.action);
    let verb = verb.map_or_else(
        || format!("did “{}” to", entry.action),
        |(_, verb)| (*verb).to_owned(),
    );
    let mut pieces = match entry.action.as_str() {
        "device_enrolled" | "device_enrolled_again" => {
            vec![object(entry, names), plain(format!(" {verb}"))]
        }
        "password_chosen" | "password_changed" | "sessions_ended" => {
            vec![who(entry, names), plain(format!(" {verb}"))]
        }
        _ => vec![
            who(entry, names),
            plain(format!(" {verb} ")),
            object(entry, names),
        ],
    };
    pieces.push(plain(more(entry)));
    pieces
}

fn plain(text: impl Into<String>) -> Piece {
    Piece {
        text: text.into(),
        href: None,
        is_name: false,
    }
}

fn name(text: impl Into<String>, href: Option<String>) -> Piece {
    Piece {
        text: text.into(),
        href,
        is_name: true,
    }
}

fn person(id: Uuid, names: &Names) -> Piece {
    let known = names.people.get(&id).cloned();
    let text = known.unwrap_or_else(|| "Somebody".to_owned());
    name(text, Some(format!("/people/{id}")))
}

fn who(entry: &Stored, names: &Names) -> Piece {
    match entry.actor {
        Some(id) => person(id, names),
        None if entry.subject.starts_with("rollout:") => plain("The engine"),
        None => plain("The service"),
    }
}

/// What the entry is about, with its page.
fn object(entry: &Stored, names: &Names) -> Piece {
    let (kind, id) = entry
        .subject
        .split_once(':')
        .unwrap_or((&entry.subject, ""));
    let Ok(id) = id.parse::<Uuid>() else {
        return plain(id);
    };
    let kb = |n: &i32| format!("KB{n}");
    match kind {
        "rollout" => {
            let called = names.called.rollouts.get(&id);
            let text = called.map(|(n, track)| format!("{} on {track}", kb(n)));
            let text = text.unwrap_or_else(|| "a rollout".to_owned());
            name(text, Some(format!("/rollouts/{id}")))
        }
        "device" => {
            let stored = names.called.devices.get(&id).map(String::as_str);
            let text = stored.or_else(|| entry.body["host_name"].as_str());
            name(text.unwrap_or("a device"), Some(format!("/devices/{id}")))
        }
        "sequence" => {
            let text = names.called.sequences.get(&id).map(kb);
            let text = text.unwrap_or_else(|| "a sequence".to_owned());
            name(text, Some(format!("/sequences/{id}")))
        }
        "person" if entry.actor == Some(id) && entry.action == "token_revoked" => {
            plain("their own")
        }
        "person" if entry.actor == Some(id) => plain("themselves"),
        "person" => person(id, names),
        "track" => track(id, names),
        "enrolment_token" => {
            let of = entry.body["track"].as_str().and_then(|t| t.parse().ok());
            of.map_or_else(|| plain("a track"), |id| track(id, names))
        }
        _ => plain(id.to_string()),
    }
}

fn track(id: Uuid, names: &Names) -> Piece {
    let text = names.tracks.get(&id).map_or("a track", String::as_str);
    name(text, Some(format!("/tracks/{id}")))
}

/// What follows the subject: the reason a person gave, what the engine said, or the numbers that matter.
fn more(entry: &Stored) -> String {
    let body = &entry.body;
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    let number = |field: &str| body[field].as_u64().unwrap_or(0);
    let listed = |field: &str| body[field].as_array().map_or(0, Vec::len) as u64;
    let quoted = |text: &str| format!(": “{text}”.");
    match entry.action.as_str() {
        "rings_defined" => format!(". {} moved.", devices(number("devices_moved"))),
        "devices_expected" => format!(": {}.", count(listed("serials"), "serial")),
        "enrolment_token_added" => format!(", with {}.", count(number("uses"), "use")),
        "token_added" => quoted(text("name")),
        "roles_set" | "roles_granted" => format!(": {}.", count(listed("roles"), "role")),
        "hold_added" | "hold_ended" | "devices_excluded" | "exclusion_ended" => {
            let said = ended(text("reason"));
            format!(": {said} Devices: {}", text("devices"))
        }
        "sequence_withdrawn" | "freeze_added" | "freeze_lifted" | "rollback_started"
        | "rollback_stopped" => {
            format!(": {}", ended(text("reason")))
        }
        "rollout_created" if !text("ticket").is_empty() => format!(", ticket {}.", text("ticket")),
        "device_pinned" if body["ring"].is_null() => {
            " to no ring: the rules place it again.".into()
        }
        "device_pinned" => " to a ring.".to_owned(),
        "device_enrolled" | "device_enrolled_again"
            if body["detail"]["status"] == "awaiting_approval" =>
        {
            " and awaits approval.".to_owned()
        }
        _ => match (body["input"]["reason"].as_str(), body["sentence"].as_str()) {
            (Some(reason), _) => format!(": {}", ended(reason)),
            (None, Some(said)) => format!(". {}", ended(said)),
            (None, None) => ".".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;

    const ADA: Uuid = Uuid::from_u128(1);
    const KAI: Uuid = Uuid::from_u128(2);
    const THING: Uuid = Uuid::from_u128(3);

    fn said(actor: Option<Uuid>, action: &str, kind: &str, body: Value) -> String {
        let entry = Stored {
            n: 1,
            at: DateTime::UNIX_EPOCH,
            actor,
            action: action.to_owned(),
            subject: format!("{kind}:{}", if kind == "person" { KAI } else { THING }),
            body,
            prev_hash: String::new(),
            hash: String::new(),
        };
        let names = Names {
            people: [(ADA, "Ada Admin"), (KAI, "Kai Fischer")]
                .map(|(id, name)| (id, name.to_owned()))
                .into(),
            tracks: [(THING, "Production".to_owned())].into(),
            called: Called {
                rollouts: [(THING, (5_086_672, "Production".to_owned()))].into(),
                devices: [(THING, "PC-00210".to_owned())].into(),
                sequences: [(THING, 5_086_672)].into(),
            },
        };
        sentence(&entry, &names)
            .into_iter()
            .map(|p| p.text)
            .collect()
    }

    #[test]
    fn people_say_why_and_the_engine_says_what_it_saw() {
        let body = json!({ "input": { "input": "halt", "reason": "VPN fails" }, "sentence": "Halted by a person: VPN fails" });
        assert_eq!(
            said(Some(KAI), "halted", "rollout", body),
            "Kai Fischer halted KB5086672 on Production: VPN fails."
        );
        let body = json!({ "input": { "input": "tick" }, "sentence": "Halted by its evidence: 4 failures among 4 devices." });
        assert_eq!(
            said(None, "halted", "rollout", body),
            "The engine halted KB5086672 on Production. Halted by its evidence: 4 failures among 4 devices."
        );
    }

    #[test]
    fn every_action_reads_as_a_sentence() {
        let body = json!({
            "devices_moved": 12, "serials": ["a"], "uses": 1600, "name": "nightly", "roles": [1, 2], "reason": "pulled",
            "ticket": "CHG-1", "ring": null, "host_name": "PC-1", "track": THING, "detail": { "status": "awaiting_approval" },
        });
        let mut all = String::new();
        for (action, _) in ACTIONS {
            let kind = match *action {
                a if a.starts_with("device_") || a == "clone_suspected" => "device",
                a if a.starts_with("sequence_") => "sequence",
                a if a.starts_with("enrolment_token_") => "enrolment_token",
                "publisher_key_added" => "publisher_key",
                a if a.starts_with("freeze_") => "track",
                "track_added" | "rings_defined" | "devices_expected" => "track",
                a if a.starts_with("person_")
                    || a.starts_with("roles_")
                    || a.starts_with("token_")
                    || a.starts_with("password_")
                    || matches!(a, "sign_in_link_made" | "sessions_ended") =>
                {
                    "person"
                }
                _ => "rollout",
            };
            all.push_str(&said(Some(ADA), action, kind, body.clone()));
            all.push('\n');
        }
        all.push_str(&said(Some(KAI), "token_added", "person", body.clone()));
        all.push('\n');
        all.push_str(&said(None, "moon_landed", "rollout", body));
        insta::assert_snapshot!(all);
    }

    fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("web") {
                sources(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }

    /// Words in quotation marks that are no key of a JSON object.
    fn words(statement: &str) -> impl Iterator<Item = &str> {
        let mut parts = statement.split('"').peekable();
        parts.next();
        std::iter::from_fn(move || {
            let word = parts.next()?;
            let after = parts.next().unwrap_or_default();
            Some((word, after))
        })
        .filter(|(word, after)| {
            let letters = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            letters && !word.is_empty() && !after.trim_start().starts_with(':')
        })
        .map(|(word, _)| word)
    }

    #[test]
    fn every_action_in_the_sources_has_a_sentence() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (mut files, mut actions) = (Vec::new(), BTreeSet::new());
        sources(&root.join("server/src"), &mut files);
        sources(&root.join("engine/src/decide"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
            if !["audit::", "Decision", "accounts::"]
                .iter()
                .any(|w| text.contains(w))
            {
                continue;
            }
            for call in [
                "record(",
                "entry(",
                "::event(",
                " stop(",
                "(stop(",
                "::stop(",
                "moved(",
                "ended(",
                "action: ",
                "let action = ",
                "let (next, code, sentence) = ",
                "set_status(",
                ".tell(",
            ] {
                for rest in text.split(call).skip(1) {
                    let statement = rest.split(';').next().unwrap();
                    actions.extend(words(statement).map(str::to_owned));
                }
            }
        }
        let known: BTreeSet<String> = ACTIONS.iter().map(|(word, _)| (*word).to_owned()).collect();
        let missing: Vec<_> = actions.difference(&known).collect();
        assert!(missing.is_empty(), "without a sentence: {missing:?}");
        let gone: Vec<_> = known.difference(&actions).collect();
        assert!(gone.is_empty(), "not in the sources any more: {gone:?}");
    }
}
