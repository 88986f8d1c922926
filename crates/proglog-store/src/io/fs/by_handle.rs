//! A directory by an open handle: its path is used once, to open it. While the handle is released, each operation looks
//! for the directory, and knows it by a file in it that is open.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::io::storage::{FileId, OpenMode, Storage, not_a_regular_file};
use crate::sync::Mutex;

/// An open directory, or one that was opened and released. Names must be single path components.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    id: FileId,
    /// Nothing is locked under it, and no call is made.
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
enum State {
    Held(Arc<File>),
    Released(Arc<Released>),
}

/// What a directory is found and known again by.
#[derive(Debug)]
struct Released {
    path: PathBuf,
    /// A file in it, which is open elsewhere. The identity of the directory is not enough: a new one may get it, once the
    /// directory is removed.
    file: Weak<dyn Storage>,
    name: String,
    file_id: FileId,
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
        let file = open(path)?;
        Ok(Self {
            id: id_of(&file.metadata()?),
            state: Mutex::new(State::Held(Arc::new(file))),
        })
    }

    /// Returns the handle, or one for the operation that asks for it.
    fn handle(&self) -> io::Result<Arc<File>> {
        let state = self.state.lock().clone();
        match state {
            State::Held(file) => Ok(file),
            State::Released(by) => self.find(&by).map(Arc::new),
        }
    }

    /// Finds the directory where it was, or where the file in it is now.
    fn find(&self, by: &Released) -> io::Result<File> {
        // Kept open until its identity was compared.
        let file = by.file.upgrade().ok_or_else(stale)?;
        match self.find_at(&by.path, by) {
            Err(error) if is_stale(&error) => {
                let path = file.path();
                let parent = path.as_deref().and_then(Path::parent);
                self.find_at(parent.ok_or(error)?, by)
            }
            found => found,
        }
    }

    /// Opens the directory at `path`, which must be this one.
    fn find_at(&self, path: &Path, by: &Released) -> io::Result<File> {
        let found = match open(path) {
            Err(error) if is_elsewhere(&error) => return Err(stale()),
            found => found?,
        };
        let is_same = id_of(&found.metadata()?) == self.id
            && match id_in(&found, &by.name) {
                Err(error) if is_elsewhere(&error) => false,
                there => there? == by.file_id,
            };
        if is_same { Ok(found) } else { Err(stale()) }
    }

    pub(super) fn release(&self, path: &Path, name: &str, file: &Arc<dyn Storage>) {
        let Ok(Some(file_id)) = file.id() else { return };
        let by = Released {
            path: path.to_owned(),
            file: Arc::downgrade(file),
            name: name.to_owned(),
            file_id,
        };
        // Otherwise it is kept, as long as it can still be reached.
        if file.path().is_some() && self.find_at(path, &by).is_ok() {
            let released = State::Released(Arc::new(by));
            let held = std::mem::replace(&mut *self.state.lock(), released);
            drop(held);
        }
    }

    pub(super) fn hold(&self) -> io::Result<()> {
        let handle = self.handle()?;
        let released = std::mem::replace(&mut *self.state.lock(), State::Held(handle));
        drop(released);
        Ok(())
    }

    pub(super) fn open_file(&self, name: &str, mode: OpenMode) -> io::Result<File> {
        let directory = self.handle()?;
        // Opening a pipe could block for ever.
        if mode != OpenMode::CreateNew && is_irregular(&directory, name) {
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
        let opened = retry_on_intr(|| rustix::fs::openat(&directory, name, flags, permissions))?;
        Ok(opened.into())
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let directory = self.handle()?;
        Ok(rustix::fs::renameat(&directory, from, &directory, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            self.handle()?,
            name,
            AtFlags::empty(),
        )?)
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let directory = self.handle()?;
        // A handle of its own, since each has one place in the listing.
        let names = Dir::read_from(&directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .filter(|name| !matches!(name.as_deref(), Ok("." | "..")))
            .collect::<io::Result<Vec<_>>>()?;
        if names.is_empty() {
            check_exists(&directory)?;
        }
        Ok(names)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let directory = self.handle()?;
        check_exists(&directory)?;
        directory.sync_all()
    }

    /// Returns whether `path` leads to this directory. Takes no descriptor.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let is_there = |path: &Path, id| path.metadata().map(|there| id_of(&there) == id);
        let state = self.state.lock().clone();
        let is_at = match (is_there(path, self.id), state) {
            (Ok(true), State::Released(by)) => is_there(&path.join(&by.name), by.file_id),
            (is_at, _) => is_at,
        };
        match is_at {
            Err(error) if is_elsewhere(&error) => Ok(false),
            is_at => is_at,
        }
    }

    pub(super) fn id_of(&self, name: &str) -> io::Result<Option<FileId>> {
        id_in(&*self.handle()?, name).map(Some)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
    Ok(opened.into())
}

/// Returns whether nothing, or no directory, is where one was.
fn is_elsewhere(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Returns the error of an operation on a directory that was released and cannot be found again. It is not that a file
/// is missing.
fn stale() -> io::Error {
    let text = "the directory is no longer at its path";
    io::Error::new(io::ErrorKind::StaleNetworkFileHandle, text)
}

/// Returns whether this is [`stale`], and not an error of the system.
fn is_stale(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StaleNetworkFileHandle && error.raw_os_error().is_none()
}

/// Returns the identity of the file `name` in `directory`.
fn id_in(directory: &File, name: &str) -> io::Result<FileId> {
    let found = rustix::fs::statat(directory, name, AtFlags::empty())?;
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "the type differs between systems; the standard library casts too"
    )]
    Ok(FileId {
        device: found.st_dev as u64,
        inode: found.st_ino as u64,
    })
}

/// Returns whether `name` is known to be something else than a regular file.
fn is_irregular(directory: &File, name: &str) -> bool {
    rustix::fs::statat(directory, name, AtFlags::empty())
        .is_ok_and(|entry| FileType::from_raw_mode(entry.st_mode) != FileType::RegularFile)
}

/// Fails with [`io::ErrorKind::NotFound`] once the directory is removed: the system then lists and syncs
/// nothing, without an error.
fn check_exists(directory: &File) -> io::Result<()> {
    match directory.metadata()?.nlink() {
        0 => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(()),
    }
}
