//! A log whose appends complete together, or whose reads fail.

use std::fmt;
use std::sync::{Arc, Mutex};

use proglog_log::{
    Append, CommitLog, Completion, Follow, MemoryLog, Notify, Offset, OffsetBounds, ReadLog,
    Records, Result, StoredRecord, Ticket,
};

type OnRead = Box<dyn Fn(&MemoryLog, Offset) -> Result<()> + Send + Sync>;

/// A log in memory with a hook before reads of batches.
pub(crate) struct Wrapped {
    inner: MemoryLog,
    /// The number of appends that are completed together.
    appends: usize,
    completions: Mutex<Vec<Completion>>,
    on_read: OnRead,
}

impl Wrapped {
    /// A log that completes no append before there are three.
    pub(crate) fn waiting() -> Arc<Self> {
        Self::new(3, Box::new(|_, _| Ok(())))
    }

    /// A log that calls a hook before it reads a batch at an offset.
    pub(crate) fn reading(
        on_read: impl Fn(&MemoryLog, Offset) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(1, Box::new(on_read))
    }

    fn new(appends: usize, on_read: OnRead) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryLog::new(),
            appends,
            completions: Mutex::default(),
            on_read,
        })
    }
}

impl ReadLog for Wrapped {
    fn name(&self) -> &'static str {
        "wrapped"
    }
    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        self.inner.read(offset)
    }
    fn records(&self, range: OffsetBounds) -> Records {
        self.inner.records(range)
    }
    fn read_batch(&self, from: Offset, limit: usize, bytes: usize) -> Result<Vec<StoredRecord>> {
        (self.on_read)(&self.inner, from)?;
        self.inner.read_batch(from, limit, bytes)
    }
    fn follow(&self, from: Offset) -> Follow {
        self.inner.follow(from)
    }
    fn start_offset(&self) -> Offset {
        self.inner.start_offset()
    }
    fn end_offset(&self) -> Offset {
        self.inner.end_offset()
    }
}

impl CommitLog for Wrapped {
    fn submit_append(&self, append: Append) -> Result<Ticket> {
        let offsets = self.inner.submit_append(append)?.wait()?;
        let (ticket, completion) = Ticket::with_completion("wrapped", offsets);
        let mut completions = self.completions.lock().unwrap();
        completions.push(completion);
        if completions.len() == self.appends {
            for completion in completions.drain(..) {
                completion.complete(Ok(()));
            }
        }
        Ok(ticket)
    }
    fn changes(&self) -> Notify {
        self.inner.changes()
    }
    fn trim(&self, start: Offset) -> Result<()> {
        self.inner.trim(start)
    }
    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }
    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").finish_non_exhaustive()
    }
}
