//! Iteration over the records of any log.

use std::fmt::{self, Debug};
use std::iter::FusedIterator;

use crate::error::Result;
use crate::read::cursor::Cursor;
use crate::record::{RecordRef, StoredRecord};

/// An iterator over the records of a log, made by [`ReadLog::records`](crate::ReadLog::records).
///
/// It borrows nothing and can be sent to another thread. It ends at the end of the log, or after an error; a new
/// one can start after a damaged record.
#[must_use]
pub struct Records {
    inner: Inner,
}

enum Inner {
    /// A log on disk. A variant of its own, so that its records cost no dynamic call.
    Cursor(Cursor),
    Other {
        records: Box<dyn Iterator<Item = Result<StoredRecord>> + Send>,
        /// True once it has yielded an error, or `None`.
        ended: bool,
        /// The record that was lent last.
        held: Option<StoredRecord>,
    },
}

impl Records {
    /// Creates an iterator that yields the records of `inner`, up to its first `None` or error.
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

    /// Returns the next record, lent: for records that are processed and not kept. On a log on disk this is
    /// faster than [`next`](Iterator::next), most of all for small records, since it updates no reference count
    /// and reads larger blocks.
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
    /// Those that the iterator yields.
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = match &self.inner {
            Inner::Cursor(cursor) => cursor.has_ended(),
            Inner::Other { ended, .. } => *ended,
        };
        f.debug_struct("Records")
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}
