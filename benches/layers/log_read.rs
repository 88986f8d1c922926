//! Reads from a log: `random` by offset, `scan` in order. Every record is verified and decoded.
//!
//! The log was closed and reopened, and its files are in the page cache: the figures show the index,
//! system calls, checksums and decoding, not a device.

mod measured;

use std::hint::black_box;

use benches::{Random, SIZES, payload};
use criterion::{Criterion, SamplingMode, Throughput};
use proglog_log::{Batch, Durability, Log, LogOptions};
use tempfile::TempDir;

/// Bytes of values in the log: with their overhead, at least two segments.
const LOG_BYTES: usize = 64 << 20;
/// Bytes per batch while loading.
const BATCH_BYTES: usize = 1 << 20;

fn main() {
    let mut criterion = measured::configured();
    for (name, size) in SIZES {
        let (directory, log) = load(size);
        let count = LOG_BYTES / size;
        random(&mut criterion, name, &log, count);
        scan(&mut criterion, name, &log, count);
        log.close().expect("a close");
        drop(directory);
    }
    criterion.final_summary();
}

fn load(size: usize) -> (TempDir, Log) {
    let directory = tempfile::tempdir().expect("a directory");
    let options = LogOptions::new().durability(Durability::Buffered);
    let log = Log::open(directory.path(), &options).expect("a log");
    let batch = vec![payload(size); BATCH_BYTES / size];
    for _ in 0..LOG_BYTES / BATCH_BYTES {
        let batch = batch.iter().cloned().collect::<Batch>();
        log.append_batch(batch).expect("an append");
    }
    log.close().expect("a close");
    let log = Log::open(directory.path(), &options).expect("a log");
    (directory, log)
}

fn random(criterion: &mut Criterion, name: &str, log: &Log, count: usize) {
    let mut group = criterion.benchmark_group("log_read/random");
    group.throughput(Throughput::Bytes((LOG_BYTES / count) as u64));
    let mut random = Random::new(1);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let offset = random.below(count as u64);
            log.read(black_box(offset)).expect("a read")
        });
    });
    group.finish();
}

fn scan(criterion: &mut Criterion, name: &str, log: &Log, count: usize) {
    let mut group = criterion.benchmark_group("log_read/scan");
    group.throughput(Throughput::Bytes(LOG_BYTES as u64));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut read = 0;
            for record in log.records(0..) {
                black_box(record.expect("a record").value);
                read += 1;
            }
            assert_eq!(read, count);
        });
    });
    group.finish();
}
