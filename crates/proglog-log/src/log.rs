//! The log on disk: its public operations.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use proglog_store::Operation;
use proglog_store::io::{Directory, FsDirectory};

use crate::commit::ticket::Ticket;
use crate::commit_log::CommitLog;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::open;
use crate::open::repair;
use crate::open::report::Recovery;
use crate::options::{LogOptions, Visibility};
use crate::read::follow::Follow;
use crate::read::read_log::ReadLog;
use crate::read::reader::Reader;
use crate::read::records::Records;
use crate::read::verify::Verification;
use crate::record::batch::Batch;
use crate::record::{Record, StoredRecord};

/// A commit log in a directory.
///
/// A log is a cheap handle: clones share it. All operations take `&self` and may be called from many
/// threads. Readers wait for no sync, no writer and no other reader.
///
/// What an acknowledged append survives is the caller's choice, see
/// [`Durability`](crate::Durability). Dropping the last handle closes the log, but cannot report a
/// failure: [`close`](Log::close) can.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, LogOptions};
///
/// let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// let offset = log.append("hello")?;
/// log.append_batch(["to", "the", "world"])?;
/// assert_eq!(log.read(offset)?.value, "hello");
/// assert_eq!(log.records(1..).count(), 3);
/// log.close()?;
/// # Ok(())
/// # }
/// ```
///
/// From async code, on any runtime:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path();
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use proglog_log::{Log, LogOptions};
///
/// let log = Log::open(path, &LogOptions::new())?;
/// let ticket = log.submit("hello")?; // has its offset, is not durable yet
/// let offsets = ticket.await?; // is on the device
/// assert_eq!(log.read(offsets.start)?.value, "hello");
/// # Ok::<(), proglog_log::Error>(())
/// # })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

/// What the clones of a log share; the last one closes it.
struct Handle {
    engine: Arc<Engine>,
    recovery: Recovery,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A drop cannot return the error: that is what `close` is for.
        drop(self.engine.close());
    }
}

impl Log {
    /// Opens the log in the directory at `path`. Creates the directory and the log if they do not exist, and
    /// recovers a log that was not closed: on return every readable record is on the device.
    /// [`Log::recovery`] reports what was found.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] at once if another handle or process has it open; [`Error::NotALog`] if the directory
    /// holds other files; [`Error::CheckpointLost`], [`Error::CheckpointMismatch`], [`Error::WrongSegment`],
    /// [`Error::NotASegment`] or [`Error::MissingSegment`] if files were damaged, removed or exchanged;
    /// [`Error::UnsupportedCheckpoint`]; [`Error::Options`]; [`Error::NoThread`]; [`Error::Io`] if the file system
    /// fails; [`Error::Store`] if a segment cannot be opened. No data was changed or lost then.
    ///
    /// On a full device, a log whose end is torn or whose newest segment is empty cannot be opened
    /// ([`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull)) until there is space for the torn bytes, about as many
    /// as the last write, or for the 8 KiB of a segment's header. A [`ReadOnlyLog`](crate::ReadOnlyLog) can
    /// open it.
    pub fn open(path: impl AsRef<Path>, options: &LogOptions) -> Result<Self> {
        options.validate()?;
        let path = path.as_ref();
        let directory = FsDirectory::create(path)
            .map_err(|error| Error::io(Operation::Open, &path.to_string_lossy(), error))?;
        Self::open_validated(Arc::new(directory), options)
    }

    /// As [`Log::open`], in any [`Directory`] of proglog-store.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open_in(directory: Arc<dyn Directory>, options: &LogOptions) -> Result<Self> {
        options.validate()?;
        Self::open_validated(directory, options)
    }

    fn open_validated(directory: Arc<dyn Directory>, options: &LogOptions) -> Result<Self> {
        let (engine, recovery) = open::open(directory, options)?;
        Ok(Self {
            handle: Arc::new(Handle { engine, recovery }),
        })
    }

    /// Rebuilds the checkpoint of the log at `path` from its segments, after [`Log::open`] has failed because the
    /// checkpoint is lost ([`Error::CheckpointLost`]) or does not fit the segments
    /// ([`Error::CheckpointMismatch`], [`Error::MissingSegment`], [`Error::WrongSegment`]). The parts of the old
    /// checkpoint that fit are kept, such as the start and the application data. A checkpoint that fits is not
    /// changed.
    ///
    /// No segment is changed, except that an interrupted recovery of the newest one is completed, as opening
    /// would, so no readable record is dropped. If the start is lost, trimmed records whose segment still
    /// exists come back. Records that the segments no longer hold are lost: if they were the newest, their
    /// offsets are assigned again.
    ///
    /// # Errors
    ///
    /// As [`Log::open`]: [`Error::MissingSegment`] if one is missing between two others or all are,
    /// [`Error::WrongSegment`] if they are of several logs; [`Error::CheckpointLost`] if there is nothing to
    /// make a checkpoint from. The checkpoint was not changed then.
    pub fn repair(path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let directory = FsDirectory::open(path)
            .map_err(|error| Error::io(Operation::Open, &path.to_string_lossy(), error))?;
        Self::repair_in(Arc::new(directory))
    }

    /// As [`Log::repair`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`Log::repair`].
    pub fn repair_in(directory: Arc<dyn Directory>) -> Result<()> {
        repair::repair(directory)
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.handle.recovery
    }

    /// Appends one record and waits until it is as durable as [`LogOptions::durability`] says; returns
    /// its offset.
    ///
    /// # Errors
    ///
    /// As [`Log::submit`] and [`Ticket::wait`].
    pub fn append(&self, record: impl Into<Record>) -> Result<Offset> {
        self.handle.engine.append(&record.into())
    }

    /// As [`Log::append`], but only if the record gets the offset `expected`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{ErrorKind, Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_at(0, "first")?;
    /// let error = log.append_at(0, "also first").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::EndMoved);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Log::submit_at`] and [`Ticket::wait`].
    pub fn append_at(
        &self,
        expected: impl Into<Offset>,
        record: impl Into<Record>,
    ) -> Result<Offset> {
        Ok(self.submit_at(expected, record)?.wait()?.start)
    }

    /// Appends a batch and waits until it is as durable as [`LogOptions::durability`] says; returns its
    /// offsets. Its records become visible together, and recovery keeps all of them or none.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Batch, Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// assert_eq!(log.append_batch(["debit", "credit"])?, 0..2);
    /// assert_eq!(log.append_batch((1..=3).map(|n| format!("line {n}")))?, 2..5);
    /// assert_eq!(log.append_batch(Batch::new())?, 5..5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Log::submit_batch`] and [`Ticket::wait`].
    pub fn append_batch(
        &self,
        records: impl IntoIterator<Item = impl Into<Record>>,
    ) -> Result<Offsets> {
        self.submit_batch(records)?.wait()
    }

    /// As [`Log::append_batch`], but only if the first record gets the offset `expected`.
    ///
    /// # Errors
    ///
    /// As [`Log::submit_batch_at`] and [`Ticket::wait`].
    pub fn append_batch_at(
        &self,
        expected: impl Into<Offset>,
        records: impl IntoIterator<Item = impl Into<Record>>,
    ) -> Result<Offsets> {
        self.submit_batch_at(expected, records)?.wait()
    }

    /// Accepts one record, assigns its offset, and returns before it is durable: the ticket completes when
    /// it is.
    ///
    /// It may write to a file. It waits for the device only where a segment is full, to create the next
    /// one, and where a failed write is undone: async code calls it on a thread that may block.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let ticket = log.submit(serde_json::to_vec(&["any", "bytes"])?)?;
    /// assert_eq!(ticket.offsets(), 0..1);
    /// ticket.wait()?; // it is durable now
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::RecordTooLarge`], [`Error::BatchTooLarge`]; [`Error::Store`] if the buffer is full
    /// and cannot be written, or the next segment cannot be created: nothing was appended then, and what
    /// was submitted before is not affected; [`Error::Poisoned`]; [`Error::Closed`].
    pub fn submit(&self, record: impl Into<Record>) -> Result<Ticket> {
        self.submit_records(None, &[record.into()])
    }

    /// As [`Log::submit`], but only if the record gets the offset `expected`: of several writers that
    /// decide by what they have read, one succeeds and the others get an error. The comparison is with
    /// the next offset to be assigned, which may be past the end that readers see.
    ///
    /// # Errors
    ///
    /// [`Error::EndMoved`], and as [`Log::submit`].
    pub fn submit_at(
        &self,
        expected: impl Into<Offset>,
        record: impl Into<Record>,
    ) -> Result<Ticket> {
        self.submit_records(Some(expected.into()), &[record.into()])
    }

    /// As [`Log::submit`], of a batch: its records get consecutive offsets, become visible together, and
    /// recovery keeps all of them or none. An empty batch succeeds and appends nothing.
    ///
    /// # Errors
    ///
    /// As [`Log::submit`].
    pub fn submit_batch(
        &self,
        records: impl IntoIterator<Item = impl Into<Record>>,
    ) -> Result<Ticket> {
        let batch = records.into_iter().collect::<Batch>();
        self.submit_records(None, batch.records())
    }

    /// As [`Log::submit_batch`], but only if the first record gets the offset `expected`; see
    /// [`Log::submit_at`].
    ///
    /// # Errors
    ///
    /// As [`Log::submit_at`].
    pub fn submit_batch_at(
        &self,
        expected: impl Into<Offset>,
        records: impl IntoIterator<Item = impl Into<Record>>,
    ) -> Result<Ticket> {
        let batch = records.into_iter().collect::<Batch>();
        self.submit_records(Some(expected.into()), batch.records())
    }

    fn submit_records(&self, expected: Option<Offset>, records: &[Record]) -> Result<Ticket> {
        self.handle.engine.submit(records, expected)
    }

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], [`Error::Trimmed`], [`Error::Corrupt`]; [`Error::Store`] if the file
    /// system fails; [`Error::Closed`].
    pub fn read(&self, offset: impl Into<Offset>) -> Result<StoredRecord> {
        self.handle.engine.reader.read(offset)
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
    /// [`Error::Corrupt`]; [`Error::Store`] if the file system fails; [`Error::Closed`].
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
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        self.handle.engine.reader.read_batch(from, bytes_max)
    }

    /// The records of `range`, in order; from the last to the first with `rev()`.
    ///
    /// A range without a start begins at the start of the log, and one without an end goes up to the end of
    /// the log as it is when the iterator gets there. The bounds that are given are exact: where a record
    /// of the range is trimmed or not there yet, the iterator yields the error that [`Log::read`] returns,
    /// and ends. For the part of a range that is there, see [`Offsets::clamp`].
    ///
    /// A record may be a slice of a block of 256 KiB, or of as much as a longer record takes, which it keeps
    /// in memory: [`StoredRecord::detach`] copies it out. Forward, records are read in blocks; backward, each
    /// is a read. The iterator is independent of this handle: once the log is closed it yields
    /// [`Error::Closed`], and once the next record is trimmed, [`Error::Trimmed`].
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
    pub fn follow(&self, from: impl Into<Offset>) -> Follow {
        self.handle.engine.reader.follow(from)
    }

    /// The reading side of this log alone, seeing as far as `visibility` says, whatever
    /// [`LogOptions::visibility`] says.
    #[must_use]
    pub fn reader(&self, visibility: Visibility) -> Reader {
        Reader::new(Arc::clone(&self.handle.engine.view), visibility)
    }

    /// Sets the high watermark: readers of [committed](Visibility::Committed) records see those below `end`,
    /// as far as they are acknowledged.
    ///
    /// It never goes back, but by [`Log::truncate`]. It is not stored: when a log is opened it is at the start
    /// of the log.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions, Visibility};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let committed = log.reader(Visibility::Committed);
    /// log.append_batch(["a", "b", "c"])?;
    /// assert!(committed.is_empty());
    /// log.set_high_watermark(2)?;
    /// assert_eq!(committed.offsets(), 0..2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `end` is past the next offset to be assigned; [`Error::Closed`].
    pub fn set_high_watermark(&self, end: impl Into<Offset>) -> Result<()> {
        self.handle.engine.set_high_watermark(end.into())
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
    /// [`Error::Store`] if the file system fails; [`Error::Closed`].
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

    /// The lowest offset that can be read (inclusive).
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.handle.engine.reader.start_offset()
    }

    /// The end of what can be read (exclusive). It covers all that was acknowledged before the call,
    /// unless [`LogOptions::visibility`] says otherwise.
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

    /// Drops the records below `start`: reading them fails with [`Error::Trimmed`] from now on, after
    /// any crash. It is exact to the record, down to an empty log, whose next record still gets the
    /// next offset. The space of whole segments is released, and that of the newest one if all records
    /// are dropped; records that were read stay valid. If `start` is not above the log's start, no record is
    /// dropped. It works on a full device.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `start` is past the end that readers see. [`Error::Io`] or
    /// [`Error::Store`] if the file system fails: the records may be dropped or not, or on a full device only
    /// the older ones, until the log is opened again. If only a file could not be removed, they are dropped,
    /// and the next trim or opening releases its space; if all were dropped and the next segment could not be
    /// created, the next append tries that again. [`Error::Poisoned`], [`Error::Closed`].
    pub fn trim(&self, start: impl Into<Offset>) -> Result<()> {
        self.handle.engine.trim(start.into())
    }

    /// Applies [`LogOptions::retention`] now, as the log does in the background, and returns the log's start.
    ///
    /// # Errors
    ///
    /// As [`Log::trim`].
    pub fn apply_retention(&self) -> Result<Offset> {
        self.handle.engine.apply_retention()
    }

    /// Drops the records at and after `end`, durably: the next record gets the offset `end`. Does
    /// nothing if the log ends there.
    ///
    /// This is for replication, where a replica drops what its leader never committed. For readers
    /// that have seen the dropped records, the offsets get other values: let readers see only
    /// [committed](Visibility::Committed) records.
    ///
    /// # Errors
    ///
    /// [`Error::Trimmed`] if `end` is below the start, [`Error::OutOfRange`] if it is past what was appended.
    /// [`Error::Io`], [`Error::Store`], [`Error::Poisoned`]; after a failure in between the log is poisoned, and
    /// opening it again completes the truncation. If only the next segment could not be created, for example on
    /// a full device, the truncation is complete, and the next append tries that again. [`Error::Closed`].
    pub fn truncate(&self, end: impl Into<Offset>) -> Result<()> {
        self.handle.engine.truncate(end.into())
    }

    /// Drops all records, durably, and goes on from the offset `next`: for a replica that is given the
    /// state up to there as a snapshot. Space is given back.
    ///
    /// # Errors
    ///
    /// [`Error::ResetBelowEnd`]; otherwise as [`Log::truncate`].
    pub fn reset(&self, next: impl Into<Offset>) -> Result<()> {
        self.handle.engine.reset(next.into())
    }

    /// Ends the active segment and starts the next one, durably, and returns the offset at which it starts:
    /// so that the records before can be retained, or copied, as whole files. Everything that was submitted
    /// before is on the device on return. Does nothing if the active segment has no records.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_batch(["a", "b"])?;
    /// assert_eq!(log.roll()?, 2);
    /// assert!(directory.path().join(format!("{:020}.log", 2)).exists());
    /// assert_eq!(log.roll()?, 2);
    /// assert_eq!(log.append("c")?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Log::sync`]; if only the next segment could not be created, the next append tries that again.
    pub fn roll(&self) -> Result<Offset> {
        self.handle.engine.roll_now()
    }

    /// Syncs everything that was submitted before, whatever the durability.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; the appends that were submitted and not acknowledged have failed then.
    /// [`Error::Poisoned`], [`Error::Closed`].
    pub fn sync(&self) -> Result<()> {
        self.handle.engine.sync()
    }

    /// The data that [`Log::set_application_data`] stored last; empty at first.
    #[must_use]
    pub fn application_data(&self) -> Vec<u8> {
        self.handle.engine.application_data()
    }

    /// Replaces the application data in the log's checkpoint, up to 1 KiB: for example the position of a
    /// consumer. On return it is on the device, whatever the durability of the log; a crash keeps either the
    /// old or the new data. It works on a full device.
    ///
    /// # Errors
    ///
    /// [`Error::ApplicationDataTooLarge`]; [`Error::Io`], after which the old data is still
    /// returned, and opening the log again returns what is stored; [`Error::Closed`].
    pub fn set_application_data(&self, data: &[u8]) -> Result<()> {
        self.handle.engine.set_application_data(data)
    }

    /// Completes everything that was submitted, syncs it, and releases the lock. Every later operation on any
    /// handle fails with [`Error::Closed`]. Does nothing if the log is closed. Dropping the last handle does the
    /// same, and waits for the device too.
    ///
    /// # Errors
    ///
    /// As [`Log::sync`]. The log is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.handle.engine.close()
    }
}

impl ReadLog for Log {
    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        Log::read(self, offset)
    }

    fn records(&self, range: OffsetBounds) -> Records {
        Log::records(self, range)
    }

    fn follow(&self, from: Offset) -> Follow {
        Log::follow(self, from)
    }

    fn start_offset(&self) -> Offset {
        Log::start_offset(self)
    }

    fn end_offset(&self) -> Offset {
        Log::end_offset(self)
    }

    fn offsets(&self) -> Offsets {
        Log::offsets(self)
    }

    fn is_closed(&self) -> bool {
        Log::is_closed(self)
    }

    fn read_batch(&self, from: Offset, bytes_max: usize) -> Result<Vec<StoredRecord>> {
        Log::read_batch(self, from, bytes_max)
    }
}

impl CommitLog for Log {
    fn submit_batch(&self, batch: Batch) -> Result<Ticket> {
        self.submit_records(None, batch.records())
    }

    fn submit_batch_at(&self, expected: Offset, batch: Batch) -> Result<Ticket> {
        self.submit_records(Some(expected), batch.records())
    }

    fn submit(&self, record: Record) -> Result<Ticket> {
        Log::submit(self, record)
    }

    fn append(&self, record: Record) -> Result<Offset> {
        Log::append(self, record)
    }

    fn trim(&self, start: Offset) -> Result<()> {
        Log::trim(self, start)
    }

    fn sync(&self) -> Result<()> {
        Log::sync(self)
    }

    fn close(&self) -> Result<()> {
        Log::close(self)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.engine.fmt(f)
    }
}
