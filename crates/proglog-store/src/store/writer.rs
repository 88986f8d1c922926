//! The writer half of a store: its state, and sealing, detaching and closing it.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::position::Boundary;
use crate::store::data_file::DataFile;
use crate::store::preallocation::Preallocator;
use crate::store::write_buffer::{FlushingBuffer, WriteBuffer};
use crate::sync::{AtomicBool, AtomicU64, Mutex, OnceLock, Ordering, RwLock};

/// The state of a store that takes appends.
///
/// Locks are taken in this order: `closing`, `syncing`, `writing`, `device`, `buffer`, `flushing`. The first
/// four are held across system calls, and readers never take them. `buffer` is held for bounded memory copies
/// alone, by appends and by readers of what is still in it. `flushing` is held to copy or swap a pointer.
///
/// A reader takes no lock for frames that are in the file. Those that are still in memory too, from
/// `flushing_start` on, it reads from memory if `flushing` is not locked, and does not wait for it.
pub(crate) struct Writer {
    pub(crate) data: Arc<DataFile>,
    /// Id of the process that has opened the store.
    opened_by: u32,
    pub(crate) buffer_len: usize,
    pub(crate) buffer: Mutex<WriteBuffer>,
    /// The buffer that is being written, or was written last, until its memory is needed again.
    pub(crate) flushing: RwLock<Option<Arc<FlushingBuffer>>>,
    /// The start of `flushing`; [`NOWHERE`] if there is none.
    pub(crate) flushing_start: AtomicU64,
    /// Held while the file is written.
    pub(crate) writing: Mutex<Preallocator>,
    /// Held while appends are made durable, so that one sync serves all callers that wait for it.
    pub(crate) syncing: Mutex<()>,
    /// Held for each single sync of the file, until its failure is noted: of two syncs at the same time
    /// the system may report the failure to one only.
    pub(crate) device: Mutex<()>,
    /// The failure that stopped the store.
    failure: OnceLock<Error>,
    pub(crate) sealed: AtomicBool,
    /// Held while the store is closed.
    closing: Mutex<()>,
}

/// A position beyond all others.
pub(crate) const NOWHERE: u64 = u64::MAX;

impl Writer {
    pub(crate) fn new(
        data: Arc<DataFile>,
        buffer: WriteBuffer,
        buffer_len: usize,
        preallocator: Preallocator,
    ) -> Self {
        Self {
            data,
            opened_by: std::process::id(),
            buffer_len,
            buffer: Mutex::new(buffer),
            flushing: RwLock::new(None),
            flushing_start: AtomicU64::new(NOWHERE),
            writing: Mutex::new(preallocator),
            syncing: Mutex::new(()),
            device: Mutex::new(()),
            failure: OnceLock::new(),
            sealed: AtomicBool::new(false),
            closing: Mutex::new(()),
        }
    }

    pub(crate) fn end(&self) -> Boundary {
        self.buffer.lock().end()
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Checks that this process has opened the store. One that was forked from it shares the file and its lock, and has a
    /// copy of the buffers of which it knows nothing more.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.opened_by == std::process::id() {
            return Ok(());
        }
        Err(Error::Forked {
            file: self.data.name(),
            opened_by: self.opened_by,
        })
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
        self.data.check_open()?;
        self.check_sound()?;
        if self.is_sealed() {
            return Err(self.data.sealed_error());
        }
        Ok(())
    }

    /// Stops the store because of `failure`, and returns it. Only the first failure is kept.
    pub(crate) fn poison(&self, failure: Error) -> Error {
        drop(self.failure.set(failure.clone()));
        self.buffer.lock().stop_fast_appends();
        failure
    }

    pub(crate) fn seal(&self) -> Result<()> {
        let syncing = self.syncing.lock();
        if self.sealed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.wait_for_appends();
        let sealed = self
            .sync_locked(&syncing, None)
            .and_then(|_| self.end_file(&syncing))
            .map(|()| self.free_memory());
        if sealed.is_err() {
            self.sealed.store(false, Ordering::Release);
        }
        sealed
    }

    /// Returns once the appends are done that began before the store was sealed.
    fn wait_for_appends(&self) {
        // They hold one of these.
        drop(self.writing.lock());
        self.buffer.lock().stop_fast_appends();
    }

    pub(crate) fn detach(&self) -> Result<()> {
        let _closing = self.closing.lock();
        let _syncing = self.syncing.lock();
        self.sealed.store(true, Ordering::Release);
        self.wait_for_appends();
        self.data.file.unlock()
    }

    pub(crate) fn close(&self) -> Result<()> {
        // Held to the end: a second call waits until the first has closed the store.
        let _closing = self.closing.lock();
        if self.data.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let sealed = self.seal();
        if let Err(error) = &sealed {
            let _writing = self.writing.lock();
            // What is still buffered must not be written: the file may soon be another handle's.
            drop(self.failure.set(error.clone()));
        }
        sealed.and(self.data.file.unlock())
    }
}
