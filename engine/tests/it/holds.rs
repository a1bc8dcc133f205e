//! Who is held, and by what.

use engine::hold::{Hold, HoldKind, on};
use engine::ids::HoldId;
use engine::ring::Subject;
use servicing::{Architecture, Facts, Product, Series};
use uuid::Uuid;

fn hold(n: u128, kind: HoldKind, query: &str) -> Hold {
    Hold {
        id: HoldId(Uuid::from_u128(n)),
        kind,
        query: query.parse().unwrap(),
        issue: format!("issue {n}"),
    }
}

fn facts(model: &str) -> Facts {
    let build = "26100.1000".parse().unwrap();
    let edition = "Professional".parse().unwrap();
    Facts {
        model: model.to_owned(),
        ..Facts::of_platform(
            Product::Client,
            build,
            Series::Standard,
            edition,
            Architecture::X64,
        )
    }
}

fn taken_by(holds: &[Hold], model: &str) -> Option<u128> {
    let (facts, host_name) = (&facts(model), "PC-1");
    on(holds, &Subject { facts, host_name }, false).map(|hold| hold.id.0.as_u128())
}

#[test]
fn a_device_is_under_the_oldest_hold_that_takes_it_but_left_out_before_it_is_held() {
    let holds = [
        hold(1, HoldKind::Safeguard, "model:\"Latitude 7450\""),
        hold(2, HoldKind::Safeguard, "model:Latitude*"),
        hold(3, HoldKind::Exclusion, "model:\"Latitude 54*\""),
        hold(4, HoldKind::Exclusion, "host:PC-1 model:Latitude*0"),
    ];
    assert_eq!(taken_by(&holds, "Precision 3490"), None);
    assert_eq!(taken_by(&holds, "Latitude 7455"), Some(2));
    assert_eq!(taken_by(&holds[..2], "Latitude 7450"), Some(1));
    assert_eq!(taken_by(&holds, "Latitude 7450"), Some(4));
    assert_eq!(taken_by(&holds, "Latitude 5440"), Some(3));
    assert_eq!(taken_by(&[], "Latitude 5440"), None);
}

#[test]
fn a_device_is_told_what_is_known_of_it() {
    let held = hold(1, HoldKind::Safeguard, "host:*");
    assert_eq!(held.sentence(), "Held by a known issue: issue 1.");
    let left_out = hold(2, HoldKind::Exclusion, "host:*");
    assert_eq!(left_out.sentence(), "Left out of the rollout: issue 2.");
}

#[test]
fn a_device_that_had_its_permit_is_under_known_issues_alone() {
    let holds = [
        hold(1, HoldKind::Exclusion, "model:Latitude*"),
        hold(2, HoldKind::Safeguard, "model:\"Latitude 7450\""),
    ];
    let under = |model: &str| {
        let (facts, host_name) = (&facts(model), "PC-1");
        on(&holds, &Subject { facts, host_name }, true).map(|hold| hold.id.0.as_u128())
    };
    assert_eq!(under("Latitude 7450"), Some(2));
    assert_eq!(under("Latitude 5440"), None);
}
