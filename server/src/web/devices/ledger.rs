//! What a device has installed against what the baseline of its track asks for.

use servicing::{
    Facts, Ledger, LedgerClass, Package, PackageState, Planned, Role, Sequence, classify, plan,
};

use crate::web::frame::Frame;
use crate::web::parts::{Icon, Link, State as Chip, Tone};

/// The comparison.
pub struct Compared {
    /// The sequence that is the baseline.
    pub baseline: Link,
    /// Build on which the device should be; none where it sets none.
    pub build: Option<String>,
    /// How the ledger as a whole stands to it.
    pub class: Chip,
    /// Package by package.
    pub rows: Vec<LedgerRow>,
    /// Why it is not for this device.
    pub not_for: Option<String>,
}

/// One package.
pub struct LedgerRow {
    /// Place in the sequence.
    pub ordinal: u16,
    /// Its KB.
    pub kb: String,
    /// What it is for.
    pub role: &'static str,
    /// What is expected.
    pub expected: String,
    /// What the device reports.
    pub reported: String,
    /// When and by whom.
    pub by: String,
    /// The verdict.
    pub verdict: Chip,
    /// It differs.
    pub differs: bool,
}

/// A class as people read it.
fn class(class: LedgerClass) -> Chip {
    match class {
        LedgerClass::NotStarted => Chip::quiet(Tone::Mute, Icon::Clock, "Not begun"),
        LedgerClass::Partial { done, of } => Chip::loud(
            Tone::Wait,
            Icon::Triangle,
            format!("Partial, {done} of {of}"),
        ),
        LedgerClass::Complete => Chip::quiet(Tone::Ok, Icon::OkRing, "Complete"),
        LedgerClass::OutOfOrder => Chip::loud(Tone::Bad, Icon::X, "Out of order"),
        LedgerClass::Contaminated => Chip::loud(Tone::Bad, Icon::X, "Contaminated"),
        LedgerClass::Ahead => Chip::quiet(Tone::Ok, Icon::OkRing, "Ahead"),
        LedgerClass::Unknown => Chip::loud(Tone::Ask, Icon::Ask, "Unclear"),
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Ssu => "Servicing stack",
        Role::Checkpoint => "Checkpoint",
        Role::Lcu => "Cumulative update",
        Role::Enablement => "Enablement package",
        Role::Dotnet => ".NET update",
        Role::SafeosDu => "Safe OS update",
        Role::SetupDu => "Setup update",
        Role::OobeUpdate => "OOBE update",
    }
}

impl Compared {
    /// Compares a device with a sequence; `withdrawn` must not be in force.
    pub fn of(
        sequence: &Sequence,
        href: String,
        (facts, ledger): (&Facts, &Ledger),
        withdrawn: &[servicing::KbNumber],
        frame: &Frame,
    ) -> Self {
        let (rows, build, not_for) = match sequence.variant_for(facts) {
            Err(why) => (Vec::new(), None, Some(why.to_string())),
            Ok(variant) => {
                let remaining = match plan(sequence, facts, ledger) {
                    Planned::Steps(plan) | Planned::NotReady(plan, _) => plan.steps,
                    Planned::Complete | Planned::Ahead | Planned::NotApplicable(_) => Vec::new(),
                };
                let open = |package: &Package| {
                    let mut left = remaining.iter().flat_map(|step| &step.packages);
                    left.any(|p| p.ordinal == package.ordinal)
                };
                let row = |package: &&Package| LedgerRow::of(package, ledger, open(package), frame);
                let rows = variant.in_order().iter().map(row).collect();
                let build = variant.target_for(facts.build).map(|b| b.to_string());
                (rows, build, None)
            }
        };
        Self {
            baseline: Link::new(format!("{} {}", sequence.kb, sequence.label).trim(), href),
            build,
            class: class(classify(sequence, facts, ledger, withdrawn)),
            rows,
            not_for,
        }
    }
}

impl LedgerRow {
    fn of(package: &Package, ledger: &Ledger, open: bool, frame: &Frame) -> Self {
        let entry = ledger.entry_of_package(package);
        let with_build = |word: &str, build: Option<servicing::Build>| match build {
            Some(build) => format!("{word}, {build}"),
            None => word.to_owned(),
        };
        let observed = package.role.installs_online() || package.role == Role::OobeUpdate;
        let state = entry.map(|e| e.state);
        let (verdict, differs) = match state {
            _ if !observed => (Chip::quiet(Tone::Mute, Icon::Off, "Not asked"), false),
            Some(PackageState::PartiallyInstalled) => {
                (Chip::loud(Tone::Bad, Icon::X, "In part"), true)
            }
            None if open => (Chip::loud(Tone::Wait, Icon::Triangle, "Missing"), true),
            Some(state) if open || !state.is_final() => {
                (Chip::loud(Tone::Wait, Icon::Triangle, "Differs"), true)
            }
            Some(_) => (Chip::quiet(Tone::Ok, Icon::OkRing, "Same"), false),
            None => (Chip::quiet(Tone::Ok, Icon::OkRing, "Contained"), false),
        };
        let reported = match entry {
            Some(entry) => with_build(&entry.state.word().replace('_', " "), entry.build),
            None if open || !observed => "–".to_owned(),
            None => "in the build".to_owned(),
        };
        let at = entry
            .and_then(|e| e.at)
            .map(|at| frame.when(at).text().to_owned());
        let by = entry.and_then(|e| e.client.clone());
        Self {
            ordinal: package.ordinal,
            kb: package.kb.to_string(),
            role: role(package.role),
            expected: if observed {
                with_build("installed", package.build)
            } else {
                "images and media only".to_owned()
            },
            reported,
            by: [at, by]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
            verdict,
            differs,
        }
    }
}
