//! A directory by an open handle: its path is used once, to open it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::io::storage::{FileId, OpenMode, not_a_regular_file};

/// An open directory. Names must be single path components.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    file: File,
    id: FileId,
}

/// Returns the identity of the file or directory that this is about.
pub(super) fn id_of(file: &Metadata) -> FileId {
    FileId {
        device: file.dev(),
        inode: file.ino(),
    }
}

impl OpenDirectory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
        let file = File::from(opened);
        let id = id_of(&file.metadata()?);
        Ok(Self { file, id })
    }

    pub(super) fn open_file(&self, name: &str, mode: OpenMode) -> io::Result<File> {
        // Opening a pipe could block for ever.
        if mode != OpenMode::CreateNew && self.is_irregular(name) {
            return Err(not_a_regular_file());
        }
        let flags = OFlags::CLOEXEC
            | match mode {
                OpenMode::Read => OFlags::RDONLY,
                OpenMode::Write => OFlags::RDWR,
                OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
                OpenMode::CreateIfMissing => OFlags::RDWR | OFlags::CREATE,
            };
        // As the standard library has it: the process's umask takes what is not wanted.
        let permissions = Mode::from_raw_mode(0o666);
        let opened = retry_on_intr(|| rustix::fs::openat(&self.file, name, flags, permissions))?;
        Ok(opened.into())
    }

    /// Returns whether `name` is known to be something else than a regular file.
    fn is_irregular(&self, name: &str) -> bool {
        rustix::fs::statat(&self.file, name, AtFlags::empty())
            .is_ok_and(|entry| FileType::from_raw_mode(entry.st_mode) != FileType::RegularFile)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.file, from, &self.file, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.file, name, AtFlags::empty())?)
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        // A handle of its own, since each has one place in the listing.
        let names = Dir::read_from(&self.file)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .filter(|name| !matches!(name.as_deref(), Ok("." | "..")))
            .collect::<io::Result<Vec<_>>>()?;
        if names.is_empty() {
            self.check_exists()?;
        }
        Ok(names)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.check_exists()?;
        self.file.sync_all()
    }

    /// Returns whether `path` leads to this directory.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        use io::ErrorKind::{NotADirectory, NotFound};
        match path.metadata() {
            Ok(there) => Ok(id_of(&there) == self.id),
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn id_of(&self, name: &str) -> io::Result<Option<FileId>> {
        let found = rustix::fs::statat(&self.file, name, AtFlags::empty())?;
        #[allow(
            clippy::cast_sign_loss,
            clippy::unnecessary_cast,
            reason = "the type differs between systems; the standard library casts too"
        )]
        Ok(Some(FileId {
            device: found.st_dev as u64,
            inode: found.st_ino as u64,
        }))
    }

    /// Fails with [`io::ErrorKind::NotFound`] once the directory is removed: the system then lists and syncs
    /// nothing, without an error.
    fn check_exists(&self) -> io::Result<()> {
        match self.file.metadata()?.nlink() {
            0 => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }
}
