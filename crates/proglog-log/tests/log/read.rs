//! Reading several records at once, and records lent by an iterator.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proglog_log::{CommitLog, ErrorKind, MemoryLog, Offset, Record, RecordRef, Records};
use proglog_store::testing::SimDisk;

use crate::support::{append, damage, open, value};

#[test]
fn a_closed_log_still_has_its_offsets() {
    let disk = SimDisk::new();
    let logs: [Arc<dyn CommitLog>; 2] = [Arc::new(open(&disk)), Arc::new(MemoryLog::new())];
    for log in logs {
        for offset in 0..3 {
            log.append(value(offset).into()).unwrap();
        }
        log.trim(Offset::new(1)).unwrap();
        log.close().unwrap();
        assert_eq!(log.start_offset(), Offset::new(1));
        assert_eq!(log.end_offset(), Offset::new(3));
        for refused in [
            log.append("more".into()).map(drop),
            log.read(Offset::new(1)).map(drop),
            log.trim(Offset::new(2)),
            log.sync(),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
        }
    }
}

#[test]
fn a_batch_read_returns_what_fits_and_at_least_one() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..50);
    for from in 0..50 {
        for bytes in [0, 1, 100, 250, 500, 1 << 20] {
            let read = log.read_batch(from, usize::MAX, bytes).unwrap();
            for (offset, record) in (from..).zip(&read) {
                assert_eq!(
                    (record.offset.get(), &record.value[..]),
                    (offset, value(offset).as_bytes())
                );
            }
            assert!(!read.is_empty());
            assert!(
                read.len() == 1 || read.len() * 100 <= bytes,
                "{from} {bytes}"
            );
        }
    }
    assert!(log.read_batch(0, usize::MAX, 500).unwrap().len() >= 3);
    let short = open(&SimDisk::new());
    short.append_batch([0, 1, 2].map(value)).unwrap();
    assert_eq!(short.read_batch(0, usize::MAX, 300).unwrap().len(), 3);
    assert_eq!(short.read_batch(0, usize::MAX, 299).unwrap().len(), 2);
    assert!(log.read_batch(50, usize::MAX, 500).unwrap().is_empty());
    assert_eq!(
        log.read_batch(51, usize::MAX, 1).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
}

/// Checks that `lent` lends the records that `records` yields, up to the end or the first error.
fn assert_lent(records: Records, mut lent: Records) -> usize {
    let mut count = 0;
    for record in records {
        let other = lent.next_ref().unwrap();
        match record {
            Ok(record) => {
                assert_eq!(other.as_ref().unwrap(), &RecordRef::from(&record));
                assert_eq!(other.unwrap().to_record(), record);
                count += 1;
            }
            Err(error) => assert_eq!(other.unwrap_err().kind(), error.kind()),
        }
    }
    assert!(lent.next_ref().is_none());
    count
}

#[test]
fn a_record_is_lent_as_it_is_yielded() {
    let disk = SimDisk::new();
    let (log, in_memory) = (open(&disk), MemoryLog::new());
    for number in 0..200_u64 {
        let mut record = Record::new("v".repeat(usize::try_from(number % 50).unwrap()));
        if number % 3 == 0 {
            record = record.with_key("k".repeat(usize::try_from(number % 7).unwrap()));
        }
        if number % 5 == 0 {
            let micros = Duration::from_micros(number);
            record =
                record.with_timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1) + micros);
        }
        for header in 0..number % 11 / 9 {
            record = record.with_header(format!("name {header}"), value(number));
        }
        log.append(record.clone()).unwrap();
        in_memory.append(record).unwrap();
    }
    for from in [0, 1, 77, 199, 200] {
        let count = assert_lent(log.records(from..), log.records(from..));
        assert_eq!(count as u64, 200 - from);
        let from = Offset::new(from);
        assert_lent(in_memory.records(from..), in_memory.records(from..));
    }
    let mut mixed = log.records(0..);
    for number in (0..200).step_by(2) {
        assert_eq!(mixed.next().unwrap().unwrap().offset, number);
        assert_eq!(mixed.next_ref().unwrap().unwrap().offset, number + 1);
    }
    log.close().unwrap();
    assert_lent(log.records(0..), log.records(0..));

    damage(&disk, 20);
    let log = open(&disk);
    assert_eq!(assert_lent(log.records(0..), log.records(0..)), 20);
}
