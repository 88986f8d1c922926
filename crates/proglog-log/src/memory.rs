//! A commit log in memory, for tests and for data that need not be kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::clock::Clock;
use crate::commit::append::{Append, Attempt};
use crate::commit::ticket::Ticket;
use crate::commit_log::CommitLog;
use crate::error::reason::{self, Reason};
use crate::error::{LogName, Named, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::options::LogOptions;
use crate::read::follow::Follow;
use crate::read::notify::Notify;
use crate::read::read_log::{ReadLog, impl_read_log};
use crate::read::records::Records;
use crate::record::StoredRecord;
use crate::record::batch::Batch;
use crate::record::fields::{Fields, IntoRecord};
use crate::sync::{Mutex, RwLock};

/// A [`CommitLog`] in memory. Its records live as long as one of its handles; clones share them.
///
/// ```
/// use proglog_log::MemoryLog;
///
/// let log = MemoryLog::new();
/// let offset = log.append("hello")?;
/// assert_eq!(log.read(offset)?.value, "hello");
/// assert_eq!(log.append_batch(["to", "the", "world"])?, 1..4);
/// # Ok::<(), proglog_log::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

/// The name of each log in memory.
const NAME: &str = "memory";

struct Shared {
    log: LogName,
    limits: LogOptions,
    clock: Mutex<Clock>,
    kept: RwLock<Kept>,
    changed: Notify,
}

#[derive(Default)]
struct Kept {
    start: Offset,
    end: Offset,
    /// The records from `start` to `end`; none once the log is closed.
    records: VecDeque<StoredRecord>,
    is_closed: bool,
}

impl Kept {
    fn check_open(&self) -> reason::Result<()> {
        if self.is_closed {
            Err(Reason::Closed)
        } else {
            Ok(())
        }
    }

    fn out_of_range(&self, offset: Offset) -> Reason {
        let (start, end) = (self.start, self.end);
        Reason::OutOfRange { offset, start, end }
    }

    /// Drops the records below `start`.
    fn trim(&mut self, start: Offset) -> reason::Result<()> {
        self.check_open()?;
        if start > self.end {
            return Err(self.out_of_range(start));
        }
        while self.start < start {
            self.records.pop_front();
            self.start += 1;
        }
        Ok(())
    }

    /// The record at `offset`; `None` at the end.
    fn get(&self, offset: Offset) -> reason::Result<Option<StoredRecord>> {
        self.check_open()?;
        let (start, end) = (self.start, self.end);
        if offset < start {
            return Err(Reason::Trimmed { offset, start, end });
        }
        if offset > end {
            return Err(self.out_of_range(offset));
        }
        let index = usize::try_from(offset - start).unwrap_or(usize::MAX);
        Ok(self.records.get(index).cloned())
    }
}

impl MemoryLog {
    /// An empty log with the default [`LogOptions`].
    #[must_use]
    pub fn new() -> Self {
        Self::build(LogOptions::new())
    }

    /// An empty log with these limits on records and batches, and this first offset; the other options
    /// are for logs on disk.
    ///
    /// ```
    /// use proglog_log::{MemoryLog, LogOptions};
    ///
    /// let log = MemoryLog::with_options(&LogOptions::new().first_offset(100))?;
    /// assert_eq!(log.append("hello")?, 100);
    /// # Ok::<(), proglog_log::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::Options`] if they are invalid.
    pub fn with_options(options: &LogOptions) -> Result<Self> {
        options.validate().named(&LogName::new(NAME))?;
        Ok(Self::build(options.clone()))
    }

    fn build(options: LogOptions) -> Self {
        let kept = Kept {
            start: options.first_offset,
            end: options.first_offset,
            ..Kept::default()
        };
        let shared = Shared {
            log: LogName::new(NAME),
            clock: Mutex::new(Clock::after(0, options.time_source.clone(), false)),
            limits: options,
            kept: RwLock::new(kept),
            changed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The record at `offset`; `None` at the end.
    fn get(&self, offset: Offset) -> Result<Option<StoredRecord>> {
        self.shared.kept.read().get(offset).named(&self.shared.log)
    }

    /// The records from `from` on, one a call; `None` where there is none yet.
    fn walk(&self, from: Offset) -> impl FnMut() -> Result<Option<StoredRecord>> + Send + 'static {
        let log = self.clone();
        let mut next = from;
        move || {
            let record = log.get(next)?;
            next = next.saturating_add(u64::from(record.is_some()));
            Ok(record)
        }
    }

    fn accept(&self, expected: Option<Offset>, batch: Batch) -> reason::Result<Ticket> {
        self.shared
            .limits
            .check_sizes(batch.records().iter().map(Fields::from))?;
        let mut kept = self.shared.kept.write();
        kept.check_open()?;
        let start = kept.end;
        if let Some(expected) = expected
            && expected != start
        {
            let end = start;
            return Err(Reason::EndMoved { expected, end });
        }
        let records = batch.len();
        let Some(end) = start.checked_add(records as u64) else {
            let next = start;
            return Err(Reason::OffsetsExhausted { next, records });
        };
        let appended_at = self.shared.clock.lock().now();
        let offsets = Offsets::new(start, end);
        for (offset, record) in offsets.into_iter().zip(batch) {
            let record = StoredRecord::at(offset, appended_at, record);
            kept.records.push_back(record);
        }
        kept.end = end;
        drop(kept);
        self.shared.changed.notify_waiters();
        Ok(Ticket::ready(offsets))
    }
}

/// The operations of [`CommitLog`], with arguments that convert.
impl MemoryLog {
    /// Appends one record; returns its offset.
    ///
    /// # Errors
    ///
    /// [`Reason::RecordTooLarge`], [`Reason::BatchTooLarge`], [`Reason::OffsetsExhausted`],
    /// [`Reason::Closed`].
    pub fn append(&self, record: impl IntoRecord) -> Result<Offset> {
        CommitLog::append(self, record.into_record())
    }

    /// Appends one record if it gets the offset `expected`.
    ///
    /// # Errors
    ///
    /// [`Reason::EndMoved`], and as [`MemoryLog::append`].
    pub fn append_at(
        &self,
        expected: impl Into<Offset>,
        record: impl IntoRecord,
    ) -> Result<Offset> {
        CommitLog::append_at(self, expected.into(), record.into_record())
    }

    /// Appends a batch; returns its offsets.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::append`].
    pub fn append_batch(
        &self,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Offsets> {
        CommitLog::append_batch(self, records.into_iter().collect())
    }

    /// Appends a batch if its first record gets the offset `expected`.
    ///
    /// # Errors
    ///
    /// [`Reason::EndMoved`], and as [`MemoryLog::append`].
    pub fn append_batch_at(
        &self,
        expected: impl Into<Offset>,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Offsets> {
        CommitLog::append_batch_at(self, expected.into(), records.into_iter().collect())
    }

    /// Appends one record; the ticket is complete.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::append`].
    pub fn submit(&self, record: impl IntoRecord) -> Result<Ticket> {
        CommitLog::submit(self, record.into_record())
    }

    /// Appends one record if it gets the offset `expected`; the ticket is complete.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::append_at`].
    pub fn submit_at(
        &self,
        expected: impl Into<Offset>,
        record: impl IntoRecord,
    ) -> Result<Ticket> {
        CommitLog::submit_at(self, expected.into(), record.into_record())
    }

    /// Appends a batch; the ticket is complete.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::append`].
    pub fn submit_batch(
        &self,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Ticket> {
        CommitLog::submit_batch(self, records.into_iter().collect())
    }

    /// Appends a batch if its first record gets the offset `expected`; the ticket is complete.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::append_batch_at`].
    pub fn submit_batch_at(
        &self,
        expected: impl Into<Offset>,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Ticket> {
        CommitLog::submit_batch_at(self, expected.into(), records.into_iter().collect())
    }

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`], [`Reason::Trimmed`], [`Reason::Closed`].
    pub fn read(&self, offset: impl Into<Offset>) -> Result<StoredRecord> {
        let offset = offset.into();
        let kept = self.shared.kept.read();
        let read = kept.get(offset);
        let read = read.and_then(|record| record.ok_or_else(|| kept.out_of_range(offset)));
        read.named(&self.shared.log)
    }

    /// Reads the newest record; `None` if the log is empty.
    ///
    /// # Errors
    ///
    /// [`Reason::Closed`].
    pub fn last(&self) -> Result<Option<StoredRecord>> {
        ReadLog::last(self)
    }

    /// Reads several records at once; see [`ReadLog::read_batch`].
    ///
    /// # Errors
    ///
    /// As [`ReadLog::read_batch`].
    pub fn read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        ReadLog::read_batch(self, from.into(), records_max, bytes_max)
    }

    /// As [`MemoryLog::read`], which never waits; never `None`.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::read`].
    pub fn try_read(&self, offset: impl Into<Offset>) -> Result<Option<StoredRecord>> {
        self.read(offset).map(Some)
    }

    /// As [`MemoryLog::read_batch`], which never waits; never `None`.
    ///
    /// # Errors
    ///
    /// As [`MemoryLog::read_batch`].
    pub fn try_read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<StoredRecord>>> {
        self.read_batch(from, records_max, bytes_max).map(Some)
    }

    /// The records of `range`; see [`ReadLog::records`].
    pub fn records(&self, range: impl Into<OffsetBounds>) -> Records {
        let (offsets, log) = (self.clone(), self.clone());
        Records::new(
            range,
            move || offsets.offsets(),
            move |offset| log.read(offset),
        )
    }

    /// The records from `from` on, and those still to come; see [`ReadLog::follow`].
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        let follow = Follow::new(self.walk(from.into()), &self.shared.changed);
        follow.with_runtime(&self.shared.limits.runtime)
    }

    /// The offset of the first record that was appended at `time` or later; the end if there is none.
    ///
    /// # Errors
    ///
    /// [`Reason::Closed`].
    pub fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        ReadLog::offset_for_time(self, time)
    }

    /// The name of the log in its errors, which is `memory`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.log.as_str()
    }

    /// The offset of the oldest record (inclusive).
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.offsets().start
    }

    /// The offset after that of the newest record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.offsets().end
    }

    /// The offsets of the records.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        let kept = self.shared.kept.read();
        Offsets::new(kept.start, kept.end)
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// True if there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets().is_empty()
    }

    /// True once the log was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.kept.read().is_closed
    }

    /// Drops the records below `start`.
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`] if `start` is past the end; [`Reason::Closed`].
    pub fn trim(&self, start: impl Into<Offset>) -> Result<()> {
        let trimmed = self.shared.kept.write().trim(start.into());
        self.shared.changed.notify_waiters();
        trimmed.named(&self.shared.log)
    }

    /// Does nothing: records are as durable as they get when they are appended.
    ///
    /// # Errors
    ///
    /// [`Reason::Closed`].
    pub fn sync(&self) -> Result<()> {
        let checked = self.shared.kept.read().check_open();
        checked.named(&self.shared.log)
    }

    /// Drops all records and closes the log: every other operation on any handle fails with
    /// [`Reason::Closed`] from then on.
    ///
    /// # Errors
    ///
    /// None.
    pub fn close(&self) -> Result<()> {
        let mut kept = self.shared.kept.write();
        kept.is_closed = true;
        kept.records = VecDeque::new();
        drop(kept);
        self.shared.changed.notify_waiters();
        Ok(())
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

/// The range of offsets, and no records: there may be many, and large ones.
impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("offsets", &self.offsets())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl_read_log!(MemoryLog, is_closed, try_read);

impl CommitLog for MemoryLog {
    fn submit_append(&self, mut append: Append) -> Result<Ticket> {
        append.mark();
        self.accept(append.expected, append.batch)
            .named(&self.shared.log)
    }

    fn try_submit(&self, append: Append) -> Result<Attempt> {
        self.submit_append(append).map(Attempt::Taken)
    }

    fn changes(&self) -> Notify {
        self.shared.changed.clone()
    }

    fn trim(&self, start: Offset) -> Result<()> {
        MemoryLog::trim(self, start)
    }

    fn sync(&self) -> Result<()> {
        MemoryLog::sync(self)
    }

    fn close(&self) -> Result<()> {
        MemoryLog::close(self)
    }
}
