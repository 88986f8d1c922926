//! The store: appending, reading, syncing, closing.

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::buffers::{self, Batch, Buffers, Chunk};
use crate::error::{Error, Operation, Result};
use crate::format::{self, FRAME_HEADER_LEN, HEADER_LEN, Kind};
use crate::frames::Frames;
use crate::fs::FsDirectory;
use crate::header_file;
use crate::options::Options;
use crate::position::{Boundary, Position};
use crate::recover::{self, FileSource, Recovery};
use crate::scan::{Scanner, Source, Verifier};
use crate::storage::{Directory, OpenMode, Storage};
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, OnceLock, Ordering};

/// What a single read fetches when it does not know how long the frame is.
const READ_GUESS: usize = 4 << 10;

/// An append-only file of checksummed frames.
///
/// A store is a cheap handle: clones share the file. All operations take `&self` and may be called
/// from many threads. Appends are ordered as they were put into the buffer; a read sees an append
/// as soon as it has returned. No reader waits for a writer's I/O, and no append for a sync.
///
/// # Durability
///
/// [`append`](Store::append) copies into memory and returns; [`flush`](Store::flush) hands what was
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

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// How long the frames are: 8 bytes more than each payload.
    pub bytes_written: u64,
    /// Where the first frame is.
    pub position: Position,
}

/// What the handles of a store share.
///
/// Locks are taken in this order: `syncing`, `writing`, `device`, `buffers`. The first three are held
/// across system calls, and readers never take them; `buffers` is held for bounded memory copies alone.
/// Frames below `written` are in the file and do not change, unless they are rewound.
pub(crate) struct Inner {
    directory_entry: Arc<str>,
    file: Arc<dyn Storage>,
    verifier: Verifier,
    label: Vec<u8>,
    buffer_len: usize,
    recovery: Recovery,
    buffers: Mutex<Buffers>,
    /// The end of what is in the file.
    written: AtomicU64,
    /// Held by whoever writes the file.
    writing: Mutex<()>,
    /// Held by whoever makes appends durable, so that one sync serves all that wait for it.
    syncing: Mutex<()>,
    /// Held for each single sync of the file, until its failure is noted: of two syncs that run at
    /// once the system may tell only one of a failure.
    device: Mutex<()>,
    /// The failure that stopped the store.
    failure: OnceLock<Error>,
    sealed: AtomicBool,
    closed: AtomicBool,
}

impl Store {
    /// Opens the store at `path`, whose file name is Unicode, or makes one where there is none, and recovers it: on return what
    /// it shows is on the device. [`Store::recovery`] tells what was found.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] at once if somebody has it open; [`Error::NotAStore`],
    /// [`Error::HeadersDiffer`] or an `Unsupported…` error if the file is something else;
    /// [`Error::Truncated`] if it is shorter than what [`Options::known_synced`] tells;
    /// [`Error::SetAsideFull`]; [`Error::Io`]. After each of them no data was changed or lost.
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
        let name: Arc<str> = name.into();
        let file = header_file::open_or_create(directory, &name, options)?;
        let read = header_file::read(&*file, &name)?;
        let verifier = Verifier {
            salt: read.header.salt,
            payload_len_max: read.header.payload_len_max,
        };
        let source = FileSource {
            file: &*file,
            name: &name,
        };
        let mut recovery = recover::recover(directory, source, verifier, options)?;
        recovery.header_restored = read.restore(&*file, &name)?;
        Ok(Self::new(
            name,
            file,
            read.header.label,
            verifier,
            recovery,
            options.buffer_len,
        ))
    }

    /// Opens an existing store only to read what is in its file, without lock or recovery: for
    /// stores that were [sealed](Store::seal). It takes no appends.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and [`Error::Io`] if there is no such file.
    pub fn open_sealed_in(directory: &dyn Directory, name: &str) -> Result<Self> {
        let name: Arc<str> = name.into();
        let file = directory
            .open(&name, OpenMode::Read)
            .map_err(|error| Error::io(Operation::Open, &name, error))?;
        let header = header_file::read(&*file, &name)?.header;
        let len = file
            .len()
            .map_err(|error| Error::io(Operation::Length, &name, error))?;
        let verifier = Verifier {
            salt: header.salt,
            payload_len_max: header.payload_len_max,
        };
        let end = Boundary {
            position: Position::new(len - HEADER_LEN),
            frames: 0,
        };
        let recovery = Recovery::of_sealed(end);
        let store = Self::new(name, file, header.label, verifier, recovery, 0);
        store.inner.sealed.store(true, Ordering::Release);
        Ok(store)
    }

    fn new(
        directory_entry: Arc<str>,
        file: Arc<dyn Storage>,
        label: Vec<u8>,
        verifier: Verifier,
        recovery: Recovery,
        buffer_len: usize,
    ) -> Self {
        let end = recovery.end;
        let buffers = Buffers::new(verifier.salt, buffer_len, end, recovery.clean);
        Self {
            inner: Arc::new(Inner {
                directory_entry,
                file,
                verifier,
                label,
                buffer_len,
                recovery,
                buffers: Mutex::new(buffers),
                written: AtomicU64::new(end.position.get()),
                writing: Mutex::new(()),
                syncing: Mutex::new(()),
                device: Mutex::new(()),
                failure: OnceLock::new(),
                sealed: AtomicBool::new(false),
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// What opening found and did.
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
        self.inner.verifier.salt
    }

    /// The largest payload that the store takes, in bytes.
    #[must_use]
    pub fn payload_len_max(&self) -> u32 {
        self.inner.verifier.payload_len_max
    }

    /// The end of the data (exclusive), with what is only buffered: never the end of the file.
    #[must_use]
    pub fn end(&self) -> Boundary {
        self.inner.buffers.lock().end()
    }

    /// How many bytes of frames there are: the position of [`Store::end`].
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end().position.get()
    }

    /// Whether nothing was ever appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recovery point: everything below is known to be on the device.
    #[must_use]
    pub fn recovery_point(&self) -> Boundary {
        self.inner.buffers.lock().synced()
    }

    /// Appends one payload, as a batch of its own. On return it can be read, and survives nothing
    /// yet: see [`Store::flush`] and [`Store::sync`].
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLarge`]; [`Error::Io`] if the buffer is full and cannot be written, in
    /// which case what was appended before stays in it and only this payload is refused;
    /// [`Error::Poisoned`], [`Error::Sealed`], [`Error::Closed`]; [`Error::WriteNotUndone`].
    /// Nothing was appended then, the last one included.
    pub fn append(&self, payload: &[u8]) -> Result<Appended> {
        let crc = format::crc32c(payload);
        self.inner.append(&[payload.len()], |batch, _, kind| {
            batch.push(kind, payload, crc);
        })
    }

    /// Appends payloads as one batch: recovery keeps all of them or none. They lie one behind the
    /// other, each 8 bytes longer than its payload. An empty batch appends nothing.
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    pub fn append_batch(&self, payloads: &[&[u8]]) -> Result<Appended> {
        let lens = payloads
            .iter()
            .map(|payload| payload.len())
            .collect::<Vec<_>>();
        self.inner.append(&lens, |batch, index, kind| {
            let payload = payloads[index];
            batch.push(kind, payload, format::crc32c(payload));
        })
    }

    /// As [`Store::append_batch`], for payloads that are not in memory yet: `fill` writes the one
    /// with the given index, straight into the buffer, over zeros, and must neither use the store
    /// nor take long. Each is as long as `lens` says. If it panics, nothing is appended.
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
        mut fill: impl FnMut(usize, &mut [u8]),
    ) -> Result<Appended> {
        self.inner.append(lens, |batch, index, kind| {
            batch.push_with(kind, lens[index], |slot| fill(index, slot));
        })
    }

    /// Reads the payload of the frame at `position`, verified.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] at or past the end; [`Error::InvalidFrame`] or
    /// [`Error::ChecksumMismatch`] if the frame is damaged or none starts there;
    /// [`Error::ControlFrame`]; [`Error::Io`]; [`Error::Closed`].
    pub fn read(&self, position: Position) -> Result<Bytes> {
        self.read_guessing(position, READ_GUESS)
    }

    /// As [`Store::read`], for a caller that knows how long the frame is, 8 bytes more than its
    /// payload: one read fetches just as much. A wrong guess costs a second read, nothing else.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub fn read_guessing(&self, position: Position, frame_len: usize) -> Result<Bytes> {
        let inner = &self.inner;
        inner.check_open()?;
        let written = inner.written();
        // Below the written end no lock is needed; a frame never lies across it.
        let end = if position < written {
            written
        } else {
            self.end().position
        };
        let frame = inner.verifier.read(&**inner, position, frame_len, end)?;
        if frame.kind == Kind::Control {
            return Err(Error::ControlFrame { position });
        }
        Ok(frame.payload)
    }

    /// The data frames in `range`, which starts at a frame and ends between two (by default: where
    /// the data ends now).
    pub fn frames(&self, range: impl RangeBounds<Position>) -> Frames {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.plus(1),
            Bound::Unbounded => Position::ZERO,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.plus(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.end().position,
        };
        let end = end.min(self.end().position);
        Frames::new(
            Arc::clone(&self.inner),
            Scanner::new(self.inner.verifier, start, end),
        )
    }

    /// Hands everything appended so far to the operating system and returns its end: that much
    /// survives the end of the process, not a power loss.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: what is buffered stays so, and a later call tries again;
    /// [`Error::WriteNotUndone`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn flush(&self) -> Result<Boundary> {
        self.inner.check_open()?;
        self.inner.flush()
    }

    /// Puts everything appended so far on the device and returns the recovery point. Calls at the
    /// same time share the work: one whose appends an earlier one has covered returns at once.
    ///
    /// # Errors
    ///
    /// As [`Store::flush`]; [`Error::SyncFailed`], after which the store is poisoned.
    pub fn sync(&self) -> Result<Boundary> {
        self.inner.check_open()?;
        self.inner.sync(&self.inner.syncing.lock())
    }

    /// Hands a sync mark to the operating system that tells the recovery point, unless the newest
    /// one tells it or the store is sealed. Later appends bring marks of their own; this is for a
    /// moment when there are none. If the process then ends without closing the store, damage to
    /// anything below the recovery point is known for what it is, and never taken for an unfinished
    /// write.
    ///
    /// # Errors
    ///
    /// As [`Store::flush`].
    pub fn mark(&self) -> Result<()> {
        let inner = &self.inner;
        {
            let mut buffers = inner.buffers.lock();
            match inner.check_appendable() {
                Err(Error::Sealed { .. }) => return Ok(()),
                appendable => appendable?,
            }
            buffers.push_mark_if_due();
        }
        inner.flush().map(drop)
    }

    /// Drops everything at and after `to`, which is a place between two batches, not below the
    /// recovery point: what was appended there will never be seen again. For an owner that gives up
    /// appends whose write has failed.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if `to` is past the end or below the recovery point;
    /// [`Error::WriteNotUndone`] if the file cannot be cut, after which the store is poisoned.
    pub fn rewind(&self, to: Boundary) -> Result<()> {
        let inner = &self.inner;
        inner.check_open()?;
        let _syncing = inner.syncing.lock();
        let _writing = inner.writing.lock();
        let (synced, end) = {
            let buffers = inner.buffers.lock();
            (buffers.synced(), buffers.end())
        };
        if to < synced || to > end {
            return Err(Error::OutOfRange {
                position: to.position,
                end: end.position,
            });
        }
        if to.position < inner.written() {
            inner.cut(to.position)?;
        }
        inner.buffers.lock().rewind(to);
        inner.written.fetch_min(to.position.get(), Ordering::AcqRel);
        Ok(())
    }

    /// Ends the store: puts everything on the device, with a mark that says so. It can still be
    /// read, and takes no more appends. Does nothing when it is sealed already.
    ///
    /// # Errors
    ///
    /// As [`Store::sync`]. If the store is not poisoned it still takes appends, and this can be
    /// tried again.
    pub fn seal(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.seal()
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

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("file", &self.directory_entry)
            .field("written", &self.written)
            .field("sealed", &self.sealed)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn written(&self) -> Position {
        Position::new(self.written.load(Ordering::Acquire))
    }

    fn source(&self) -> FileSource<'_> {
        FileSource {
            file: &*self.file,
            name: &self.directory_entry,
        }
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed {
                file: Arc::clone(&self.directory_entry),
            });
        }
        Ok(())
    }

    fn check_sound(&self) -> Result<()> {
        match self.failure.get() {
            Some(failure) => Err(Error::Poisoned {
                source: Arc::new(failure.clone()),
            }),
            None => Ok(()),
        }
    }

    fn check_appendable(&self) -> Result<()> {
        self.check_open()?;
        self.check_sound()?;
        if self.sealed.load(Ordering::Acquire) {
            return Err(Error::Sealed {
                file: Arc::clone(&self.directory_entry),
            });
        }
        Ok(())
    }

    fn poison(&self, failure: Error) -> Error {
        // The first failure is the one to tell of.
        drop(self.failure.set(failure.clone()));
        failure
    }

    /// Appends a batch of payloads of these lengths; `push` puts the one with the given index in the
    /// buffer.
    fn append(
        &self,
        lens: &[usize],
        mut push: impl FnMut(&mut Batch<'_>, usize, Kind),
    ) -> Result<Appended> {
        let max = self.verifier.payload_len_max;
        if let Some(&len) = lens.iter().find(|len| **len > max as usize) {
            return Err(Error::PayloadTooLarge { len, max });
        }
        let len = lens.iter().map(|len| FRAME_HEADER_LEN + len).sum();
        let mut buffers = self.buffers_with_room(len)?;
        let mut batch = buffers.start_batch();
        for index in 0..lens.len() {
            let last = index + 1 == lens.len();
            let kind = if last {
                Kind::BatchEnd
            } else {
                Kind::BatchGoesOn
            };
            push(&mut batch, index, kind);
        }
        let position = batch.finish();
        Ok(Appended {
            bytes_written: len as u64,
            position,
        })
    }

    /// The buffers, with room for a batch of `len` bytes (or empty, if it is larger than they are).
    fn buffers_with_room(&self, len: usize) -> Result<MutexGuard<'_, Buffers>> {
        loop {
            let buffers = self.buffers.lock();
            // Checked under the lock: whoever seals the store takes it afterwards.
            self.check_appendable()?;
            if buffers.waiting() == 0
                || buffers.waiting() + buffers::MARKS_LEN_MAX + len <= self.buffer_len
            {
                return Ok(buffers);
            }
            drop(buffers);
            self.flush()?;
        }
    }

    fn flush(&self) -> Result<Boundary> {
        let _writing = self.writing.lock();
        self.check_sound()?;
        let chunk = {
            let mut buffers = self.buffers.lock();
            match buffers.take() {
                Some(chunk) => chunk,
                None => return Ok(buffers.end()),
            }
        };
        match self
            .file
            .write_all_at(&chunk.bytes, HEADER_LEN + chunk.start.get())
        {
            Ok(()) => Ok(self.written_chunk(chunk)),
            Err(error) => Err(self.not_written_chunk(chunk, error)),
        }
    }

    fn written_chunk(&self, chunk: Chunk) -> Boundary {
        let end = chunk.end;
        let mut buffers = self.buffers.lock();
        self.written.store(end.position.get(), Ordering::Release);
        buffers.written(chunk, self.buffer_len);
        end
    }

    fn not_written_chunk(&self, chunk: Chunk, error: io::Error) -> Error {
        let cut = self.cut(chunk.start);
        self.buffers.lock().not_written(chunk);
        cut.err()
            .unwrap_or_else(|| Error::io(Operation::Write, &self.directory_entry, error))
    }

    /// Removes from the file, durably, what a failed write may have left at and after `position`,
    /// so that no later frame stands beside it.
    fn cut(&self, position: Position) -> Result<()> {
        let _device = self.device.lock();
        self.check_sound()?;
        self.file
            .set_len(HEADER_LEN + position.get())
            .and_then(|()| self.file.sync_all())
            .map_err(|error| {
                let file = Arc::clone(&self.directory_entry);
                self.poison(Error::WriteNotUndone {
                    file,
                    source: Arc::new(error),
                })
            })
    }

    /// Takes the guard of `syncing`.
    fn sync(&self, _turn: &MutexGuard<'_, ()>) -> Result<Boundary> {
        self.check_sound()?;
        {
            let buffers = self.buffers.lock();
            if buffers.synced() == buffers.end() {
                return Ok(buffers.synced());
            }
        }
        let end = self.flush()?;
        let _device = self.device.lock();
        self.check_sound()?;
        self.file.sync_data().map_err(|error| {
            let file = Arc::clone(&self.directory_entry);
            self.poison(Error::SyncFailed {
                file,
                source: Arc::new(error),
            })
        })?;
        self.buffers.lock().set_synced(end);
        Ok(end)
    }

    fn seal(&self) -> Result<()> {
        let turn = self.syncing.lock();
        if self.sealed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Appends that passed the check hold the buffers; afterwards there are no more.
        drop(self.buffers.lock());
        let sealed = self.sync(&turn).and_then(|_| {
            if self.buffers.lock().push_closing_mark() {
                self.sync(&turn)?;
            }
            Ok(())
        });
        if sealed.is_err() {
            self.sealed.store(false, Ordering::Release);
        }
        sealed
    }

    fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let sealed = self.seal();
        let unlocked = self
            .file
            .unlock()
            .map_err(|error| Error::io(Operation::Lock, &self.directory_entry, error));
        sealed.and(unlocked)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // There is nobody left to tell; whoever wants to know calls `close`.
        drop(self.close());
    }
}

impl Source for Inner {
    fn block(&self, position: Position, want: usize) -> Result<Bytes> {
        loop {
            let written = self.written();
            if position < written {
                let left = usize::try_from(written.get() - position.get()).unwrap_or(usize::MAX);
                return self.source().block(position, want.min(left));
            }
            // `None` when it was written in the meantime.
            if let Some(copy) = self.buffers.lock().copy(position, want) {
                return Ok(copy);
            }
        }
    }
}
