//! Errors of a log: a [`Reason`], and the name of the log.
//!
//! What the public handles call fails with a `Reason`, and the handles add the name.

pub(crate) mod kind;
pub(crate) mod reason;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use proglog_store::io::Directory;
use proglog_store::{Operation, Outcome};

use crate::error::kind::ErrorKind;
use crate::error::reason::Reason;

/// The result of a log's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a log's operation: which log failed, and why.
///
/// Both fields are public, to match on the reason and its facts:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proglog_log::{Error, Log, LogOptions, Reason};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = std::path::absolute(directory.path())?;
/// let log = Log::open(&path, &LogOptions::new())?;
/// log.append_batch(["a", "b", "c"])?;
/// log.trim(2)?;
/// match log.read(0) {
///     Ok(record) => println!("{:?}", record.value),
///     Err(Error { reason: Reason::Trimmed { start, .. }, .. }) => assert_eq!(start, 2),
///     Err(error) => return Err(error.into()),
/// }
///
/// let error = log.read(9).unwrap_err();
/// assert_eq!(*error.log, *path.to_string_lossy());
/// assert_eq!(
///     error.to_string(),
///     format!("log {path:?}: offset 9 is out of range: the log has 2..3"),
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Error {
    /// The name of the log: the absolute path of its directory, `memory` for a
    /// [`MemoryLog`](crate::MemoryLog), otherwise as [`ReadLog::name`](crate::ReadLog::name) or
    /// [`Directory::name`] returns it. Bytes of a path that are not Unicode are replaced.
    pub log: Arc<str>,
    /// Why the operation failed.
    pub reason: Reason,
}

impl Error {
    /// Creates an error of the log that is named `log`: for implementations of
    /// [`ReadLog`](crate::ReadLog) and [`CommitLog`](crate::CommitLog).
    pub fn new(log: impl Into<Arc<str>>, reason: impl Into<Reason>) -> Self {
        Self {
            log: log.into(),
            reason: reason.into(),
        }
    }

    /// Returns the kind of the reason, as [`Reason::kind`] does.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.reason.kind()
    }

    /// Returns what became of an append that failed with this error, as [`Reason::outcome`] does.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.reason.outcome()
    }

    /// Returns the error of a log whose directory, at `path`, cannot be opened.
    pub(crate) fn of_directory(path: &Path, source: io::Error) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let reason = Reason::io(Operation::Open, &name.to_string_lossy(), source);
        LogName::of_path(path).error(reason)
    }
}

/// As `log "/srv/orders": offset 9 is out of range: the log has 0..3`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {:?}: {}", self.log, self.reason)
    }
}

impl std::error::Error for Error {
    /// Returns the source of the reason, whose text is part of this error's.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.reason.source()
    }
}

/// The name of a log in its errors.
#[derive(Debug, Clone)]
pub(crate) struct LogName(Arc<str>);

impl LogName {
    pub(crate) fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Returns the name of the log in the directory at `path`, which may not exist: the absolute path.
    pub(crate) fn of_path(path: &Path) -> Self {
        // There is none for an empty path.
        let absolute = std::path::absolute(path);
        let path = absolute.as_deref().unwrap_or(path);
        Self::new(path.to_string_lossy())
    }

    pub(crate) fn of_directory(directory: &dyn Directory) -> Self {
        Self::new(directory.name())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the error of this log with that reason.
    #[cold]
    pub(crate) fn error(&self, reason: impl Into<Reason>) -> Error {
        Error::new(Arc::clone(&self.0), reason)
    }
}

/// Results whose failures do not name the log yet.
pub(crate) trait Named<T> {
    /// Names the log in a failure.
    fn named(self, log: &LogName) -> Result<T>;
}

impl<T, R: Into<Reason>> Named<T> for Result<T, R> {
    #[inline]
    fn named(self, log: &LogName) -> Result<T> {
        self.map_err(|reason| log.error(reason))
    }
}
