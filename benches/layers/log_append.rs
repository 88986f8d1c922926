//! Appends to a log by one thread: size of a record x records in a batch x durability.
//!
//! An append returns when it is as durable as its log promises, so `synced` shows the latency of one sync
//! after another; appends of several threads would share them. The figures include the rolls between
//! segments (64 MiB), which sync in every durability, and building a batch of records in memory. They do
//! not include closing the log.

mod measured;

use std::time::{Duration, Instant};

use benches::{SIZES, payload};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use proglog_log::{Batch, Durability, Log, LogOptions};

const DURABILITIES: [(&str, Durability); 3] = [
    ("synced", Durability::Synced),
    ("interval", Durability::INTERVAL),
    ("buffered", Durability::Buffered),
];
const BATCH_LENS: [usize; 3] = [1, 10, 100];
/// The default limit on a batch.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bytes appended to one log.
const LOG_BYTES: usize = 256 << 20;

fn main() {
    let mut criterion = measured::configured();
    for (name, durability) in DURABILITIES {
        log_append(&mut criterion, name, durability);
    }
    criterion.final_summary();
}

fn log_append(criterion: &mut Criterion, durability_name: &str, durability: Durability) {
    let mut group = criterion.benchmark_group(format!("log_append/{durability_name}"));
    // There are many iterations, and each closes its log outside the measurement.
    group.warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(500));
    for (name, size) in SIZES {
        let value = payload(size);
        for batch_len in BATCH_LENS {
            let bytes = size * batch_len;
            if bytes > BATCH_BYTES_MAX {
                continue;
            }
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(BenchmarkId::new(name, batch_len), |bencher| {
                bencher.iter_custom(|appends| append(appends, &value, batch_len, durability));
            });
        }
    }
    group.finish();
}

/// The time of `appends` appends of a batch.
fn append(appends: u64, value: &Bytes, batch_len: usize, durability: Durability) -> Duration {
    let options = LogOptions::new().durability(durability);
    let mut elapsed = Duration::ZERO;
    let mut left = appends;
    while left > 0 {
        let directory = tempfile::tempdir().expect("a directory");
        let log = Log::open(directory.path(), &options).expect("a log");
        let now = left.min((LOG_BYTES / (value.len() * batch_len)) as u64);
        let begun = Instant::now();
        for _ in 0..now {
            let batch = (0..batch_len).map(|_| value.clone()).collect::<Batch>();
            log.append_batch(batch).expect("an append");
        }
        elapsed += begun.elapsed();
        left -= now;
        log.close().expect("a close");
    }
    elapsed
}
