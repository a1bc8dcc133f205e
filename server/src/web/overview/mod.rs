//! `/overview`: am I fine, and what waits for me.

mod ahead;
mod first;
mod level;
mod matrix;
#[cfg(test)]
mod tests;
mod waiting;
mod world;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::rollout::RolloutState;
use engine::stage::StageState;
use serde::Deserialize;
use uuid::Uuid;

use self::ahead::{Ahead, ahead};
use self::first::{Step, steps};
use self::level::{Level, levels};
use self::matrix::{Matrix, href};
use self::waiting::{Due, Halt, cause, due, stopped};
use self::world::{Going, World};
use super::form::Filter;
use super::frame::{Frame, Nav, Shown, show};
use super::parts::{
    Choice, GlyphRing, Link, RingGlyph, State as Chip, Tally, Tone, When, number, part,
};
use crate::app::App;
use crate::auth::{Caller, Viewer};
use crate::http::Failure;
use crate::store::people::Role;
use crate::store::rollouts::StoredStage;
use crate::store::{self, tracks};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/overview", get(overview))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
}

/// The facts that matter, for the first sentence.
struct Lead {
    /// `One approval`; none for who decides on nothing.
    approvals: Option<(u64, String)>,
    /// The newest halt that still holds, and how many others.
    halt: Option<(Link, String, When, String)>,
    halts_more: usize,
    /// On what their track's newest rollout brings.
    latest: Option<Tally>,
}

/// A rollout that goes on.
struct Running {
    glyph: RingGlyph,
    link: Link,
    title: String,
    track: String,
    created: When,
    state: Chip,
    ring: Option<String>,
    reasons: Vec<String>,
    done: Tally,
    of: String,
    /// Devices that got it in other rollouts.
    elsewhere: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct OverviewPage {
    frame: Frame,
    tracks: Vec<Choice>,
    lead: Lead,
    steps: Vec<Step>,
    due: Vec<Due>,
    due_all: usize,
    requests: usize,
    decides: bool,
    stopped: Vec<Halt>,
    matrix: Matrix,
    running: Vec<Running>,
    levels: Vec<Level>,
    ahead: Vec<Ahead>,
}

#[derive(Template)]
#[template(path = "pages/overview_nobody.html")]
struct NobodyPage {
    frame: Frame,
}

async fn overview(
    State(app): State<App>,
    person: Caller,
    viewer: Result<Viewer, Failure>,
    Filter(asked): Filter<Asked>,
) -> Shown {
    let viewer = match viewer {
        Err(Failure::Forbidden(_)) => return nobody(&app, &person).await,
        viewer => viewer?,
    };
    let asked_tracks = viewer.asked(asked.track)?;
    let mut tx = store::reading(&app.pool).await?;
    let mut all = tracks::all(&mut tx).await?;
    all.retain(|t| person.sees(t.id));
    let track = all.iter().find(|t| Some(t.id) == asked.track);
    let here = track.map_or_else(
        || "/overview".to_owned(),
        |t| format!("/overview?track={}", t.id),
    );
    let zone = track.map(|t| t.time_zone);
    let (nav, title) = (Nav::Overview, "Overview");
    let frame = Frame::within(&mut tx, &app, &person, nav, title, here, zone).await?;
    let id = person.person().0;
    let asked_tracks = asked_tracks.as_deref();
    let world = World::read(&mut tx, &app, asked_tracks, id).await?;
    // Who is the only one there is decides without the role.
    let roles = &person.account().roles;
    let decides = !world.due.is_empty() || roles.iter().any(|(role, _)| *role == Role::Approver);
    let choices = all
        .iter()
        .map(|t| Choice::new(t.id, t.name.clone(), asked.track == Some(t.id)));
    let choices = choices.collect();
    let name = track.map(|t| t.name.as_str());
    show(OverviewPage::of(&world, frame, choices, name, decides))
}

async fn nobody(app: &App, person: &Caller) -> Shown {
    let frame = Frame::read(app, person, Nav::Overview, "Overview", "/overview", None).await?;
    show(NobodyPage { frame })
}

impl OverviewPage {
    fn steps_done(&self) -> usize {
        self.steps.iter().filter(|s| s.done).count()
    }

    fn of(
        world: &World,
        frame: Frame,
        tracks: Vec<Choice>,
        track: Option<&str>,
        decides: bool,
    ) -> Self {
        let matrix = Matrix::of(world);
        Self {
            lead: lead(world, &frame, &matrix, decides),
            steps: steps(&world.steps),
            due: due(world, &frame),
            due_all: world.due.len(),
            requests: world.requests.len(),
            decides,
            stopped: stopped(world, &frame),
            running: world
                .open()
                .iter()
                .map(|g| running(world, g, &frame))
                .collect(),
            levels: levels(&world.fleet, &world.published, track, world.now),
            ahead: ahead(world, &frame),
            matrix,
            tracks,
            frame,
        }
    }
}

fn lead(world: &World, frame: &Frame, matrix: &Matrix, decides: bool) -> Lead {
    let mut halted = world
        .stopped
        .iter()
        .filter_map(|s| match &s.line.state_detail {
            RolloutState::Halted { reason, .. } => Some((s, cause(reason))),
            _ => None,
        });
    let halt = halted.next().map(|(s, why)| {
        let kb = s
            .line
            .kb
            .map_or_else(|| "A rollout".to_owned(), |kb| kb.to_string());
        let link = Link::new(kb, format!("/rollouts/{}", s.line.id));
        let track = world.track(s.line.track).to_owned();
        (link, track, frame.when(s.stop.at), why)
    });
    let measured = matrix.all - matrix.unmeasured;
    Lead {
        approvals: decides.then(|| {
            let n = u64::try_from(world.due.len()).unwrap_or(u64::MAX);
            let words = match n {
                0 => "No approval waits".to_owned(),
                1 => "One approval waits".to_owned(),
                n => format!("{} approvals wait", number(n)),
            };
            (n, words)
        }),
        halt,
        halts_more: halted.count(),
        latest: (measured > 0).then(|| {
            Tally::found(matrix.latest, &matrix.terms).said(part(matrix.latest, measured))
        }),
    }
}

fn running(world: &World, going: &Going, frame: &Frame) -> Running {
    let line = &going.line;
    let current = going.current();
    let reach = |ring: Uuid| {
        let found = world.reach.get(&(line.id, ring));
        found.copied().unwrap_or_default()
    };
    let rings: Vec<_> = going.stages.iter().map(|s| reach(s.ring_id)).collect();
    let elsewhere = rings.iter().map(|r| r.elsewhere).sum();
    let terms = [format!("rollout:{}", line.id), "state:succeeded".to_owned()];
    let circle = |stage: &StoredStage| {
        let reach = reach(stage.ring_id);
        GlyphRing {
            name: stage.ring_name.clone(),
            done: reach.ok + reach.elsewhere,
            whole: reach.targeted,
            closed: match stage.state {
                StageState::Waiting => Some(Tone::Mute),
                StageState::AwaitingApproval { .. } => Some(Tone::Ask),
                _ => None,
            },
        }
    };
    let circles: Vec<GlyphRing> = going.stages.iter().map(circle).collect();
    Running {
        glyph: RingGlyph::new(&circles, ""),
        link: Link::new(going.kb(), href(going)),
        title: title(going),
        track: world.track(line.track).to_owned(),
        created: frame.when(line.created_at),
        state: match (&line.state_detail, current) {
            (RolloutState::Active, Some(stage)) => Chip::of_stage(&stage.state),
            (state, _) => Chip::of_rollout(state),
        },
        ring: current.map(|s| s.ring_name.clone()),
        reasons: line.reasons.iter().map(|r| r.sentence.clone()).collect(),
        done: Tally::found(rings.iter().map(|r| r.ok).sum(), &terms),
        of: number(rings.iter().map(|r| r.targeted).sum()),
        elsewhere: (elsewhere > 0).then(|| number(elsewhere)),
    }
}

/// `2026-03 OOB`, or the title where there is no label.
fn title(going: &Going) -> String {
    let label = going.sequence.as_ref().map(|s| s.label.clone());
    let label = label.filter(|label| !label.is_empty());
    label
        .or_else(|| going.line.title.clone())
        .unwrap_or_default()
}
