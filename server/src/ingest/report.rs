//! Events of the wire in the engine's terms.

use agent_protocol::EventKind;
use engine::assignment::Report;
use serde::Deserialize;
use serde_json::{Value, json};
use servicing::{FieldError, HResult, Sha256};
use uuid::Uuid;

/// An event, parsed, with what its log row needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedEvent {
    /// Number.
    pub seq: i64,
    /// Word of its kind.
    pub kind: String,
    /// First eight bytes of the SHA-256 over its content.
    pub hash: i64,
    /// What the log keeps: the event's body with device time and powered-on time.
    pub body: Value,
    /// Rollout and report, where it is about one.
    pub report: Option<(Uuid, Report)>,
    /// Why the device says it can not go on; `Some(None)` where it can again.
    pub not_ready: Option<Option<String>>,
}

#[derive(Deserialize)]
struct Raw {
    seq: u64,
    at: chrono::DateTime<chrono::Utc>,
    powered_s: u64,
    kind: String,
    #[serde(default)]
    body: Value,
}

/// Longest word of a kind.
const LONGEST_KIND: usize = 64;

/// Parses one event of a batch. A kind that this server does not know is kept and counts as nothing.
///
/// # Errors
/// The wrong fields of the event, `index` being its place in the batch.
pub fn parse_event(index: usize, value: &Value) -> Result<ParsedEvent, FieldError> {
    let wrong = |path: &str, expected: String| FieldError {
        field: format!("events[{index}]{path}"),
        expected,
    };
    let raw = Raw::deserialize(value)
        .map_err(|e| wrong("", format!("seq, at, powered_s, kind and body: {e}")))?;
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
    if value.to_string().contains("\\u0000") {
        return Err(wrong("", "no NUL character in any text".into()));
    }
    let mut body = match raw.body {
        Value::Object(fields) => Value::Object(fields),
        Value::Null => json!({}),
        _ => return Err(wrong(".body", "an object".into())),
    };
    let parsed = match EventKind::deserialize(json!({ "kind": raw.kind, "body": body })) {
        Ok(kind) => Some(kind),
        Err(e) if e.to_string().starts_with("unknown variant") => None,
        Err(e) => return Err(wrong(".body", format!("the fields of {}: {e}", raw.kind))),
    };
    let report = match &parsed {
        Some(kind) => report_of(kind)
            .map_err(|(field, expected)| wrong(&format!(".body.{field}"), expected.into()))?,
        None => None,
    };
    let not_ready = match &parsed {
        Some(EventKind::NotReady { reason, .. }) => Some(Some(reason.chars().take(64).collect())),
        Some(
            EventKind::DownloadDone { .. }
            | EventKind::RestartAgreed { .. }
            | EventKind::StepStarted { .. },
        ) => Some(None),
        _ => None,
    };
    body["device_time"] = json!(raw.at);
    body["powered_s"] = json!(raw.powered_s);
    let content = engine::canonical::to_vec(&json!({ "kind": raw.kind, "body": body }));
    let mut first = [0_u8; 8];
    first.copy_from_slice(&Sha256::of(&content).as_bytes()[..8]);
    Ok(ParsedEvent {
        seq,
        kind: raw.kind,
        hash: i64::from_be_bytes(first),
        body,
        report,
        not_ready,
    })
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
        EventKind::RestartPending { rollout, .. }
        | EventKind::OrderRefused { rollout, .. }
        | EventKind::RemediationStarted { rollout, .. }
        | EventKind::RemediationDone { rollout, .. } => Some((*rollout, Report::Alive)),
        EventKind::Heartbeat { rollout: None, .. }
        | EventKind::InventoryChanged { .. }
        | EventKind::OobeStarted { .. }
        | EventKind::OobePhaseReached { .. }
        | EventKind::OobeCompleted { .. }
        | EventKind::OobeFailed { .. } => None,
    })
}
