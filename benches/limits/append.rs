//! Buffered appends: `store/append`, `log/append` and `log/append-batch100`.
//!
//! A store is one file without rolls and syncs, flushed at the end. A log covers at least eight segments,
//! and rolls with inline syncs. Creating and closing the file or log are not counted. Building a batch of
//! records in memory is.

use std::fs::File;
use std::hint::black_box;
use std::time::Instant;

use benches::{Side, payload};
use bytes::Bytes;
use proglog_log::{Batch, Durability, Log, LogOptions};
use proglog_store::Store;

use crate::bare::append::{BareFile, BareLog};
use crate::bare::{
    FRAME_HEADER_LEN, HEADER_LEN, RECORD_OVERHEAD_MAX, create_segment, record_len, segment_path,
};
use crate::bench::{Bench, Result, Scale, Scratch, rate, rate_of_threads};

/// Records per batch.
const BATCH_LEN: u64 = 100;
/// The default limit on a batch.
pub(crate) const BATCH_BYTES_MAX: u64 = 16 << 20;
/// Threads that append at once.
pub(crate) const THREADS: u32 = 4;

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    for bytes in bench.sizes.clone() {
        let scale = bench.scale;
        let value = payload(usize::try_from(bytes)?);
        if bench.wants("store/append") {
            bench.row(("store/append", bytes, 1), "records/s", |side| match side {
                Side::Ours => store(scale, &value),
                Side::Other => bare_store(scale, &value),
            })?;
        }
        if bench.wants("log/append") {
            bench.row(("log/append", bytes, 1), "records/s", |side| match side {
                Side::Ours => log(scale, &value, 1),
                Side::Other => bare_log(scale, bytes, 1),
            })?;
            // Compared with one thread.
            let row = ("log/append", bytes, THREADS);
            bench.row(row, "records/s", |side| match side {
                Side::Ours => log(scale, &value, THREADS),
                Side::Other => log(scale, &value, 1),
            })?;
        }
        if bench.wants("log/append-batch100") && bytes * BATCH_LEN <= BATCH_BYTES_MAX {
            let row = ("log/append-batch100", bytes, 1);
            bench.row(row, "records/s", |side| match side {
                Side::Ours => log_batches(scale, &value),
                Side::Other => bare_log(scale, bytes, BATCH_LEN),
            })?;
        }
    }
    Ok(())
}

fn store(scale: Scale, payload: &[u8]) -> Result<f64> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("store");
    let store = Store::open(&path, &proglog_store::StoreOptions::new())?;
    let count = scale.count(scale.store_bytes, payload.len() as u64);
    let begun = Instant::now();
    for _ in 0..count {
        black_box(store.append(black_box(payload))?);
    }
    store.flush()?;
    let elapsed = begun.elapsed();
    // Leaves almost nothing for closing to sync.
    File::options().write(true).open(&path)?.set_len(0)?;
    store.close()?;
    scratch.discard()?;
    Ok(rate(count, elapsed))
}

fn bare_store(scale: Scale, payload: &[u8]) -> Result<f64> {
    let scratch = Scratch::new()?;
    let file = create_segment(scratch.path(), 0)?;
    assert_eq!(
        segment_path(scratch.path(), 0).metadata()?.len(),
        HEADER_LEN
    );
    let mut bare = BareFile::new(file);
    let count = scale.count(scale.store_bytes, payload.len() as u64);
    let begun = Instant::now();
    for _ in 0..count {
        black_box(bare.append(black_box(payload))?);
    }
    bare.flush()?;
    let elapsed = begun.elapsed();
    drop(bare);
    scratch.discard()?;
    Ok(rate(count, elapsed))
}

fn options(scale: Scale) -> LogOptions {
    LogOptions::new()
        .durability(Durability::Buffered)
        .segment_bytes_max(scale.segment_bytes)
}

/// The number of batches that fill eight segments, and one more to include the eighth roll.
fn batches(scale: Scale, value_len: u64, batch_len: u64) -> u64 {
    let value_len = usize::try_from(value_len).expect("a value is short");
    let frame_len = FRAME_HEADER_LEN + record_len(value_len, 1 << 20);
    let batch_bytes = (frame_len as u64 * batch_len).min(scale.segment_bytes);
    scale.append_bytes.div_ceil(batch_bytes) + 1
}

fn log(scale: Scale, value: &Bytes, threads: u32) -> Result<f64> {
    let scratch = Scratch::new()?;
    let log = Log::open(scratch.path(), &options(scale))?;
    let each = batches(scale, value.len() as u64, 1).div_ceil(u64::from(threads));
    let figure = rate_of_threads(threads, each, || log.append(value).map(drop))?;
    assert_eq!(log.end_offset().get(), each * u64::from(threads));
    log.close()?;
    scratch.discard()?;
    Ok(figure)
}

fn log_batches(scale: Scale, value: &Bytes) -> Result<f64> {
    let scratch = Scratch::new()?;
    let log = Log::open(scratch.path(), &options(scale))?;
    let batches = batches(scale, value.len() as u64, BATCH_LEN);
    let begun = Instant::now();
    for _ in 0..batches {
        let batch = (0..BATCH_LEN).map(|_| value.clone()).collect::<Batch>();
        log.append_batch(batch)?;
    }
    let elapsed = begun.elapsed();
    log.close()?;
    scratch.discard()?;
    Ok(rate(batches * BATCH_LEN, elapsed))
}

/// Frames of the same length as those of the records; a batch is in one segment.
fn bare_log(scale: Scale, value_len: u64, batch_len: u64) -> Result<f64> {
    let scratch = Scratch::new()?;
    let batches = batches(scale, value_len, batch_len);
    let value_len = usize::try_from(value_len)?;
    let payload = payload(value_len + RECORD_OVERHEAD_MAX);
    let mut bare = BareLog::create(scratch.path(), scale.segment_bytes)?;
    let mut offset = 0;
    let begun = Instant::now();
    for _ in 0..batches {
        let frame_len = FRAME_HEADER_LEN + record_len(value_len, offset + batch_len);
        bare.make_room(frame_len as u64 * batch_len)?;
        for _ in 0..batch_len {
            let len = record_len(value_len, offset);
            bare.append_unchecked(black_box(&payload[..len]))?;
            offset += 1;
        }
    }
    let elapsed = begun.elapsed();
    assert!(bare.finish()? >= 8);
    scratch.discard()?;
    Ok(rate(offset, elapsed))
}
