//! A commit log in memory: the smallest thing that is one, for tests and for data that may go.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Clock;
use crate::commit::ticket::Ticket;
use crate::commit_log::{CommitLog, Records};
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::options::Options;
use crate::read::follow::Follow;
use crate::read::notify::Signal;
use crate::record::{self, Batch, Record};
use crate::sync::{Mutex, RwLock};

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
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: Options,
    clock: Mutex<Clock>,
    kept: RwLock<Kept>,
    changed: Signal,
}

#[derive(Debug, Default)]
struct Kept {
    start: Offset,
    end: Offset,
    /// Those from `start` to `end`; none once the log is closed.
    records: VecDeque<Record>,
    is_closed: bool,
}

impl Kept {
    fn check_open(&self) -> Result<()> {
        if self.is_closed {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    fn out_of_range(&self, offset: Offset) -> Error {
        let (start, end) = (self.start, self.end);
        Error::OutOfRange { offset, start, end }
    }

    /// The record at `offset`; `None` at the end.
    fn get(&self, offset: Offset) -> Result<Option<Record>> {
        self.check_open()?;
        let (start, end) = (self.start, self.end);
        if offset < start {
            return Err(Error::Trimmed { offset, start, end });
        }
        if offset > end {
            return Err(self.out_of_range(offset));
        }
        let index = usize::try_from(offset.since(start)).unwrap_or(usize::MAX);
        Ok(self.records.get(index).cloned())
    }
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            limits: Options::new(),
            clock: Mutex::default(),
            kept: RwLock::default(),
            changed: Signal::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The record at `offset`; `None` at the end.
    fn get(&self, offset: Offset) -> Result<Option<Record>> {
        self.shared.kept.read().get(offset)
    }

    /// The records from `from` on, one a call; `None` where there is none yet.
    fn walk(&self, from: Offset) -> impl FnMut() -> Result<Option<Record>> + Send + 'static {
        let log = self.clone();
        let mut next = from;
        move || {
            let record = log.get(next)?;
            next = next.plus(u64::from(record.is_some()));
            Ok(record)
        }
    }

    fn submit_if(&self, expected: Option<Offset>, batch: Batch) -> Result<Ticket> {
        record::validate(batch.records(), &self.shared.limits)?;
        let mut kept = self.shared.kept.write();
        kept.check_open()?;
        let start = kept.end;
        if let Some(expected) = expected
            && expected != start
        {
            return Err(Error::EndMoved {
                expected,
                end: start,
            });
        }
        let appended_at = self.shared.clock.lock().now();
        for record in batch.into_records() {
            let offset = kept.end.get();
            kept.end = kept.end.plus(1);
            kept.records.push_back(Record {
                offset,
                appended_at,
                ..record
            });
        }
        let end = kept.end;
        drop(kept);
        self.shared.changed.notify();
        Ok(Ticket::ready(start..end))
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl CommitLog for MemoryLog {
    fn submit(&self, batch: Batch) -> Result<Ticket> {
        self.submit_if(None, batch)
    }

    fn submit_at(&self, expected: Offset, batch: Batch) -> Result<Ticket> {
        self.submit_if(Some(expected), batch)
    }

    fn read(&self, offset: Offset) -> Result<Record> {
        let kept = self.shared.kept.read();
        kept.get(offset)?.ok_or_else(|| kept.out_of_range(offset))
    }

    fn records(&self, from: Offset) -> Records {
        let mut next = self.walk(from);
        Records::new(std::iter::from_fn(move || next().transpose()))
    }

    fn follow(&self, from: Offset) -> Follow {
        Follow::new(self.walk(from), &self.shared.changed)
    }

    fn start_offset(&self) -> Offset {
        self.shared.kept.read().start
    }

    fn end_offset(&self) -> Offset {
        self.shared.kept.read().end
    }

    fn trim(&self, start: Offset) -> Result<()> {
        let mut kept = self.shared.kept.write();
        kept.check_open()?;
        if start > kept.end {
            return Err(kept.out_of_range(start));
        }
        while kept.start < start {
            kept.records.pop_front();
            kept.start = kept.start.plus(1);
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.shared.kept.read().check_open()
    }

    fn close(&self) -> Result<()> {
        let mut kept = self.shared.kept.write();
        kept.is_closed = true;
        kept.records = VecDeque::new();
        drop(kept);
        self.shared.changed.notify();
        Ok(())
    }
}
