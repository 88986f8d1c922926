//! Files that stop at a step.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::backend::files::{Files, OsFiles};

/// What stops a change at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The process ends before the step. A file is half written.
    Kill,
    /// As that, and names that were not synced are as they were before.
    PowerLoss,
    /// The step fails, and nothing of it is done.
    Error,
}

/// The files of the operating system, until a step that is stopped.
#[derive(Debug)]
pub(super) struct StoppedFiles {
    stop: Stop,
    at: usize,
    steps: AtomicUsize,
    /// What a loss of power undoes, in order.
    unsynced: Mutex<Vec<Unsynced>>,
}

#[derive(Debug)]
enum Unsynced {
    Created(PathBuf),
    Renamed {
        from: PathBuf,
        to: PathBuf,
        /// The bytes of the file that was at `to`.
        replaced: Option<Vec<u8>>,
        /// Those of the two directories that are not synced.
        directories: Vec<PathBuf>,
    },
}

impl StoppedFiles {
    pub(super) fn new(stop: Stop, at: usize) -> Arc<Self> {
        Arc::new(Self {
            stop,
            at,
            steps: AtomicUsize::new(0),
            unsynced: Mutex::default(),
        })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > self.at
    }

    /// Counts a step. Returns false if it is the one that is stopped.
    fn step(&self) -> io::Result<bool> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        match self.stop {
            Stop::Kill | Stop::PowerLoss if step > self.at => Err(stopped()),
            _ => Ok(step != self.at),
        }
    }

    fn created(&self, path: &Path) {
        self.unsynced
            .lock()
            .push(Unsynced::Created(path.to_owned()));
    }

    /// Undoes what was not synced, as a loss of power may.
    pub(super) fn lose_power(&self) {
        for change in self.unsynced.lock().drain(..).rev() {
            match change {
                Unsynced::Created(path) if path.is_dir() => fs::remove_dir_all(path).unwrap(),
                Unsynced::Created(path) => fs::remove_file(path).unwrap(),
                Unsynced::Renamed {
                    from, to, replaced, ..
                } => {
                    fs::rename(&to, from).unwrap();
                    if let Some(bytes) = replaced {
                        fs::write(to, bytes).unwrap();
                    }
                }
            }
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("stopped here")
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

impl Files for StoppedFiles {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        if !self.step()? {
            return Err(stopped());
        }
        if !path.exists() {
            self.created(path);
        }
        OsFiles.create_directory(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let is_whole = self.step()?;
        if !path.exists() {
            self.created(path);
        }
        if is_whole {
            return OsFiles.write(path, bytes);
        }
        OsFiles.write(path, &bytes[..bytes.len() / 2])?;
        Err(stopped())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.step()? {
            return Err(stopped());
        }
        let replaced = to.is_file().then(|| fs::read(to).unwrap());
        OsFiles.rename(from, to)?;
        let mut directories = vec![parent(from), parent(to)];
        directories.dedup();
        self.unsynced.lock().push(Unsynced::Renamed {
            from: from.to_owned(),
            to: to.to_owned(),
            replaced,
            directories,
        });
        Ok(())
    }

    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        if !self.step()? {
            return Err(stopped());
        }
        self.unsynced.lock().retain_mut(|change| match change {
            Unsynced::Created(path) => parent(path) != directory,
            Unsynced::Renamed { directories, .. } => {
                directories.retain(|unsynced| unsynced != directory);
                !directories.is_empty()
            }
        });
        OsFiles.sync_names(directory)
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        if !self.step()? {
            return Err(stopped());
        }
        OsFiles.remove_all(path)
    }
}
