//! `/audit/verify`: whether the chain holds, and if not, where it breaks.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::words;

use crate::app::App;
use crate::auth::Auditor;
use crate::error::OpError;
use crate::store::{self, audit, count};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::Link;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/audit/verify", get(page))
}

/// What was found.
enum Chain {
    Holds { entries: String, head: Vec<String> },
    Breaks { sentence: String },
}

#[derive(Template)]
#[template(path = "pages/audit_verify.html")]
struct VerifyPage {
    frame: Frame,
    crumbs: Vec<Link>,
    chain: Chain,
}

/// A hash in groups of eight, so that people can compare it.
fn grouped(hash: &str) -> Vec<String> {
    let letters: Vec<char> = hash.chars().collect();
    letters.chunks(8).map(|c| c.iter().collect()).collect()
}

async fn page(State(app): State<App>, caller: Auditor) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let (title, here) = ("Audit chain", "/audit/verify");
    let frame = Frame::read(&app, &person, Nav::Audit, title, here, None).await?;
    // As of one moment: an entry that is appended meanwhile is no break.
    let mut tx = store::reading(&app.pool).await?;
    let chain = match audit::verify(&mut tx).await {
        Ok((entries, head)) => Chain::Holds {
            entries: match count(entries) {
                1 => "1 entry".to_owned(),
                n => format!("{} entries", words::number(n)),
            },
            head: grouped(&head),
        },
        Err(error) if error.is::<sqlx::Error>() => return Err(OpError::from(error).into()),
        Err(broken) => Chain::Breaks {
            sentence: words::ended(&broken.to_string()),
        },
    };
    show(VerifyPage {
        frame,
        crumbs: vec![Link::new("Audit", "/audit")],
        chain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    fn shown(chain: Chain) -> String {
        main_of(&VerifyPage {
            frame: Frame::sample(Nav::Audit, "Audit chain", "/audit/verify"),
            crumbs: vec![Link::new("Audit", "/audit")],
            chain,
        })
    }

    #[test]
    fn a_chain_that_holds_shows_its_head_in_groups() {
        let head = grouped(&"0123456789abcdef".repeat(4));
        assert_eq!((head.len(), head[1].as_str()), (8, "89abcdef"));
        insta::assert_snapshot!(shown(Chain::Holds {
            entries: "1,204 entries".to_owned(),
            head,
        }));
    }

    #[test]
    fn a_chain_that_breaks_says_where() {
        insta::assert_snapshot!(shown(Chain::Breaks {
            sentence: "audit entry 17 was changed.".to_owned(),
        }));
    }
}
