//! Options of a read-only log.

use std::sync::Arc;

use crate::runtime::{Runtime, RuntimeHandle};
use crate::segment::cache::Cache;

/// Options to open a [`ReadOnlyLog`](crate::ReadOnlyLog) with.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # proglog_log::Log::open(directory.path(), &Default::default())?;
/// use proglog_log::{Cache, ReadOnlyLog, ReadOnlyOptions};
///
/// let options = ReadOnlyOptions::new().cache(Cache::builder().open_segments_max(4).build());
/// let log = ReadOnlyLog::open_with(directory.path(), &options)?;
/// # assert!(log.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ReadOnlyOptions {
    pub(crate) runtime: RuntimeHandle,
    /// `None` is that of the process.
    cache: Option<Cache>,
}

impl ReadOnlyOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the runtime that looks for changes for followers and reads for their streams. Default: that of the process,
    /// see [`LogOptions::runtime`](crate::LogOptions::runtime), with a thread of its own for the looks.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = RuntimeHandle::new(runtime);
        self
    }

    /// Sets the cache of open files and index pages; logs that are given clones of one cache share it. Default:
    /// [`Cache::global`].
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    pub(crate) fn cache_or_global(&self) -> Cache {
        self.cache.clone().unwrap_or_else(Cache::global)
    }
}
