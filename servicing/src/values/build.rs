//! Builds, and the families inside which two of them compare.

use std::{cmp::Ordering, fmt, str::FromStr};

use crate::{ParseError, Product, Series};

words! {
    /// Base builds that share one stream of cumulative updates and so one count of UBRs.
    pub enum Family, expected "client_23h2, client_24h2, client_26h1 or server_2025" {
        /// Windows 11 23H2: 22631.
        Client23H2 = "client_23h2",
        /// Windows 11 24H2, 25H2 and 26H2: 26100, 26200, 26300, one branch told apart by enablement packages.
        Client24H2 = "client_24h2",
        /// Windows 11 26H1: 28000, a branch of its own for new devices.
        Client26H1 = "client_26h1",
        /// Windows Server 2025: 26100 as well, with packages and UBRs of its own.
        Server2025 = "server_2025",
    }
}

impl Family {
    /// The family of a base build, or nothing where it is none that this version knows.
    #[must_use]
    pub fn of(product: Product, base: u32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|family| family.product() == product && family.bases().contains(&base))
    }

    /// Which product it is a family of.
    #[must_use]
    pub const fn product(self) -> Product {
        match self {
            Self::Client23H2 | Self::Client24H2 | Self::Client26H1 => Product::Client,
            Self::Server2025 => Product::Server,
        }
    }

    /// Its base builds, ascending.
    #[must_use]
    pub const fn bases(self) -> &'static [u32] {
        match self {
            Self::Client23H2 => &[22631],
            Self::Client24H2 => &[26100, 26200, 26300],
            Self::Client26H1 => &[28000],
            Self::Server2025 => &[26100],
        }
    }

    /// Whether such devices can be of that series. Hotpatch begins with 24H2 (Microsoft documentation).
    #[must_use]
    pub const fn has_series(self, series: Series) -> bool {
        match series {
            Series::Standard => true,
            Series::Hotpatch => !matches!(self, Self::Client23H2),
        }
    }

    /// Whether two base builds of one product take the same cumulative updates and count UBRs together.
    #[must_use]
    pub fn shares_ubrs(product: Product, one: u32, other: u32) -> bool {
        let family = Self::of(product, one);
        family.is_some() && family == Self::of(product, other)
    }
}

const EXPECTED: ParseError = ParseError {
    expected: "a build such as 26100.8117: base build, full stop, UBR",
};

/// `26100.8117`: `CurrentBuild` and `UBR` of the registry. Never read from file versions, which stay behind
/// (field reports). Deliberately without `Ord`: see [`Build::compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Build {
    /// Base build, such as 26100.
    pub base: u32,
    /// Update Build Revision, such as 8117.
    pub ubr: u32,
}

impl Build {
    /// How the UBRs of two builds of one product and series compare, whatever their bases inside the family;
    /// nothing where they do not: other family, unknown base, or a family that has no such series.
    #[must_use]
    pub fn compare(self, other: Self, product: Product, series: Series) -> Option<Ordering> {
        let family = Family::of(product, self.base)?;
        let comparable = family.bases().contains(&other.base) && family.has_series(series);
        comparable.then(|| self.ubr.cmp(&other.ubr))
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.base, self.ubr)
    }
}

impl FromStr for Build {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = |digits: &str| match digits.as_bytes() {
            // What follows the first digit is read as digits only: a sign could stand before it alone.
            [b'1'..=b'9', ..] => digits.parse().ok(),
            _ => None,
        };
        text.split_once('.')
            .and_then(|(base, ubr)| {
                Some(Self {
                    base: number(base)?,
                    ubr: number(ubr)?,
                })
            })
            .ok_or(EXPECTED)
    }
}

text_serde!(Build);

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(one: &str, other: &str, product: Product) -> Option<Ordering> {
        let (one, other): (Build, Build) = (one.parse().unwrap(), other.parse().unwrap());
        one.compare(other, product, Series::Standard)
    }

    #[test]
    fn build_26300_shares_ubrs_with_26100() {
        assert!(Family::shares_ubrs(Product::Client, 26300, 26100));
        assert_eq!(
            compare("26300.9550", "26100.9457", Product::Client),
            Some(Ordering::Greater)
        );
        assert_eq!(
            compare("26200.8117", "26100.8117", Product::Client),
            Some(Ordering::Equal)
        );
    }

    #[test]
    fn the_ubr_of_26h1_says_nothing_about_24h2() {
        assert_eq!(compare("28000.2956", "26100.8117", Product::Client), None);
        assert!(!Family::shares_ubrs(Product::Client, 28000, 26100));
        assert!(!Family::shares_ubrs(Product::Client, 19045, 19045));
    }

    #[test]
    fn server_2025_is_26100_and_yet_another_family() {
        assert_eq!(Family::of(Product::Server, 26100), Some(Family::Server2025));
        assert_eq!(Family::of(Product::Client, 26100), Some(Family::Client24H2));
        assert_eq!(Family::of(Product::Server, 26200), None);
    }

    #[test]
    fn windows_11_23h2_has_no_hotpatch_series_to_compare_in() {
        let build: Build = "22631.5000".parse().unwrap();
        assert_eq!(
            build.compare(build, Product::Client, Series::Standard),
            Some(Ordering::Equal)
        );
        assert_eq!(
            build.compare(build, Product::Client, Series::Hotpatch),
            None
        );
    }

    #[test]
    fn a_build_is_two_numbers_and_nothing_else() {
        assert_eq!("26100.1".parse::<Build>().unwrap().to_string(), "26100.1");
        for text in [
            "",
            "26100",
            "26100.",
            ".1",
            "10.0.26100.1",
            "26100.-1",
            "26100.+1",
            "026100.1",
            "1.99999999999",
        ] {
            assert_eq!(text.parse::<Build>(), Err(EXPECTED), "{text}");
        }
    }
}
