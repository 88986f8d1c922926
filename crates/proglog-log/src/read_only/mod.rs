//! Read-only log: reads the files of a log that another process may have open.
//!
//! No file is locked or written. The newest segment is visible up to its newest sync mark, those before it as
//! a whole, and the log start offset is in the checkpoint. Segments are created, trimmed and truncated in the
//! meantime. A segment that has vanished was trimmed if the checkpoint, read again, says so; otherwise it is missing.

mod advance;
pub(crate) mod options;
mod retrying;
mod shared;
mod snapshot;
mod watch;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use proglog_store::io::{Directory, FsDirectory};

use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::options::Visibility;
use crate::read::follow::Follow;
use crate::read::read_log::{ReadLog, impl_read_log};
use crate::read::reader::Reader;
use crate::read::records::Records;
use crate::read::verify::Verification;
use crate::read_only::options::ReadOnlyOptions;
use crate::read_only::retrying::{Following, Retrying};
use crate::read_only::shared::Shared;
use crate::record::StoredRecord;

/// A log opened for reading only, while another process may have it open and append.
///
/// It takes no lock and writes nothing. Records are visible once they are known to be on the device: up to the newest
/// sync mark, which in a synced log comes with the next append, or once the log is idle
/// ([`LogOptions::idle_after`](crate::LogOptions::idle_after)). The view is updated by
/// [`refresh`](ReadOnlyLog::refresh), by a read past the end, and by looks while there are followers. Clones share it.
/// Reading a record that the writer has trimmed fails with [`Reason::Trimmed`], as it does for
/// the writer.
///
/// A look takes two system calls if nothing has changed, however many segments there are, and comes every 20
/// milliseconds, on a thread that all read-only logs of the process share and that does nothing else. It sees what was
/// appended. A trim, a truncation, or a roll that no append followed is seen by one of the next two looks, and what hardly
/// ever happens, such as a directory that is moved or a segment without records that is created again, within a quarter
/// of a second.
///
/// A log of which segments are missing opens, although [`Log::open`](crate::Log::open) refuses it: reading a record of
/// theirs fails with [`Reason::MissingSegment`], and all others can be read.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, LogOptions, ReadOnlyLog};
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// log.append("first")?;
/// log.append("second")?; // Marks the first as synced in the file.
/// let reader = ReadOnlyLog::open(directory.path())?;
/// assert_eq!(reader.read(0)?.value, "first");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReadOnlyLog {
    shared: Arc<Shared>,
    reader: Reader,
}

impl ReadOnlyLog {
    /// Opens the log in the directory at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// [`Reason::NotALog`] if there is no log in the directory;
    /// [`Reason::CheckpointLost`],
    /// [`Reason::UnsupportedCheckpoint`],
    /// [`Reason::WrongSegment`] or [`Reason::NotASegment`] if
    /// files are damaged or not this log's; [`Reason::Io`] and
    /// [`Reason::Store`] if a file cannot be read; [`Reason::NoThread`]
    /// if the thread that looks for followers cannot be started.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &ReadOnlyOptions::new())
    }

    /// As [`ReadOnlyLog::open`], with options.
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOnlyOptions) -> Result<Self> {
        let path = path.as_ref();
        let cache = options.cache_or_global();
        let directory = cache
            .with_descriptors(|| FsDirectory::open(path))
            .map_err(|error| Error::of_directory(path, error))?;
        Self::open_in_with(Arc::new(directory), options)
    }

    /// As [`ReadOnlyLog::open`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::open`].
    pub fn open_in(directory: Arc<dyn Directory>) -> Result<Self> {
        Self::open_in_with(directory, &ReadOnlyOptions::new())
    }

    /// As [`ReadOnlyLog::open_with`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::open`].
    pub fn open_in_with(directory: Arc<dyn Directory>, options: &ReadOnlyOptions) -> Result<Self> {
        let shared = Shared::open(directory, options)?;
        let view = Arc::clone(shared.view());
        Ok(Self {
            shared,
            reader: Reader::new(view, Visibility::Acknowledged),
        })
    }

    /// Updates the view, and returns its end offset.
    ///
    /// # Errors
    ///
    /// [`Reason::DirectoryMoved`] if the directory was renamed, replaced or removed
    /// since it was opened; otherwise as [`ReadOnlyLog::open`]. The view is then as before, and so are the files that
    /// it is read from.
    pub fn refresh(&self) -> Result<Offset> {
        self.shared.refresh()?;
        Ok(self.end_offset())
    }

    /// Reads the record at `offset`. Updates the view and tries again if that fails.
    ///
    /// # Errors
    ///
    /// As [`Log::read`](crate::Log::read) and [`ReadOnlyLog::refresh`].
    pub fn read(&self, offset: impl Into<Offset>) -> Result<StoredRecord> {
        let offset = offset.into();
        self.shared.read(&self.reader, |reader| reader.read(offset))
    }

    /// Reads several records at once; see [`Reader::read_batch`].
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::read`].
    pub fn read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let from = from.into();
        self.shared.read(&self.reader, |reader| {
            match reader.read_batch(from, records_max, bytes_max) {
                Ok(records) if records.is_empty() => {
                    self.shared.refresh()?;
                    reader.read_batch(from, records_max, bytes_max)
                }
                read => read,
            }
        })
    }

    /// As [`ReadOnlyLog::read`], without waiting for the device; see [`ReadLog::try_read`]. At or past the end of the
    /// view, which [`ReadOnlyLog::read`] would update, it returns `None`.
    ///
    /// # Errors
    ///
    /// [`Reason::Trimmed`].
    pub fn try_read(&self, offset: impl Into<Offset>) -> Result<Option<StoredRecord>> {
        none_past_the_end(self.reader.try_read(offset))
    }

    /// Reads several records at once, without waiting for the device; see [`ReadLog::try_read_batch`]. At or past the
    /// end of the view, which [`ReadOnlyLog::read_batch`] would update, it returns `None`.
    ///
    /// # Errors
    ///
    /// [`Reason::Trimmed`].
    pub fn try_read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<StoredRecord>>> {
        let read = self.reader.try_read_batch(from, records_max, bytes_max);
        Ok(none_past_the_end(read)?.filter(|records| !records.is_empty()))
    }

    /// Returns the records of `range`, as [`Log::records`](crate::Log::records), up to the end of the view.
    /// Updates the view first if the range goes further.
    pub fn records(&self, range: impl Into<OffsetBounds>) -> Records {
        let range = range.into();
        let visible = self.offsets();
        if range.start.is_some_and(|start| start >= visible.end) || range.end > Some(visible.end) {
            // After an error the view is as before.
            drop(self.shared.refresh());
        }
        let start = range.start.unwrap_or_else(|| self.start_offset());
        let mut records = Retrying::new(&self.shared, &self.reader, start, range.end);
        let range = OffsetBounds {
            start: Some(start),
            ..range
        };
        let log = self.clone();
        Records::new(
            range,
            move || log.offsets(),
            move |offset| records.read(offset),
        )
    }

    /// Returns the records from `from` on, and later ones as they are appended, as [`Log::follow`](crate::Log::follow).
    /// A background thread looks for changes every 20 milliseconds as long as there are followers, and keeps the
    /// checkpoint's file open for that. If looks fail ten times in a row, waiting at the end fails with the error of
    /// [`ReadOnlyLog::refresh`]. In a process that was forked since the log was opened it fails with
    /// [`Reason::NoThread`] if no thread can be started there.
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        let mut following = Following::new(&self.shared, &self.reader, from.into());
        self.shared.view().follow(move || following.next())
    }

    /// Returns the name of the log in its errors: the absolute path of its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        self.reader.name()
    }

    /// Returns the lowest readable offset (inclusive) of the view.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.reader.start_offset()
    }

    /// Returns the end offset (exclusive) of the view.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.reader.end_offset()
    }

    /// Returns the readable offsets of the view.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.reader.offsets()
    }

    /// Returns the number of records in the view.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// Returns true if there is no record in the view.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets().is_empty()
    }

    /// Reads the newest record of the view; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ReadOnlyLog::read`].
    pub fn last(&self) -> Result<Option<StoredRecord>> {
        ReadLog::last(self)
    }

    /// Returns the offset of the first record that was appended at `time` or later; the end of the view if there is
    /// none. Updates the view first. Records that are damaged or missing are passed over.
    ///
    /// # Errors
    ///
    /// As [`Reader::offset_for_time`].
    pub fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        // After an error the view is as before.
        drop(self.shared.refresh());
        self.reader.offset_for_time(time)
    }

    /// Reads every record up to the end of the view, and verifies it, as [`Reader::verify`]. Updates the view before
    /// that, and again if anything is damaged or missing: what was trimmed meanwhile is not reported.
    ///
    /// # Errors
    ///
    /// As [`Reader::verify`] and [`ReadOnlyLog::refresh`].
    pub fn verify(&self) -> Result<Verification> {
        self.shared.refresh()?;
        let mut found = self.reader.verify()?;
        if !found.damaged.is_empty() {
            self.shared.refresh()?;
            found.trim(self.start_offset());
        }
        Ok(found)
    }

    /// Returns a reader of the view, which does not update it. It takes segments that vanish for missing, also if
    /// they are trimmed.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

/// Returns what was read, or `None` if there was nothing to read yet.
fn none_past_the_end<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(Error {
            reason: Reason::OutOfRange { .. },
            ..
        }) => Ok(None),
        read => read,
    }
}

impl_read_log!(ReadOnlyLog, read_batch, try_read, offset_for_time);

impl fmt::Debug for ReadOnlyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyLog")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
