//! `/tracks/{id}/cohorts`: which attributes of devices are judged as cohorts.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::post;
use engine::words::count;
use serde::Deserialize;
use uuid::Uuid;

use super::page::read;
use crate::app::App;
use crate::auth::Admin;
use crate::http::At;
use crate::operations;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::Shown;
use crate::web::problem_page::html;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/tracks/{id}/cohorts", post(choose))
}

/// Names of attributes as they were typed, with blanks or commas between them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypedCohorts {
    pub(super) attributes: String,
}

impl TypedCohorts {
    pub(super) fn of(names: &[String]) -> Self {
        Self {
            attributes: names.join(" "),
        }
    }

    fn names(&self) -> Vec<String> {
        let words = self
            .attributes
            .split(|c: char| c.is_whitespace() || c == ',');
        words.filter(|w| !w.is_empty()).map(str::to_owned).collect()
    }
}

/// `edr (3 values), vpn (1 value)`: what devices report.
pub(super) fn reported(attributes: &[(String, i64)]) -> String {
    let each = attributes.iter().map(|(name, values)| {
        let values = count(crate::store::count(*values), "value");
        format!("{name} ({values})")
    });
    each.collect::<Vec<_>>().join(", ")
}

async fn choose(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<TypedCohorts>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.on(id)?.person().0;
    let names = typed.names();
    let set = operations::set_cohort_attributes(&app.pool, id, &names, by, app.clock.now()).await;
    let Err(error) = set else {
        return Ok(Redirect::to(&format!("/tracks/{id}#cohorts")).into_response());
    };
    // One field has them all.
    let mistakes = Mistakes::from_error(error)?.under("attributes");
    let mut page = read(&app, &person, id).await?;
    (page.cohorts, page.mistakes) = (typed, mistakes);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
}
