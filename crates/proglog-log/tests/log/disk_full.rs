//! Appending, trimming and truncating on a full disk.

use std::io::ErrorKind as Io;

use proglog_log::{Batch, Durability, ErrorKind, Log, Offset, Outcome, Reason};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{ALL_DURABILITIES, append, holds, open, open_with, options, segments, value};

/// A buffered log of these records. The last `buffered` of them are in memory alone.
fn buffered_log(records: u64, buffered: u64) -> (SimDisk, Log) {
    let disk = SimDisk::new();
    let options = options()
        .durability(Durability::Buffered)
        .segment_bytes_max(16 << 10);
    let log = open_with(&disk, &options);
    append(&log, 0..records - buffered);
    if records > buffered {
        log.sync().unwrap();
    }
    append(&log, records - buffered..records);
    (disk, log)
}

/// Has the disk no room for a byte more.
fn fill(disk: &SimDisk) {
    let names = disk.file_names();
    let used = names.iter().map(|name| disk.read_file(name).len() as u64);
    disk.set_capacity(Some(used.sum()));
}

#[test]
fn what_goes_makes_room_for_what_has_to_be_written_first() {
    for start in [305, 310] {
        let (disk, log) = buffered_log(310, 10);
        assert!(segments(&disk).len() > 1);
        fill(&disk);
        assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::DiskFull);
        log.trim(start).unwrap();
        holds(&log, start..310);
        append(&log, 310..320);
        log.close().unwrap();
        holds(&open_with(&disk, &options()), start..320);
    }
}

#[test]
fn where_nothing_can_go_yet_nothing_is_dropped_until_there_is_room() {
    let (disk, log) = buffered_log(5, 5);
    fill(&disk);
    let checkpoint = disk.read_file("checkpoint");
    assert_eq!(log.trim(3).unwrap_err().kind(), ErrorKind::DiskFull);
    assert_eq!(disk.read_file("checkpoint"), checkpoint);
    holds(&log, 0..5);
    disk.set_capacity(None);
    log.trim(3).unwrap();
    holds(&log, 3..5);
}

#[test]
fn a_failure_that_is_no_want_of_room_drops_nothing() {
    let (disk, log) = buffered_log(310, 10);
    disk.inject(When::Next(CallKind::Sync, 0), Fault::error(Io::Other));
    assert_eq!(log.trim(305).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(log.start_offset(), Offset::ZERO);
    drop(log);
    assert_eq!(open_with(&disk, &options()).start_offset(), Offset::ZERO);
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
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
    let log = open_with(&disk, &options().preallocate_max(0));
    append(&log, 0..5);
    let names = disk.file_names();
    let taken = names.iter().map(|name| disk.read_file(name).len() as u64);
    disk.set_capacity(Some(taken.sum()));
    // The next segment takes the space of this one, even while that is open.
    let mut reading = log.records(0..);
    assert_eq!(reading.next().unwrap().unwrap().offset, 0);
    log.trim(5).unwrap();
    holds(&log, 5..5);
    append(&log, 5..6);
    holds(&log, 5..6);
    let told = reading.next().unwrap().unwrap_err();
    assert!(matches!(told.reason, Reason::Trimmed { .. }), "{told}");
}

#[test]
fn a_roll_that_finds_no_room_loses_nothing_and_a_later_one_works() {
    let (disk, log) = buffered_log(6, 1);
    fill(&disk);
    assert_eq!(log.roll().unwrap_err().kind(), ErrorKind::DiskFull);
    holds(&log, 0..6);
    disk.set_capacity(None);
    assert_eq!(log.roll().unwrap(), 6);
    assert_eq!(segments(&disk).len(), 2);
    append(&log, 6..8);
    log.close().unwrap();
    holds(&open_with(&disk, &options()), 0..8);
}

#[test]
fn appends_that_may_be_back_after_a_crash_say_so() {
    let disk = SimDisk::new();
    disk.write_copies();
    let log = open_with(&disk, &options().preallocate_max(0));
    fill(&disk);
    let names = disk.file_names();
    let used = names.iter().map(|name| disk.read_file(name).len() as u64);
    // Enough for one of them and a part of the next.
    disk.set_capacity(Some(used.sum::<u64>() + 200));
    let tickets = [(); 4].map(|()| log.submit("a".repeat(100)).unwrap());
    for ticket in tickets {
        let error = ticket.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    }
    holds(&log, 0..0);
    let crashed = disk.crash(Survivors::KeepAll);
    crashed.set_capacity(None);
    assert_eq!(open(&crashed).end_offset(), 1);
    // Those after them are not written.
    let error = log.append(value(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
    disk.set_capacity(None);
    append(&log, 0..3);
    holds(&open(&disk.crash(Survivors::LoseAll)), 0..3);
}

#[test]
fn the_reserve_is_enough_to_drop_records_where_nothing_is_written_in_place() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        disk.write_copies();
        let log = open_with(&disk, &options().durability(durability).preallocate_max(0));
        append(&log, 0..9);
        log.sync().unwrap();
        fill(&disk);
        for start in [3, 5] {
            log.trim(start).unwrap();
            holds(&log, start..9);
        }
        log.set_application_data(b"new").unwrap();
        let refused = log.append(value(9)).and_then(|_| log.sync()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DiskFull, "{durability:?}");
        let end = log.end_offset().get();
        holds(&log, 5..end);
        // What is only buffered cannot be dropped with the rest before it is written.
        let all = if durability == Durability::Buffered {
            9
        } else {
            end
        };
        log.trim(all).unwrap();
        holds(&log, all..end);
        append(&log, end..end + 3);
        log.close().unwrap();
        let log = open_with(&disk, &options());
        holds(&log, all..end + 3);
        assert_eq!(log.application_data(), b"new");
    }
}

#[test]
fn a_truncation_on_a_disk_that_writes_nothing_in_place_is_done_or_left_to_the_next_append() {
    for durability in ALL_DURABILITIES {
        for end in [40, 395] {
            let disk = SimDisk::new();
            disk.write_copies();
            let options = options().durability(durability).segment_bytes_max(16 << 10);
            let log = open_with(&disk, &options.preallocate_max(0));
            append(&log, 0..400);
            log.sync().unwrap();
            assert!(segments(&disk).len() > 2);
            fill(&disk);
            if let Err(error) = log.truncate(end) {
                assert_eq!(error.kind(), ErrorKind::DiskFull, "{durability:?}");
            }
            holds(&log, 0..end);
            log.trim(20).unwrap();
            holds(&log, 20..end);
            disk.set_capacity(None);
            append(&log, end..end + 3);
            log.close().unwrap();
            holds(&open(&disk), 20..end + 3);
        }
    }
}

#[test]
fn a_reserve_that_was_given_up_is_back_once_there_is_room_and_another_file_takes_its_place_at_opening()
 {
    let reserve = |disk: &SimDisk| disk.read_file("reserve").len();
    let disk = SimDisk::new();
    disk.write_copies();
    let log = open(&disk);
    append(&log, 0..5);
    assert_eq!(reserve(&disk), 8192);
    let full = || Fault::error(Io::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full());
    disk.inject(When::Next(CallKind::Create, 0), full());
    log.trim(1).unwrap();
    assert!(disk.file_names().contains(&"reserve".to_owned()));
    disk.inject(When::Next(CallKind::Write, 0), full());
    disk.inject(When::Next(CallKind::Create, 0), full());
    log.set_application_data(b"a").unwrap();
    assert!(!disk.file_names().contains(&"reserve".to_owned()));
    log.set_application_data(b"b").unwrap();
    assert_eq!(reserve(&disk), 8192);
    log.close().unwrap();
    for torn in [0, 100] {
        disk.write_file("reserve", &vec![0; torn]);
        open(&disk).close().unwrap();
        assert_eq!(reserve(&disk), 8192);
    }
    disk.remove_file("reserve");
    holds(&open(&disk), 1..5);
    assert_eq!(reserve(&disk), 8192);
}

#[test]
fn a_removed_segment_that_cannot_be_truncated_makes_room_as_the_log_closes_its_file() {
    let disk = SimDisk::new();
    let log = open_with(
        &disk,
        &options().segment_bytes_max(1 << 20).preallocate_max(0),
    );
    log.append_batch((0..1100).map(value).collect::<Batch>())
        .unwrap();
    disk.write_copies();
    fill(&disk);
    for call in 0..3 {
        disk.inject(
            When::Next(CallKind::SetLen, call),
            Fault::error(Io::StorageFull),
        );
    }
    log.trim(1100).unwrap();
    append(&log, 1100..1200);
    log.close().unwrap();
    holds(&open_with(&disk, &options()), 1100..1200);
}

#[test]
fn a_truncation_that_a_copy_records_though_its_write_failed_is_not_forgotten() {
    let mut truncated = 0;
    for written in [0, 500, 1100, 2000, 4096, 8000] {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().segment_bytes_max(16 << 10));
        append(&log, 0..5);
        disk.remove_file("reserve");
        let full = Fault::error(Io::StorageFull).after_writing(written);
        disk.inject(When::Next(CallKind::Write, 0), full);
        log.truncate(3).ok();
        let end = log.end_offset().get();
        truncated += u64::from(end == 3);
        append(&log, end..8);
        let crashed = disk.crash(Survivors::KeepAll);
        holds(&open(&crashed), 0..8);
    }
    assert_eq!(truncated, 4);
}

#[test]
fn a_truncation_that_the_next_append_completes_is_in_both_copies_before_any_file_goes() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(4 << 10));
    append(&log, 0..100);
    assert!(segments(&disk).len() > 2);
    disk.remove_file("reserve");
    // One copy is written, and the other is not, nor when the truncation continues.
    let full = || Fault::error(Io::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full().after_writing(4096));
    disk.inject(When::Next(CallKind::Write, 1), full());
    assert_eq!(log.truncate(3).unwrap_err().kind(), ErrorKind::DiskFull);
    holds(&log, 0..3);
    disk.inject(When::Next(CallKind::Remove, 0), Fault::crash());
    log.append(value(3)).unwrap_err();
    for copy in 0..4 {
        let crashed = disk.crash(Survivors::LoseAll);
        crashed.flip("checkpoint", copy * 4096 + 30, 0);
        holds(&open(&crashed), 0..3);
    }
}
