//! Truncating the newest records, and resetting a log.

use std::io::ErrorKind as Io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proglog_log::{ErrorKind, Offset, Outcome, Reason};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{
    ALL_DURABILITIES, append, cut_off, holds, killed, open, open_with, options, segments, value,
};

#[test]
fn truncating_drops_the_newest_records_and_what_comes_next_takes_their_offsets() {
    for durability in ALL_DURABILITIES {
        let options = options().durability(durability);
        for end in 0..=30 {
            let disk = SimDisk::new();
            let log = open_with(&disk, &options);
            append(&log, 0..30);
            log.truncate(end).unwrap();
            holds(&log, 0..end);
            holds(&open_with(&killed(&disk, &log), &options), 0..end);
            holds(&open_with(&cut_off(&disk, &log), &options), 0..end);
            append(&log, end..end + 12);
            holds(&log, 0..end + 12);
            holds(&open_with(&killed(&disk, &log), &options), 0..end + 12);
            log.close().unwrap();
            let log = open_with(&disk, &options);
            holds(&log, 0..end + 12);
            assert!(log.verify().unwrap().damaged.is_empty());
        }
    }
}

#[test]
fn readers_below_a_truncation_do_not_notice_it() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let mut kept = log.records(0..);
    let mut dropped = log.records(40..);
    let mut follower = log.follow(0);
    for offset in 0..5 {
        assert_eq!(kept.next().unwrap().unwrap().offset, offset);
        assert_eq!(dropped.next().unwrap().unwrap().offset, 40 + offset);
        assert_eq!(follower.next().unwrap().unwrap().offset, offset);
    }
    log.truncate(30).unwrap();
    let rest = kept
        .map(|record| record.unwrap().offset.get())
        .collect::<Vec<_>>();
    assert_eq!(rest, (5..30).collect::<Vec<_>>());
    let error = dropped.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    append(&log, 30..40);
    for offset in 5..40 {
        let record = follower.next().unwrap().unwrap();
        assert_eq!(
            (record.offset.get(), record.value),
            (offset, value(offset).into())
        );
    }
}

#[test]
fn concurrent_readers_see_a_log_before_or_after_a_truncation() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let read = log.read(1);
                    assert_eq!(read.unwrap().value, value(1));
                    match log.read(25) {
                        Ok(record) => assert_eq!(record.value, value(25)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfRange),
                    }
                }
            });
        }
        for _ in 0..100 {
            log.truncate(20).unwrap();
            append(&log, 20..30);
        }
        stop.store(true, Ordering::Relaxed);
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            for offset in 0..130 {
                match log.read(offset) {
                    Ok(record) => assert_eq!(record.value, value(offset)),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Trimmed | ErrorKind::OutOfRange),
                        "{error:?}"
                    ),
                }
            }
        });
        for end in 30..130 {
            append(&log, end..end + 1);
            log.trim(end + 1).unwrap();
        }
    });
}

#[test]
fn records_that_could_not_be_stored_are_not_visible_while_a_truncation_is_pending() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..6);
    // The segment to go on in cannot be made.
    disk.inject(When::Next(CallKind::Rename, 0), Fault::os_error(5));
    log.truncate(3).unwrap_err();
    log.set_application_data(b"old").unwrap();
    disk.inject(When::Next(CallKind::Write, 1), Fault::error(Io::Other));
    log.set_application_data(b"new").unwrap_err();
    assert_eq!(log.application_data(), b"old");
    append(&log, 3..5);
    holds(&log, 0..5);
}

#[test]
fn a_truncation_that_fails_midway_stops_the_log_and_is_finished_by_the_next_opening() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    // One slot of the checkpoint says that the log is being truncated, and the other one cannot be written.
    disk.inject(When::Next(CallKind::Write, 1), Fault::error(Io::Other));
    assert_eq!(log.truncate(8).unwrap_err().kind(), ErrorKind::Io);
    let refused = log.append(value(20)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
    assert_eq!(refused.outcome(), Outcome::NotAppended);
    assert_eq!(log.trim(4).unwrap_err().kind(), ErrorKind::Poisoned);
    holds(&open(&disk.crash(Survivors::KeepAll)), 0..8);
    // Neither what the application stores nor closing takes it back.
    log.set_application_data(b"own").unwrap();
    drop(log);
    holds(&open(&disk), 0..8);
}

#[test]
fn truncating_goes_no_further_than_the_log() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    log.trim(12).unwrap();
    let error = log.truncate(11).unwrap_err();
    assert!(
        matches!(error.reason, Reason::Trimmed { offset, start, end }
        if (offset.get(), start.get(), end.get()) == (11, 12, 30))
    );
    assert_eq!(log.truncate(31).unwrap_err().kind(), ErrorKind::OutOfRange);
    log.truncate(30).unwrap();
    holds(&log, 12..30);
    log.truncate(12).unwrap();
    holds(&log, 12..12);
    append(&log, 12..14);
    holds(&log, 12..14);
    holds(&open(&killed(&disk, &log)), 12..14);
}

#[test]
fn truncating_settles_what_was_submitted_and_fails_nothing_that_is_dropped() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let tickets = [log.submit("a").unwrap(), log.submit("b").unwrap()];
    log.truncate(1).unwrap();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(log.end_offset(), Offset::new(1));
}

#[test]
fn a_log_that_is_reset_goes_on_from_the_offset_given() {
    for durability in ALL_DURABILITIES {
        let options = options().durability(durability);
        let disk = SimDisk::new();
        let log = open_with(&disk, &options);
        append(&log, 0..30);
        let error = log.reset(29).unwrap_err();
        assert!(matches!(error.reason, Reason::ResetBelowEnd { next, end }
            if (next.get(), end.get()) == (29, 30)));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for next in [30, 30, 1000] {
            log.reset(next).unwrap();
            holds(&log, next..next);
            holds(&open_with(&killed(&disk, &log), &options), next..next);
        }
        append(&log, 1000..1020);
        holds(&log, 1000..1020);
        holds(&open_with(&killed(&disk, &log), &options), 1000..1020);
        assert!(segments(&disk)[0] == 1000);
    }
}
