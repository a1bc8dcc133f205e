//! What a sequence consists of, ready to be shown.

use engine::words::count;
use servicing::{Build, Kind, Package, RestartRule, Role, Sequence, Series, Variant};

/// A variant with its packages in order.
pub(super) struct Part {
    pub name: String,
    pub sum: String,
    pub packages: Vec<File>,
}

/// One file.
pub(super) struct File {
    pub ordinal: u16,
    pub target: bool,
    pub kb: String,
    pub role: String,
    pub file_name: Option<String>,
    pub sha256: Option<String>,
    pub sha1: Option<String>,
    pub size: Option<String>,
    pub builds: Vec<String>,
    pub restart: &'static str,
}

/// All variants.
pub(super) fn parts(sequence: &Sequence) -> Vec<Part> {
    sequence.variants.iter().map(part).collect()
}

fn part(variant: &Variant) -> Part {
    let packages = variant.in_order();
    let sizes: Option<u64> = packages.iter().map(|p| p.size_bytes).sum();
    let mut sum = count(u64::try_from(packages.len()).unwrap_or(u64::MAX), "step");
    if let Some(bytes) = sizes {
        sum += &format!(", {}", size(bytes));
    }
    sum += match variant.method {
        servicing::Method::Together => ", together in one run",
        servicing::Method::OneByOne => ", one by one",
    };
    let last = packages.last().map(|p| p.ordinal);
    let target = packages
        .iter()
        .find(|p| p.role == Role::Lcu && p.build.map(|b| b.ubr) == variant.target_ubr)
        .map(|p| p.ordinal)
        .or(last);
    Part {
        name: name(variant),
        sum,
        packages: packages
            .iter()
            .map(|p| file(variant, p, Some(p.ordinal) == target))
            .collect(),
    }
}

/// `x64, 26100 and 26200, hotpatch, Enterprise`.
fn name(variant: &Variant) -> String {
    let mut bases: Vec<String> = variant.base_builds.iter().map(u32::to_string).collect();
    if let Some(base) = variant.enables() {
        bases.push(format!("to {base}"));
    }
    let mut name = format!("{}, {}", variant.architecture, bases.join(" and "));
    name = name.replace(" and to ", " to ");
    if variant.product == servicing::Product::Server {
        name.insert_str(0, "Server, ");
    }
    if variant.series == Series::Hotpatch {
        name += ", hotpatch";
    }
    for edition in &variant.editions {
        name += &format!(", {edition}");
    }
    name
}

fn file(variant: &Variant, package: &Package, target: bool) -> File {
    File {
        ordinal: package.ordinal,
        target,
        kb: package.kb.to_string(),
        role: if target {
            format!("{}, target", package.role)
        } else {
            package.role.to_string()
        },
        file_name: package.file_name.clone(),
        sha256: package.sha256.map(|h| h.to_string()),
        sha1: package.file_sha1.map(|h| h.to_string()),
        size: package.size_bytes.map(size),
        builds: package
            .build
            .map_or_else(Vec::new, |build| builds(variant, package.role, build)),
        restart: match package.restart {
            RestartRule::Never => "no",
            RestartRule::IfAsked => "if asked",
            RestartRule::Always => "yes",
        },
    }
}

/// Shared updates are named by the family's lowest base and leave every base on the same UBR.
fn builds(variant: &Variant, role: Role, build: Build) -> Vec<String> {
    if role == Role::Enablement || !variant.base_builds.contains(&build.base) {
        return vec![build.to_string()];
    }
    let of = |base: &u32| {
        let ubr = build.ubr;
        Build { base: *base, ubr }.to_string()
    };
    variant.base_builds.iter().map(of).collect()
}

/// Builds that a sequence leads to, each once.
pub(super) fn targets(sequence: &Sequence) -> Vec<String> {
    let mut targets = Vec::new();
    for variant in &sequence.variants {
        let bases = variant
            .enables()
            .map_or_else(|| variant.base_builds.clone(), |enabled| vec![enabled]);
        for base in bases {
            if let Some(ubr) = variant.target_ubr {
                targets.push(Build { base, ubr }.to_string());
            }
        }
    }
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// A sort of release as people read it.
pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Security => "Security",
        Kind::Preview => "Preview",
        Kind::OutOfBand => "Out of band",
        Kind::Hotpatch => "Hotpatch",
        Kind::Dotnet => ".NET",
        Kind::Feature => "Feature",
        Kind::OobeUpdate => "OOBE update, observed only",
    }
}

/// `4.1 GB`: decimal, as the Update Catalog counts.
#[allow(clippy::cast_precision_loss)] // Files are far below 2^53 bytes.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in units {
        if bytes >= unit {
            return format!("{:.1} {name}", bytes as f64 / unit as f64);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_the_catalog_writes_them() {
        assert_eq!(size(4_120_000_000), "4.1 GB");
        assert_eq!(size(12_288), "12.3 kB");
        assert_eq!(size(7), "7 B");
    }

    #[test]
    fn a_shared_update_names_every_base() {
        let known = servicing::known_sequences();
        let sequence = &known
            .iter()
            .find(|k| k.sequence.kb.get() == 5_086_672)
            .unwrap()
            .sequence;
        assert_eq!(targets(sequence), ["26100.8117", "26200.8117"]);
        let parts = parts(sequence);
        assert_eq!(parts[0].name, "x64, 26100 and 26200");
        assert_eq!(parts[0].packages[1].builds, ["26100.8117", "26200.8117"]);
    }
}
