//! Refreshes of a read-only log while files vanish, are truncated or replaced, and the number of reads that they
//! take.

use std::io::ErrorKind as Io;

use proglog_log::{ErrorKind, Offset, ReadOnlyLog, Reason};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::read_only::read;
use crate::support::{append, holds, open, open_with, options, segments, value};

fn store_name(base: u64) -> String {
    format!("{base:020}.log")
}

#[test]
fn a_refresh_during_which_a_segment_vanishes_is_tried_again() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    // The first file that is opened is the checkpoint.
    for skip in 1..=segments(&disk).len() as u64 {
        let vanished = Fault::error(Io::NotFound);
        disk.inject(When::Next(CallKind::Open, skip), vanished);
        let end = read(&disk).end_offset().get();
        assert!(end >= 29);
        holds(&read(&disk), 0..end);
    }
}

#[test]
fn a_pending_truncation_is_seen_as_done() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 10));
    append(&log, 0..40);
    let reader = read(&disk);
    log.roll().unwrap();
    append(&log, 40..41);
    // There is room for neither the index nor the segment that comes next.
    for skip in 0..2 {
        let full = Fault::error(Io::StorageFull);
        disk.inject(When::Next(CallKind::Create, skip), full);
    }
    assert_eq!(log.truncate(20).unwrap_err().kind(), ErrorKind::DiskFull);
    assert_eq!(segments(&disk), [0]);
    assert_eq!(reader.refresh().unwrap(), Offset::new(20));
    holds(&reader, 0..20);
}

#[test]
fn a_log_whose_checkpoint_is_missing_is_not_shown() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    log.close().unwrap();
    disk.remove_file("checkpoint");
    let error = ReadOnlyLog::open_in(disk.directory()).unwrap_err();
    let is_missing = matches!(&error.reason, Reason::CheckpointLost { problem, .. }
        if *problem == "its file is missing");
    assert!(is_missing, "{error:?}");
    for base in segments(&disk) {
        disk.remove_file(&store_name(base));
    }
    disk.remove_file(&format!("{:020}.index", 0));
    assert_eq!(disk.file_names(), ["LOCK", "reserve"]);
    let error = ReadOnlyLog::open_in(disk.directory()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotALog, "nobody has made it yet");
}

#[test]
fn a_refresh_without_news_opens_only_the_newest_segment() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..60);
    let reader = read(&disk);
    reader.refresh().unwrap();
    disk.start_trace();
    reader.refresh().unwrap();
    let newest = store_name(*segments(&disk).last().unwrap());
    let calls = disk.trace();
    let opened = calls.iter().filter(|call| call.kind == CallKind::Open);
    let mut stores = opened.filter(|call| call.name.ends_with(".log"));
    assert!(stores.next().is_some_and(|call| *call.name == *newest));
    assert!(stores.all(|call| *call.name == *newest));
}

#[test]
fn a_refresh_reads_no_record_that_an_earlier_one_has_scanned() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 10));
    append(&log, 0..100);
    let reader = read(&disk);
    append(&log, 100..101);
    let file = disk.read_file(&store_name(0));
    let value = value(50).into_bytes();
    let place = file.windows(value.len()).position(|bytes| bytes == value);
    let place = place.unwrap() as u64;
    disk.start_trace();
    assert_eq!(reader.refresh().unwrap(), Offset::new(100));
    let calls = disk.trace();
    let mut reads = calls.iter().filter(|call| call.kind == CallKind::Read);
    assert!(!reads.any(|read| (read.offset..read.offset + read.len).contains(&place)));
}

#[test]
fn what_the_checkpoint_knows_to_be_synced_is_shown_where_the_last_mark_is_damaged() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..5);
    log.close().unwrap();
    let end = disk.read_file(&store_name(0)).len() as u64;
    disk.flip(&store_name(0), end - 1, 0);
    holds(&read(&disk), 0..5);
}

#[test]
fn a_segment_that_could_not_be_followed_for_a_while_is_followed_again() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 10));
    append(&log, 0..3);
    let reader = read(&disk);
    let mut next = 3;
    // The length of the file cannot be read: with its header, or with its end.
    for skip in 0..2 {
        disk.inject(When::Next(CallKind::Len, skip), Fault::os_error(5));
        assert_eq!(reader.refresh().unwrap_err().kind(), ErrorKind::Io);
        append(&log, next..next + 2);
        next += 2;
        assert_eq!(reader.refresh().unwrap(), Offset::new(next - 1));
        holds(&reader, 0..next - 1);
    }
}

#[test]
fn a_log_that_replaced_a_similar_one_is_seen() {
    let (disk, other) = (SimDisk::new(), SimDisk::new());
    let log = open(&disk);
    append(&log, 0..5);
    log.close().unwrap();
    let reader = read(&disk);
    holds(&reader, 0..5);
    let log = open(&other);
    let new = |offset: u64| format!("{offset:->100}");
    for offset in 0..5 {
        log.append(new(offset)).unwrap();
    }
    log.close().unwrap();
    assert_eq!(disk.file_names(), other.file_names());
    for name in other.file_names() {
        disk.remove_file(&name);
        disk.write_file(&name, &other.read_file(&name));
    }
    reader.refresh().unwrap();
    for offset in 0..5 {
        assert_eq!(reader.read(offset).unwrap().value, new(offset));
    }
}

#[test]
fn no_segment_of_a_log_is_taken_for_one_of_the_log_that_took_its_place() {
    let (disk, other) = (SimDisk::new(), SimDisk::new());
    let log = open(&disk);
    append(&log, 0..40);
    log.close().unwrap();
    let reader = read(&disk);
    holds(&reader, 0..40);
    let log = open(&other);
    let new = |offset: u64| format!("{offset:->100}");
    for offset in 0..40 {
        log.append(new(offset)).unwrap();
    }
    log.close().unwrap();
    for name in other.file_names() {
        disk.remove_file(&name);
        disk.write_file(&name, &other.read_file(&name));
    }
    reader.refresh().unwrap();
    for offset in 0..40 {
        assert_eq!(reader.read(offset).unwrap().value, new(offset));
    }
}

#[test]
fn a_newest_segment_that_was_recreated_without_records_is_seen() {
    let disk = SimDisk::new();
    open(&disk).close().unwrap();
    let (reader, before) = (read(&disk), disk.read_file("checkpoint"));
    let log = open(&disk);
    assert!(disk.read_file("checkpoint") == before, "it says the same");
    append(&log, 0..2);
    assert_eq!(reader.refresh().unwrap(), Offset::new(1));
    holds(&reader, 0..1);
}
