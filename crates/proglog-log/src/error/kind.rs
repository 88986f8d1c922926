//! Kinds of errors, for callers that act on them.

/// The kinds of [`Error`](crate::Error), for callers that act on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such record yet.
    OutOfRange,
    /// There is no such record any more.
    Trimmed,
    /// What is stored is damaged or missing, or the device cannot read it.
    Corrupt,
    /// What is stored is of another version.
    Unsupported,
    /// The record, the batch or the application's data is over a limit.
    TooLarge,
    /// The caller asked for what cannot be.
    InvalidInput,
    /// The log's end is not where the caller expected it.
    EndMoved,
    /// Another handle or process has the log open.
    Locked,
    /// The directory is no log.
    NotALog,
    /// The directory of the log is no longer at its path.
    DirectoryMoved,
    /// There is no room on the device, in a quota, or under a limit on file size; appends work again once there is.
    DiskFull,
    /// There can be no more of something: offsets, or threads.
    LimitReached,
    /// The file system failed.
    Io,
    /// A failure stopped the log; reopen it.
    Poisoned,
    /// The append was abandoned, and its outcome is unknown.
    Abandoned,
    /// The log was closed.
    Closed,
}

/// Returns the kind of a store's error.
pub(super) fn of_store(kind: proglog_store::ErrorKind) -> ErrorKind {
    use proglog_store::ErrorKind as Store;
    match kind {
        Store::DiskFull => ErrorKind::DiskFull,
        Store::Locked => ErrorKind::Locked,
        Store::Corrupt | Store::OutOfRange => ErrorKind::Corrupt,
        Store::Unsupported => ErrorKind::Unsupported,
        Store::InvalidInput => ErrorKind::InvalidInput,
        Store::Poisoned => ErrorKind::Poisoned,
        Store::Closed => ErrorKind::Closed,
        _ => ErrorKind::Io,
    }
}
