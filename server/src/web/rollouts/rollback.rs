//! `/rollouts/{id}/roll-back` and `/rollouts/{id}/stop-roll-back`: has an update removed again, or no longer.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use engine::ids::RolloutId;
use engine::words;
use serde::Deserialize;
use uuid::Uuid;

use super::actions::Named;
use crate::app::App;
use crate::auth::Admin;
use crate::http::{At, Failure, Why};
use crate::store::{assignments, count};
use crate::web::confirm::Confirm;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::Shown;
use crate::web::step_up::SteppedUp;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/rollouts/{id}/roll-back", get(ask_start).post(start))
        .route("/rollouts/{id}/stop-roll-back", get(ask_stop).post(stop))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Start,
    Stop,
}

impl Action {
    const fn path(self) -> &'static str {
        match self {
            Self::Start => "roll-back",
            Self::Stop => "stop-roll-back",
        }
    }

    /// What it touches.
    fn touches(self, have: u64) -> Vec<String> {
        match self {
            Self::Start => vec![
                format!(
                    "{} on which it succeeded, as far as they still have it, are ordered to remove the package.",
                    words::devices(have)
                ),
                "Each needs a restart that its people agree to. Until another update they are on the build from before: what the update mended is \
                 open again."
                    .to_owned(),
                "What can not be removed stays, and is said of each device.".to_owned(),
            ],
            Self::Stop => vec![
                "No further device is ordered to remove it. One that has begun brings it to its end.".to_owned(),
                "Devices that have removed it stay without it.".to_owned(),
            ],
        }
    }
}

async fn page(
    app: &App,
    named: &Named,
    id: Uuid,
    action: Action,
    typed: Typed,
    mistakes: Mistakes,
) -> Result<Confirm, Failure> {
    let heading = named.heading(match action {
        Action::Start => "Remove",
        Action::Stop => "Stop removing",
    });
    let here = format!("/rollouts/{id}/{}", action.path());
    let states = assignments::by_state(&mut *app.pool.acquire().await?, id).await?;
    let have = states.iter().filter(|(_, state, _)| state == "succeeded");
    let have = have.map(|(_, _, n)| count(*n)).sum();
    Ok(Confirm {
        frame: named.frame(app, &heading, &here).await?,
        crumbs: named.crumbs(),
        heading,
        touches: action.touches(have),
        action: here,
        button: match action {
            Action::Start => "Remove it".to_owned(),
            Action::Stop => "Stop".to_owned(),
        },
        danger: action == Action::Start,
        reason: Some(typed.reason),
        fields: Vec::new(),
        mistakes,
        needs_step_up: action == Action::Start,
    })
}

async fn ask(app: &App, caller: Admin, id: Uuid, action: Action) -> Shown {
    let named = Named::read(app, caller, id).await?;
    let page = page(app, &named, id, action, Typed::default(), Mistakes::none()).await?;
    Ok(page.response())
}

async fn act(app: &App, caller: Admin, id: Uuid, action: Action, typed: Typed) -> Shown {
    let named = Named::read(app, caller, id).await?;
    let reason = match Why::try_from(typed.reason.clone()) {
        Ok(reason) => reason,
        Err(expected) => {
            let mut mistakes = Mistakes::none();
            mistakes.add("reason", expected);
            let page = page(app, &named, id, action, typed, mistakes).await?;
            return Ok(page.response());
        }
    };
    let (rollout, reason) = (RolloutId(id), reason.as_str());
    match action {
        Action::Start => app.control.roll_back(rollout, reason, named.by).await?,
        Action::Stop => app.control.stop_rollback(rollout, reason, named.by).await?,
    }
    Ok(Redirect::to(&format!("/rollouts/{id}")).into_response())
}

async fn ask_start(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Start).await
}

async fn start(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Start, typed).await
}

async fn ask_stop(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Stop).await
}

async fn stop(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Stop, typed).await
}
