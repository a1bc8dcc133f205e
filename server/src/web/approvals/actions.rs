//! Yes and no.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use engine::Input;
use engine::ids::{PersonId, RequestId, RolloutId};
use serde::Deserialize;
use servicing::Sha256;
use uuid::Uuid;

use super::asked::NONE;
use super::decision::unheld;
use super::page::{ApprovalPage, Typed};
use super::words::{Names, outcome};
use crate::app::App;
use crate::auth::{Approver, Viewer};
use crate::error::OpError;
use crate::http::{At, Failure, Why};
use crate::store::people;
use crate::store::requests::{self, Listed};
use crate::views::RequestLine;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::Shown;
use crate::web::step_up::SteppedUp;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/approvals/{id}/approve", get(back).post(approve))
        .route("/approvals/{id}/reject", get(back).post(reject))
}

/// A form that was answered wrongly stands at these addresses; loaded again, it is the page.
async fn back(_caller: Viewer, At(id): At<Uuid>) -> Redirect {
    Redirect::to(&format!("/approvals/{id}"))
}

/// The hash is that of what the approver saw; `seen` are the lines that do not hold and were ticked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Yes {
    hash: Sha256,
    #[serde(default)]
    seen: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct No {
    #[serde(default)]
    reason: String,
}

async fn found(app: &App, id: Uuid) -> Result<Listed, Failure> {
    let mut conn = app.pool.acquire().await?;
    let listed = requests::by_id(&mut conn, RequestId(id)).await?;
    Ok(listed.ok_or(NONE)?)
}

async fn approve(
    State(app): State<App>,
    caller: Approver,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(yes): Form<Yes>,
) -> Shown {
    let listed = found(&app, id).await?;
    let by = caller
        .clone()
        .over("approval request", listed.track)?
        .person();
    let mut mistakes = Mistakes::none();
    // Of another hash other lines may have been seen: that one is refused below.
    if listed.request.is_open() && yes.hash == listed.request.hash {
        for line in unheld(
            &listed.request.ask,
            listed.request.frozen.gate.as_ref(),
            &yes.seen,
        ) {
            if !line.ticked {
                mistakes.add(line.word, "a tick: say that you have seen it");
            }
        }
    }
    if !mistakes.is_empty() {
        let typed = Typed {
            seen: yes.seen,
            ..Typed::default()
        };
        let page = ApprovalPage::read(&app, caller, id, typed, mistakes).await?;
        return Ok(page.response());
    }
    let input = Input::Approve {
        by,
        request: RequestId(id),
        hash: yes.hash,
    };
    decide(&app, listed.rollout, id, input).await
}

async fn reject(
    State(app): State<App>,
    caller: Approver,
    At(id): At<Uuid>,
    Form(no): Form<No>,
) -> Shown {
    let listed = found(&app, id).await?;
    let by: PersonId = caller
        .clone()
        .over("approval request", listed.track)?
        .person();
    let reason = match Why::try_from(no.reason.clone()) {
        Ok(why) => why.as_str().to_owned(),
        Err(expected) => {
            let mut mistakes = Mistakes::none();
            mistakes.add("reason", expected);
            let typed = Typed {
                reason: no.reason,
                ..Typed::default()
            };
            let page = ApprovalPage::read(&app, caller, id, typed, mistakes).await?;
            return Ok(page.response());
        }
    };
    let input = Input::Reject {
        by,
        request: RequestId(id),
        reason,
    };
    decide(&app, listed.rollout, id, input).await
}

async fn decide(app: &App, rollout: RolloutId, request: Uuid, input: Input) -> Shown {
    match app.control.apply(rollout, input).await {
        Ok(_decided) => Ok(Redirect::to(&format!("/approvals/{request}")).into_response()),
        Err(OpError::Refused { code, sentence }) => {
            Err(refused(app, request, code, sentence).await?.into())
        }
        Err(other) => Err(other.into()),
    }
}

/// A no of the rules, with what to do. What changed since the page was read is a conflict, and says what is so now.
async fn refused(
    app: &App,
    request: Uuid,
    code: String,
    sentence: String,
) -> Result<OpError, Failure> {
    const AGAIN: &str = "Open the approvals again to see what waits now.";
    let now = found(app, request).await?;
    let names = Names::new(&people::all(&mut *app.pool.acquire().await?).await?);
    if let Some(ended) = outcome(&RequestLine::from(now), &names) {
        return Ok(OpError::Conflict(format!("{ended} {AGAIN}")));
    }
    Ok(match code.as_str() {
        "hash" | "state" | "void" | "expired" => OpError::Conflict(format!("{sentence} {AGAIN}")),
        "four_eyes" | "role" => OpError::Refused {
            sentence: format!("{sentence} Another approver of the track has to decide."),
            code,
        },
        _ => OpError::Refused {
            sentence: format!("{sentence} Approve it once that is so."),
            code,
        },
    })
}
