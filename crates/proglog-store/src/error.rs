//! What can go wrong with a store.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::position::Position;

/// The result of a store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the facts.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused an operation. What was appended before is as it was.
    #[error("cannot {operation} {file}")]
    Io {
        /// What was tried.
        operation: Operation,
        /// The file's name.
        file: Arc<str>,
        /// What the file system said.
        source: Arc<io::Error>,
    },
    /// Somebody else has the store open; try again when they have closed it.
    #[error("{file} is locked: another handle or process has it open")]
    Locked {
        /// The file's name.
        file: Arc<str>,
    },
    /// Neither copy of the header is one: another kind of file, an empty one, or both are damaged.
    #[error("{file} ({len} bytes) does not start with a store's header")]
    NotAStore {
        /// The file's name.
        file: Arc<str>,
        /// The file's length in bytes.
        len: u64,
    },
    /// The two copies of the header are each whole but not equal: one is from another file.
    #[error("the two headers of {file} differ")]
    HeadersDiffer {
        /// The file's name.
        file: Arc<str>,
    },
    /// The file is of a version that this code does not know; nothing was changed.
    #[error("{file} has format version {got}, only {known} is known")]
    UnsupportedVersion {
        /// The file's name.
        file: Arc<str>,
        /// The version in the file.
        got: u16,
        /// The version of this code.
        known: u16,
    },
    /// The file uses features that this code does not know; nothing was changed.
    #[error("{file} uses unknown features {bits:#010x}")]
    UnsupportedFeatures {
        /// The file's name.
        file: Arc<str>,
        /// The bits that are set.
        bits: u32,
    },
    /// The file uses a checksum that this code does not know; nothing was changed.
    #[error("{file} uses unknown checksum kind {kind}")]
    UnsupportedChecksum {
        /// The file's name.
        file: Arc<str>,
        /// The kind in the file.
        kind: u8,
    },
    /// The label is too long to be stored.
    #[error("a label of {len} bytes is longer than {max}")]
    LabelTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest that fits.
        max: usize,
    },
    /// The payload limit is larger than a frame's length field can tell.
    #[error("a payload limit of {got} bytes is larger than {max}")]
    PayloadLimitTooLarge {
        /// The limit asked for.
        got: u32,
        /// The largest limit.
        max: u32,
    },
    /// The payload is over the store's limit. Nothing was appended.
    #[error("a payload of {len} bytes is larger than the limit of {max}")]
    PayloadTooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit that the file was created with.
        max: u32,
    },
    /// There is no frame at or past the end.
    #[error("position {position} of {file} is not below the end {end}")]
    OutOfRange {
        /// The file's name.
        file: Arc<str>,
        /// The place asked for.
        position: Position,
        /// The end of the data (exclusive).
        end: Position,
    },
    /// What is to be dropped from `position` on is known to be on the device. Nothing was dropped.
    #[error("cannot rewind {file} to {position}: it is synced up to {recovery_point}")]
    BelowRecoveryPoint {
        /// The file's name.
        file: Arc<str>,
        /// The place asked for.
        position: Position,
        /// Up to where all is known to be on the device.
        recovery_point: Position,
    },
    /// What is at `position` cannot be a frame: its kind is invalid, or its length runs past the
    /// limit or the end. It was damaged, or `position` is not where a frame starts.
    #[error("no frame at {position} of {file}: first word {word:#010x}, {left} bytes left")]
    InvalidFrame {
        /// The file's name.
        file: Arc<str>,
        /// The place.
        position: Position,
        /// The first word found there; 0 if there is not even one.
        word: u32,
        /// The bytes from there to the end.
        left: u64,
    },
    /// The frame at `position` does not match its checksum: it was damaged, or `position` is not
    /// where a frame starts.
    #[error(
        "checksum mismatch at {position} of {file}: expected {expected:#010x}, got {got:#010x}"
    )]
    ChecksumMismatch {
        /// The file's name.
        file: Arc<str>,
        /// The place.
        position: Position,
        /// The checksum of the bytes there.
        expected: u32,
        /// The checksum stored with them.
        got: u32,
    },
    /// The frame at `position` is the store's own, not data.
    #[error("the frame at {position} of {file} is a control frame")]
    ControlFrame {
        /// The file's name.
        file: Arc<str>,
        /// The place.
        position: Position,
    },
    /// The file ends before data that is known to have been on the device.
    #[error("{file} has data up to {end}, but was synced up to {expected}")]
    Truncated {
        /// The file's name.
        file: Arc<str>,
        /// The end of what is there.
        end: Position,
        /// What is known to have been there.
        expected: Position,
    },
    /// Setting a torn end aside would exceed the limit on such files; move old ones away.
    #[error("{file} has {got} set-aside files already, the limit is {max}")]
    SetAsideFull {
        /// The store's file name.
        file: Arc<str>,
        /// How many there are.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A sync failed, so what was appended since the last one may or may not be durable. The store
    /// takes no more appends; reopen it to recover.
    #[error("syncing {file} failed")]
    SyncFailed {
        /// The file's name.
        file: Arc<str>,
        /// What the file system said.
        source: Arc<io::Error>,
    },
    /// A write failed and what it left could not be removed, so what was buffered may or may not be
    /// in the file. The store takes no more appends; reopen it to recover.
    #[error("{file} holds a part of a failed write that could not be removed")]
    WriteNotUndone {
        /// The file's name.
        file: Arc<str>,
        /// Why it could not be removed.
        source: Arc<io::Error>,
    },
    /// An earlier failure ([`Error::SyncFailed`], [`Error::WriteNotUndone`]) stopped the store.
    /// Nothing was appended.
    #[error("the store is poisoned by an earlier failure")]
    Poisoned {
        /// That failure.
        source: Arc<Error>,
    },
    /// The store is sealed: it takes no more appends.
    #[error("{file} is sealed")]
    Sealed {
        /// The file's name.
        file: Arc<str>,
    },
    /// The store was closed.
    #[error("{file} is closed")]
    Closed {
        /// The file's name.
        file: Arc<str>,
    },
}

impl Error {
    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            },
            Self::Locked { .. } => ErrorKind::Locked,
            Self::NotAStore { .. }
            | Self::HeadersDiffer { .. }
            | Self::InvalidFrame { .. }
            | Self::ChecksumMismatch { .. }
            | Self::Truncated { .. } => ErrorKind::Corrupt,
            Self::UnsupportedVersion { .. }
            | Self::UnsupportedFeatures { .. }
            | Self::UnsupportedChecksum { .. } => ErrorKind::Unsupported,
            Self::LabelTooLong { .. }
            | Self::PayloadLimitTooLarge { .. }
            | Self::PayloadTooLarge { .. }
            | Self::ControlFrame { .. } => ErrorKind::InvalidInput,
            Self::OutOfRange { .. } | Self::BelowRecoveryPoint { .. } => ErrorKind::OutOfRange,
            Self::SetAsideFull { .. } => ErrorKind::LimitReached,
            Self::SyncFailed { .. } | Self::WriteNotUndone { .. } | Self::Poisoned { .. } => {
                ErrorKind::Poisoned
            }
            Self::Sealed { .. } | Self::Closed { .. } => ErrorKind::Closed,
        }
    }

    /// What became of an append that failed with this error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::SyncFailed { .. } | Self::WriteNotUndone { .. } => Outcome::Unknown,
            _ => Outcome::NotAppended,
        }
    }

    pub(crate) fn sync_failed(file: &Arc<str>, source: io::Error) -> Self {
        Self::SyncFailed {
            file: Arc::clone(file),
            source: Arc::new(source),
        }
    }

    pub(crate) fn io(operation: Operation, file: &Arc<str>, source: io::Error) -> Self {
        Self::Io {
            operation,
            file: Arc::clone(file),
            source: Arc::new(source),
        }
    }
}

/// The kinds of [`Error`], for callers that act on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file system refused.
    Io,
    /// There is no room; appends work again once there is.
    DiskFull,
    /// There is no such file.
    NotFound,
    /// Somebody else has it open.
    Locked,
    /// What is stored is damaged.
    Corrupt,
    /// What is stored is of another version.
    Unsupported,
    /// The caller asked for what cannot be.
    InvalidInput,
    /// The place is not one that was asked for rightly: nothing is there, or what is there must stay.
    OutOfRange,
    /// A limit on what the store keeps beside its data is reached.
    LimitReached,
    /// A failure stopped the store; reopen it.
    Poisoned,
    /// It takes no more of this.
    Closed,
}

/// What became of a failed append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is not stored and never will be.
    NotAppended,
    /// It may be stored or not; reopening tells.
    Unknown,
}

/// What a store was doing when the file system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening or making a file.
    Open,
    /// Locking a file.
    Lock,
    /// Asking for a file's length.
    Length,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Cutting or extending a file.
    SetLength,
    /// Putting a file on the device.
    Sync,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Reading a directory.
    List,
    /// Putting a directory on the device.
    SyncDirectory,
    /// Asking the operating system for random bytes.
    Random,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Length => "tell the length of",
            Self::Read => "read",
            Self::Write => "write",
            Self::SetLength => "set the length of",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list the directory of",
            Self::SyncDirectory => "sync the directory of",
            Self::Random => "draw a random salt for",
        })
    }
}
