//! walrus-rust 0.2.
//!
//! Topics of records that are consumed in order. It has no buffer: each append is one `pwrite`. Files of
//! 1000 MiB consist of blocks of 10 MiB, and the file is synced after each block.

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus as Log};

use crate::system::{Bytes, Context, Duration, Facts, Instant, Purpose, Result, Setup, System};

const TOPIC: &str = "records";
/// Bytes per read of a scan: more than the largest record.
const SCAN_BYTES: usize = 2 << 20;
/// The most records in a batch.
const BATCH_RECORDS: usize = 2000;

pub(crate) struct Walrus(Log);

impl System for Walrus {
    const NAME: &'static str = "walrus";
    const FACTS: Facts = Facts {
        version: "walrus-rust 0.2.0",
        verifies: "always (FNV-1a)",
        syncs: "one for each append; batches and each 10 MiB always",
        opening: "reads and verifies everything; takes no lock",
        copies: "2 / 2",
        durable: true,
        numbered: false,
    };

    /// `WALRUS_DATA_DIR` must be the parent of `setup.directory`, and `WALRUS_QUIET` must be set, or else it
    /// logs everything to standard output.
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let name = setup.directory.file_name().and_then(|name| name.to_str());
        let schedule = match setup.purpose {
            Purpose::Buffered | Purpose::Read => FsyncSchedule::NoFsync,
            Purpose::Synced => FsyncSchedule::SyncEach,
        };
        // Consumption is never persisted, so that records can be read again.
        let consistency = ReadConsistency::AtLeastOnce {
            persist_every: u32::MAX,
        };
        let log = Log::with_consistency_and_schedule_for_key(
            name.context("no name in UTF-8")?,
            consistency,
            schedule,
        )?;
        Ok(Self(log))
    }

    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        for value in values {
            self.0.append_for_topic(TOPIC, value)?;
        }
        Ok(Instant::now())
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        for batch in batches {
            self.append_synced(0, batch)?;
        }
        Ok(Instant::now())
    }

    /// A batch is synced whatever the schedule is. Single appends would be faster in the buffered works, but
    /// not a batch: a crash could lose some of them.
    fn append_synced(&self, _: u32, batch: &[Bytes]) -> Result<()> {
        if let [value] = batch {
            return Ok(self.0.append_for_topic(TOPIC, value)?);
        }
        for batch in batch.chunks(BATCH_RECORDS) {
            let values = batch.iter().map(|value| &value[..]).collect::<Vec<_>>();
            self.0.batch_append_for_topic(TOPIC, &values)?;
        }
        Ok(())
    }

    /// Reading consumes, so there is one scan per opening.
    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let log = Self::open(setup)?;
        let begun = Instant::now();
        loop {
            let entries = log.0.batch_read_for_topic(TOPIC, SCAN_BYTES, true)?;
            if entries.is_empty() {
                return Ok(begun.elapsed());
            }
            for entry in entries {
                visit(&entry.data);
            }
        }
    }

    fn read(&self, number: u64, _: impl FnOnce(&[u8])) -> Result<()> {
        anyhow::bail!("a topic cannot find record {number} by its number")
    }

    /// Dropping it is the only way to close it.
    fn close(self) -> Result<()> {
        Ok(())
    }
}
