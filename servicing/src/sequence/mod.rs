//! KB sequences: an update as ordered packages, in variants. What a device still needs of one is left to
//! `plan`; how it got there, to `class`.

mod digest;
mod file_name;
mod package;
mod packages_check;
mod validate;

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    Architecture, Build, Edition, Facts, Family, KbNumber, NotApplicable, Product, Series,
};

pub use file_name::CatalogName;
pub use package::{Package, RestartRule, Role};
pub use validate::{Completeness, FieldError, MAX_PACKAGES, MAX_VARIANTS};

words! {
    /// What sort of release a sequence is.
    pub enum Kind, expected "security, preview, out_of_band, hotpatch, dotnet, feature or oobe_update" {
        /// The monthly security update (B).
        Security = "security",
        /// The optional preview (D).
        Preview = "preview",
        /// Between the months; always cumulative, and supersedes what came before (Microsoft documentation).
        OutOfBand = "out_of_band",
        /// For devices enrolled in Hotpatch.
        Hotpatch = "hotpatch",
        /// .NET; sets no UBR.
        Dotnet = "dotnet",
        /// An enablement package, which changes the base build.
        Feature = "feature",
        /// Installed by Windows Update inside the Out-of-Box Experience: observed, never offered.
        OobeUpdate = "oobe_update",
    }
}

impl Kind {
    /// Whether it ends on a cumulative update, so that a higher UBR holds all of a lower one.
    #[must_use]
    pub const fn is_cumulative(self) -> bool {
        matches!(
            self,
            Self::Security | Self::Preview | Self::OutOfBand | Self::Hotpatch
        )
    }

    /// Whether it leaves a device on a build that can be named beforehand.
    #[must_use]
    pub const fn sets_build(self) -> bool {
        self.is_cumulative() || matches!(self, Self::Feature)
    }
}

words! {
    /// How the packages of a sequence are handed to servicing (both Microsoft documentation).
    pub enum Method, expected "together or one_by_one" {
        /// One DISM run on the target's file, its checkpoints beside it.
        Together = "together",
        /// A run for each package, in order.
        OneByOne = "one_by_one",
    }
}

/// The packages for one sort of device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Client where not said.
    #[serde(default = "client")]
    pub product: Product,
    /// Processor architecture; `arch` is read as well.
    #[serde(alias = "arch")]
    pub architecture: Architecture,
    /// Standard where not said.
    #[serde(default = "standard")]
    pub series: Series,
    /// Base builds it installs on, of one family.
    pub base_builds: Vec<u32>,
    /// Editions it is limited to; empty: all.
    #[serde(default)]
    pub editions: Vec<Edition>,
    /// UBR that the target brings on every base; none for kinds that set no build.
    #[serde(default)]
    pub target_ubr: Option<u32>,
    /// One by one where not said.
    #[serde(default = "one_by_one")]
    pub method: Method,
    /// The packages in order.
    pub packages: Vec<Package>,
}

const fn client() -> Product {
    Product::Client
}

const fn standard() -> Series {
    Series::Standard
}

const fn one_by_one() -> Method {
    Method::OneByOne
}

impl Variant {
    /// The family of all its base builds; nothing where they are none or of several.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        let families: BTreeSet<_> = self
            .base_builds
            .iter()
            .map(|base| Family::of(self.product, *base))
            .collect();
        match families.len() {
            1 => families.into_iter().next().flatten(),
            _ => None,
        }
    }

    /// The base build that its enablement package turns a device into.
    #[must_use]
    pub fn enables(&self) -> Option<u32> {
        let package = self
            .packages
            .iter()
            .find(|package| package.role == Role::Enablement)?;
        package.build.map(|build| build.base)
    }

    /// Whether a device of that base build is meant: one it installs on, or one it leads to.
    #[must_use]
    pub fn covers_base(&self, base: u32) -> bool {
        self.base_builds.contains(&base) || self.enables() == Some(base)
    }

    /// Whether an edition is meant.
    #[must_use]
    pub fn covers_edition(&self, edition: &Edition) -> bool {
        self.editions.is_empty() || self.editions.contains(edition)
    }

    /// The build a device ends on; nothing for kinds that set none. An enablement package keeps a higher UBR.
    #[must_use]
    pub fn target_for(&self, device: Build) -> Option<Build> {
        let ubr = self.target_ubr?;
        Some(match self.enables() {
            Some(base) if device.base < base => Build {
                base,
                ubr: ubr.max(device.ubr),
            },
            _ => Build {
                base: device.base,
                ubr,
            },
        })
    }

    /// The packages by ordinal.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Package> {
        let mut packages: Vec<_> = self.packages.iter().collect();
        packages.sort_by_key(|package| package.ordinal);
        packages
    }

    /// Whether every device that takes `other` could take this instead, and would end higher.
    fn outdoes(&self, other: &Self) -> bool {
        let (Some(ubr), Some(other_ubr)) = (self.target_ubr, other.target_ubr) else {
            return false;
        };
        ubr > other_ubr
            && (self.product, self.series, self.architecture)
                == (other.product, other.series, other.architecture)
            && self.family().is_some()
            && self.family() == other.family()
            && other
                .base_builds
                .iter()
                .all(|base| self.base_builds.contains(base))
            && (self.editions.is_empty()
                || !other.editions.is_empty()
                    && other.editions.iter().all(|e| self.editions.contains(e)))
    }
}

/// A defect of an update that its publisher has confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownIssue {
    /// A short name, unique in the sequence.
    pub id: String,
    /// What happens and what helps.
    pub text: String,
}

/// An update as ordered packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// KB of the update as its article names it.
    pub kb: KbNumber,
    /// Title of the article.
    pub title: String,
    /// Sort of release.
    pub kind: Kind,
    /// Release label, such as `2026-03 OOB`.
    #[serde(default)]
    pub label: String,
    /// Day of release.
    #[serde(default)]
    pub release_date: Option<NaiveDate>,
    /// Updates it supersedes by a person's word, beside those that follow from UBRs.
    #[serde(default)]
    pub supersedes: Vec<KbNumber>,
    /// Confirmed defects.
    #[serde(default)]
    pub known_issues: Vec<KnownIssue>,
    /// Packages by sort of device.
    pub variants: Vec<Variant>,
}

impl Sequence {
    /// The variant for a device.
    ///
    /// # Errors
    /// Why there is none: of all variants, the one that came closest tells. An OOBE update whose variant
    /// fits is [`NotApplicable::ObservedOnly`].
    pub fn variant_for(&self, facts: &Facts) -> Result<&Variant, NotApplicable> {
        let variant = self.fitting_variant(facts)?;
        match self.kind {
            Kind::OobeUpdate => Err(NotApplicable::ObservedOnly),
            _ => Ok(variant),
        }
    }

    /// The package whose removal takes the update back: the one that its article names. None where that is a servicing stack or
    /// a checkpoint, which can not be removed.
    #[must_use]
    pub fn removable(&self) -> Option<KbNumber> {
        let mut packages = self.variants.iter().flat_map(|v| &v.packages);
        let own = packages.find(|p| p.kb == self.kb)?;
        own.role.is_removable().then_some(self.kb)
    }

    /// As [`Self::variant_for`], for updates that are only observed too.
    pub(crate) fn fitting_variant(&self, facts: &Facts) -> Result<&Variant, NotApplicable> {
        type Fits = fn(&Variant, &Facts) -> bool;
        let tests: [(Fits, NotApplicable); 5] = [
            (|v, f| v.product == f.product, NotApplicable::Product),
            (
                |v, f| v.covers_base(f.build.base) && Family::of(f.product, f.build.base).is_some(),
                NotApplicable::Family,
            ),
            (|v, f| v.series == f.series, NotApplicable::Series),
            (
                |v, f| v.architecture == f.architecture,
                NotApplicable::Architecture,
            ),
            (|v, f| v.covers_edition(&f.edition), NotApplicable::Edition),
        ];
        let mut left: Vec<&Variant> = self.variants.iter().collect();
        for (fits, otherwise) in tests {
            left.retain(|variant| fits(variant, facts));
            if left.is_empty() {
                return Err(otherwise);
            }
        }
        left.first().copied().ok_or(NotApplicable::Product)
    }

    /// Whether it supersedes another by its builds: for every device that the other is for, it brings a
    /// higher UBR of the same product, family, series and architecture.
    #[must_use]
    pub fn supersedes_derived(&self, other: &Self) -> bool {
        self.kind.is_cumulative()
            && other.kind.is_cumulative()
            && !other.variants.is_empty()
            && other
                .variants
                .iter()
                .all(|theirs| self.variants.iter().any(|ours| ours.outdoes(theirs)))
    }
}
