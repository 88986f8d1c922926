//! commitlog 0.2.
//!
//! It has no buffer: each append is one `write`. Its `flush` calls `File::flush`, which does nothing, so it
//! cannot make an append durable. Appending takes `&mut self`.

use std::sync::Mutex;

use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};

use crate::system::{
    Bytes, Context, Duration, Facts, Instant, Result, SEGMENT_BYTES, Setup, System,
};

/// The length of the bytes before a message's payload.
const HEADER_BYTES: usize = 20;
/// Reading fails if the last message of a segment reaches this limit exactly.
const LIMIT_SLACK: usize = 1;
/// Bytes per read of a scan; a message may be larger.
const SCAN_BYTES: usize = 256 << 10;

pub(crate) struct Commitlog {
    log: Mutex<CommitLog>,
    record_bytes: usize,
}

impl System for Commitlog {
    const NAME: &'static str = "commitlog";
    const FACTS: Facts = Facts {
        version: "commitlog 0.2.0",
        verifies: "always (CRC-32C)",
        syncs: "no: `flush` does nothing",
        opening: "verifies nothing; takes no lock",
        copies: "1 / 1",
        durable: false,
        numbered: true,
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        let mut options = LogOptions::new(setup.directory);
        // The index is memory-mapped; large enough from the start, it is never remapped.
        let messages = SEGMENT_BYTES / (setup.record_bytes + HEADER_BYTES) + 2;
        options
            .segment_max_bytes(SEGMENT_BYTES)
            .index_max_items(messages)
            // The limit on a whole batch.
            .message_max_bytes(SEGMENT_BYTES);
        Ok(Self {
            log: Mutex::new(CommitLog::new(options)?),
            record_bytes: setup.record_bytes,
        })
    }

    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        let log = self.log.get_mut().expect("no thread has panicked");
        // Like `append_msg`, but with one buffer for all.
        let mut buffer = MessageBuf::default();
        for value in values {
            buffer.clear();
            buffer.push(value).ok().context("too large for a message")?;
            log.append(&mut buffer)?;
        }
        Ok(Instant::now())
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        let log = self.log.get_mut().expect("no thread has panicked");
        let mut buffer = MessageBuf::default();
        for batch in batches {
            buffer.clear();
            for value in batch {
                buffer.push(value).ok().context("too large for a message")?;
            }
            log.append(&mut buffer)?;
        }
        Ok(Instant::now())
    }

    /// Hands the batch to the operating system; it cannot do more.
    fn append_synced(&self, _: u32, batch: &[Bytes]) -> Result<()> {
        let mut buffer = batch.iter().collect::<MessageBuf>();
        let mut log = self.log.lock().expect("no thread has panicked");
        log.append(&mut buffer)?;
        Ok(())
    }

    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let log = Self::open(setup)?
            .log
            .into_inner()
            .expect("no thread has panicked");
        let limit =
            ReadLimit::max_bytes(SCAN_BYTES.max(setup.record_bytes + HEADER_BYTES + LIMIT_SLACK));
        let begun = Instant::now();
        let mut next = 0;
        // Each read is one `pread`, and verifies everything read.
        while next < log.next_offset() {
            for message in log.read(next, limit)?.iter() {
                visit(message.payload());
                next = message.offset() + 1;
            }
        }
        Ok(begun.elapsed())
    }

    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()> {
        // Less than two messages, so that it reads only one.
        let limit = ReadLimit::max_bytes(self.record_bytes + HEADER_BYTES + LIMIT_SLACK);
        let read = self
            .log
            .lock()
            .expect("no thread has panicked")
            .read(number, limit)?;
        visit(read.iter().next().context("no such message")?.payload());
        Ok(())
    }

    fn close(self) -> Result<()> {
        let mut log = self.log.into_inner().expect("no thread has panicked");
        Ok(log.flush()?)
    }
}
