//! Reading a log on disk.

use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Result;
use crate::log::Log;
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::options::Visibility;
use crate::read::follow::Follow;
use crate::read::read_log::{ReadLog, impl_read_log};
use crate::read::reader::Reader;
use crate::read::records::Records;
use crate::read::verify::Verification;
use crate::record::StoredRecord;

impl Log {
    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`](crate::Reason::OutOfRange), [`Reason::Trimmed`](crate::Reason::Trimmed),
    /// [`Reason::Corrupt`](crate::Reason::Corrupt); [`Reason::Io`](crate::Reason::Io) and
    /// [`Reason::Store`](crate::Reason::Store) if the file system fails; [`Reason::Closed`](crate::Reason::Closed).
    pub fn read(&self, offset: impl Into<Offset>) -> Result<StoredRecord> {
        self.handle.engine.reader.read(offset)
    }

    /// As [`Log::read`], without waiting for the device; see [`Reader::try_read`].
    ///
    /// # Errors
    ///
    /// As [`Reader::try_read`].
    pub fn try_read(&self, offset: impl Into<Offset>) -> Result<Option<StoredRecord>> {
        self.handle.engine.reader.try_read(offset)
    }

    /// Reads the newest record; `None` if the log is empty.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// assert!(log.last()?.is_none());
    /// log.append_batch(["first", "last"])?;
    /// assert!(log.last()?.is_some_and(|record| record.value == "last"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::Corrupt`](crate::Reason::Corrupt); [`Reason::Io`](crate::Reason::Io) and
    /// [`Reason::Store`](crate::Reason::Store) if the file system fails; [`Reason::Closed`](crate::Reason::Closed).
    pub fn last(&self) -> Result<Option<StoredRecord>> {
        self.handle.engine.reader.last()
    }

    /// Reads several records at once; see [`Reader::read_batch`].
    ///
    /// # Errors
    ///
    /// As [`Reader::read_batch`].
    pub fn read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let reader = &self.handle.engine.reader;
        reader.read_batch(from, records_max, bytes_max)
    }

    /// Reads several records at once, without waiting for the device; see [`Reader::try_read_batch`].
    ///
    /// # Errors
    ///
    /// As [`Reader::try_read_batch`].
    pub fn try_read_batch(
        &self,
        from: impl Into<Offset>,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<StoredRecord>>> {
        let reader = &self.handle.engine.reader;
        reader.try_read_batch(from, records_max, bytes_max)
    }

    /// The records of `range`, in order; from the last to the first with `rev()`.
    ///
    /// A range without a start begins at the start of the log, and one without an end goes up to the end of
    /// the log as it is when the iterator gets there. The bounds that are given are exact: where a record
    /// of the range is trimmed or not there yet, the iterator yields the error that [`Log::read`] returns,
    /// and ends. For the part of a range that is there, see [`Offsets::clamp`]. A range whose end is not above its
    /// start, such as `5..2`, yields nothing, whatever is in the log.
    ///
    /// A record may be a slice of a block of 256 KiB, or of as much as a longer record takes, which it keeps in
    /// memory: [`StoredRecord::detach`] copies it out. Forward, records are read in blocks; backward, each is a read.
    /// The iterator is independent of this handle: once the log is closed it yields
    /// [`Reason::Closed`](crate::Reason::Closed), and once the next record is trimmed,
    /// [`Reason::Trimmed`](crate::Reason::Trimmed).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_batch(["a", "b", "c", "d"])?;
    /// for record in log.records(1..=2) {
    ///     println!("{:?}", record?.value); // b, c
    /// }
    /// for record in log.records(..).rev().take(2) {
    ///     println!("{:?}", record?.value); // d, c
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn records(&self, range: impl Into<OffsetBounds>) -> Records {
        self.handle.engine.reader.records(range)
    }

    /// The records from `from` on, and those still to come: at the end the iterator blocks until there
    /// is more, and [`Follow::into_stream`] waits without blocking. Like [`Log::records`] it is
    /// independent of this handle.
    ///
    /// An error ends it: [`Reason::OutOfRange`](crate::Reason::OutOfRange) if `from` is past the end of the log,
    /// [`Reason::Trimmed`](crate::Reason::Trimmed) if the next record was dropped before it was read,
    /// [`Reason::Closed`](crate::Reason::Closed) once the log is closed, and the others that are listed at [`Follow`].
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        self.handle.engine.reader.follow(from)
    }

    /// The reading side of this log alone, seeing as far as `visibility` says, whatever
    /// [`LogOptions::visibility`](crate::LogOptions::visibility) says.
    #[must_use]
    pub fn reader(&self, visibility: Visibility) -> Reader {
        Reader::new(Arc::clone(&self.handle.engine.view), visibility)
    }

    /// The offset of the first record that was appended at `time` or later; the end if there is none.
    ///
    /// It takes about as many reads as the number of records has binary digits. A damaged record counts as
    /// appended together with the next readable one, and each that is met costs one more read.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::{Duration, SystemTime};
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append("a")?;
    /// let hour = Duration::from_secs(60 * 60);
    /// assert_eq!(log.offset_for_time(SystemTime::now() - hour)?, 0);
    /// assert_eq!(log.offset_for_time(SystemTime::now() + hour)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::Io`](crate::Reason::Io) and [`Reason::Store`](crate::Reason::Store) if the file system fails;
    /// [`Reason::Closed`](crate::Reason::Closed).
    pub fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        self.handle.engine.reader.offset_for_time(time)
    }

    /// Reads every record and verifies it; see [`Reader::verify`].
    ///
    /// # Errors
    ///
    /// As [`Reader::verify`].
    pub fn verify(&self) -> Result<Verification> {
        self.handle.engine.reader.verify()
    }

    /// The name of the log in its errors: the absolute path of its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.engine.reader.name()
    }

    /// The lowest offset that can be read (inclusive).
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.handle.engine.reader.start_offset()
    }

    /// The end of what can be read (exclusive). It covers all that was acknowledged before the call,
    /// unless [`LogOptions::visibility`](crate::LogOptions::visibility) says otherwise.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.handle.engine.reader.end_offset()
    }

    /// The offsets that can be read, both ends at one moment.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.handle.engine.reader.offsets()
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

    /// True once [`Log::close`] was called, on any handle.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let handle = log.clone();
    /// assert!(!log.is_closed());
    /// handle.close()?;
    /// assert!(log.is_closed());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.engine.reader.is_closed()
    }
}

impl_read_log!(Log, is_closed, read_batch, try_read);
