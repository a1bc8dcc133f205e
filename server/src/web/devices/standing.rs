//! How a device stands in rollouts, in sentences.

use engine::assignment::State as Step;
use engine::ids::RolloutId;
use engine::remediation;
use servicing::HResult;
use sqlx::PgConnection;

use super::events::lasting;
use crate::app::App;
use crate::auth::Caller;
use crate::store::rollouts;
use crate::views::{AssignmentLine, DevicePage, Place};
use crate::web::frame::Frame;
use crate::web::parts::{Link, State as Chip, When};

/// Rollouts that are over of which the device's part is shown.
const PAST: usize = 20;

/// Its part in a rollout.
pub struct Part {
    /// The rollout.
    pub link: Link,
    /// How the rollout ended.
    pub over: Option<Chip>,
    /// Ring in which it is there.
    pub ring: Option<String>,
    /// Where the rollout is, while it is live.
    pub phase: Option<&'static str>,
    /// How far it got.
    pub state: Chip,
    /// Why.
    pub sentences: Vec<String>,
    /// When it last moved.
    pub since: Option<When>,
}

/// Its parts in rollouts that are over, newest first.
///
/// # Errors
/// When the database fails.
pub async fn past(
    conn: &mut PgConnection,
    app: &App,
    view: &DevicePage,
    caller: &Caller,
    frame: &Frame,
) -> anyhow::Result<Vec<Part>> {
    let over = |a: &&AssignmentLine| view.rollouts.iter().all(|p| p.rollout.0 != a.rollout);
    let mut past = Vec::new();
    for line in view.assignments.iter().filter(over).take(PAST) {
        let Some(stored) = rollouts::by_id(&mut *conn, RolloutId(line.rollout)).await? else {
            continue;
        };
        // It may have come from a track that is not there for this caller.
        if !caller.sees(stored.rollout.track.0) {
            continue;
        }
        let sequence = app.catalogue.get(&mut *conn, stored.rollout.digest).await?;
        let name = sequence.map_or_else(|| "Unknown".to_owned(), |s| s.kb.to_string());
        past.push(Part {
            link: Link::new(name, format!("/rollouts/{}", line.rollout)),
            over: Some(Chip::of_rollout(&stored.rollout.state).hushed()),
            ring: None,
            phase: None,
            state: Chip::of_device(line.state).hushed(),
            sentences: sentences(line),
            since: Some(frame.when(line.progress_at)),
        });
    }
    Ok(past)
}

/// What there is to say of an assignment beside its state.
pub fn sentences(line: &AssignmentLine) -> Vec<String> {
    let mut said = Vec::new();
    let a = &line.detail;
    match a.state {
        Step::Failed {
            code: Some(code),
            step,
        } => {
            let meaning = servicing::error_code(code).map(|k| format!(" {}", k.meaning));
            said.push(format!(
                "Step {step} of {}: {code}.{}",
                a.of,
                meaning.unwrap_or_default()
            ));
            said.extend(needs_hands(code, a.tries).map(str::to_owned));
        }
        Step::Remediating { code, step } => {
            said.push(format!("Step {step} of {}: {code}.", a.of));
        }
        Step::Failed { code: None, .. } => {
            said.push("Build or packages were not as expected afterwards.".to_owned());
        }
        Step::NotRemoved { code } => said.push(match code {
            Some(code) => format!("Its removal ended with {code}."),
            None => "Its agent refused to remove it: it does another update by now.".to_owned(),
        }),
        Step::RolledBack { code } => said.push(format!("Windows took it back: {code}.")),
        Step::Installing { step } | Step::StepDone { step } | Step::Restarting { step } => {
            said.push(format!("Step {step} of {}.", a.of));
        }
        _ => {}
    }
    if a.regressed() {
        said.push("It came off the build afterwards.".to_owned());
    }
    if let Some(why) = line.not_ready.as_ref().filter(|_| !a.resolved) {
        said.push(format!("Not ready: {}.", why.replace('_', " ")));
    }
    said
}

/// Where nothing is left that the device could do by itself.
fn needs_hands(code: HResult, tries: u8) -> Option<&'static str> {
    match (remediation::next(Some(code), tries), tries) {
        (Some(_), _) => None,
        (None, 0) => {
            Some("There is nothing that a device could do by itself: somebody has to look.")
        }
        (None, _) => {
            Some("It failed again after all that it could do by itself: somebody has to look.")
        }
    }
}

/// How it stands in a rollout, in one sentence.
pub fn stands(place: &Place, line: Option<&AssignmentLine>, frame: &Frame) -> String {
    let kb = place
        .kb
        .map_or_else(|| "The update".to_owned(), |kb| kb.to_string());
    let ring = place
        .ring_name
        .clone()
        .unwrap_or_else(|| "its ring".to_owned());
    let since = line.map_or_else(String::new, |line| {
        let ago = lasting((frame.now - line.progress_at).num_seconds());
        format!("since {}, for {ago}", frame.when(line.progress_at).text())
    });
    let step = line.map(sentences).unwrap_or_default().join(" ");
    let why = place.sentences.join(" ");
    match place.place.split(':').next().unwrap_or_default() {
        "succeeded" => format!("{kb} is installed and was verified."),
        "failed" => format!("{kb} failed. {step}"),
        "removed" => format!("{kb} was installed, and removed again by order."),
        "not_removed" => {
            format!("{kb} is installed. It was to be removed again, and that failed. {step}")
        }
        "remediating" => format!("{kb} failed, and the device is being repaired. {step}"),
        "rolled_back" => format!("{kb} was installed and Windows took it back. {step}"),
        "hang_suspected" => {
            format!("No progress with {kb} {since}, though the device is alive. {step}")
        }
        "lost" => format!("Nothing was heard {since}, since it got its permit for {kb}."),
        "targeted" => format!(
            "{kb} is meant for it and has not begun; {ring} is {}.",
            place.stage_state.unwrap_or("not reached").replace('_', " ")
        ),
        "not_ready" => format!("{kb} is meant for it and could not start now. {why}"),
        "not_applicable" => format!("{kb} is not for this device. {why}"),
        "held" => format!("{kb} is meant for it. {why}"),
        "excluded" => why,
        "not_listed" => format!("{kb} goes to listed devices, and this is none of them."),
        "complete" => format!("It has {kb} already."),
        "ahead" => format!("It is beyond {kb} already."),
        "installed_elsewhere" => {
            format!("Something else put it onto the build of {kb}, or a newer one.")
        }
        "awaiting_approval" | "revoked" => String::new(),
        word => {
            let stands = format!("{kb}: {} {since}", word.replace('_', " "));
            format!("{}. {step}", stands.trim_end())
        }
    }
}
