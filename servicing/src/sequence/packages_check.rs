//! Whether the packages of a variant make a sequence: order, roles, builds, names and hashes.

use std::cmp::Ordering;

use crate::{
    Build, CatalogName, Completeness, Kind, Package, RestartRule, Role, Sequence, Series, Variant,
};

use super::validate::{Errors, MAX_PACKAGES};

const MAX_FILE_NAME: usize = 160;
/// 64 GiB: more than an installation image, so certainly a slip.
const MAX_BYTES: u64 = 64 << 30;

pub(super) fn check(
    sequence: &Sequence,
    variant: &Variant,
    completeness: Completeness,
    at: &str,
    errors: &mut Errors,
) {
    let packages = &variant.packages;
    errors.check(
        (1..=MAX_PACKAGES).contains(&packages.len()),
        format!("{at}.packages"),
        format!("1 to {MAX_PACKAGES} packages"),
    );
    for (index, package) in packages.iter().enumerate().take(MAX_PACKAGES) {
        let at = format!("{at}.packages[{index}]");
        let place = index + 1;
        errors.check(
            usize::from(package.ordinal) == place,
            format!("{at}.ordinal"),
            format!("{place}: ordinals run from 1 without gaps, in the order of the list"),
        );
        let listed = packages
            .iter()
            .take(index)
            .any(|earlier| earlier.kb == package.kb);
        errors.check(
            !listed,
            format!("{at}.kb"),
            "a KB that is not in this variant already",
        );
        check_role(sequence.kind, package, place == packages.len(), &at, errors);
        check_build(variant, index, package, &at, errors);
        check_file(variant, package, &at, errors);
        if completeness == Completeness::Publish {
            check_complete(package, &at, errors);
        }
    }
    check_target(sequence, variant, at, errors);
}

/// The role that the last package of a kind has.
const fn target_role(kind: Kind) -> Role {
    match kind {
        Kind::Security | Kind::Preview | Kind::OutOfBand | Kind::Hotpatch => Role::Lcu,
        Kind::Feature => Role::Enablement,
        Kind::Dotnet => Role::Dotnet,
        Kind::OobeUpdate => Role::OobeUpdate,
    }
}

fn check_role(kind: Kind, package: &Package, last: bool, at: &str, errors: &mut Errors) {
    let target = target_role(kind);
    let field = format!("{at}.role");
    if last {
        errors.check(
            package.role == target,
            field,
            format!("{target}: the target of kind {kind} comes last"),
        );
        return;
    }
    let fits = match package.role {
        Role::Ssu | Role::Checkpoint | Role::SafeosDu | Role::SetupDu => {
            kind.sets_build() || kind == Kind::Dotnet && package.role == Role::Ssu
        }
        Role::Lcu => kind == Kind::Feature,
        Role::Dotnet => kind == Kind::Dotnet,
        Role::Enablement | Role::OobeUpdate => false,
    };
    errors.check(
        fits,
        field,
        format!("a role that can come before the target of kind {kind}"),
    );
}

fn check_build(variant: &Variant, index: usize, package: &Package, at: &str, errors: &mut Errors) {
    let field = format!("{at}.build");
    let Some(build) = package.build else {
        let needed = matches!(package.role, Role::Checkpoint | Role::Enablement);
        errors.check(
            !needed,
            field,
            format!("the build that a package of role {} brings", package.role),
        );
        return;
    };
    if matches!(package.role, Role::Dotnet | Role::OobeUpdate) {
        errors.check(
            false,
            field,
            format!("null: a package of role {} sets no build", package.role),
        );
        return;
    }
    let in_family = variant
        .family()
        .is_none_or(|family| family.bases().contains(&build.base));
    errors.check(in_family, &field, "a build of the variant's family");
    let target = variant.target_ubr.map(|ubr| Build { ubr, ..build });
    let order = target.and_then(|target| build.compare(target, variant.product, variant.series));
    match (package.role, order) {
        (Role::Checkpoint | Role::Ssu, Some(Ordering::Equal | Ordering::Greater)) => {
            errors.check(false, &field, "a build below the target");
        }
        (Role::Lcu | Role::Enablement, Some(Ordering::Less | Ordering::Greater)) => {
            errors.check(false, &field, "the variant's target_ubr");
        }
        _ => {}
    }
    if package.role == Role::Checkpoint {
        let earlier = variant
            .packages
            .iter()
            .take(index)
            .filter(|earlier| earlier.role == Role::Checkpoint);
        let above = earlier
            .filter_map(|earlier| earlier.build)
            .all(|earlier| earlier.ubr < build.ubr);
        errors.check(
            above,
            &field,
            "a build above that of the checkpoint before it",
        );
    }
    if package.role == Role::Enablement {
        let raises = variant.base_builds.iter().all(|base| *base < build.base);
        errors.check(raises, &field, "a base build above all of the variant's");
    }
}

fn check_file(variant: &Variant, package: &Package, at: &str, errors: &mut Errors) {
    errors.check(
        package
            .size_bytes
            .is_none_or(|size| (1..=MAX_BYTES).contains(&size)),
        format!("{at}.size_bytes"),
        "1 byte to 64 GiB",
    );
    let Some(name) = &package.file_name else {
        return;
    };
    let field = format!("{at}.file_name");
    if !plain_file_name(name) {
        errors.check(false, field, format!("a name of 1 to {MAX_FILE_NAME} letters, digits, '.', '-' and '_' that ends in .msu or .cab"));
        return;
    }
    if !CatalogName::is_claimed_by(name) {
        return;
    }
    match name.parse::<CatalogName>() {
        Err(error) => errors.check(false, field, error.expected),
        Ok(catalog) => {
            errors.check(
                catalog.kb == package.kb,
                &field,
                format!("the file of {}, not of {}", package.kb, catalog.kb),
            );
            errors.check(
                catalog.architecture == variant.architecture,
                &field,
                format!(
                    "a file for {}, not for {}",
                    variant.architecture, catalog.architecture
                ),
            );
            errors.check(
                package.file_sha1.is_none_or(|sha1| sha1 == catalog.sha1),
                format!("{at}.file_sha1"),
                format!("{}, the hash in the file name", catalog.sha1),
            );
        }
    }
}

/// A name that means one file in one folder wherever it is used: no separators, no leading full stop.
fn plain_file_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name.len() <= MAX_FILE_NAME
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && [".msu", ".cab"]
            .iter()
            .any(|end| lower.strip_suffix(end).is_some_and(|stem| !stem.is_empty()))
}

fn check_complete(package: &Package, at: &str, errors: &mut Errors) {
    if package.role == Role::OobeUpdate {
        return; // Windows Update brings it: there is no file to fetch.
    }
    let file = [
        (
            package.file_name.is_some(),
            "file_name",
            "the name of the file",
        ),
        (
            package.size_bytes.is_some(),
            "size_bytes",
            "the size of the file in bytes",
        ),
        (
            package.sha256.is_some(),
            "sha256",
            "the SHA-256 of the file",
        ),
        (
            package.file_sha1.is_some(),
            "file_sha1",
            "the SHA-1 that the Update Catalog gives for the file",
        ),
    ];
    for (there, name, expected) in file {
        errors.check(
            there,
            format!("{at}.{name}"),
            format!("{expected}; it can be missing in a draft only"),
        );
    }
}

fn check_target(sequence: &Sequence, variant: &Variant, at: &str, errors: &mut Errors) {
    let Some((last, before)) = variant.packages.split_last() else {
        return;
    };
    let at_last = format!("{at}.packages[{}]", before.len());
    if sequence.kind.is_cumulative() {
        // The article's title names the target (field reports); only .NET has an umbrella KB.
        errors.check(
            last.kb == sequence.kb,
            format!("{at_last}.kb"),
            format!(
                "{}, the target that the sequence is named after",
                sequence.kb
            ),
        );
        errors.check(
            variant.series == Series::Hotpatch || last.restart != RestartRule::Never,
            format!("{at_last}.restart"),
            "always or if_asked: without a restart the target's build is never reached",
        );
    }
    if sequence.kind == Kind::Feature {
        errors.check(
            before.iter().any(|package| package.role == Role::Lcu),
            format!("{at}.packages"),
            "the cumulative update of target_ubr before the enablement package that needs it",
        );
    }
}
