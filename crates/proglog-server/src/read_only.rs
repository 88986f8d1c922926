//! A log that is only read, as one that can be appended to. It refuses to.

use std::sync::Arc;
use std::time::SystemTime;

use proglog_log::{
    Append, CommitLog, Error, Follow, Notify, Offset, OffsetBounds, ReadLog, Reason, Records,
    Result, StoredRecord, Ticket,
};

/// A log that is only read. The handlers never append to it.
#[derive(Debug)]
pub(crate) struct ReadOnly(pub(crate) Arc<dyn ReadLog>);

impl ReadOnly {
    fn refuse<T>(&self) -> Result<T> {
        Err(Error::new(self.0.name(), Reason::Closed))
    }
}

impl ReadLog for ReadOnly {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        self.0.read(offset)
    }

    fn records(&self, range: OffsetBounds) -> Records {
        self.0.records(range)
    }

    fn follow(&self, from: Offset) -> Follow {
        self.0.follow(from)
    }

    fn start_offset(&self) -> Offset {
        self.0.start_offset()
    }

    fn end_offset(&self) -> Offset {
        self.0.end_offset()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        self.0.offset_for_time(time)
    }
}

impl CommitLog for ReadOnly {
    fn submit_append(&self, _append: Append) -> Result<Ticket> {
        self.refuse()
    }

    fn trim(&self, _start: Offset) -> Result<()> {
        self.refuse()
    }

    fn sync(&self) -> Result<()> {
        self.refuse()
    }

    /// Leaves it open: its owner closes it.
    fn close(&self) -> Result<()> {
        Ok(())
    }

    /// Nothing follows it.
    fn changes(&self) -> Notify {
        Notify::new()
    }
}
