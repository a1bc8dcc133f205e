//! What is played, and what must come of it. The bars are those of `docs/gates.md`.

use engine::policy::{Growth, Limits};
use engine::simulation::{
    Agreement, Fault, Fleet, Habits, Minute, Ring, ServiceOutage, SilentTime, Symptom, Victims,
    Window,
};

/// Minutes of an hour and of a day.
const HOUR: Minute = 60;
const DAY: Minute = 24 * HOUR;

/// What is looked at in each course, and the most that it may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    /// Devices harmed: their mean.
    Harmed,
    /// Whether it was halted: the share of the runs.
    FalseHalts,
    /// Hours until the last device was through: the mean of those that came so far.
    Hours,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// For people.
    pub name: String,
    /// What is played.
    pub ring: Ring,
    /// What is looked at.
    pub figure: Figure,
    /// The bar; none: it is only shown.
    pub bar: Option<f64>,
    /// Runs where nobody says how many.
    pub runs: u32,
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let mut all = harm();
    all.extend(good());
    all.extend(shown());
    all
}

fn ring(devices: u32, fault: Option<Fault>) -> Ring {
    Ring {
        fleet: Fleet::of(devices),
        habits: Habits::default(),
        fault,
        growth: Growth::Standard,
        limits: Limits::default(),
        patience: 60 * DAY,
    }
}

/// At least 2,000 up to 5,000 devices, 300 beyond.
fn runs(devices: u32) -> u32 {
    if devices <= 5_000 { 2_000 } else { 300 }
}

/// What fails, on whom and how often, in rings of which sizes, and the bars where it reports, hangs and goes dark.
type Row = (&'static str, Victims, f64, &'static [u32], [f64; 3]);

fn rows() -> [Row; 5] {
    use Victims::All;
    let one_model = Victims::Cohort(Fleet::FIRST_MODEL);
    [
        (
            "fails on every device",
            All,
            1.0,
            &[50, 500, 5_000, 50_000],
            [2.5; 3],
        ),
        (
            "fails on every device of one model",
            one_model,
            1.0,
            &[500, 5_000, 50_000],
            [4.5; 3],
        ),
        (
            "fails on 20 % of one model",
            one_model,
            0.2,
            &[5_000, 50_000],
            [10.0; 3],
        ),
        (
            "fails on 20 % of all devices",
            All,
            0.2,
            &[500, 5_000, 50_000],
            [8.0; 3],
        ),
        (
            "fails on 5 % of all devices",
            All,
            0.05,
            &[5_000, 50_000],
            [25.0, 45.0, 45.0],
        ),
    ]
}

fn harm() -> Vec<Scenario> {
    use Symptom::{GoesDark, Hangs, Reports};
    let words = |symptom| match symptom {
        Reports => "reports",
        Hangs => "hangs",
        GoesDark => "goes dark",
    };
    let mut scenarios = Vec::new();
    for (what, victims, share, rings, bars) in rows() {
        for (symptom, bar) in [Reports, Hangs, GoesDark].into_iter().zip(bars) {
            for devices in rings {
                let fault = Fault {
                    victims,
                    share,
                    symptom,
                };
                scenarios.push(Scenario {
                    name: format!("{what}, {}, ring of {devices}", words(symptom)),
                    ring: ring(*devices, Some(fault)),
                    figure: Figure::Harmed,
                    // Against 48 others, silence of two can not be told from chance: docs/adr/0018.
                    bar: (*devices >= 100 || symptom != GoesDark).then_some(bar),
                    runs: runs(*devices),
                });
            }
        }
    }
    scenarios
}

/// A good update at the largest rate that counts as good.
fn at_the_baseline(devices: u32) -> Ring {
    let mut ring = ring(devices, None);
    ring.habits.failure_rate = 0.015;
    ring
}

fn good() -> Vec<Scenario> {
    let false_halts = |name: &str, ring: Ring| Scenario {
        name: format!("good update at p*, {name}, ring of {}", ring.fleet.devices),
        ring,
        figure: Figure::FalseHalts,
        bar: Some(0.015),
        runs: 2_000,
    };
    let mut outage = at_the_baseline(5_000);
    outage.habits.dark_rate = 0.003;
    outage.habits.telemetry_outage = Some((
        SilentTime {
            share: 1.0,
            from: 6 * HOUR,
            to: 12 * HOUR,
        },
        20.0,
    ));
    let mut away = at_the_baseline(5_000);
    away.habits.service_outage = Some(ServiceOutage {
        under_way: 500,
        lasts: 6 * HOUR,
    });
    let done = |name: &str, bar: f64, habits: Habits| Scenario {
        name: format!("good update, 0.3 % {name}, ring of 50000"),
        ring: Ring {
            habits,
            ..ring(50_000, None)
        },
        figure: Figure::Hours,
        bar: Some(bar),
        runs: 300,
    };
    let usual = Habits::default();
    vec![
        false_halts("nothing else", at_the_baseline(500)),
        false_halts("nothing else", at_the_baseline(5_000)),
        false_halts("20 times as many silent for 6 h", outage),
        false_halts("service away for 6 h with 500 under way", away),
        done(
            "hang",
            40.0,
            Habits {
                hang_rate: 0.003,
                ..usual
            },
        ),
        done(
            "go dark",
            80.0,
            Habits {
                dark_rate: 0.003,
                ..usual
            },
        ),
    ]
}

/// Without a bar.
fn shown() -> Vec<Scenario> {
    let laptops = Habits {
        agreement: Some(Agreement {
            median: f64::from(DAY),
            sigma: 1.0,
            at_most: 7 * DAY,
            holds: None,
        }),
        ..Habits::default()
    };
    let weekly = Habits {
        window: Some(Window {
            every: 7 * DAY,
            lasts: 3 * HOUR,
            poll: 5,
        }),
        ..Habits::default()
    };
    let off = Habits {
        off: Some(SilentTime {
            share: 0.05,
            from: 8 * HOUR,
            to: 8 * HOUR + 62 * HOUR,
        }),
        ..Habits::default()
    };
    let everyone = Fault {
        victims: Victims::All,
        share: 0.2,
        symptom: Symptom::Reports,
    };
    let mut scenarios = Vec::new();
    for (name, habits) in [
        ("laptops that put restarts off", laptops),
        ("a weekly window of 3 h", weekly),
        ("5 % switched off for a weekend", off),
    ] {
        let base = Ring {
            habits,
            ..ring(5_000, None)
        };
        for (figure, what, fault) in [
            (Figure::Hours, "good update", None),
            (Figure::FalseHalts, "good update, halted", None),
            (
                Figure::Harmed,
                "fails on 20 % of all devices",
                Some(everyone),
            ),
        ] {
            scenarios.push(Scenario {
                name: format!("{what}, {name}, ring of 5000"),
                ring: Ring { fault, ..base },
                figure,
                bar: None,
                runs: 500,
            });
        }
    }
    scenarios
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_name_of_its_own_and_enough_runs() {
        let all = all();
        let names: std::collections::BTreeSet<_> = all.iter().map(|s| &s.name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in all.iter().filter(|s| s.bar.is_some()) {
            let least = if scenario.ring.fleet.devices <= 5_000 {
                2_000
            } else {
                300
            };
            assert!(scenario.runs >= least, "{}", scenario.name);
        }
    }
}
