//! Trimming the oldest records.

use std::io::ErrorKind as Io;

use proglog_log::{ErrorKind, Reason};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{
    ALL_DURABILITIES, append, cut_off, holds, killed, open, open_with, options, segments, value,
};

#[test]
fn trimming_is_exact_to_the_record_down_to_an_empty_log() {
    for durability in ALL_DURABILITIES {
        let options = options().durability(durability);
        let disk = SimDisk::new();
        let log = open_with(&disk, &options);
        append(&log, 0..40);
        for start in 0..=40 {
            log.trim(start).unwrap();
            holds(&log, start..40);
            holds(&open_with(&killed(&disk, &log), &options), start..40);
            holds(&open_with(&cut_off(&disk, &log), &options), start..40);
        }
        assert_eq!(segments(&disk), [40], "the space is given back");
        append(&log, 40..60);
        log.trim(10).unwrap();
        holds(&log, 40..60);
        assert_eq!(log.trim(61).unwrap_err().kind(), ErrorKind::OutOfRange);
        log.close().unwrap();
        assert_eq!(log.trim(50).unwrap_err().kind(), ErrorKind::Closed);
        holds(&open_with(&disk, &options), 40..60);
    }
}

#[test]
fn a_trimmed_segment_whose_file_came_back_is_removed_at_opening() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let before = disk.deep_clone();
    log.trim(30).unwrap();
    log.close().unwrap();
    let (all, left) = (segments(&before), segments(&disk));
    assert!(left.len() < all.len());
    // Any of them may come back.
    for base in all.iter().filter(|base| !left.contains(base)) {
        let disk = disk.deep_clone();
        for name in [format!("{base:020}.log"), format!("{base:020}.index")] {
            disk.write_file(&name, &before.read_file(&name));
        }
        holds(&open(&disk), 30..40);
        assert_eq!(segments(&disk), left);
    }
}

#[test]
fn an_iterator_fails_at_a_trimmed_record_and_a_record_that_was_read_stays_valid() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let mut records = log.records(0..);
    let first = records.next().unwrap().unwrap();
    log.trim(20).unwrap();
    let error = records.next().unwrap().unwrap_err();
    assert!(
        matches!(error.reason, Reason::Trimmed { offset, start, end }
        if (offset.get(), start.get(), end.get()) == (1, 20, 40))
    );
    assert!(records.next().is_none(), "it has ended");
    assert_eq!(first.value, value(0));
}

#[test]
fn trimming_to_where_the_log_starts_or_below_writes_nothing() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..10);
    disk.count_only_changes();
    for start in [4, 10] {
        log.trim(start).unwrap();
        let changes = disk.calls();
        log.trim(start).unwrap();
        log.trim(0).unwrap();
        assert_eq!(disk.calls(), changes);
    }
}

#[test]
fn a_file_that_cannot_be_removed_is_reported_and_removed_at_opening() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let refuse_removal = || {
        let refused = Fault::error(Io::PermissionDenied);
        disk.inject(When::Next(CallKind::Remove, 0), refused);
    };
    refuse_removal();
    assert_eq!(log.trim(20).unwrap_err().kind(), ErrorKind::Io);
    holds(&log, 20..40);
    refuse_removal();
    assert_eq!(log.truncate(25).unwrap_err().kind(), ErrorKind::Io);
    drop(log);
    let log = open(&disk);
    holds(&log, 20..25);
    let left = segments(&disk);
    assert!(left[1] > 20 && left.last() == Some(&25), "{left:?}");
}

#[test]
fn a_file_that_cannot_be_removed_keeps_no_other_and_is_removed_with_the_next_trim() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let all = segments(&disk);
    let refused = Fault::error(Io::PermissionDenied);
    disk.inject(When::Next(CallKind::Remove, 0), refused);
    assert_eq!(log.trim(20).unwrap_err().kind(), ErrorKind::Io);
    let left = segments(&disk);
    assert_eq!(left[0], all[0]);
    assert!(left[1] <= 20 && left[2] > 20, "{left:?}");
    log.trim(20).unwrap();
    assert_eq!(segments(&disk), left[1..]);
    holds(&log, 20..40);
}

#[test]
fn a_file_that_could_not_be_removed_is_removed_when_all_is_trimmed() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let refused = Fault::error(Io::PermissionDenied);
    disk.inject(When::Next(CallKind::Remove, 0), refused);
    assert_eq!(log.trim(20).unwrap_err().kind(), ErrorKind::Io);
    log.trim(40).unwrap();
    assert_eq!(segments(&disk), [40]);
}
