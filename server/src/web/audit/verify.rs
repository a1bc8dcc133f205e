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
    Holds {
        checked: String,
        /// How many there are, where not all of them were checked.
        of: Option<String>,
        head: Vec<String>,
    },
    Breaks {
        sentence: String,
    },
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
    let chain = match audit::verify_newest(&mut tx).await {
        Ok((checked, all, head)) => Chain::Holds {
            checked: match count(checked) {
                1 => "1 entry".to_owned(),
                n => format!("{} entries", words::number(n)),
            },
            of: (all > checked).then(|| words::number(count(all))),
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
            checked: "1,204 entries".to_owned(),
            of: None,
            head,
        }));
    }

    #[test]
    fn a_long_chain_says_how_far_back_it_was_looked_at() {
        let holds = Chain::Holds {
            checked: "2,000 entries".to_owned(),
            of: Some("200,845".to_owned()),
            head: grouped("0123456789abcdef"),
        };
        let text = shown(holds);
        assert!(text.contains("The newest 2,000 entries of 200,845 were read."));
        assert!(text.contains("<code>ringfence verify audit</code>"));
    }

    #[test]
    fn a_chain_that_breaks_says_where() {
        insta::assert_snapshot!(shown(Chain::Breaks {
            sentence: "audit entry 17 was changed.".to_owned(),
        }));
    }
}
