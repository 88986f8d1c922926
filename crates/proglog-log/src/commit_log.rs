//! The traits that every commit log implements, wherever it keeps its records.

use std::fmt::Debug;
use std::iter::FusedIterator;
use std::time::SystemTime;

use crate::clock;
use crate::commit::ticket::Ticket;
use crate::error::{Error, Result};
use crate::offset::{Offset, Offsets};
use crate::read::cursor::Cursor;
use crate::read::follow::Follow;
use crate::read::seek;
use crate::record::batch::Batch;
use crate::record::{Record, RecordRef, StoredRecord};

/// An ordered sequence of records that can be read, each named by its offset.
///
/// Code that only reads a log takes an `Arc<dyn ReadLog>` or an `impl ReadLog`, and works with a
/// [`Log`](crate::Log), a [`MemoryLog`](crate::MemoryLog), a [`Reader`](crate::Reader) and a
/// [`ReadOnlyLog`](crate::ReadOnlyLog).
///
/// An implementation promises that offsets are dense, that an offset that was read never names another value,
/// and that the records of a batch become visible together. Only the required methods have to be
/// implemented; the others have defaults over them, which may be slower than what the log can do itself.
///
/// ```
/// use proglog_log::{Log, Options, MemoryLog, ReadLog, Result};
///
/// fn bytes(log: &dyn ReadLog) -> Result<usize> {
///     log.records(log.start_offset()).map(|record| Ok(record?.value.len())).sum()
/// }
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &Options::new())?;
/// log.append("on disk")?;
/// assert_eq!(bytes(&log)?, 7);
/// assert_eq!(bytes(&MemoryLog::new())?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ReadLog: Debug + Send + Sync {
    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] at or past the end, [`Error::Trimmed`] below the start, [`Error::Corrupt`] if
    /// the record was damaged, and errors of the file system.
    fn read(&self, offset: Offset) -> Result<StoredRecord>;

    /// The records from `from` on, up to the end as it is when the iterator gets there. Starting at
    /// the end yields nothing; starting past it, or below the start, yields the error that
    /// [`read`](ReadLog::read) returns.
    fn records(&self, from: Offset) -> Records;

    /// The records from `from` on, and those still to come: at the end it waits until there is more.
    /// Otherwise as [`records`](ReadLog::records).
    fn follow(&self, from: Offset) -> Follow;

    /// The lowest offset that can be read (inclusive).
    fn start_offset(&self) -> Offset;

    /// The end of what can be read (exclusive). It is not below the end of any append that was acknowledged
    /// before the call.
    fn end_offset(&self) -> Offset;

    /// The offsets that can be read: the [start](ReadLog::start_offset) up to the
    /// [end](ReadLog::end_offset).
    fn offsets(&self) -> Offsets {
        // In this order: the start never passes an end that was read after it.
        Offsets::new(self.start_offset(), self.end_offset())
    }

    /// The number of records that can be read.
    fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// True if there is no record that can be read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True once the log was closed: every read fails with [`Error::Closed`]. The default is for logs
    /// that are never closed.
    fn is_closed(&self) -> bool {
        false
    }

    /// Reads the newest record; `None` if the log is empty.
    ///
    /// # Errors
    ///
    /// As [`read`](ReadLog::read), without [`Error::OutOfRange`] and [`Error::Trimmed`].
    fn last(&self) -> Result<Option<StoredRecord>> {
        let mut offsets = self.offsets();
        loop {
            let Some(last) = offsets.last() else {
                return if self.is_closed() {
                    Err(Error::Closed)
                } else {
                    Ok(None)
                };
            };
            let read = self.read(last);
            let seen = std::mem::replace(&mut offsets, self.offsets());
            match read {
                // It was dropped in the meantime.
                Err(Error::Trimmed { .. } | Error::OutOfRange { .. }) if offsets != seen => {}
                read => return read.map(Some),
            }
        }
    }

    /// Reads consecutive records from `from` on: as many as have at most `bytes_max` bytes of values, keys
    /// and headers (32 more for each header), but at least one unless `from` is the end. There may be
    /// fewer, for example where a segment ends.
    ///
    /// # Errors
    ///
    /// As [`read`](ReadLog::read); but the records before a damaged one are returned, and `from` may be
    /// the end.
    fn read_batch(&self, from: Offset, bytes_max: usize) -> Result<Vec<StoredRecord>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for record in self.records(from) {
            let record = match record {
                Ok(record) => record,
                Err(error) if records.is_empty() => return Err(error),
                Err(_) => break,
            };
            bytes += record.size();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    /// The offset of the first record that was appended at `time` or later; the end if there is none. The
    /// default takes about as many reads as the number of records has binary digits. A damaged record
    /// counts as appended together with the next readable one, and each that is met costs one more read.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], and errors of the file system.
    fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        seek::offset_for_time(self.offsets(), clock::micros(time), |offset| {
            self.read(offset)
        })
    }
}

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
    /// Accepts the records of `batch`, assigns their offsets, and returns before they are durable: the
    /// ticket completes when they are. It may write to a file, but waits for the device only where a
    /// segment is full. An empty batch succeeds and appends nothing.
    ///
    /// # Errors
    ///
    /// Nothing was appended, since a record or the batch is too large, the log is closed or poisoned,
    /// or the device is full or fails.
    fn submit_batch(&self, batch: Batch) -> Result<Ticket>;

    /// As [`submit_batch`](CommitLog::submit_batch), but only if the first record gets the offset
    /// `expected`.
    ///
    /// # Errors
    ///
    /// [`Error::EndMoved`] if the next offset to be assigned is another, and as
    /// [`submit_batch`](CommitLog::submit_batch).
    fn submit_batch_at(&self, expected: Offset, batch: Batch) -> Result<Ticket>;

    /// Drops the records below `start`, for good. Does nothing if it is not above the log's start.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `start` is past the end, and errors of the file system.
    fn trim(&self, start: Offset) -> Result<()>;

    /// Makes everything that was submitted before durable.
    ///
    /// # Errors
    ///
    /// Errors of the file system. The appends that were submitted and not acknowledged have failed then,
    /// and if it was the sync itself that failed, the log is poisoned.
    fn sync(&self) -> Result<()>;

    /// Finishes everything that was submitted, makes it durable, and releases the log's resources. Every
    /// append, read and sync on any handle fails with [`Error::Closed`] from then on. Does nothing if it is
    /// closed already.
    ///
    /// # Errors
    ///
    /// As [`sync`](CommitLog::sync). The log is closed all the same.
    fn close(&self) -> Result<()>;

    /// Submits one record; see [`submit_batch`](CommitLog::submit_batch).
    ///
    /// # Errors
    ///
    /// As [`submit_batch`](CommitLog::submit_batch).
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

/// An iterator over the records of a log, made by [`ReadLog::records`].
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
        records: Box<dyn Iterator<Item = Result<StoredRecord>> + Send>,
        /// Whether it has yielded an error, or `None`.
        ended: bool,
        /// The record that was lent last.
        held: Option<StoredRecord>,
    },
}

impl Records {
    /// The records that `inner` yields, up to its first `None` or error.
    pub fn new(inner: impl Iterator<Item = Result<StoredRecord>> + Send + 'static) -> Self {
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
    type Item = Result<StoredRecord>;

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
