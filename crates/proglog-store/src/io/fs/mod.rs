//! Both I/O traits on the operating system's file system.

#[cfg(unix)]
mod by_handle;
#[cfg(not(unix))]
mod by_path;
#[cfg(target_os = "linux")]
mod page_cache;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use crate::io::fs::by_handle::OpenDirectory;
#[cfg(not(unix))]
use crate::io::fs::by_path::OpenDirectory;
#[cfg(target_os = "linux")]
use crate::io::fs::page_cache::PageCache;
use crate::io::storage::{Directory, FileId, OpenMode, Storage, check_name};

/// A directory of the operating system's file system.
///
/// On Unix it is held by an open handle, a file descriptor that clones share, and every operation goes through that
/// handle. So they all reach the directory that was opened, whatever lies at its path by then: it may be renamed, a
/// symbolic link on the way may lead elsewhere, another file system may be mounted over it. Once it is
/// [released](Directory::release), they reach that directory or none. On other systems each operation goes through the
/// absolute path.
#[derive(Debug, Clone)]
pub struct FsDirectory {
    path: PathBuf,
    directory: Arc<OpenDirectory>,
    #[cfg(target_os = "linux")]
    page_cache: PageCache,
}

impl FsDirectory {
    /// Opens the existing directory at `path`. An empty path is the current directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, [`io::ErrorKind::NotADirectory`] if it is something
    /// else, [`io::ErrorKind::PermissionDenied`] if it may not be read, and other errors of the file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = match path.as_ref() {
            path if path.as_os_str().is_empty() => Path::new("."),
            path => path,
        };
        let directory = Arc::new(OpenDirectory::open(path)?);
        // Absolute, so that it stays the same when the process changes its directory.
        let path = std::path::absolute(path)?;
        Ok(Self {
            path,
            directory,
            #[cfg(target_os = "linux")]
            page_cache: PageCache::new(),
        })
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

    /// The absolute path at which the directory was opened.
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
    /// Returns the absolute path, with the bytes that are not Unicode replaced.
    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn Storage>> {
        check_name(name)?;
        Ok(Arc::new(FsFile {
            file: self.directory.open_file(name, mode)?,
            #[cfg(target_os = "linux")]
            page_cache: self.page_cache.clone(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from).and(check_name(to))?;
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.directory.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync()
    }

    fn is_in_place(&self) -> io::Result<bool> {
        self.directory.is_at(&self.path)
    }

    fn id_of(&self, name: &str) -> io::Result<Option<FileId>> {
        check_name(name)?;
        self.directory.id_of(name)
    }

    fn release(&self, name: &str, file: &Arc<dyn Storage>) {
        if check_name(name).is_ok() {
            self.directory.release(&self.path, name, file);
        }
    }

    fn hold(&self) -> io::Result<()> {
        self.directory.hold()
    }
}

#[derive(Debug)]
struct FsFile {
    file: File,
    #[cfg(target_os = "linux")]
    page_cache: PageCache,
}

impl Storage for FsFile {
    #[cfg(unix)]
    fn id(&self) -> io::Result<Option<FileId>> {
        self.file
            .metadata()
            .map(|file| Some(by_handle::id_of(&file)))
    }

    /// The kernel follows an open file through renames.
    #[cfg(target_os = "linux")]
    fn path(&self) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    // Not by the C library, where a read is a point of cancellation: in a process with threads that takes two atomic
    // operations.
    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.file, buffer, offset)?)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)
    }

    #[cfg(target_os = "linux")]
    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.page_cache.read(&self.file, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.file, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(&self.file, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_sync_reports_what_the_system_cannot_sync() {
        // A device that keeps nothing cannot be synced.
        let device = FsFile {
            file: File::open("/dev/null").unwrap(),
            page_cache: PageCache::new(),
        };
        for refused in [device.sync_data(), device.sync_all()] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
