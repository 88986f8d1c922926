//! The trait of every commit log, wherever it keeps its records.

use crate::commit::append::{Append, Attempt};
use crate::commit::ticket::Ticket;
use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::offset::{Offset, Offsets};
use crate::read::notify::Notify;
use crate::read::read_log::ReadLog;
use crate::record::Record;
use crate::record::batch::Batch;
use crate::retention::Retention;
use crate::stat::Stat;

/// A log that can be appended to.
///
/// Code written against this trait, such as a server, works with a [`Log`](crate::Log) on disk, with a
/// [`MemoryLog`](crate::MemoryLog), and with any other implementation. It can be used as
/// `Arc<dyn CommitLog>`.
///
/// In addition to [`ReadLog`], an implementation promises:
///
/// - The records of a batch have consecutive offsets.
/// - An append that returned before another was submitted has the lower offset.
///
/// Only the required methods have to be implemented.
pub trait CommitLog: ReadLog {
    /// Accepts the records of an append, assigns their offsets, and returns before they are durable: the
    /// ticket completes when they are. It may write to a file, but waits for the device only where a
    /// segment is full. An empty batch succeeds and appends nothing.
    ///
    /// # Errors
    ///
    /// Nothing was appended, since a record or the batch is too large, the log is closed or poisoned,
    /// or the device is full or fails. [`Reason::EndMoved`] if the next offset to be assigned is
    /// not the one that the append expects.
    fn submit_append(&self, append: Append) -> Result<Ticket>;

    /// As [`submit_append`](CommitLog::submit_append), but returns the append instead of waiting: for the device, or
    /// long for another thread. Async code calls it first, and [`submit_append`](CommitLog::submit_append) on a thread
    /// that may block if it has to. The default always returns it.
    ///
    /// ```
    /// use proglog_log::{Append, Attempt, CommitLog, Log, LogOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let ticket = match log.try_submit(Append::new(["debit", "credit"]))? {
    ///     Attempt::Taken(ticket) => ticket,
    ///     Attempt::Blocked(append) => log.submit_append(append)?, // elsewhere, in async code
    /// };
    /// assert_eq!(ticket.wait()?, 0..2); // in async code, `ticket.await?`
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`submit_append`](CommitLog::submit_append).
    fn try_submit(&self, append: Append) -> Result<Attempt> {
        Ok(Attempt::Blocked(append))
    }

    /// Drops the records below `start`, for good. Does nothing if it is not above the log's start.
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`] if `start` is past the end, and errors of the file system.
    fn trim(&self, start: Offset) -> Result<()>;

    /// Replaces the policy by which the log drops its oldest records, until it is closed. It is applied soon, in the
    /// background.
    ///
    /// # Errors
    ///
    /// [`Reason::Unsupported`], by default, if the log has no retention; [`Reason::Poisoned`], [`Reason::Closed`].
    fn set_retention(&self, policy: Retention) -> Result<()> {
        let _ = policy;
        let operation = "change its retention";
        Err(Error::new(self.name(), Reason::Unsupported { operation }))
    }

    /// Makes everything that was submitted before durable.
    ///
    /// # Errors
    ///
    /// Errors of the file system. The appends that were submitted and not acknowledged have failed then,
    /// and if it was the sync itself that failed, the log is poisoned.
    fn sync(&self) -> Result<()>;

    /// Finishes everything that was submitted, makes it durable, and releases the log's resources. Every append, read
    /// and sync on any handle fails with [`Reason::Closed`] from then on. Does nothing if it is
    /// closed already.
    ///
    /// # Errors
    ///
    /// As [`sync`](CommitLog::sync). The log is closed all the same.
    fn close(&self) -> Result<()>;

    /// Returns what is notified of each change that readers can see: new records, trims, and the end of the log. For
    /// code that has many followers of one log; [`follow`](ReadLog::follow) is simpler for one.
    fn changes(&self) -> Notify;

    /// Returns figures of the log. It may read files, and waits for a trim that is under way. The default is that of a log
    /// [without files](Stat::without_files).
    ///
    /// ```
    /// use proglog_log::{CommitLog, Log, LogOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_batch(["debit", "credit"])?;
    /// let stat = log.stat()?;
    /// assert_eq!((stat.offsets.len(), stat.recovery_point.get(), stat.segments), (2, 2, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::Closed`], and errors of the file system.
    fn stat(&self) -> Result<Stat> {
        Ok(Stat::without_files(self.offsets()))
    }

    /// Submits a batch; see [`submit_append`](CommitLog::submit_append).
    ///
    /// # Errors
    ///
    /// As [`submit_append`](CommitLog::submit_append).
    fn submit_batch(&self, batch: Batch) -> Result<Ticket> {
        self.submit_append(Append::new(batch))
    }

    /// Submits a batch, but only if its first record gets the offset `expected`.
    ///
    /// # Errors
    ///
    /// As [`submit_append`](CommitLog::submit_append).
    fn submit_batch_at(&self, expected: Offset, batch: Batch) -> Result<Ticket> {
        self.submit_append(Append::new(batch).at(expected))
    }

    /// Submits one record; see [`submit_append`](CommitLog::submit_append).
    ///
    /// # Errors
    ///
    /// As [`submit_append`](CommitLog::submit_append).
    fn submit(&self, record: Record) -> Result<Ticket> {
        self.submit_batch(record.into())
    }

    /// Submits one record, but only if it gets the offset `expected`.
    ///
    /// # Errors
    ///
    /// As [`submit_batch_at`](CommitLog::submit_batch_at).
    fn submit_at(&self, expected: Offset, record: Record) -> Result<Ticket> {
        self.submit_batch_at(expected, record.into())
    }

    /// Appends one record and waits until it is as durable as the log promises; returns its offset.
    ///
    /// # Errors
    ///
    /// As [`submit`](CommitLog::submit) and [`Ticket::wait`].
    fn append(&self, record: Record) -> Result<Offset> {
        Ok(self.submit(record)?.wait()?.start)
    }

    /// Appends one record, but only if it gets the offset `expected`, and waits as
    /// [`append`](CommitLog::append).
    ///
    /// # Errors
    ///
    /// As [`submit_at`](CommitLog::submit_at) and [`Ticket::wait`].
    fn append_at(&self, expected: Offset, record: Record) -> Result<Offset> {
        Ok(self.submit_at(expected, record)?.wait()?.start)
    }

    /// Appends a batch and waits until it is as durable as the log promises; returns its offsets.
    ///
    /// # Errors
    ///
    /// As [`submit_batch`](CommitLog::submit_batch) and [`Ticket::wait`].
    fn append_batch(&self, batch: Batch) -> Result<Offsets> {
        self.submit_batch(batch)?.wait()
    }

    /// Appends a batch, but only if its first record gets the offset `expected`, and waits as
    /// [`append_batch`](CommitLog::append_batch).
    ///
    /// # Errors
    ///
    /// As [`submit_batch_at`](CommitLog::submit_batch_at) and [`Ticket::wait`].
    fn append_batch_at(&self, expected: Offset, batch: Batch) -> Result<Offsets> {
        self.submit_batch_at(expected, batch)?.wait()
    }
}
