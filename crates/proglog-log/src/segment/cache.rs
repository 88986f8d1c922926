//! Caches of open files and index pages, which logs share.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::segment::files::SegmentFiles;
use crate::segment::index::{PAGE_LEN, PageCache};
use crate::sync;

/// A bounded cache of what reading needs: open files of sealed segments, and pages of their indexes.
///
/// Logs share the cache that [`LogOptions::cache`](crate::LogOptions::cache) gives them; by default all logs of the
/// process share [`Cache::global`]. Its bounds hold for all of them together, so that descriptors and memory do not
/// grow with the number of logs. Clones are the same cache.
///
/// A log with a cache of its own neither evicts what other logs read nor loses what it reads to them:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// use proglog_log::{Cache, Log, LogOptions};
///
/// let cache = Cache::builder().open_segments_max(8).index_bytes_max(1 << 20).build();
/// let options = LogOptions::new().cache(cache);
/// let orders = Log::open(directory.path().join("orders"), &options)?;
/// let payments = Log::open(directory.path().join("payments"), &options)?; // shares it
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cache {
    parts: Arc<Parts>,
}

struct Parts {
    bounds: CacheBuilder,
    files: sync::Cache<u64, Arc<SegmentFiles>>,
    pages: Arc<PageCache>,
}

static GLOBAL: LazyLock<Cache> = LazyLock::new(|| Cache::builder().build());

impl Cache {
    /// Returns a builder with the default bounds.
    pub fn builder() -> CacheBuilder {
        CacheBuilder {
            open_segments_max: OPEN_SEGMENTS_MAX,
            index_bytes_max: INDEX_BYTES_MAX,
        }
    }

    /// Returns the cache of all logs in this process that have no other. It has the default bounds.
    #[must_use]
    pub fn global() -> Self {
        GLOBAL.clone()
    }

    pub(crate) fn files(&self) -> &sync::Cache<u64, Arc<SegmentFiles>> {
        &self.parts.files
    }

    pub(crate) fn pages(&self) -> &Arc<PageCache> {
        &self.parts.pages
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("bounds", &self.parts.bounds)
            .finish_non_exhaustive()
    }
}

/// Default bound on the sealed segments whose files are kept open; each has two.
const OPEN_SEGMENTS_MAX: usize = 64;
/// Default bound on the bytes of index pages.
const INDEX_BYTES_MAX: usize = 16 << 20;

/// The bounds of a [`Cache`] to be made, from [`Cache::builder`].
#[derive(Debug, Clone)]
#[must_use = "it makes no cache until it is built"]
pub struct CacheBuilder {
    open_segments_max: usize,
    index_bytes_max: usize,
}

impl CacheBuilder {
    /// Sets how many sealed segments are kept open for reading, each with two files. A segment that is being read
    /// stays open beyond that. Default: 64.
    pub fn open_segments_max(mut self, segments: usize) -> Self {
        self.open_segments_max = segments;
        self
    }

    /// Sets the bytes of index pages that are kept in memory, in pages of 4 KiB, each of which finds 1022 records.
    /// Default: 16 MiB.
    pub fn index_bytes_max(mut self, bytes: usize) -> Self {
        self.index_bytes_max = bytes;
        self
    }

    /// Makes a cache with these bounds.
    #[must_use]
    pub fn build(self) -> Cache {
        Cache {
            parts: Arc::new(Parts {
                files: sync::Cache::new(self.open_segments_max),
                pages: Arc::new(PageCache::new(self.index_bytes_max / PAGE_LEN)),
                bounds: self,
            }),
        }
    }
}
