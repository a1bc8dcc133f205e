//! Windows 11 releases by build. Client only: for Windows Server none are listed.

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{Build, KbNumber, Series};

use super::embedded_csv;

words! {
    /// What sort of release a build came with.
    pub enum BuildKind, expected "a kind of release such as security_B" {
        /// General availability of a version.
        GeneralAvailability = "GA",
        /// Monthly security update.
        Security = "security_B",
        /// Optional preview.
        Preview = "preview_D",
        /// Between the months.
        OutOfBand = "out_of_band",
        /// Hotpatch.
        Hotpatch = "hotpatch",
        /// Hotpatch of the preview programme.
        HotpatchPreview = "hotpatch_preview",
        /// For the Out-of-Box Experience; sets no UBR.
        OobeUpdate = "oobe_update",
    }
}

impl BuildKind {
    /// The series it belongs to.
    #[must_use]
    pub const fn series(self) -> Series {
        match self {
            Self::Hotpatch | Self::HotpatchPreview => Series::Hotpatch,
            _ => Series::Standard,
        }
    }
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownBuild {
    /// Version, such as `25H2`.
    pub version: String,
    /// Base build.
    pub base: u32,
    /// Build; none for what sets no UBR.
    pub build: Option<Build>,
    /// KB; none for a version's first build.
    pub kb: Option<KbNumber>,
    /// Day of release.
    pub released: Option<NaiveDate>,
    /// The day is not certain.
    pub released_uncertain: bool,
    /// Release label, such as `2026-03 OOB`.
    pub label: String,
    /// Sort of release.
    pub kind: BuildKind,
    /// Last day of servicing for Home and Pro.
    pub end_home_pro: Option<NaiveDate>,
    /// Last day of servicing for Enterprise and Education.
    pub end_enterprise: Option<NaiveDate>,
    /// `verified` (Microsoft release information) or `secondary`.
    pub trust: String,
    /// What else is worth knowing.
    pub note: String,
    /// Where it is from.
    pub source: String,
}

/// A row as it is written: the build is `n/a` where there is no UBR, a day can end in `?` or in a remark.
#[derive(Deserialize)]
struct Row {
    version: String,
    base_build: u32,
    ubr: Option<u32>,
    kb: Option<KbNumber>,
    release_date: Day,
    label: String,
    kind: BuildKind,
    end_home_pro: Day,
    end_enterprise: Day,
    trust: String,
    note: String,
    source: String,
}

impl From<Row> for KnownBuild {
    fn from(row: Row) -> Self {
        Self {
            version: row.version,
            base: row.base_build,
            build: row.ubr.map(|ubr| Build {
                base: row.base_build,
                ubr,
            }),
            kb: row.kb,
            released: row.release_date.date,
            released_uncertain: row.release_date.uncertain,
            label: row.label,
            kind: row.kind,
            end_home_pro: row.end_home_pro.date,
            end_enterprise: row.end_enterprise.date,
            trust: row.trust,
            note: row.note,
            source: row.source,
        }
    }
}

/// `2026-09-14`, `2026-09-14?`, `2025-11-11 (ended)`, or nothing.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Day {
    date: Option<NaiveDate>,
    uncertain: bool,
}

impl TryFrom<String> for Day {
    type Error = chrono::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let date = text
            .trim_end_matches('?')
            .split(' ')
            .next()
            .filter(|date| !date.is_empty());
        Ok(Self {
            date: date.map(str::parse).transpose()?,
            uncertain: text.ends_with('?'),
        })
    }
}

static TABLE: LazyLock<Vec<KnownBuild>> = LazyLock::new(|| {
    let rows: Vec<Row> = embedded_csv(include_str!("../../data/windows_builds.csv"));
    rows.into_iter().map(KnownBuild::from).collect()
});

/// Known releases, newest version first.
#[must_use]
pub fn known_builds() -> &'static [KnownBuild] {
    &TABLE
}
