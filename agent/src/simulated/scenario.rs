//! Scenario files: who is in the fleet, how long things take, and what goes wrong.

use serde::Deserialize;
use servicing::{Architecture, Build, Edition, HResult, KbNumber};

/// The scenario of the demo.
const MAIN_JOB: &str = include_str!("../../scenarios/main-job.toml");

/// A fleet and its fate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// How long things take.
    pub time: Timing,
    /// What people answer about restarts.
    pub restart: People,
    /// Who is in the fleet.
    pub population: Population,
    /// What goes wrong. Of several faults that could strike an installation, the first that does decides.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// How long things take.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Wake-ups are moved to the next multiple of so many seconds, so that devices can work at the same time.
    pub resolution_s: u32,
    /// Median of a step with its restart, in minutes.
    pub install_median_min: f64,
    /// Standard deviation of its logarithm.
    pub install_sigma: f64,
}

/// What people answer about restarts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// In how long the restart may be.
    pub agree_in: Delay,
    /// How often they say later instead.
    #[serde(default)]
    pub postpone_rate: f64,
    /// By how many minutes.
    #[serde(default)]
    pub postpone_min: u32,
}

/// A random time, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Delay {
    /// Evenly between two times.
    Uniform {
        /// Shortest.
        min: f64,
        /// Longest.
        max: f64,
    },
    /// Lognormal.
    Lognormal {
        /// Median.
        median: f64,
        /// Standard deviation of its logarithm.
        sigma: f64,
    },
}

/// Who is in the fleet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Host names are this and a number.
    pub host_prefix: String,
    /// Share of devices that get a model of architecture `arm64`.
    pub arm64_share: f64,
    /// Builds and how common they are.
    pub builds: Vec<BuildShare>,
    /// Editions and how common they are.
    pub editions: Vec<EditionShare>,
    /// Offsets of the sites from UTC, in minutes; devices take turns.
    pub utc_offsets_minutes: Vec<i32>,
    /// Tags by host number: the first devices get the first tag, and so on; the rest none.
    #[serde(default)]
    pub tags: Vec<TagShare>,
    /// Attributes, such as their EDR.
    #[serde(default)]
    pub attributes: Vec<AttributeShare>,
    /// Models.
    pub models: Vec<Model>,
}

/// A value of an attribute. A device has the first of a name whose share takes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeShare {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Share of the devices that none before has taken.
    pub share: f64,
}

/// One build.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildShare {
    /// Build.
    pub build: Build,
    /// Relative to the others.
    pub weight: f64,
}

/// One edition.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditionShare {
    /// `EditionID`.
    pub edition: Edition,
    /// Relative to the others.
    pub weight: f64,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagShare {
    /// Tag.
    pub tag: String,
    /// Share of the fleet.
    pub share: f64,
    /// At least so many devices.
    #[serde(default)]
    pub minimum: u32,
    /// Models that none of its devices has.
    #[serde(default)]
    pub without_models: Vec<String>,
    /// Models that every fourth of its devices has, in turn.
    #[serde(default)]
    pub with_models: Vec<String>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// SMBIOS manufacturer.
    pub manufacturer: String,
    /// SMBIOS model.
    pub model: String,
    /// BIOS versions, equally common.
    pub bios: Vec<String>,
    /// Processor architecture.
    #[serde(default = "x64")]
    pub architecture: Architecture,
    /// Relative to the others of its architecture.
    #[serde(default = "one")]
    pub weight: f64,
}

const fn x64() -> Architecture {
    Architecture::X64
}

const fn one() -> f64 {
    1.0
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Unique; the summary lists the devices it struck by this name.
    pub name: String,
    /// How often: per step, per day, per call, per download or per device, as the effect says.
    pub rate: f64,
    /// Only steps that install this KB.
    #[serde(default)]
    pub kb: Option<KbNumber>,
    /// Only these models; empty: all.
    #[serde(default)]
    pub models: Vec<String>,
    /// Only these BIOS versions; empty: all.
    #[serde(default)]
    pub bios: Vec<String>,
    /// What happens.
    pub effect: Harm,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Harm {
    /// Per step: the tool ends with this code, and nothing is installed.
    Fails {
        /// Code.
        code: HResult,
    },
    /// Per device: the component store is damaged, and every step fails with this code until it is repaired.
    DamagedStore {
        /// Code.
        code: HResult,
    },
    /// Per step: Windows takes it back at the restart.
    RollsBack {
        /// Code.
        code: HResult,
    },
    /// Per step: the tool never ends.
    Hangs,
    /// Per step: the device is never heard of again.
    GoesDark,
    /// Per step: the power goes after the step and before its restart.
    PowerLoss,
    /// Per step: the power goes while the tool runs.
    PowerLossInside,
    /// Per device and day: no network for so many hours.
    Offline {
        /// Shortest.
        min_hours: u32,
        /// Longest.
        max_hours: u32,
    },
    /// Per batch of telemetry: it arrives twice.
    Duplicate,
    /// Per batch of telemetry: it arrives again after the next one.
    Reordered,
    /// Per batch of telemetry: it arrives and its answer does not.
    Late,
    /// Per download: a byte is wrong.
    CorruptDownload,
    /// Per download: the connection breaks half way.
    CutDownload,
    /// Per device: installations take so many times as long.
    Slow {
        /// Factor.
        factor: u32,
    },
    /// Per device: its clock is wrong by up to so many days, either way.
    WrongClock {
        /// Most days.
        max_days: u32,
    },
}

/// What is wrong with a scenario file.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, or fields that are missing, unknown or of another kind.
    #[error("{0}")]
    Unreadable(#[from] toml::de::Error),
    /// A value that makes no sense.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl Scenario {
    /// Read a scenario file.
    ///
    /// # Errors
    /// What is wrong, with the field.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        super::check::check(&scenario)?;
        Ok(scenario)
    }

    /// The scenario of the demo: a KB sequence that fails on three models which the first ring does not have.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[must_use]
    pub fn main_job() -> Self {
        Self::parse(MAIN_JOB).expect("the built-in scenario is well formed")
    }
}
