//! `/rollouts/{id}/exclude`: lets a rollout go on without devices.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use engine::ids::RolloutId;
use serde::Deserialize;
use uuid::Uuid;

use super::actions::Named;
use crate::app::App;
use crate::auth::Admin;
use crate::http::{At, Failure, Why};
use crate::registry::NewExclusion;
use crate::web::confirm::{Confirm, TextField};
use crate::web::form::{Form, Mistakes};
use crate::web::frame::Shown;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/rollouts/{id}/exclude", get(ask).post(exclude))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    devices: String,
    reason: String,
}

async fn page(
    app: &App,
    named: &Named,
    id: Uuid,
    typed: Typed,
    mistakes: Mistakes,
) -> Result<Confirm, Failure> {
    let heading = named.heading("Leave devices out of");
    let here = format!("/rollouts/{id}/exclude");
    Ok(Confirm {
        frame: named.frame(app, &heading, &here).await?,
        crumbs: named.crumbs(),
        heading,
        touches: vec![
            "Devices that match and have not started are not offered it, and its gates do not wait for them.".to_owned(),
            "Devices that have started go on; what they report still counts.".to_owned(),
            "An admin can take them back in.".to_owned(),
        ],
        action: here,
        button: "Leave them out".to_owned(),
        danger: true,
        reason: Some(typed.reason),
        fields: vec![TextField {
            name: "devices",
            label: "Devices",
            hint: "A query, such as model:\"Latitude 5440\" bios:1.2* or tag:kiosk.",
            value: typed.devices,
        }],
        mistakes,
        needs_step_up: false,
    })
}

async fn ask(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let named = Named::read(&app, caller, id).await?;
    let page = page(&app, &named, id, Typed::default(), Mistakes::none()).await?;
    Ok(page.response())
}

async fn exclude(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    let named = Named::read(&app, caller, id).await?;
    let mut mistakes = Mistakes::none();
    if typed.devices.trim().is_empty() {
        mistakes.add("devices", "a query, such as model:\"Latitude 5440\"");
    }
    match Why::try_from(typed.reason.clone()) {
        Ok(reason) if mistakes.is_empty() => {
            let devices = typed.devices.clone();
            let new = NewExclusion {
                devices,
                reason: reason.as_str().to_owned(),
            };
            let done = app.exclude_devices(RolloutId(id), new, named.by.0).await;
            match done {
                Ok(_) => return Ok(Redirect::to(&format!("/rollouts/{id}#holds")).into_response()),
                Err(error) => mistakes = Mistakes::from_error(error)?,
            }
        }
        Ok(_) => {}
        Err(expected) => mistakes.add("reason", expected),
    }
    let page = page(&app, &named, id, typed, mistakes).await?;
    Ok(page.response())
}
