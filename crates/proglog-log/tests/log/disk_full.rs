//! Appending, trimming and truncating on a full disk.

use std::io::ErrorKind as Io;

use proglog_log::{Durability, ErrorKind, Log, Offset, Outcome, Reason};
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
