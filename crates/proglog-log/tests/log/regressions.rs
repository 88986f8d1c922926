//! Regressions: each test is the shortest way to a defect that was fixed.

use std::io;
use std::thread;
use std::time::Duration;

use proglog_log::{Durability, ErrorKind, Log, LogOptions, Offset, Record, Retention, Visibility};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

fn options() -> LogOptions {
    LogOptions::new().idle_after(Duration::MAX)
}

fn open(disk: &SimDisk, options: &LogOptions) -> Log {
    Log::open_in(disk.directory(), options).unwrap()
}

fn store_of(disk: &SimDisk) -> String {
    let names = disk.file_names();
    names
        .into_iter()
        .find(|name| name.ends_with(".log"))
        .unwrap()
}

/// Bytes in which one place in some 1,400 looks like a frame.
fn incompressible(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A roll had synced the open group when the mark that seals the segment could not be written. The
/// group then failed with the next write, as not appended, the log was poisoned, and the records were
/// found after reopening.
#[test]
fn a_roll_that_only_fails_to_mark_acknowledges_what_it_has_synced() {
    let disk = SimDisk::new();
    let options = options().segment_bytes_max(1 << 10);
    let log = open(&disk, &options);
    log.append("first").unwrap();
    let synced = log.submit("a".repeat(700)).unwrap();
    let full = Fault::error(io::ErrorKind::StorageFull);
    disk.inject(When::Next(CallKind::Write, 1), full);
    let refused = log.submit("b".repeat(700)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DiskFull);
    assert_eq!(synced.wait().unwrap().start, Offset::new(1));
    assert_eq!(log.append("c").unwrap(), Offset::new(2));
    log.close().unwrap();
    let log = open(&disk.crash(Survivors::LoseAll), &options);
    let lens = log
        .records(0..)
        .map(|record| record.unwrap().value.len())
        .collect::<Vec<_>>();
    assert_eq!(lens, [5, 700, 1]);
}

/// A batch larger than the buffer stayed in it, all of it lost with the process, though the buffer is
/// said to hold no more than 512 KiB.
#[test]
fn a_batch_larger_than_the_buffer_is_handed_over_at_once() {
    let disk = SimDisk::new();
    let options = options().durability(Durability::Buffered);
    let log = open(&disk, &options);
    let record = Record::new(vec![1; 1 << 20]);
    log.append_batch(vec![record; 10]).unwrap();
    let log = open(&disk.crash(Survivors::KeepAll), &options);
    assert_eq!(log.end_offset(), Offset::new(10));
}

/// The search for the next frame gave up within a large record of random bytes, which are full of
/// places that look like frames, and took later records for damaged.
#[test]
fn a_large_damaged_record_hides_no_neighbour() {
    for len in [1 << 20, 16 << 20] {
        let options = options().record_bytes_max(16 << 20);
        let disk = SimDisk::new();
        let log = open(&disk, &options);
        log.append(incompressible(len)).unwrap();
        for number in 1..6 {
            log.append(format!("small {number}")).unwrap();
        }
        let killed = disk.crash(Survivors::KeepAll);
        // A bit of the first record's length.
        killed.flip(&store_of(&killed), 8192 + 3, 0);
        let log = open(&killed, &options);
        assert_eq!(log.read(0).unwrap_err().kind(), ErrorKind::Corrupt);
        for number in 1..6_u64 {
            assert_eq!(log.read(number).unwrap().value, format!("small {number}"));
        }
    }
}

/// Opening asked each of the newest records for its time, and each damaged one set off a search of
/// all that was damaged: minutes, for some megabytes.
#[test]
fn much_damage_at_the_end_is_read_over_once() {
    let disk = SimDisk::new();
    let log = open(&disk, &options());
    let values = (0..4000).map(|number| format!("{number:04000}"));
    log.append_batch(values.collect::<Vec<_>>()).unwrap();
    log.close().unwrap();
    let name = store_of(&disk);
    let mut bytes = disk.read_file(&name);
    let end = bytes.len() - 32;
    bytes[end - 6_000_000..end].fill(0);
    disk.write_file(&name, &bytes);
    let log = open(&disk, &options());
    assert_eq!(log.end_offset(), Offset::new(4000));
    assert_eq!(log.read(0).unwrap().value, format!("{:04000}", 0));
    for number in 3000..4000_u64 {
        assert_eq!(log.read(number).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert_eq!(log.append("goes on").unwrap(), Offset::new(4000));
}

/// The active segment kept the limit that it was made with, and the log did not go on to the next.
#[test]
fn a_larger_limit_holds_from_the_next_opening_on() {
    for first in [None, Some("a record")] {
        let disk = SimDisk::new();
        let log = open(&disk, &options());
        first.map(|value| log.append(value).unwrap());
        log.close().unwrap();
        let log = open(&disk, &options().record_bytes_max(4 << 20));
        let offset = log.append(vec![0; 2 << 20]).unwrap();
        assert_eq!(log.read(offset).unwrap().value.len(), 2 << 20);
    }
}

/// A crash came when one slot of the checkpoint had lost the flag of a truncation. Opening left the other one
/// as it was; once the newer slot was lost, what had been appended since was truncated too.
#[test]
fn no_copy_of_the_checkpoint_truncates_what_was_appended_after_the_truncation() {
    for writes in 0..2 {
        let disk = SimDisk::new();
        let log = open(&disk, &options());
        log.append_batch(["a", "b", "c"]).unwrap();
        disk.start_trace();
        log.truncate(1).unwrap();
        let trace = disk.trace().into_iter();
        let written =
            trace.filter(|call| call.kind == CallKind::Write && &*call.name == "checkpoint");
        let call = written
            .map(|call| call.number.unwrap())
            .nth(writes)
            .unwrap();
        drop(log);

        let disk = SimDisk::new();
        let log = open(&disk, &options());
        log.append_batch(["a", "b", "c"]).unwrap();
        disk.inject(When::Call(call), Fault::crash());
        log.truncate(1).unwrap_err();
        let disk = disk.crash(Survivors::LoseAll);
        let log = open(&disk, &options());
        let end = log.append("appended since").unwrap();
        for copy in [0, 4096, 8192, 12_288] {
            let disk = disk.crash(Survivors::LoseAll);
            disk.flip("checkpoint", copy, 0);
            let log = open(&disk, &options());
            assert_eq!(log.read(end).unwrap().value, "appended since");
        }
    }
}

/// The name of a segment that was removed came back when the directory could not be synced: opening
/// did not see it, finished the truncation without it, and found it after a power cut.
#[test]
fn a_removal_that_could_not_be_synced_is_done_again() {
    let disk = SimDisk::new();
    let options = options().segment_bytes_max(1 << 10);
    let log = open(&disk, &options);
    for _ in 0..4 {
        log.append("a".repeat(700)).unwrap();
    }
    let broken = Fault::os_error(5);
    disk.inject(When::Next(CallKind::SyncDirectory, 0), broken);
    log.truncate(1).unwrap_err();
    drop(log);
    let log = open(&disk, &options);
    assert_eq!(log.end_offset(), Offset::new(1));
    log.append("b").unwrap();
    let log = open(&disk.crash(Survivors::LoseAll), &options);
    assert_eq!(log.end_offset(), Offset::new(2));
    assert_eq!(log.read(1).unwrap().value, "b");
}

/// A roll had made the file of the next segment and could not sync its name; truncating left it there,
/// and it did not follow on what was left.
#[test]
fn truncating_removes_what_a_failed_roll_has_left() {
    let disk = SimDisk::new();
    let options = options().segment_bytes_max(1 << 10);
    let log = open(&disk, &options);
    for _ in 0..3 {
        log.append("a".repeat(700)).unwrap();
    }
    let broken = Fault::os_error(5);
    disk.inject(When::Next(CallKind::SyncDirectory, 0), broken);
    log.append("a".repeat(700)).unwrap_err();
    log.truncate(1).unwrap();
    log.close().unwrap();
    assert_eq!(open(&disk, &options).end_offset(), Offset::new(1));
}

/// A log whose readers see what is not on the device yet was trimmed up to there: after a power cut it
/// ended before its start, and could not be opened.
#[test]
fn what_is_trimmed_is_on_the_device_first() {
    let disk = SimDisk::new();
    let options = options().visibility(Visibility::Appended);
    let log = open(&disk, &options);
    let tickets = ["a", "b", "c"].map(|value| log.submit(value).unwrap());
    log.trim(2).unwrap();
    let cut_off = open(&disk.crash(Survivors::LoseAll), &options);
    assert_eq!(cut_off.start_offset(), Offset::new(2));
    for ticket in tickets {
        ticket.wait().unwrap();
    }
}

/// A trim that had begun when the log was closed went on when somebody else had opened it. It took a
/// thread that was held up in a place of a few instructions; this finds such a thread now and then.
#[test]
fn a_trim_that_is_overtaken_by_closing_changes_nothing() {
    for round in 0..500 {
        let disk = SimDisk::new();
        let first = open(&disk, &options());
        first.append_batch(vec![Record::new("a"); 64]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for start in 1.. {
                    match first.trim(if round % 2 == 0 { start } else { 64 }) {
                        Ok(()) if start < 64 => {}
                        Ok(()) => break,
                        Err(error) if error.kind() == ErrorKind::Closed => break,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
            (0..round % 7).for_each(|_| thread::yield_now());
            first.close().unwrap();
            let second = open(&disk, &options());
            for number in 64..80 {
                assert_eq!(second.append("b").unwrap(), Offset::new(number));
                second.trim(number).unwrap();
            }
            second.close().unwrap();
        });
        let third = open(&disk, &options());
        assert_eq!(third.recovery().records, Offset::new(79)..Offset::new(80));
    }
}

/// An iterator kept the lock on a segment that it had begun to read when that was the active one; cutting
/// the segment later was refused, and the log stopped.
#[test]
fn a_segment_is_truncated_while_it_is_read() {
    let disk = SimDisk::new();
    let log = open(&disk, &options().segment_bytes_max(1 << 10));
    log.append_batch(["a", "b", "c"]).unwrap();
    let mut records = log.records(0..);
    assert_eq!(records.next().unwrap().unwrap().value, "a");
    for _ in 0..4 {
        log.append("a".repeat(700)).unwrap();
    }
    log.truncate(2).unwrap();
    assert_eq!(records.next().unwrap().unwrap().value, "b");
    assert!(records.next().is_none());
    assert_eq!(log.append("d").unwrap(), Offset::new(2));
}

/// After a truncation at the start of a segment and before the new one was created, which may take long or fail,
/// iterators failed with the records of the segment before out of range.
#[test]
fn records_kept_by_a_truncation_are_readable_before_the_new_segment_exists() {
    let disk = SimDisk::new();
    let log = open(&disk, &options().segment_bytes_max(1 << 10));
    for _ in 0..4 {
        log.append("a".repeat(700)).unwrap();
    }
    // It is tried once more with the room of what was dropped.
    for skip in 0..2 {
        let full = Fault::error(io::ErrorKind::StorageFull);
        disk.inject(When::Next(CallKind::Create, skip), full);
    }
    let error = log.truncate(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    let read = log.records(0..).map(|record| record.unwrap().offset);
    assert_eq!(read.collect::<Vec<_>>(), [0, 1]);
    assert_eq!(log.append("b").unwrap(), Offset::new(2));
}

/// There, retention took the last segment that was left for one without records, and dropped it.
#[test]
fn retention_keeps_what_a_truncation_keeps_before_the_new_segment_exists() {
    for policy in [
        Retention::new(),
        Retention::new().records(3),
        Retention::new().bytes(10_000),
        Retention::new().age(Duration::MAX),
    ] {
        let disk = SimDisk::new();
        let options = options().segment_bytes_max(1 << 10).retention(policy);
        let log = open(&disk, &options);
        for _ in 0..3 {
            log.append("a".repeat(700)).unwrap();
        }
        for skip in 0..2 {
            let full = Fault::error(io::ErrorKind::StorageFull);
            disk.inject(When::Next(CallKind::Create, skip), full);
        }
        log.truncate(1).unwrap_err();
        assert_eq!(log.apply_retention().unwrap(), Offset::ZERO, "{policy:?}");
        let read = log.records(0..).map(|record| record.unwrap().offset);
        assert_eq!(read.collect::<Vec<_>>(), [0]);
        assert_eq!(log.append("b").unwrap(), Offset::new(1));
    }
}
