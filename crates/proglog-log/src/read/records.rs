//! Iterator over the records of any log.

use std::fmt::{self, Debug};
use std::iter::FusedIterator;

use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::read::cursor::Cursor;
use crate::record::{RecordRef, StoredRecord};

/// An iterator over the records of a log, from either end, made by
/// [`ReadLog::records`](crate::ReadLog::records).
///
/// It owns what it needs and can be sent to another thread. It ends at the end of its range, or after an
/// error; a new one can start after a damaged record.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, LogOptions};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// log.append_batch(["a", "b", "c", "d"])?;
/// let values = |records: proglog_log::Records| {
///     records.map(|record| Ok(record?.value)).collect::<proglog_log::Result<Vec<_>>>()
/// };
/// assert_eq!(values(log.records(..))?, ["a", "b", "c", "d"]);
/// assert_eq!(values(log.records(1..3))?, ["b", "c"]);
/// assert_eq!(log.records(2..).rev().next().unwrap()?.value, "d");
/// // Bounds are exact unless they are clamped to what is there.
/// assert!(values(log.records(2..9)).is_err());
/// assert_eq!(values(log.records(log.offsets().clamp(2..9)))?, ["c", "d"]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Records {
    inner: Inner,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a cursor in a box takes an allocation for each iteration"
)]
enum Inner {
    /// Of a log on disk: the compiler sees the loop as a whole, without a call for each record.
    Cursor(Cursor),
    Other(ByOffset),
}

/// Records that are read one by one.
struct ByOffset {
    /// `None` after an error, and at the end.
    log: Option<Source>,
    next: Offset,
    /// The end (exclusive); `None` is the end of the log.
    end: Option<Offset>,
    /// The record that was lent last.
    held: Option<StoredRecord>,
}

/// The log that the records are read from.
struct Source {
    offsets: Box<dyn Fn() -> Offsets + Send>,
    read: Box<dyn FnMut(Offset) -> Result<StoredRecord> + Send>,
}

impl Records {
    /// The records of `range`, each read by `read`: for implementations of [`ReadLog`](crate::ReadLog).
    ///
    /// `offsets` returns the readable offsets of the log, and `read` returns [`Reason::OutOfRange`] at their end.
    /// Both are dropped once the iterator has ended.
    ///
    /// ```
    /// use proglog_log::{MemoryLog, Records};
    ///
    /// let log = MemoryLog::new();
    /// log.append_batch(["a", "b"])?;
    /// let (offsets, reader) = (log.clone(), log.clone());
    /// let records = Records::new(.., move || offsets.offsets(), move |offset| reader.read(offset));
    /// assert_eq!(records.count(), 2);
    /// # Ok::<(), proglog_log::Error>(())
    /// ```
    pub fn new(
        range: impl Into<OffsetBounds>,
        offsets: impl Fn() -> Offsets + Send + 'static,
        read: impl FnMut(Offset) -> Result<StoredRecord> + Send + 'static,
    ) -> Self {
        let OffsetBounds { start, end } = range.into();
        let by_offset = ByOffset {
            next: start.unwrap_or_else(|| offsets().start),
            log: Some(Source {
                offsets: Box::new(offsets),
                read: Box::new(read),
            }),
            end,
            held: None,
        };
        Self {
            inner: Inner::Other(by_offset),
        }
    }

    pub(crate) fn of_cursor(cursor: Cursor) -> Self {
        Self {
            inner: Inner::Cursor(cursor),
        }
    }

    /// The next record, borrowed: for records that are looked at and not kept.
    ///
    /// On a log on disk this is faster than the iterator, and the more so the smaller the records are: no
    /// references to the memory that was read into are counted, and more is read at a time.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proglog_log::{Log, LogOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_batch(["one", "three"])?;
    /// let (mut records, mut bytes) = (log.records(..), 0);
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
            Inner::Other(records) => {
                let item = records.next();
                Some(item?.map(|record| RecordRef::from(&*records.held.insert(record))))
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<StoredRecord>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::Cursor(cursor) => cursor.next(),
            Inner::Other(records) => records.next(),
        }
    }
}

/// Reads each record on its own. Without a bound, the end is that of the log at the first call.
impl DoubleEndedIterator for Records {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::Cursor(cursor) => cursor.next_back(),
            Inner::Other(records) => records.next_back(),
        }
    }
}

impl FusedIterator for Records {}

impl ByOffset {
    fn next(&mut self) -> Option<Result<StoredRecord>> {
        self.take(Self::read_next)
    }

    fn next_back(&mut self) -> Option<Result<StoredRecord>> {
        self.take(Self::read_last)
    }

    /// Reads a record; drops the log if there is none, or after an error.
    fn take(
        &mut self,
        read: impl FnOnce(&mut Self, &mut Source) -> Result<Option<StoredRecord>>,
    ) -> Option<Result<StoredRecord>> {
        let mut log = self.log.take()?;
        let record = read(self, &mut log);
        if let Ok(Some(_)) = record {
            self.log = Some(log);
        }
        record.transpose()
    }

    fn read_next(&mut self, log: &mut Source) -> Result<Option<StoredRecord>> {
        let record = match self.end {
            Some(end) if end <= self.next => None,
            Some(_) => Some((log.read)(self.next)?),
            None => log.read_if_any(self.next)?,
        };
        self.next = self.next.saturating_add(u64::from(record.is_some()));
        Ok(record)
    }

    fn read_last(&mut self, log: &mut Source) -> Result<Option<StoredRecord>> {
        let end = match self.end {
            Some(end) => end,
            None => log.end_after(self.next)?,
        };
        if end <= self.next {
            return Ok(None);
        }
        let last = end.saturating_sub(1);
        self.end = Some(last);
        (log.read)(last).map(Some)
    }
}

impl Source {
    /// Reads the record at `offset`; returns `None` at the end.
    fn read_if_any(&mut self, offset: Offset) -> Result<Option<StoredRecord>> {
        match (self.read)(offset) {
            Err(Error {
                reason: Reason::OutOfRange { offset, end, .. },
                ..
            }) if offset == end => Ok(None),
            read => read.map(Some),
        }
    }

    /// Returns the end of the log, or the error of a read of `next` if that is past the end.
    fn end_after(&mut self, next: Offset) -> Result<Offset> {
        if (self.offsets)().end <= next {
            self.read_if_any(next)?;
        }
        Ok((self.offsets)().end)
    }
}

impl Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = match &self.inner {
            Inner::Cursor(cursor) => cursor.has_ended(),
            Inner::Other(records) => records.log.is_none(),
        };
        f.debug_struct("Records")
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}
