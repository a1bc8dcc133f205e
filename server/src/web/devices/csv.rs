//! `/devices.csv`: what a search finds, for spreadsheets. Sent as it is read, so that a million devices need no memory.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use chrono::SecondsFormat;
use futures::stream::try_unfold;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::auth::Viewer;
use crate::store::devices::DeviceQuery;
use crate::store::{self, tracks, word};
use crate::views::device_list::{self, Line, Within};
use crate::web::form::Filter;
use crate::web::frame::Shown;

/// Devices that are read at once.
const CHUNK: i64 = 1000;

/// Columns, in order.
const COLUMNS: [&str; 19] = [
    "host_name",
    "manufacturer",
    "model",
    "serial",
    "track",
    "ring",
    "pinned",
    "status",
    "clone_suspected",
    "build",
    "edition",
    "architecture",
    "tags",
    "kb",
    "state",
    "why",
    "error",
    "last_contact",
    "id",
];

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/devices.csv", get(export))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    q: String,
    track: Option<Uuid>,
}

/// What is left to send.
struct Rest {
    app: App,
    own: Option<Vec<Uuid>>,
    query: DeviceQuery,
    /// After which number it goes on; none: it is all sent.
    after: Option<i32>,
}

async fn export(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let own = caller.asked(asked.track)?;
    let rest = Rest {
        app,
        own,
        query: device_list::parse(&asked.q)?,
        after: Some(0),
    };
    let rows = try_unfold(rest, async |mut rest| {
        let Some(after) = rest.after else {
            return Ok(None);
        };
        let text = rest.next(after).await?;
        Ok::<_, anyhow::Error>(Some((text, rest)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"devices.csv\"",
        ),
    ];
    Ok((headers, Body::from_stream(Box::pin(rows))).into_response())
}

impl Rest {
    /// The next rows as text; the first ones with the names of the columns.
    async fn next(&mut self, after: i32) -> anyhow::Result<String> {
        let within = Within::of(
            &self.app.catalogue,
            &self.app.picture,
            self.app.clock.now(),
            self.own.as_deref(),
        );
        let mut tx = store::reading(&self.app.pool).await?;
        let hits = device_list::find(&mut tx, &within, &self.query, after, CHUNK).await?;
        let lines = device_list::lines(&mut tx, &within, &self.query, &hits.device_nos).await?;
        let mut places = Vec::new();
        for track in tracks::all(&mut tx).await? {
            for ring in tracks::rings(&mut tx, track.id).await? {
                places.push((ring.id, track.name.clone(), ring.name));
            }
        }
        let mut text = String::new();
        if after == 0 {
            write_row(&mut text, &COLUMNS.map(str::to_owned));
        }
        for line in lines {
            write_row(&mut text, &cells(line, &places)?);
        }
        self.after = hits.next;
        Ok(text)
    }
}

fn cells(line: Line, places: &[(Uuid, String, String)]) -> anyhow::Result<[String; 19]> {
    let Line {
        device,
        last_seen,
        stand,
    } = line;
    let place = places.iter().find(|(ring, ..)| *ring == device.ring_id);
    let (track, ring) = place
        .map(|(_, track, ring)| (track.clone(), ring.clone()))
        .unwrap_or_default();
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let facts = device.facts;
    let (kb, state, why, code) = match stand {
        Some(s) => (s.kb, s.word, s.sentences.join(" "), s.code),
        None => (None, String::new(), String::new(), None),
    };
    let or_none = |text: Option<String>| text.unwrap_or_default();
    Ok([
        device.identity.host_name,
        facts.manufacturer,
        facts.model,
        device.identity.serial,
        track,
        ring,
        yes(device.pin.is_some()),
        word(&device.status)?,
        yes(device.clone_suspected),
        facts.build.to_string(),
        facts.edition.to_string(),
        facts.architecture.to_string(),
        facts.tags.join(" "),
        or_none(kb.map(|kb| kb.to_string())),
        state,
        why,
        or_none(code.map(|code| code.to_string())),
        or_none(last_seen.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true))),
        device.id.to_string(),
    ])
}

/// A row. What a spreadsheet would take for a formula gets an apostrophe: machines choose their own names.
fn write_row(text: &mut String, cells: &[String]) {
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        let formula =
            cell.trim_start().starts_with(['=', '+', '-', '@']) || cell.starts_with(['\t', '\r']);
        let apostrophe = if formula { "'" } else { "" };
        if formula || cell.contains([',', '"', '\n', '\r', ';']) {
            text.push('"');
            text.push_str(apostrophe);
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_formula_and_never_two_cells() {
        let mut text = String::new();
        let cells = [
            "PC-1",
            "=HYPERLINK(\"x\")",
            " @cmd",
            "a,b",
            "a\nb",
            "-1",
            "",
        ];
        write_row(&mut text, &cells.map(str::to_owned));
        let expected = "PC-1,\"'=HYPERLINK(\"\"x\"\")\",\"' @cmd\",\"a,b\",\"a\nb\",\"'-1\",\r\n";
        assert_eq!(text, expected);
    }
}
