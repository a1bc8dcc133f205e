//! Suspicions: raised by deadlines, resolved by reports.

use super::*;

#[test]
fn a_device_that_was_taken_for_hung_and_succeeds_is_ok_and_keeps_its_failure() {
    let mut device = Device::permitted(1);
    device
        .say(Report::StepStarted {
            permit_no: 1,
            step: 1,
        })
        .say(Report::HangSuspected);
    assert_eq!(device.now.suspicion, Some(Suspicion::Hang));
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            failed: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
    device.say(Report::Alive);
    assert_eq!(
        device.now.suspicion,
        Some(Suspicion::Hang),
        "alive is no progress"
    );
    device.say(Report::StepDone {
        step: 1,
        restart_needed: true,
    });
    assert_eq!(device.now.suspicion, None);
    device.say(Report::Restarted).verified("26100.8117");
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            ok: 1,
            failed: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_lost_device_that_is_heard_again_stays_counted_as_silent() {
    let mut device = Device::permitted(1);
    device.say(Report::Lost).say(Report::Alive);
    assert_eq!(device.now.suspicion, None);
    device
        .step(1, 1, false)
        .verified("26100.8117")
        .say(Report::Lost);
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            ok: 1,
            silent: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
}

fn judged(device: &Device, progress: i64, contact: i64, now: i64) -> (Option<Report>, Option<i64>) {
    judged_on(device, (progress, contact), None, now)
}

/// What is said at `now` of a device that says at `told` that it was on for so many minutes since its last progress, which
/// was its first sign; all in minutes from its permit.
fn judged_on(
    device: &Device,
    (progress, contact): (i64, i64),
    on: Option<(i64, i64)>,
    now: i64,
) -> (Option<Report>, Option<i64>) {
    let zero = at("2026-04-07T08:00:00Z");
    let minute = |m: i64| -> DateTime<Utc> { zero + Duration::minutes(m) };
    let times = Times {
        permitted_at: zero,
        progress_at: minute(progress),
        contact_at: minute(contact),
        powered: on.map(|(on, told)| Powered::between(500, 500, 500 + on * 60, minute(told))),
    };
    let (report, due) = judge(&device.now, &times, &Deadlines::default(), minute(now));
    (report, due.map(|due| (due - zero).num_minutes()))
}

#[test]
fn a_device_that_polls_and_does_nothing_is_overdue_then_hung() {
    let mut device = Device::permitted(1);
    device.say(Report::StepStarted {
        permit_no: 1,
        step: 1,
    });
    assert_eq!(judged(&device, 0, 100, 149), (None, Some(150)));
    assert_eq!(
        judged(&device, 0, 100, 150),
        (Some(Report::Overdue), Some(240))
    );
    device.say(Report::Overdue);
    assert_eq!(judged(&device, 0, 200, 239), (None, Some(240)));
    assert_eq!(judged(&device, 0, 200, 240).0, Some(Report::HangSuspected));
    device.say(Report::HangSuspected);
    assert_eq!(judged(&device, 0, 200, 300), (None, Some(200 + 24 * 60)));
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            failed: 1,
            overdue: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_loss_is_judged_when_those_who_can_fall_silent_are_counted() {
    let day = 24 * 60;
    for (contact, due) in [(200, 200), (201, 205), (204, 205), (205, 205)] {
        let mut device = Device::installing();
        device.say(Report::Overdue).say(Report::HangSuspected);
        assert_eq!(judged(&device, 0, contact, 400).1, Some(due + day));
        assert_eq!(judged(&device, 0, contact, due + day - 1).0, None);
        assert_eq!(judged(&device, 0, contact, due + day).0, Some(Report::Lost));
    }
}

#[test]
fn progress_starts_the_hang_clock_anew() {
    let mut device = Device::installing();
    device.say(Report::Overdue);
    assert_eq!(judged(&device, 200, 400, 439), (None, Some(440)));
    assert_eq!(
        judged(&device, 200, 400, 440).0,
        Some(Report::HangSuspected)
    );
}

#[test]
fn a_device_that_is_switched_off_is_no_hang_and_in_the_end_lost() {
    let mut device = Device::installing();
    device.say(Report::Overdue);
    assert_eq!(
        judged(&device, 0, 30, 240),
        (None, Some(300)),
        "looked at again in an hour"
    );
    assert_eq!(judged(&device, 0, 30, 30 + 24 * 60 - 1).0, None);
    assert_eq!(judged(&device, 0, 30, 30 + 24 * 60).0, Some(Report::Lost));
    device.say(Report::Lost);
    assert_eq!(judged(&device, 0, 30, 90 * 24 * 60), (None, None));
}

#[test]
fn nobody_is_judged_without_a_permit_or_after_an_outcome() {
    assert_eq!(judged(&Device::offered(), 0, 0, 9999), (None, None));
    assert_eq!(judged(&Device::succeeded(), 0, 0, 9999), (None, None));
}

#[test]
fn invariant_20_no_deadline_expires_while_the_service_clock_stands() {
    let device = Device::permitted(1);
    // Our outage: the service clock did not advance, whatever the wall clock says.
    assert_eq!(judged(&device, 0, 0, 0).0, None);
    assert_eq!(judged(&device, 0, 0, -600).0, None);
}

#[test]
fn a_user_who_lets_the_permit_lapse_is_no_hang() {
    let mut device = Device::permitted(1);
    device.say(Report::Overdue);
    assert_eq!(judged(&device, 0, 600, 600), (None, Some(600 + 24 * 60)));
}

#[test]
fn a_laptop_that_slept_for_a_night_between_two_steps_neither_hangs_nor_is_slow() {
    let device = Device::installing();
    // Opened in the morning, ten hours after its permit, of which it was awake for two.
    assert_eq!(
        judged_on(&device, (0, 600), Some((120, 600)), 600),
        (None, Some(630)),
        "half an hour is left until it is slow"
    );
    assert_eq!(
        judged_on(&device, (0, 630), Some((150, 630)), 630).0,
        Some(Report::Overdue)
    );
    let mut device = device;
    device.say(Report::Overdue);
    assert_eq!(
        judged_on(&device, (0, 700), Some((220, 700)), 700),
        (None, Some(720))
    );
    assert_eq!(
        judged_on(&device, (0, 720), Some((240, 720)), 720).0,
        Some(Report::HangSuspected)
    );
}

#[test]
fn a_device_that_sleeps_is_looked_at_once_an_hour_and_one_that_is_awake_at_most_once_a_minute() {
    let mut device = Device::installing();
    device.say(Report::Overdue);
    assert_eq!(
        judged_on(&device, (0, 100), Some((239, 100)), 300),
        (None, Some(360))
    );
    let due = |told| judged_on(&device, (0, 300), Some((240, told)), 300).1;
    assert_eq!(
        due(300),
        Some(300 + 24 * 60),
        "it hangs; next it would be lost"
    );
    let zero = at("2026-04-07T08:00:00Z");
    let now = zero + Duration::minutes(300);
    let times = Times {
        permitted_at: zero,
        progress_at: zero,
        contact_at: now,
        powered: Some(Powered::between(0, 0, 4 * 3600 - 1, now)),
    };
    assert_eq!(
        judge(&device.now, &times, &Deadlines::default(), now),
        (None, Some(now + Duration::seconds(60)))
    );
}

#[test]
fn a_device_that_polls_for_a_day_and_tells_nothing_hangs_whatever_it_said_before() {
    let mut device = Device::installing();
    device.say(Report::Overdue);
    let day = 24 * 60;
    assert_eq!(
        judged_on(&device, (0, day + 29), Some((5, 30)), day + 29).0,
        None
    );
    assert_eq!(
        judged_on(&device, (0, day + 30), Some((5, 30)), day + 30).0,
        Some(Report::HangSuspected)
    );
}

#[test]
fn a_device_that_was_set_up_anew_counts_from_nothing() {
    let now = at("2026-04-07T08:00:00Z");
    let powered = Powered::between(90_000, 90_100, 3_600, now);
    assert_eq!(
        (powered.since_permit_s, powered.since_progress_s),
        (3_600, 3_600)
    );
    let powered = Powered::between(90_000, 90_100, 90_160, now);
    assert_eq!(
        (powered.since_permit_s, powered.since_progress_s),
        (160, 60)
    );
}
