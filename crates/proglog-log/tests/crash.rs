//! A log is stopped at every call that it makes, with whatever may survive of what was not synced,
//! and every call fails once: acknowledged means kept.

#[path = "crash/explore.rs"]
mod explore;
#[path = "crash/history.rs"]
mod history;
#[path = "crash/workload.rs"]
mod workload;

use std::time::Instant;

use explore::{calls_of, stop_at, sum_over};
use workload::WORKLOADS;

/// How many different things left by a crash are tried at the least.
const TRIED_MIN: usize = 100_000;

#[test]
fn whatever_survives_a_stop_at_any_call_holds_what_was_acknowledged() {
    let begun = Instant::now();
    let mut total = 0;
    for workload in WORKLOADS {
        let begun = Instant::now();
        let calls = calls_of(workload, true).unwrap();
        let tried = sum_over(&calls, |call| stop_at(workload, call));
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{}: {} calls, {tried} triples, {seconds:.1} s",
            workload.name,
            calls.len()
        );
        total += tried;
    }
    println!(
        "{total} distinct (workload, call, surviving subset) triples in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    assert!(total >= TRIED_MIN, "only {total} triples were tried");
}
