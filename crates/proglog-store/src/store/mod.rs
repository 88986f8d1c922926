//! The store: appending, reading, syncing, closing.

mod append;
pub(crate) mod batch_writer;
mod data_file;
pub(crate) mod durable_end;
pub(crate) mod file;
mod frames;
pub(crate) mod inner;
mod preallocation;
mod reader;
mod sync;
mod write_buffer;
pub(crate) mod writer;

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Operation, Result};
use crate::io::{Directory, FsDirectory};
use crate::options::StoreOptions;
use crate::position::{Boundary, Position};
use crate::recovery::{self, Recovery};
use crate::scan::Scanner;
use crate::scan::verify::Verifier;
pub use crate::store::append::Appended;
use crate::store::batch_writer::Slices;
pub use crate::store::frames::{Frame, FrameRef, Frames};
use crate::store::inner::Inner;
use crate::store::writer::Writer;

/// An append-only file of checksummed frames.
///
/// A store is a cheap handle: clones share the file. All operations take `&self` and may be called
/// from many threads. A read sees an append as soon as it has returned. No reader waits for a writer's
/// I/O, and no append for a sync.
///
/// # Durability
///
/// [`append`](Store::append) copies into memory and returns (a batch that is longer than the
/// [buffer](StoreOptions::buffer_len) is written to the file first); [`flush`](Store::flush) hands appends
/// to the operating system, where they survive the end of the process; [`sync`](Store::sync) puts them on
/// the device, where they survive a power failure. [`close`](Store::close) does all of that. Dropping the
/// last handle closes the store too, but ignores errors.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_store::{Store, StoreOptions};
///
/// let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path().join("my.store"), &StoreOptions::new())?;
/// let appended = store.append(b"hello")?;
/// assert_eq!(appended.bytes_written, 5 + 8);
/// assert_eq!(store.read(appended.position)?, "hello");
/// store.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl Store {
    /// Opens the store at `path`, creating it if it does not exist, and recovers it. On return everything
    /// that it shows is on the device. [`Store::recovery`] reports what was found.
    ///
    /// The file name must be Unicode. Files beside the store whose names are its own with `.tmp`, `.again`
    /// or `.torn-…` appended belong to it. The directory must exist, and its name be durable; see
    /// [`FsDirectory::create`].
    ///
    /// # Errors
    ///
    /// [`Error::LabelTooLong`] or [`Error::PayloadLimitTooLarge`] for invalid options; [`Error::Locked`], at
    /// once, if the store is open; [`Error::NotAStore`], [`Error::HeadersDiffer`] or an `Unsupported…` error
    /// if the file is something else; [`Error::Truncated`] if it ends before
    /// [`StoreOptions::recovery_point`]; [`Error::Unreadable`] if neither copy of the header can be read, or the
    /// copy that an interrupted opening made; [`Error::EndUnreadable`] if what follows the data cannot be read;
    /// [`Error::SyncFailed`]; [`Error::Io`]. After any of them no data was changed or lost.
    ///
    /// What the device cannot read below the recovery point, or the newest sync mark, is no error: it counts as
    /// damaged, as if its bits were flipped.
    ///
    /// A torn end needs disk space for its copy. On a full disk opening fails with the kind
    /// [`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull), since nothing in the file shows whether the torn
    /// bytes were synced and damaged afterwards: free some space, and open the store again. Without a torn
    /// end only a new store needs space, for its header.
    pub fn open(path: impl AsRef<Path>, options: &StoreOptions) -> Result<Self> {
        let path = path.as_ref();
        let fail = |error| Error::io(Operation::Open, &path.to_string_lossy().into(), error);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(fail(std::io::ErrorKind::InvalidFilename.into()));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = FsDirectory::open(parent).map_err(fail)?;
        Self::open_in(&directory, name, options)
    }

    /// Opens the store `name` in any [`Directory`], as [`Store::open`].
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open_in(directory: &dyn Directory, name: &str, options: &StoreOptions) -> Result<Self> {
        options.validate()?;
        let file = file::open_or_create(directory, &name.into(), options)?;
        let read = file::read_header(&file)?;
        let verifier = Verifier::of(&read.header);
        let mut recovery = recovery::recover(directory, &file, verifier, options)?;
        recovery.header_restored = read.restore(&file)?;
        Ok(Self::of(Inner::new(file, read.header, recovery, options)))
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The report of what opening the store found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// The label that the store was created with.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        &self.inner.label
    }

    /// The largest payload that the store takes, in bytes.
    #[must_use]
    pub fn payload_len_max(&self) -> u32 {
        self.inner.data.verifier.payload_len_max
    }

    /// The end of the data (exclusive), buffered appends included.
    #[must_use]
    pub fn end(&self) -> Boundary {
        self.inner.end()
    }

    /// The number of bytes of frames: the position of [`Store::end`].
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end().position.get()
    }

    /// Returns whether the store has no frames, not even a sync mark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recovery point: everything below it is known to be on the device.
    #[must_use]
    pub fn recovery_point(&self) -> Boundary {
        self.inner.recovery_point()
    }

    /// Appends one payload, as a batch of its own. On return it can be read, but is not durable: see
    /// [`Store::flush`] and [`Store::sync`]. A payload that is longer than the buffer is written to the file
    /// without a copy; other appends wait for that, and readers see the payload when it is done.
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLarge`]; [`Error::Io`] if the buffer is full, or the payload longer than it, and
    /// the file cannot be written: earlier appends stay buffered, and only this payload is refused;
    /// [`Error::Poisoned`], [`Error::Sealed`], [`Error::Closed`]. After these the payload is not appended.
    /// [`Error::WriteNotUndone`], after which it is unknown whether earlier appends are in the file.
    #[inline]
    pub fn append(&self, payload: &[u8]) -> Result<Appended> {
        self.inner.appender()?.append_one(payload)
    }

    /// Appends payloads as one batch: recovery keeps all of them or none. The frames are contiguous, each
    /// 8 bytes longer than its payload. An empty batch appends nothing.
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Appended> {
        self.inner.appender()?.append(Slices(payloads))
    }

    /// Reads and verifies the frame at `position`, and returns its payload. One read fetches as much as
    /// recent frames would have needed, up to 64 KiB; if this frame is longer, a second read fetches the rest.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] at or past the end; [`Error::InvalidFrame`] or [`Error::ChecksumMismatch`] if
    /// the frame is damaged, or none starts there; [`Error::ControlFrame`]; [`Error::Io`]; [`Error::Closed`].
    pub fn read(&self, position: Position) -> Result<Bytes> {
        self.inner.data.check_open()?;
        self.inner.read(position)
    }

    /// Returns an iterator over the data frames that start in `range`, up to the present end of the data.
    /// The range has to start where a frame does; anywhere else, and so after an excluded start, the first
    /// item is an error that reports damage.
    pub fn frames(&self, range: impl RangeBounds<Position>) -> Frames {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.plus(1),
            Bound::Unbounded => Position::ZERO,
        };
        let end = self.end().position;
        let stop = match range.end_bound() {
            Bound::Included(last) => last.plus(1),
            Bound::Excluded(stop) => *stop,
            Bound::Unbounded => end,
        };
        let scanner = Scanner::new(self.inner.data.verifier, start, end).before(stop.min(end));
        Frames::new(Arc::clone(&self.inner), scanner)
    }

    /// Hands all appends so far to the operating system, and returns their end. They survive the end of the
    /// process, but not a power failure.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: appends stay buffered, and a later call tries again; [`Error::WriteNotUndone`],
    /// [`Error::Poisoned`], [`Error::Closed`].
    pub fn flush(&self) -> Result<Boundary> {
        self.inner.data.check_open()?;
        let writer = self.inner.writer();
        writer.map_or_else(|| Ok(self.end()), Writer::flush)
    }

    /// Puts all appends so far on the device, and returns the recovery point. Concurrent calls share the
    /// work: one whose appends an earlier one has covered returns at once.
    ///
    /// # Errors
    ///
    /// As [`Store::flush`]; [`Error::SyncFailed`], after which the store is poisoned.
    pub fn sync(&self) -> Result<Boundary> {
        self.inner.data.check_open()?;
        let writer = self.inner.own_writer()?;
        writer.map_or_else(|| Ok(self.end()), |writer| writer.sync(None))
    }

    /// Seals the store: puts everything on the device, with a mark that claims it. The store can still be
    /// read, but takes no more appends. No effect if it is sealed already.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`]. Unless the store is poisoned it still takes appends, and sealing can be retried.
    pub fn seal(&self) -> Result<()> {
        self.inner.data.check_open()?;
        self.inner.own_writer()?.map_or(Ok(()), Writer::seal)
    }

    /// Seals the store and releases its lock, so that it can be opened again. Afterwards every operation on
    /// any handle fails with [`Error::Closed`]. No effect if it is closed already.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`]. The store is closed all the same. [`Error::Forked`] in a process that was forked from the
    /// one that opened the store, where neither this nor dropping the store has an effect on it.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
