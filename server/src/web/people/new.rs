//! `/people/new`: adds someone and makes the link with which they choose a password.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;

use super::grid::{Grid, grants};
use super::said;
use crate::app::App;
use crate::auth::{self, Admin, Caller, NewPerson};
use crate::error::OpError;
use crate::http::Failure;
use crate::store::tracks;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::origin::Origin;
use crate::web::parts::Link;
use crate::web::problem_page::html;
use crate::web::secret_page::SecretPage;
use crate::web::step_up::{self, SteppedUp};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/people/new", get(page).post(add))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    grant: Vec<String>,
}

#[derive(Template)]
#[template(path = "pages/person_new.html")]
struct NewPage {
    frame: Frame,
    crumbs: Vec<Link>,
    /// What was typed as the name.
    typed: String,
    grid: Grid,
    refused: Option<String>,
    mistakes: Mistakes,
    step_up: String,
}

async fn form(
    app: &App,
    person: &Caller,
    typed: Typed,
    mistakes: Mistakes,
    refused: Option<String>,
) -> Result<NewPage, Failure> {
    let here = "/people/new";
    let frame = Frame::read(app, person, Nav::People, "Add a person", here, None).await?;
    let tracks = tracks::all(&mut *app.pool.acquire().await?).await?;
    Ok(NewPage {
        frame,
        crumbs: vec![Link::new("People", "/people")],
        typed: typed.name,
        grid: Grid::new(&tracks, &grants(&typed.grant)?)?,
        refused,
        mistakes,
        step_up: step_up::address(here),
    })
}

async fn page(State(app): State<App>, caller: Admin) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    show(form(&app, &person, Typed::default(), Mistakes::none(), None).await?)
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    origin: Origin,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.everywhere()?.person().0;
    let new = NewPerson {
        name: typed.name.clone(),
        roles: grants(&typed.grant)?,
    };
    let account = match auth::add_person(&app.pool, &new, by, app.clock.now()).await {
        Ok(account) => account,
        Err(error) => {
            let (mistakes, refused) = match error {
                OpError::Invalid(fields) => (Mistakes(fields), None),
                other => (Mistakes::none(), Some(said(other)?)),
            };
            let page = form(&app, &person, typed, mistakes, refused).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response());
        }
    };
    show(link_page(&app, &person, &account, &origin).await?)
}

/// Makes a link for someone and shows it.
pub async fn link_page(
    app: &App,
    person: &Caller,
    account: &crate::store::people::Account,
    Origin(origin): &Origin,
) -> Result<SecretPage, Failure> {
    let by = Some(person.person().0);
    let (secret, expires) = auth::make_link(&app.pool, account.id, by, app.clock.now()).await?;
    let heading = format!("Link for {}", account.name);
    let here = format!("/people/{}", account.id);
    let frame = Frame::read(app, person, Nav::People, &heading, &here, None).await?;
    Ok(SecretPage {
        expires: frame.when(expires),
        frame,
        crumbs: vec![
            Link::new("People", "/people"),
            Link::new(&account.name, here),
        ],
        heading,
        lead: "Send it to them by a way that only they read. With it they choose a password; it is good once."
            .to_owned(),
        label: "Link",
        secret: format!("{origin}/welcome/{}", secret.show()),
        command: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tracks::Track;
    use crate::web::frame::main_of;

    impl NewPage {
        fn sample(stepped_up: bool) -> Self {
            let mut frame = Frame::sample(Nav::People, "Add a person", "/people/new");
            frame.stepped_up = stepped_up;
            let track = Track {
                id: uuid::Uuid::nil(),
                name: "Production <1>".to_owned(),
                time_zone: chrono_tz::Tz::UTC,
            };
            Self {
                frame,
                crumbs: vec![Link::new("People", "/people")],
                typed: String::new(),
                grid: Grid::new(&[track], &[]).unwrap(),
                refused: None,
                mistakes: Mistakes::none(),
                step_up: "/step-up?next=%2Fpeople%2Fnew".to_owned(),
            }
        }
    }

    #[test]
    fn a_person_gets_a_name_and_roles() {
        insta::assert_snapshot!(main_of(&NewPage::sample(true)));
    }

    #[test]
    fn what_was_typed_stays_beside_its_mistake() {
        let mut page = NewPage::sample(true);
        page.typed = "a\u{7}".to_owned();
        page.mistakes.add("name", "1 to 100 characters");
        page.refused = Some("Someone has this name already. Nothing was changed.".to_owned());
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn the_password_is_asked_for_first() {
        insta::assert_snapshot!(main_of(&NewPage::sample(false)));
    }
}
