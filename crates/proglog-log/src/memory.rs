//! A commit log in memory: the smallest thing that is one, for tests and for data that may go.

use std::sync::Arc;

use crate::clock::Clock;
use crate::commit_log::{CommitLog, Records};
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::options::Options;
use crate::record::{Batch, Record};
use crate::sync::{Mutex, RwLock};
use crate::ticket::Ticket;

/// A [`CommitLog`] whose records live as long as its handles. Clones share the records.
///
/// Its limits on records and batches are the defaults of [`Options`].
///
/// ```
/// use proglog_log::{CommitLog, MemoryLog, Offset};
///
/// let log = MemoryLog::new();
/// let offset = log.append("hello".into())?;
/// assert_eq!(offset, Offset::ZERO);
/// assert_eq!(log.read(offset)?.value, "hello");
/// # Ok::<(), proglog_log::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    limits: Options,
    clock: Mutex<Clock>,
    /// `None` once the log is closed.
    records: RwLock<Option<Vec<Record>>>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            records: RwLock::new(Some(Vec::new())),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The record at `offset`; `None` at the end.
    fn get(&self, offset: Offset) -> Result<Option<Record>> {
        let guard = self.shared.records.read();
        let records = guard.as_ref().ok_or(Error::Closed)?;
        let end = Offset::new(records.len() as u64);
        if offset > end {
            return Err(Error::OutOfRange {
                offset,
                start: Offset::ZERO,
                end,
            });
        }
        Ok(usize::try_from(offset.get())
            .ok()
            .and_then(|index| records.get(index))
            .cloned())
    }
}

impl CommitLog for MemoryLog {
    fn submit(&self, batch: Batch) -> Result<Ticket> {
        batch.validate(&self.shared.limits)?;
        let mut guard = self.shared.records.write();
        let records = guard.as_mut().ok_or(Error::Closed)?;
        let start = Offset::new(records.len() as u64);
        let appended_at = self.shared.clock.lock().now();
        for record in batch.into_records() {
            let offset = records.len() as u64;
            records.push(Record {
                offset,
                appended_at,
                ..record
            });
        }
        Ok(Ticket::ready(start..Offset::new(records.len() as u64)))
    }

    fn read(&self, offset: Offset) -> Result<Record> {
        self.get(offset)?.ok_or(Error::OutOfRange {
            offset,
            start: Offset::ZERO,
            end: offset,
        })
    }

    fn records(&self, from: Offset) -> Records {
        let log = self.clone();
        let mut next = from;
        Records::new(std::iter::from_fn(move || {
            let record = log.get(next).transpose();
            next = next.plus(1);
            record
        }))
    }

    fn start_offset(&self) -> Offset {
        Offset::ZERO
    }

    fn end_offset(&self) -> Offset {
        let guard = self.shared.records.read();
        Offset::new(guard.as_ref().map_or(0, |records| records.len() as u64))
    }

    fn sync(&self) -> Result<()> {
        if self.shared.records.read().is_some() {
            Ok(())
        } else {
            Err(Error::Closed)
        }
    }

    fn close(&self) -> Result<()> {
        self.shared.records.write().take();
        Ok(())
    }
}
