//! Segments: one store file with the records from a base offset on, and its index.

pub(crate) mod cache;
pub(crate) mod damaged_ranges;
pub(crate) mod eviction;
pub(crate) mod files;
pub(crate) mod index;
mod index_rebuild;
mod open_files;
pub(crate) mod reclaiming;
pub(crate) mod removal;

use std::io;
use std::sync::Arc;

use proglog_store::io::{Directory, OpenMode, is_damage};
use proglog_store::segment::{StoreExt, byte_of};
use proglog_store::{Operation, Position, Store, StoreOptions};

use crate::clock::Passed;
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::names;
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::segment::cache::Cache;
use crate::segment::files::SegmentFiles;
use crate::segment::index::cached_pages::CachedPages;
use crate::segment::index::{Index, Pages};
use crate::segment::open_files::OpenFiles;
use crate::sync::OnceLock;

/// Most records that retention finds the device unable to read before it gives up on an end of a segment.
const UNREADABLE_MAX: usize = 4;

/// A segment of a log: the active one, or a sealed one, whose files are opened when it is read.
#[derive(Debug)]
pub(crate) struct Segment {
    directory: Arc<dyn Directory>,
    cache: Cache,
    base: Offset,
    /// The open files: the cache bounds how many stay open.
    files: Arc<OpenFiles>,
    /// The pages of the index that are in memory, whether the files are open or not: the cache bounds how many.
    pages: Arc<CachedPages>,
    /// Time of the newest append, if this process has appended to the segment. Set when it is sealed.
    newest_append: OnceLock<Passed>,
    /// True if the files are known to be missing, although the log has these records.
    is_missing: bool,
    /// Names of the files with bytes that were set aside from the store.
    set_aside: Vec<String>,
    /// Length of the frames. Set once the segment is sealed and retention has asked.
    bytes: OnceLock<u64>,
    /// Date of the newest record's append; `None` if none of the newest records can be read. Set as `bytes` is.
    newest: OnceLock<Option<i64>>,
    /// As `newest`, of the oldest record. Set once retention has asked and the segment has a record.
    oldest: OnceLock<Option<i64>>,
}

impl Segment {
    pub(crate) fn sealed(directory: Arc<dyn Directory>, cache: Cache, base: Offset) -> Self {
        let pages = CachedPages::new(Arc::clone(cache.pages()));
        Self {
            directory,
            cache,
            base,
            files: Arc::new(OpenFiles::new()),
            pages: Arc::new(pages),
            newest_append: OnceLock::new(),
            is_missing: false,
            set_aside: Vec::new(),
            bytes: OnceLock::new(),
            newest: OnceLock::new(),
            oldest: OnceLock::new(),
        }
    }

    /// Returns the place of a segment whose files are missing. It cannot be opened.
    pub(crate) fn missing(directory: Arc<dyn Directory>, cache: Cache, base: Offset) -> Self {
        let mut segment = Self::sealed(directory, cache, base);
        segment.is_missing = true;
        segment
    }

    /// Takes charge of the files `names`, with bytes that were set aside from the store.
    pub(crate) fn with_set_aside(mut self, names: Vec<String>) -> Self {
        self.set_aside = names;
        self
    }

    /// Returns the names of the files with bytes that were set aside from the store.
    pub(crate) fn set_aside(&self) -> &[String] {
        &self.set_aside
    }

    /// Creates a segment to append to, durable with its name.
    pub(crate) fn create(
        directory: &Arc<dyn Directory>,
        cache: Cache,
        label: Label,
        options: StoreOptions,
    ) -> Result<Self> {
        Ok(Self::open_active(directory, cache, label, options)?.segment)
    }

    /// Opens and recovers the segment with this label to append to it, or creates it.
    pub(crate) fn open_active(
        directory: &Arc<dyn Directory>,
        cache: Cache,
        label: Label,
        options: StoreOptions,
    ) -> Result<OpenedSegment> {
        let base = label.identity.base_offset;
        let segment = Self::sealed(Arc::clone(directory), cache, base);
        let options = options.label(label.encode());
        let store = Store::open_in(&**directory, &names::store(base), &options)?;
        let count = store.end().frames;
        let mut files = segment.files_of(store, Pages::Full(index::page_of(count).0));
        let index_rebuilt = files.recover_index(count)?;
        segment.files.keep_open(|| Arc::new(files));
        Ok(OpenedSegment {
            segment,
            index_rebuilt,
        })
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// Returns the segment's files, if they are open.
    #[inline]
    pub(crate) fn opened(&self) -> Option<Arc<SegmentFiles>> {
        self.files.get()
    }

    /// Returns the segment's files, and opens them if they are not open. Fails with [`Reason::MissingSegment`] if there
    /// are none.
    pub(crate) fn open(&self) -> Result<Arc<SegmentFiles>> {
        if let Some(files) = self.opened() {
            return Ok(files);
        }
        if self.is_missing {
            return Err(self.missing_error());
        }
        self.files.get_or_open(self.cache.files(), || {
            let name = names::store(self.base);
            match proglog_store::segment::open_sealed(&*self.directory, &name) {
                Ok(store) => Ok(self.files_of(store, Pages::All)),
                Err(error) if error.kind() == proglog_store::ErrorKind::NotFound => {
                    Err(self.missing_error())
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Returns files that end where `active`, those of this segment, do, and have nothing to read: they keep no file open.
    pub(crate) fn placeholder(&self, active: &SegmentFiles) -> Arc<SegmentFiles> {
        Arc::new(self.files_of(active.store.without_file(), Pages::All))
    }

    fn missing_error(&self) -> Reason {
        let base_offset = self.base;
        Reason::MissingSegment { base_offset }
    }

    fn files_of(&self, store: Store, pages: Pages) -> SegmentFiles {
        let directory = Arc::clone(&self.directory);
        let name = names::index(self.base);
        let cached = Arc::clone(&self.pages);
        let index = Index::new(directory, name, cached, store.salt(), pages);
        SegmentFiles::new(self.base, store, index)
    }

    /// Reads the segment through `store` from here on, which follows another process that appends to it.
    pub(crate) fn follow(&self, store: &Store) {
        self.files
            .keep_open(|| Arc::new(self.files_of(store.clone(), Pages::All)));
    }

    /// Ends [`Segment::follow`]: the segment is sealed now, or is about to be followed again.
    pub(crate) fn unfollow(&self) {
        self.files.drop_kept();
    }

    /// Drops the open files; the next read opens them again.
    pub(crate) fn release(&self) {
        self.files.drop_all();
    }

    /// Removes the files. Only readers that have them open can still read them.
    pub(crate) fn remove(&self) -> Result<()> {
        self.release();
        for name in &self.set_aside {
            removal::remove_if_exists(&*self.directory, name)?;
        }
        removal::remove_files(&*self.directory, self.base)
    }

    /// Notes the time of the newest append to this segment, which takes no more, if this process has made it.
    pub(crate) fn set_newest_append(&self, time: Option<Passed>) {
        if let Some(time) = time {
            self.newest_append.get_or_init(|| time);
        }
    }

    pub(crate) fn newest_append(&self) -> Option<Passed> {
        self.newest_append.get().copied()
    }

    /// Returns the length of the frames of this segment, which is sealed; 0 if there is no file, or the device
    /// does not find out.
    pub(crate) fn bytes(&self) -> Result<u64> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(*bytes);
        }
        let name = names::store(self.base);
        let opened = self.directory.open(&name, OpenMode::Read);
        let len = match opened.and_then(|file| file.len()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_damage(&error) => 0,
            len => len.map_err(|error| Reason::io(Operation::Length, &name, error))?,
        };
        let bytes = len.saturating_sub(byte_of(Position::ZERO));
        Ok(*self.bytes.get_or_init(|| bytes))
    }

    /// Returns when the newest readable record of this segment, which is sealed and ends at `end`, was appended;
    /// `None` if none of the newest can be read.
    pub(crate) fn newest_appended_at(&self, end: Offset) -> Result<Option<i64>> {
        if let Some(newest) = self.newest.get() {
            return Ok(*newest);
        }
        let newest = self.edge_time(|files| files.newest_appended_at(end, UNREADABLE_MAX))?;
        Ok(*self.newest.get_or_init(|| newest))
    }

    /// Returns when the oldest readable record of this segment, which ends at `end`, was appended; `None` if none of
    /// the oldest can be read.
    pub(crate) fn oldest_appended_at(&self, end: Offset) -> Result<Option<i64>> {
        if let Some(oldest) = self.oldest.get() {
            return Ok(*oldest);
        }
        let oldest = self.edge_time(|files| files.oldest_appended_at(end, UNREADABLE_MAX))?;
        if self.base < end {
            self.oldest.get_or_init(|| oldest);
        }
        Ok(oldest)
    }

    /// Returns what `read` does, or `None` if the segment is missing or damaged.
    fn edge_time(
        &self,
        read: impl FnOnce(&SegmentFiles) -> Result<Option<i64>>,
    ) -> Result<Option<i64>> {
        match self.open().and_then(|files| read(&files)) {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            time => time,
        }
    }

    /// Rebuilds the index of this segment, which is sealed and has `count` records, if its file is missing or
    /// has another length. Returns whether it was rebuilt.
    pub(crate) fn check_index(&self, count: u64) -> Result<bool> {
        let file = self
            .directory
            .open(&names::index(self.base), OpenMode::Read);
        let len = file.ok().and_then(|file| file.len().ok());
        let expected = index::file_len(count);
        if len == Some(expected) || (len.is_none() && expected == 0) {
            return Ok(false);
        }
        let store =
            proglog_store::segment::open_sealed(&*self.directory, &names::store(self.base))?;
        let mut files = self.files_of(store, Pages::All);
        files.rebuild_index(count)?;
        files.index.write_all(true);
        Ok(true)
    }
}

/// A segment that was opened to append to it.
pub(crate) struct OpenedSegment {
    pub(crate) segment: Segment,
    /// True if all of its index had to be rebuilt.
    pub(crate) index_rebuilt: bool,
}
