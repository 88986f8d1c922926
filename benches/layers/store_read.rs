//! Reads from a store: `random` by position, `scan` in order. Every read verifies its checksum.
//!
//! The file is in the page cache, so the figures show system calls, checksums and copies, not a device.

mod measured;

use std::hint::black_box;

use benches::{Random, SIZES, payload};
use criterion::{Criterion, SamplingMode, Throughput};
use proglog_store::{Position, Store, StoreOptions};
use tempfile::TempDir;

/// Bytes of payload in the store.
const STORE_BYTES: usize = 64 << 20;

fn main() {
    let mut criterion = measured::configured();
    for (name, size) in SIZES {
        let (directory, store, positions) = load(size);
        random(&mut criterion, name, &store, &positions);
        scan(&mut criterion, name, &store, positions.len());
        store.close().expect("a close");
        drop(directory);
    }
    criterion.final_summary();
}

fn load(size: usize) -> (TempDir, Store, Vec<Position>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path().join("store"), &StoreOptions::new()).expect("a store");
    let payload = payload(size);
    let append = |_| store.append(&payload).expect("an append").position;
    let positions = (0..STORE_BYTES / size).map(append).collect();
    store.sync().expect("a sync");
    (directory, store, positions)
}

fn random(criterion: &mut Criterion, name: &str, store: &Store, positions: &[Position]) {
    let mut group = criterion.benchmark_group("store_read/random");
    let size = STORE_BYTES / positions.len();
    group.throughput(Throughput::Bytes(size as u64));
    let mut random = Random::new(1);
    let mut pick = || {
        let index = usize::try_from(random.below(positions.len() as u64));
        positions[index.expect("less than a length")]
    };
    group.bench_function(name, |bencher| {
        bencher.iter(|| store.read(black_box(pick())).expect("a read"));
    });
    group.finish();
}

fn scan(criterion: &mut Criterion, name: &str, store: &Store, count: usize) {
    let mut group = criterion.benchmark_group("store_read/scan");
    group.throughput(Throughput::Bytes(STORE_BYTES as u64));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut read = 0;
            for frame in store.frames(..) {
                black_box(frame.expect("a frame").payload);
                read += 1;
            }
            assert_eq!(read, count);
        });
    });
    group.finish();
}
