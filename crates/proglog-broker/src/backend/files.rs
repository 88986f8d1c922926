//! Changes of a file system, each of which a test can let fail.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The changes of a file system that a data directory is made of.
pub(super) trait Files: Debug + Send + Sync {
    /// Creates a directory. Does nothing if it exists.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Writes a file, which is created or replaced, and waits until its bytes are on the device.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are on the device.
    fn sync_names(&self, directory: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it, or a symbolic link.
    fn remove_all(&self, path: &Path) -> io::Result<()>;
}

/// The files of the operating system.
#[derive(Debug)]
pub(super) struct OsFiles;

impl Files for OsFiles {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            created => created,
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        if cfg!(windows) {
            // A directory cannot be synced there.
            return Ok(());
        }
        File::open(directory)?.sync_all()
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
}

/// Creates a directory, and those above it that are missing, durably.
pub(super) fn create_directories(files: &dyn Files, path: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing = path.ancestors().take_while(is_missing).collect::<Vec<_>>();
    for directory in missing.into_iter().rev() {
        files.create_directory(directory)?;
        files.sync_names(&parent(directory))?;
    }
    Ok(())
}

/// Replaces the file `name` in `directory`, durably: after a crash it has the old bytes, or the new ones.
pub(super) fn replace(
    files: &dyn Files,
    directory: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.tmp"));
    files.write(&temporary, bytes)?;
    files.rename(&temporary, &directory.join(name))?;
    files.sync_names(directory)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
