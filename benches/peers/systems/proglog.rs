//! proglog-log, and proglog-store by itself.

use proglog_log::{Batch, Durability, Log, LogOptions};
use proglog_store::Store;

use crate::system::{
    Bytes, Context, Duration, Facts, Instant, Purpose, Result, SEGMENT_BYTES, Setup, System,
};

pub(crate) struct Proglog(Log);

impl System for Proglog {
    const NAME: &'static str = "proglog";
    const FACTS: Facts = Facts {
        version: "proglog-log (this tree)",
        verifies: "always (CRC-32C)",
        syncs: "one sync for all that wait",
        opening: "verifies what is not known to be synced",
        copies: "1 / 1",
        durable: true,
        numbered: true,
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        let durability = match setup.purpose {
            Purpose::Buffered => Durability::Buffered,
            Purpose::Synced | Purpose::Read => Durability::Synced,
        };
        let options = LogOptions::new()
            .durability(durability)
            .segment_bytes_max(SEGMENT_BYTES as u64);
        Ok(Self(Log::open(setup.directory, &options)?))
    }

    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        for value in values {
            self.0.append(value.clone())?;
        }
        let end = Instant::now();
        // There is no call that flushes the buffer without a sync.
        self.0.sync()?;
        Ok(end)
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        for batch in batches {
            self.0
                .append_batch(batch.iter().cloned().collect::<Batch>())?;
        }
        let end = Instant::now();
        self.0.sync()?;
        Ok(end)
    }

    fn append_synced(&self, _: u32, batch: &[Bytes]) -> Result<()> {
        self.0
            .append_batch(batch.iter().cloned().collect::<Batch>())?;
        Ok(())
    }

    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let log = Self::open(setup)?;
        let begun = Instant::now();
        let mut records = log.0.records(0..);
        while let Some(record) = records.next_ref() {
            visit(record?.value);
        }
        let elapsed = begun.elapsed();
        log.close()?;
        Ok(elapsed)
    }

    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()> {
        visit(&self.0.read(number)?.value);
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}

/// A store is one file, and has positions instead of numbers.
pub(crate) struct ProglogStore(Store);

impl System for ProglogStore {
    const NAME: &'static str = "proglog-store";
    const FACTS: Facts = Facts {
        version: "proglog-store (this tree)",
        numbered: false,
        ..Proglog::FACTS
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        let path = setup.directory.join("store");
        Ok(Self(Store::open(
            path,
            &proglog_store::StoreOptions::new(),
        )?))
    }

    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        for value in values {
            self.0.append(value)?;
        }
        self.0.flush()?;
        Ok(Instant::now())
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        for batch in batches {
            let payloads = batch.iter().map(|value| &value[..]).collect::<Vec<_>>();
            self.0.append_batch(&payloads)?;
        }
        self.0.flush()?;
        Ok(Instant::now())
    }

    fn append_synced(&self, thread: u32, batch: &[Bytes]) -> Result<()> {
        let payloads = batch.iter().map(|value| &value[..]).collect::<Vec<_>>();
        let appended = self.0.append_batch(&payloads)?;
        let synced = self.0.sync()?.position;
        let whole = synced > appended.position;
        whole
            .then_some(())
            .with_context(|| format!("thread {thread}: not synced"))
    }

    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let store = Self::open(setup)?;
        let begun = Instant::now();
        let mut frames = store.0.frames(..);
        while let Some(frame) = frames.next_ref() {
            visit(frame?.payload);
        }
        let elapsed = begun.elapsed();
        store.close()?;
        Ok(elapsed)
    }

    fn read(&self, number: u64, _: impl FnOnce(&[u8])) -> Result<()> {
        anyhow::bail!("a store cannot find record {number} by its number")
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}
