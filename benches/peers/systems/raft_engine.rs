//! raft-engine 0.4.
//!
//! The log store of `TiKV`: many logs in one. The caller chooses the numbers of entries and must keep them
//! dense. It has no buffer: each write is one `pwrite`.

use std::sync::atomic::{AtomicU64, Ordering};

use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use raft_proto::eraftpb::Entry;

use crate::system::{
    Bytes, Context, Duration, Facts, Instant, Result, SEGMENT_BYTES, Setup, System,
};

/// The most threads that append at a time.
const REGIONS: u64 = 64;
/// Entries per fetch of a scan: enough to make the cost of a fetch negligible.
const SCAN_ENTRIES: u64 = 1000;

pub(crate) struct RaftEngine {
    engine: Engine,
    /// The next entry of each log. Each thread appends to its own log, since numbers in a shared one would need
    /// a lock.
    next: Vec<AtomicU64>,
}

struct Extension;

impl MessageExt for Extension {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

impl RaftEngine {
    fn write(&self, region: u64, values: &[Bytes], sync: bool) -> Result<()> {
        let next = &self.next[usize::try_from(region)?];
        let first = next.load(Ordering::Relaxed);
        let entries = (first..)
            .zip(values)
            .map(|(index, value)| {
                let mut entry = Entry::default();
                entry.set_index(index);
                entry.set_data(value.clone());
                entry
            })
            .collect::<Vec<_>>();
        let mut batch = LogBatch::default();
        batch.add_entries::<Extension>(region, &entries)?;
        self.engine.write(&mut batch, sync)?;
        next.store(first + values.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl System for RaftEngine {
    const NAME: &'static str = "raft-engine";
    const FACTS: Facts = Facts {
        version: "raft-engine 0.4.2",
        verifies: "always (CRC-32), the whole batch",
        syncs: "one sync for all that wait",
        opening: "reads and verifies where each batch's records lie",
        copies: "1 / 2",
        durable: true,
        numbered: true,
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        let directory = setup.directory.to_str().context("not a path in UTF-8")?;
        let engine = Engine::open(Config {
            dir: directory.to_owned(),
            target_file_size: ReadableSize(SEGMENT_BYTES as u64),
            // No compression, as in all systems.
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        })?;
        let next = |region| engine.last_index(region).map_or(1, |last| last + 1);
        let next = (0..REGIONS)
            .map(|region| AtomicU64::new(next(region)))
            .collect();
        Ok(Self { engine, next })
    }

    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        for value in values {
            self.write(0, std::slice::from_ref(value), false)?;
        }
        Ok(Instant::now())
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        for batch in batches {
            self.write(0, batch, false)?;
        }
        Ok(Instant::now())
    }

    fn append_synced(&self, thread: u32, batch: &[Bytes]) -> Result<()> {
        self.write(thread.into(), batch, true)
    }

    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let log = Self::open(setup)?;
        let begun = Instant::now();
        let mut entries = Vec::new();
        for (region, end) in (0..).zip(&log.next) {
            let end = end.load(Ordering::Relaxed);
            let mut next = 1;
            while next < end {
                let until = end.min(next + SCAN_ENTRIES);
                let engine = &log.engine;
                engine.fetch_entries_to::<Extension>(region, next, until, None, &mut entries)?;
                for entry in entries.drain(..) {
                    visit(&entry.data);
                }
                next = until;
            }
        }
        Ok(begun.elapsed())
    }

    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()> {
        let entry = self.engine.get_entry::<Extension>(0, number + 1)?;
        visit(&entry.context("no such entry")?.data);
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.engine.sync()?)
    }
}
