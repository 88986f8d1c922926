//! How often files are read: a log that is walked over, or has given up appends, costs what it has to.

use std::io::ErrorKind as Io;

use proglog_log::{Log, Options, Record, Records};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{append, open, open_with, options, segments, value};

/// How many reads of files `body` takes.
fn reads(disk: &SimDisk, body: impl FnOnce()) -> usize {
    disk.start_trace();
    body();
    let is_read = |kind| kind == CallKind::Read;
    disk.trace()
        .iter()
        .filter(|call| is_read(call.kind))
        .count()
}

/// A log of one segment with 300 records in each of the shapes that are read in their own way.
fn many(disk: &SimDisk) -> Log {
    let log = open_with(disk, &options().segment_bytes_max(64 << 20));
    let shapes = [
        Record::new(value(0)),
        Record::new(value(0)).with_key("key"),
        Record::new(value(0)).with_header("name", "value"),
    ];
    for _ in 0..100 {
        log.append_batch(shapes.to_vec()).unwrap();
    }
    log
}

#[test]
fn a_walk_reads_in_large_blocks_whatever_shape_records_have() {
    let disk = SimDisk::new();
    let log = many(&disk);
    let yielded = reads(&disk, || assert_eq!(log.records(0).count(), 300));
    assert!(yielded <= 2, "{yielded} reads");
    let mut records = log.records(0);
    let mut lent = 0;
    let taken = reads(&disk, || {
        while let Some(record) = records.next_ref() {
            record.unwrap();
            lent += 1;
        }
    });
    assert_eq!(lent, 300);
    assert!(taken <= 2, "{taken} reads");
}

/// How far the values of records lie from each other in memory, as they are lent.
fn strides(mut records: Records) -> Vec<usize> {
    let mut places = Vec::new();
    while let Some(record) = records.next_ref() {
        places.push(record.unwrap().value.as_ptr().addr());
    }
    let pairs = places.windows(2);
    pairs.map(|pair| pair[1].wrapping_sub(pair[0])).collect()
}

#[test]
fn a_record_is_lent_where_its_block_was_read_to() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &Options::new());
    // Their offsets take one byte each, so that all are as long.
    log.append_batch(vec![value(0); 100]).unwrap();
    let strides = strides(log.records(1));
    assert_eq!(strides.len(), 98);
    assert!(strides[0] > 100 && strides.iter().all(|stride| *stride == strides[0]));
}

#[test]
fn a_record_behind_appends_that_were_given_up_takes_one_read_at_the_most() {
    // The index has no page in its file yet, or one.
    for before in [0, 1500] {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().segment_bytes_max(64 << 20));
        log.append_batch(vec!["kept"; before]).unwrap();
        let refused = log.submit(vec!["not kept, and longer"; 3]).unwrap();
        let full = Fault::error(Io::StorageFull);
        disk.inject(When::Next(CallKind::Write, 0), full);
        refused.wait().unwrap_err();
        let before = before as u64;
        append(&log, before..before + 10);
        for offset in before..before + 10 {
            let taken = reads(&disk, || {
                assert_eq!(log.read(offset).unwrap().value, value(offset));
            });
            // The newest ones may be in memory.
            assert!(taken <= 1, "{taken} reads of record {offset}");
        }
        log.close().unwrap();
        let log = open_with(&disk, &options());
        assert_eq!(log.recovery().indexes_rebuilt, 0);
        assert_eq!(log.read(before + 9).unwrap().value, value(before + 9));
    }
}

#[test]
fn records_that_are_read_at_once_lie_in_one_segment() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..40);
    let bases = segments(&disk);
    assert!(bases.len() > 2);
    for (base, next) in bases.iter().zip(&bases[1..]) {
        for from in *base..*next {
            let read = log.read_batch(from, 1 << 20).unwrap();
            assert_eq!(from + read.len() as u64, *next);
        }
    }
}
