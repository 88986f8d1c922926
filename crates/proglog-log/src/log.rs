//! The log on disk, as its users see it.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use proglog_store::{Directory, FsDirectory, Operation};

use crate::commit_log::{CommitLog, Records};
use crate::error::{Error, Result};
use crate::iter::Walk;
use crate::offset::Offset;
use crate::open;
use crate::options::Options;
use crate::record::{Batch, Record};
use crate::recovery::Recovery;
use crate::shared::Shared;
use crate::ticket::Ticket;

/// A commit log in a directory.
///
/// A log is a cheap handle: clones share it. All operations take `&self` and may be called from many
/// threads. Readers wait for no sync, no writer and no other reader.
///
/// What an acknowledged append survives is the caller's choice, see
/// [`Durability`](crate::Durability). Dropping the last handle closes the log, but cannot tell of a
/// failure: [`close`](Log::close) can.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Log, Offset, Options};
///
/// let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &Options::new())?;
/// let offset = log.append("hello")?;
/// log.append_batch(["to", "the", "world"])?;
/// assert_eq!(log.read(offset)?.value, "hello");
/// assert_eq!(log.records(Offset::new(1)).count(), 3);
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
/// use proglog_log::{Log, Options};
///
/// let log = Log::open(path, &Options::new())?;
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
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // There is nobody left to tell; whoever wants to know calls `close`.
        drop(self.shared.close());
    }
}

impl Log {
    /// Opens the log in the directory at `path`, and makes the directory and the log where there are
    /// none. Recovers what was not closed: on return every record it shows is on the device.
    /// [`Log::recovery`] tells what was found.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] at once if somebody has it open; [`Error::NotALog`] if the directory holds
    /// other things; [`Error::CheckpointLost`], [`Error::WrongSegment`], [`Error::NotASegment`] or
    /// [`Error::MissingSegment`] if files were damaged, taken away or exchanged;
    /// [`Error::UnsupportedCheckpoint`]; [`Error::Options`]; [`Error::Store`] for what a segment's
    /// store says. After each of them no data was changed or lost.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        options.validate()?;
        let path = path.as_ref();
        let directory = FsDirectory::create(path)
            .map_err(|error| Error::io(Operation::Open, &path.to_string_lossy(), error))?;
        Self::open_in(Arc::new(directory), options)
    }

    /// As [`Log::open`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open_in(directory: Arc<dyn Directory>, options: &Options) -> Result<Self> {
        let shared = open::open(directory, options)?;
        Ok(Self {
            handle: Arc::new(Handle { shared }),
        })
    }

    /// Makes the checkpoint of the log at `path` anew, from what its segments say of themselves,
    /// after [`Log::open`] has failed with [`Error::CheckpointLost`]. Records that were trimmed, and
    /// whose segment is still there, come back; the application's data is gone. A checkpoint that is
    /// not lost is left as it is.
    ///
    /// # Errors
    ///
    /// As [`Log::open`]; [`Error::CheckpointLost`] if there is no segment.
    pub fn repair(path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let directory = FsDirectory::open(path)
            .map_err(|error| Error::io(Operation::Open, &path.to_string_lossy(), error))?;
        open::repair(Arc::new(directory))
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        self.handle.shared.recovery()
    }

    /// Appends one record and waits until it is as durable as [`Options::durability`] says; returns
    /// its offset.
    ///
    /// # Errors
    ///
    /// As [`Log::submit`] and [`Ticket::wait`].
    pub fn append(&self, record: impl Into<Record>) -> Result<Offset> {
        CommitLog::append(self, record.into())
    }

    /// Appends a batch and waits until it is as durable as [`Options::durability`] says; returns its
    /// offsets.
    ///
    /// # Errors
    ///
    /// As [`Log::submit`] and [`Ticket::wait`].
    pub fn append_batch(&self, batch: impl Into<Batch>) -> Result<Range<Offset>> {
        CommitLog::append_batch(self, batch.into())
    }

    /// Takes records, gives them offsets, and returns before they are durable: the ticket tells when
    /// they are. May write to a file; waits for a sync only when a segment is full. An empty batch
    /// succeeds and appends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::RecordTooLarge`], [`Error::BatchTooLarge`]; [`Error::Store`] if the buffer is full
    /// and cannot be written, or the next segment cannot be made: nothing was appended then, and what
    /// was submitted before is not affected; [`Error::Poisoned`]; [`Error::Closed`].
    pub fn submit(&self, batch: impl Into<Batch>) -> Result<Ticket> {
        self.handle.shared.submit(&batch.into())
    }

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], [`Error::Trimmed`], [`Error::Corrupt`]; [`Error::Store`] if the file
    /// system fails; [`Error::Closed`].
    pub fn read(&self, offset: impl Into<Offset>) -> Result<Record> {
        self.handle.shared.read(offset.into())
    }

    /// The records from `from` on, up to the end as it is when the iterator gets there. Starting at
    /// the end yields nothing; starting past it, or below the start, yields the error that
    /// [`Log::read`] returns. A record may be a slice of a block of 256 KiB, which it then keeps in
    /// memory: [`Record::detach`] copies it out. The iterator is independent of this handle: once the log is closed it
    /// yields [`Error::Closed`].
    pub fn records(&self, from: impl Into<Offset>) -> Records {
        Records::new(Walk::new(Arc::clone(&self.handle.shared), from.into()))
    }

    /// The lowest offset that can be read (inclusive).
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.handle.shared.readable().start
    }

    /// The end of what can be read (exclusive). It covers all that was acknowledged before the call.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.handle.shared.readable().end
    }

    /// Puts all that was submitted before on the device, whatever the durability.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; the appends that were submitted and not acknowledged have failed then.
    /// [`Error::Poisoned`], [`Error::Closed`].
    pub fn sync(&self) -> Result<()> {
        self.handle.shared.sync()
    }

    /// What [`Log::set_application_data`] has stored last; empty at first.
    #[must_use]
    pub fn application_data(&self) -> Vec<u8> {
        self.handle.shared.application_data()
    }

    /// Stores up to 1 KiB of the application's own in the log's checkpoint, in place of what is
    /// there: how far a consumer has come, say. On return it is on the device, whatever the
    /// durability of the log; a crash keeps either the old or the new. It works on a full device.
    ///
    /// # Errors
    ///
    /// [`Error::ApplicationDataTooLarge`]; [`Error::Store`], after which the old data is still
    /// shown, and reopening tells which of the two is there; [`Error::Closed`].
    pub fn set_application_data(&self, data: &[u8]) -> Result<()> {
        self.handle.shared.set_application_data(data)
    }

    /// Finishes all that was submitted, puts it on the device, and gives up the lock. Every
    /// operation on any handle fails with [`Error::Closed`] from then on. Does nothing when the log
    /// is closed already.
    ///
    /// # Errors
    ///
    /// As [`Log::sync`]. The log is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.handle.shared.close()
    }
}

impl CommitLog for Log {
    fn submit(&self, batch: Batch) -> Result<Ticket> {
        self.handle.shared.submit(&batch)
    }

    fn read(&self, offset: Offset) -> Result<Record> {
        self.handle.shared.read(offset)
    }

    fn records(&self, from: Offset) -> Records {
        Log::records(self, from)
    }

    fn start_offset(&self) -> Offset {
        Log::start_offset(self)
    }

    fn end_offset(&self) -> Offset {
        Log::end_offset(self)
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
        self.handle.shared.fmt(f)
    }
}
