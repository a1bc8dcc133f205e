//! `/rollouts/{id}/forecast`: what a rollout that has not begun would come to.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use chrono::TimeDelta;
use engine::forecast::{Chance, Days};
use engine::ids::RolloutId;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::auth::Viewer;
use crate::error::OpError;
use crate::forecasts::{Assumptions, HarmLine, RolloutForecast};
use crate::http::{At, busy};
use crate::store::{rollouts, tracks};
use crate::web::form::{Filter, Mistakes};
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::{Link, When, number, share};
use crate::web::problem_page::html;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/rollouts/{id}/forecast", get(page))
}

/// What is taken as given, as it was typed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    restart_hours: String,
    install_minutes: String,
    failure_percent: String,
    approval_hours: String,
}

impl Default for Typed {
    fn default() -> Self {
        let usual = Assumptions::default();
        Self {
            restart_hours: usual.restart_hours.to_string(),
            install_minutes: usual.install_minutes.to_string(),
            failure_percent: usual.failure_percent.to_string(),
            approval_hours: usual.approval_hours.to_string(),
        }
    }
}

impl Typed {
    /// What is no number is out of range, and said so beside its field.
    fn read(&self) -> Assumptions {
        let number = |text: &str| text.trim().parse().unwrap_or(f64::NAN);
        Assumptions {
            restart_hours: number(&self.restart_hours),
            install_minutes: number(&self.install_minutes),
            failure_percent: number(self.failure_percent.trim_end().trim_end_matches('%')),
            approval_hours: self.approval_hours.trim().parse().unwrap_or(u32::MAX),
        }
    }
}

#[derive(Template)]
#[template(path = "pages/forecast.html")]
struct Page {
    frame: Frame,
    crumbs: Vec<Link>,
    kb: String,
    track: String,
    here: String,
    typed: Typed,
    mistakes: Mistakes,
    found: Option<Found>,
}

/// The forecast in words.
struct Found {
    lead: String,
    starts: When,
    courses: u32,
    rings: Vec<Ring>,
    harm: Vec<Harm>,
}

struct Ring {
    name: String,
    devices: String,
    opens: Option<Time>,
    passes: Option<Time>,
    /// `98 of 100`.
    pass: String,
    /// What follows of it.
    note: String,
    /// Known issues that keep it from opening.
    held: Vec<Issue>,
}

struct Issue {
    sentence: String,
    until: When,
}

/// When something happens.
struct Time {
    /// Day of the median.
    at: When,
    /// `2.1 days after the start; 1.9 to 3.0 in eight of ten courses`.
    note: String,
}

struct Harm {
    what: String,
    /// `2.1`.
    harmed: String,
    /// `at most 3 in nine of ten courses`.
    note: String,
    /// `100 of 100`.
    stopped: String,
}

async fn page(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
    Filter(typed): Filter<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let mut conn = app.pool.acquire().await?;
    let stored = rollouts::by_id(&mut conn, RolloutId(id)).await?;
    let stored = stored.ok_or(OpError::NotFound { what: "rollout" })?;
    caller.over("rollout", stored.rollout.track.0)?;
    let track = tracks::by_id(&mut conn, stored.rollout.track.0).await?;
    let track = track.ok_or(OpError::NotFound { what: "track" })?;
    let sequence = app.catalogue.get(&mut conn, stored.rollout.digest).await?;
    drop(conn);
    let kb = sequence.map_or_else(|| "Unknown KB".to_owned(), |s| s.kb.to_string());
    let here = format!("/rollouts/{id}/forecast");
    let zone = Some(track.time_zone);
    let title = format!("Forecast, {kb}, {}", track.name);
    let frame = Frame::read(&app, &person, Nav::Rollouts, title, &here, zone).await?;
    let forecast = app.forecasts.of(RolloutId(id), typed.read()).await;
    let (found, mistakes, status) = match forecast.map_err(busy)? {
        Ok(forecast) => {
            let found = Found::new(&frame, &forecast);
            (Some(found), Mistakes::none(), StatusCode::OK)
        }
        Err(error) => (
            None,
            Mistakes::from_error(error)?,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    };
    let page = Page {
        crumbs: vec![
            Link::new("Rollouts", "/rollouts"),
            Link::new(kb.clone(), format!("/rollouts/{id}")),
        ],
        frame,
        kb,
        track: track.name,
        here,
        typed,
        mistakes,
        found,
    };
    Ok((status, html(&page)).into_response())
}

impl Found {
    fn new(frame: &Frame, forecast: &RolloutForecast) -> Self {
        let time = |days: &Days| Time::new(frame, forecast, days);
        let rings = forecast.rings.iter().map(|ring| Ring {
            name: ring.ring_name.clone(),
            devices: number(ring.devices),
            opens: ring.opens.as_ref().map(time),
            passes: ring.passes.as_ref().map(time),
            pass: of(&ring.pass),
            held: ring
                .held
                .iter()
                .map(|line| Issue {
                    sentence: line.held.sentence(),
                    until: frame.when(line.until),
                })
                .collect(),
            note: match ring.pass {
                _ if ring.devices == 0 => "no device: an empty ring never passes".to_owned(),
                Chance { among: 0, .. } => "never opened".to_owned(),
                Chance { of, among, .. } if of == among => {
                    format!("at least {}", share(ring.pass.low))
                }
                Chance { low, high, .. } => {
                    format!("{} to {}; else a person decides", share(low), share(high))
                }
            },
        });
        Self {
            lead: lead(frame, forecast),
            starts: frame.when(forecast.starts),
            courses: forecast.courses,
            rings: rings.collect(),
            harm: forecast.harm.iter().map(Harm::new).collect(),
        }
    }
}

/// The answer in a sentence or two.
fn lead(frame: &Frame, forecast: &RolloutForecast) -> String {
    let Chance { of, among, .. } = forecast.completes;
    let Some(completed) = &forecast.completed else {
        return format!(
            "In none of {among} simulated courses did a good update complete by itself: a gate waits for a person in each."
        );
    };
    let day = |days: f64| {
        When::day(forecast.starts + after(days), frame.zone)
            .text()
            .to_owned()
    };
    let rest = match among - of {
        0 => String::new(),
        n => format!(
            " In {} of {} simulated courses it stopped before, for a person to decide.",
            number(n.into()),
            number(among.into())
        ),
    };
    format!(
        "A good update completes around {}, {:.0} days after its start; in eight of ten courses between {} and {}.{rest}",
        day(completed.median),
        completed.median,
        day(completed.low),
        day(completed.high),
    )
}

impl Time {
    fn new(frame: &Frame, forecast: &RolloutForecast, days: &Days) -> Self {
        Self {
            at: frame.when(forecast.starts + after(days.median)),
            note: format!(
                "day {:.1}; {:.1} to {:.1}",
                days.median, days.low, days.high
            ),
        }
    }
}

impl Harm {
    fn new(line: &HarmLine) -> Self {
        let figures = &line.figures;
        let what = match &line.cohort_name {
            Some(model) => format!("fails on every {model}, the most common model"),
            None if figures.share >= 1.0 => "fails on every device".to_owned(),
            None => format!("fails on {:.0} % of all devices", figures.share * 100.0),
        };
        Self {
            what,
            harmed: format!("{:.1}", figures.harmed),
            note: format!(
                "at most {} in nine of ten courses",
                number(figures.harmed_high)
            ),
            stopped: of(&figures.stopped),
        }
    }
}

fn of(chance: &Chance) -> String {
    format!(
        "{} of {}",
        number(chance.of.into()),
        number(chance.among.into())
    )
}

#[expect(clippy::cast_possible_truncation, reason = "some weeks in minutes")]
fn after(days: f64) -> TimeDelta {
    TimeDelta::minutes((days * 1440.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use engine::forecast::HarmForecast;
    use engine::hold::Held;

    use super::*;
    use crate::forecasts::{HeldLine, RingLine};
    use crate::web::frame::main_of;

    const SURE: Chance = Chance {
        of: 100,
        among: 100,
        low: 0.97,
        high: 1.0,
    };

    fn days(median: f64) -> Option<Days> {
        Some(Days {
            low: median - 0.5,
            median,
            high: median + 1.0,
        })
    }

    fn ring(name: &str, devices: u64, opens: f64, pass: Chance) -> RingLine {
        RingLine {
            ring: Uuid::nil(),
            ring_name: name.to_owned(),
            devices,
            opens: days(opens),
            passes: days(opens + 2.0).filter(|_| pass.of > 0),
            pass,
            held: Vec::new(),
        }
    }

    fn bad(share: f64, model: Option<&str>) -> HarmLine {
        HarmLine {
            figures: HarmForecast {
                share,
                cohort: None,
                harmed: 2.04,
                harmed_high: 3,
                stopped: SURE,
            },
            cohort_name: model.map(str::to_owned),
        }
    }

    fn forecast(frame: &Frame) -> RolloutForecast {
        let likely = Chance {
            of: 92,
            among: 100,
            low: 0.86,
            high: 0.96,
        };
        RolloutForecast {
            starts: frame.now,
            assumptions: Assumptions::default(),
            courses: 100,
            devices: 21_344,
            rings: vec![
                ring("Test <1>", 12, 0.0, likely),
                RingLine {
                    held: vec![HeldLine {
                        held: Held {
                            issue: "BitLocker asks for its <key>".to_owned(),
                            devices: 37,
                        },
                        until: frame.now + TimeDelta::days(2),
                    }],
                    ..ring("Broad", 21_332, 2.5, SURE)
                },
            ],
            completes: likely,
            completed: days(9.3),
            harm: vec![
                bad(1.0, None),
                bad(0.05, None),
                bad(1.0, Some("Latitude <5440>")),
            ],
        }
    }

    fn sample(change: impl FnOnce(&mut RolloutForecast)) -> String {
        let frame = Frame::sample(Nav::Rollouts, "Forecast", "/rollouts/1/forecast");
        let mut forecast = forecast(&frame);
        change(&mut forecast);
        main_of(&Page {
            found: Some(Found::new(&frame, &forecast)),
            frame,
            crumbs: vec![Link::new("Rollouts", "/rollouts")],
            kb: "KB5086672".to_owned(),
            track: "Production <1>".to_owned(),
            here: "/rollouts/1/forecast".to_owned(),
            typed: Typed::default(),
            mistakes: Mistakes::none(),
        })
    }

    #[test]
    fn the_answer_comes_first_and_then_ring_by_ring() {
        insta::assert_snapshot!(sample(|_| {}));
    }

    #[test]
    fn a_rollout_that_never_completes_by_itself_says_so() {
        insta::assert_snapshot!(sample(|forecast| {
            let never = Chance {
                of: 0,
                among: 100,
                low: 0.0,
                high: 0.03,
            };
            (forecast.completed, forecast.completes) = (None, never);
            forecast.rings[0] = ring("Test", 0, 0.0, never);
            forecast.rings[1].pass = Chance { among: 0, ..never };
            (forecast.rings[1].opens, forecast.rings[1].passes) = (None, None);
            forecast.harm.clear();
        }));
    }

    #[test]
    fn what_is_no_number_is_out_of_range() {
        let typed = |restart: &str, percent: &str| Typed {
            restart_hours: restart.to_owned(),
            failure_percent: percent.to_owned(),
            ..Typed::default()
        };
        assert_eq!(Typed::default().read(), Assumptions::default());
        assert!(typed("8", "2 % ").read().validate().is_ok());
        assert!(typed("8", "2%").read().validate().is_ok());
        let wrong = typed("soon", "11").read().validate();
        let Err(OpError::Invalid(fields)) = wrong else {
            panic!("{wrong:?}");
        };
        let fields: Vec<_> = fields.into_iter().map(|f| f.field).collect();
        assert_eq!(fields, ["restart_hours", "failure_percent"]);
    }
}
