//! The store: appending, reading, syncing, closing.

mod append;
mod batch_writer;
mod data_file;
mod durable_end;
mod file;
mod frames;
mod header;
mod inner;
mod preallocation;
mod reader;
mod sync;
mod write_buffer;
mod writer;

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Operation, Result};
use crate::format::{HEADER_LEN, Header};
use crate::io::fs::FsDirectory;
use crate::io::named_file::NamedFile;
use crate::io::{Directory, OpenMode};
use crate::options::Options;
use crate::position::{Boundary, Position};
use crate::recovery::{self, Recovery, doublewrite};
use crate::scan::Scanner;
use crate::scan::verify::Verifier;
pub use crate::store::append::Appended;
use crate::store::batch_writer::{Filled, Slices};
use crate::store::durable_end::DurableEnd;
pub use crate::store::frames::{Frame, FrameRef, Frames};
pub use crate::store::header::StoreHeader;
use crate::store::inner::Inner;
use crate::store::writer::Writer;

/// An append-only file of checksummed frames.
///
/// A store is a cheap handle: clones share the file. All operations take `&self` and may be called
/// from many threads. Appends are ordered as they were put into the buffer; a read sees an append
/// as soon as it has returned. No reader waits for a writer's I/O, and no append for a sync.
///
/// # Durability
///
/// [`append`](Store::append) copies into memory and returns (what is longer than the
/// [buffer](Options::buffer_len) it writes first); [`flush`](Store::flush) hands what was
/// appended to the operating system, where it survives the end of the process;
/// [`sync`](Store::sync) puts it on the device, where it survives a power loss.
/// [`close`](Store::close) does all of that. Dropping the last handle closes the store too, but
/// cannot tell of a failure.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_store::{Options, Store};
///
/// let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path().join("my.store"), &Options::new())?;
/// let appended = store.append(b"hello")?;
/// assert_eq!(appended.bytes_written, 5 + 8);
/// assert_eq!(store.read(appended.position)?, "hello");
/// store.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl Store {
    /// Opens the store at `path`, whose file name is Unicode, or makes one where there is none, and recovers it: on return what
    /// it shows is on the device. [`Store::recovery`] tells what was found. Opening uses names of files beside the store
    /// that begin with its own: with `.tmp`, `.again` or `.torn-` behind it.
    ///
    /// The directory has to be there, and its own name to be durable ([`FsDirectory::create`] sees to both).
    ///
    /// # Errors
    ///
    /// [`Error::LabelTooLong`] or [`Error::PayloadLimitTooLarge`] for options that cannot be;
    /// [`Error::Locked`] at once if somebody has it open; [`Error::NotAStore`],
    /// [`Error::HeadersDiffer`] or an `Unsupported…` error if the file is something else;
    /// [`Error::Truncated`] if it is shorter than what [`Options::known_synced`] tells;
    /// [`Error::SetAsideFull`]; [`Error::SyncFailed`]; [`Error::Io`]. After each of them no data was changed
    /// or lost.
    ///
    /// A torn end needs as much room as it takes, for its copy: on a full disk opening fails with an error of
    /// the kind [`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull), since nothing in the file tells whether
    /// what is torn was ever synced and damaged afterwards. Make room for it elsewhere, and open the store
    /// again. Without a torn end only a store that has no data needs room: for its header.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = path.as_ref();
        let fail = |error| Error::io(Operation::Open, &path.to_string_lossy().into(), error);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(fail(io::ErrorKind::InvalidFilename.into()));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = FsDirectory::open(parent).map_err(fail)?;
        Self::open_in(&directory, name, options)
    }

    /// As [`Store::open`], in any [`Directory`].
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open_in(directory: &dyn Directory, name: &str, options: &Options) -> Result<Self> {
        options.validate()?;
        let file = file::open_or_create(directory, &name.into(), options)?;
        let read = file::read_header(&file)?;
        let verifier = Verifier::of(&read.header);
        let mut recovery = recovery::recover(directory, &file, verifier, options)?;
        recovery.header_restored = read.restore(&file)?;
        Ok(Self::of(Inner::new(file, read.header, recovery, options)))
    }

    /// Opens an existing store only to read what is in its file, without lock or recovery: for
    /// stores that were [sealed](Store::seal). It takes no appends.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and [`Error::Io`] if there is no such file.
    pub fn open_sealed_in(directory: &dyn Directory, name: &str) -> Result<Self> {
        let (file, header) = Self::open_to_read(directory, name)?;
        let len = file.len()?;
        let Some(position) = len.checked_sub(HEADER_LEN).map(Position::new) else {
            // It was truncated by its owner since its header was read.
            let file = Arc::clone(file.name());
            return Err(Error::NotAStore { file, len });
        };
        let end = Boundary {
            position,
            frames: 0,
        };
        Ok(Self::of(Inner::to_read(file, header, end, None)))
    }

    /// Reads the header of an existing store, without lock or recovery, and without its data.
    ///
    /// # Errors
    ///
    /// As [`Store::open_sealed_in`].
    pub fn read_header_in(directory: &dyn Directory, name: &str) -> Result<StoreHeader> {
        let file = NamedFile::open(directory, &name.into(), OpenMode::Read)?;
        let read = file::read_header(&file)?;
        Ok(StoreHeader {
            label: read.header.label,
            salt: read.header.salt,
            end: Position::new(read.len - HEADER_LEN),
        })
    }

    /// Opens an existing store only to read it, while another process may have it open and append. It
    /// takes no lock, writes nothing and recovers nothing. It shows what lies below `known`, which must
    /// have come from this very store as for [`Options::known_synced`], and what lies below the newest
    /// sync mark; [`Store::refresh`] looks for newer ones. It takes no appends.
    ///
    /// A store without data may be made anew by whoever opens it to append. Open it again as long as
    /// nothing is seen in it.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], apart from those about locks and set-aside files, and [`Error::Io`] if there
    /// is no such file.
    pub fn open_following_in(
        directory: &dyn Directory,
        name: &str,
        known: Boundary,
    ) -> Result<Self> {
        let (file, header) = Self::open_to_read(directory, name)?;
        let mut durable_end = DurableEnd::new(Verifier::of(&header), known);
        let end = durable_end.refresh(&file)?;
        Ok(Self::of(Inner::to_read(
            file,
            header,
            end,
            Some(durable_end),
        )))
    }

    fn open_to_read(directory: &dyn Directory, name: &str) -> Result<(NamedFile, Header)> {
        let file = NamedFile::open(directory, &name.into(), OpenMode::Read)?;
        let header = file::read_header(&file)?.header;
        Ok((file, header))
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Drops everything at and after `to`, a place between two batches, from a store that nobody has
    /// open to append: for an owner that takes back what it acknowledged. On return that is durable.
    /// Whoever has the store open to read must not read there any more.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if somebody has it open; [`Error::Truncated`] if it ends before `to`;
    /// [`Error::SyncFailed`], after which it is unknown where the store ends, and [`Error::Io`], among
    /// others if there is no such file; and those of [`Store::open`] for a file that is something else.
    pub fn cut_in(directory: &dyn Directory, name: &str, to: Boundary) -> Result<()> {
        let (file, salt) = Self::lock_existing(directory, name)?;
        doublewrite::finish(directory, &file, salt)?;
        let end = file.end()?;
        if end < to.position {
            return Err(Error::Truncated {
                file: Arc::clone(file.name()),
                end,
                expected: to.position,
            });
        }
        file.set_end(to.position)?;
        file.sync_all()?;
        file.unlock()
    }

    /// Finishes a recovery of an existing store that was stopped on its way, as [`Store::open_in`] does first,
    /// and nothing else: for who then reads what is in the file without recovering it.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if somebody has it open; [`Error::Truncated`] if it ends before what that recovery was
    /// about to write again; [`Error::SyncFailed`] and [`Error::Io`], among others if there is no such file, after
    /// which it can be called again; and those of [`Store::open`] for a file that is something else.
    pub fn finish_recovery_in(directory: &dyn Directory, name: &str) -> Result<()> {
        let (file, salt) = Self::lock_existing(directory, name)?;
        doublewrite::resume(directory, &file, salt)?;
        file.unlock()
    }

    /// The file of an existing store, locked, and the store's salt.
    fn lock_existing(directory: &dyn Directory, name: &str) -> Result<(NamedFile, u64)> {
        let file = NamedFile::open(directory, &name.into(), OpenMode::Write)?;
        file.lock()?;
        let salt = file::read_header(&file)?.header.salt;
        Ok((file, salt))
    }

    /// What opening found and did: nothing, if it was only to read.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// The label that the store was made with.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        &self.inner.label
    }

    /// The random number that tells this file from every other.
    #[must_use]
    pub fn salt(&self) -> u64 {
        self.inner.data.verifier.salt
    }

    /// The largest payload that the store takes, in bytes.
    #[must_use]
    pub fn payload_len_max(&self) -> u32 {
        self.inner.data.verifier.payload_len_max
    }

    /// The end of the data (exclusive), with what is only buffered: never the end of the file. Of a store
    /// that was opened [sealed](Store::open_sealed_in) only the position is known, and no frame is counted.
    #[must_use]
    pub fn end(&self) -> Boundary {
        self.inner.end()
    }

    /// How many bytes of frames there are: the position of [`Store::end`].
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end().position.get()
    }

    /// Whether there is no frame at all, not even a mark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recovery point: everything below is known to be on the device.
    #[must_use]
    pub fn recovery_point(&self) -> Boundary {
        self.inner.recovery_point()
    }

    /// Appends one payload, as a batch of its own. On return it can be read, and survives nothing
    /// yet: see [`Store::flush`] and [`Store::sync`]. A payload that is longer than the buffer is
    /// written to the file from where it lies; other appends wait until it is, and readers see it then.
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLarge`]; [`Error::Io`] if the buffer is full, or the payload longer than it,
    /// and cannot be written, in which case what was appended before stays and only this payload is
    /// refused;
    /// [`Error::Poisoned`], [`Error::Sealed`], [`Error::Closed`]; [`Error::WriteNotUndone`].
    /// Nothing was appended then, the last one included.
    #[inline]
    pub fn append(&self, payload: &[u8]) -> Result<Appended> {
        self.inner.appender()?.append_one(payload)
    }

    /// Appends payloads as one batch: recovery keeps all of them or none. They lie one behind the
    /// other, each 8 bytes longer than its payload. An empty batch appends nothing.
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Appended> {
        self.inner.appender()?.append(Slices(payloads))
    }

    /// As [`Store::append_batch`], for payloads that are not in memory yet: `fill` writes the one
    /// with the given index, straight into the buffer, over zeros, and must neither use the store
    /// nor take long. Each is as long as `lens` says. If it panics, nothing is appended. One that is
    /// longer than the buffer takes memory of its own.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("my.store");
    /// use proglog_store::{Options, Store};
    ///
    /// let store = Store::open(path, &Options::new())?;
    /// let names = ["Ada", "Grace"];
    /// let lens = names.map(str::len);
    /// store.append_with(&lens, |index, slot| slot.copy_from_slice(names[index].as_bytes()))?;
    /// assert_eq!(store.frames(..).count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    pub fn append_with(
        &self,
        lens: &[usize],
        fill: impl FnMut(usize, &mut [u8]),
    ) -> Result<Appended> {
        self.inner.appender()?.append(Filled(lens, fill))
    }

    /// As [`Store::append_with`], but only if the batch, with a sync mark before it, ends at `limit` at
    /// the latest; `None` if it would not, and then nothing was appended.
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    #[inline]
    pub fn append_within(
        &self,
        limit: Position,
        lens: &[usize],
        fill: impl FnMut(usize, &mut [u8]),
    ) -> Result<Option<Appended>> {
        self.inner
            .appender()?
            .append_within(limit, Filled(lens, fill))
    }

    /// Reads the payload of the frame at `position`, verified. One read fetches as much as the frames
    /// read lately would have needed, up to 64 KiB; where this one is longer, a second read fetches
    /// the rest.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] at or past the end; [`Error::InvalidFrame`] or
    /// [`Error::ChecksumMismatch`] if the frame is damaged or none starts there;
    /// [`Error::ControlFrame`]; [`Error::Io`]; [`Error::Closed`].
    pub fn read(&self, position: Position) -> Result<Bytes> {
        self.inner.data.check_open()?;
        self.inner.read(position)
    }

    /// As [`Store::read`], for a caller that knows how long the frame is, 8 bytes more than its
    /// payload: one read fetches just as much. A wrong guess costs a second read, nothing else.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub fn read_guessing(&self, position: Position, frame_len: usize) -> Result<Bytes> {
        self.inner.data.check_open()?;
        self.inner.read_with_len_hint(position, frame_len)
    }

    /// The data frames that begin in `range`, up to where the data ends now. The range has to start
    /// where a frame does: at any other place, and so behind an excluded start, what is there is told to be
    /// damaged.
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

    /// Hands everything appended so far to the operating system and returns its end: that much
    /// survives the end of the process, not a power loss.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: what is buffered stays so, and a later call tries again;
    /// [`Error::WriteNotUndone`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn flush(&self) -> Result<Boundary> {
        self.inner.data.check_open()?;
        let writer = self.inner.writer();
        writer.map_or_else(|| Ok(self.end()), Writer::flush)
    }

    /// Puts everything appended so far on the device and returns the recovery point. Calls at the
    /// same time share the work: one whose appends an earlier one has covered returns at once.
    ///
    /// # Errors
    ///
    /// As [`Store::flush`]; [`Error::SyncFailed`], after which the store is poisoned.
    pub fn sync(&self) -> Result<Boundary> {
        self.inner.data.check_open()?;
        let writer = self.inner.writer();
        writer.map_or_else(|| Ok(self.end()), |writer| writer.sync(None))
    }

    /// As [`Store::sync`], but takes no more than what lies below `to` for synced: what lies behind
    /// can still be [rewound](Store::rewind). `to` has to be a place between two batches, such as
    /// [`Store::end`] told: the next mark claims it, and recovery goes by that.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`].
    pub fn sync_to(&self, to: Boundary) -> Result<Boundary> {
        self.inner.data.check_open()?;
        let writer = self.inner.writer();
        writer.map_or_else(|| Ok(self.end()), |writer| writer.sync(Some(to)))
    }

    /// Looks how far whoever writes the store has synced it, if this one was opened
    /// [to follow](Store::open_following_in), and returns the end of what is shown now. The end of any
    /// other store is returned as it is. Takes a few small reads when there is nothing new.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Truncated`] if the store was cut below what was shown already;
    /// [`Error::Closed`].
    pub fn refresh(&self) -> Result<Boundary> {
        self.inner.data.check_open()?;
        self.inner.refresh()
    }

    /// Hands a sync mark to the operating system that tells the recovery point, unless the newest
    /// one tells it or the store is sealed. Later appends bring marks of their own; this is for a
    /// moment when there are none. If the process then ends without closing the store, damage to
    /// anything below the recovery point is known for what it is, and never taken for an unfinished
    /// write. On return the buffer, if they are empty, hold no memory until the next append, and the
    /// file has no [zeros ahead](Options::fill_ahead).
    ///
    /// # Errors
    ///
    /// As [`Store::flush`].
    pub fn mark(&self) -> Result<()> {
        self.inner.data.check_open()?;
        let writer = self.inner.writer();
        writer.map_or(Ok(()), Writer::write_sync_mark)
    }

    /// Drops everything at and after `to`, which is a place between two batches, not below the
    /// recovery point: what was appended there will never be seen again. For an owner that gives up
    /// appends whose write has failed.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `to` is past the end, [`Error::BelowRecoveryPoint`] if it is below that;
    /// [`Error::WriteNotUndone`] if the file cannot be cut, after which the store is poisoned;
    /// [`Error::Poisoned`], if the file would have to be cut; [`Error::Closed`].
    pub fn rewind(&self, to: Boundary) -> Result<()> {
        self.inner.data.check_open()?;
        self.inner.appender()?.rewind(to)
    }

    /// Ends the store: puts everything on the device, with a mark that says so. It can still be
    /// read, and takes no more appends. Does nothing when it is sealed already.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`]. If the store is not poisoned it still takes appends, and this can be
    /// tried again.
    pub fn seal(&self) -> Result<()> {
        self.inner.data.check_open()?;
        self.inner.writer().map_or(Ok(()), Writer::seal)
    }

    /// Takes no more appends and gives up the lock, and goes on reading what is in the file: for an owner
    /// that is about to [cut](Store::cut_in) or remove it under the hands of its readers. What was
    /// appended and not synced is left where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file system cannot unlock.
    pub fn release(&self) -> Result<()> {
        self.inner.writer().map_or(Ok(()), Writer::detach)
    }

    /// Seals the store and gives up its lock, so that it can be opened again. Every operation on
    /// any handle fails with [`Error::Closed`] from then on. Does nothing when it is closed already.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`]. The store is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
