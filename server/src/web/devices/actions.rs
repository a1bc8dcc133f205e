//! `/devices/{id}/<action>`: asks once more, then does it.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::or_dash;
use crate::app::App;
use crate::auth::{Admin, OnTrack, kinds};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::registry;
use crate::store::devices::{self, Device};
use crate::store::tracks;
use crate::views::DevicePage;
use crate::web::confirm::Confirm;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::{Choice, Link};
use crate::web::problem_page::html;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/devices/{id}/admit", get(ask_admit).post(admit))
        .route("/devices/{id}/revoke", get(ask_revoke).post(revoke))
        .route("/devices/{id}/pin", get(ask_pin).post(pin))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    /// A ring's id, or `rules`.
    #[serde(default)]
    ring: String,
}

/// The form in which a ring is chosen.
#[derive(Template)]
#[template(path = "pages/device_pin.html")]
struct PinPage {
    frame: Frame,
    crumbs: Vec<Link>,
    heading: String,
    touches: Vec<String>,
    rings: Vec<Choice>,
    mistakes: Mistakes,
}

/// The device, for an admin of its track.
async fn over(
    app: &App,
    caller: Admin,
    id: Uuid,
) -> Result<(Device, OnTrack<kinds::Admin>), Failure> {
    let device = devices::by_id(&mut *app.pool.acquire().await?, id).await?;
    let device = device.ok_or(OpError::NotFound { what: "device" })?;
    let right = caller.over("device", device.track_id)?;
    Ok((device, right))
}

/// What is around a page that asks, and where it comes from.
async fn around(
    app: &App,
    caller: &Admin,
    device: &Device,
    (heading, action): (&str, &str),
) -> Result<(Frame, Vec<Link>), Failure> {
    let track = tracks::by_id(&mut *app.pool.acquire().await?, device.track_id).await?;
    let zone = track.map(|t| t.time_zone);
    let home = format!("/devices/{}", device.id);
    let here = format!("{home}/{action}");
    let frame = Frame::read(app, caller.caller(), Nav::Devices, heading, here, zone).await?;
    let name = or_dash(&device.identity.host_name);
    Ok((
        frame,
        vec![Link::new("Devices", "/devices"), Link::new(name, home)],
    ))
}

/// What it is in the middle of.
async fn moving(app: &App, device: &Device) -> Result<Option<String>, Failure> {
    let mut conn = app.pool.acquire().await?;
    let view = DevicePage::read(&mut conn, &app.catalogue, device.clone(), None).await?;
    let begun = [
        "permitted",
        "installing",
        "step_done",
        "restarting",
        "verifying",
        "hang_suspected",
        "lost",
    ];
    let kbs: Vec<String> = view
        .rollouts
        .iter()
        .filter(|p| begun.contains(&p.place.as_str()))
        .map(|p| {
            p.kb.map_or_else(|| "an update".to_owned(), |kb| kb.to_string())
        })
        .collect();
    Ok((!kbs.is_empty()).then(|| format!("It is in the middle of {}.", kbs.join(" and "))))
}

async fn ask_admit(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let (device, _) = over(&app, caller.clone(), id).await?;
    let heading = format!("Admit {}?", or_dash(&device.identity.host_name));
    let (frame, crumbs) = around(&app, &caller, &device, (&heading, "admit")).await?;
    let page = Confirm {
        action: frame.here.clone(),
        frame,
        crumbs,
        heading,
        touches: vec![
            format!(
                "Model {}, serial {}. Compare them with the machine: what it says of itself was not checked by anyone else.",
                or_dash(&device.facts.model),
                or_dash(&device.identity.serial)
            ),
            "It gets access tokens, belongs to its ring, and counts in the populations of rollouts.".to_owned(),
        ],
        button: "Admit 1 device".to_owned(),
        danger: false,
        reason: None,
        fields: Vec::new(),
        mistakes: Mistakes::none(),
        needs_step_up: false,
    };
    Ok(page.response())
}

async fn admit(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(Nothing {}): Form<Nothing>,
) -> Shown {
    let by = over(&app, caller, id).await?.1.person().0;
    let (pool, now) = (&app.pool, app.clock.now());
    registry::admit(pool, &app.catalogue, &app.picture, id, by, now).await?;
    Ok(back_to(id))
}

async fn ask_revoke(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let (device, _) = over(&app, caller.clone(), id).await?;
    let heading = format!("Revoke {}?", or_dash(&device.identity.host_name));
    let (frame, crumbs) = around(&app, &caller, &device, (&heading, "revoke")).await?;
    let mut touches = vec![
        "Its tokens are worth nothing from now on: it gets no update, and what it says is no evidence.".to_owned(),
        "What it did so far stays in the evidence. Nothing on the machine is changed.".to_owned(),
        "It comes back only by enrolling anew, with a token.".to_owned(),
    ];
    touches.extend(moving(&app, &device).await?);
    let page = Confirm {
        action: frame.here.clone(),
        frame,
        crumbs,
        heading,
        touches,
        button: "Revoke 1 device".to_owned(),
        danger: true,
        reason: None,
        fields: Vec::new(),
        mistakes: Mistakes::none(),
        needs_step_up: false,
    };
    Ok(page.response())
}

async fn revoke(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(Nothing {}): Form<Nothing>,
) -> Shown {
    let by = over(&app, caller, id).await?.1.person().0;
    let (pool, now) = (&app.pool, app.clock.now());
    registry::revoke(pool, &app.catalogue, &app.picture, id, by, now).await?;
    Ok(back_to(id))
}

async fn pin_page(
    app: &App,
    caller: &Admin,
    device: &Device,
    mistakes: Mistakes,
) -> Result<Response, Failure> {
    let rings = tracks::rings(&mut *app.pool.acquire().await?, device.track_id).await?;
    let now = rings.iter().find(|r| r.id == device.ring_id);
    let heading = format!("Ring of {}", or_dash(&device.identity.host_name));
    let (frame, crumbs) = around(app, caller, device, (&heading, "pin")).await?;
    let name = now.map(|r| r.name.clone()).unwrap_or_default();
    let how = if device.pin.is_some() {
        "pinned there"
    } else {
        "placed there by the rules"
    };
    let mut touches = vec![
        format!("It is in {name}, {how}."),
        "A pin comes before every rule, until it is taken off.".to_owned(),
        "In rollouts that it has begun it stays in the ring in which it began, so it skips no gate.".to_owned(),
    ];
    touches.extend(moving(app, device).await?);
    let mut choices = vec![Choice::new(
        "rules",
        "By the rules, without a pin",
        device.pin.is_none(),
    )];
    choices.extend(
        rings
            .into_iter()
            .map(|r| Choice::new(r.id, r.name, device.pin == Some(r.id))),
    );
    let wrong = !mistakes.is_empty();
    let page = PinPage {
        frame,
        crumbs,
        heading,
        touches,
        rings: choices,
        mistakes,
    };
    let status = if wrong {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    Ok((status, html(&page)).into_response())
}

async fn ask_pin(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let (device, _) = over(&app, caller.clone(), id).await?;
    pin_page(&app, &caller, &device, Mistakes::none()).await
}

async fn pin(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<Pin>,
) -> Shown {
    let (device, right) = over(&app, caller.clone(), id).await?;
    let by = right.person().0;
    let ring = match typed.ring.as_str() {
        "rules" => Ok(None),
        id => Uuid::parse_str(id).map(Some),
    };
    let done = match ring {
        Ok(ring) => {
            let (pool, now) = (&app.pool, app.clock.now());
            registry::pin(pool, &app.catalogue, &app.picture, id, ring, by, now).await
        }
        Err(_) => Err(OpError::field(
            "ring",
            "a ring of the device's track, or the rules",
        )),
    };
    match done {
        Ok(_) => Ok(back_to(id)),
        Err(error) => pin_page(&app, &caller, &device, Mistakes::from_error(error)?).await,
    }
}

fn back_to(id: Uuid) -> Response {
    Redirect::to(&format!("/devices/{id}")).into_response()
}
