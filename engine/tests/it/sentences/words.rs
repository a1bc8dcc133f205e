use engine::admission::WaitReason;
use engine::approval::VoidReason;
use engine::halt::Stream;
use engine::ids::CohortId;
use servicing::{NotApplicable, NotReady, UpdateAuthority};

use super::{Table, cause};

#[test]
fn why_a_request_is_void_a_rollout_halts_and_a_device_waits() {
    let mut table = Table::new();
    for reason in [
        VoidReason::EvidenceWorsened,
        VoidReason::DigestChanged,
        VoidReason::PolicyChanged,
        VoidReason::RingChanged,
        VoidReason::RingGrew,
        VoidReason::RolloutStopped,
        VoidReason::NotNeeded,
    ] {
        table.add("void", reason.sentence());
    }
    for stream in [
        Stream::Failure,
        Stream::Severe,
        Stream::Silence,
        Stream::Overdue,
    ] {
        table.add("halt", &cause(stream, 4).sentence());
    }
    table.add("halt", &cause(Stream::Severe, 1).sentence());
    let cohort = CohortId(7);
    for reason in [
        WaitReason::Generation { cap: 1_024 },
        WaitReason::CohortGeneration { cohort, cap: 2 },
        WaitReason::DevicesAtOnce { limit: 60 },
        WaitReason::DevicesAtOnce { limit: 1 },
        WaitReason::PerDay { limit: 172 },
        WaitReason::Window {
            window: "Mon-Fri 22:00-05:00".parse().unwrap(),
            opens_in_min: 90,
        },
    ] {
        table.add("wait", &reason.sentence(Some("Latitude 7450")));
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn why_an_update_does_not_go_onto_a_device() {
    let mut table = Table::new();
    for reason in [
        NotApplicable::Product,
        NotApplicable::Family,
        NotApplicable::Series,
        NotApplicable::Architecture,
        NotApplicable::Edition,
        NotApplicable::ObservedOnly,
    ] {
        table.add(reason.word(), &reason.to_string());
    }
    let gib = |n: u64| n << 30;
    for reason in [
        NotReady::Disk {
            need_bytes: gib(12),
            free_bytes: gib(7),
        },
        NotReady::RestartPending,
        NotReady::Battery,
        NotReady::OobeRunning,
        NotReady::StoreNonRepairable,
        NotReady::Authority(UpdateAuthority::Wsus),
        NotReady::Authority(UpdateAuthority::Conflict),
    ] {
        table.add(reason.word(), &reason.to_string());
    }
    insta::assert_snapshot!(table.text());
}
