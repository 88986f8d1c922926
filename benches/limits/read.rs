//! Reads from the page cache: `store/scan` and `store/read`, `log/scan`, `log/read` and `log/verify`.
//!
//! Random reads are chosen beforehand, the same for both sides: positions for the store, which does not
//! know the length of a frame, and offsets for the log, which has it in its index.

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use benches::{Random, Side, payload};
use proglog_log::{Batch, Durability, Log, LogOptions};
use proglog_store::{Position, Store};

use crate::bare::append::BareLog;
use crate::bare::read::{BLOCK_LENS, read, scan};
use crate::bare::{FRAME_HEADER_LEN, RECORD_OVERHEAD_MAX, record_len, segment_path};
use crate::bench::{Bench, Result, Scale, Scratch, rate};

/// Bytes per batch while loading.
pub(crate) const LOAD_BATCH_BYTES: u64 = 64 << 10;

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    for bytes in bench.sizes.clone() {
        if bench.wants_any(&["store/scan", "store/read"]) {
            store(bench, bytes)?;
        }
        if bench.wants_any(&["log/scan", "log/read", "log/verify"]) {
            log(bench, bytes)?;
        }
    }
    Ok(())
}

/// The numbers of the records to read, in random order.
fn picks(scale: Scale, bytes: u64, count: u64) -> Vec<u64> {
    let reads = scale.reads.min((scale.work_bytes_max / bytes).max(1));
    let mut random = Random::new(bytes);
    (0..reads).map(|_| random.below(count)).collect()
}

fn store(bench: &mut Bench, bytes: u64) -> Result<()> {
    let scale = bench.scale;
    let count = scale.count(scale.read_bytes, bytes);
    let value = payload(usize::try_from(bytes)?);
    let (ours, other) = (Scratch::new()?, Scratch::new()?);
    let store = Store::open(
        ours.path().join("store"),
        &proglog_store::StoreOptions::new(),
    )?;
    let mut positions = Vec::new();
    for _ in 0..count {
        positions.push(store.append(&value)?.position);
    }
    store.sync()?;
    // One segment holds them all.
    let mut load = BareLog::create(other.path(), u64::MAX)?;
    for _ in 0..count {
        load.append_unchecked(&value)?;
    }
    load.finish()?;
    let bare = Bare::open(&other, 1)?;
    let picks = picks(scale, bytes, count);
    let places = {
        let frame_len = FRAME_HEADER_LEN as u64 + bytes;
        let place = |pick: &u64| (0, crate::bare::HEADER_LEN + pick * frame_len);
        picks.iter().map(place).collect::<Vec<_>>()
    };
    let positions = picks
        .iter()
        .map(|pick| Ok(positions[usize::try_from(*pick)?]))
        .collect::<Result<Vec<_>>>()?;

    if bench.wants("store/scan") {
        bench.row(("store/scan", bytes, 1), "records/s", |side| match side {
            Side::Ours => scan_store(&store, count),
            Side::Other => bare.scan(count),
        })?;
    }
    if bench.wants("store/read") {
        bench.row(("store/read", bytes, 1), "records/s", |side| match side {
            Side::Ours => read_store(&store, &positions),
            Side::Other => bare.read(&places, |_| value.len()),
        })?;
    }
    store.close()?;
    ours.discard()?;
    other.discard()
}

fn scan_store(store: &Store, count: u64) -> Result<f64> {
    let begun = Instant::now();
    let mut seen = 0;
    let mut frames = store.frames(..);
    while let Some(frame) = frames.next_ref() {
        black_box(frame?.payload);
        seen += 1;
    }
    let elapsed = begun.elapsed();
    assert_eq!(seen, count);
    Ok(rate(count, elapsed))
}

fn read_store(store: &Store, positions: &[Position]) -> Result<f64> {
    let begun = Instant::now();
    for position in positions {
        black_box(store.read(*position)?);
    }
    Ok(rate(positions.len() as u64, begun.elapsed()))
}

fn log(bench: &mut Bench, bytes: u64) -> Result<()> {
    let scale = bench.scale;
    let count = scale.count(scale.read_bytes, bytes);
    let value_len = usize::try_from(bytes)?;
    let (ours, other) = (Scratch::new()?, Scratch::new()?);
    load_closed(&ours, scale, bytes, count)?;
    let log = Log::open(ours.path(), &LogOptions::new())?;
    let mut load = BareLog::create(other.path(), scale.segment_bytes)?;
    let payload = payload(value_len + RECORD_OVERHEAD_MAX);
    let mut places = Vec::new();
    for offset in 0..count {
        let record = &payload[..record_len(value_len, offset)];
        places.push(load.append(record)?);
    }
    let bare = Bare::open(&other, load.finish()?)?;
    let picks = picks(scale, bytes, count);
    let places = picks
        .iter()
        .map(|pick| Ok(places[usize::try_from(*pick)?]))
        .collect::<Result<Vec<_>>>()?;

    if bench.wants("log/scan") {
        bench.row(("log/scan", bytes, 1), "records/s", |side| match side {
            Side::Ours => scan_log(&log, count),
            Side::Other => bare.scan(count),
        })?;
    }
    if bench.wants("log/verify") {
        bench.row(("log/verify", bytes, 1), "records/s", |side| match side {
            Side::Ours => verify_log(&log, count),
            Side::Other => bare.scan(count),
        })?;
    }
    if bench.wants("log/read") {
        bench.row(("log/read", bytes, 1), "records/s", |side| match side {
            Side::Ours => read_log(&log, &picks),
            Side::Other => bare.read(&places, |number| record_len(value_len, picks[number])),
        })?;
    }
    log.close()?;
    ours.discard()?;
    other.discard()
}

/// Loads a log of `count` records and closes it.
pub(crate) fn load_closed(scratch: &Scratch, scale: Scale, bytes: u64, count: u64) -> Result<()> {
    let options = LogOptions::new()
        .durability(Durability::Buffered)
        .segment_bytes_max(scale.segment_bytes);
    let log = Log::open(scratch.path(), &options)?;
    let value = payload(usize::try_from(bytes)?);
    let mut left = count;
    while left > 0 {
        let now = left.min((LOAD_BATCH_BYTES / bytes).max(1));
        log.append_batch((0..now).map(|_| value.clone()).collect::<Batch>())?;
        left -= now;
    }
    Ok(log.close()?)
}

/// Verifies every record.
fn verify_log(log: &Log, count: u64) -> Result<f64> {
    let begun = Instant::now();
    let found = log.verify()?;
    let elapsed = begun.elapsed();
    assert_eq!(found.records.end.get(), count);
    assert!(found.damaged.is_empty());
    Ok(rate(count, elapsed))
}

/// Verifies and decodes every record.
fn scan_log(log: &Log, count: u64) -> Result<f64> {
    let begun = Instant::now();
    let (mut records, mut seen) = (log.records(0..), 0);
    while let Some(record) = records.next_ref() {
        black_box(record?.value);
        seen += 1;
    }
    let elapsed = begun.elapsed();
    assert_eq!(seen, count);
    Ok(rate(count, elapsed))
}

fn read_log(log: &Log, offsets: &[u64]) -> Result<f64> {
    let begun = Instant::now();
    for offset in offsets {
        black_box(log.read(*offset)?);
    }
    Ok(rate(offsets.len() as u64, begun.elapsed()))
}

/// Bare segments to read.
struct Bare {
    segments: Vec<File>,
    /// The block length of the fastest scan.
    block_len: usize,
}

impl Bare {
    fn open(scratch: &Scratch, segments: usize) -> Result<Self> {
        let open = |number| File::open(segment_path(scratch.path(), number));
        let segments = (0..segments).map(open).collect::<Result<Vec<_>, _>>()?;
        let mut fastest = None;
        // By the second round the memory is mapped and the files are cached.
        for (round, block_len) in [0, 1]
            .into_iter()
            .flat_map(|round| BLOCK_LENS.map(|len| (round, len)))
        {
            let begun = Instant::now();
            scan(&segments[0], block_len, &mut Vec::new())?;
            let candidate = Some((begun.elapsed(), block_len));
            if round > 0 && (fastest.is_none() || candidate < fastest) {
                fastest = candidate;
            }
        }
        let (_, block_len) = fastest.expect("there are lengths");
        Ok(Self {
            segments,
            block_len,
        })
    }

    fn scan(&self, count: u64) -> Result<f64> {
        let begun = Instant::now();
        let mut buffer = Vec::new();
        let mut seen = 0;
        for segment in &self.segments {
            seen += scan(segment, self.block_len, &mut buffer)?;
        }
        let elapsed = begun.elapsed();
        assert_eq!(seen, count);
        Ok(rate(count, elapsed))
    }

    /// Reads the frames at `places`, with payloads of the lengths that `payload_len` returns.
    fn read(&self, places: &[(usize, u64)], payload_len: impl Fn(usize) -> usize) -> Result<f64> {
        let begun = Instant::now();
        for (number, (segment, at)) in places.iter().enumerate() {
            let len = FRAME_HEADER_LEN + payload_len(number);
            let place: Range<u64> = *at..at + len as u64;
            black_box(read(&self.segments[*segment], place)?);
        }
        Ok(rate(places.len() as u64, begun.elapsed()))
    }
}
