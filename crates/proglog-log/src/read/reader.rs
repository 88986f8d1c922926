//! Readers: handles for the reading side of a log.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{LogName, Named, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::options::Visibility;
use crate::read::cursor::{self, Cursor};
use crate::read::follow::Follow;
use crate::read::read_log::{ReadLog, impl_read_log};
use crate::read::records::Records;
use crate::read::try_read;
use crate::read::view::{Readable, View};
use crate::record::StoredRecord;

/// A handle that reads a [`Log`](crate::Log) at a given [`Visibility`], made by
/// [`Log::reader`](crate::Log::reader). Clones are cheap.
///
/// Readers wait for no sync, no writer and no other reader. A reader does not keep the log open: once the log
/// is closed, every operation fails with [`Reason::Closed`](crate::Reason::Closed).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, LogOptions, Visibility};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// let committed = log.reader(Visibility::Committed);
/// log.append("on this replica only")?;
/// assert_eq!(committed.records(..).count(), 0);
/// log.set_high_watermark(1)?; // now on other replicas too
/// assert_eq!(committed.records(..).count(), 1);
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
        cursor::read(&self.view, self.visibility, offset.into()).named(self.view.log())
    }

    /// As [`Reader::read`], without waiting for the device; see [`ReadLog::try_read`]. The record has to be in the buffers
    /// of the log or in the system's page cache, and the files of its segment open.
    ///
    /// # Errors
    ///
    /// As [`ReadLog::try_read`].
    pub fn try_read(&self, offset: impl Into<Offset>) -> Result<Option<StoredRecord>> {
        try_read::try_read(&self.view, self.visibility, offset.into()).named(self.view.log())
    }

    /// Reads consecutive records of one segment, starting at `from`: up to `records_max` records and up to `bytes_max`
    /// bytes of values, keys and headers, with 32 more for each header, but at least one record, unless `from` is the
    /// end or `records_max` is 0.
    ///
    /// The bytes in the file count too, which are 20 to 40 more for each record: so `bytes_max` also bounds how many
    /// records there are, and fewer are returned than fit by their values alone. The batch takes one read of the
    /// file, or a few, instead of one a record.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::read`], if they concern the first record; an error after that only ends the batch.
    /// Reading at the end returns an empty batch.
    pub fn read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let from = from.into();
        let readable = self.view.check_readable(from, self.visibility);
        if readable.named(self.view.log())? == Readable::End {
            return Ok(Vec::new());
        }
        let end = from.saturating_add(records_max as u64);
        let mut cursor = self
            .cursor(from)
            .with_end(Some(end))
            .with_run_bytes_max(bytes_max);
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

    /// As [`Reader::read_batch`], without waiting for the device; see [`ReadLog::try_read_batch`] and
    /// [`Reader::try_read`].
    ///
    /// # Errors
    ///
    /// As [`ReadLog::try_read_batch`].
    pub fn try_read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<StoredRecord>>> {
        let (view, from) = (&self.view, from.into());
        try_read::try_read_batch(view, self.visibility, from, records_max, bytes_max)
            .named(view.log())
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

    /// Iterates over the records of `range`; see [`Log::records`](crate::Log::records).
    pub fn records(&self, range: impl Into<OffsetBounds>) -> Records {
        let OffsetBounds { start, end } = range.into();
        let start = start.unwrap_or_else(|| self.start_offset());
        Records::of_cursor(self.cursor(start).with_end(end))
    }

    /// Iterates over the records from `from` on, and waits for new ones; see
    /// [`Log::follow`](crate::Log::follow).
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        let mut cursor = self.cursor(from.into());
        self.view.follow(move || cursor.next_now())
    }

    /// Returns the end of the readable records of the segment with base offset `base`.
    pub(crate) fn end_of_segment(&self, base: Offset) -> Offset {
        let bound = self.view.bound_in(base, self.visibility);
        bound.map_or(base, |(end, _)| end)
    }

    /// Returns the name of the log in its errors: the absolute path of its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        self.view.log().as_str()
    }

    pub(crate) fn log(&self) -> &LogName {
        self.view.log()
    }

    /// Returns the lowest readable offset.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.offsets().start
    }

    /// Returns the offset after the last readable record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.offsets().end
    }

    /// Returns the readable offsets.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.view.range(self.visibility).into()
    }

    /// Returns the number of readable records.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// Returns whether no record is readable.
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

    /// Returns whether the log is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.view.is_open()
    }
}

impl_read_log!(Reader, is_closed, read_batch, try_read);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("readable", &self.view.range(self.visibility))
            .field("visibility", &self.visibility)
            .finish_non_exhaustive()
    }
}
