//! Values of a scenario that parse and make no sense.

use servicing::{is_attribute_name, is_attribute_value};

use super::scenario::{Delay, Fault, Harm, Scenario, ScenarioError};

pub(super) fn check(scenario: &Scenario) -> Result<(), ScenarioError> {
    let Scenario {
        time,
        restart,
        population,
        ..
    } = scenario;
    positive("time.resolution_s", f64::from(time.resolution_s))?;
    positive("time.install_median_min", time.install_median_min)?;
    not_negative("time.install_sigma", time.install_sigma)?;
    delay(restart.agree_in)?;
    share("restart.postpone_rate", restart.postpone_rate)?;
    share("population.arm64_share", population.arm64_share)?;
    filled("population.builds", population.builds.is_empty())?;
    filled("population.editions", population.editions.is_empty())?;
    filled(
        "population.utc_offsets_minutes",
        population.utc_offsets_minutes.is_empty(),
    )?;
    for (index, build) in population.builds.iter().enumerate() {
        positive(&format!("population.builds[{index}].weight"), build.weight)?;
    }
    for (index, edition) in population.editions.iter().enumerate() {
        positive(
            &format!("population.editions[{index}].weight"),
            edition.weight,
        )?;
    }
    for (index, tag) in population.tags.iter().enumerate() {
        share(&format!("population.tags[{index}].share"), tag.share)?;
        known_models(
            scenario,
            &format!("population.tags[{index}].without_models"),
            &tag.without_models,
        )?;
        known_models(
            scenario,
            &format!("population.tags[{index}].with_models"),
            &tag.with_models,
        )?;
    }
    for (index, attribute) in population.attributes.iter().enumerate() {
        let at = |field: &str| format!("population.attributes[{index}].{field}");
        share(&at("share"), attribute.share)?;
        named(&at("name"), is_attribute_name(&attribute.name))?;
        named(&at("value"), is_attribute_value(&attribute.value))?;
    }
    models(scenario)?;
    for (index, fault) in scenario.faults.iter().enumerate() {
        one_fault(scenario, index, fault)?;
    }
    Ok(())
}

fn models(scenario: &Scenario) -> Result<(), ScenarioError> {
    let population = &scenario.population;
    for (index, model) in population.models.iter().enumerate() {
        positive(&format!("population.models[{index}].weight"), model.weight)?;
        filled(
            &format!("population.models[{index}].bios"),
            model.bios.is_empty(),
        )?;
    }
    let has = |architecture| {
        population
            .models
            .iter()
            .any(|model| model.architecture == architecture)
    };
    let lacks_x64 = population.arm64_share < 1.0 && !has(servicing::Architecture::X64);
    let lacks_arm64 = population.arm64_share > 0.0 && !has(servicing::Architecture::Arm64);
    if lacks_x64 || lacks_arm64 {
        return invalid(
            "population.models",
            "models of every architecture that has a share",
        );
    }
    Ok(())
}

fn one_fault(scenario: &Scenario, index: usize, fault: &Fault) -> Result<(), ScenarioError> {
    share(&format!("faults[{index}].rate"), fault.rate)?;
    if scenario
        .faults
        .iter()
        .take(index)
        .any(|other| other.name == fault.name)
    {
        return invalid(
            &format!("faults[{index}].name"),
            "a name that no other fault has",
        );
    }
    known_models(scenario, &format!("faults[{index}].models"), &fault.models)?;
    match fault.effect {
        Harm::Fails { code } | Harm::DamagedStore { code } | Harm::RollsBack { code }
            if code.is_success() =>
        {
            invalid(
                &format!("faults[{index}].effect.code"),
                "a code that means failure",
            )
        }
        Harm::Offline {
            min_hours,
            max_hours,
        } if min_hours > max_hours || max_hours > 24 * 14 => invalid(
            &format!("faults[{index}].effect.offline"),
            "min_hours <= max_hours <= 336",
        ),
        _ => Ok(()),
    }
}

fn known_models(scenario: &Scenario, field: &str, names: &[String]) -> Result<(), ScenarioError> {
    let known = |name: &String| {
        scenario
            .population
            .models
            .iter()
            .any(|model| model.model == *name)
    };
    if names.iter().all(known) {
        Ok(())
    } else {
        invalid(field, "models of population.models")
    }
}

fn delay(delay: Delay) -> Result<(), ScenarioError> {
    match delay {
        Delay::Uniform { min, max } if !(0.0..=max).contains(&min) => {
            invalid("restart.agree_in.uniform", "0 <= min <= max")
        }
        Delay::Lognormal { median, sigma } if median <= 0.0 || sigma < 0.0 => invalid(
            "restart.agree_in.lognormal",
            "median above 0 and sigma not below",
        ),
        Delay::Uniform { .. } | Delay::Lognormal { .. } => Ok(()),
    }
}

fn share(field: &str, value: f64) -> Result<(), ScenarioError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        invalid(field, "a share from 0 to 1")
    }
}

fn positive(field: &str, value: f64) -> Result<(), ScenarioError> {
    if value > 0.0 {
        Ok(())
    } else {
        invalid(field, "a number above 0")
    }
}

fn not_negative(field: &str, value: f64) -> Result<(), ScenarioError> {
    if value >= 0.0 {
        Ok(())
    } else {
        invalid(field, "a number not below 0")
    }
}

fn named(field: &str, holds: bool) -> Result<(), ScenarioError> {
    if holds {
        Ok(())
    } else {
        invalid(
            field,
            "a name such as edr, and a value of 1 to 100 characters",
        )
    }
}

fn filled(field: &str, is_empty: bool) -> Result<(), ScenarioError> {
    if is_empty {
        invalid(field, "at least one")
    } else {
        Ok(())
    }
}

fn invalid(field: &str, expected: &'static str) -> Result<(), ScenarioError> {
    Err(ScenarioError::Invalid {
        field: field.to_owned(),
        expected,
    })
}
