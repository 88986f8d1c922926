//! Appends to a store: into its buffer, and from there to the operating system.
//!
//! The figures include the appends and a flush at the end. They do not show a device: nothing is synced
//! while the clock runs, and no file grows beyond [`FILE_BYTES`].

mod measured;

use std::fs::File;
use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::{SIZES, payload};
use criterion::{Criterion, Throughput};
use proglog_store::{Store, StoreOptions};

/// Bytes appended to one file.
const FILE_BYTES: usize = 128 << 20;

fn main() {
    let mut criterion = measured::configured();
    store_append(&mut criterion);
    criterion.final_summary();
}

fn store_append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store_append");
    for (name, size) in SIZES {
        let payload = payload(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|appends| append(appends, &payload));
        });
    }
    group.finish();
}

/// The time of `appends` appends.
fn append(appends: u64, payload: &[u8]) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = appends;
    while left > 0 {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store");
        let store = Store::open(&path, &StoreOptions::new()).expect("a store");
        let now = left.min((FILE_BYTES / payload.len()) as u64);
        let begun = Instant::now();
        for _ in 0..now {
            black_box(store.append(black_box(payload))).expect("an append");
        }
        store.flush().expect("a flush");
        elapsed += begun.elapsed();
        left -= now;
        discard(&path);
    }
    elapsed
}

/// Empties the file, so that closing the store has nothing to sync.
fn discard(path: &std::path::Path) {
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.set_len(0)).expect("a file");
}
