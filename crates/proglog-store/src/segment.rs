//! Operations for a log that keeps its records in several stores, its segments.
//!
//! A segment is a store that is appended to until it is sealed, and only read afterwards. [`StoreExt`] adds
//! to a [`Store`] what the owner of the newest segment needs; the functions open, truncate and recover
//! segments by name.

use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::format;
use crate::io::named_file::NamedFile;
use crate::io::{Directory, FileId, OpenMode, Storage, atomic_file};
use crate::position::{Boundary, Position};
use crate::recovery::{doublewrite, quarantine};
use crate::scan::verify::Verifier;
use crate::store::batch_writer::Filled;
use crate::store::durable_end::DurableEnd;
use crate::store::file::ReadHeader;
use crate::store::inner::Inner;
use crate::store::writer::Writer;
use crate::store::{Appended, Frames, Store, file};

pub use crate::store::durable_end::Sign;

/// The bytes that a frame is longer than its payload.
pub const FRAME_OVERHEAD: u64 = format::FRAME_HEADER_LEN as u64;

/// The byte of a store's file that `position` names: the header comes before position 0.
#[must_use]
pub fn byte_of(position: Position) -> u64 {
    format::offset_of(position)
}

/// Returns the name of the store from which recovery has [set aside](crate::Recovery) the file `name`; `None` for a name
/// that it gives to no file.
///
/// ```
/// use proglog_store::segment::store_of_set_aside;
///
/// assert_eq!(store_of_set_aside("my.store.torn-4096"), Some("my.store"));
/// assert_eq!(store_of_set_aside("my.store.torn-4096.2"), Some("my.store"));
/// assert_eq!(store_of_set_aside("my.store.torn-4096.bak"), None);
/// ```
#[must_use]
pub fn store_of_set_aside(name: &str) -> Option<&str> {
    quarantine::store_of(name)
}

/// Methods of a [`Store`] that is a segment of a log.
pub trait StoreExt: sealed::Sealed {
    /// The random number in the header, which distinguishes this file from any other.
    fn salt(&self) -> u64 {
        self.store().inner.data.verifier.salt
    }

    /// Appends a batch of payloads with the lengths `lens`, if its frames, and a sync mark before them, end
    /// at or below `limit`. Returns `None` otherwise, and then nothing was appended.
    ///
    /// `fill` is called with the index of each payload and its place in the buffer, which holds zeros. It
    /// must not use the store, nor take long. If it panics, nothing is appended. A payload that is longer
    /// than the buffer takes memory of its own.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("my.store");
    /// use proglog_store::segment::StoreExt;
    /// use proglog_store::{Position, Store, StoreOptions};
    ///
    /// let store = Store::open(path, &StoreOptions::new())?;
    /// let names = ["Ada", "Grace"];
    /// let lens = names.map(str::len);
    /// let fill = |index: usize, slot: &mut [u8]| slot.copy_from_slice(names[index].as_bytes());
    /// assert_eq!(store.append_within(Position::new(10), &lens, fill)?, None);
    /// assert!(store.append_within(Position::new(100), &lens, fill)?.is_some());
    /// assert_eq!(store.frames(..).count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    #[inline]
    fn append_within(
        &self,
        limit: Position,
        lens: &[usize],
        fill: impl FnMut(usize, &mut [u8]),
    ) -> Result<Option<Appended>> {
        let writer = self.store().inner.appender()?;
        writer.append_within(limit, Filled(lens, fill))
    }

    /// Appends one payload, the concatenation of `parts`, if its frame, and a sync mark before it, end at or
    /// below `limit`. Returns `None` otherwise, and then nothing was appended.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("my.store");
    /// use proglog_store::segment::StoreExt;
    /// use proglog_store::{Position, Store, StoreOptions};
    ///
    /// let store = Store::open(path, &StoreOptions::new())?;
    /// let parts: [&[u8]; 2] = [b"key:", b"value"];
    /// assert_eq!(store.append_parts_within(Position::new(10), &parts)?, None);
    /// assert!(store.append_parts_within(Position::new(100), &parts)?.is_some());
    /// assert_eq!(store.read(Position::ZERO)?, "key:value");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    fn append_parts_within(&self, limit: Position, parts: &[&[u8]]) -> Result<Option<Appended>> {
        self.store()
            .inner
            .appender()?
            .append_parts_within(limit, parts)
    }

    /// Returns the limit with which an append only fills memory: it does not write to the file, nor wait for a thread
    /// that does. Position 0 if there is no such limit, or the store takes no appends.
    ///
    /// It holds until the next append, since flushing makes room and nothing else takes it.
    fn buffered_end_max(&self) -> Position {
        let appender = self.store().inner.appender();
        appender.map_or(Position::ZERO, Writer::buffered_end_max)
    }

    /// As [`Store::read`], but returns the whole frame, whose payload begins after [`FRAME_OVERHEAD`] bytes. One read
    /// fetches `len` bytes, and a second one the rest of a frame that is longer.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("my.store");
    /// use proglog_store::segment::{FRAME_OVERHEAD, StoreExt};
    /// use proglog_store::{Store, StoreOptions};
    ///
    /// let store = Store::open(path, &StoreOptions::new())?;
    /// let appended = store.append(b"hello")?;
    /// let frame = store.read_frame(appended.position, 100)?;
    /// assert_eq!(frame[FRAME_OVERHEAD as usize..], *b"hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    fn read_frame(&self, position: Position, len: usize) -> Result<Vec<u8>> {
        self.store().inner.data.check_open()?;
        self.store().inner.read_frame(position, len)
    }

    /// As [`StoreExt::read_frame`], but returns `None` instead of waiting for the device: the bytes have to be in the
    /// buffers of the store, or where [`Storage::try_read_at`] finds them.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    fn try_read_frame(&self, position: Position, len: usize) -> Result<Option<Vec<u8>>> {
        self.store().inner.data.check_open()?;
        self.store().inner.try_read_frame(position, len)
    }

    /// As [`Store::frames`], but without waiting for the device. Frames are read in blocks of 256 KiB: the first frame
    /// of a block that is not in memory as a whole is an [`Error::Io`] of the kind [`io::ErrorKind::WouldBlock`], with
    /// which the iterator ends.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("my.store");
    /// use proglog_store::segment::StoreExt;
    /// use proglog_store::{Store, StoreOptions};
    ///
    /// let store = Store::open(path, &StoreOptions::new())?;
    /// store.append_batch(&[&b"one"[..], b"two"])?;
    /// assert_eq!(store.cached_frames(..).count(), 2); // still in the store's buffer
    /// # Ok(())
    /// # }
    /// ```
    fn cached_frames(&self, range: impl RangeBounds<Position>) -> Frames {
        self.store().frames(range).cached_only()
    }

    /// As [`Store::sync`], but raises the recovery point to `to` at most, so that what lies above can still
    /// be [rewound](StoreExt::rewind). `to` has to be a boundary between two batches, such as
    /// [`Store::end`] returned: the next mark claims it, and recovery relies on that.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`].
    fn sync_to(&self, to: Boundary) -> Result<Boundary> {
        self.store().inner.data.check_open()?;
        let writer = self.store().inner.own_writer()?;
        writer.map_or_else(|| Ok(self.store().end()), |writer| writer.sync(Some(to)))
    }

    /// Hands a sync mark to the operating system that claims the recovery point, unless the newest mark
    /// claims it or the store is sealed. Later appends bring marks of their own; this is for an idle store.
    /// If the process then ends without closing the store, damage to anything below the recovery point is
    /// detected as corruption, and not mistaken for a torn write.
    ///
    /// On return empty buffers hold no memory until the next append, and the file has no
    /// [preallocated](crate::StoreOptions::preallocate) zeros.
    ///
    /// # Errors
    ///
    /// As [`Store::flush`].
    fn write_sync_mark(&self) -> Result<()> {
        self.store().inner.data.check_open()?;
        let writer = self.store().inner.own_writer()?;
        writer.map_or(Ok(()), Writer::write_sync_mark)
    }

    /// Drops everything at and after `to`, a boundary between two batches that is not below the recovery
    /// point: appends whose write has failed, say. They will never be read again.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `to` is past the end, [`Error::BelowRecoveryPoint`] if it is below that;
    /// [`Error::WriteNotUndone`] if the file cannot be truncated, after which the store is poisoned, or, with the
    /// kind [`ErrorKind::DiskFull`](crate::ErrorKind::DiskFull), as everything was dropped, but may be back if the
    /// process ends before there is room to truncate the file; [`Error::SyncFailed`];
    /// [`Error::Poisoned`], if the file would have to be truncated; [`Error::Sealed`] if the store was
    /// opened to read; [`Error::Closed`].
    fn rewind(&self, to: Boundary) -> Result<()> {
        self.store().inner.data.check_open()?;
        self.store().inner.own_writer()?;
        self.store().inner.appender()?.rewind(to)
    }

    /// Drops everything at and after `to`, a boundary between two frames, synced or not; later appends continue
    /// there. What is in the file is overwritten with a sync mark that claims what is left, and zeros. That takes as
    /// long as to write it, and one sync if everything is synced already. On return it is durable.
    ///
    /// If the process or the machine stops before this returns, any part of what was to be dropped may be left, and
    /// look like damage: the owner has to know that it was being dropped, and [truncate] the store then.
    /// A store that is open [to follow](open_following) does not notice the change, and has to be opened again.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `to` is past the end. [`Error::Io`] if the file cannot be overwritten, for example on a
    /// full device whose file system writes data to other places: any part may be erased then, and nothing may be
    /// appended; the owner can [detach](StoreExt::detach_writer) the store and truncate it. Otherwise as
    /// [`Store::sync`]; [`Error::Poisoned`]; [`Error::Sealed`]; [`Error::Closed`].
    fn erase(&self, to: Boundary) -> Result<()> {
        self.store().inner.data.check_open()?;
        self.store().inner.own_writer()?;
        self.store().inner.appender()?.erase(to)
    }

    /// Ends appending, and releases the lock. What is in the file can still be read, while the owner
    /// [truncates](truncate) or removes it. Appends that were not synced are left as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file system cannot unlock.
    fn detach_writer(&self) -> Result<()> {
        let writer = self.store().inner.own_writer()?;
        writer.map_or(Ok(()), Writer::detach)
    }

    /// Returns a store that ends where this one does, without its file and data: it takes no appends, and its reads
    /// fail. The space of a removed file is free once no handle has it open, and an owner that still needs the end can
    /// keep this store instead.
    #[must_use]
    fn without_file(&self) -> Store {
        Store::of(self.store().inner.without_file())
    }

    /// Reads how far another process has synced a store that was opened [to follow](open_following), and
    /// returns the end of what is shown now. Takes a few small reads if nothing is new. The end of any other
    /// store is returned as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Truncated`] if the file is shorter than what was shown already;
    /// [`Error::Closed`].
    fn refresh(&self) -> Result<Boundary> {
        self.store().inner.data.check_open()?;
        self.store().inner.refresh()
    }

    /// Returns whether [`StoreExt::refresh`] may find something new, by this sign alone. That takes one system call or
    /// none, and changes nothing. Always `false` for a store that was not opened [to follow](open_following).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// use proglog_store::io::FsDirectory;
    /// use proglog_store::segment::{self, Sign, StoreExt};
    /// use proglog_store::{Boundary, Store, StoreOptions};
    ///
    /// let store = Store::open(directory.path().join("my.store"), &StoreOptions::new())?;
    /// let directory = FsDirectory::open(directory.path())?;
    /// let follower = segment::open_following(&directory, "my.store", Boundary::START)?;
    /// assert!(!follower.has_changed(Sign::Appended)?);
    /// store.append(b"news")?;
    /// store.flush()?;
    /// assert!(follower.has_changed(Sign::Appended)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Closed`].
    fn has_changed(&self, sign: Sign) -> Result<bool> {
        self.store().inner.data.check_open()?;
        self.store().inner.has_changed(sign)
    }

    /// Returns the identity of the store's file; `None` if there is no way to find out.
    fn file_id(&self) -> Option<FileId> {
        self.store().inner.data.file.storage().id().ok().flatten()
    }
}

impl StoreExt for Store {}

mod sealed {
    use crate::store::Store;

    /// Keeps [`StoreExt`](super::StoreExt) from being implemented elsewhere, so that it can grow.
    pub trait Sealed {
        fn store(&self) -> &Store;
    }

    impl Sealed for Store {
        fn store(&self) -> &Store {
            self
        }
    }
}

/// Opens an existing [sealed](Store::seal) store to read what is in its file, without lock or recovery. It
/// takes no appends. Its [end](Store::end) has the position of the end of the file; frames are not counted,
/// and the number is 0.
///
/// # Errors
///
/// As [`Store::open`], and [`Error::Io`] if there is no such file.
pub fn open_sealed(directory: &dyn Directory, name: &str) -> Result<Store> {
    let (file, read) = open_to_read(directory, name)?;
    let end = Boundary {
        position: read.end(),
        frames: 0,
    };
    Ok(Store::of(Inner::to_read(file, read.header, end, None)))
}

/// Opens an existing store to read it while another process may append to it. Takes no lock, writes nothing
/// and recovers nothing; the store takes no appends.
///
/// It shows what lies below `known`, which must have come from this very store as for
/// [`StoreOptions::recovery_point`](crate::StoreOptions::recovery_point), and what lies below the newest sync
/// mark. [`StoreExt::refresh`] looks for newer marks. Open it again once the process that appends has
/// [erased](StoreExt::erase) some of that. A store without data may be created again by the
/// process that opens it to append, so open it again until it shows something.
///
/// # Errors
///
/// As [`Store::open`], apart from those about locks and set-aside files, and [`Error::Io`] if there is no
/// such file.
pub fn open_following(directory: &dyn Directory, name: &str, known: Boundary) -> Result<Store> {
    let (file, ReadHeader { header, .. }) = open_to_read(directory, name)?;
    let mut durable_end = DurableEnd::new(Verifier::of(&header), known);
    let end = durable_end.refresh(&file)?;
    let durable_end = Some(durable_end);
    Ok(Store::of(Inner::to_read(file, header, end, durable_end)))
}

/// Reads the header of an existing store, without lock or recovery, and without its data.
///
/// # Errors
///
/// As [`open_sealed`].
pub fn read_header(directory: &dyn Directory, name: &str) -> Result<StoreHeader> {
    let (_, read) = open_to_read(directory, name)?;
    Ok(StoreHeader {
        end: read.end(),
        label: read.header.label,
        salt: read.header.salt,
    })
}

/// The header of a store, and the length of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHeader {
    /// The label that the store was created with: at most 64 bytes.
    pub label: Vec<u8>,
    /// The random number that distinguishes the store from any other.
    pub salt: u64,
    /// The end of the file.
    pub end: Position,
}

fn open_to_read(directory: &dyn Directory, name: &str) -> Result<(NamedFile, ReadHeader)> {
    let file = NamedFile::open(directory, &name.into(), OpenMode::Read)?;
    let read = file::read_header(&file)?;
    Ok((file, read))
}

/// Drops everything at and after `to`, a boundary between two batches, from a store that is not open to
/// append: synced or not. On return that is durable. A handle that has the store open to read must not read
/// there any more.
///
/// # Errors
///
/// [`Error::Locked`] if the store is open; [`Error::Truncated`] if it ends before `to`;
/// [`Error::SyncFailed`], after which it is unknown where the store ends; [`Error::Io`], also if there is no
/// such file; and those of [`Store::open`] for a file that is no store.
pub fn truncate(directory: &dyn Directory, name: &str, to: Boundary) -> Result<()> {
    let (file, salt) = lock_existing(directory, name)?;
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

/// Finishes an interrupted recovery of an existing store, as [`Store::open`] does first, and nothing else:
/// before the file is read without recovery.
///
/// # Errors
///
/// [`Error::Locked`] if the store is open; [`Error::Truncated`] if it ends before what that recovery was to
/// rewrite; [`Error::SyncFailed`] and [`Error::Io`], also if there is no such file, after which it can be
/// called again; and those of [`Store::open`] for a file that is no store.
pub fn finish_recovery(directory: &dyn Directory, name: &str) -> Result<()> {
    let (file, salt) = lock_existing(directory, name)?;
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

/// Creates or replaces the file `name` in one step: a crash leaves the whole new file, or none of it.
///
/// `write` gets the file, empty, under a temporary name: that of the file, with `.tmp` appended. On return the
/// file and its name are durable. After a failure the temporary file is gone; if the directory could not be
/// synced, the file has its name until power fails.
///
/// # Errors
///
/// [`Error::Io`], with the operation that failed; a failure of `write` is one of [`Operation::Write`].
pub fn replace_file(
    directory: &dyn Directory,
    name: &str,
    write: impl FnOnce(&dyn Storage) -> io::Result<()>,
) -> Result<()> {
    atomic_file::replace(directory, &name.into(), |file| {
        write(file.storage()).map_err(|error| Error::io(Operation::Write, file.name(), error))
    })
    .map(drop)
}
