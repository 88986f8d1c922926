//! Records that are taken from both ends, while the log grows and where a record is damaged.

use std::ops::Range;
use std::sync::Arc;

use proglog_log::{
    CommitLog, Error, ErrorKind, MemoryLog, Offset, Offsets, ReadLog, ReadOnlyLog, Reason, Records,
    Result, StoredRecord, Visibility,
};
use proglog_store::testing::SimDisk;

use crate::support::{append, damage, open, open_with, options, value};

/// A log that can be read, and a way to append the records with these offsets.
struct Growing {
    log: Arc<dyn ReadLog>,
    append: Box<dyn Fn(Range<u64>)>,
}

fn on_disk() -> Growing {
    let log = open(&SimDisk::new());
    Growing {
        log: Arc::new(log.clone()),
        append: Box::new(move |offsets| append(&log, offsets)),
    }
}

fn in_memory() -> Growing {
    let log = MemoryLog::new();
    Growing {
        log: Arc::new(log.clone()),
        append: Box::new(move |offsets| {
            for offset in offsets {
                log.append(value(offset)).unwrap();
            }
        }),
    }
}

fn read_only() -> Growing {
    let disk = SimDisk::new();
    open(&disk).close().unwrap();
    let reader = ReadOnlyLog::open_in(disk.directory()).unwrap();
    Growing {
        log: Arc::new(reader.clone()),
        append: Box::new(move |offsets| {
            let log = open(&disk);
            append(&log, offsets);
            log.close().unwrap();
            reader.refresh().unwrap();
        }),
    }
}

fn growing() -> [Growing; 3] {
    [on_disk(), in_memory(), read_only()]
}

type Take = fn(&mut Records) -> Option<Result<StoredRecord>>;

/// The ways to take a record.
const TAKES: [Take; 3] = [Records::next, Records::next_back, |records| {
    Some(records.next_ref()?.map(|record| record.to_record()))
}];

fn offset(record: Result<StoredRecord>) -> u64 {
    record.unwrap().offset.get()
}

#[test]
fn the_end_of_the_log_is_that_at_the_first_record_from_the_back() {
    for forward in 0..=6 {
        for Growing { log, append } in growing() {
            append(0..3);
            let mut records = log.records((..).into());
            append(3..6);
            let front: Vec<_> = records.by_ref().take(forward).map(offset).collect();
            assert!(front.into_iter().eq(0..forward as u64));
            let Some(last) = records.next_back() else {
                assert_eq!(forward, 6);
                continue;
            };
            append(6..9);
            let back = records.rev().map(offset);
            let taken: Vec<_> = [offset(last)].into_iter().chain(back).collect();
            let expected = (forward as u64..6).rev();
            assert!(expected.eq(taken.iter().copied()), "{taken:?}");
        }
    }
}

#[test]
fn a_start_past_the_end_is_an_error_from_the_back_unless_the_log_has_grown_to_it() {
    for Growing { log, append } in growing() {
        append(0..3);
        let mut past = log.records((4..).into());
        let mut reached = log.records((4..).into());
        let error = past.next_back().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        append(3..7);
        assert!(TAKES.iter().all(|take| take(&mut past).is_none()));
        let taken: Vec<_> = reached.by_ref().rev().map(offset).collect();
        assert_eq!(taken, [6, 5, 4]);
        assert!(TAKES.iter().all(|take| take(&mut reached).is_none()));
    }
}

#[test]
fn a_closed_log_says_so_from_either_end() {
    for appended in [0, 3] {
        let (log, memory) = (open(&SimDisk::new()), MemoryLog::new());
        let logs: [&dyn CommitLog; 2] = [&log, &memory];
        for log in logs {
            let values = (0..appended).map(value);
            log.append_batch(values.collect()).unwrap();
            let records = TAKES.map(|take| (take, log.records((..).into())));
            log.close().unwrap();
            for (take, mut records) in records {
                let error = take(&mut records).unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Closed);
                assert!(TAKES.iter().all(|take| take(&mut records).is_none()));
            }
        }
    }
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "they are what is tested")]
fn a_range_that_ends_before_it_starts_has_no_records_and_no_error() {
    for Growing { log, append } in [on_disk(), in_memory()] {
        append(0..3);
        for range in [(2..1).into(), (2..2).into(), (9..5).into()] {
            for take in TAKES {
                assert!(take(&mut log.records(range)).is_none(), "{range:?}");
            }
        }
    }
}

#[test]
fn records_end_after_an_error_from_the_back() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 20));
    append(&log, 0..11);
    let read_only = ReadOnlyLog::open_in(disk.directory()).unwrap();
    damage(&disk, 9);
    let memory = MemoryLog::new();
    memory.append_batch((0..9).map(value)).unwrap();
    let fails_at_nine = move |offset: Offset| match offset.get() {
        9 => Err(Error::new("memory", Reason::Closed)),
        _ => memory.read(offset),
    };
    let readers = [
        log.records(..10),
        log.reader(Visibility::Appended).records(..10),
        read_only.records(..10),
        Records::new(.., || Offsets::new(0, 10), fails_at_nine),
    ];
    for mut records in readers {
        assert_eq!(offset(records.next().unwrap()), 0);
        records.next_back().unwrap().unwrap_err();
        assert!(TAKES.iter().all(|take| take(&mut records).is_none()));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn records_that_have_ended_from_the_back_keep_no_file_open() {
    let directory = tempfile::tempdir().unwrap();
    let log = proglog_log::Log::open(directory.path(), &options()).unwrap();
    append(&log, 0..60);
    let reader = ReadOnlyLog::open(directory.path()).unwrap();
    let mut ended = [log.records(..50), reader.records(..50)];
    for records in &mut ended {
        assert_eq!(offset(records.next().unwrap()), 0);
        assert_eq!(records.rev().map(offset).last(), Some(1));
    }
    log.trim(59).unwrap();
    reader.refresh().unwrap();
    assert_eq!(crate::support::deleted_but_open(directory.path()), [""; 0]);
    drop(ended);
}
