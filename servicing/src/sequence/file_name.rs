//! File names of the Update Catalog, which carry the KB, the architecture and the file's SHA-1.

use std::str::FromStr;

use crate::{Architecture, KbNumber, ParseError, Sha1};

const EXPECTED: ParseError = ParseError {
    expected: "a Catalog file name: windows11.0-kb<KB>-<x64 or arm64>[-suffix]_<40 hex digits>.msu or .cab",
};

/// What `windows11.0-kb5086672-x64_97df4ed279e18da5b02308a5a3361313520fd346.msu` says (field reports). The
/// part before the hash can have a suffix such as `-ndp481`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogName {
    /// KB of the file; the article's can differ for .NET.
    pub kb: KbNumber,
    /// Architecture.
    pub architecture: Architecture,
    /// SHA-1 of the file.
    pub sha1: Sha1,
}

impl CatalogName {
    /// Whether a name claims to be of the Catalog, and so has to be well formed.
    #[must_use]
    pub fn is_claimed_by(name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name.starts_with("windows") && name.contains("-kb")
    }
}

impl FromStr for CatalogName {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self, ParseError> {
        parse(&name.to_ascii_lowercase()).ok_or(EXPECTED)
    }
}

fn parse(name: &str) -> Option<CatalogName> {
    let stem = name
        .strip_suffix(".msu")
        .or_else(|| name.strip_suffix(".cab"))?;
    let (left, hash) = stem.rsplit_once('_')?;
    let mut parts = left.split('-');
    let version = parts.next()?.strip_prefix("windows")?;
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let kb = parts.next()?.parse().ok()?;
    let architecture = parts.next()?.parse().ok()?;
    Some(CatalogName {
        kb,
        architecture,
        sha1: hash.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_claimed_by_windows_and_a_kb_together() {
        assert!(CatalogName::is_claimed_by(
            "Windows11.0-KB5086672-anything.msu"
        ));
        assert!(!CatalogName::is_claimed_by("windows-driver.cab"));
        assert!(!CatalogName::is_claimed_by("driver-kb5086672.cab"));
    }

    #[test]
    fn the_version_of_windows_is_digits_and_points() {
        let named = |windows: &str| {
            let name =
                format!("{windows}-kb5086672-x64_97df4ed279e18da5b02308a5a3361313520fd346.msu");
            name.parse::<CatalogName>().is_ok()
        };
        assert!(named("windows11.0"));
        assert!(!named("windows"));
        assert!(!named("windows11.x"));
        assert!(!named("windows-11"));
    }

    #[test]
    fn the_catalog_name_tells_kb_architecture_and_sha1() {
        let name: CatalogName =
            "windows11.0-kb5086672-x64_97df4ed279e18da5b02308a5a3361313520fd346.msu"
                .parse()
                .unwrap();
        assert_eq!(name.kb.to_string(), "KB5086672");
        assert_eq!(name.architecture, Architecture::X64);
        assert_eq!(
            name.sha1.to_string(),
            "97df4ed279e18da5b02308a5a3361313520fd346"
        );
    }

    #[test]
    fn a_dotnet_name_has_a_suffix_before_the_hash() {
        let name =
            "Windows11.0-KB5077178-arm64-ndp481_97df4ed279e18da5b02308a5a3361313520fd346.cab";
        assert_eq!(
            name.parse::<CatalogName>().unwrap().architecture,
            Architecture::Arm64
        );
    }

    #[test]
    fn a_cut_catalog_name_is_refused() {
        for name in [
            "windows11.0-kb5086672-x64.msu",
            "windows11.0-kb5086672-x86_97df4ed279e18da5b02308a5a3361313520fd346.msu",
            "windows11.0-kb5086672-x64_97df4ed279e18da5b02308a5a3361313520fd34.msu",
            "windows11.0-kb5086672-x64_97df4ed279e18da5b02308a5a3361313520fd346.exe",
        ] {
            assert!(name.parse::<CatalogName>().is_err(), "{name}");
            assert!(CatalogName::is_claimed_by(name));
        }
    }
}
