//! Dropping records, old ones and new ones, and the room that it makes.

use std::io::ErrorKind as Io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proglog_api::v1;
use proglog_log::{
    Durability, Error, ErrorKind, NextTimeoutError, Offset, Outcome, Record, Retention,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

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
fn an_iterator_tells_that_its_next_record_was_trimmed_and_a_record_stays_with_its_holder() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let mut records = log.records(0..);
    let first = records.next().unwrap().unwrap();
    log.trim(20).unwrap();
    let error = records.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Trimmed { offset, start, end }
        if (offset.get(), start.get(), end.get()) == (1, 20, 40)));
    assert!(records.next().is_none(), "it has ended");
    assert_eq!(first.value, value(0));
}

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
fn readers_of_what_is_kept_notice_no_cut() {
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
fn readers_meanwhile_see_a_log_before_or_after_it_is_cut() {
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
fn a_file_that_cannot_be_removed_is_told_of_and_removed_at_opening() {
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

#[test]
fn what_could_not_be_stored_is_not_shown_though_a_cut_is_to_be_finished() {
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
fn a_cut_that_fails_midway_stops_the_log_and_is_finished_at_the_next_opening() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..20);
    // One slot of the checkpoint says that the log is cut, and the other one cannot be written.
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
    assert!(matches!(error, Error::Trimmed { offset, start, end }
        if (offset.get(), start.get(), end.get()) == (11, 12, 30)));
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
        assert!(matches!(error, Error::ResetBelowEnd { next, end }
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

#[test]
fn an_append_that_there_are_no_offsets_for_is_refused() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.reset(u64::MAX - 2).unwrap();
    let refused = |records: usize| {
        let error = log.append_batch(vec!["more"; records]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert_eq!(error.outcome(), Outcome::NotAppended);
    };
    refused(3);
    append(&log, u64::MAX - 2..u64::MAX - 1);
    refused(2);
    append(&log, u64::MAX - 1..u64::MAX);
    refused(1);
    holds(&log, u64::MAX - 2..u64::MAX);
    holds(&open(&killed(&disk, &log)), u64::MAX - 2..u64::MAX);
}

#[test]
fn retention_by_records_and_bytes_keeps_at_least_what_it_says() {
    let records = Retention::new().records(25);
    let bytes = Retention::new().bytes(3000);
    for (policy, newest) in [(records, 25), (bytes, 3000 / 150)] {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().retention(policy));
        append(&log, 0..100);
        let start = log.retain().unwrap().get();
        assert!((50..=100 - newest).contains(&start), "{start}");
        holds(&log, start..100);
        log.close().unwrap();
        let log = open_with(&disk, &options());
        assert_eq!(log.retain().unwrap().get(), start, "no policy, no change");
        holds(&log, start..100);
    }
}

#[test]
fn retention_lets_go_of_every_segment_behind_which_there_is_enough() {
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
        assert_eq!(log.retain().unwrap().get(), *kept, "{records}");
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
    assert_eq!(log.retain().unwrap(), Offset::ZERO);
    log.close().unwrap();
    let log = open_with(
        &disk,
        &options().retention(Retention::new().age(Duration::ZERO)),
    );
    // A background thread may have been first.
    assert_eq!(
        log.retain().unwrap(),
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
        assert_eq!(log.retain().unwrap(), Offset::ZERO);
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
        match follower.next_timeout(Duration::from_mins(1)) {
            Err(NextTimeoutError::Failed(Error::Trimmed { .. })) => break,
            record => _ = record.expect("it is trimmed at some time"),
        }
        if log.start_offset() > Offset::ZERO {
            break;
        }
        append(&log, log.end_offset().get()..log.end_offset().get() + 1);
    }
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_once_there_is_room() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().durability(durability));
        disk.set_capacity(Some(100_000));
        for round in 0..4 {
            let mut appended = log.end_offset().get();
            let error = loop {
                let put = log.append(value(appended)).and_then(|_| match durability {
                    Durability::Buffered => log.sync(),
                    _ => Ok(()),
                });
                match put {
                    Ok(()) => appended += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{durability:?} {round}");
            let start = log.start_offset().get();
            let end = log.end_offset().get();
            assert!(end >= appended && end > start + 20, "{start} {end}");
            holds(&log, start..end);
            if round % 2 == 0 {
                log.trim(end).unwrap();
            } else {
                log.trim(start + 20).unwrap();
            }
            append(&log, end..end + 1);
        }
        let range = log.start_offset().get()..log.end_offset().get();
        log.close().unwrap();
        holds(&open(&disk), range);
    }
}

#[test]
fn what_is_on_the_device_is_dropped_on_a_full_disk_with_its_segment() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().fill_ahead_max(0));
    append(&log, 0..5);
    let names = disk.file_names();
    let taken = names.iter().map(|name| disk.read_file(name).len() as u64);
    disk.set_capacity(Some(taken.sum()));
    // The next segment is made in the room of this one, whoever has that open.
    let mut reading = log.records(0..);
    assert_eq!(reading.next().unwrap().unwrap().offset, 0);
    log.trim(5).unwrap();
    holds(&log, 5..5);
    append(&log, 5..6);
    holds(&log, 5..6);
    let told = reading.next().unwrap().unwrap_err();
    assert!(matches!(told, Error::Trimmed { .. }), "{told}");
}
