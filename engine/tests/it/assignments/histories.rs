//! Random histories of one device.

use engine::policy::MOST_TRIES;

use super::*;

fn reports() -> impl Strategy<Value = Report> {
    let step = 0..4_u16;
    prop_oneof![
        Just(Report::DownloadProgress),
        Just(Report::DownloadDone),
        Just(Report::RestartAgreed),
        Just(Report::RestartPostponed),
        Just(Report::NotApplicable),
        (0..3_u32, step.clone())
            .prop_map(|(permit_no, step)| Report::StepStarted { permit_no, step }),
        (step.clone(), any::<bool>()).prop_map(|(step, restart_needed)| Report::StepDone {
            step,
            restart_needed
        }),
        Just(Report::Restarted),
        (8115..8120_u32, any::<bool>()).prop_map(|(ubr, packages_installed)| Report::Verified {
            build: Build { base: 26100, ubr },
            packages_installed,
        }),
        step.prop_map(|step| Report::Failed { code: CODE, step }),
        Just(Report::RolledBack { code: CODE }),
        Just(Report::RolledBack { code: HResult(0) }),
        Just(Report::Refused),
        Just(Report::Unusable),
        Just(Report::RepairStarted),
        any::<bool>().prop_map(|ok| Report::RepairDone { ok }),
        Just(Report::Alive),
        Just(Report::Overdue),
        Just(Report::HangSuspected),
        Just(Report::Lost),
    ]
}

/// What a device counts for by its flags: the recount.
fn recount(a: &Assignment) -> Counts {
    Counts {
        started: a.started.into(),
        ok: a.ok.into(),
        failed: a.failed.into(),
        severe: a.severe.into(),
        silent: a.silent.into(),
        overdue: a.overdue.into(),
        resolved: a.resolved.into(),
        drift: a.drift.into(),
        recovered: a.recovered.into(),
        relapsed: a.relapsed.into(),
    }
}

proptest! {
    #[test]
    fn invariant_14_counters_equal_their_recount_whatever_a_device_says(
        history in prop::collection::vec(prop_oneof![4 => reports().prop_map(Some), 1 => Just(None)], 0..80),
    ) {
        let mut device = Device::offered();
        for event in history {
            let before = device.now;
            match event {
                Some(report) => { device.say(report); }
                None => { let _ = device.permit(2); }
            }
            let after = device.now;
            let c = device.counts;
            prop_assert_eq!(c, recount(&after));
            prop_assert!(c.ok <= c.resolved && c.resolved <= c.started && c.started <= 1);
            prop_assert!(c.failed <= c.started && c.severe <= c.started && c.silent <= c.started);
            let climbs = matches!(before.state, State::Failed { .. }) && after.tries == before.tries + 1;
            let removal = before.state == State::Succeeded
                && matches!(after.state, State::Removed | State::NotRemoved { .. });
            prop_assert!(!before.state.is_outcome() || after.state == before.state || climbs || removal);
            prop_assert!(!before.failed || after.failed);
            prop_assert!(after.tries >= before.tries);
            prop_assert!(!(after.recovered && after.relapsed) && after.tries <= MOST_TRIES);
            let has_succeeded = matches!(
                after.state,
                State::Succeeded | State::Removed | State::NotRemoved { .. }
            );
            prop_assert!(!after.ok || has_succeeded);
            prop_assert!(!after.started || !after.state.is_outcome() || after.resolved);
            prop_assert!(!after.state.is_before_permit() || !after.started || after.tries > 0);
        }
    }

    #[test]
    fn invariant_09_a_report_that_comes_twice_counts_once(
        history in prop::collection::vec(reports(), 0..40),
        report in reports(),
        permit_at in 0..6_usize,
    ) {
        let mut device = Device::offered();
        for (i, report) in history.into_iter().enumerate() {
            device.say(report);
            if i == permit_at {
                let _ = device.permit(2);
            }
        }
        device.say(report);
        let (state, counts) = (device.now.state, device.counts);
        device.say(report);
        prop_assert_eq!(device.now.state, state);
        prop_assert_eq!(device.counts, counts);
    }
}
