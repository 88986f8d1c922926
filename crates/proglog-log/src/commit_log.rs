//! What every commit log does, whatever keeps its records.

use std::fmt::Debug;
use std::iter::FusedIterator;
use std::ops::Range;

use crate::commit::ticket::Ticket;
use crate::error::Result;
use crate::offset::Offset;
use crate::read::cursor::Cursor;
use crate::read::follow::Follow;
use crate::record::{Batch, Record, RecordRef};

/// An ordered, append-only sequence of records, each named by its offset.
///
/// What is written against this trait (a server, say) runs on a [`Log`](crate::Log) on disk, on a
/// [`MemoryLog`](crate::MemoryLog), and on whatever else implements it.
///
/// # What an implementation promises
///
/// - Offsets are dense, from 0. An offset that was acknowledged, or read, never names another value.
/// - The records of a batch have offsets one behind the other and become visible together.
/// - An append that returned before another was submitted has the lower offset.
/// - [`end_offset`](CommitLog::end_offset) sees all that was acknowledged before it was called.
pub trait CommitLog: Debug + Send + Sync {
    /// Takes the records of `batch`, gives them offsets, and returns before they are durable: the
    /// ticket tells when they are. May write to a file, but waits for no sync unless a segment is
    /// full. An empty batch succeeds and appends nothing.
    ///
    /// # Errors
    ///
    /// When nothing was appended: a record or the batch is too large, the log is closed or poisoned,
    /// or the device is full or fails.
    fn submit(&self, batch: Batch) -> Result<Ticket>;

    /// As [`submit`](CommitLog::submit), but only if the first record would get the offset `expected`.
    ///
    /// # Errors
    ///
    /// [`Error::EndMoved`](crate::Error::EndMoved) if the next offset to be assigned is another, and as
    /// [`submit`](CommitLog::submit).
    fn submit_at(&self, expected: Offset, batch: Batch) -> Result<Ticket>;

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) at or past the end,
    /// [`Error::Trimmed`](crate::Error::Trimmed) below the start,
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it was damaged, and what the file system says.
    fn read(&self, offset: Offset) -> Result<Record>;

    /// The records from `from` on, up to the end as it is when the iterator gets there. Starting at
    /// the end yields nothing; starting past it, or below the start, yields the error that
    /// [`read`](CommitLog::read) returns.
    fn records(&self, from: Offset) -> Records;

    /// The records from `from` on, and those still to come: at the end it waits until there is more.
    /// Otherwise as [`records`](CommitLog::records).
    fn follow(&self, from: Offset) -> Follow;

    /// The lowest offset that can be read (inclusive).
    fn start_offset(&self) -> Offset;

    /// The end of what can be read (exclusive).
    fn end_offset(&self) -> Offset;

    /// Drops the records below `start`, for good. Does nothing if it is not above the log's start.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if `start` is past the end, and what the file
    /// system says.
    fn trim(&self, start: Offset) -> Result<()>;

    /// Makes all that was submitted before durable.
    ///
    /// # Errors
    ///
    /// What the file system says. Appends that were submitted and not acknowledged have failed then,
    /// and if it was the sync itself that failed, the log is poisoned.
    fn sync(&self) -> Result<()>;

    /// Finishes all that was submitted, makes it durable, and releases what the log holds. Every
    /// append, read and sync on any handle fails with [`Error::Closed`](crate::Error::Closed) from
    /// then on. Does nothing when it is closed already.
    ///
    /// # Errors
    ///
    /// As [`sync`](CommitLog::sync). The log is closed all the same.
    fn close(&self) -> Result<()>;

    /// Appends one record and waits until it is as durable as the log promises.
    ///
    /// # Errors
    ///
    /// As [`submit`](CommitLog::submit) and [`Ticket::wait`].
    fn append(&self, record: Record) -> Result<Offset> {
        Ok(self.submit(record.into())?.wait()?.start)
    }

    /// Appends a batch and waits until it is as durable as the log promises.
    ///
    /// # Errors
    ///
    /// As [`submit`](CommitLog::submit) and [`Ticket::wait`].
    fn append_batch(&self, batch: Batch) -> Result<Range<Offset>> {
        self.submit(batch)?.wait()
    }
}

/// An iterator over the records of a log, made by [`CommitLog::records`].
///
/// It owns what it needs and can be sent to another thread. It ends at the end of the log, or after
/// an error; a new one can start behind a damaged record.
#[must_use]
pub struct Records {
    inner: Inner,
}

enum Inner {
    /// Of a log on disk: the loop that takes the records knows it, and calls nothing for each.
    Cursor(Cursor),
    Other {
        records: Box<dyn Iterator<Item = Result<Record>> + Send>,
        /// Whether it has yielded an error, or `None`.
        ended: bool,
        /// The record that was lent last.
        held: Option<Record>,
    },
}

impl Records {
    /// The records that `inner` yields, up to its first `None` or error.
    pub fn new(inner: impl Iterator<Item = Result<Record>> + Send + 'static) -> Self {
        let records = Box::new(inner);
        Self {
            inner: Inner::Other {
                records,
                ended: false,
                held: None,
            },
        }
    }

    /// As the iterator yields it, but lent: for records that are looked at and not kept. Of a log on
    /// disk this is faster, the more so the smaller they are: nothing has to be counted that refers to
    /// the memory that was read into, and more is read at a time.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proglog_log::{Batch, Log, Options};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &Options::new())?;
    /// log.append_batch(Batch::from_iter(["one", "three"]))?;
    /// let (mut records, mut bytes) = (log.records(0), 0);
    /// while let Some(record) = records.next_ref() {
    ///     bytes += record?.value.len();
    /// }
    /// assert_eq!(bytes, 8);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As the iterator yields.
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>>> {
        match &mut self.inner {
            Inner::Cursor(cursor) => cursor.next_ref(),
            Inner::Other { ended: true, .. } => None,
            Inner::Other {
                records,
                ended,
                held,
            } => {
                let item = records.next();
                *ended = !matches!(item, Some(Ok(_)));
                Some(item?.map(|record| RecordRef::from(&*held.insert(record))))
            }
        }
    }

    pub(crate) fn of_cursor(cursor: Cursor) -> Self {
        Self {
            inner: Inner::Cursor(cursor),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::Cursor(cursor) => cursor.next(),
            Inner::Other { ended: true, .. } => None,
            Inner::Other { records, ended, .. } => {
                let item = records.next();
                *ended = !matches!(item, Some(Ok(_)));
                item
            }
        }
    }
}

impl FusedIterator for Records {}

impl Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended = match &self.inner {
            Inner::Cursor(cursor) => cursor.has_ended(),
            Inner::Other { ended, .. } => *ended,
        };
        f.debug_struct("Records")
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}
