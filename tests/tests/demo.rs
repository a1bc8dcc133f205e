//! The demo's story, and that its check can fail.

use server::demo::{Options, Plant, rehearse};

fn options(plant: Option<Plant>) -> Options {
    server::tls::install_provider();
    Options {
        headless: true,
        until_done: true,
        seed: 1,
        devices: 500,
        day_takes: 20,
        plant,
        log_filter: "warn".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_and_each_broken_promise_is_found() {
    let plants = [
        Plant::CounterOffByOne,
        Plant::PermitAfterHalt,
        Plant::StepOutOfOrder,
    ];
    let found = rehearse(&options(None), &plants)
        .await
        .expect("the story comes to its end");
    assert_eq!(found[0], Vec::<String>::new(), "nothing is broken yet");
    let says = |check: usize, what: &str| found[check].iter().any(|f| f.contains(what));
    assert!(says(1, "evidence equals"), "{:?}", found[1]);
    assert!(!says(1, "no permit under a gate version"), "{:?}", found[1]);
    assert!(says(2, "no permit under a gate version"), "{:?}", found[2]);
    assert!(!says(2, "no step out of order"), "{:?}", found[2]);
    assert!(says(3, "no step out of order"), "{:?}", found[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_update_that_is_halted_does_not_pass_for_a_good_ending() {
    let error = rehearse(&options(Some(Plant::GoodUpdateHalted)), &[])
        .await
        .expect_err("it is halted");
    assert!(error.to_string().contains("was halted"), "{error:#}");
}
