//! Number of reads that scans and point reads take, with damage and after failed appends.

use std::io::ErrorKind as Io;

use proglog_log::{Log, LogOptions, ReadOnlyLog, Record, Records};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use crate::support::{append, open, open_with, options, segments, value};

/// Lengths of the reads of files that `body` takes.
fn read_lens(disk: &SimDisk, body: impl FnOnce()) -> Vec<u64> {
    disk.start_trace();
    body();
    let trace = disk.trace();
    let reads = trace.iter().filter(|call| call.kind == CallKind::Read);
    reads.map(|call| call.len).collect()
}

/// Number of reads of files that `body` takes.
fn reads(disk: &SimDisk, body: impl FnOnce()) -> usize {
    read_lens(disk, body).len()
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
fn a_cursor_reads_in_large_blocks_whatever_the_shape_of_records() {
    let disk = SimDisk::new();
    let log = many(&disk);
    let yielded = reads(&disk, || assert_eq!(log.records(0..).count(), 300));
    assert!(yielded <= 2, "{yielded} reads");
    let mut records = log.records(0..);
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

#[test]
fn a_range_reads_its_own_bytes_and_not_the_block_around_them() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(64 << 20));
    log.append_batch((0..3000).map(value)).unwrap();
    // Marks the others as synced in the file.
    append(&log, 3000..3001);
    let read_only = ReadOnlyLog::open_in(disk.directory()).unwrap();
    for (start, len) in [(0, 1), (10, 2), (1021, 1), (1022, 1), (1000, 100)] {
        let range = start..start + len;
        for records in [log.records(range.clone()), read_only.records(range.clone())] {
            let lens = read_lens(&disk, || {
                let offsets = records.map(|record| record.unwrap().offset.get());
                assert!(offsets.eq(range.clone()));
            });
            // A record takes about 130 bytes, and a page of the index 4 KiB.
            let fetched = lens.iter().filter(|len| **len != PAGE_LEN as u64);
            let fetched = fetched.sum::<u64>();
            assert!(fetched <= len * 150, "{lens:?} of {range:?}");
        }
    }
}

/// Distances in memory between the values of lent records.
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
    let log = open_with(&disk, &LogOptions::new());
    // Their offsets take one byte each, so that all are as long.
    log.append_batch(vec![value(0); 100]).unwrap();
    let strides = strides(log.records(1..));
    assert_eq!(strides.len(), 98);
    assert!(strides[0] > 100 && strides.iter().all(|stride| *stride == strides[0]));
}

#[test]
fn a_record_after_appends_that_were_rolled_back_takes_one_read_at_most() {
    // The index has no page in its file yet, or one.
    for before in [0, 1500] {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options().segment_bytes_max(64 << 20));
        log.append_batch(vec!["kept"; before]).unwrap();
        let refused = log.submit_batch(vec!["not kept, and longer"; 3]).unwrap();
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
            let read = log.read_batch(from, usize::MAX, 1 << 20).unwrap();
            assert_eq!(from + read.len() as u64, *next);
        }
    }
}

const MANY: u64 = 3000;
const PAGE_LEN: usize = 4096;

/// A closed log of many records, in one segment, or in one that is sealed and the next.
fn closed(segment_bytes_max: u64) -> SimDisk {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().segment_bytes_max(segment_bytes_max));
    for batch in 0..MANY / 10 {
        let values = (0..10).map(|number| format!("{:>1000}", batch * 10 + number));
        log.append_batch(values.collect::<Vec<_>>()).unwrap();
    }
    log.close().unwrap();
    disk
}

type Way = fn(&mut Vec<u8>);

/// Ways to damage a large part of a store after its header.
const WAYS: [(&str, Way); 4] = [
    ("the middle is zeros", |bytes| {
        let len = bytes.len();
        bytes[len / 4..len / 4 * 3].fill(0);
    }),
    ("the beginning is zeros", |bytes| {
        let len = bytes.len();
        bytes[8192..len / 2].fill(0);
    }),
    // But for the mark that the log was closed.
    ("the end is zeros", |bytes| {
        let len = bytes.len();
        bytes[len / 2..len - 32].fill(0);
    }),
    ("every second block is zeros", |bytes| {
        let len = bytes.len();
        let blocks = bytes[8192..len - 32].chunks_mut(32 << 10);
        blocks.skip(1).step_by(2).for_each(|block| block.fill(0));
    }),
];

type Reading = fn(&Log) -> Vec<u64>;

/// The offsets of damaged records, as each way of reading all of a log reports them.
const READINGS: [(&str, Reading); 3] = [
    ("verify", |log| {
        let damaged = log.verify().unwrap().damaged;
        let offsets = damaged
            .iter()
            .map(|range| range.start.get()..range.end.get());
        offsets.flatten().collect()
    }),
    ("read", |log| {
        let is_damaged = |offset: &u64| log.read(*offset).is_err();
        (0..MANY).filter(is_damaged).collect()
    }),
    ("records", |log| {
        let mut damaged = Vec::new();
        let mut next = 0;
        while next < MANY {
            let mut records = log.records(next..);
            while let Some(Ok(_)) = records.next() {
                next += 1;
            }
            damaged.extend((next < MANY).then_some(next));
            next += 1;
        }
        damaged
    }),
];

/// Reads all of the log on `disk` in each way: in a few reads for each record, and of a few times its bytes.
fn read_over(disk: &SimDisk, what: &str) {
    let names = disk.file_names();
    let files = names.iter().map(|name| disk.read_file(name).len() as u64);
    let bytes: u64 = files.sum();
    let mut told = Vec::new();
    for (way, read) in READINGS {
        let disk = disk.deep_clone();
        let log = open_with(&disk, &options());
        let mut damaged = Vec::new();
        let lens = read_lens(&disk, || damaged = read(&log));
        let (reads, fetched) = (lens.len() as u64, lens.iter().sum::<u64>());
        assert!(reads <= 4 * MANY, "{way}, {what}: {reads} reads");
        assert!(
            fetched <= 12 * bytes,
            "{way}, {what}: {fetched} bytes of {bytes}"
        );
        told.push(damaged);
    }
    assert!(
        told[0].len() as u64 > MANY / 8,
        "{what}: {} damaged",
        told[0].len()
    );
    assert!(told.iter().all(|one| *one == told[0]), "{what}: {told:?}");
}

#[test]
fn reading_over_much_damage_costs_as_much_as_there_is() {
    for segment_bytes_max in [2 << 20, 64 << 20] {
        let whole = closed(segment_bytes_max);
        let [store, index] = ["log", "index"].map(|kind| format!("{:020}.{kind}", 0));
        for (way, damage) in WAYS {
            let disk = whole.deep_clone();
            let mut bytes = disk.read_file(&store);
            damage(&mut bytes);
            disk.write_file(&store, &bytes);
            let what = &format!("{way} of a segment of up to {segment_bytes_max}");
            read_over(&disk, what);
            let mut bytes = disk.read_file(&index);
            bytes
                .iter_mut()
                .skip(99)
                .step_by(PAGE_LEN)
                .for_each(|byte| *byte ^= 1);
            disk.write_file(&index, &bytes);
            read_over(&disk, &format!("{what}, with no page of the index"));
        }
    }
}

#[test]
fn reading_a_truncated_sealed_segment_costs_no_more_than_its_bytes() {
    let whole = closed(2 << 20);
    let store = format!("{:020}.log", 0);
    let len = whole.read_file(&store).len() as u64;
    for len in len / 2..len / 2 + 3 {
        let disk = whole.deep_clone();
        disk.truncate_file(&store, len);
        read_over(&disk, &format!("cut to {len}"));
    }
}
