//! What a device counts for that failed, was repaired and tried again.

use super::*;
use engine::remediation::{self, Repair, Rung};

/// Servicing was busy: passes by itself.
const BUSY: HResult = HResult(0x8024_0009);

/// It failed in its only step.
fn failed(code: HResult) -> Device {
    let mut device = Device::installing();
    device.say(Report::Failed { code, step: 1 });
    device
}

/// Repaired, ready again, and permitted.
fn tries_again(device: &mut Device) -> &mut Device {
    let no = device.now.permit_no;
    device
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: true })
        .say(Report::DownloadDone)
        .say(Report::RestartAgreed);
    device.permit(1).unwrap();
    assert_eq!(device.now.permit_no, no + 1);
    device
}

fn counts(failed: u64, recovered: u64, relapsed: u64) -> Counts {
    Counts {
        started: 1,
        failed,
        resolved: 1,
        recovered,
        relapsed,
        ..Counts::default()
    }
}

#[test]
fn a_repaired_device_that_succeeds_stays_a_failure_of_the_update() {
    let mut device = failed(CODE);
    device.say(Report::RepairStarted);
    assert_eq!(
        device.now.state,
        State::Remediating {
            code: CODE,
            step: 1
        }
    );
    device.say(Report::RepairDone { ok: true });
    assert_eq!(device.now.state, State::Downloading);
    device
        .say(Report::DownloadDone)
        .say(Report::RestartAgreed)
        .permit(1)
        .unwrap();
    device.step(2, 1, false).verified("26100.8117");
    assert_eq!(device.now.state, State::Succeeded);
    assert_eq!(device.counts, counts(1, 1, 0));
    assert!(!device.now.regressed());
    // Whatever comes after that counts nothing twice.
    device.say(Report::RolledBack { code: CODE });
    assert_eq!(device.counts, counts(1, 1, 0));
}

#[test]
fn the_same_error_after_a_repair_that_worked_is_a_relapse_once() {
    let mut device = failed(CODE);
    tries_again(&mut device).say(Report::StepStarted {
        permit_no: 2,
        step: 1,
    });
    let again = Report::Failed {
        code: CODE,
        step: 1,
    };
    device.say(again);
    assert_eq!(device.counts, counts(1, 0, 1));
    tries_again(&mut device).say(Report::StepStarted {
        permit_no: 3,
        step: 1,
    });
    device.say(again);
    assert_eq!(device.counts, counts(1, 0, 1));
    // The ladder is at its end.
    device.say(Report::RepairStarted);
    assert!(matches!(device.now.state, State::Failed { .. }));
    assert_eq!(device.permit(1), Err(PermitRefused::Ended));
}

#[test]
fn another_error_after_a_repair_is_no_relapse() {
    let mut device = failed(CODE);
    tries_again(&mut device).say(Report::StepStarted {
        permit_no: 2,
        step: 1,
    });
    device.say(Report::Failed {
        code: BUSY,
        step: 1,
    });
    assert_eq!(device.counts, counts(1, 0, 0));
}

#[test]
fn a_repair_that_did_not_work_leads_to_the_next_one() {
    let mut device = failed(CODE);
    let before = device.now.state;
    device
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: false });
    assert_eq!((device.now.state, device.now.tries), (before, 1));
    device
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: false });
    assert_eq!((device.now.state, device.now.tries), (before, 2));
    device.say(Report::RepairStarted);
    assert_eq!(device.now.state, before, "there is no third");
    assert_eq!(device.counts, counts(1, 0, 0));
}

#[test]
fn a_repair_that_the_agent_refuses_is_not_ordered_for_ever() {
    let mut device = failed(CODE);
    let before = device.now.state;
    device.say(Report::Refused).say(Report::Refused);
    assert_eq!((device.now.state, device.now.tries), (before, 2));
    device.say(Report::Refused);
    assert_eq!(device.now.tries, 2);
    assert_eq!(device.counts, counts(1, 0, 0));
}

#[test]
fn what_passes_by_itself_is_tried_again_twice_and_no_repair_of_it_is_believed() {
    let mut device = failed(BUSY);
    device.say(Report::RepairStarted);
    assert!(matches!(device.now.state, State::Failed { .. }));
    for no in [2, 3] {
        device.say(Report::DownloadDone).say(Report::RestartAgreed);
        device.permit(1).unwrap();
        device
            .say(Report::StepStarted {
                permit_no: no,
                step: 1,
            })
            .say(Report::Failed {
                code: BUSY,
                step: 1,
            });
    }
    device.say(Report::DownloadDone).say(Report::RestartAgreed);
    assert_eq!(device.permit(1), Err(PermitRefused::Ended));
    assert_eq!(device.counts, counts(1, 0, 0));
}

#[test]
fn a_step_under_a_permit_that_failed_is_not_believed_while_the_device_prepares_anew() {
    let mut device = failed(CODE);
    device
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: true })
        .say(Report::DownloadDone)
        .say(Report::StepStarted {
            permit_no: 1,
            step: 1,
        });
    assert_eq!(device.now.state, State::Ready);
    assert_eq!(device.counts.drift, 1, "it ran a step without a permit");
}

#[test]
fn nor_is_the_end_of_such_a_step() {
    let mut device = failed(CODE);
    device
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: true })
        .say(Report::StepDone {
            step: 1,
            restart_needed: true,
        });
    assert_eq!(device.now.state, State::Downloading);
    assert_eq!(device.counts.drift, 1);
}

fn repair_judged(
    device: &Device,
    on_hours: i64,
    contact_hours: i64,
    now_hours: i64,
) -> (Option<Report>, Option<i64>) {
    let began = at("2026-05-01T00:00:00Z");
    let hour = |h: i64| began + Duration::hours(h);
    let times = Times {
        permitted_at: hour(-6),
        progress_at: began,
        contact_at: hour(contact_hours),
        powered: Some(Powered::between(0, 0, on_hours * 3600, hour(contact_hours))),
    };
    let (report, due) = judge(&device.now, &times, &Deadlines::default(), hour(now_hours));
    (report, due.map(|due| (due - began).num_hours()))
}

#[test]
fn a_device_that_prepares_anew_neither_hangs_nor_is_slow() {
    let mut device = failed(CODE);
    device
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: true });
    for report in [Report::DownloadDone, Report::RestartAgreed] {
        device.say(report);
        assert_eq!(repair_judged(&device, 200, 200, 200), (None, None));
        device
            .say(Report::Overdue)
            .say(Report::HangSuspected)
            .say(Report::Lost);
    }
    assert_eq!(device.counts, counts(1, 0, 0));
}

#[test]
fn a_repair_that_never_ends_is_given_up_and_the_next_rung_follows() {
    let mut device = failed(CODE);
    device.say(Report::RepairStarted);
    assert_eq!(repair_judged(&device, 3, 3, 3), (None, Some(4)));
    assert_eq!(
        repair_judged(&device, 1, 9, 9),
        (None, Some(12)),
        "it slept"
    );
    assert_eq!(
        repair_judged(&device, 4, 9, 9),
        (Some(Report::RepairGivenUp), None)
    );
    assert_eq!(
        repair_judged(&device, 1, 1, 24).0,
        None,
        "switched off, it may go on tomorrow"
    );
    assert_eq!(
        repair_judged(&device, 1, 1, 25).0,
        Some(Report::RepairGivenUp),
        "it does not come back"
    );
    device.say(Report::RepairGivenUp);
    assert_eq!(
        device.now.state,
        State::Failed {
            code: Some(CODE),
            step: 1
        }
    );
    assert_eq!(
        remediation::next(Some(CODE), device.now.tries),
        Some(Rung::Repair(Repair::RestoreHealthFromSource))
    );
    // It ends after all, too late to count as a repair that worked.
    device.say(Report::RepairDone { ok: true });
    assert_eq!(device.now.mended, None);
    assert!(matches!(device.now.state, State::Failed { .. }));
    assert_eq!(device.counts, counts(1, 0, 0), "it failed once");
    for report in [Report::Overdue, Report::HangSuspected, Report::Lost] {
        device.say(report);
    }
    assert_eq!(device.counts, counts(1, 0, 0));
}

#[test]
fn a_success_counts_as_recovered_after_a_repair_alone_and_not_after_a_relapse() {
    let mut busy = failed(BUSY);
    busy.say(Report::DownloadDone).say(Report::RestartAgreed);
    busy.permit(1).unwrap();
    busy.step(2, 1, false).verified("26100.8117");
    assert_eq!(busy.now.state, State::Succeeded);
    assert_eq!(busy.counts, counts(1, 0, 0));
    let mut relapsed = failed(CODE);
    tries_again(&mut relapsed).say(Report::Failed {
        code: CODE,
        step: 1,
    });
    tries_again(&mut relapsed)
        .step(3, 1, false)
        .verified("26100.8117");
    assert_eq!(relapsed.now.state, State::Succeeded);
    assert_eq!(relapsed.counts, counts(1, 0, 1));
}
