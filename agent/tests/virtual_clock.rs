//! Virtual time: who is woken, who is waited for, and who can not stop it.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::simulate::VirtualClock;
use chrono::{DateTime, TimeDelta, Utc};

fn start() -> DateTime<Utc> {
    "2026-03-27T08:00:00Z".parse().expect("a time")
}
#[tokio::test]
async fn time_stands_still_until_it_is_moved_and_never_goes_back() {
    let clock = VirtualClock::new(start());
    assert_eq!(clock.now(), start());
    clock.advance_to(start() + TimeDelta::hours(1)).await;
    clock.advance_to(start()).await;
    assert_eq!(clock.now(), start() + TimeDelta::hours(1));
    clock.sleep(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_has_finished_every_turn_before_time_moves_on() {
    let clock = VirtualClock::new(start());
    let turns = Arc::new(AtomicU32::new(0));
    let (driver_clock, driver_turns) = (Arc::clone(&clock), Arc::clone(&turns));
    tokio::spawn(clock.participate(async move {
        loop {
            driver_clock.sleep(Duration::from_secs(60)).await;
            let began = driver_clock.now();
            tokio::time::sleep(Duration::from_millis(3)).await;
            assert_eq!(driver_clock.now(), began, "time moved on during a turn");
            driver_turns.fetch_add(1, Ordering::SeqCst);
        }
    }));
    clock.advance_to(start() + TimeDelta::minutes(10)).await;
    assert_eq!(turns.load(Ordering::SeqCst), 10);
    clock.advance_to(start() + TimeDelta::seconds(659)).await;
    assert_eq!(turns.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_participant_that_was_dropped_or_never_ran_does_not_stop_time() {
    let clock = VirtualClock::new(start());
    drop(clock.participate(pending::<()>()));
    let stuck = tokio::spawn(clock.participate(pending::<()>()));
    tokio::task::yield_now().await;
    let moving = clock.advance_to(start() + TimeDelta::hours(1));
    let dropping = async {
        tokio::task::yield_now().await;
        stuck.abort();
    };
    tokio::join!(moving, dropping);
    assert_eq!(clock.now(), start() + TimeDelta::hours(1));
}

#[tokio::test]
async fn a_participant_that_gave_up_a_sleep_is_awake() {
    let clock = VirtualClock::new(start());
    let (own, done) = (Arc::clone(&clock), Arc::new(AtomicU32::new(0)));
    let (notify, counted) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&done));
    let notified = Arc::clone(&notify);
    tokio::spawn(clock.participate(async move {
        tokio::select! {
            () = own.sleep(Duration::from_secs(3600)) => {}
            () = notified.notified() => {
                tokio::time::sleep(Duration::from_millis(3)).await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    }));
    clock.advance_to(start() + TimeDelta::minutes(1)).await;
    notify.notify_one();
    tokio::task::yield_now().await;
    clock.advance_to(start() + TimeDelta::hours(2)).await;
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_does_not_take_part_is_woken_and_not_waited_for() {
    let clock = VirtualClock::new(start());
    let sleep = clock.sleep(Duration::from_secs(60));
    let sleeper = tokio::spawn(sleep);
    tokio::task::yield_now().await;
    clock.advance_to(start() + TimeDelta::minutes(2)).await;
    sleeper.await.unwrap();
}

#[tokio::test]
async fn sleepers_wake_in_the_order_of_their_times() {
    let clock = VirtualClock::new(start());
    let woken = Arc::new(Mutex::new(Vec::new()));
    for minutes in [3, 1, 2] {
        let (own, woken) = (Arc::clone(&clock), Arc::clone(&woken));
        tokio::spawn(clock.participate(async move {
            own.sleep(Duration::from_secs(minutes * 60)).await;
            let now = own.now();
            woken.lock().unwrap().push((minutes, now));
        }));
    }
    clock.advance_to(start() + TimeDelta::hours(1)).await;
    let expected = [1_u64, 2, 3].map(|n| (n, start() + TimeDelta::minutes(n.cast_signed())));
    assert_eq!(*woken.lock().unwrap(), expected);
}
