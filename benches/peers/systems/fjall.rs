//! fjall 3: a key-value store (a log-structured tree), with numbers for keys.

use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable,
};

use crate::system::{
    Bytes, Context, Duration, Facts, Instant, Purpose, Result, SEGMENT_BYTES, Setup, System,
};

/// The size from which values are stored apart from their keys, as its documentation recommends.
const LARGE_BYTES: usize = 4 << 10;

pub(crate) struct Fjall {
    database: Database,
    records: Keyspace,
    next: AtomicU64,
}

impl Fjall {
    /// The key of the next record: big-endian, so that keys sort as numbers.
    fn key(&self) -> [u8; 8] {
        self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }

    fn batch(&self, values: &[Bytes], durability: Option<PersistMode>) -> Result<()> {
        let mut batch = self.database.batch().durability(durability);
        for value in values {
            batch.insert(&self.records, self.key(), &value[..]);
        }
        Ok(batch.commit()?)
    }
}

impl System for Fjall {
    const NAME: &'static str = "fjall";
    const FACTS: Facts = Facts {
        version: "fjall 3.1.13",
        verifies: "when a block is loaded (XXH3)",
        syncs: "one for each batch",
        opening: "reads and verifies its journal, up to some 64 MiB when it was killed",
        copies: "3 and more (journal, memory, tables) / 1",
        durable: true,
        numbered: true,
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        let database = Database::builder(setup.directory)
            // Otherwise each buffered append makes a system call.
            .manual_journal_persist(setup.purpose == Purpose::Buffered)
            .open()?;
        let apart = setup.record_bytes >= LARGE_BYTES;
        let records = database.keyspace("records", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(SEGMENT_BYTES as u64)
                .with_kv_separation(apart.then(KvSeparationOptions::default))
        })?;
        let last = records
            .last_key_value()
            .map(fjall::Guard::key)
            .transpose()?;
        let next = match last {
            Some(key) => u64::from_be_bytes(key[..].try_into()?) + 1,
            None => 0,
        };
        Ok(Self {
            database,
            records,
            next: AtomicU64::new(next),
        })
    }

    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        for value in values {
            self.records.insert(self.key(), &value[..])?;
        }
        self.database.persist(PersistMode::Buffer)?;
        Ok(Instant::now())
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        for batch in batches {
            self.batch(batch, None)?;
        }
        self.database.persist(PersistMode::Buffer)?;
        Ok(Instant::now())
    }

    fn append_synced(&self, _: u32, batch: &[Bytes]) -> Result<()> {
        self.batch(batch, Some(PersistMode::SyncData))
    }

    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let log = Self::open(setup)?;
        let begun = Instant::now();
        for record in log.database.snapshot().iter(&log.records) {
            visit(&record.value()?);
        }
        Ok(begun.elapsed())
    }

    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()> {
        visit(
            &self
                .records
                .get(number.to_be_bytes())?
                .context("no such record")?,
        );
        Ok(())
    }

    fn close(self) -> Result<()> {
        // Otherwise up to 64 MiB would be only in its journal: opening would read them, and reads would find
        // them in memory.
        self.records.rotate_memtable_and_wait()?;
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
