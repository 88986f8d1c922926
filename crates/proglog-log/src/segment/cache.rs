//! Caches of open files and index pages, which logs share.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::runtime::process::PerProcess;
use crate::segment::index::cached_pages::PageEviction;
use crate::segment::open_files::FileEviction;

/// A bounded cache of what reading needs: open files of sealed segments, and pages of their indexes.
///
/// Logs share the cache that [`LogOptions::cache`](crate::LogOptions::cache) gives them; by default all logs of the
/// process share [`Cache::global`]. Its bounds hold for all of them together, so that descriptors and memory do not
/// grow with the number of logs. Clones are the same cache.
///
/// If the process or the system runs out of file descriptors, a log closes the files in its cache and in
/// [`Cache::global`], and tries again: appends, rolls and trims do not fail while sealed segments are open that nobody
/// is reading.
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
    files: FileEviction,
    pages: Arc<PageEviction>,
}

impl Cache {
    /// Returns a builder with the default bounds.
    pub fn builder() -> CacheBuilder {
        CacheBuilder {
            open_segments_max: open_segments_max(),
            index_bytes_max: INDEX_BYTES_MAX,
        }
    }

    /// Returns the cache of all logs in this process that have no other. It has the default bounds.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: PerProcess<Cache> = PerProcess::new();
        GLOBAL.get(|| Self::builder().build()).clone()
    }

    /// Calls `call`. If that fails because there are no file descriptors left, closes the files in this cache and in
    /// the process's, and calls it again.
    pub(crate) fn with_descriptors<T>(&self, call: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut result = call();
        for attempt in 0..RETRIES_MAX {
            match &result {
                Err(error) if is_out_of_descriptors(error) => {}
                _ => break,
            }
            for cache in [self, &Self::global()] {
                cache.parts.files.clear();
            }
            // Calls on other threads may have the descriptors, but not for long.
            thread::sleep(Duration::from_millis(attempt));
            result = call();
        }
        result
    }

    pub(crate) fn files(&self) -> &FileEviction {
        &self.parts.files
    }

    pub(crate) fn pages(&self) -> &Arc<PageEviction> {
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

/// The most retries of a call for want of descriptors: other threads may take those that were closed for it.
const RETRIES_MAX: u64 = 10;

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_error: &io::Error) -> bool {
    false
}

/// Largest default bound on the sealed segments whose files are kept open; each has two.
const OPEN_SEGMENTS_MAX: usize = 64;

/// Returns the default bound on the sealed segments that are kept open: at two files each, an eighth of the
/// descriptors that the process may have.
fn open_segments_max() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let segments = usize::try_from(descriptors / 16).unwrap_or(usize::MAX);
        segments.clamp(1, OPEN_SEGMENTS_MAX)
    }
    #[cfg(not(unix))]
    OPEN_SEGMENTS_MAX
}

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
    /// stays open beyond that. Default: 64, or less if the process may have fewer than 1024 file descriptors: at most
    /// an eighth of them are used.
    pub fn open_segments_max(mut self, segments: usize) -> Self {
        self.open_segments_max = segments;
        self
    }

    /// Sets the bytes of index pages that are kept in memory, each of which finds 1022 records. One takes 1.3 KiB if its
    /// records are shorter than 200 bytes, 2.3 KiB if they are shorter than 60 KiB, and otherwise 4.3 KiB.
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
                files: FileEviction::new(self.open_segments_max),
                pages: Arc::new(PageEviction::new(self.index_bytes_max)),
                bounds: self,
            }),
        }
    }
}
