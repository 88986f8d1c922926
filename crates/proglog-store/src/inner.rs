//! What the handles of a store share: the way of a frame from the buffer to the file and the device,
//! and back to a reader.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::buffers::{self, Batch, Buffers, Chunk};
use crate::error::{Error, Operation, Result};
use crate::format::{FRAME_HEADER_LEN, HEADER_LEN, Header, Kind};
use crate::frames::Frames;
use crate::position::{Boundary, Position};
use crate::recover::{FileSource, Recovery};
use crate::scan::{Scanner, Source, Verifier};
use crate::storage::Storage;
use crate::store::Appended;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, OnceLock, Ordering};

/// What the handles of a store share.
///
/// Locks are taken in this order: `closing`, `syncing`, `writing`, `device`, `buffers`. The first three are held
/// across system calls, and readers never take them; `buffers` is held for bounded memory copies alone.
/// Frames below `written` are in the file and do not change, unless they are rewound.
pub(crate) struct Inner {
    name: Arc<str>,
    file: Arc<dyn Storage>,
    pub(crate) verifier: Verifier,
    pub(crate) label: Vec<u8>,
    buffer_len: usize,
    pub(crate) recovery: Recovery,
    pub(crate) buffers: Mutex<Buffers>,
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
    /// Held by whoever closes the store.
    closing: Mutex<()>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("file", &self.name)
            .field("written", &self.written)
            .field("sealed", &self.sealed)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A store in `file`, recovered as `recovery` tells.
    pub(crate) fn new(
        name: Arc<str>,
        file: Arc<dyn Storage>,
        header: Header,
        recovery: Recovery,
        buffer_len: usize,
    ) -> Self {
        let verifier = Verifier::of(&header);
        let buffers = Buffers::new(header.salt, buffer_len, recovery.end, recovery.clean);
        Self {
            name,
            file,
            verifier,
            label: header.label,
            buffer_len,
            written: AtomicU64::new(recovery.end.position.get()),
            recovery,
            buffers: Mutex::new(buffers),
            writing: Mutex::new(()),
            syncing: Mutex::new(()),
            device: Mutex::new(()),
            failure: OnceLock::new(),
            sealed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            closing: Mutex::new(()),
        }
    }

    /// The same store, which takes no appends.
    pub(crate) fn sealed(mut self) -> Self {
        self.sealed = AtomicBool::new(true);
        self
    }

    fn written(&self) -> Position {
        Position::new(self.written.load(Ordering::Acquire))
    }

    fn source(&self) -> FileSource<'_> {
        FileSource {
            file: &*self.file,
            name: &self.name,
        }
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed {
                file: Arc::clone(&self.name),
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
                file: Arc::clone(&self.name),
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
    pub(crate) fn append(
        &self,
        lens: &[usize],
        mut push: impl FnMut(&mut Batch<'_>, usize, Kind),
    ) -> Result<Appended> {
        let max = self.verifier.payload_len_max;
        if let Some(&len) = lens.iter().find(|len| **len > max as usize) {
            return Err(Error::PayloadTooLarge { len, max });
        }
        if lens.is_empty() {
            self.check_appendable()?;
            let position = self.buffers.lock().end().position;
            return Ok(Appended {
                bytes_written: 0,
                position,
            });
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
        let overfull = buffers.waiting() > self.buffer_len;
        drop(buffers);
        if overfull {
            // If it cannot be written, the next append tells.
            drop(self.flush());
        }
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

    pub(crate) fn read(&self, position: Position, guess: usize) -> Result<Bytes> {
        let written = self.written();
        // Below the written end no lock is needed; a frame never lies across it.
        let end = if position < written {
            written
        } else {
            self.buffers.lock().end().position
        };
        let frame = self.verifier.read(self, position, guess, end)?;
        if frame.kind == Kind::Control {
            return Err(Error::ControlFrame { position });
        }
        Ok(frame.payload)
    }

    pub(crate) fn frames(self: &Arc<Self>, start: Position, end: Position) -> Frames {
        Frames::new(Arc::clone(self), Scanner::new(self.verifier, start, end))
    }

    pub(crate) fn mark(&self) -> Result<()> {
        {
            let mut buffers = self.buffers.lock();
            match self.check_appendable() {
                Err(Error::Sealed { .. }) => return Ok(()),
                appendable => appendable?,
            }
            buffers.push_mark_if_due();
        }
        self.flush().map(drop)
    }

    pub(crate) fn rewind(&self, to: Boundary) -> Result<()> {
        let _syncing = self.syncing.lock();
        let _writing = self.writing.lock();
        let (synced, end) = {
            let buffers = self.buffers.lock();
            (buffers.synced(), buffers.end())
        };
        if to < synced || to > end {
            return Err(Error::OutOfRange {
                position: to.position,
                end: end.position,
            });
        }
        if to.position < self.written() {
            self.cut(to.position)?;
        }
        let mut buffers = self.buffers.lock();
        buffers.rewind(to);
        self.written.fetch_min(to.position.get(), Ordering::AcqRel);
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<Boundary> {
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
            .unwrap_or_else(|| Error::io(Operation::Write, &self.name, error))
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
                let file = Arc::clone(&self.name);
                self.poison(Error::WriteNotUndone {
                    file,
                    source: Arc::new(error),
                })
            })
    }

    pub(crate) fn sync(&self) -> Result<Boundary> {
        self.sync_in_turn(&self.syncing.lock(), None)
    }

    pub(crate) fn sync_to(&self, to: Boundary) -> Result<Boundary> {
        self.sync_in_turn(&self.syncing.lock(), Some(to))
    }

    /// Syncs everything, and claims it up to `to`. Takes the guard of `syncing`.
    fn sync_in_turn(&self, _turn: &MutexGuard<'_, ()>, to: Option<Boundary>) -> Result<Boundary> {
        self.check_sound()?;
        {
            let buffers = self.buffers.lock();
            if buffers.synced() >= to.unwrap_or(buffers.end()) {
                return Ok(buffers.synced());
            }
        }
        let end = self.flush()?;
        let _device = self.device.lock();
        self.check_sound()?;
        self.file
            .sync_data()
            .map_err(|error| self.poison(Error::sync_failed(&self.name, error)))?;
        let claimed = to.map_or(end, |to| to.min(end));
        self.buffers.lock().set_synced(claimed);
        Ok(claimed)
    }

    pub(crate) fn seal(&self) -> Result<()> {
        let turn = self.syncing.lock();
        if self.sealed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Appends that passed the check hold the buffers; afterwards there are no more.
        drop(self.buffers.lock());
        let sealed = self.sync_in_turn(&turn, None).and_then(|_| {
            if self.buffers.lock().push_closing_mark() {
                self.sync_in_turn(&turn, None)?;
            }
            Ok(())
        });
        if sealed.is_err() {
            self.sealed.store(false, Ordering::Release);
        }
        sealed
    }

    pub(crate) fn close(&self) -> Result<()> {
        // Held to the end: who closes a store that is being closed waits until it is.
        let _closing = self.closing.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let sealed = self.seal();
        {
            let _writing = self.writing.lock();
            if let Err(error) = &sealed {
                // What is still buffered stays there: the file may soon be another's.
                drop(self.failure.set(error.clone()));
            }
        }
        let unlocked = self
            .file
            .unlock()
            .map_err(|error| Error::io(Operation::Lock, &self.name, error));
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
