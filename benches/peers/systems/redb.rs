//! redb 4: a key-value store (a copy-on-write B-tree), with numbers for keys.

use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition,
};

use crate::system::{
    Bytes, Context, Duration, Facts, Instant, Purpose, Result, SEGMENT_BYTES, Setup, System,
};

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

pub(crate) struct Redb {
    database: Database,
    /// A snapshot, opened once for all reads.
    snapshot: Option<ReadOnlyTable<u64, &'static [u8]>>,
}

impl Redb {
    fn append<'a>(
        &self,
        values: impl Iterator<Item = &'a Bytes>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut records = transaction.open_table(RECORDS)?;
            let last = records.last()?.map(|(key, _)| key.value());
            for (number, value) in (last.map_or(0, |last| last + 1)..).zip(values) {
                records.insert(number, &value[..])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl System for Redb {
    const NAME: &'static str = "redb";
    const FACTS: Facts = Facts {
        version: "redb 4.6.0",
        verifies: "never",
        syncs: "one or more for each transaction",
        opening: "verifies everything (XXH3) when it was killed",
        copies: "2 / 0 to 1 (its cache)",
        durable: true,
        numbered: true,
    };

    fn open(setup: &Setup<'_>) -> Result<Self> {
        let mut builder = Builder::new();
        // It keeps writes in its cache, 1 GiB by default, until a durable commit. With a cache of a
        // segment's size, appends reach the operating system as those of the others do.
        if setup.purpose == Purpose::Buffered {
            builder.set_cache_size(SEGMENT_BYTES);
        }
        let database = builder.create(setup.directory.join("records.redb"))?;
        let snapshot = match setup.purpose {
            Purpose::Read => Some(database.begin_read()?.open_table(RECORDS)?),
            Purpose::Buffered | Purpose::Synced => None,
        };
        Ok(Self { database, snapshot })
    }

    /// Each record is an insertion in one large transaction; a transaction for each is far slower. So no record
    /// can be read, or survives anything, before the last.
    fn append_each<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Instant> {
        self.append(values, Durability::None)?;
        let end = Instant::now();
        self.append(std::iter::empty(), Durability::Immediate)?;
        Ok(end)
    }

    fn append_batches<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a [Bytes]>,
    ) -> Result<Instant> {
        for batch in batches {
            self.append(batch.iter(), Durability::None)?;
        }
        let end = Instant::now();
        self.append(std::iter::empty(), Durability::Immediate)?;
        Ok(end)
    }

    fn append_synced(&self, _: u32, batch: &[Bytes]) -> Result<()> {
        self.append(batch.iter(), Durability::Immediate)
    }

    fn scan(setup: &Setup<'_>, mut visit: impl FnMut(&[u8]) + Send + 'static) -> Result<Duration> {
        let log = Self::open(setup)?;
        let snapshot = log.snapshot.context("not opened for reading")?;
        let begun = Instant::now();
        for record in snapshot.iter()? {
            visit(record?.1.value());
        }
        Ok(begun.elapsed())
    }

    fn read(&self, number: u64, visit: impl FnOnce(&[u8])) -> Result<()> {
        let snapshot = self.snapshot.as_ref().context("not opened for reading")?;
        visit(snapshot.get(number)?.context("no such record")?.value());
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}
