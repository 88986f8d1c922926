//! Seeking by time.

use std::time::{Duration, SystemTime};

use proglog_log::{ErrorKind, ReadOnlyLog};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{append, damage, open};

const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

fn far_ahead() -> SystemTime {
    SystemTime::now() + Duration::from_hours(1000)
}

#[test]
fn seeking_by_time_finds_the_first_record_of_that_time_or_later() {
    let disk = SimDisk::new();
    let log = open(&disk);
    assert_eq!(log.offset_for_time(SystemTime::UNIX_EPOCH).unwrap(), 0);
    append(&log, 0..50);
    log.trim(7).unwrap();
    let times = log.records(7..).map(|record| record.unwrap().appended_at());
    let times = times.collect::<Vec<_>>();
    let expected = |time: SystemTime| 7 + times.partition_point(|at| *at < time) as u64;
    for at in &times {
        let micro = Duration::from_micros(1);
        for time in [*at - micro, *at, *at + micro] {
            assert_eq!(log.offset_for_time(time).unwrap(), expected(time));
        }
    }
    assert_eq!(log.offset_for_time(LONG_AGO).unwrap(), 7);
    assert_eq!(log.offset_for_time(far_ahead()).unwrap(), 50);
}

#[test]
fn a_damaged_record_is_passed_by_a_search_for_a_time_and_ends_a_batch_that_is_read() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..8);
    let times: Vec<_> = log
        .records(0..)
        .map(|record| record.unwrap().appended_at())
        .collect();
    log.close().unwrap();
    for offset in [3, 4, 7] {
        damage(&disk, offset);
    }
    let log = open(&disk);
    // A damaged record counts as appended with the next one.
    let counted = [0, 1, 2, 5, 5, 5, 6].map(|readable| times[readable]);
    for time in times.iter().copied().chain([LONG_AGO, far_ahead()]) {
        let expected = counted.partition_point(|at| *at < time) as u64;
        assert_eq!(log.offset_for_time(time).unwrap(), expected);
    }
    let other = ReadOnlyLog::open_in(disk.directory()).unwrap();
    for read in [
        log.read_batch(1, usize::MAX, 1 << 20),
        other.read_batch(1, usize::MAX, 1 << 20),
    ] {
        assert!(
            read.unwrap()
                .iter()
                .map(|record| record.offset.get())
                .eq(1..3)
        );
    }
    for read in [
        log.read_batch(3, usize::MAX, 1 << 20),
        other.read_batch(3, usize::MAX, 1 << 20),
    ] {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_search_for_a_time_reports_the_failure_of_a_read() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    log.close().unwrap();
    assert_eq!(
        log.offset_for_time(LONG_AGO).unwrap_err().kind(),
        ErrorKind::Closed
    );
    let log = open(&disk);
    disk.inject(When::Next(CallKind::Read, 0), Fault::os_error(13));
    assert_eq!(
        log.offset_for_time(LONG_AGO).unwrap_err().kind(),
        ErrorKind::Io
    );
}
