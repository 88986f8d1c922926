//! Iterator over the records of any log.

use std::fmt::{self, Debug};
use std::iter::FusedIterator;

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

enum Inner {
    /// Of a log on disk: the compiler sees the loop as a whole, without a call for each record.
    Cursor(Cursor),
    Other(ByOffset),
}

/// Records that are read one by one.
struct ByOffset {
    read: Box<dyn FnMut(Offset) -> Result<StoredRecord> + Send>,
    next: Offset,
    /// The end (exclusive); `None` is the end of the log.
    end: Option<Offset>,
    /// The end of the log when the iterator was made.
    log_end: Offset,
    /// True after an error, or at the end.
    ended: bool,
    /// The record that was lent last.
    held: Option<StoredRecord>,
}

impl Records {
    /// The records of `range`, each read by `read`: for implementations of
    /// [`ReadLog`](crate::ReadLog), whose offsets are `offsets` at the moment. At the end of the log `read`
    /// returns [`Error::OutOfRange`].
    ///
    /// ```
    /// use proglog_log::{MemoryLog, Records};
    ///
    /// let log = MemoryLog::new();
    /// log.append_batch(["a", "b"])?;
    /// let reader = log.clone();
    /// let records = Records::new(.., log.offsets(), move |offset| reader.read(offset));
    /// assert_eq!(records.count(), 2);
    /// # Ok::<(), proglog_log::Error>(())
    /// ```
    pub fn new(
        range: impl Into<OffsetBounds>,
        offsets: Offsets,
        read: impl FnMut(Offset) -> Result<StoredRecord> + Send + 'static,
    ) -> Self {
        let OffsetBounds { start, end } = range.into();
        let by_offset = ByOffset {
            read: Box::new(read),
            next: start.unwrap_or(offsets.start),
            end,
            log_end: offsets.end,
            ended: false,
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

/// Reads each record on its own. A range without an end begins at the end of the log at the first call.
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
        if self.ended || self.end.is_some_and(|end| self.next >= end) {
            return None;
        }
        let read = (self.read)(self.next);
        self.ended = read.is_err();
        match read {
            Err(Error::OutOfRange { offset, end, .. }) if self.end.is_none() && offset == end => {
                None
            }
            Err(error) => Some(Err(error)),
            Ok(record) => {
                self.next = self.next.saturating_add(1);
                Some(Ok(record))
            }
        }
    }

    fn next_back(&mut self) -> Option<Result<StoredRecord>> {
        if self.ended {
            return None;
        }
        if self.end.is_none() && self.next > self.log_end {
            // The start was past the end of the log.
            return self.next();
        }
        let end = *self.end.get_or_insert(self.log_end);
        if end <= self.next {
            return None;
        }
        let last = end.saturating_sub(1);
        let read = (self.read)(last);
        self.ended = read.is_err();
        self.end = Some(last);
        Some(read)
    }
}

impl Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = match &self.inner {
            Inner::Cursor(cursor) => cursor.has_ended(),
            Inner::Other(records) => records.ended,
        };
        f.debug_struct("Records")
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}
