//! The published vectors of the gate arithmetic: probabilities to 1e-9 relative, integers exactly.

use engine::admission::{QUORUM, next_cap};
use engine::evidence::Silence;
use engine::gate::{clean_sample_needed, failure_upper_bound};
use engine::halt::{halt_boundary, log_e_value, log_silence_e_value};
use serde_json::Value;

fn vectors(of: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    let vectors = all[of].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    vectors
}

fn int(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap()
}

fn float(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap()
}

fn assert_close(got: f64, expected: f64, of: &Value) {
    let error = (got - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error <= 1e-9, "{of}: got {got}, off by {error:e}");
}

#[test]
fn e_values_are_those_of_the_reference() {
    for v in vectors("log_e_value") {
        let got = log_e_value(int(&v, "failures"), int(&v, "started"), float(&v, "p_star"));
        assert_close(got, float(&v, "ln_e"), &v);
    }
}

#[test]
fn halt_boundaries_are_those_that_people_see() {
    for v in vectors("halt_boundaries") {
        for (failures, largest) in v["largest_started_by_failures"].as_object().unwrap() {
            let (p, weight, alpha) = (float(&v, "p_star"), float(&v, "weight"), float(&v, "alpha"));
            let got = halt_boundary(failures.parse().unwrap(), p, weight, alpha);
            assert_eq!(got, largest.as_u64(), "{} at {failures}", v["label"]);
        }
    }
}

#[test]
fn upper_bounds_are_those_of_the_reference() {
    for v in vectors("failure_upper_bound_95") {
        let got = failure_upper_bound(int(&v, "failures"), int(&v, "trials"));
        assert_close(got, float(&v, "upper"), &v);
    }
}

#[test]
fn silence_is_weighed_as_in_the_reference() {
    for v in vectors("log_silence_e_value") {
        let silences: Vec<Silence> = v["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| Silence {
                devices: 1,
                treated: event[0].as_bool().unwrap(),
                at_risk_treated: event[1].as_u64().unwrap(),
                at_risk_control: event[2].as_u64().unwrap(),
            })
            .collect();
        assert_close(
            log_silence_e_value(&silences),
            float(&v, "ln_e"),
            &v["case"],
        );
    }
}

#[test]
fn caps_grow_as_in_the_reference() {
    for v in vectors("next_cap") {
        let got = next_cap(
            int(&v, "cap"),
            int(&v, "initial"),
            int(&v, "started"),
            int(&v, "ok"),
            int(&v, "resolved"),
            v["braked"].as_bool().unwrap(),
            QUORUM,
        );
        assert_eq!(got, int(&v, "next"), "{v}");
    }
}

#[test]
fn clean_samples_are_those_that_people_see() {
    let all: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    for (limit, needed) in all["clean_sample_needed_95"].as_object().unwrap() {
        assert_eq!(
            clean_sample_needed(limit.parse().unwrap()),
            needed.as_u64().unwrap(),
            "{limit}"
        );
    }
}
