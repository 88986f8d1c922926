//! Opening a log: `log/reopen-clean` after it was closed, `log/reopen-killed` after its process was
//! killed. Times in milliseconds, without closing it.
//!
//! A killed log is a copy of the files of an open synced log with every append acknowledged. Almost 16 MiB
//! of its newest segment, the most possible, are above the checkpoint's recovery point. The limit reads and
//! verifies as much in order. For a closed log, the limit takes the lock, reads the checkpoint and the
//! newest segment's header, and checks the end of that segment.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use benches::{Side, median, payload};
use proglog_log::{Batch, Log, LogOptions};

use crate::bare::append::BareLog;
use crate::bare::read::{BLOCK_LENS, scan};
use crate::bare::{FRAME_HEADER_LEN, RECORD_OVERHEAD_MAX, record_len, segment_path};
use crate::bench::{Bench, Result, Scale, Scratch};
use crate::read::{LOAD_BATCH_BYTES, load_closed};

/// Openings of a closed log per measurement, which is their median.
const OPENINGS: usize = 11;
/// Just less than the bytes appended between two checkpoints.
const UNKNOWN_BYTES: u64 = 15 << 20;

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    for bytes in bench.sizes.clone() {
        if bench.wants("log/reopen-clean") {
            clean(bench, bytes)?;
        }
        if bench.wants("log/reopen-killed") {
            killed(bench, bytes)?;
        }
    }
    Ok(())
}

fn clean(bench: &mut Bench, bytes: u64) -> Result<()> {
    let scale = bench.scale;
    let scratch = Scratch::new()?;
    load_closed(&scratch, scale, bytes, scale.count(scale.read_bytes, bytes))?;
    let row = ("log/reopen-clean", bytes, 1);
    bench.row(row, "ms", |side| {
        let times = (0..OPENINGS).map(|_| match side {
            Side::Ours => {
                let begun = Instant::now();
                let log = Log::open(scratch.path(), &LogOptions::new())?;
                let elapsed = begun.elapsed();
                assert!(log.recovery().clean);
                log.close()?;
                Ok(millis(elapsed))
            }
            Side::Other => bare_open(scratch.path()).map(millis),
        });
        Ok(median(&times.collect::<Result<Vec<_>>>()?))
    })?;
    scratch.discard()
}

/// Reads what every log has to read.
fn bare_open(directory: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let mut block = [0; 8 << 10];
    let lock = File::options().write(true).open(directory.join("LOCK"))?;
    lock.try_lock()?;
    File::open(directory.join("checkpoint"))?.read_at(&mut block, 0)?;
    let segment = File::options()
        .read(true)
        .write(true)
        .open(newest_segment(directory)?)?;
    segment.read_at(&mut block, 0)?;
    let len = segment.metadata()?.len();
    segment.read_at(&mut block[..64], len.saturating_sub(64))?;
    let elapsed = begun.elapsed();
    lock.unlock()?;
    Ok(elapsed)
}

fn killed(bench: &mut Bench, bytes: u64) -> Result<()> {
    let scale = bench.scale;
    let (live, other) = (Scratch::new()?, Scratch::new()?);
    // Never idle: an idle mark would say that everything is synced.
    let options = LogOptions::new()
        .segment_bytes_max(scale.segment_bytes)
        .idle_after(Duration::MAX);
    let log = Log::open(live.path(), &options)?;
    let unknown = load(&log, live.path(), scale, bytes)?;
    load_bare(&other, bytes, unknown)?;
    let file = File::open(segment_path(other.path(), 0))?;
    let row = ("log/reopen-killed", bytes, 1);
    let records = log.end_offset();
    bench.row(row, "ms", |side| match side {
        Side::Ours => {
            let scratch = Scratch::new()?;
            copy_killed(live.path(), scratch.path())?;
            let begun = Instant::now();
            let log = Log::open(scratch.path(), &options)?;
            let elapsed = begun.elapsed();
            assert!(!log.recovery().clean && log.end_offset() == records);
            log.close()?;
            scratch.discard()?;
            Ok(millis(elapsed))
        }
        Side::Other => {
            let times = BLOCK_LENS.map(|block_len| {
                let mut buffer = Vec::new();
                let begun = Instant::now();
                scan(&file, block_len, &mut buffer)?;
                Ok(millis(begun.elapsed()))
            });
            let times = times.into_iter().collect::<Result<Vec<_>>>()?;
            Ok(times.into_iter().fold(f64::INFINITY, f64::min))
        }
    })?;
    log.close()?;
    live.discard()?;
    other.discard()
}

/// Appends until there is enough to read and the newest segment has as much above the recovery point as
/// possible. Returns that length.
fn load(log: &Log, directory: &Path, scale: Scale, bytes: u64) -> Result<u64> {
    let value = payload(usize::try_from(bytes)?);
    let batch_len = (LOAD_BATCH_BYTES / bytes).max(1);
    let append = |batches: u64| {
        (0..batches).try_for_each(|_| {
            let batch = (0..batch_len).map(|_| value.clone()).collect::<Batch>();
            log.append_batch(batch).map(drop)
        })
    };
    let count = scale.count(scale.read_bytes, bytes);
    append(count.div_ceil(batch_len))?;
    // The segments of a quick run are shorter: almost all of one.
    let most = UNKNOWN_BYTES.min(scale.segment_bytes / 8 * 7);
    // At least what a batch adds, with a mark before it.
    let frame_len = FRAME_HEADER_LEN + record_len(usize::try_from(bytes)?, u64::MAX);
    let step = batch_len * frame_len as u64 + 32;
    loop {
        append(1)?;
        // Not the file's length: zeros follow the data.
        let records = log.end_offset().get() - base_offset(&newest_segment(directory)?)?;
        let unknown = records * frame_len as u64;
        // Another batch would be too much, or a single batch already is.
        if unknown + step > most && (unknown <= most || step > most) {
            return Ok(unknown);
        }
    }
}

/// The base offset of a segment, from its file name.
fn base_offset(segment: &Path) -> Result<u64> {
    let stem = segment.file_stem().and_then(|stem| stem.to_str());
    Ok(stem.ok_or("a segment has a name")?.parse()?)
}

/// A bare segment of `len` bytes of frames.
fn load_bare(scratch: &Scratch, bytes: u64, len: u64) -> Result<()> {
    let value_len = usize::try_from(bytes)?;
    let payload = payload(value_len + RECORD_OVERHEAD_MAX);
    let record = &payload[..record_len(value_len, 1 << 20)];
    let mut load = BareLog::create(scratch.path(), u64::MAX)?;
    for _ in 0..len.div_ceil((FRAME_HEADER_LEN + record.len()) as u64) {
        load.append_unchecked(record)?;
    }
    load.finish()?;
    Ok(())
}

/// The store of the newest segment: file names sort by offset.
fn newest_segment(directory: &Path) -> Result<PathBuf> {
    let paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let paths = paths.collect::<Result<Vec<_>>>()?;
    let stores = paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    stores.max().ok_or_else(|| "there is no segment".into())
}

/// Copies the files of an open log. Sealed segments never change, so they are linked.
fn copy_killed(from: &Path, to: &Path) -> Result<()> {
    let newest = newest_segment(from)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        let sealed = path.extension().is_some() && path.file_stem() != newest.file_stem();
        if sealed {
            fs::hard_link(&path, to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    benches::settle(to)?;
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
