//! `/rollouts/{id}/<action>`: asks once more, then does it.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use engine::Input;
use engine::ids::{PersonId, RolloutId};
use engine::policy::{EXPEDITED_RESTART, EXPEDITED_SOAK_HOURS};
use engine::words::devices;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Admin, As, Caller, Operator, Right};
use crate::error::OpError;
use crate::http::{At, Failure, Why};
use crate::store::{assignments, count, rollouts, tracks};
use crate::views::RolloutLine;
use crate::web::confirm::Confirm;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::{Link, number};
use crate::web::step_up::SteppedUp;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/rollouts/{id}/submit", get(ask_submit).post(submit))
        .route("/rollouts/{id}/pause", get(ask_pause).post(pause))
        .route("/rollouts/{id}/resume", get(ask_resume).post(resume))
        .route("/rollouts/{id}/halt", get(ask_halt).post(halt))
        .route("/rollouts/{id}/cancel", get(ask_cancel).post(cancel))
        .route("/rollouts/{id}/clear-halt", get(ask_clear).post(clear))
        .route(
            "/rollouts/{id}/request-override",
            get(ask_override).post(request_override),
        )
        .route(
            "/rollouts/{id}/request-expedite",
            get(ask_expedite).post(request_expedite),
        )
        .route(
            "/rollouts/{id}/roll-back",
            get(ask_roll_back).post(roll_back),
        )
        .route(
            "/rollouts/{id}/stop-roll-back",
            get(ask_stop_rollback).post(stop_rollback),
        )
}

/// What can be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Submit,
    Pause,
    Resume,
    Halt,
    Cancel,
    ClearHalt,
    Override,
    Expedite,
    RollBack,
    StopRollback,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    reason: String,
}

impl Action {
    const fn path(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Halt => "halt",
            Self::Cancel => "cancel",
            Self::ClearHalt => "clear-halt",
            Self::Override => "request-override",
            Self::Expedite => "request-expedite",
            Self::RollBack => "roll-back",
            Self::StopRollback => "stop-roll-back",
        }
    }

    /// Question and button.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Submit => ("Start", "Start 1 rollout"),
            Self::Pause => ("Pause", "Pause 1 rollout"),
            Self::Resume => ("Resume", "Resume 1 rollout"),
            Self::Halt => ("Halt", "Halt 1 rollout"),
            Self::Cancel => ("Cancel", "Cancel 1 rollout"),
            Self::ClearHalt => ("Clear the halt of", "Clear the halt"),
            Self::Override => ("Ask to override the gate of", "Ask for an override"),
            Self::Expedite => ("Ask to expedite", "Ask to expedite 1 rollout"),
            Self::RollBack => ("Remove", "Remove it"),
            Self::StopRollback => ("Stop removing", "Stop"),
        }
    }

    const fn is_danger(self) -> bool {
        matches!(self, Self::Halt | Self::Cancel | Self::RollBack)
    }

    const fn needs_step_up(self) -> bool {
        matches!(self, Self::ClearHalt | Self::Override | Self::RollBack)
    }

    /// What it touches, with numbers: devices in progress, those that have it, and of these those on which it succeeded.
    fn touches(self, moving: u64, done: u64, succeeded: u64) -> Vec<String> {
        let (moving, done) = (number(moving), number(done));
        let untouched = format!("{done} devices that have it are not touched.");
        match self {
            Self::Submit => vec![
                "Its first ring opens as soon as its policy allows; if it asks for approvals first, people are asked."
                    .to_owned(),
                "Policies and cohorts are fixed from then on.".to_owned(),
            ],
            Self::Pause => vec![
                format!("{moving} devices in progress finish what they started; nothing new starts."),
                "Open approval requests become void. Its author, an admin, or an operator who also approves can resume it.".to_owned(),
            ],
            Self::Resume => vec!["It goes on where it was; permits are granted again.".to_owned()],
            Self::Halt => vec![
                "No server grants a permit after this.".to_owned(),
                format!("{moving} devices in progress finish what they started. {untouched}"),
                "Only an admin with a reason can clear a halt.".to_owned(),
            ],
            Self::Cancel => vec![
                format!("It ends for good. {moving} devices in progress finish what they started."),
                untouched,
            ],
            Self::ClearHalt => vec![
                "Permits are granted again. The evidence stays; it halts again when it worsens.".to_owned(),
            ],
            Self::Override => vec![
                "The gate of the current ring passes although its criteria do not hold, once another person approves it."
                    .to_owned(),
                "The ring is marked as passed by override for ever after.".to_owned(),
            ],
            Self::Expedite => {
                let restart = EXPEDITED_RESTART;
                vec![
                    format!(
                        "Once two more people approve it, rings that have not passed soak {EXPEDITED_SOAK_HOURS} h of working days at most, open \
                         without a further approval and whatever the age of the update."
                    ),
                    format!(
                        "People can put the restart off for {} h from when their device is offered it, and have {} h more.",
                        restart.deadline_hours.unwrap_or_default(),
                        restart.grace_hours
                    ),
                    "What halts and brakes it stays, and so do generations, limits, windows, samples and the failures that a gate bears."
                        .to_owned(),
                ]
            }
            Self::RollBack => vec![
                format!(
                    "{} on which it succeeded, as far as they still have it, are ordered to remove the package.",
                    devices(succeeded)
                ),
                "Each needs a restart that its people agree to. Until another update they are on the build from before: what the update mended is \
                 open again."
                    .to_owned(),
                "What can not be removed stays, and is said of each device.".to_owned(),
            ],
            Self::StopRollback => vec![
                "No further device is ordered to remove it. One that has begun brings it to its end.".to_owned(),
                "Devices that have removed it stay without it.".to_owned(),
            ],
        }
    }

    async fn carry_out(
        self,
        app: &App,
        id: RolloutId,
        by: PersonId,
        reason: String,
    ) -> Result<(), OpError> {
        let input = match self {
            Self::RollBack => return app.control.roll_back(id, &reason, by).await,
            Self::StopRollback => return app.control.stop_rollback(id, &reason, by).await,
            Self::Submit => Input::Submit {
                by,
                not_before: None,
            },
            Self::Pause => Input::Pause { by, reason },
            Self::Resume => Input::Resume { by, reason },
            Self::Halt => Input::Halt { by, reason },
            Self::Cancel => Input::Cancel { by, reason },
            Self::ClearHalt => Input::ClearHalt { by, reason },
            Self::Override => Input::RequestOverride { by, reason },
            Self::Expedite => Input::RequestExpedite { by, reason },
        };
        let _decided = app.control.apply(id, input).await?;
        Ok(())
    }
}

/// A rollout as its pages that ask call it, for someone who has the right over it.
pub(super) struct Named {
    id: Uuid,
    kb: String,
    track: Option<tracks::Track>,
    person: Caller,
    /// Who acts.
    pub(super) by: PersonId,
}

impl Named {
    pub(super) async fn read<R: Right>(
        app: &App,
        caller: As<R>,
        id: Uuid,
    ) -> Result<Self, Failure> {
        let person = caller.caller().clone();
        let mut conn = app.pool.acquire().await?;
        let missing = OpError::NotFound { what: "rollout" };
        let stored = rollouts::by_id(&mut conn, RolloutId(id)).await?;
        let stored = stored.ok_or(missing)?;
        let on = caller.over("rollout", stored.rollout.track.0)?;
        let line = RolloutLine::read(&mut conn, &app.catalogue, stored).await?;
        Ok(Self {
            id,
            kb: line.kb.map_or_else(|| "it".to_owned(), |kb| kb.to_string()),
            track: tracks::by_id(&mut conn, on.track()).await?,
            person,
            by: on.person(),
        })
    }

    /// `Halt KB5086672 on Production?`
    pub(super) fn heading(&self, question: &str) -> String {
        format!("{question} {} on {}?", self.kb, self.track_name())
    }

    fn track_name(&self) -> &str {
        self.track.as_ref().map_or("", |t| t.name.as_str())
    }

    pub(super) fn crumbs(&self) -> Vec<Link> {
        vec![
            Link::new("Rollouts", "/rollouts"),
            Link::new(
                format!("{}, {}", self.kb, self.track_name()),
                format!("/rollouts/{}", self.id),
            ),
        ]
    }

    pub(super) async fn frame(
        &self,
        app: &App,
        heading: &str,
        here: &str,
    ) -> Result<Frame, Failure> {
        let zone = self.track.as_ref().map(|t| t.time_zone);
        let (person, nav) = (&self.person, Nav::Rollouts);
        Frame::read(app, person, nav, heading, here, zone).await
    }
}

/// The page that asks, for someone who has the right over the rollout.
async fn page<R: Right>(
    app: &App,
    caller: As<R>,
    id: Uuid,
    action: Action,
    typed: String,
    mistakes: Mistakes,
) -> Result<Confirm, Failure> {
    let named = Named::read(app, caller, id).await?;
    let mut conn = app.pool.acquire().await?;
    let (mut moving, mut elsewhere, mut succeeded) = (0, 0, 0);
    for (_, state, n) in assignments::by_state(&mut conn, id).await? {
        match state.as_str() {
            "permitted" | "installing" | "step_done" | "restarting" | "verifying" => moving += n,
            "succeeded" => succeeded += n,
            "installed_elsewhere" => elsewhere += n,
            _ => {}
        }
    }
    drop(conn);
    let (question, button) = action.words();
    let heading = named.heading(question);
    let here = format!("/rollouts/{id}/{}", action.path());
    Ok(Confirm {
        frame: named.frame(app, &heading, &here).await?,
        crumbs: named.crumbs(),
        heading,
        touches: action.touches(
            count(moving),
            count(succeeded + elsewhere),
            count(succeeded),
        ),
        action: here,
        button: button.to_owned(),
        danger: action.is_danger(),
        reason: (action != Action::Submit).then_some(typed),
        fields: Vec::new(),
        mistakes,
        needs_step_up: action.needs_step_up(),
    })
}

async fn ask<R: Right>(app: &App, caller: As<R>, id: Uuid, action: Action) -> Shown {
    let page = page(app, caller, id, action, String::new(), Mistakes::none()).await?;
    Ok(page.response())
}

async fn act<R: Right>(app: &App, caller: As<R>, id: Uuid, action: Action, typed: Typed) -> Shown {
    let why = match action {
        Action::Submit => Ok(String::new()),
        _ => Why::try_from(typed.reason.clone()).map(|why| why.as_str().to_owned()),
    };
    let reason = match why {
        Ok(reason) => reason,
        Err(expected) => {
            let mut mistakes = Mistakes::none();
            mistakes.add("reason", expected);
            let page = page(app, caller, id, action, typed.reason, mistakes).await?;
            return Ok(page.response());
        }
    };
    let rollout = RolloutId(id);
    let missing = OpError::NotFound { what: "rollout" };
    let track = rollouts::track_of(&mut *app.pool.acquire().await?, rollout).await?;
    let by = caller.over("rollout", track.ok_or(missing)?.0)?.person();
    action.carry_out(app, rollout, by, reason).await?;
    Ok(Redirect::to(&format!("/rollouts/{id}")).into_response())
}

async fn ask_submit(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Submit).await
}

async fn submit(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Submit, typed).await
}

async fn ask_pause(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Pause).await
}

async fn pause(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Pause, typed).await
}

async fn ask_resume(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Resume).await
}

async fn resume(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Resume, typed).await
}

async fn ask_halt(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Halt).await
}

async fn halt(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Halt, typed).await
}

async fn ask_cancel(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Cancel).await
}

async fn cancel(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Cancel, typed).await
}

async fn ask_clear(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::ClearHalt).await
}

async fn clear(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::ClearHalt, typed).await
}

async fn ask_override(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Override).await
}

async fn request_override(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Override, typed).await
}

async fn ask_expedite(State(app): State<App>, caller: Operator, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::Expedite).await
}

async fn request_expedite(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::Expedite, typed).await
}

async fn ask_roll_back(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::RollBack).await
}

async fn roll_back(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::RollBack, typed).await
}

async fn ask_stop_rollback(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    ask(&app, caller, id, Action::StopRollback).await
}

async fn stop_rollback(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    act(&app, caller, id, Action::StopRollback, typed).await
}
