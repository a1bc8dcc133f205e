//! Why a plan waits: the device is not ready, and says everything that keeps it.

use servicing::{
    Facts, Ledger, NotReady, PackageState, Planned, StoreHealth, UpdateAuthority, plan,
};

use crate::lab::{GIB, build, device, known, ledger, long_sequence, steps};

#[test]
fn an_exit_code_0_with_the_package_still_pending_is_no_success() {
    let pending = ledger(&[(
        "KB5086672",
        Some("26100.8117"),
        PackageState::InstallPending,
    )]);
    let Planned::NotReady(plan, reasons) =
        plan(&known("KB5086672"), &device("26100.8037"), &pending)
    else {
        panic!("a pending package is not installed again before the restart");
    };
    assert_eq!(reasons, [NotReady::RestartPending]);
    assert_eq!(plan.target, build("26100.8117"));
}

#[test]
fn a_checkpoint_pending_a_restart_holds_the_next_step() {
    let pending = ledger(&[(
        "KB5043080",
        Some("26100.1742"),
        PackageState::InstallPending,
    )]);
    let planned = plan(&known("KB5086672"), &device("26100.1150"), &pending);
    assert!(
        matches!(planned, Planned::NotReady(_, reasons) if reasons == [NotReady::RestartPending])
    );
}

#[test]
fn a_removal_pending_a_restart_holds_every_step() {
    let pending = ledger(&[(
        "KB5079391",
        Some("26100.8116"),
        PackageState::UninstallPending,
    )]);
    let planned = plan(&known("KB5086672"), &device("26100.8116"), &pending);
    assert!(
        matches!(planned, Planned::NotReady(_, reasons) if reasons == [NotReady::RestartPending])
    );
}

#[test]
fn small_updates_need_20_gib_and_large_ones_three_times_their_size() {
    assert_eq!(
        steps(
            &known("KB5129195"),
            &device("26100.8037"),
            &Ledger::default()
        )
        .need_bytes(),
        20 * GIB
    );
    let long = long_sequence("one_by_one");
    assert_eq!(
        steps(&long, &device("26100.4000"), &Ledger::default()).need_bytes(),
        24 * GIB
    );
    let tight = Facts {
        free_disk_bytes: 30 * GIB - 1,
        ..device("26100.1")
    };
    let Planned::NotReady(_, reasons) = plan(&long, &tight, &Ledger::default()) else {
        panic!("too tight")
    };
    assert_eq!(
        reasons,
        [NotReady::Disk {
            need_bytes: 30 * GIB,
            free_bytes: 30 * GIB - 1
        }]
    );
    let enough = Facts {
        free_disk_bytes: 30 * GIB,
        ..tight
    };
    assert_eq!(steps(&long, &enough, &Ledger::default()).steps.len(), 3);
}

#[test]
fn every_reason_to_wait_is_told_at_once() {
    let facts = Facts {
        free_disk_bytes: 5 * GIB,
        restart_pending: true,
        on_battery: true,
        oobe_complete: false,
        store_health: StoreHealth::NonRepairable,
        update_authority: UpdateAuthority::Conflict,
        ..device("26100.8037")
    };
    let Planned::NotReady(_, reasons) = plan(&known("KB5086672"), &facts, &Ledger::default())
    else {
        panic!("not ready")
    };
    let sentences: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(sentences.join("\n"), @r"
    Update policies on the device contradict each other.
    The Out-of-Box Experience is not finished.
    The component store is beyond repair: an in-place upgrade or a reimage is due.
    A restart is pending and has to come first.
    5.0 GiB free on the system volume, 20.0 GiB needed.
    The device runs on battery.
    ");
}

#[test]
fn another_authority_keeps_us_from_installing() {
    for authority in UpdateAuthority::ALL
        .iter()
        .copied()
        .filter(|a| *a != UpdateAuthority::Ringfence)
    {
        let facts = Facts {
            update_authority: authority,
            ..device("26100.8037")
        };
        let planned = plan(&known("KB5086672"), &facts, &Ledger::default());
        assert!(
            matches!(planned, Planned::NotReady(_, reasons) if reasons == [NotReady::Authority(authority)])
        );
    }
}

#[test]
fn a_repairable_store_does_not_hold_an_update() {
    let facts = Facts {
        store_health: StoreHealth::Repairable,
        ..device("26100.8037")
    };
    assert_eq!(
        steps(&known("KB5086672"), &facts, &Ledger::default())
            .steps
            .len(),
        1
    );
}
