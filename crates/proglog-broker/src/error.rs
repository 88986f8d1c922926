//! Errors of a broker.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proglog_log::producers::Refused;
use proglog_log::{Offset, Offsets, Outcome};

use crate::config::InvalidConfig;
use crate::meta::MetaError;
use crate::name::LogName;
use crate::threads::Panicked;

/// The result of an operation of a broker.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason for which an operation of a broker has failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no log of this name, or it was deleted.
    #[error("there is no log {log}")]
    NotFound {
        /// The name.
        log: LogName,
        /// The name of a log that is nearly the same, if there is one.
        nearest: Option<LogName>,
    },
    /// There is a log of this name already.
    #[error("there is a log {log} already")]
    AlreadyExists {
        /// The name.
        log: LogName,
    },
    /// The log `default` always exists, and cannot be deleted.
    #[error("the log default cannot be deleted")]
    DefaultLog,
    /// No log can have this configuration.
    #[error(transparent)]
    InvalidConfig(#[from] InvalidConfig),
    /// The log has failed while it was open, for example in a sync, and will be opened again, which recovers it. The
    /// operation did nothing.
    #[error("the log {log} has failed and is opened again in {retry_in:?}")]
    Poisoned {
        /// The name.
        log: LogName,
        /// The time until then.
        retry_in: Duration,
        /// The failure.
        source: Arc<proglog_log::Error>,
    },
    /// The log cannot be opened.
    #[error("the log {log} cannot be opened; this is tried again in {retry_in:?}")]
    Failed {
        /// The name.
        log: LogName,
        /// The time until then.
        retry_in: Duration,
        /// The failure.
        source: Arc<Error>,
    },
    /// What is stored about the log cannot be read. [`Broker::put`](crate::Broker::put) mends that.
    #[error("the configuration of the log {log} cannot be read")]
    Meta {
        /// The name.
        log: LogName,
        /// What is wrong with it.
        source: Arc<MetaError>,
    },
    /// What was stored about the log is gone. [`Broker::put`](crate::Broker::put) mends that.
    #[error("the configuration of the log {log} is gone")]
    MetaLost {
        /// The name.
        log: LogName,
    },
    /// Another process uses the data directory, or a log in it.
    #[error("another process has locked {}", path.display())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The file system has failed.
    #[error("the file system failed at {}", path.display())]
    Storage {
        /// The file or directory.
        path: PathBuf,
        /// The failure.
        source: Arc<io::Error>,
    },
    /// The log refuses the operation, or has failed in it.
    #[error(transparent)]
    Log(#[from] proglog_log::Error),
    /// The backend cannot do that with any of its logs.
    #[error("these logs cannot be {operation}")]
    Unsupported {
        /// What was to be done with the log: created, configured, deleted.
        operation: &'static str,
    },
    /// The appends that are under way take all the memory that they may, and did not end in time. Nothing was appended.
    #[error("the appends under way take the {bytes_max} bytes that they may")]
    Overloaded {
        /// The most bytes of all appends; see
        /// [`BrokerOptions::append_inflight`](crate::BrokerOptions::append_inflight).
        bytes_max: usize,
    },
    /// The log is being opened, configured or deleted, and that takes longer than the operation waits. Nothing was done.
    #[error("the log {log} is being opened or changed, which takes long")]
    Timeout {
        /// The name.
        log: LogName,
    },
    /// The records were appended, as durably as the log promises, but the sync that was asked for has failed. Whether they
    /// are on the device is unknown.
    #[error("the records {offsets} were appended, and the sync after that failed")]
    NotSynced {
        /// The offsets of the records.
        offsets: Offsets,
        /// The failure.
        source: Arc<Error>,
    },
    /// The producer must not append these records; the reason says what it may do. Nothing was appended.
    #[error(transparent)]
    Refused(Refused),
    /// There is no room for one more producer: too many have appended within the last hour. Nothing was appended.
    #[error("there are too many producers")]
    TooManyProducers,
    /// There is no room for one more cursor. Nothing was changed.
    #[error("there are too many cursors")]
    TooManyCursors,
    /// The cursor is not as it was expected. Nothing was changed.
    #[error("the cursor has moved: {}", version_text(*version))]
    CursorMoved {
        /// Its version; `None` if there is no such cursor.
        version: Option<u64>,
    },
    /// There is no such cursor.
    #[error("there is no such cursor")]
    CursorNotFound,
    /// The cursor would be beyond the end of the log. Nothing was changed.
    #[error("the log ends at {end}, before that offset")]
    BeyondEnd {
        /// The end of the log.
        end: Offset,
    },
    /// The metadata of the cursor is too long. Nothing was changed.
    #[error("metadata of {len} bytes is longer than {max}")]
    MetadataTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest that is possible.
        max: usize,
    },
    /// A bug: the operation has panicked. What it has done is unknown.
    #[error("the operation has panicked")]
    Panicked,
    /// The broker is closed.
    #[error("the broker is closed")]
    Closed,
}

impl Error {
    /// Returns what became of an append that failed with this error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Log(error) => error.outcome(),
            Self::Panicked | Self::NotSynced { .. } => Outcome::Unknown,
            _ => Outcome::NotAppended,
        }
    }

    pub(crate) fn not_found(log: LogName) -> Self {
        Self::NotFound { log, nearest: None }
    }

    pub(crate) fn storage(path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::Storage {
            path: path.as_ref().to_owned(),
            source: Arc::new(source.into()),
        }
    }
}

fn version_text(version: Option<u64>) -> String {
    version.map_or_else(
        || "there is none".to_owned(),
        |version| format!("it has version {version}"),
    )
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany => Self::TooManyProducers,
            refused => Self::Refused(refused),
        }
    }
}

impl From<Panicked> for Error {
    fn from(_: Panicked) -> Self {
        Self::Panicked
    }
}
