//! Background work: retention by age, and syncs of idle and buffered logs.

use std::time::{Duration, Instant};

use proglog_log::{Durability, Log, LogOptions, Offset, Retention};
use proglog_store::testing::{SimDisk, Survivors};

use crate::support::{append, open_with, options};

/// Waits until `is_done`; a machine with much to do may take a while.
fn wait_until(is_done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Number of records that a power cut would leave now.
fn on_the_device(disk: &SimDisk, options: &LogOptions) -> u64 {
    let left = disk.crash(Survivors::LoseAll);
    Log::open_in(left.directory(), options)
        .unwrap()
        .end_offset()
        .get()
}

#[test]
fn records_that_grow_old_are_dropped() {
    let disk = SimDisk::new();
    let policy = Retention::new().age(Duration::from_millis(50));
    let log = open_with(&disk, &options().retention(policy));
    append(&log, 0..3);
    wait_until(|| log.start_offset() == Offset::new(3));
    assert_eq!(log.end_offset(), Offset::new(3));
}

#[test]
fn a_buffered_log_is_synced_once_much_was_appended() {
    let disk = SimDisk::new();
    let options = LogOptions::new()
        .durability(Durability::Buffered)
        .idle_after(Duration::MAX);
    let log = open_with(&disk, &options);
    log.append("one").unwrap();
    assert_eq!(on_the_device(&disk, &options), 0);
    for _ in 0..9 {
        log.append(vec![7; 1 << 20]).unwrap();
    }
    wait_until(|| on_the_device(&disk, &options) > 1);
}

#[test]
fn an_idle_log_is_synced_after_a_while() {
    let disk = SimDisk::new();
    let options = LogOptions::new()
        .durability(Durability::Buffered)
        .idle_after(Duration::from_millis(20));
    let log = open_with(&disk, &options);
    log.append("one").unwrap();
    wait_until(|| on_the_device(&disk, &options) == 1);
}

#[test]
fn an_append_without_a_waiter_is_synced_once_the_log_is_idle() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().idle_after(Duration::from_millis(1)));
    drop(log.submit("left alone").unwrap());
    let record = log.follow(0).next().unwrap().unwrap();
    assert_eq!(record.value, "left alone");
}
