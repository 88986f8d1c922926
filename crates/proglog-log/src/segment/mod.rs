//! A segment of a log: its name, its place among the others, and whether its files are open.

pub(crate) mod damaged_ranges;
pub(crate) mod files;
pub(crate) mod index;
mod index_rebuild;
pub(crate) mod removal;

use std::sync::{Arc, LazyLock};

use proglog_store::{Boundary, Directory, OpenMode, Position, Store};

use crate::error::Result;
use crate::layout::names;
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::options::{Durability, Options, RECORD_OVERHEAD_MAX};
use crate::segment::files::OpenSegment;
use crate::segment::index::Index;
use crate::sync::{AtomicBool, AtomicU64, Cache, Mutex, OnceLock, Ordering};

/// How many sealed segments of all logs of the process are kept open; each has two files.
const OPEN_SEALED_MAX: usize = 64;

static OPEN_SEALED: LazyLock<Cache<u64, Arc<OpenSegment>>> =
    LazyLock::new(|| Cache::new(OPEN_SEALED_MAX));

/// A segment of a log: the active one, or one that is sealed and opened when it is read.
#[derive(Debug)]
pub(crate) struct Segment {
    directory: Arc<dyn Directory>,
    base: Offset,
    /// Names it in this process's caches.
    id: u64,
    /// The files while the segment is active.
    active: Mutex<Option<Arc<OpenSegment>>>,
    /// Whether there may be any in `active`: who reads a sealed segment takes no lock of it.
    is_active: AtomicBool,
    /// What is known of it once it is sealed.
    summary: OnceLock<Summary>,
}

/// What retention asks of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many bytes of frames it has.
    pub(crate) bytes: u64,
    /// When its newest record was appended, as far as its newest records can be read.
    pub(crate) newest: Option<i64>,
}

impl Segment {
    pub(crate) fn sealed(directory: Arc<dyn Directory>, base: Offset) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self {
            directory,
            base,
            id,
            active: Mutex::new(None),
            is_active: AtomicBool::new(false),
            summary: OnceLock::new(),
        }
    }

    /// Makes the segment, durable with its name, to be appended to.
    pub(crate) fn create(
        directory: &Arc<dyn Directory>,
        label: Label,
        options: &Options,
    ) -> Result<Self> {
        Ok(Self::open_active(directory, label, options, Boundary::START)?.segment)
    }

    /// Opens and recovers the segment, to be appended to. `known` of it is durable.
    pub(crate) fn open_active(
        directory: &Arc<dyn Directory>,
        label: Label,
        options: &Options,
        known: Boundary,
    ) -> Result<OpenedActive> {
        let base = label.identity.base_offset;
        let segment = Self::sealed(Arc::clone(directory), base);
        let payload_len_max = u32::try_from(options.record_bytes_max + RECORD_OVERHEAD_MAX);
        let store_options = proglog_store::Options::new()
            .label(label.encode())
            .payload_len_max(payload_len_max.expect("the options were validated"))
            .set_aside_files_max(options.set_aside_files_max)
            .known_synced(known);
        let store_options = match options.durability {
            Durability::Synced => {
                let up_to = Position::new(options.segment_bytes_max);
                store_options.fill_ahead(options.fill_ahead_max, up_to)
            }
            Durability::Interval(_) | Durability::Buffered => store_options,
        };
        let store = Store::open_in(&**directory, &names::store(base), &store_options)?;
        let count = store.end().frames;
        let mut open = segment.files(store, index::place(count).0);
        let index_rebuilt = open.recover_index(count)?;
        segment.activate(|| Arc::new(open));
        Ok(OpenedActive {
            segment,
            index_rebuilt,
        })
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// Its files, opened if they are not.
    pub(crate) fn open(&self) -> Result<Arc<OpenSegment>> {
        if self.is_active.load(Ordering::Acquire)
            && let Some(active) = &*self.active.lock()
        {
            return Ok(Arc::clone(active));
        }
        OPEN_SEALED.get_or_insert_with(&self.id, || {
            let store = Store::open_sealed_in(&*self.directory, &names::store(self.base))?;
            Ok(Arc::new(self.files(store, u64::MAX)))
        })
    }

    /// The files of which `store` is one, and the first `pages_in_file` pages of the index are in the other.
    fn files(&self, store: Store, pages_in_file: u64) -> OpenSegment {
        let directory = Arc::clone(&self.directory);
        let name = names::index(self.base);
        let index = Index::new(directory, name, self.id, store.salt(), pages_in_file);
        OpenSegment::new(self.base, store, index)
    }

    /// Reads the segment in `store`, which follows another process that appends to it.
    pub(crate) fn follow(&self, store: &Store) {
        self.activate(|| Arc::new(self.files(store.clone(), u64::MAX)));
    }

    /// The segment is followed no more: it is sealed, or to be followed anew.
    pub(crate) fn unfollow(&self) {
        if self.deactivate() {
            // Who read it when it could not be followed has seen an end that was not its last.
            OPEN_SEALED.remove(&self.id);
        }
    }

    /// Has these files read from here on, unless there are some already.
    fn activate(&self, open: impl FnOnce() -> Arc<OpenSegment>) {
        let mut active = self.active.lock();
        active.get_or_insert_with(open);
        self.is_active.store(true, Ordering::Release);
    }

    /// Returns whether there were any files to be let go.
    fn deactivate(&self) -> bool {
        let mut active = self.active.lock();
        self.is_active.store(false, Ordering::Release);
        active.take().is_some()
    }

    /// Lets the files go; the next one to read opens them again.
    pub(crate) fn release(&self) {
        self.deactivate();
        OPEN_SEALED.remove(&self.id);
    }

    /// Removes its files, which nobody may read any more who does not have them open.
    ///
    /// The index goes first: a store without one can be read, and an index without a store is nothing.
    pub(crate) fn remove(&self) -> Result<()> {
        self.release();
        removal::remove_files(&*self.directory, self.base)
    }

    /// What is known of this segment, which is sealed and ends at `end`.
    pub(crate) fn summary(&self, end: Offset) -> Result<Summary> {
        if let Some(summary) = self.summary.get() {
            return Ok(*summary);
        }
        let open = self.open()?;
        let summary = Summary {
            bytes: open.store.len(),
            newest: open.newest_appended_at(end)?,
        };
        Ok(*self.summary.get_or_init(|| summary))
    }

    /// Makes the index of a sealed segment of `count` records again if its file is missing or of
    /// another length. Returns whether it was made.
    pub(crate) fn check_index(&self, count: u64) -> Result<bool> {
        let len = match self
            .directory
            .open(&names::index(self.base), OpenMode::Read)
        {
            Ok(file) => file.len().ok(),
            Err(_) => None,
        };
        let expected = index::file_len(count);
        if len == Some(expected) || (len.is_none() && expected == 0) {
            return Ok(false);
        }
        let store = Store::open_sealed_in(&*self.directory, &names::store(self.base))?;
        let mut open = self.files(store, u64::MAX);
        open.rebuild_index(count)?;
        open.index.write_all(true);
        Ok(true)
    }
}

impl Drop for Segment {
    /// Nobody reads it any more, so nobody would let go of its files.
    fn drop(&mut self) {
        OPEN_SEALED.remove(&self.id);
    }
}

/// An active segment that was opened.
pub(crate) struct OpenedActive {
    pub(crate) segment: Segment,
    /// Whether its index had to be made again as a whole.
    pub(crate) index_rebuilt: bool,
}
