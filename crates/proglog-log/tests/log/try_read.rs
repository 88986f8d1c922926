//! Reads that return instead of waiting for the device.

use std::sync::Arc;

use proglog_log::{
    Cache, Durability, ErrorKind, Log, MemoryLog, Offset, ReadLog, ReadOnlyLog, Visibility,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{ALL_DURABILITIES, append, damage, open, open_with, options, segments, value};

const KIB: usize = 1 << 10;

/// The calls on the disk that may wait for the device.
fn waits(disk: &SimDisk, body: impl FnOnce()) -> usize {
    disk.start_trace();
    body();
    let trace = disk.trace();
    let waits = trace.iter().filter(|call| call.kind != CallKind::TryRead);
    waits.count()
}

/// Drops all files from the page cache.
fn evict(disk: &SimDisk, suffix: &str) {
    for name in disk.file_names() {
        if name.ends_with(suffix) {
            disk.evict(&name, 0..disk.read_file(&name).len() as u64);
        }
    }
}

/// A log of several segments, all of which are open, with their indexes in memory.
fn warm(disk: &SimDisk) -> Log {
    let log = open(disk);
    append(&log, 0..50);
    for offset in 0..50 {
        log.read(offset).unwrap();
    }
    log
}

#[test]
fn every_log_tries_to_read_what_it_reads() {
    for durability in ALL_DURABILITIES {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().durability(durability));
        append(&log, 0..50);
        let in_memory = MemoryLog::new();
        in_memory.append_batch((0..50).map(value)).unwrap();
        log.sync().unwrap();
        let logs: [Arc<dyn ReadLog>; 4] = [
            Arc::new(log.reader(Visibility::Appended)),
            Arc::new(ReadOnlyLog::open_in(disk.directory()).unwrap()),
            Arc::new(log),
            Arc::new(in_memory),
        ];
        for log in &logs {
            for offset in log.offsets() {
                let record = log.read(offset).unwrap();
                assert_eq!(log.try_read(offset).unwrap(), Some(record), "{log:?}");
                for (records, bytes) in [(1, KIB), (3, KIB), (usize::MAX, 250), (7, 0), (0, 9)] {
                    let read = log.read_batch(offset, records, bytes).unwrap();
                    let tried = log.try_read_batch(offset, records, bytes).unwrap();
                    assert!(!read.is_empty() || records == 0);
                    // Logs that look again for what is new do not know that nothing was asked for.
                    let tried = tried.unwrap_or_default();
                    assert_eq!(
                        tried, read,
                        "{records} of {bytes} bytes at {offset} of {log:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_cached_is_read_without_a_call_that_waits() {
    let disk = SimDisk::new();
    let log = warm(&disk);
    assert!(segments(&disk).len() > 3);
    let waited = waits(&disk, || {
        let mut next = 0;
        while next < 50 {
            let records = log.try_read_batch(next, usize::MAX, 1 << 20).unwrap();
            for record in records.expect("it is cached") {
                assert_eq!(log.try_read(next).unwrap(), Some(record));
                next += 1;
            }
        }
    });
    assert_eq!(waited, 0);
}

#[test]
fn what_would_be_waited_for_is_left_to_a_read() {
    let disk = SimDisk::new();
    let log = warm(&disk);
    // What was written last is in memory all the same.
    let newest = *segments(&disk).last().unwrap();
    evict(&disk, ".log");
    let waited = waits(&disk, || {
        for offset in 0..newest {
            assert_eq!(log.try_read(offset).unwrap(), None, "{offset}");
            let batch = log.try_read_batch(offset, 9, 1 << 20).unwrap();
            assert_eq!(batch, None, "{offset}");
        }
    });
    assert_eq!(waited, 0);
    for offset in 0..newest {
        let record = log.read(offset).unwrap();
        assert_eq!(log.try_read(offset).unwrap(), Some(record));
    }
    log.close().unwrap();

    // Neither the files of sealed segments are open, nor are pages of their indexes in memory.
    let log = open_with(&disk, &options().cache(Cache::builder().build()));
    let waited = waits(&disk, || {
        for offset in 0..newest {
            assert_eq!(log.try_read(offset).unwrap(), None, "{offset}");
            let batch = log.try_read_batch(offset, 9, 1 << 20).unwrap();
            assert_eq!(batch, None, "{offset}");
        }
    });
    assert_eq!(waited, 0);
}

#[test]
fn a_page_of_the_index_is_read_where_that_takes_no_waiting() {
    for is_cached in [true, false] {
        let disk = SimDisk::new();
        // No page stays in memory.
        let cache = Cache::builder().index_bytes_max(0).build();
        let log = open_with(&disk, &options().cache(cache));
        append(&log, 0..50);
        log.read(0).unwrap();
        if !is_cached {
            evict(&disk, ".index");
        }
        let waited = waits(&disk, || {
            let found = [
                log.try_read(1).unwrap().is_some(),
                log.try_read_batch(1, 2, KIB).unwrap().is_some(),
            ];
            assert_eq!(found, [is_cached; 2]);
        });
        assert_eq!(waited, 0);
        assert_eq!(log.read(1).unwrap().value, value(1));
    }
}

#[test]
fn a_record_takes_a_call_for_its_own_bytes_and_a_page_of_them_one() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 20));
    log.append_batch((0..3000).map(value)).unwrap();
    let tries = |body: &dyn Fn()| {
        disk.start_trace();
        body();
        let lens = disk.trace().into_iter().map(|call| call.len);
        lens.collect::<Vec<_>>()
    };
    for from in [0, 10, 1000, 1022, 2500] {
        // Pages of the index are read once.
        log.read(from).and(log.read(from + 100)).unwrap();
        let lens = tries(&|| assert!(log.try_read(from).unwrap().is_some()));
        assert!(lens.len() == 1 && lens[0] < 150, "{lens:?} of {from}");
        let lens = tries(&|| {
            let batch = log.try_read_batch(from, 100, 16 << 20).unwrap();
            assert_eq!(batch.unwrap().len(), 100);
        });
        assert!(
            lens.len() == 1 && lens[0] < 100 * 150,
            "{lens:?} of {from} and 99 others"
        );
    }
}

#[test]
fn a_batch_ends_before_what_would_be_waited_for() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 20));
    let values = (0..1000).map(|number| format!("{number:>1000}"));
    log.append_batch(values.collect::<Vec<_>>()).unwrap();
    let name = format!("{:020}.log", 0);
    disk.evict(&name, 600 * KIB as u64..u64::MAX);
    let waited = waits(&disk, || {
        let batch = log.try_read_batch(0, usize::MAX, 16 << 20).unwrap();
        let batch = batch.expect("the first records are cached");
        assert!((400..600).contains(&batch.len()), "{}", batch.len());
        assert!(
            (0..)
                .zip(&batch)
                .all(|(offset, record)| record.offset == offset)
        );
        let next = batch.len() as u64;
        assert_eq!(
            log.try_read_batch(next, usize::MAX, 16 << 20).unwrap(),
            None
        );
    });
    assert_eq!(waited, 0);
}

#[test]
fn what_cannot_be_read_is_left_to_a_read_which_says_why() {
    let disk = SimDisk::new();
    let log = warm(&disk);
    damage(&disk, 20);
    assert_eq!(log.try_read(20).unwrap(), None);
    assert_eq!(log.try_read_batch(20, 5, KIB).unwrap(), None);
    assert_eq!(log.read(20).unwrap_err().kind(), ErrorKind::Corrupt);
    // Again, now that it is known.
    assert_eq!(log.try_read(20).unwrap(), None);
    let around = [19, 21].map(|offset| log.try_read(offset).unwrap().unwrap().value);
    assert_eq!(around, [19, 21].map(value));
    let before = log.try_read_batch(18, 5, KIB).unwrap().unwrap();
    assert!(before.len() <= 2 && before[0].offset == 18);
    for fault in [Fault::os_error(5), Fault::error(std::io::ErrorKind::Other)] {
        disk.inject(When::Next(CallKind::TryRead, 0), fault);
        assert_eq!(log.try_read(3).unwrap(), None);
        disk.inject(When::Next(CallKind::TryRead, 0), fault);
        assert_eq!(log.try_read_batch(3, 5, KIB).unwrap(), None);
        assert_eq!(log.try_read(3).unwrap().unwrap().value, value(3));
        assert_eq!(log.read(3).unwrap().value, value(3));
    }
    disk.set_short_transfers(Some(7));
    for offset in (0..50).filter(|offset| *offset != 20) {
        if let Some(record) = log.try_read(offset).unwrap() {
            assert_eq!(record.value, value(offset));
        }
        for record in log
            .try_read_batch(offset, 9, KIB)
            .unwrap()
            .unwrap_or_default()
        {
            assert_eq!(record.value, value(record.offset.get()));
        }
    }
}

#[test]
fn a_try_out_of_range_fails_as_a_read_does() {
    let disk = SimDisk::new();
    let log = warm(&disk);
    log.trim(10).unwrap();
    let reader = log.reader(Visibility::Committed);
    let error = reader.try_read(10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    assert_eq!(reader.try_read_batch(10, 1, 1).unwrap(), Some(Vec::new()));
    for (offset, kind) in [
        (9, ErrorKind::Trimmed),
        (51, ErrorKind::OutOfRange),
        (50, ErrorKind::OutOfRange),
    ] {
        assert_eq!(log.try_read(offset).unwrap_err().kind(), kind);
        let batch = log.try_read_batch(offset, 1, 1);
        match offset {
            50 => assert_eq!(batch.unwrap(), Some(Vec::new())),
            _ => assert_eq!(batch.unwrap_err().kind(), kind),
        }
    }
    let read_only = ReadOnlyLog::open_in(disk.directory()).unwrap();
    let end = read_only.end_offset();
    let trimmed = read_only.try_read(9).unwrap_err();
    assert_eq!(trimmed.kind(), ErrorKind::Trimmed);
    for offset in [end, end + 1] {
        // A read would look for more.
        assert_eq!(read_only.try_read(offset).unwrap(), None);
        assert_eq!(read_only.try_read_batch(offset, 1, 1).unwrap(), None);
    }
    log.close().unwrap();
    assert_eq!(log.try_read(20).unwrap_err().kind(), ErrorKind::Closed);
    let batch = log.try_read_batch(20, 1, 1);
    assert_eq!(batch.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn records_that_are_still_in_memory_are_found_there() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().durability(Durability::Buffered));
    log.append_batch([0, 1, 2].map(value)).unwrap();
    disk.start_trace();
    assert_eq!(log.try_read(1).unwrap().unwrap().value, value(1));
    let batch = log.try_read_batch(Offset::ZERO, 3, KIB).unwrap().unwrap();
    assert_eq!(batch.len(), 3);
    assert!(disk.trace().is_empty());
}
