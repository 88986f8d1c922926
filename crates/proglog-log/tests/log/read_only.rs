//! Read-only logs, while another opening appends, trims, truncates and rolls.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use proglog_log::{ErrorKind, Log, Offset, ReadOnlyLog, Visibility};
use proglog_store::testing::{Call, CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{append, holds, open, open_with, options, segments, value};

pub(crate) fn read(disk: &SimDisk) -> ReadOnlyLog {
    ReadOnlyLog::open_in(disk.directory()).unwrap()
}

#[test]
fn each_append_shows_the_one_before_it_and_closing_shows_all() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let reader = read(&disk);
    holds(&reader, 0..0);
    for offset in 0..60 {
        append(&log, offset..offset + 1);
        let end = reader.refresh().unwrap().get();
        // A roll seals what came before it.
        assert!(end == offset || end == offset + 1, "{end} of {offset}");
        holds(&reader, 0..end);
        holds(&read(&disk), 0..end);
    }
    log.close().unwrap();
    assert_eq!(reader.refresh().unwrap(), Offset::new(60));
    holds(&reader, 0..60);
}

#[test]
fn reading_changes_no_file_and_hinders_no_writer() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..30);
    // Missing indexes are rebuilt by the writer only.
    for name in disk.file_names() {
        if name.ends_with(".index") {
            disk.remove_file(&name);
        }
    }
    let before = disk.fingerprint();
    let reader = read(&disk);
    let end = reader.end_offset().get();
    holds(&reader, 0..end);
    assert!(reader.reader().verify().unwrap().damaged.is_empty());
    assert_eq!(disk.fingerprint(), before);
    append(&log, 30..40);
    log.close().unwrap();
    drop(open(&disk));
}

#[test]
fn a_segment_that_could_not_be_followed_for_a_while_is_read_to_its_end_all_the_same() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().preallocate_max(0));
    append(&log, 0..3);
    let reader = read(&disk);
    // First it is not known how long the file is, and then the file, that can be read, cannot be followed.
    for (kind, skip) in [(CallKind::Len, 1), (CallKind::Open, 2)] {
        disk.inject(When::Next(kind, skip), Fault::os_error(12));
        reader.refresh().unwrap_err();
        assert_eq!(reader.reader().read(0).unwrap().value, value(0));
    }
    reader.refresh().unwrap();
    append(&log, 3..30);
    assert!(segments(&disk).len() > 2, "it was rolled");
    holds(&reader, 0..reader.refresh().unwrap().get());
}

/// A reader, of a log that has gone on since in other segments, one of them of the same name.
fn overtaken_reader(disk: &SimDisk) -> ReadOnlyLog {
    let log = open(disk);
    append(&log, 0..12);
    let reader = read(disk);
    log.truncate(0).unwrap();
    for offset in 0..30 {
        log.append(value(offset + 100)).unwrap();
    }
    reader
}

#[test]
fn after_a_refresh_that_failed_at_any_call_the_next_shows_everything() {
    let disk = SimDisk::new();
    let reader = overtaken_reader(&disk);
    disk.start_trace();
    reader.refresh().unwrap();
    let is_opening = |call: &Call| call.kind == CallKind::Open;
    let openings = disk.trace().into_iter().filter(is_opening).count() as u64;
    assert!(openings > 5, "{openings}");
    for skip in 0..openings {
        let disk = SimDisk::new();
        let reader = overtaken_reader(&disk);
        disk.inject(When::Next(CallKind::Open, skip), Fault::os_error(12));
        drop(reader.refresh());
        assert_eq!(reader.refresh().unwrap(), Offset::new(30), "{skip}");
        for (offset, record) in (100..).zip(reader.records(0..)) {
            assert_eq!(record.unwrap().value, value(offset), "{skip}");
        }
    }
}

#[test]
fn a_read_past_the_end_refreshes_the_view() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let reader = read(&disk);
    append(&log, 0..3);
    assert_eq!(reader.end_offset(), Offset::ZERO);
    assert_eq!(reader.read(1).unwrap().value, value(1));
    append(&log, 3..6);
    assert_eq!(reader.read_batch(2, usize::MAX, 1 << 20).unwrap().len(), 3);
}

#[test]
fn a_read_below_the_end_does_not_refresh_the_view() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..4);
    let reader = read(&disk);
    append(&log, 4..8);
    assert_eq!(reader.read(2).unwrap().value, value(2));
    assert_eq!(reader.read_batch(1, usize::MAX, 1 << 20).unwrap().len(), 2);
    assert_eq!(reader.records(2..).count(), 1);
    assert_eq!(reader.end_offset(), Offset::new(3));
    assert_eq!(reader.records(3..).count(), 4);
}

#[test]
fn a_trim_that_removes_no_segment_is_seen() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..5);
    let reader = read(&disk);
    log.trim(2).unwrap();
    reader.refresh().unwrap();
    holds(&reader, 2..4);
}

#[test]
fn a_truncation_that_is_under_way_is_seen() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..16);
    let reader = read(&disk);
    assert_eq!(reader.end_offset(), Offset::new(15));
    // The segment to go on in cannot be made.
    disk.inject(When::Next(CallKind::Rename, 0), Fault::os_error(5));
    log.truncate(3).unwrap_err();
    reader.refresh().unwrap();
    holds(&reader, 0..3);
}

#[test]
fn records_that_are_erased_are_not_seen_and_what_is_appended_in_their_place_is() {
    let new = |offset: u64| format!("{offset:->90}");
    // A sync mark shows what is erased, or the checkpoint alone.
    for is_closed in [false, true] {
        let disk = SimDisk::new();
        let options = options().segment_bytes_max(1 << 20);
        let mut log = open_with(&disk, &options);
        append(&log, 0..5);
        if is_closed {
            log.close().unwrap();
        }
        let reader = read(&disk);
        let seen = if is_closed { 5 } else { 4 };
        holds(&reader, 0..seen);
        let mut follower = reader.follow(0);
        for offset in 0..2 {
            assert_eq!(follower.next().unwrap().unwrap().value, value(offset));
        }
        if is_closed {
            log = open_with(&disk, &options);
        }
        log.truncate(2).unwrap();
        reader.refresh().unwrap();
        holds(&reader, 0..2);
        assert_eq!(reader.read(2).unwrap_err().kind(), ErrorKind::OutOfRange);
        for offset in 2..6 {
            log.append(new(offset)).unwrap();
        }
        log.truncate(3).unwrap();
        for offset in 3..7 {
            log.append(new(offset)).unwrap();
        }
        assert_eq!(reader.refresh().unwrap(), Offset::new(6));
        for offset in 2..6 {
            assert_eq!(reader.read(offset).unwrap().value, new(offset));
            assert_eq!(follower.next().unwrap().unwrap().value, new(offset));
        }
        assert_eq!(segments(&disk), [0]);
        assert!(reader.verify().unwrap().damaged.is_empty());
    }
}

#[test]
fn trimming_truncating_and_resetting_are_seen() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let reader = read(&disk);
    log.trim(25).unwrap();
    // Its segment has vanished, and the start was not read since.
    assert_eq!(reader.read(3).unwrap_err().kind(), ErrorKind::Trimmed);
    let end = reader.end_offset().get();
    holds(&reader, 25..end);
    log.truncate(31).unwrap();
    reader.refresh().unwrap();
    holds(&reader, 25..31);
    append(&log, 31..50);
    let end = reader.refresh().unwrap().get();
    assert!(end >= 49);
    holds(&reader, 25..end);
    log.truncate(25).unwrap();
    append(&log, 25..28);
    reader.refresh().unwrap();
    holds(&reader, 25..27);
    log.reset(100).unwrap();
    reader.refresh().unwrap();
    holds(&reader, 100..100);
}

#[test]
fn segments_created_after_a_truncation_are_not_taken_for_the_old_ones() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let reader = read(&disk);
    // As long, and with the same names, as before.
    let old = disk.file_names();
    let all = reader.end_offset().get();
    for offset in 0..all {
        assert_eq!(reader.read(offset).unwrap().value, value(offset));
    }
    let mut iterator = reader.records(3..);
    assert_eq!(iterator.next().unwrap().unwrap().value, value(3));
    log.truncate(0).unwrap();
    let new = |offset: u64| format!("{offset:->100}");
    for offset in 0..40 {
        log.append(new(offset)).unwrap();
    }
    assert_eq!(disk.file_names(), old);
    assert_eq!(reader.refresh().unwrap().get(), all);
    for offset in 0..all {
        assert_eq!(reader.read(offset).unwrap().value, new(offset));
    }
    assert_eq!(iterator.next().unwrap().unwrap().value, new(4));
}

#[test]
fn whatever_a_crash_leaves_can_be_read_before_it_is_recovered() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..25);
    for seed in 0..200 {
        let left = disk.crash(Survivors::Seeded(seed));
        let reader = read(&left);
        let end = reader.end_offset().get();
        assert!((24..=25).contains(&end), "{end}");
        holds(&reader, 0..end);
    }
}

#[test]
fn a_directory_that_is_no_log_is_refused() {
    let disk = SimDisk::new();
    let error = ReadOnlyLog::open_in(disk.directory()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotALog, "nobody has made it yet");
    assert_eq!(disk.file_names(), [""; 0]);
    disk.write_file("notes.txt", b"mine");
    let error = ReadOnlyLog::open_in(disk.directory()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotALog);
}

#[test]
fn a_follower_fails_when_refreshes_fail_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), &options()).unwrap();
    append(&log, 0..3);
    let reader = ReadOnlyLog::open(directory.path()).unwrap();
    let mut follower = reader.follow(0);
    for _ in 0..2 {
        follower.next().unwrap().unwrap();
    }
    std::fs::remove_dir_all(directory.path()).unwrap();
    let error = follower.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DirectoryMoved);
    assert!(follower.next().is_none());
}

#[test]
#[cfg(target_os = "linux")]
fn files_of_trimmed_segments_are_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), &options()).unwrap();
    append(&log, 0..60);
    let reader = ReadOnlyLog::open(directory.path()).unwrap();
    for log in [log.reader(Visibility::Acknowledged), reader.reader()] {
        assert!(log.records(0..).count() >= 59);
    }
    log.trim(59).unwrap();
    reader.refresh().unwrap();
    assert_eq!(crate::support::deleted_but_open(directory.path()), [""; 0]);
}

#[test]
fn a_follower_sees_every_record_of_another_process_once_and_in_order() {
    const RECORDS: u64 = 300;
    if let Ok(path) = std::env::var("PROGLOG_TEST_WRITER") {
        let options = options().idle_after(Duration::from_millis(1));
        let log = Log::open(path, &options).unwrap();
        return append(&log, 0..RECORDS);
    }
    let directory = tempfile::tempdir().unwrap();
    drop(Log::open(directory.path(), &options()).unwrap());
    let reader = ReadOnlyLog::open(directory.path()).unwrap();
    let mut follower = reader.follow(0);
    let following = thread::spawn(move || {
        for offset in 0..RECORDS {
            let record = follower.next().unwrap().unwrap();
            assert_eq!(
                (record.offset.get(), record.value),
                (offset, value(offset).into())
            );
        }
    });
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "read_only::a_follower_sees_every_record_of_another_process_once_and_in_order",
        ])
        .env("PROGLOG_TEST_WRITER", directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    following.join().unwrap();
    assert!(writer.wait().unwrap().success());
}
