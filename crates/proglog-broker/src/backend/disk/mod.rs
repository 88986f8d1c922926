//! Logs in a data directory.
//!
//! ```text
//! <data>/LOCK                     locked by the process that uses the directory
//! <data>/node.json                {format, node_id}
//! <data>/logs/<name>/log.json     what is stored about a log
//! <data>/logs/<name>/segments/    the log itself
//! <data>/logs/<name>/producers    a snapshot beside it
//! <data>/logs/.new-<id>/          a log that is being made; removed by the next start
//! <data>/system/<name>/           a log of the broker itself
//! <data>/trash/<name>.<id>/       a log that was removed; its files go after that
//! <data>/default/                 the only log of earlier versions; moved to logs/default/segments
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use proglog_log::{CommitLog, Log, LogOptions, ReadOnlyLog};

use crate::backend::files::{Files, OsFiles, create_directories, replace};
use crate::backend::{Backend, Opened, Snapshot};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::id::LogId;
use crate::meta::{LogMeta, Node};
use crate::name::LogName;

/// The longest description of a log or a node that is read.
const META_LEN_MAX: u64 = 64 << 10;

const SEGMENTS: &str = "segments";
const LOG_META: &str = "log.json";
const NODE_META: &str = "node.json";

/// What the name of a log that is being made begins with.
const NEW: &str = ".new-";

/// Logs in a data directory, each in a directory of its name. A directory may be a symbolic link to one elsewhere: it is
/// used there, and removing the log removes the link alone.
///
/// What else is in the directory of logs, and has no valid name, is left alone.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    files: Arc<dyn Files>,
    node: Node,
    /// Held while the files of removed logs are removed.
    cleaning: Mutex<()>,
    /// Locked as long as it is open.
    _lock: File,
}

impl Disk {
    /// Opens the data directory at `root`, which is created if it does not exist, and completes or removes what an
    /// earlier process has left unfinished. One process uses it at a time.
    ///
    /// The log in the directory `default`, which earlier versions kept, becomes the log `default` of this one when that
    /// is [created](Backend::create). If an earlier process has stopped within that, it is completed here.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process uses it, or the log of an earlier version in it; [`Error::Storage`], which
    /// is also for a directory with both that log and a log `default` of this version, and one of a later version.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(root.as_ref(), Arc::new(OsFiles))
    }

    fn open_on(root: &Path, files: Arc<dyn Files>) -> Result<Self> {
        let created = create_directories(&*files, root);
        created.map_err(|error| Error::storage(root, error))?;
        let lock = lock(&root.join("LOCK"))?;
        for directory in ["logs", "system", "trash"] {
            let directory = root.join(directory);
            files
                .create_directory(&directory)
                .map_err(|error| Error::storage(&directory, error))?;
        }
        files
            .sync_names(root)
            .map_err(|error| Error::storage(root, error))?;
        let disk = Self {
            node: open_node(&*files, root)?,
            root: root.to_owned(),
            files,
            cleaning: Mutex::new(()),
            _lock: lock,
        };
        disk.remove_unfinished()?;
        if disk.directory_of(&LogName::default_log()).is_dir() {
            disk.adopt_earlier_log()?;
        }
        Ok(disk)
    }

    /// Returns the id of the data directory: 128 random bits, chosen when it was made.
    #[must_use]
    pub fn node_id(&self) -> LogId {
        self.node.id
    }

    fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    fn directory_of(&self, name: &LogName) -> PathBuf {
        self.logs().join(name.as_str())
    }

    /// Removes logs that were not made to the end. They never have records.
    fn remove_unfinished(&self) -> Result<()> {
        let is_new = |path: &PathBuf| file_name(path).is_some_and(|name| name.starts_with(NEW));
        for path in directories(&self.logs())?.into_iter().filter(is_new) {
            self.remove_files(&path);
        }
        Ok(())
    }

    fn remove_files(&self, path: &Path) {
        match self.files.remove_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove files that are of no use");
            }
            _ => {}
        }
    }

    fn earlier_log(&self) -> PathBuf {
        self.root.join(LogName::DEFAULT)
    }

    fn has_earlier_log(&self) -> bool {
        self.earlier_log().join("LOCK").is_file()
    }

    /// Moves the log of earlier versions to that of this one, if there is one.
    fn adopt_earlier_log(&self) -> Result<()> {
        if !self.has_earlier_log() {
            return Ok(());
        }
        let earlier = self.earlier_log();
        // No process of an earlier version uses it. None can begin to: the name is gone once this is unlocked.
        let _locked = lock(&earlier.join("LOCK"))?;
        let directory = self.directory_of(&LogName::default_log());
        let segments = directory.join(SEGMENTS);
        if segments.exists() {
            let both = "both this and logs/default hold a log; one of them has to be moved away";
            let error = io::Error::new(ErrorKind::AlreadyExists, both);
            return Err(Error::storage(&earlier, error));
        }
        let moved = self.files.rename(&earlier, &segments);
        moved.map_err(|error| Error::storage(&earlier, error))?;
        self.sync(&directory)?;
        self.sync(&self.root)?;
        tracing::info!(from = %earlier.display(), to = %segments.display(), "moved the log of an earlier version");
        Ok(())
    }

    /// Makes a log in the directory `new`, of which nothing else knows.
    fn make(&self, new: &Path, meta: &LogMeta, has_segments: bool) -> Result<()> {
        let created = self.files.create_directory(new);
        created.map_err(|error| Error::storage(new, error))?;
        if has_segments {
            Log::open(new.join(SEGMENTS), &meta.config.options())?.close()?;
        }
        self.write_meta(new, meta)
    }

    fn sync(&self, directory: &Path) -> Result<()> {
        let synced = self.files.sync_names(directory);
        synced.map_err(|error| Error::storage(directory, error))
    }

    fn write_meta(&self, directory: &Path, meta: &LogMeta) -> Result<()> {
        let written = replace(&*self.files, directory, LOG_META, &meta.encode());
        written.map_err(|error| Error::storage(directory.join(LOG_META), error))
    }
}

impl Backend for Disk {
    fn list(&self) -> Result<Vec<LogName>> {
        let paths = directories(&self.logs())?;
        let names = paths
            .iter()
            .filter_map(|path| file_name(path)?.parse().ok());
        let mut names = names.collect::<Vec<LogName>>();
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let directory = self.directory_of(name);
        if directory.symlink_metadata().is_ok() {
            return Err(Error::AlreadyExists { log: name.clone() });
        }
        let meta = new_meta(config, &directory)?;
        let new = self.logs().join(format!("{NEW}{}", meta.id));
        let is_earlier = name.as_str() == LogName::DEFAULT && self.has_earlier_log();
        let made = self.make(&new, &meta, !is_earlier).and_then(|()| {
            let renamed = self.files.rename(&new, &directory);
            renamed.map_err(|error| Error::storage(&directory, error))
        });
        if made.is_err() {
            self.remove_files(&new);
        }
        made?;
        self.sync(&self.logs())?;
        if is_earlier {
            self.adopt_earlier_log()?;
        }
        Ok(meta)
    }

    fn meta(&self, name: &LogName) -> Result<LogMeta> {
        let directory = self.directory_of(name);
        let path = directory.join(LOG_META);
        match read(&path).map_err(|error| Error::storage(&path, error))? {
            Some(bytes) => LogMeta::decode(&bytes).map_err(|source| Error::Meta {
                log: name.clone(),
                source: Arc::new(source),
            }),
            None if directory.is_dir() => Err(Error::MetaLost { log: name.clone() }),
            None => Err(Error::not_found(name.clone())),
        }
    }

    fn open(&self, name: &LogName) -> Result<Opened> {
        let meta = self.meta(name)?;
        let directory = self.directory_of(name);
        let segments = directory.join(SEGMENTS);
        let checkpoint = segments.join("checkpoint");
        // A log that is not there would be made, and the records of this one be missed by nobody.
        if let Err(error) = checkpoint.metadata() {
            // Makes nothing, and says what is there instead.
            ReadOnlyLog::open(&segments)?;
            return Err(Error::storage(&checkpoint, error));
        }
        let log = Log::open(segments, &meta.config.options())?;
        let recovery = Some(log.recovery().clone());
        let snapshot = SnapshotFile {
            files: Arc::clone(&self.files),
            directory,
        };
        Ok(Opened {
            recovery,
            snapshot: Some(Arc::new(snapshot)),
            ..Opened::new(Arc::new(log), meta)
        })
    }

    fn configure(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta> {
        let directory = self.directory_of(name);
        let mut meta = match self.meta(name) {
            Err(Error::Meta { source, .. }) if source.is_damage() => new_meta(config, &directory)?,
            Err(Error::MetaLost { .. }) => new_meta(config, &directory)?,
            read => read?,
        };
        meta.config = config.clone();
        self.write_meta(&directory, &meta)?;
        Ok(meta)
    }

    fn remove(&self, name: &LogName) -> Result<()> {
        let directory = self.directory_of(name);
        // Two logs of one name may be removed shortly after each other.
        let id = LogId::random().map_err(|error| Error::storage(&directory, error))?;
        let removed = self.trash().join(format!("{name}.{id}"));
        match self.files.rename(&directory, &removed) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::not_found(name.clone()));
            }
            renamed => renamed.map_err(|error| Error::storage(&directory, error))?,
        }
        self.sync(&self.trash())?;
        self.sync(&self.logs())
    }

    fn clean_up(&self) {
        let _cleaning = self.cleaning.lock();
        match entries(&self.trash()) {
            Ok(removed) => removed.iter().for_each(|path| self.remove_files(path)),
            Err(error) => tracing::warn!(%error, "cannot read the names of removed logs"),
        }
    }

    fn open_system(&self, name: &str) -> Result<Arc<dyn CommitLog>> {
        let directory = self.root.join("system").join(name);
        Ok(Arc::new(Log::open(directory, &LogOptions::new())?))
    }
}

/// The snapshot beside a log.
#[derive(Debug)]
struct SnapshotFile {
    files: Arc<dyn Files>,
    directory: PathBuf,
}

impl Snapshot for SnapshotFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.directory.join("producers")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        replace(&*self.files, &self.directory, "producers", bytes)
    }
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn new_meta(config: &LogConfig, directory: &Path) -> Result<LogMeta> {
    LogMeta::new(config.clone()).map_err(|error| Error::storage(directory, error))
}

/// Locks a file, which is created if it does not exist, for this process.
fn lock(path: &Path) -> Result<File> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let lock = opened.map_err(|error| Error::storage(path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(Error::storage(path, error)),
    }
}

/// Returns what is stored about the data directory. One that is damaged is replaced.
fn open_node(files: &dyn Files, root: &Path) -> Result<Node> {
    let path = root.join(NODE_META);
    let failed = |error: io::Error| Error::storage(&path, error);
    if let Some(bytes) = read(&path).map_err(failed)? {
        match Node::decode(&bytes) {
            Ok(node) => return Ok(node),
            Err(error) if error.is_damage() => {
                tracing::warn!(path = %path.display(), %error, "the data directory gets a new id");
            }
            Err(error) => return Err(failed(io::Error::new(ErrorKind::InvalidData, error))),
        }
    }
    let node = Node {
        id: LogId::random().map_err(|error| failed(error.into()))?,
    };
    replace(files, root, NODE_META, &node.encode()).map_err(failed)?;
    Ok(node)
}

/// Returns the first bytes of a file; `None` if there is no such file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(META_LEN_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Returns the paths of everything in `directory`.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    paths.map_err(|error| Error::storage(directory, error))
}

/// Returns the paths of all directories in `directory`, and of symbolic links to such.
fn directories(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = entries(directory)?;
    paths.retain(|path| path.is_dir());
    Ok(paths)
}

#[cfg(test)]
mod tests;
