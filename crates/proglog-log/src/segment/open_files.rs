//! Whether the files of a segment are open: always, while it is appended to, and otherwise as long as a cache keeps
//! them.

use std::sync::{Arc, Weak};

use crate::error::reason::Result;
use crate::segment::eviction::{Eviction, Place};
use crate::segment::files::SegmentFiles;
use crate::sync::{AtomicBool, Mutex, Ordering, RwLock};

/// The bound on the sealed segments whose files stay open.
pub(crate) type FileEviction = Eviction<Weak<OpenFiles>>;

/// The files of a segment, if they are open.
///
/// Locks are taken in this order: `opening`, `state`. The second is held to copy a few words.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    /// Held while files are opened, so that one thread does it.
    opening: Mutex<()>,
    state: RwLock<State>,
    was_used: AtomicBool,
}

#[derive(Debug)]
struct State {
    files: Option<Arc<SegmentFiles>>,
    /// True if they are those of the active segment, or of one that another process appends to: they stay open.
    is_active: bool,
    /// Number of times that files were dropped for another reason than to make room.
    dropped: u64,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        Self {
            opening: Mutex::new(()),
            state: RwLock::new(State {
                files: None,
                is_active: false,
                dropped: 0,
            }),
            was_used: AtomicBool::new(false),
        }
    }

    /// Returns the files, if they are open.
    #[inline]
    pub(super) fn get(&self) -> Option<Arc<SegmentFiles>> {
        let files = self.state.read().files.clone();
        if files.is_some() && !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
        files
    }

    /// Returns the files, which `open` opens if they are not, and adds them to those that `eviction` bounds.
    pub(super) fn get_or_open(
        self: &Arc<Self>,
        eviction: &FileEviction,
        open: impl FnOnce() -> Result<SegmentFiles>,
    ) -> Result<Arc<SegmentFiles>> {
        let _opening = self.opening.lock();
        let dropped = {
            let state = self.state.read();
            if let Some(files) = &state.files {
                return Ok(Arc::clone(files));
            }
            state.dropped
        };
        let files = Arc::new(open()?);
        {
            let mut state = self.state.write();
            if state.dropped != dropped || state.is_active {
                // These may be of no use any more: they stay open for this read only.
                return Ok(files);
            }
            state.files = Some(Arc::clone(&files));
        }
        eviction.filled(Arc::downgrade(self), 1);
        Ok(files)
    }

    /// Keeps the files that `open` returns open, unless there are some that are kept open.
    pub(super) fn keep_open(&self, open: impl FnOnce() -> Arc<SegmentFiles>) {
        let mut state = self.state.write();
        if state.is_active {
            return;
        }
        let old = state.files.replace(open());
        state.is_active = true;
        drop(state);
        drop(old);
    }

    /// Drops the files, if they are kept open.
    pub(super) fn drop_kept(&self) {
        self.drop_if(|state| state.is_active);
    }

    /// Drops the files, if they are open.
    pub(super) fn drop_all(&self) {
        self.drop_if(|_| true);
    }

    fn drop_if(&self, is_dropped: impl FnOnce(&State) -> bool) {
        let mut state = self.state.write();
        if !is_dropped(&state) {
            return;
        }
        let old = state.files.take();
        state.is_active = false;
        state.dropped += 1;
        drop(state);
        // It takes system calls.
        drop(old);
    }
}

impl Place for Weak<OpenFiles> {
    type Held = Arc<SegmentFiles>;

    fn was_used(&self) -> bool {
        let files = self.upgrade();
        files.is_some_and(|files| files.was_used.swap(false, Ordering::Relaxed))
    }

    fn take(&self) -> Option<Arc<SegmentFiles>> {
        let files = self.upgrade()?;
        let mut state = files.state.write();
        if state.is_active {
            return None;
        }
        state.files.take()
    }
}
