//! The log on disk: its public operations.

mod append;
mod read;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use proglog_store::io::{Directory, FsDirectory};

use crate::engine::Engine;
use crate::engine::failures::BackgroundFailures;
use crate::error::reason::Reason;
use crate::error::{Error, LogName, Named, Result};
use crate::offset::Offset;
use crate::open;
use crate::open::repair;
use crate::open::report::Recovery;
use crate::options::LogOptions;
use crate::retention::Retention;

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
    /// The log stays in the directory that it opened, whatever is at the path later. If the directory is renamed,
    /// replaced or removed while the log is open, or its file `LOCK` is, another process may open a log at the
    /// path. So this log is then poisoned by [`Reason::DirectoryMoved`]: it takes no more appends and changes none of
    /// its files, but can still be read and closed. This is checked before each change of the files but an append,
    /// at the first append after a pause, and under steady appends once every [`LogOptions::idle_after`]. It is not
    /// noticed on Windows, which renames and removes no directory with open files.
    ///
    /// An idle log keeps two files open, those that it has locked: `LOCK`, which shows on Linux where its directory is,
    /// and the newest segment. If `LOCK` is removed then, only that segment can be read, and closing fails. Elsewhere the
    /// directory is kept open too.
    ///
    /// # Errors
    ///
    /// [`Reason::Locked`] at once if another handle or process has it open; [`Reason::NotALog`] if the directory
    /// holds other files; [`Reason::CheckpointLost`], [`Reason::CheckpointMismatch`], [`Reason::WrongSegment`],
    /// [`Reason::NotASegment`] or [`Reason::MissingSegment`] if files were damaged, removed or exchanged;
    /// [`Reason::DirectoryMoved`] if another directory got the path meanwhile;
    /// [`Reason::UnsupportedCheckpoint`]; [`Reason::Options`]; [`Reason::NoThread`]; [`Reason::Io`] if the file system
    /// fails; [`Reason::Store`] if a segment cannot be opened. No data was changed or lost then.
    ///
    /// On a full device, a log whose end is torn, whose newest segment is empty or whose checkpoint is of an earlier
    /// build cannot be opened ([`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull)) until there is space for the torn
    /// bytes, about as many as the last write, for the 8 KiB of a segment's header, or for the 16 KiB of a checkpoint. A
    /// [`ReadOnlyLog`](crate::ReadOnlyLog) can open it.
    pub fn open(path: impl AsRef<Path>, options: &LogOptions) -> Result<Self> {
        let path = path.as_ref();
        options.validate().named(&LogName::of_path(path))?;
        let created = if path.as_os_str().is_empty() {
            // It would be the current directory: an unset variable, more likely than not.
            Err(io::ErrorKind::NotFound.into())
        } else {
            let cache = options.cache_or_global();
            cache.with_descriptors(|| FsDirectory::create(path))
        };
        let directory = created.map_err(|error| Error::of_directory(path, error))?;
        Self::open_validated(Arc::new(directory), options)
    }

    /// As [`Log::open`], in any [`Directory`] of proglog-store.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open_in(directory: Arc<dyn Directory>, options: &LogOptions) -> Result<Self> {
        let log = LogName::of_directory(&*directory);
        options.validate().named(&log)?;
        Self::open_validated(directory, options)
    }

    fn open_validated(directory: Arc<dyn Directory>, options: &LogOptions) -> Result<Self> {
        let log = LogName::of_directory(&*directory);
        let (engine, recovery) = open::open(directory, options).named(&log)?;
        Ok(Self {
            handle: Arc::new(Handle { engine, recovery }),
        })
    }

    /// Names the log in a failure.
    #[inline]
    fn named<T>(&self, done: Result<T, Reason>) -> Result<T> {
        done.named(self.handle.engine.view.log())
    }

    /// Rebuilds the checkpoint of the log at `path` from its segments, after [`Log::open`] has failed because the
    /// checkpoint is lost ([`Reason::CheckpointLost`]) or does not fit the segments
    /// ([`Reason::CheckpointMismatch`], [`Reason::MissingSegment`], [`Reason::WrongSegment`]). The parts of the old
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
    /// As [`Log::open`]: [`Reason::MissingSegment`] if one is missing between two others or all are,
    /// [`Reason::WrongSegment`] if they are of several logs; [`Reason::CheckpointLost`] if there is nothing to
    /// make a checkpoint from. The checkpoint was not changed then.
    pub fn repair(path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let directory =
            FsDirectory::open(path).map_err(|error| Error::of_directory(path, error))?;
        Self::repair_in(Arc::new(directory))
    }

    /// As [`Log::repair`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`Log::repair`].
    pub fn repair_in(directory: Arc<dyn Directory>) -> Result<()> {
        let log = LogName::of_directory(&*directory);
        repair::repair(directory).named(&log)
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.handle.recovery
    }

    /// Sets the high watermark: readers of [committed](crate::Visibility::Committed) records see those below `end`,
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
    /// [`Reason::OutOfRange`] if `end` is past the next offset to be assigned; [`Reason::Closed`].
    pub fn set_high_watermark(&self, end: impl Into<Offset>) -> Result<()> {
        self.named(self.handle.engine.set_high_watermark(end.into()))
    }

    /// Drops the records below `start`: reading them fails with [`Reason::Trimmed`] from now on, after
    /// any crash. It is exact to the record, down to an empty log, whose next record still gets the
    /// next offset. The space of whole segments is released, and that of the newest one if all records
    /// are dropped; records that were read stay valid. If `start` is not above the log's start, no record is
    /// dropped. It works [on a full device](crate#full-devices). Where the records below `start` are synced it takes one
    /// sync, or five if all records are dropped.
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`] if `start` is past the end that readers see. [`Reason::Io`] and
    /// [`Reason::Store`] if the file system fails: the records may be dropped or not, or on a full device only
    /// the older ones, until the log is opened again. If only a file could not be removed, they are dropped,
    /// and the next trim or opening releases its space; if all were dropped and the next segment could not be
    /// created, the next append tries that again. [`Reason::Poisoned`], [`Reason::Closed`].
    pub fn trim(&self, start: impl Into<Offset>) -> Result<()> {
        self.named(self.handle.engine.trim(start.into(), None))
    }

    /// As [`Log::trim`], and replaces the [application data](Log::set_application_data) in the same write of the
    /// checkpoint: after any crash both have happened, or neither.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_batch(["a", "b", "c"])?;
    /// log.trim_with(2, b"the state after a and b is in snapshot 7")?;
    /// # assert_eq!(log.start_offset(), 2);
    /// # assert!(log.application_data().ends_with(b"7"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If no record is dropped, the data is stored alone. On a full device it fails with
    /// [`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull) if records below `start` are not synced yet.
    ///
    /// # Errors
    ///
    /// [`Reason::ApplicationDataTooLarge`]; otherwise as [`Log::trim`].
    pub fn trim_with(&self, start: impl Into<Offset>, data: &[u8]) -> Result<()> {
        self.named(self.handle.engine.trim(start.into(), Some(data)))
    }

    /// Replaces the retention policy that the log was opened with, until it is closed. The background applies it at
    /// once, and from then on as [`Retention`] says.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// use std::time::Duration;
    ///
    /// use proglog_log::{Log, LogOptions, Retention};
    ///
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.set_retention(Retention::new().age(Duration::from_secs(3600)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::Poisoned`], [`Reason::Closed`].
    pub fn set_retention(&self, policy: Retention) -> Result<()> {
        self.named(self.handle.engine.set_retention(policy))
    }

    /// Applies the retention policy now, as the log does in the background, and returns the log's start.
    ///
    /// # Errors
    ///
    /// As [`Log::trim`].
    pub fn apply_retention(&self) -> Result<Offset> {
        self.named(self.handle.engine.apply_retention())
    }

    /// Returns the failures of background work so far, such as retention that the file system kept from removing
    /// files. With the feature `tracing` each is also an event.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use proglog_log::{Log, LogOptions};
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let failures = log.background_failures();
    /// if let Some(error) = failures.last {
    ///     eprintln!("{} failures, the newest: {error}", failures.count);
    /// }
    /// # assert_eq!(failures.count, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn background_failures(&self) -> BackgroundFailures {
        self.handle.engine.background_failures()
    }

    /// Drops the records at and after `end`, durably: the next record gets the offset `end`. Does
    /// nothing if the log ends there.
    ///
    /// In a synced log, records that are still in the active segment and take up to 1 MiB are overwritten in the file,
    /// which takes three syncs; the segment continues. Otherwise it takes five or six, and a new segment is created.
    ///
    /// This is for replication, where a replica drops what its leader never committed. For readers
    /// that have seen the dropped records, the offsets get other values: let readers see only
    /// [committed](crate::Visibility::Committed) records.
    ///
    /// # Errors
    ///
    /// [`Reason::Trimmed`] if `end` is below the start, [`Reason::OutOfRange`] if it is past what was appended.
    /// [`Reason::Io`], [`Reason::Store`], [`Reason::Poisoned`]; after a failure in between the log is poisoned, and
    /// opening it again completes the truncation. On a full device, with the kind
    /// [`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull), it is not: either nothing was dropped, or readers see the
    /// truncated log, and the next append completes the truncation, or is refused too. [`Reason::Closed`].
    pub fn truncate(&self, end: impl Into<Offset>) -> Result<()> {
        self.named(self.handle.engine.truncate(end.into(), None))
    }

    /// As [`Log::truncate`], and replaces the [application data](Log::set_application_data) in the same write of the
    /// checkpoint: after any crash both have happened, or neither. If no record is dropped, the data is stored alone.
    ///
    /// # Errors
    ///
    /// [`Reason::ApplicationDataTooLarge`]; otherwise as [`Log::truncate`].
    pub fn truncate_with(&self, end: impl Into<Offset>, data: &[u8]) -> Result<()> {
        self.named(self.handle.engine.truncate(end.into(), Some(data)))
    }

    /// Drops all records, durably, and goes on from the offset `next`: for a replica that is given the
    /// state up to there as a snapshot. Space is given back.
    ///
    /// # Errors
    ///
    /// [`Reason::ResetBelowEnd`]; otherwise as [`Log::truncate`].
    pub fn reset(&self, next: impl Into<Offset>) -> Result<()> {
        self.named(self.handle.engine.reset(next.into(), None))
    }

    /// As [`Log::reset`], and replaces the [application data](Log::set_application_data) in the same write of the
    /// checkpoint: after any crash both have happened, or neither.
    ///
    /// # Errors
    ///
    /// [`Reason::ApplicationDataTooLarge`]; otherwise as [`Log::reset`].
    pub fn reset_with(&self, next: impl Into<Offset>, data: &[u8]) -> Result<()> {
        self.named(self.handle.engine.reset(next.into(), Some(data)))
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
    /// As [`Log::sync`] for everything submitted before. [`Reason::Store`] and [`Reason::Io`] too if the segment could
    /// not be sealed or the next one not created, for want of room for example: appends submitted meanwhile are still
    /// pending then, and the next append rolls if it has to.
    pub fn roll(&self) -> Result<Offset> {
        self.named(self.handle.engine.roll_now())
    }

    /// Syncs everything that was submitted before, whatever the durability.
    ///
    /// # Errors
    ///
    /// [`Reason::Io`], [`Reason::Store`]; the appends that were submitted and not acknowledged have failed then.
    /// [`Reason::Poisoned`], [`Reason::Closed`].
    pub fn sync(&self) -> Result<()> {
        self.named(self.handle.engine.sync())
    }

    /// The data that [`Log::set_application_data`] stored last; empty at first.
    #[must_use]
    pub fn application_data(&self) -> Vec<u8> {
        self.handle.engine.application_data()
    }

    /// Replaces the application data in the log's checkpoint, up to 1 KiB: for example the position of a
    /// consumer. On return it is on the device, with one sync, whatever the durability of the log; a crash keeps either
    /// the old or the new data. It works [on a full device](crate#full-devices).
    ///
    /// # Errors
    ///
    /// [`Reason::ApplicationDataTooLarge`]; [`Reason::Io`], after which the old data is still
    /// returned, and opening the log again returns what is stored; [`Reason::Poisoned`] if the directory has moved;
    /// [`Reason::Closed`].
    pub fn set_application_data(&self, data: &[u8]) -> Result<()> {
        self.named(self.handle.engine.set_application_data(data))
    }

    /// Completes everything that was submitted, syncs it, and releases the lock. Every later operation on any
    /// handle fails with [`Reason::Closed`]. Does nothing if the log is closed. Dropping the last handle does the
    /// same, and waits for the device too.
    ///
    /// # Errors
    ///
    /// As [`Log::sync`]. The log is closed all the same. [`Reason::Forked`] in a process that was forked from the one
    /// that opened the log: it stays open there, and nothing is done.
    pub fn close(&self) -> Result<()> {
        self.named(self.handle.engine.close())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.engine.fmt(f)
    }
}
