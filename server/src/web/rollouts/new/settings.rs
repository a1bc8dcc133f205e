//! The settings of a ring that people change when they write a rollout; the others come from the preset.

use engine::policy::{Percent, StagePolicy};
use servicing::FieldError;
use uuid::Uuid;

use super::typed::Typed;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    AtOnce,
    PerDay,
    Window,
    Deadline,
    Grace,
    Tries,
    Soak,
    Approvals,
    Age,
}

impl Setting {
    pub const ALL: [Self; 9] = [
        Self::AtOnce,
        Self::PerDay,
        Self::Window,
        Self::Deadline,
        Self::Grace,
        Self::Tries,
        Self::Soak,
        Self::Approvals,
        Self::Age,
    ];

    /// As the policy names it, and mistakes of it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::AtOnce => "limits.devices_at_once",
            Self::PerDay => "limits.percent_per_day",
            Self::Window => "limits.window",
            Self::Deadline => "restart.deadline_hours",
            Self::Grace => "restart.grace_hours",
            Self::Tries => "tries",
            Self::Soak => "soak_hours",
            Self::Approvals => "approvals",
            Self::Age => "minimum_age_days",
        }
    }

    /// As the form names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "devices_at_once",
            Self::PerDay => "percent_per_day",
            Self::Window => "window",
            Self::Deadline => "deadline_hours",
            Self::Grace => "grace_hours",
            other => other.field(),
        }
    }

    /// Label, with its unit.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AtOnce => "Devices at once",
            Self::PerDay => "Percent a day",
            Self::Window => "Window, device's time",
            Self::Deadline => "Restart deadline, hours",
            Self::Grace => "Grace, hours",
            Self::Tries => "Tries after a failure",
            Self::Soak => "Soak, working hours",
            Self::Approvals => "Approvals",
            Self::Age => "Minimum age, days",
        }
    }

    /// What a touch screen offers for it.
    pub const fn keyboard(self) -> &'static str {
        match self {
            Self::Window => "text",
            _ => "decimal",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// As it stands in its field; blank: no limit.
    pub fn of(self, policy: &StagePolicy) -> String {
        match self {
            Self::AtOnce => policy
                .limits
                .devices_at_once
                .map_or_else(String::new, |n| n.to_string()),
            Self::PerDay => policy
                .limits
                .percent_per_day
                .map_or_else(String::new, |p| p.0.to_string()),
            Self::Window => policy
                .limits
                .window
                .map_or_else(String::new, |window| window.to_string()),
            Self::Deadline => policy
                .restart
                .deadline_hours
                .map_or_else(String::new, |hours| hours.to_string()),
            Self::Grace => policy.restart.grace_hours.to_string(),
            Self::Tries => policy.tries.to_string(),
            Self::Soak => policy.soak_hours.to_string(),
            Self::Approvals => policy.approvals.to_string(),
            Self::Age => policy.minimum_age_days.to_string(),
        }
    }

    fn set(self, policy: &mut StagePolicy, text: &str) -> Result<(), &'static str> {
        const WHOLE: &str = "a whole number";
        match self {
            Self::AtOnce => {
                policy.limits.devices_at_once = Some(text.parse().map_err(|_| WHOLE)?);
            }
            Self::PerDay => {
                let text = text.trim_end_matches('%').trim_end();
                let share = text.parse().map_err(|_| "a number above 0, at most 100")?;
                policy.limits.percent_per_day = Some(Percent(share));
            }
            Self::Window => policy.limits.window = Some(text.parse()?),
            Self::Deadline => {
                policy.restart.deadline_hours = Some(text.parse().map_err(|_| WHOLE)?);
            }
            Self::Grace => policy.restart.grace_hours = text.parse().map_err(|_| WHOLE)?,
            Self::Tries => policy.tries = text.parse().map_err(|_| WHOLE)?,
            Self::Soak => policy.soak_hours = text.parse().map_err(|_| WHOLE)?,
            Self::Approvals => policy.approvals = text.parse().map_err(|_| WHOLE)?,
            Self::Age => policy.minimum_age_days = text.parse().map_err(|_| WHOLE)?,
        }
        Ok(())
    }
}

/// A setting as the form shows it.
#[derive(Debug, Clone)]
pub struct Field {
    pub setting: Setting,
    pub value: String,
    /// What the preset says.
    pub preset: String,
    pub changed: bool,
}

/// The settings of one ring.
#[derive(Debug, Clone)]
pub struct RingSettings {
    pub policy: StagePolicy,
    pub fields: Vec<Field>,
    /// What could not be read or is out of its range, by the policy's names.
    pub mistakes: Vec<FieldError>,
}

impl RingSettings {
    /// The preset of a ring with what a person changed. A field that still says what it was prefilled with follows
    /// the preset, also when the preset was changed since.
    pub fn new(typed: &Typed, ring: Uuid, preset: StagePolicy) -> Self {
        let (mut policy, mut mistakes, mut fields) = (preset, Vec::new(), Vec::new());
        for setting in Setting::ALL {
            let key = (ring, setting);
            let of_preset = setting.of(&preset);
            let text = typed.settings.get(&key).map_or("", |text| text.trim());
            let untouched = text.is_empty()
                || text == of_preset
                || typed.prefilled.get(&key).is_some_and(|was| was == text);
            let mut value = of_preset.clone();
            if !untouched {
                text.clone_into(&mut value);
                if let Err(expected) = setting.set(&mut policy, text) {
                    mistakes.push(FieldError {
                        field: setting.field().to_owned(),
                        expected: expected.to_owned(),
                    });
                }
            }
            fields.push(Field {
                setting,
                value,
                preset: of_preset,
                changed: !untouched,
            });
        }
        if let Err(wrong) = policy.validate() {
            mistakes.extend(wrong);
        }
        Self {
            policy,
            fields,
            mistakes,
        }
    }

    /// Something differs from the preset.
    pub fn is_custom(&self) -> bool {
        self.fields.iter().any(|f| f.changed)
    }
}

#[cfg(test)]
mod tests {
    use engine::policy::{Preset, preset};

    use super::*;

    const RING: Uuid = Uuid::from_u128(4);

    fn of(which: Preset, fields: &[(&str, &str)]) -> RingSettings {
        let named = |(name, value): &(&str, &str)| (format!("{name}.{RING}"), (*value).to_owned());
        let (typed, mistakes) = Typed::read(fields.iter().map(named).collect());
        assert!(mistakes.is_empty());
        RingSettings::new(&typed, RING, preset(which, 3, 4, chrono_tz::Tz::UTC))
    }

    #[test]
    fn only_what_a_person_changed_is_custom() {
        let shown = [("soak_hours", "48"), ("approvals", "2")];
        assert!(!of(Preset::Standard, &shown).is_custom());
        let custom = of(
            Preset::Standard,
            &[("soak_hours", "72"), ("approvals", "2")],
        );
        assert!(custom.is_custom());
        assert_eq!((custom.policy.soak_hours, custom.policy.approvals), (72, 2));
    }

    #[test]
    fn another_preset_fills_the_fields_anew_but_keeps_what_was_changed() {
        let form = [
            ("soak_hours", "48"),
            ("was.soak_hours", "48"),
            ("approvals", "3"),
            ("was.approvals", "2"),
        ];
        let expedited = of(Preset::Expedited, &form);
        assert_eq!(
            (expedited.policy.soak_hours, expedited.policy.approvals),
            (4, 3)
        );
        assert_eq!(expedited.fields[6].value, "4");
    }

    #[test]
    fn what_is_wrong_is_named_as_the_policy_names_it_and_kept_as_typed() {
        let form = [
            ("devices_at_once", "0"),
            ("percent_per_day", "NaN"),
            ("soak_hours", "two days"),
            ("window", "at night"),
            ("grace_hours", "3"),
            ("approvals", "6"),
        ];
        let wrong = of(Preset::Standard, &form);
        let fields: Vec<_> = wrong.mistakes.iter().map(|m| m.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "limits.window",
                "soak_hours",
                "approvals",
                "limits.devices_at_once",
                "limits.percent_per_day",
                "restart.grace_hours"
            ]
        );
        assert_eq!(wrong.fields[6].value, "two days");
    }

    #[test]
    fn a_percent_sign_is_understood() {
        let policy = of(Preset::Standard, &[("percent_per_day", "12.5 %")]).policy;
        assert_eq!(policy.limits.percent_per_day, Some(Percent(12.5)));
    }
}
