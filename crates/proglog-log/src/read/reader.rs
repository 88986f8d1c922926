//! Reading a log.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::commit_log::{ReadLog, Records};
use crate::error::Result;
use crate::offset::{Offset, Offsets};
use crate::options::Visibility;
use crate::read::cursor::Cursor;
use crate::read::follow::Follow;
use crate::read::view::{Readable, View};
use crate::record::StoredRecord;

/// The reading side of a [`Log`](crate::Log), made by [`Log::reader`](crate::Log::reader): a cheap
/// handle that sees as far as its [`Visibility`] says.
///
/// Readers wait for no sync, no writer and no other reader. A reader does not keep the log open: once
/// the log is closed, all that it does fails with [`Error::Closed`](crate::Error::Closed).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, Options, Visibility};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &Options::new())?;
/// let committed = log.reader(Visibility::Published);
/// log.append("kept here, and by nobody else yet")?;
/// assert_eq!(committed.records(0).count(), 0);
/// log.publish(1)?; // now others have it too
/// assert_eq!(committed.records(0).count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reader {
    view: Arc<View>,
    visibility: Visibility,
}

impl Reader {
    pub(crate) fn new(view: Arc<View>, visibility: Visibility) -> Self {
        Self { view, visibility }
    }

    pub(crate) fn visibility(&self) -> Visibility {
        self.visibility
    }

    pub(crate) fn cursor(&self, from: Offset) -> Cursor {
        Cursor::new(Arc::clone(&self.view), self.visibility, from)
    }

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// As [`Log::read`](crate::Log::read).
    pub fn read(&self, offset: impl Into<Offset>) -> Result<StoredRecord> {
        let offset = offset.into();
        loop {
            let generation = self.view.generation();
            let read = match self.view.check_readable(offset, self.visibility)? {
                Readable::Record => self.read_readable(offset),
                Readable::End => Err(self.view.out_of_range(offset, self.visibility)),
            };
            // A read that failed while the log was truncated may have failed because of that.
            if read.is_ok() || self.view.generation() == generation {
                return read;
            }
        }
    }

    fn read_readable(&self, offset: Offset) -> Result<StoredRecord> {
        let Some(segment) = self.view.segment_of(offset) else {
            return Err(self.view.gone(offset, self.visibility));
        };
        let read = segment.open().and_then(|open| open.read(offset));
        // Its segment may have been trimmed in the meantime.
        read.map_err(|error| self.view.or_gone(error, offset, self.visibility))
    }

    /// Reads records that lie one behind the other in one segment from `from` on: as many as have at
    /// most `bytes_max` bytes of values, keys and headers, but at least one, unless `from` is the end. There
    /// may be fewer, as what the file holds beside these counts for some of them.
    /// They cost one read of the file, or a few, where [`Reader::read`] costs one each.
    ///
    /// # Errors
    ///
    /// As [`Reader::read`]; but the records before a damaged one are returned, and `from` may be the
    /// end.
    pub fn read_batch(
        &self,
        from: impl Into<Offset>,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let from = from.into();
        if self.view.check_readable(from, self.visibility)? == Readable::End {
            return Ok(Vec::new());
        }
        let mut cursor = self.cursor(from).with_run_bytes_max(bytes_max);
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(record) = cursor.next() {
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
            if cursor.run_is_over() {
                break;
            }
        }
        Ok(records)
    }

    /// The offset of the first record that was appended at `time` or later; see
    /// [`ReadLog::offset_for_time`].
    ///
    /// # Errors
    ///
    /// As [`ReadLog::offset_for_time`].
    pub fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        ReadLog::offset_for_time(self, time)
    }

    /// The records from `from` on; see [`Log::records`](crate::Log::records).
    pub fn records(&self, from: impl Into<Offset>) -> Records {
        Records::of_cursor(self.cursor(from.into()))
    }

    /// The records from `from` on, and those still to come; see [`Log::follow`](crate::Log::follow).
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        let mut cursor = self.cursor(from.into());
        let changed = self.view.changed().clone();
        Follow::new(move || cursor.next_now(), &changed)
    }

    /// The lowest offset that can be read (inclusive).
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.offsets().start
    }

    /// The end of what can be read (exclusive).
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.offsets().end
    }

    /// The offsets that can be read.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.view.range(self.visibility).into()
    }

    /// The number of records that can be read.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// True if there is no record that can be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets().is_empty()
    }

    /// Reads the newest record; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ReadLog::last`].
    pub fn last(&self) -> Result<Option<StoredRecord>> {
        ReadLog::last(self)
    }

    /// True once the log was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.view.is_open()
    }
}

impl ReadLog for Reader {
    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        Reader::read(self, offset)
    }

    fn records(&self, from: Offset) -> Records {
        Reader::records(self, from)
    }

    fn follow(&self, from: Offset) -> Follow {
        Reader::follow(self, from)
    }

    fn start_offset(&self) -> Offset {
        Reader::start_offset(self)
    }

    fn end_offset(&self) -> Offset {
        Reader::end_offset(self)
    }

    fn offsets(&self) -> Offsets {
        Reader::offsets(self)
    }

    fn is_closed(&self) -> bool {
        Reader::is_closed(self)
    }

    fn read_batch(&self, from: Offset, bytes_max: usize) -> Result<Vec<StoredRecord>> {
        Reader::read_batch(self, from, bytes_max)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("readable", &self.view.range(self.visibility))
            .field("visibility", &self.visibility)
            .finish_non_exhaustive()
    }
}
