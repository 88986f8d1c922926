//! A directory by its path, where the system has no operations relative to an open directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::storage::{FileId, OpenMode, Storage, not_a_regular_file};

/// A directory that existed when it was opened.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    path: PathBuf,
}

impl OpenDirectory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !path.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        // Absolute, so that it stays the same when the process changes its directory.
        let path = std::path::absolute(path)?;
        Ok(Self { path })
    }

    pub(super) fn open_file(&self, name: &str, mode: OpenMode) -> io::Result<File> {
        let path = self.path.join(name);
        // Opening a pipe could block for ever.
        if mode != OpenMode::CreateNew && path.metadata().is_ok_and(|entry| !entry.is_file()) {
            return Err(not_a_regular_file());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        match mode {
            OpenMode::CreateNew => options.create_new(true),
            OpenMode::CreateIfMissing => options.create(true).truncate(false),
            OpenMode::Read | OpenMode::Write => &mut options,
        };
        options.open(path)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Windows has no way to sync a directory; its journal keeps the order of names and data.
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether `path` leads to this directory, as far as is known.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "other systems can fail here"
    )]
    pub(super) fn is_at(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }

    /// The standard library has no identities of files here.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "other systems can fail here"
    )]
    pub(super) fn id_of(&self, _name: &str) -> io::Result<Option<FileId>> {
        Ok(None)
    }

    /// Nothing holds the directory.
    #[expect(clippy::unused_self, reason = "other systems hold it")]
    pub(super) fn release(&self, _path: &Path, _name: &str, _file: &Arc<dyn Storage>) {}

    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "other systems hold it, and can fail here"
    )]
    pub(super) fn hold(&self) -> io::Result<()> {
        Ok(())
    }
}
