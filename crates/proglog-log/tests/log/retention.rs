//! Retention by records, bytes and age.

use std::time::Duration;

use proglog_api::v1;
use proglog_log::{ErrorKind, Offset, Record, RecvTimeoutError, Retention};
use proglog_store::testing::SimDisk;

use crate::support::{append, holds, open, open_with, options, segments, value};

#[test]
fn retention_by_records_and_bytes_keeps_at_least_what_it_says() {
    let records = Retention::new().records(25);
    let bytes = Retention::new().bytes(3000);
    for (policy, newest) in [(records, 25), (bytes, 3000 / 150)] {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().retention(policy));
        append(&log, 0..100);
        let start = log.apply_retention().unwrap().get();
        assert!((50..=100 - newest).contains(&start), "{start}");
        holds(&log, start..100);
        log.close().unwrap();
        let log = open_with(&disk, &options());
        assert_eq!(
            log.apply_retention().unwrap().get(),
            start,
            "no policy, no change"
        );
        holds(&log, start..100);
    }
}

#[test]
fn retention_drops_every_segment_that_newer_ones_suffice_for() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    log.close().unwrap();
    let bases = segments(&disk);
    for records in 1..40 {
        let policy = Retention::new().records(records);
        let log = open_with(&disk.deep_clone(), &options().retention(policy));
        let enough = |base: &&u64| 40 - **base >= records;
        let kept = bases.iter().rev().find(enough).unwrap();
        assert_eq!(log.apply_retention().unwrap().get(), *kept, "{records}");
    }
}

#[test]
fn retention_by_age_drops_what_is_old_and_never_what_a_timestamp_only_claims_to_be() {
    let disk = SimDisk::new();
    let day = Duration::from_hours(24);
    let log = open_with(&disk, &options().retention(Retention::new().age(day)));
    for micros in [i64::MIN, 0, i64::MAX] {
        let record = v1::Record {
            timestamp: Some(micros),
            ..v1::Record::new(value(0))
        };
        log.append_batch(vec![Record::from(record); 10]).unwrap();
    }
    assert_eq!(log.apply_retention().unwrap(), Offset::ZERO);
    log.close().unwrap();
    let log = open_with(
        &disk,
        &options().retention(Retention::new().age(Duration::ZERO)),
    );
    // A background thread may have been first.
    assert_eq!(
        log.apply_retention().unwrap(),
        Offset::new(30),
        "all are older than nothing"
    );
    assert_eq!(log.append(value(30)).unwrap(), Offset::new(30));
}

#[test]
fn retention_by_age_keeps_a_young_segment_that_is_appended_to() {
    let disk = SimDisk::new();
    let day = Duration::from_hours(24);
    let by_age = options().retention(Retention::new().age(day));
    for appended in [0..3, 3..3] {
        let log = open_with(&disk, &by_age);
        append(&log, appended);
        assert_eq!(log.apply_retention().unwrap(), Offset::ZERO);
        holds(&log, 0..3);
        log.close().unwrap();
    }
}

#[test]
fn rolling_carries_out_retention_in_the_background() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().retention(Retention::new().records(1)));
    let mut follower = log.follow(0);
    append(&log, 0..100);
    // It is woken when records are dropped.
    loop {
        match follower.recv_timeout(Duration::from_mins(1)) {
            Err(RecvTimeoutError::Failed(error)) if error.kind() == ErrorKind::Trimmed => break,
            record => _ = record.expect("it is trimmed at some time"),
        }
        if log.start_offset() > Offset::ZERO {
            break;
        }
        append(&log, log.end_offset().get()..log.end_offset().get() + 1);
    }
}
