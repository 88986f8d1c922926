//! Crashes, failures and full disks at every call of a log, with every combination of unsynced writes:
//! acknowledged means kept.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod full_disk;

use std::time::Instant;

use proglog_harness::crash::copies::damage_copies;
use proglog_harness::crash::damage::{bytes_below_mark, damage_at, killed_log};
use proglog_harness::crash::explore::{Tried, calls_of, stop_at, sum_over};
use proglog_harness::crash::faults::{fail_at, fail_recovery, stopped_image};
use proglog_harness::crash::workloads::WORKLOADS;

/// Least number of different disks after a crash that are tried.
const TRIED_MIN: usize = 100_000;

#[test]
fn whatever_survives_a_stop_at_any_call_holds_what_was_acknowledged() {
    let begun = Instant::now();
    let mut total = 0;
    for workload in WORKLOADS {
        let begun = Instant::now();
        let calls = calls_of(workload, true).unwrap();
        let tried = sum_over(&calls, |call| stop_at(workload, call).map(Tried::sum));
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

#[test]
fn a_call_that_fails_takes_nothing_that_was_acknowledged_and_leaves_nothing_that_was_refused() {
    for workload in WORKLOADS {
        let begun = Instant::now();
        let mut calls = calls_of(workload, false).unwrap();
        calls.retain(|call| workload.is_small() || call.kind.is_change());
        let tried = sum_over(&calls, |call| fail_at(workload, call));
        let (calls, seconds) = (calls.len(), begun.elapsed().as_secs_f64());
        println!(
            "{}: {calls} calls, {tried} ends, {seconds:.1} s",
            workload.name
        );
    }
}

#[test]
fn a_call_of_recovery_that_fails_takes_nothing_that_was_acknowledged() {
    for workload in WORKLOADS.iter().filter(|workload| workload.is_small()) {
        let begun = Instant::now();
        let mut calls = calls_of(workload, false).unwrap();
        calls.retain(|call| call.kind.is_change());
        let every_eighth: Vec<_> = calls.iter().step_by(8).collect();
        let tried = sum_over(&every_eighth, |call| {
            fail_recovery(&stopped_image(workload, call)?)
        });
        let (calls, seconds) = (every_eighth.len(), begun.elapsed().as_secs_f64());
        println!(
            "{}: {calls} calls, {tried} ends, {seconds:.1} s",
            workload.name
        );
    }
}

#[test]
fn no_copy_of_the_checkpoint_is_needed_wherever_the_log_is_stopped() {
    for workload in WORKLOADS.iter().filter(|workload| workload.is_small()) {
        let calls = calls_of(workload, true).unwrap();
        let tried = sum_over(&calls, |call| damage_copies(workload, call));
        println!("{}: {tried} copies damaged", workload.name);
    }
}

#[test]
fn a_bit_damaged_below_a_sync_mark_takes_at_most_its_record() {
    let killed = killed_log().unwrap();
    let bytes = bytes_below_mark(&killed);
    assert!(bytes.len() > 300, "{}", bytes.len());
    let unreadable = sum_over(&bytes, |byte| damage_at(&killed, *byte));
    assert!(unreadable > 200, "damage to records is told: {unreadable}");
}
