//! `/enrolment-tokens`: with what devices come in.

mod list;
mod new;
mod revoke;

use axum::Router;

use crate::app::App;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(new::router())
        .merge(revoke::router())
}

/// How a token lets devices in, by its stored word.
fn admission(word: &str) -> &'static str {
    match word {
        "let_in" => "Lets every device in",
        "approval" => "A person admits each device",
        "listed" => "Lets expected serials in",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Admission;

    #[test]
    fn every_way_in_has_its_words() {
        for way in [Admission::LetIn, Admission::Approval, Admission::Listed] {
            let word = crate::store::word(&way).unwrap();
            assert_ne!(admission(&word), "Unknown", "{word}");
        }
    }
}
