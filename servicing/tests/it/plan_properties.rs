//! What holds for every plan, whatever the sequence, the device and its ledger.

use proptest::prelude::*;
use serde_json::json;
use servicing::{
    Build, Facts, Ledger, Package, PackageState, Plan, Planned, Role, Sequence, Series, plan,
};

use crate::lab::{device, entry, sequence};

const BASES: [u32; 2] = [26100, 26200];

/// Up to five checkpoints below a target, with an SSU and a Dynamic Update thrown in, in either method.
fn sequences() -> impl Strategy<Value = Sequence> {
    let ubrs = proptest::collection::btree_set(2_u32..10_000, 1..=6);
    (ubrs, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(ubrs, together, stack, dynamic)| {
            let target = ubrs.last().copied().unwrap_or(2);
            let mut packages = Vec::new();
            let mut add = |role: &str, ubr: Option<u32>| {
                let ordinal = packages.len() + 1;
                packages.push(json!({
                    "ordinal": ordinal, "kb": format!("KB{}", 5_000_000 + ordinal), "role": role,
                    "build": ubr.map(|ubr| format!("26100.{ubr}")),
                }));
            };
            if stack {
                add("ssu", None);
            }
            ubrs.iter()
                .filter(|ubr| **ubr < target)
                .for_each(|ubr| add("checkpoint", Some(*ubr)));
            if dynamic {
                add("safeos_du", None);
            }
            add("lcu", Some(target));
            sequence("security", Some(target), &json!(packages), |value| {
                value["variants"][0]["method"] =
                    json!(if together { "together" } else { "one_by_one" });
            })
        },
    )
}

fn devices() -> impl Strategy<Value = Facts> {
    (0..BASES.len(), 1_u32..10_002).prop_map(|(base, ubr)| Facts {
        build: Build {
            base: BASES[base],
            ubr,
        },
        ..device("26100.1")
    })
}

/// Any states for any of the sequence's packages, contradictions included.
fn ledgers() -> impl Strategy<Value = Ledger> {
    let states = proptest::sample::select(PackageState::ALL);
    proptest::collection::vec((1_u32..9, states), 0..5).prop_map(|entries| {
        let entries = entries.into_iter();
        Ledger(
            entries
                .map(|(n, state)| entry(Some(&format!("KB{}", 5_000_000 + n)), None, state))
                .collect(),
        )
    })
}

fn planned(sequence: &Sequence, facts: &Facts, ledger: &Ledger) -> Option<Plan> {
    match plan(sequence, facts, ledger) {
        Planned::Steps(plan) | Planned::NotReady(plan, _) => Some(plan),
        Planned::Complete | Planned::Ahead | Planned::NotApplicable(_) => None,
    }
}

/// The device after a step: its build is that of the last package that sets one.
fn after(mut facts: Facts, packages: &[Package]) -> Facts {
    for package in packages.iter().filter(|package| package.role != Role::Ssu) {
        facts.build.ubr = package.build.map_or(facts.build.ubr, |build| build.ubr);
    }
    facts
}

proptest! {
    #[test]
    fn generated_sequences_are_valid_drafts(sequence in sequences()) {
        prop_assert_eq!(sequence.validate(servicing::Completeness::Draft), Ok(()));
    }

    #[test]
    fn a_plan_is_never_out_of_order(sequence in sequences(), facts in devices(), ledger in ledgers()) {
        if let Some(plan) = planned(&sequence, &facts, &ledger) {
            let ordinals: Vec<u16> = plan.packages().map(|package| package.ordinal).collect();
            prop_assert!(ordinals.is_sorted_by(|one, next| one < next));
            let numbers: Vec<u16> = plan.steps.iter().map(|step| step.number).collect();
            prop_assert_eq!(numbers, (1..=u16::try_from(plan.steps.len()).unwrap()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_plan_has_no_step_at_or_below_the_devices_build(
        sequence in sequences(), facts in devices(), ledger in ledgers(),
    ) {
        if let Some(plan) = planned(&sequence, &facts, &ledger) {
            for build in plan.packages().filter_map(|package| package.build) {
                prop_assert!(build.ubr > facts.build.ubr);
            }
        }
    }

    #[test]
    fn a_plan_skips_no_checkpoint_above_the_devices_build(
        sequence in sequences(), facts in devices(), ledger in ledgers(),
    ) {
        if let Some(plan) = planned(&sequence, &facts, &ledger) {
            let above = sequence.variants[0].packages.iter();
            let above = above.filter(|package| package.build.is_some_and(|build| build.ubr > facts.build.ubr));
            for package in above {
                prop_assert!(plan.packages().any(|planned| planned.kb == package.kb));
            }
        }
    }

    #[test]
    fn a_plan_ends_on_the_target(sequence in sequences(), facts in devices(), ledger in ledgers()) {
        let target = sequence.variants[0].target_ubr.unwrap();
        match planned(&sequence, &facts, &ledger) {
            Some(plan) => {
                prop_assert!(facts.build.ubr < target);
                prop_assert_eq!(plan.target, Build { base: facts.build.base, ubr: target });
                prop_assert_eq!(plan.packages().last().unwrap().kb, sequence.kb);
                prop_assert!(plan.steps.last().unwrap().restart_after);
            }
            None => prop_assert!(facts.build.ubr >= target),
        }
    }

    #[test]
    fn a_plan_made_anew_after_each_step_goes_on_where_it_stopped(sequence in sequences(), mut facts in devices()) {
        let mut ledger = Ledger::default();
        let first = planned(&sequence, &facts, &ledger);
        for step in first.map(|plan| plan.steps).unwrap_or_default() {
            let now = planned(&sequence, &facts, &ledger).unwrap();
            prop_assert_eq!(&now.steps[0].packages, &step.packages);
            facts = after(facts, &step.packages);
            let done = step.packages.iter().map(|p| entry(Some(&p.kb.to_string()), None, PackageState::Installed));
            ledger.0.extend(done);
        }
        prop_assert!(matches!(plan(&sequence, &facts, &ledger), Planned::Complete | Planned::Ahead));
    }

    #[test]
    fn the_same_facts_give_the_same_plan_on_server_and_agent(
        sequence in sequences(), facts in devices(), ledger in ledgers(),
    ) {
        let sent: Sequence = serde_json::from_str(&serde_json::to_string(&sequence).unwrap()).unwrap();
        let there: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
        let listed: Ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
        let here = plan(&sequence, &facts, &ledger);
        prop_assert_eq!(&here, &plan(&sent, &there, &listed));
        prop_assert_eq!(&serde_json::from_str::<Planned>(&serde_json::to_string(&here).unwrap()).unwrap(), &here);
        prop_assert_eq!(sequence.content_digest(), sent.content_digest());
    }

    #[test]
    fn a_device_of_another_series_never_gets_a_step(sequence in sequences(), facts in devices(), ledger in ledgers()) {
        let enrolled = Facts { series: Series::Hotpatch, ..facts };
        prop_assert_eq!(planned(&sequence, &enrolled, &ledger), None);
    }
}
