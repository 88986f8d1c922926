//! A directory whose operations close sealed segments when file descriptors run out.

use std::io;
use std::sync::Arc;

use proglog_store::io::{Directory, FileId, OpenMode, Storage};

use crate::segment::cache::Cache;

/// The directory of a log, of whose operations none fails for want of descriptors that the log's cache has.
#[derive(Debug)]
pub(crate) struct Reclaiming {
    directory: Arc<dyn Directory>,
    cache: Cache,
}

impl Reclaiming {
    pub(crate) fn new(directory: Arc<dyn Directory>, cache: Cache) -> Self {
        Self { directory, cache }
    }
}

/// All methods, also those that have a default.
impl Directory for Reclaiming {
    fn name(&self) -> String {
        self.directory.name()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        self.cache
            .with_descriptors(|| self.directory.open(name, mode))
    }

    /// Renames a file. If it was renamed, no descriptor was missing.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.cache
            .with_descriptors(|| self.directory.rename(from, to))
    }

    /// Removes a file. If it was removed, no descriptor was missing.
    fn remove(&self, name: &str) -> io::Result<()> {
        self.cache.with_descriptors(|| self.directory.remove(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.cache.with_descriptors(|| self.directory.list())
    }

    /// Syncs the directory. If it has no descriptor to do so, nothing was synced yet, so trying again is sound.
    fn sync(&self) -> io::Result<()> {
        self.cache.with_descriptors(|| self.directory.sync())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        self.cache.with_descriptors(|| self.directory.is_in_place())
    }

    fn id_of(&self, name: &str) -> io::Result<Option<FileId>> {
        self.cache.with_descriptors(|| self.directory.id_of(name))
    }

    fn release(&self, name: &str, file: &Arc<dyn Storage>) {
        self.directory.release(name, file);
    }

    fn hold(&self) -> io::Result<()> {
        self.cache.with_descriptors(|| self.directory.hold())
    }
}
