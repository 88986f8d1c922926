//! Durable appends by 1, 8 and 64 threads, each of which waits for every append: `log/append-synced`.

use std::hint::black_box;

use benches::{Side, payload};
use proglog_log::{Log, LogOptions};

use crate::bare::synced::BareQueue;
use crate::bare::{RECORD_OVERHEAD_MAX, record_len};
use crate::bench::{Bench, Result, Scale, Scratch, rate_of_threads};

pub(crate) const THREADS: [u32; 3] = [1, 8, 64];

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    if !bench.wants("log/append-synced") {
        return Ok(());
    }
    for bytes in bench.sizes.clone() {
        for (threads, each) in THREADS.into_iter().zip(bench.scale.synced_appends) {
            let scale = bench.scale;
            let most = scale.work_bytes_max / bytes / u64::from(threads);
            let each = each.min(most.max(1));
            let row = ("log/append-synced", bytes, threads);
            bench.row(row, "records/s", |side| match side {
                Side::Ours => log(scale, bytes, threads, each),
                Side::Other => bare(scale, bytes, threads, each),
            })?;
        }
    }
    Ok(())
}

fn log(scale: Scale, bytes: u64, threads: u32, each: u64) -> Result<f64> {
    let scratch = Scratch::new()?;
    let options = LogOptions::new().segment_bytes_max(scale.segment_bytes);
    let log = Log::open(scratch.path(), &options)?;
    let value = payload(usize::try_from(bytes)?);
    let figure = rate_of_threads(threads, each, || log.append(value.clone()).map(drop))?;
    assert_eq!(log.end_offset().get(), each * u64::from(threads));
    log.close()?;
    scratch.discard()?;
    Ok(figure)
}

fn bare(scale: Scale, bytes: u64, threads: u32, each: u64) -> Result<f64> {
    let scratch = Scratch::new()?;
    let queue = BareQueue::create(scratch.path(), scale.segment_bytes)?;
    let value_len = usize::try_from(bytes)?;
    let payload = payload(value_len + RECORD_OVERHEAD_MAX);
    let payload = &payload[..record_len(value_len, each * u64::from(threads) / 2)];
    let figure = rate_of_threads(threads, each, || queue.append(black_box(payload)))?;
    drop(queue);
    scratch.discard()?;
    Ok(figure)
}
