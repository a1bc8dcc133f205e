//! `/people/{id}/roles`: exactly the roles that are ticked.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::grid::{Grid, grants};
use super::said;
use crate::app::App;
use crate::auth::{self, Admin, Caller, Grant};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::store::{people, tracks};
use crate::web::form::Form;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::Link;
use crate::web::problem_page::html;
use crate::web::step_up::{self, SteppedUp};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/people/{id}/roles", get(page).post(set))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    grant: Vec<String>,
}

#[derive(Template)]
#[template(path = "pages/person_roles.html")]
struct RolesPage {
    frame: Frame,
    crumbs: Vec<Link>,
    name: String,
    own: bool,
    grid: Grid,
    refused: Option<String>,
    step_up: String,
}

/// The form: as it is stored, or as it was ticked.
async fn form(
    app: &App,
    person: &Caller,
    id: Uuid,
    ticked: Option<Vec<Grant>>,
    refused: Option<String>,
) -> Result<RolesPage, Failure> {
    let here = format!("/people/{id}/roles");
    let frame = Frame::read(app, person, Nav::People, "Roles", &here, None).await?;
    let mut conn = app.pool.acquire().await?;
    let missing = OpError::NotFound { what: "person" };
    let account = people::by_id(&mut conn, id).await?.ok_or(missing)?;
    let tracks = tracks::all(&mut conn).await?;
    let stored = account.roles.iter().map(|(role, track)| Grant {
        role: *role,
        track: *track,
    });
    let held = ticked.unwrap_or_else(|| stored.collect());
    Ok(RolesPage {
        frame,
        crumbs: vec![
            Link::new("People", "/people"),
            Link::new(&account.name, format!("/people/{id}")),
        ],
        name: account.name,
        own: person.person().0 == id,
        grid: Grid::new(&tracks, &held)?,
        refused,
        step_up: step_up::address(&here),
    })
}

async fn page(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    show(form(&app, &person, id, None, None).await?)
}

async fn set(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.everywhere()?.person().0;
    let roles = grants(&typed.grant)?;
    if let Err(error) = auth::set_roles(&app.pool, id, &roles, by, app.clock.now()).await {
        let refused = Some(said(error)?);
        let page = form(&app, &person, id, Some(roles), refused).await?;
        return Ok((StatusCode::CONFLICT, html(&page)).into_response());
    }
    Ok(Redirect::to(&format!("/people/{id}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::people::Role;
    use crate::web::frame::main_of;

    #[test]
    fn ones_own_roles_come_with_a_warning() {
        let mut frame = Frame::sample(Nav::People, "Roles", "/people/1/roles");
        frame.stepped_up = true;
        let held = [Grant {
            role: Role::Approver,
            track: None,
        }];
        let page = RolesPage {
            frame,
            crumbs: vec![Link::new("Anna Novak", "/people/1")],
            name: "Anna Novak".to_owned(),
            own: true,
            grid: Grid::new(&[], &held).unwrap(),
            refused: Some(
                "Nobody would be left who administers all tracks. Nothing was changed.".to_owned(),
            ),
            step_up: "/step-up".to_owned(),
        };
        insta::assert_snapshot!(main_of(&page));
    }
}
