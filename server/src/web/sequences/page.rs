//! `/sequences/{id}`: what it consists of, who signed it, and where it is; the same as JSON.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use ed25519_dalek::VerifyingKey;
use engine::words::number;
use servicing::{Completeness, KnownIssue, ManifestError, Sequence};
use sqlx::PgConnection;
use uuid::Uuid;

use super::content::{Part, kind, parts, targets};
use super::devices::{OnDevices, on_devices};
use super::stored;
use crate::app::App;
use crate::auth::{Caller, Viewer, kinds};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::store::sequences::{self, Milestones, RolledOut, SequenceState, Stored};
use crate::store::{self, people, tracks};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Icon, Link, State as Chip, Tally, Tone, When};

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/sequences/{id}", get(page))
        .route("/sequences/{id}/sequence.json", get(export))
}

/// One rollout of it.
struct Used {
    link: Link,
    state: Chip,
    ok: Tally,
    of: String,
}

/// Whose signature it bears.
struct Signed {
    key_id: String,
    state: Chip,
    revision: Option<u32>,
    counter: String,
    expires: Option<When>,
}

/// Why it was withdrawn.
struct Pulled {
    by: String,
    at: Option<When>,
    reason: String,
    replacement: Option<Link>,
}

/// What is still missing before it can be published.
struct Missing {
    field: String,
    expected: String,
}

/// An update that it supersedes by a person's word.
struct Older {
    link: Link,
    known: Option<Chip>,
}

#[derive(Template)]
#[template(path = "pages/sequence.html")]
struct SequencePage {
    frame: Frame,
    crumbs: Vec<Link>,
    address: String,
    new_rollout: String,
    kb: String,
    label: String,
    title: String,
    kind: &'static str,
    builds: Vec<String>,
    released: Option<String>,
    supersedes: Vec<Older>,
    issues: Vec<KnownIssue>,
    digest: String,
    author: String,
    written: When,
    published: Option<When>,
    state: Chip,
    is_draft: bool,
    is_published: bool,
    may_write: bool,
    may_withdraw: bool,
    parts: Vec<Part>,
    missing: Vec<Missing>,
    signed: Option<Signed>,
    pulled: Option<Pulled>,
    on_devices: Option<OnDevices>,
    used: Vec<Used>,
}

async fn page(State(app): State<App>, caller: Viewer, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    let mut tx = store::reading(&app.pool).await?;
    let found = sequences::by_id(&mut tx, id).await?;
    let found = found.ok_or(OpError::NotFound { what: "sequence" })?;
    let title = found.sequence.kb.to_string();
    let here = format!("/sequences/{id}");
    let nav = Nav::Sequences;
    let frame = Frame::within(&mut tx, &app, &person, nav, title, here, None).await?;
    let used = sequences::rolled_out(&mut tx, id, caller.tracks().as_deref()).await?;
    let page = SequencePage::read(&mut tx, frame, &person, found, &used).await?;
    show(page)
}

async fn export(
    State(app): State<App>,
    _caller: Viewer,
    At(id): At<Uuid>,
) -> Result<Response, Failure> {
    let sequence = stored(&app, id).await?.sequence;
    let file = format!("attachment; filename=\"{}.json\"", sequence.kb);
    let mut text = serde_json::to_string_pretty(&sequence).map_err(anyhow::Error::from)?;
    text.push('\n');
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, file),
    ];
    Ok((headers, text).into_response())
}

impl SequencePage {
    async fn read(
        conn: &mut PgConnection,
        frame: Frame,
        person: &Caller,
        found: Stored,
        used: &[RolledOut],
    ) -> anyhow::Result<Self> {
        let people = people::all(&mut *conn).await?;
        let tracks = tracks::all(&mut *conn).await?;
        let milestones = sequences::milestones(&mut *conn, found.id).await?;
        let name = |id: Uuid| {
            let found = people.iter().find(|p| p.id == id);
            found.map_or_else(|| "someone".to_owned(), |p| p.name.clone())
        };
        let keys: Vec<VerifyingKey> = sequences::keys(&mut *conn)
            .await?
            .iter()
            .filter_map(|k| VerifyingKey::from_bytes(k.public_key.as_slice().try_into().ok()?).ok())
            .collect();
        let by = milestones.withdrawn_by.map(name);
        let track = |id: Uuid| {
            let found = tracks.iter().find(|t| t.id == id);
            found.map(|t| t.name.clone()).unwrap_or_default()
        };
        let sequence = &found.sequence;
        Ok(Self {
            crumbs: vec![
                Link::new("KB sequences", "/sequences"),
                Link::new(sequence.kb.to_string(), frame.here.as_str()),
            ],
            address: format!("/sequences/{}", found.id),
            new_rollout: format!("/rollouts/new?sequence={}", found.id),
            supersedes: supersedes(&mut *conn, sequence).await?,
            pulled: pulled(&mut *conn, &frame, &found, &milestones, by).await?,
            signed: signed(&frame, &found, &keys),
            kb: sequence.kb.to_string(),
            label: sequence.label.clone(),
            title: sequence.title.clone(),
            kind: kind(sequence.kind),
            builds: targets(sequence),
            released: sequence.release_date.map(|d| d.to_string()),
            issues: sequence.known_issues.clone(),
            digest: found.digest.to_string(),
            author: name(found.created_by),
            written: frame.when(found.created_at),
            published: milestones.published.map(|at| frame.when(at)),
            state: Chip::of_sequence(found.state),
            is_draft: found.state == SequenceState::Draft,
            is_published: found.state == SequenceState::Published,
            may_write: person.tracks_with::<kinds::Operator>() != Some(Vec::new()),
            may_withdraw: person.tracks_with::<kinds::Admin>().is_none(),
            parts: parts(sequence),
            missing: match found.state {
                SequenceState::Draft => missing(sequence),
                _ => Vec::new(),
            },
            on_devices: on_devices(used),
            used: used.iter().map(|r| shown(r, track(r.track))).collect(),
            frame,
        })
    }
}

fn missing(sequence: &Sequence) -> Vec<Missing> {
    let wrong = sequence.validate(Completeness::Publish).err();
    let wrong = wrong.unwrap_or_default().into_iter();
    wrong
        .map(|e| Missing {
            field: e.field,
            expected: e.expected,
        })
        .collect()
}

async fn supersedes(conn: &mut PgConnection, sequence: &Sequence) -> anyhow::Result<Vec<Older>> {
    let mut older = Vec::new();
    for kb in &sequence.supersedes {
        let known = sequences::by_kb(&mut *conn, *kb).await?;
        older.push(Older {
            link: Link::new(
                kb.to_string(),
                known.map_or_else(String::new, |(id, _)| format!("/sequences/{id}")),
            ),
            known: known.map(|(_, state)| Chip::of_sequence(state)),
        });
    }
    Ok(older)
}

async fn pulled(
    conn: &mut PgConnection,
    frame: &Frame,
    found: &Stored,
    milestones: &Milestones,
    by: Option<String>,
) -> anyhow::Result<Option<Pulled>> {
    let Some(reason) = found.withdrawn_reason.clone() else {
        return Ok(None);
    };
    let replacement = match found.replaced_by {
        Some(kb) => {
            let known = sequences::by_kb(conn, kb).await?;
            let href = known.map_or_else(String::new, |(id, _)| format!("/sequences/{id}"));
            Some(Link::new(kb.to_string(), href))
        }
        None => None,
    };
    Ok(Some(Pulled {
        by: by.unwrap_or_else(|| "someone".to_owned()),
        at: milestones.withdrawn.map(|at| frame.when(at)),
        reason: engine::words::ended(&reason),
        replacement,
    }))
}

/// The signature is checked anew each time: keys and time decide, not what was once stored.
fn signed(frame: &Frame, found: &Stored, keys: &[VerifyingKey]) -> Option<Signed> {
    let manifest = found.manifest.as_ref()?;
    let read = manifest.verify(keys, frame.now, 0);
    let forever = DateTime::<Utc>::MIN_UTC;
    let state = match &read {
        Ok(_) => Chip::quiet(Tone::Ok, Icon::Key, "valid"),
        Err(ManifestError::Expired) => Chip::loud(Tone::Wait, Icon::Clock, "expired"),
        Err(ManifestError::UnknownKey) => Chip::loud(Tone::Bad, Icon::X, "key not trusted"),
        Err(_) => Chip::loud(Tone::Bad, Icon::X, "not valid"),
    };
    let content = read.or_else(|_| manifest.verify(keys, forever, 0)).ok();
    Some(Signed {
        key_id: manifest.key_id.clone(),
        state,
        revision: content.as_ref().map(|m| m.revision),
        counter: found.counter.map(|n| n.to_string()).unwrap_or_default(),
        expires: content.map(|m| When::day(m.expires_at, frame.zone)),
    })
}

fn shown(used: &RolledOut, track: String) -> Used {
    let targeted = used.population.get("targeted").copied().unwrap_or_default();
    let terms = [format!("rollout:{}", used.id), "state:succeeded".to_owned()];
    let track = if used.listed {
        format!("{track}, listed devices")
    } else {
        track
    };
    Used {
        link: Link::new(track, format!("/rollouts/{}", used.id)),
        state: Chip::of_rollout(&used.state).hushed(),
        ok: Tally::found(used.ok, &terms),
        of: number(targeted),
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
