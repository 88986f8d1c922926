//! Backends: where a broker's logs come from.

pub(crate) mod disk;
mod files;
pub(crate) mod memory;
pub(crate) mod single;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use proglog_log::{CommitLog, Recovery};

use crate::config::LogConfig;
use crate::error::Result;
use crate::meta::LogMeta;
use crate::name::LogName;

/// Where a broker's logs come from.
///
/// The methods may block. A broker makes one call at a time for each name, and closes a log before it configures or
/// removes it, unless the log is [transient](Opened::is_transient) or its retention alone changes.
pub trait Backend: Debug + Send + Sync {
    /// Returns the names of all logs, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage).
    fn list(&self) -> Result<Vec<LogName>>;

    /// Makes a log, durably and whole: after a crash it is there, as [`open`](Backend::open) finds it, or it is not.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists), [`Error::Storage`](crate::Error::Storage);
    /// [`Error::Unsupported`](crate::Error::Unsupported) if there are no logs but those that there are.
    fn create(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta>;

    /// Returns what is stored about a log.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Meta`](crate::Error::Meta) or
    /// [`Error::MetaLost`](crate::Error::MetaLost) if it is damaged or gone; [`Error::Storage`](crate::Error::Storage).
    fn meta(&self, name: &LogName) -> Result<LogMeta>;

    /// Opens a log.
    ///
    /// # Errors
    ///
    /// As [`meta`](Backend::meta); [`Error::Log`](crate::Error::Log) if the log itself does not open.
    fn open(&self, name: &LogName) -> Result<Opened>;

    /// Replaces the configuration of a log, durably; what is damaged about it is mended, and no record is touched. A
    /// log that is open keeps the old one until it is opened again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage),
    /// [`Error::Unsupported`](crate::Error::Unsupported). The log has the old configuration then, or the new one.
    fn configure(&self, name: &LogName, config: &LogConfig) -> Result<LogMeta>;

    /// Removes a log, durably: after a crash it is there, whole, or it is not.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage),
    /// [`Error::Unsupported`](crate::Error::Unsupported). The log is there then, whole, or it is not.
    fn remove(&self, name: &LogName) -> Result<()>;

    /// Frees the space of logs that were removed. It may take long. What cannot be freed is left to the next call. The
    /// default does nothing.
    fn clean_up(&self) {}

    /// Opens a log that the broker keeps for itself, which is created if it does not exist. None of the other methods
    /// knows it.
    ///
    /// # Errors
    ///
    /// [`Error::Log`](crate::Error::Log), [`Error::Storage`](crate::Error::Storage).
    fn open_system(&self, name: &str) -> Result<Arc<dyn CommitLog>>;
}

/// A log that a backend has opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The log.
    pub log: Arc<dyn CommitLog>,
    /// What is stored about it.
    pub meta: LogMeta,
    /// What opening has found; `None` of a log without files.
    pub recovery: Option<Recovery>,
    /// Where the broker keeps a snapshot beside the log; `None` if there is no place for one.
    pub snapshot: Option<Arc<dyn Snapshot>>,
    /// True if the log is gone once it is closed, or cannot be opened again. It is closed only with the broker, and when
    /// it is deleted.
    pub is_transient: bool,
}

impl Opened {
    /// Returns a log without a recovery and a snapshot, which can be opened again once it is closed.
    #[must_use]
    pub fn new(log: Arc<dyn CommitLog>, meta: LogMeta) -> Self {
        Self {
            log,
            meta,
            recovery: None,
            snapshot: None,
            is_transient: false,
        }
    }
}

/// The place of a few bytes beside a log. They go with the log.
pub trait Snapshot: Debug + Send + Sync {
    /// Returns the bytes that were stored last; `None` if none were.
    ///
    /// # Errors
    ///
    /// Errors of the file system.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the bytes, durably: after a crash, the old ones are there or the new ones are.
    ///
    /// # Errors
    ///
    /// Errors of the file system. The old bytes are stored then, or the new ones.
    fn store(&self, bytes: &[u8]) -> io::Result<()>;
}
