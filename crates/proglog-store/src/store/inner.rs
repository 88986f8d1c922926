//! What the handles of a store share: its state, the way to the device, and the way back to a reader.
//! How appends get into the file is in `writer`.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Operation, Result};
use crate::format::{FRAME_HEADER_LEN, HEADER_LEN, Header, Kind};
use crate::io::Storage;
use crate::position::{Boundary, Position};
use crate::recovery::{FileSource, Recovery};
use crate::scan::{Fault, Scanner, Source, Verifier};
use crate::store::durable_end::Follow;
use crate::store::frames::Frames;
use crate::store::preallocation::Fill;
use crate::store::write_buffer::{Buffers, Chunk};
use crate::sync::{
    AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, OnceLock, Ordering, RwLock,
};

/// What the handles of a store share.
///
/// Locks are taken in this order: `closing`, `syncing`, `writing`, `device`, `buffers`, `recent`. The first four
/// are held across system calls, and readers never take them. `buffers` is held for bounded memory copies alone;
/// an append takes it, and a reader of what is still there. `recent` is held to copy or swap a pointer, by whoever
/// hands a buffer over, and by a reader of what was in it.
///
/// Frames below `written` are in the file and do not change, unless they are rewound. A reader takes no lock for
/// them, but where they are still in memory too, from `recent_start` on, it tries to have `recent`, and does not
/// wait for it.
pub(crate) struct Inner {
    pub(crate) name: Arc<str>,
    pub(crate) file: Arc<dyn Storage>,
    pub(crate) verifier: Verifier,
    pub(crate) label: Vec<u8>,
    pub(crate) buffer_len: usize,
    pub(crate) recovery: Recovery,
    pub(crate) buffers: Mutex<Buffers>,
    /// The chunk that is being written or was written last, until its memory is needed again.
    pub(crate) recent: RwLock<Option<Arc<Chunk>>>,
    /// Where `recent` starts; [`NOWHERE`] where there is none.
    pub(crate) recent_start: AtomicU64,
    /// The end of what is in the file.
    pub(crate) written: AtomicU64,
    /// Held by whoever writes the file.
    pub(crate) writing: Mutex<Fill>,
    /// Held by whoever makes appends durable, so that one sync serves all that wait for it.
    pub(crate) syncing: Mutex<()>,
    /// Held for each single sync of the file, until its failure is noted: of two syncs that run at
    /// once the system may tell only one of a failure.
    pub(crate) device: Mutex<()>,
    /// What a read fetches that is not told how long the frame is.
    read_guess: AtomicUsize,
    /// How far another process was followed that writes the file; held across system calls, and nothing
    /// is locked under it but `buffers`.
    following: Option<Mutex<Follow>>,
    /// The failure that stopped the store.
    failure: OnceLock<Error>,
    sealed: AtomicBool,
    closed: AtomicBool,
    /// Held by whoever closes the store.
    closing: Mutex<()>,
}

/// A place past all others.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// What the first read fetches that is not told how long the frame is; later ones go by what was read.
const READ_GUESS: usize = 4 << 10;

/// The longest frame that such a read expects. Longer ones cost a second read, and little more by that.
const READ_GUESS_MAX: usize = 64 << 10;

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
        zeros: Fill,
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
            recent: RwLock::new(None),
            recent_start: AtomicU64::new(NOWHERE),
            read_guess: AtomicUsize::new(READ_GUESS),
            writing: Mutex::new(zeros),
            syncing: Mutex::new(()),
            device: Mutex::new(()),
            following: None,
            failure: OnceLock::new(),
            sealed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            closing: Mutex::new(()),
        }
    }

    /// A store in `file` that is only read, up to `end`.
    pub(crate) fn to_read(
        name: Arc<str>,
        file: Arc<dyn Storage>,
        header: Header,
        end: Boundary,
    ) -> Self {
        let recovery = Recovery::of_sealed(end);
        let zeros = Fill::new(0, Position::ZERO);
        Self::new(name, file, header, recovery, 0, zeros)
    }

    /// The same store, which takes no appends.
    pub(crate) fn sealed(mut self) -> Self {
        self.sealed = AtomicBool::new(true);
        self
    }

    /// The same store, which another process writes.
    pub(crate) fn following(mut self, follow: Follow) -> Self {
        self.following = Some(Mutex::new(follow));
        self.sealed()
    }

    pub(crate) fn refresh(&self) -> Result<Boundary> {
        let Some(following) = &self.following else {
            return Ok(self.buffers.lock().end());
        };
        let mut following = following.lock();
        let end = following.refresh(self.source())?;
        self.buffers.lock().advance(end);
        self.written.store(end.position.get(), Ordering::Release);
        Ok(end)
    }

    pub(crate) fn written(&self) -> Position {
        Position::new(self.written.load(Ordering::Acquire))
    }

    fn source(&self) -> FileSource<'_> {
        FileSource {
            file: &*self.file,
            name: &self.name,
        }
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(self.closed_error());
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn closed_error(&self) -> Error {
        Error::Closed {
            file: Arc::clone(&self.name),
        }
    }

    pub(crate) fn check_sound(&self) -> Result<()> {
        match self.failure.get() {
            Some(failure) => Err(Error::Poisoned {
                source: Arc::new(failure.clone()),
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_appendable(&self) -> Result<()> {
        self.check_open()?;
        self.check_sound()?;
        if self.sealed.load(Ordering::Acquire) {
            return Err(Error::Sealed {
                file: Arc::clone(&self.name),
            });
        }
        Ok(())
    }

    pub(crate) fn poison(&self, failure: Error) -> Error {
        // The first failure is the one to tell of.
        drop(self.failure.set(failure.clone()));
        self.buffers.lock().stop();
        failure
    }

    /// The error to show for a fault at `position`.
    pub(crate) fn error_at(&self, fault: Fault, position: Position) -> Error {
        fault.into_error(&self.name, position)
    }

    pub(crate) fn out_of_range(&self, position: Position, end: Position) -> Error {
        let file = Arc::clone(&self.name);
        Error::OutOfRange {
            file,
            position,
            end,
        }
    }

    /// Reads a frame of whose length nothing is known but that of others.
    pub(crate) fn read(&self, position: Position) -> Result<Bytes> {
        let guess = self.read_guess.load(Ordering::Relaxed);
        let payload = self.read_guessing(position, guess)?;
        let len = FRAME_HEADER_LEN + payload.len();
        if len != guess {
            // Up at once, since a second read costs more than some bytes too many; down by and by.
            let next = if len > guess {
                len.min(READ_GUESS_MAX)
            } else {
                guess - (guess - len).div_ceil(8)
            };
            self.read_guess.store(next, Ordering::Relaxed);
        }
        Ok(payload)
    }

    pub(crate) fn read_guessing(&self, position: Position, guess: usize) -> Result<Bytes> {
        let written = self.written();
        // Below the written end no lock is needed; a frame never lies across it.
        let end = if position < written {
            written
        } else {
            self.buffers.lock().end().position
        };
        if position >= end {
            return Err(self.out_of_range(position, end));
        }
        match self.verifier.read(self, position, guess, end) {
            Ok((Kind::Control, _)) => Err(Error::ControlFrame {
                file: Arc::clone(&self.name),
                position,
            }),
            Ok((_, payload)) => Ok(payload),
            Err(fault) => Err(self.error_at(fault, position)),
        }
    }

    /// The frames that begin in `start..stop`, of data that ends at `end`.
    pub(crate) fn frames(
        self: &Arc<Self>,
        start: Position,
        stop: Position,
        end: Position,
    ) -> Frames {
        let scanner = Scanner::new(self.verifier, start, end).before(stop);
        Frames::new(Arc::clone(self), scanner)
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
        let end = {
            let mut turn = self.writing.lock();
            let end = self.flush_in_turn(&mut turn)?;
            if !self.sealed.load(Ordering::Acquire) {
                turn.fill(&*self.file, end.position);
            }
            end
        };
        let claimed = to.map_or(end, |to| to.min(end));
        self.sync_device(|file| file.sync_data())?;
        self.buffers.lock().set_synced(claimed);
        Ok(claimed)
    }

    /// Syncs the file. Once that has failed it is not done again.
    fn sync_device(&self, sync: impl Fn(&dyn Storage) -> io::Result<()>) -> Result<()> {
        let _device = self.device.lock();
        self.check_sound()?;
        sync(&*self.file).map_err(|error| self.poison(Error::sync_failed(&self.name, error)))
    }

    pub(crate) fn seal(&self) -> Result<()> {
        let turn = self.syncing.lock();
        if self.sealed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Appends that passed the check hold one of these; afterwards there are no more.
        drop(self.writing.lock());
        self.buffers.lock().stop();
        let sealed = self
            .sync_in_turn(&turn, None)
            .and_then(|_| self.end_file(&turn))
            .map(|()| self.release_memory());
        if sealed.is_err() {
            self.sealed.store(false, Ordering::Release);
        }
        sealed
    }

    /// Ends the file, of which all is synced, with a mark that says so, and where that ends. Takes the
    /// guard of `syncing`.
    fn end_file(&self, _turn: &MutexGuard<'_, ()>) -> Result<()> {
        let mut turn = self.writing.lock();
        if !self.buffers.lock().push_closing_mark() && !turn.is_ahead {
            return Ok(());
        }
        let end = self.flush_in_turn(&mut turn)?;
        if turn.is_ahead {
            self.file
                .set_len(HEADER_LEN + end.position.get())
                .map_err(|error| Error::io(Operation::SetLength, &self.name, error))?;
            self.sync_device(|file| file.sync_all())?;
            turn.was_cut(end.position);
        } else {
            self.sync_device(|file| file.sync_data())?;
        }
        self.buffers.lock().set_synced(end);
        Ok(())
    }

    pub(crate) fn release(&self) -> Result<()> {
        let _closing = self.closing.lock();
        let _syncing = self.syncing.lock();
        self.sealed.store(true, Ordering::Release);
        // Appends that passed the check hold one of these; afterwards there are no more.
        drop(self.writing.lock());
        self.buffers.lock().stop();
        self.unlock()
    }

    fn unlock(&self) -> Result<()> {
        self.file
            .unlock()
            .map_err(|error| Error::io(Operation::Lock, &self.name, error))
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
        sealed.and(self.unlock())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // There is nobody left to tell; whoever wants to know calls `close`.
        drop(self.close());
    }
}

impl Source for Inner {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let written = self.written();
            if position < written {
                if position.get() >= self.recent_start.load(Ordering::Acquire)
                    && let Some(recent) = self.recent.try_read().and_then(|recent| recent.clone())
                    && let Some(copied) = recent.copy(position, buffer)
                {
                    return Ok(copied);
                }
                let left = usize::try_from(written.get() - position.get()).unwrap_or(usize::MAX);
                let len = buffer.len().min(left);
                return self.source().read(position, &mut buffer[..len]);
            }
            if let Some(copied) = self.buffers.lock().copy(position, buffer) {
                return Ok(copied);
            }
            // It was handed over, and is in the file if it is not here any more.
            let recent = self.recent.read().clone();
            if let Some(copied) = recent.and_then(|recent| recent.copy(position, buffer)) {
                return Ok(copied);
            }
        }
    }
}
