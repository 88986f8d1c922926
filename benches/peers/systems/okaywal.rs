//! okaywal 0.3.
//!
//! A write-ahead log: it keeps entries since the last checkpoint in one file, and reads them back only when
//! it is opened. An entry is a list of chunks; committing it always syncs.

use std::io::Read;
use std::sync::{Arc, PoisonError};

use okaywal::{
    Configuration, Entry, EntryId, LogManager, LogPosition, ReadChunkResult, SegmentReader,
    WriteAheadLog,
};
use parking_lot::Mutex;

use crate::system::{
    Bytes, Duration, Facts, Instant, Purpose, Result, SEGMENT_BYTES, Setup, System,
};

/// Proglog's size: the default of 16 KiB is slower.
const BUFFER_BYTES: usize = 256 << 10;

pub(crate) struct Okaywal {
    log: WriteAheadLog,
    /// Records have positions and no numbers; the owner has to remember them.
    positions: Arc<Mutex<Vec<LogPosition>>>,
}

/// Reads all entries, as an owner has to in order to find them.
struct Recover<V> {
    positions: Arc<Mutex<Vec<LogPosition>>>,
    /// A manager has to be `Sync`, but recovers on one thread: the lock is never contended.
    visit: std::sync::Mutex<V>,
    buffer: Vec<u8>,
}

impl<V> std::fmt::Debug for Recover<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recover").finish_non_exhaustive()
    }
}

impl<V: FnMut(&[u8]) + Send + 'static> LogManager for Recover<V> {
    fn recover(&mut self, entry: &mut Entry<'_>) -> std::io::Result<()> {
        let mut positions = self.positions.lock();
        let visit = self.visit.get_mut().unwrap_or_else(PoisonError::into_inner);
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            // Skipping it would discard the read-ahead and be slower.
            self.buffer.clear();
            chunk.read_to_end(&mut self.buffer)?;
            if !chunk.check_crc()? {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            positions.push(chunk.log_position());
            visit(&self.buffer);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: EntryId,
        _: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> std::io::Result<()> {
        Ok(())
    }
}

fn open<V>(setup: &Setup<'_>, visit: V) -> Result<Okaywal>
where
    V: FnMut(&[u8]) + Send + 'static,
{
    let positions = Arc::new(Mutex::new(Vec::new()));
    let manager = Recover {
        positions: Arc::clone(&positions),
        visit: std::sync::Mutex::new(visit),
        buffer: Vec::new(),
    };
    let log = Configuration::default_for(setup.directory)
        // It fills a new file with zeros. For durable appends this pays and is not counted; for buffered
        // ones it would write the file twice.
        .preallocate_bytes(match setup.purpose {
            Purpose::Synced => u32::try_from(SEGMENT_BYTES)?,
            Purpose::Buffered | Purpose::Read => 1 << 20,
        })
        // A checkpoint would drop the entries.
        .checkpoint_after_bytes(u64::MAX)
        .buffer_bytes(BUFFER_BYTES)
        .open(manager)?;
    Ok(Okaywal { log, positions })
}

impl System for Okaywal {
    const NAME: &'static str = "okaywal";
    const FACTS: Facts = Facts {
        version: "okaywal 0.3.1",
        verifies: "if asked (CRC-32C); it is",
        syncs: "always; one sync for all that wait",
        opening: "reads and verifies everything; takes no lock",
        copies: "1 / 2",
        durable: true,
        numbered: true,
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        open(setup, |_| ())
    }

    /// Each record is a chunk of one large entry, since a separate entry would sync. So no record can be read,
    /// or survives anything, before the last.
    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        let mut positions = self.positions.lock();
        let mut entry = self.log.begin_entry()?;
        for value in values {
            positions.push(entry.write_chunk(value)?.position);
        }
        let end = Instant::now();
        entry.commit()?;
        Ok(end)
    }

    /// There is no batch within an entry; see [`Okaywal::append_each`].
    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        self.append_each(batches.flatten())
    }

    fn append_synced(&self, _: u32, batch: &[Bytes]) -> Result<()> {
        let mut entry = self.log.begin_entry()?;
        for value in batch {
            let position = entry.write_chunk(value)?.position;
            self.positions.lock().push(position);
        }
        entry.commit()?;
        Ok(())
    }

    /// An open log cannot be read in order; opening it reads it.
    fn scan(setup: &Setup<'_>, visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let begun = Instant::now();
        let log = open(setup, visit)?;
        let elapsed = begun.elapsed();
        log.close()?;
        Ok(elapsed)
    }

    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()> {
        let position = self.positions.lock()[usize::try_from(number)?];
        // It opens the file for each read.
        let mut reader = self.log.read_at(position)?;
        let mut record = vec![0; usize::try_from(reader.chunk_length())?];
        reader.read_exact(&mut record)?;
        anyhow::ensure!(reader.crc_is_valid()?, "record {number} is damaged");
        visit(&record);
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.log.shutdown()?)
    }
}
