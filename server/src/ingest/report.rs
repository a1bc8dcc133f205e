//! Events of the wire in the engine's terms.

use std::borrow::Cow;
use std::collections::BTreeMap;

use agent_protocol::EventKind;
use chrono::{DateTime, Utc};
use engine::assignment::Report;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use servicing::{FieldError, HResult, Sha256};
use uuid::Uuid;

/// An event, parsed, with what its log row needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedEvent {
    /// Number.
    pub seq: i64,
    /// Seconds that the device was powered on.
    pub powered_s: i64,
    /// Word of its kind.
    pub kind: String,
    /// First eight bytes of the SHA-256 over its content.
    pub hash: i64,
    /// What the log keeps, as canonical JSON: the event's body with device time and powered-on time.
    pub body: String,
    /// Rollout and report, where it is about one.
    pub report: Option<(Uuid, Report)>,
    /// Why the device says it can not go on; `Some(None)` where it can again.
    pub not_ready: Option<Option<String>>,
}

/// An event as it came. Its body is read twice where it lies, as a kind and as text; nothing is copied for that.
#[derive(Deserialize)]
struct Raw<'a> {
    seq: u64,
    at: DateTime<Utc>,
    powered_s: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// A body's fields in the order of their names; of a name that comes twice the last counts.
type Fields<'a> = BTreeMap<Name<'a>, &'a RawValue>;

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Longest word of a kind.
const LONGEST_KIND: usize = 64;

/// Parses one event of a batch. A kind that this server does not know is kept and counts as nothing.
///
/// # Errors
/// The wrong fields of the event, `index` being its place in the batch.
pub fn parse_event(index: usize, event: &RawValue) -> Result<ParsedEvent, FieldError> {
    let wrong = |path: &str, expected: String| FieldError {
        field: format!("events[{index}]{path}"),
        expected,
    };
    let is_object = |raw: &RawValue| raw.get().starts_with('{');
    if !is_object(event) {
        let expected = "an object with seq, at, powered_s, kind and body";
        return Err(wrong("", expected.into()));
    }
    let raw: Raw<'_> = serde_json::from_str(event.get()).map_err(|e| {
        wrong(
            "",
            format!("seq, at, powered_s, kind and body: {}", plain(&e)),
        )
    })?;
    let seq = i64::try_from(raw.seq)
        .ok()
        .filter(|s| *s > 0)
        .ok_or_else(|| wrong(".seq", "a number from 1".into()))?;
    if raw.kind.is_empty()
        || raw.kind.len() > LONGEST_KIND
        || !raw
            .kind
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'_')
    {
        return Err(wrong(
            ".kind",
            format!("a word of at most {LONGEST_KIND} lower-case letters"),
        ));
    }
    let body = raw.body.map_or("{}", RawValue::get);
    if !body.starts_with('{') {
        return Err(wrong(".body", "an object".into()));
    }
    let unreadable = |e: &serde_json::Error| {
        let expected = format!("the fields of {}: {}", raw.kind, plain(e));
        wrong(".body", expected)
    };
    let parsed = parse_kind(&raw.kind, body).map_err(|e| unreadable(&e))?;
    let report = match &parsed {
        Some(kind) => report_of(kind)
            .map_err(|(field, expected)| wrong(&format!(".body.{field}"), expected.into()))?,
        None => None,
    };
    let not_ready = match parsed {
        Some(EventKind::NotReady { reason, .. }) => Some(Some(reason.chars().take(64).collect())),
        Some(
            EventKind::DownloadDone { .. }
            | EventKind::RestartAgreed { .. }
            | EventKind::StepStarted { .. },
        ) => Some(None),
        _ => None,
    };
    let (hash, body) = content(&raw, body).map_err(|e| unreadable(&e))?;
    // PostgreSQL stores no NUL in text.
    if body.contains("\\u0000") {
        return Err(wrong("", "no NUL character in any text".into()));
    }
    Ok(ParsedEvent {
        seq,
        powered_s: i64::try_from(raw.powered_s).unwrap_or(i64::MAX),
        kind: raw.kind.into_owned(),
        hash,
        body,
        report,
        not_ready,
    })
}

/// What is wrong, without the place in the text: the field's name says where.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

/// The kind with its fields, from a word and a JSON object; none for a kind that this server does not know.
fn parse_kind(kind: &str, body: &str) -> Result<Option<EventKind>, serde_json::Error> {
    let mut text = String::with_capacity(kind.len() + body.len() + 32);
    text.extend([r#"{"kind":""#, kind, r#"","body":"#, body, "}"]);
    match serde_json::from_str(&text) {
        Ok(kind) => Ok(Some(kind)),
        Err(e) if e.to_string().starts_with("unknown variant") => Ok(None),
        Err(e) => Err(e),
    }
}

/// Hash and body as the log keeps them. The hash is over the canonical JSON of body and kind, of which the body is a
/// part: it is written once.
fn content(raw: &Raw<'_>, body: &str) -> Result<(i64, String), serde_json::Error> {
    const BEFORE: &str = r#"{"body":"#;
    let (at, powered_s) = (to_raw_value(&raw.at)?, to_raw_value(&raw.powered_s)?);
    let mut fields: Fields<'_> = serde_json::from_str(body)?;
    fields.insert(Name("device_time".into()), &at);
    fields.insert(Name("powered_s".into()), &powered_s);
    let mut text = Vec::with_capacity(BEFORE.len() + body.len() + raw.kind.len() + 96);
    text.extend_from_slice(BEFORE.as_bytes());
    for (i, (name, value)) in fields.iter().enumerate() {
        text.push(if i == 0 { b'{' } else { b',' });
        serde_json::to_writer(&mut text, &name.0)?;
        text.push(b':');
        if is_canonical(value.get()) {
            text.extend_from_slice(value.get().as_bytes());
        } else {
            let value: Value = serde_json::from_str(value.get())?;
            engine::canonical::append(&value, &mut text);
        }
    }
    text.push(b'}');
    let end = text.len();
    // A word of lower-case letters needs no escapes.
    text.extend_from_slice(br#","kind":""#);
    text.extend_from_slice(raw.kind.as_bytes());
    text.extend_from_slice(br#""}"#);
    let mut first = [0_u8; 8];
    first.copy_from_slice(&Sha256::of(&text).as_bytes()[..8]);
    let body = std::str::from_utf8(&text[BEFORE.len()..end]).map_err(serde_json::Error::custom)?;
    Ok((i64::from_be_bytes(first), body.to_owned()))
}

/// Whether JSON is surely written as its canonical form would be: a word, text without escapes, a short whole number.
fn is_canonical(json: &str) -> bool {
    match json.as_bytes() {
        [b'"', inner @ .., b'"'] => !inner.contains(&b'\\'),
        b"true" | b"false" | b"null" | b"0" => true,
        [b'-', digits @ ..] | digits => {
            digits.len() < 18
                && digits.first().is_some_and(|d| *d != b'0')
                && digits.iter().all(u8::is_ascii_digit)
        }
    }
}

/// Rollout and report of an event that is about a rollout; the error names a field and what it must be.
///
/// # Errors
/// Field and expectation.
pub fn report_of(kind: &EventKind) -> Result<Option<(Uuid, Report)>, (&'static str, &'static str)> {
    let code = |c: &str| {
        c.parse::<HResult>()
            .map_err(|_| ("code", "0x and eight hex digits"))
    };
    Ok(match kind {
        EventKind::Heartbeat {
            rollout: Some(r), ..
        } => Some((*r, Report::Alive)),
        EventKind::DownloadProgress { rollout, .. } | EventKind::NotReady { rollout, .. } => {
            Some((*rollout, Report::DownloadProgress))
        }
        EventKind::DownloadDone { rollout } => Some((*rollout, Report::DownloadDone)),
        EventKind::NotApplicable { rollout, .. } => Some((*rollout, Report::NotApplicable)),
        EventKind::RestartAgreed { rollout, .. } => Some((*rollout, Report::RestartAgreed)),
        EventKind::RestartPostponed { rollout, .. } => Some((*rollout, Report::RestartPostponed)),
        EventKind::StepStarted {
            rollout,
            permit_no,
            step,
            ..
        } => Some((
            *rollout,
            Report::StepStarted {
                permit_no: *permit_no,
                step: *step,
            },
        )),
        EventKind::StepDone {
            rollout,
            step,
            restart_needed,
            ..
        } => Some((
            *rollout,
            Report::StepDone {
                step: *step,
                restart_needed: *restart_needed,
            },
        )),
        EventKind::Restarted { rollout, .. } => Some((*rollout, Report::Restarted)),
        EventKind::Verified {
            rollout,
            build,
            packages_installed,
        } => {
            let build = build
                .parse()
                .map_err(|_| ("build", "base and revision, such as 26100.8117"))?;
            Some((
                *rollout,
                Report::Verified {
                    build,
                    packages_installed: *packages_installed,
                },
            ))
        }
        EventKind::Failed {
            rollout,
            step,
            code: c,
        } => Some((
            *rollout,
            Report::Failed {
                code: code(c)?,
                step: *step,
            },
        )),
        EventKind::RolledBack { rollout, code: c } => {
            Some((*rollout, Report::RolledBack { code: code(c)? }))
        }
        EventKind::MachineUnusable { rollout, .. } => Some((*rollout, Report::Unusable)),
        EventKind::RemediationStarted { rollout, .. } => Some((*rollout, Report::RepairStarted)),
        EventKind::RemediationDone { rollout, ok, .. } => {
            Some((*rollout, Report::RepairDone { ok: *ok }))
        }
        EventKind::OrderRefused { rollout, .. } => Some((*rollout, Report::Refused)),
        EventKind::RestartPending { rollout, .. } => Some((*rollout, Report::Alive)),
        EventKind::Heartbeat { rollout: None, .. }
        | EventKind::InventoryChanged { .. }
        | EventKind::OobeStarted { .. }
        | EventKind::OobePhaseReached { .. }
        | EventKind::OobeCompleted { .. }
        | EventKind::OobeFailed { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(event: &Value) -> ParsedEvent {
        parse_event(0, &to_raw_value(event).unwrap()).unwrap()
    }

    #[test]
    fn hashes_stay_what_they_are_stored_events_are_compared_with_them() {
        let of = |kind: &str, body: Value| {
            let event = parse(&json!({
                "seq": 1, "at": "2026-03-04T05:06:07.089+01:00", "powered_s": 8, "kind": kind, "body": body,
            }));
            (event.hash, event.body)
        };
        let rollout = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(
            of("heartbeat", Value::Null),
            (
                -4_395_006_621_240_930_350,
                r#"{"device_time":"2026-03-04T04:06:07.089Z","powered_s":8}"#.into()
            )
        );
        assert_eq!(
            of("step_done", json!({
                "step": 1, "rollout": rollout, "exit_code": -2147023838_i64, "code": "0x800703E2",
                "package_state": "staged", "restart_needed": false,
            })),
            (
                1_792_923_369_254_010_961,
                r#"{"code":"0x800703E2","device_time":"2026-03-04T04:06:07.089Z","exit_code":-2147023838,"package_state":"staged","powered_s":8,"restart_needed":false,"rollout":"0198c0de-0000-7000-8000-000000000001","step":1}"#.into()
            )
        );
        let odd = json!({ "z": [1.5, null, { "b": "x\n\"\\", "a": "\u{e9}\u{1f}" }], "Z": true, "powered_s": "ours wins" });
        assert_eq!(
            of("a_kind_of_tomorrow", odd),
            (
                7_032_417_692_057_008_415,
                "{\"Z\":true,\"device_time\":\"2026-03-04T04:06:07.089Z\",\"powered_s\":8,\"z\":[1.5,null,{\"a\":\"\u{e9}\\u001f\",\"b\":\"x\\n\\\"\\\\\"}]}".into()
            )
        );
    }

    #[test]
    fn a_list_of_an_events_values_is_no_event() {
        let list = json!([1, "2026-03-04T05:06:07Z", 8, "heartbeat", {}]);
        let error = parse_event(3, &to_raw_value(&list).unwrap()).unwrap_err();
        assert_eq!(error.field, "events[3]");
    }

    #[test]
    fn the_log_keeps_the_canonical_form_however_a_value_was_written() {
        let values = [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "1",
            "-1",
            "1.0",
            "1e2",
            "1.50",
            "12345678901234567",
            "123456789012345678",
            "-12345678901234567",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
            "true",
            "false",
            "null",
            r#""""#,
            r#""plain""#,
            r#""\u0041\/\t""#,
            r#""\ud83d\ude00 é""#,
            "[ 1 , 2.0 ]",
            r#"{ "b" : 1 , "a" : [ ] }"#,
        ];
        for value in values {
            let text = format!(
                r#"{{ "seq": 1, "at": "2026-03-04T05:06:07Z", "powered_s": 8, "kind": "x", "body": {{ "v" : {value} , "\u0061": 1 }} }}"#
            );
            let event: Box<RawValue> = serde_json::from_str(&text).unwrap();
            let event = parse_event(0, &event).unwrap();
            let mut whole: Value = serde_json::from_str(&text).unwrap();
            whole["body"]["device_time"] = whole["at"].clone();
            whole["body"]["powered_s"] = whole["powered_s"].clone();
            let body = engine::canonical::to_vec(&whole["body"]);
            assert_eq!(event.body, String::from_utf8(body).unwrap());
            let content = engine::canonical::hash(&json!({ "kind": "x", "body": whole["body"] }));
            assert_eq!(event.hash.to_be_bytes(), content.as_bytes()[..8]);
        }
    }

    #[test]
    fn what_is_no_text_is_refused_by_the_name_of_its_place() {
        let field_of = |body: &str| {
            let text = format!(
                r#"{{"seq":1,"at":"2026-03-04T05:06:07Z","powered_s":8,"kind":"heartbeat","body":{body}}}"#
            );
            let event: Box<RawValue> = serde_json::from_str(&text).unwrap();
            parse_event(0, &event).unwrap_err().field
        };
        assert_eq!(field_of(r#"{"other":"\ud800"}"#), "events[0].body");
        assert_eq!(field_of(r#"{"other":1e999}"#), "events[0].body");
        assert_eq!(field_of(r#"{"phase":7}"#), "events[0].body");
        assert_eq!(field_of("[1]"), "events[0].body");
        assert_eq!(field_of(r#"{"other":"\u0000"}"#), "events[0]");
    }
}
