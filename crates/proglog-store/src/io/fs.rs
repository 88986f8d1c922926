//! Both I/O traits on the operating system's file system, by the standard library alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::storage::{Directory, OpenMode, Storage};

/// A directory of the operating system's file system.
#[derive(Debug, Clone)]
pub struct FsDirectory {
    path: PathBuf,
}

impl FsDirectory {
    /// Opens the existing directory at `path`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, [`io::ErrorKind::NotADirectory`] if it is something
    /// else, and other errors of the file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = match path.as_ref() {
            path if path.as_os_str().is_empty() => Path::new("."),
            path => path,
        };
        if path.metadata()?.is_dir() {
            // Absolute, so that it stays the same when the process changes its directory.
            let path = std::path::absolute(path)?;
            Ok(Self { path })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// Opens the directory at `path`, and creates it and its parents where they are missing.
    ///
    /// On return the names of all directories that were created are durable, and so is that of the lowest
    /// directory that existed: it may have been created just now, or by an interrupted call. For that one
    /// it is no error if its parent cannot be read, or is on a file system that is never written.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let missing = path
            .ancestors()
            .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
            .collect::<Vec<_>>();
        let existing = path.ancestors().nth(missing.len());
        match sync_name(existing.unwrap_or(Path::new(""))) {
            Err(error) if is_refusal(&error) => {}
            synced => synced?,
        }
        for directory in missing.into_iter().rev() {
            match std::fs::create_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
            sync_name(directory)?;
        }
        Self::open(path)
    }

    /// The absolute path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the name of the directory at `path` durable.
fn sync_name(path: &Path) -> io::Result<()> {
    FsDirectory::open(path.join(".."))?.sync()
}

/// Returns whether the error says that a directory may not be opened, or cannot be synced on this file system.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(
        error.kind(),
        PermissionDenied | InvalidInput | ReadOnlyFilesystem | Unsupported
    )
}

impl Directory for FsDirectory {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        let path = self.path.join(name);
        // Opening a pipe could block for ever.
        if mode != OpenMode::CreateNew && path.metadata().is_ok_and(|entry| !entry.is_file()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        match mode {
            OpenMode::CreateNew => options.create_new(true),
            OpenMode::CreateIfMissing => options.create(true).truncate(false),
            OpenMode::Read | OpenMode::Write => &mut options,
        };
        Ok(Arc::new(FsFile(options.open(path)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    #[cfg(unix)]
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Windows has no way to sync a directory; its journal keeps the order of names and data.
    #[cfg(not(unix))]
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct FsFile(File);

impl Storage for FsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_sync_reports_what_the_system_cannot_sync() {
        // A device that keeps nothing cannot be synced.
        let device = FsFile(File::open("/dev/null").unwrap());
        for refused in [device.sync_data(), device.sync_all()] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
