//! walrus-rust 0.2.
//!
//! Topics of records that are consumed in their order. It has no buffer of its own: each append is one
//! `pwrite`. It lays files of 1000 MiB out in blocks of 10 MiB, and syncs the file after each block.

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus as Log};

use crate::system::{Bytes, Context, Duration, Facts, Instant, Purpose, Result, Setup, System};

const TOPIC: &str = "records";
/// How much a scan asks for at a time: more than the largest record.
const SCAN_BYTES: usize = 2 << 20;
/// The most records that it takes as a batch.
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

    /// `WALRUS_DATA_DIR` has to name the directory above `setup.directory`, and `WALRUS_QUIET` to be
    /// set: otherwise it tells all that it does on the standard output.
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let name = setup.directory.file_name().and_then(|name| name.to_str());
        let schedule = match setup.purpose {
            Purpose::Buffered | Purpose::Read => FsyncSchedule::NoFsync,
            Purpose::Synced => FsyncSchedule::SyncEach,
        };
        // What was consumed is never written down, so that it can be read again.
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

    /// A batch is synced whatever the schedule is. Its records singly would be faster in the buffered
    /// works, and no batch: a crash could take some of them.
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

    /// Reading consumes, so that there is one scan for each opening.
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

    /// There is no end but being dropped.
    fn close(self) -> Result<()> {
        Ok(())
    }
}
