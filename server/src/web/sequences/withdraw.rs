//! `/sequences/{id}/withdraw`: asks once more, then stops its permits on every track, so it takes an admin of every track.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use engine::words::{count, devices};
use serde::Deserialize;
use servicing::KbNumber;
use uuid::Uuid;

use super::stored;
use crate::app::App;
use crate::auth::{Admin, Caller};
use crate::error::OpError;
use crate::http::{At, Failure, Why};
use crate::store::sequences::{self, RolledOut, SequenceState};
use crate::store::{self, tracks};
use crate::web::confirm::{Confirm, TextField};
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::Link;
use crate::web::step_up::SteppedUp;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/sequences/{id}/withdraw", get(ask).post(withdraw))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    replaced_by: String,
}

/// What a withdrawal touches, with numbers.
fn touches(used: &[RolledOut], name: impl Fn(Uuid) -> String) -> Vec<String> {
    let live: Vec<&RolledOut> = used.iter().filter(|r| is_live(r)).collect();
    let mut tracks: Vec<String> = live.iter().map(|r| name(r.track)).collect();
    tracks.sort_unstable();
    tracks.dedup();
    let n = u64::try_from(live.len()).unwrap_or(u64::MAX);
    let moving: u64 = used
        .iter()
        .map(|r| r.started.saturating_sub(r.resolved))
        .sum();
    let have: u64 = used.iter().map(|r| r.ok).sum();
    let stops = if live.is_empty() {
        "No rollout of it goes on.".to_owned()
    } else {
        format!("It stops {} on {}.", count(n, "rollout"), tracks.join(", "))
    };
    let flight = match moving {
        0 => "No device is in flight.".to_owned(),
        1 => "1 device in flight ends what it started.".to_owned(),
        n => format!("{} in flight end what they started.", devices(n)),
    };
    let kept = match have {
        0 => "No device has it.".to_owned(),
        1 => "1 device that has it keeps it.".to_owned(),
        n => format!("{} that have it keep it.", devices(n)),
    };
    vec![
        format!("{stops} No server grants a permit for it after this, on any track."),
        format!("{flight} {kept}"),
        "It can not be taken back. A replacement is rolled out like any other sequence.".to_owned(),
    ]
}

/// A withdrawal ends it.
fn is_live(used: &RolledOut) -> bool {
    !used.state.is_final() && used.state.word() != "draft"
}

async fn page(
    app: &App,
    caller: &Caller,
    id: Uuid,
    typed: Typed,
    mistakes: Mistakes,
) -> Result<Confirm, Failure> {
    let stored = stored(app, id).await?;
    if stored.state != SequenceState::Published {
        let sentence = "Only a published sequence can be withdrawn.";
        return Err(OpError::Conflict(sentence.into()).into());
    }
    let mut tx = store::reading(&app.pool).await?;
    let used = sequences::rolled_out(&mut tx, id, None).await?;
    let all = tracks::all(&mut tx).await?;
    drop(tx);
    let name = |id: Uuid| {
        let track = all.iter().find(|t| t.id == id);
        track.map(|t| t.name.clone()).unwrap_or_default()
    };
    let kb = stored.sequence.kb;
    let heading = format!("Withdraw {kb}?");
    let action = format!("/sequences/{id}/withdraw");
    let back = format!("/sequences/{id}");
    Ok(Confirm {
        frame: Frame::read(app, caller, Nav::Sequences, &heading, &action, None).await?,
        crumbs: vec![
            Link::new("KB sequences", "/sequences"),
            Link::new(kb.to_string(), back),
        ],
        heading,
        touches: touches(&used, name),
        action,
        button: "Withdraw 1 sequence".to_owned(),
        danger: true,
        reason: Some(typed.reason),
        fields: vec![TextField {
            name: "replaced_by",
            label: "Replaced by",
            hint: "The KB that takes its place, such as KB5086672; empty where there is none yet.",
            value: typed.replaced_by,
        }],
        mistakes,
        needs_step_up: true,
    })
}

async fn ask(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    let _everywhere = caller.everywhere()?;
    let page = page(&app, &person, id, Typed::default(), Mistakes::none()).await?;
    Ok(page.response())
}

async fn withdraw(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.everywhere()?.person();
    let mut mistakes = Mistakes::none();
    let reason = Why::try_from(typed.reason.clone());
    if let Err(expected) = &reason {
        mistakes.add("reason", *expected);
    }
    let replaced_by = match typed.replaced_by.trim() {
        "" => None,
        text => text
            .parse::<KbNumber>()
            .map_err(|e| mistakes.add("replaced_by", e.expected))
            .ok(),
    };
    let (Ok(reason), true) = (reason, mistakes.is_empty()) else {
        let page = page(&app, &person, id, typed, mistakes).await?;
        return Ok(page.response());
    };
    let done = app
        .control
        .withdraw_sequence(id, reason.as_str(), replaced_by, by);
    done.await?;
    Ok(Redirect::to(&format!("/sequences/{id}")).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::rollout::RolloutState;

    use super::*;
    use crate::web::frame::main_of;

    fn used(track: u128, state: RolloutState, started: u64, ok: u64, resolved: u64) -> RolledOut {
        RolledOut {
            id: Uuid::nil(),
            track: Uuid::from_u128(track),
            state,
            listed: false,
            population: BTreeMap::new(),
            started,
            ok,
            failed: 0,
            resolved,
        }
    }

    fn asked(used: &[RolledOut], mistakes: Mistakes, stepped_up: bool) -> Confirm {
        let mut frame = Frame::sample(Nav::Sequences, "Withdraw", "/sequences/1/withdraw");
        frame.stepped_up = stepped_up;
        Confirm {
            frame,
            crumbs: vec![Link::new("KB5079391", "/sequences/1")],
            heading: "Withdraw KB5079391?".to_owned(),
            touches: touches(used, |id| format!("Track {}", id.as_u128())),
            action: "/sequences/1/withdraw".to_owned(),
            button: "Withdraw 1 sequence".to_owned(),
            danger: true,
            reason: Some(String::new()),
            fields: vec![TextField {
                name: "replaced_by",
                label: "Replaced by",
                hint: "",
                value: "5086672x".to_owned(),
            }],
            mistakes,
            needs_step_up: true,
        }
    }

    #[test]
    fn it_names_the_rollouts_the_tracks_and_the_devices_in_flight() {
        let used = [
            used(2, RolloutState::Active, 30, 20, 25),
            used(1, RolloutState::Active, 2, 1, 1),
            used(
                1,
                RolloutState::Cancelled {
                    reason: String::new(),
                },
                5,
                5,
                5,
            ),
            used(3, RolloutState::Draft, 0, 0, 0),
        ];
        insta::assert_snapshot!(main_of(&asked(&used, Mistakes::none(), false)));
    }

    #[test]
    fn wrong_input_is_kept_and_named_beside_its_field() {
        let mut mistakes = Mistakes::none();
        mistakes.add("reason", "a reason of 1 to 1,000 characters");
        mistakes.add("replaced_by", "a KB number such as KB5086672");
        insta::assert_snapshot!(main_of(&asked(&[], mistakes, true)));
    }
}
