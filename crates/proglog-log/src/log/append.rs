//! Appending to a log on disk.

use crate::commit::append::{Append, Attempt};
use crate::commit::ticket::Ticket;
use crate::commit_log::CommitLog;
use crate::error::Result;
use crate::log::Log;
use crate::offset::{Offset, Offsets};
use crate::read::notify::Notify;
use crate::record::Record;
use crate::record::batch::Batch;
use crate::record::fields::IntoRecord;
use crate::retention::Retention;
use crate::stat::Stat;

#[expect(
    clippy::needless_pass_by_value,
    reason = "what is appended may be owned or borrowed"
)]
impl Log {
    /// Appends one record and waits until it is as durable as
    /// [`LogOptions::durability`](crate::LogOptions::durability) says; returns its offset.
    ///
    /// # Errors
    ///
    /// As [`Log::submit`] and [`Ticket::wait`].
    pub fn append(&self, record: impl IntoRecord) -> Result<Offset> {
        self.handle.engine.append(record.fields())
    }

    /// As [`Log::append`], but only if the record gets the offset `expected`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{ErrorKind, Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_at(0, "first")?;
    /// let error = log.append_at(0, "also first").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::EndMoved);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Log::submit_at`] and [`Ticket::wait`].
    pub fn append_at(
        &self,
        expected: impl Into<Offset>,
        record: impl IntoRecord,
    ) -> Result<Offset> {
        Ok(self.submit_at(expected, record)?.wait()?.start)
    }

    /// Appends a batch and waits until it is as durable as [`LogOptions::durability`](crate::LogOptions::durability)
    /// says; returns its offsets. Its records become visible together, and recovery keeps all of them or none.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Batch, Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// assert_eq!(log.append_batch(["debit", "credit"])?, 0..2);
    /// assert_eq!(log.append_batch((1..=3).map(|n| format!("line {n}")))?, 2..5);
    /// assert_eq!(log.append_batch(Batch::new())?, 5..5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Log::submit_batch`] and [`Ticket::wait`].
    pub fn append_batch(
        &self,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Offsets> {
        self.submit_batch(records)?.wait()
    }

    /// As [`Log::append_batch`], but only if the first record gets the offset `expected`.
    ///
    /// # Errors
    ///
    /// As [`Log::submit_batch_at`] and [`Ticket::wait`].
    pub fn append_batch_at(
        &self,
        expected: impl Into<Offset>,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Offsets> {
        self.submit_batch_at(expected, records)?.wait()
    }

    /// Accepts one record, assigns its offset, and returns before it is durable: the ticket completes when
    /// it is.
    ///
    /// It may write to a file. It waits for the device only where a segment is full, to create the next
    /// one, and where a failed write is undone: async code calls it on a thread that may block.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let ticket = log.submit(serde_json::to_vec(&["any", "bytes"])?)?;
    /// assert_eq!(ticket.offsets(), 0..1);
    /// ticket.wait()?; // it is durable now
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::RecordTooLarge`](crate::Reason::RecordTooLarge),
    /// [`Reason::BatchTooLarge`](crate::Reason::BatchTooLarge);
    /// [`Reason::OffsetsExhausted`](crate::Reason::OffsetsExhausted) if there are no offsets left;
    /// [`Reason::Store`](crate::Reason::Store) if the buffer is full and cannot be written, or
    /// [`Reason::Io`](crate::Reason::Io) too if the next segment cannot be created: nothing was appended then, and
    /// what was submitted before is not affected; [`Reason::Poisoned`](crate::Reason::Poisoned);
    /// [`Reason::Closed`](crate::Reason::Closed).
    pub fn submit(&self, record: impl IntoRecord) -> Result<Ticket> {
        self.named(self.handle.engine.submit(record.fields(), None))
    }

    /// As [`Log::submit`], but only if the record gets the offset `expected`: of several writers that
    /// decide by what they have read, one succeeds and the others get an error. The comparison is with
    /// the next offset to be assigned, which may be past the end that readers see.
    ///
    /// # Errors
    ///
    /// [`Reason::EndMoved`](crate::Reason::EndMoved), and as [`Log::submit`].
    pub fn submit_at(
        &self,
        expected: impl Into<Offset>,
        record: impl IntoRecord,
    ) -> Result<Ticket> {
        let expected = Some(expected.into());
        self.named(self.handle.engine.submit(record.fields(), expected))
    }

    /// As [`Log::submit`], of a batch: its records get consecutive offsets, become visible together, and
    /// recovery keeps all of them or none. An empty batch succeeds and appends nothing.
    ///
    /// # Errors
    ///
    /// As [`Log::submit`].
    pub fn submit_batch(
        &self,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Ticket> {
        let batch = records.into_iter().collect::<Batch>();
        self.submit_records(None, batch.records())
    }

    /// As [`Log::submit_batch`], but only if the first record gets the offset `expected`; see
    /// [`Log::submit_at`].
    ///
    /// # Errors
    ///
    /// As [`Log::submit_at`].
    pub fn submit_batch_at(
        &self,
        expected: impl Into<Offset>,
        records: impl IntoIterator<Item = impl IntoRecord>,
    ) -> Result<Ticket> {
        let batch = records.into_iter().collect::<Batch>();
        self.submit_records(Some(expected.into()), batch.records())
    }

    fn submit_records(&self, expected: Option<Offset>, records: &[Record]) -> Result<Ticket> {
        self.named(self.handle.engine.submit_batch(records, expected))
    }
}

impl CommitLog for Log {
    fn submit_append(&self, mut append: Append) -> Result<Ticket> {
        append.mark();
        self.submit_records(append.expected, append.batch.records())
    }

    fn try_submit(&self, append: Append) -> Result<Attempt> {
        self.named(self.handle.engine.try_submit(append))
    }

    fn submit(&self, record: Record) -> Result<Ticket> {
        Log::submit(self, record)
    }

    fn append(&self, record: Record) -> Result<Offset> {
        Log::append(self, record)
    }

    fn changes(&self) -> Notify {
        self.handle.engine.view.changed().clone()
    }

    fn stat(&self) -> Result<Stat> {
        self.named(self.handle.engine.stat())
    }

    fn trim(&self, start: Offset) -> Result<()> {
        Log::trim(self, start)
    }

    fn set_retention(&self, policy: Retention) -> Result<()> {
        Log::set_retention(self, policy)
    }

    fn sync(&self) -> Result<()> {
        Log::sync(self)
    }

    fn close(&self) -> Result<()> {
        Log::close(self)
    }
}
