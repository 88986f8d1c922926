//! Truncating the newest records, and resetting a log.

use std::io::ErrorKind as Io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proglog_log::{ErrorKind, Log, Offset, Outcome, Reason};
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
    append(&log, 0..16);
    // The segment to go on in cannot be made.
    disk.inject(When::Next(CallKind::Rename, 0), Fault::os_error(5));
    log.truncate(3).unwrap_err();
    log.set_application_data(b"old").unwrap();
    disk.inject(When::Next(CallKind::Write, 0), Fault::error(Io::Other));
    log.set_application_data(b"new").unwrap_err();
    assert_eq!(log.application_data(), b"old");
    append(&log, 3..5);
    holds(&log, 0..5);
}

#[test]
fn a_truncation_that_fails_midway_stops_the_log_and_is_finished_by_the_next_opening() {
    // The checkpoint says that the log is being truncated, and what is to go cannot be removed, or erased, or the
    // checkpoint cannot be written again.
    let failures = [
        (8, CallKind::Remove, 0),
        (19, CallKind::Write, 1),
        (19, CallKind::Write, 3),
    ];
    for (end, call, skip) in failures {
        let disk = SimDisk::new();
        let log = open(&disk);
        append(&log, 0..20);
        disk.inject(When::Next(call, skip), Fault::error(Io::Other));
        assert_eq!(log.truncate(end).unwrap_err().kind(), ErrorKind::Io);
        let refused = log.append(value(20)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Poisoned);
        assert_eq!(refused.outcome(), Outcome::NotAppended);
        assert_eq!(log.trim(4).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(log.end_offset(), Offset::new(end));
        holds(&open(&disk.crash(Survivors::KeepAll)), 0..end);
        // Neither what the application stores nor closing takes it back.
        log.set_application_data(b"own").unwrap();
        drop(log);
        holds(&open(&disk), 0..end);
    }
}

/// The syncs and the new files of `change`.
fn syncs_and_files(disk: &SimDisk, change: impl FnOnce()) -> (usize, usize) {
    disk.start_trace();
    change();
    let trace = disk.trace();
    let count = |kinds: &[CallKind]| {
        let calls = trace.iter().filter(|call| kinds.contains(&call.kind));
        calls.count()
    };
    let syncs = count(&[CallKind::Sync, CallKind::SyncDirectory]);
    (syncs, count(&[CallKind::Create]))
}

#[test]
fn each_change_of_either_end_takes_few_syncs() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(1 << 20));
    append(&log, 0..2000);
    let syncs = |change: &dyn Fn(&Log)| syncs_and_files(&disk, || change(&log));
    assert_eq!(
        syncs(&|log| log.set_application_data(b"own").unwrap()),
        (1, 0)
    );
    assert_eq!(syncs(&|log| log.trim(5).unwrap()), (1, 0));
    for dropped in [1, 2, 100] {
        let end = log.end_offset().get() - dropped;
        let erased = syncs(&|log| log.truncate(end).unwrap());
        assert_eq!(erased, (3, 0), "{dropped} records");
        append(&log, end..end + dropped);
    }
    // The index has some of these records in its file.
    assert_eq!(syncs(&|log| log.truncate(1000).unwrap()), (5, 1));
    append(&log, 1000..1020);
    log.roll().unwrap();
    append(&log, 1020..1021);
    assert_eq!(syncs(&|log| log.truncate(1020).unwrap()), (3, 0));
    append(&log, 1020..1021);
    // One segment is removed, and another truncated.
    assert_eq!(syncs(&|log| log.truncate(1010).unwrap()), (6, 1));
    assert_eq!(syncs(&|log| log.trim(1010).unwrap()), (5, 1));
    assert_eq!(syncs(&|log| log.reset(2000).unwrap()), (5, 1));
}

#[test]
fn records_that_are_erased_are_zeros_in_the_file_before_any_is_appended() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(1 << 20));
    append(&log, 0..30);
    let name = format!("{:020}.log", 0);
    let before = disk.read_file(&name);
    let reader = log.records(0..);
    log.truncate(20).unwrap();
    let lost = disk.crash(Survivors::LoseAll).read_file(&name);
    assert_eq!(lost.len(), before.len());
    let kept = before.iter().zip(&lost).take_while(|(old, new)| old == new);
    // A sync mark comes first.
    let erased = &lost[kept.count() + 32..];
    assert!(erased.len() > 1000 && erased.iter().all(|byte| *byte == 0));
    assert_eq!(reader.count(), 20);
    append(&log, 20..25);
    holds(&log, 0..25);
    holds(&open(&disk.crash(Survivors::LoseAll)), 0..25);
}

#[test]
fn records_that_cannot_be_erased_for_want_of_room_are_dropped_with_their_file() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(1 << 20));
    append(&log, 0..30);
    // A file system may write even zeros to another place.
    let full = Fault::error(Io::StorageFull).after_writing(100);
    disk.inject(When::Next(CallKind::Write, 1), full);
    log.truncate(20).unwrap();
    assert_eq!(segments(&disk), [0, 20]);
    append(&log, 20..25);
    holds(&log, 0..25);
    holds(&open(&disk.crash(Survivors::LoseAll)), 0..25);
}

#[test]
fn a_batch_is_truncated_in_its_middle_and_the_rest_of_it_is_kept() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(1 << 20));
    log.append_batch((0..10).map(value)).unwrap();
    log.truncate(4).unwrap();
    holds(&open(&disk.crash(Survivors::LoseAll)), 0..4);
    append(&log, 4..6);
    // The checkpoint is not needed to know that.
    disk.remove_file("checkpoint");
    drop(log);
    Log::repair_in(disk.directory()).unwrap();
    holds(&open(&disk), 0..6);
}

#[test]
fn a_log_that_is_truncated_again_and_again_keeps_its_index() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(1 << 20));
    append(&log, 0..1000);
    let other = |offset: u64| format!("{offset:>150}");
    for end in [990, 1010, 1015, 1021, 1022, 1023, 1030] {
        append(&log, log.end_offset().get()..end + 10);
        log.truncate(end).unwrap();
        log.append(other(end)).unwrap();
        assert_eq!(log.read(end).unwrap().value, other(end));
        log.truncate(end).unwrap();
        holds(&log, 0..end);
    }
    append(&log, 1030..1040);
    log.close().unwrap();
    let log = open(&disk);
    assert_eq!(log.recovery().indexes_rebuilt, 0);
    holds(&log, 0..1040);
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
