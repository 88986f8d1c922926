//! The error type of a store, and its classification.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::format::offset_of;
use crate::position::Position;

/// The result of a store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a store, with the facts.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused an operation. Earlier appends are not affected.
    #[error("cannot {operation} {file}")]
    Io {
        /// The operation that failed.
        operation: Operation,
        /// The file's name.
        file: Arc<str>,
        /// The error of the file system.
        source: Arc<io::Error>,
    },
    /// The device cannot read the bytes at `byte`: a bad sector, say. They count as damaged; what lies elsewhere
    /// in the file can be read.
    #[error("byte {byte} of {file} cannot be read")]
    Unreadable {
        /// The file's name.
        file: Arc<str>,
        /// The first byte that could not be read, from the start of the file.
        byte: u64,
        /// The error of the file system.
        source: Arc<io::Error>,
    },
    /// The device cannot read the byte at `byte`, which lies after the last data that is known to be synced. Frames that
    /// were synced may be there, so nothing was dropped or changed. Open the store again once the device can read it. If
    /// it never can, replace the file with a copy that has zeros in that place, such as `ddrescue` makes: then the data
    /// ends there, and the bytes that follow are set aside in a file.
    #[error(
        "byte {byte} of {file} cannot be read, and may be of synced data: open it again when the device can read it, \
         or replace it with a copy that has zeros there"
    )]
    EndUnreadable {
        /// The file's name.
        file: Arc<str>,
        /// The first byte that could not be read, from the start of the file.
        byte: u64,
        /// The error of the file system.
        source: Arc<io::Error>,
    },
    /// Another handle or process has the store open; try again when it is closed.
    #[error("{file} is locked: another handle or process has it open")]
    Locked {
        /// The file's name.
        file: Arc<str>,
    },
    /// Another process has opened the store, and this one was forked from it. Nothing was changed.
    #[error("process {opened_by} has {file} open, and a process forked from it cannot use it")]
    Forked {
        /// The file's name.
        file: Arc<str>,
        /// The id of the process that has opened it.
        opened_by: u32,
    },
    /// Neither copy of the header is valid: another kind of file, an empty one, or both copies are damaged.
    #[error("{file} ({len} bytes) does not start with a store's header")]
    NotAStore {
        /// The file's name.
        file: Arc<str>,
        /// The file's length in bytes.
        len: u64,
    },
    /// Both copies of the header are valid, and they differ: one is from another file.
    #[error("the two headers of {file} differ")]
    HeadersDiffer {
        /// The file's name.
        file: Arc<str>,
    },
    /// The format version of the file is not supported; nothing was changed.
    #[error("{file} has format version {got}, only {known} is supported")]
    UnsupportedVersion {
        /// The file's name.
        file: Arc<str>,
        /// The version in the file.
        got: u16,
        /// The supported version.
        known: u16,
    },
    /// The file uses features that are not supported; nothing was changed.
    #[error("{file} uses unsupported features {bits:#010x}")]
    UnsupportedFeatures {
        /// The file's name.
        file: Arc<str>,
        /// The feature bits that are set.
        bits: u32,
    },
    /// The file uses a checksum that is not supported; nothing was changed.
    #[error("{file} uses unsupported checksum kind {kind}")]
    UnsupportedChecksum {
        /// The file's name.
        file: Arc<str>,
        /// The kind in the file.
        kind: u8,
    },
    /// The label does not fit into the header.
    #[error("a label of {len} bytes is longer than {max}")]
    LabelTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The maximum length, in bytes.
        max: usize,
    },
    /// The payload limit does not fit into a frame's length field.
    #[error("a payload limit of {got} bytes is larger than {max}")]
    PayloadLimitTooLarge {
        /// The limit requested, in bytes.
        got: u32,
        /// The largest limit, in bytes.
        max: u32,
    },
    /// The payload exceeds the store's limit. Nothing was appended.
    #[error("a payload of {len} bytes is larger than the limit of {max}")]
    PayloadTooLarge {
        /// Its length, in bytes.
        len: usize,
        /// The limit that the file was created with, in bytes.
        max: u32,
    },
    /// The position is at or past the end of the data.
    #[error("position {position} of {file} is not below the end {end}")]
    OutOfRange {
        /// The file's name.
        file: Arc<str>,
        /// The position requested.
        position: Position,
        /// The end of the data (exclusive).
        end: Position,
    },
    /// The frames from `position` on are known to be on the device, and cannot be dropped. Nothing was.
    #[error("cannot rewind {file} to position {position}: it is synced up to {recovery_point}")]
    BelowRecoveryPoint {
        /// The file's name.
        file: Arc<str>,
        /// The position requested.
        position: Position,
        /// The position below which everything is known to be on the device.
        recovery_point: Position,
    },
    /// The bytes at `position` cannot be a frame: the kind is invalid, or the length exceeds the limit or
    /// the end. The frame was damaged, or none starts there.
    #[error(
        "no frame at byte {} of {file}: first word {word:#010x}, {left} bytes left",
        offset_of(*position)
    )]
    InvalidFrame {
        /// The file's name.
        file: Arc<str>,
        /// The position of the frame.
        position: Position,
        /// The first word of the bytes there; 0 if there are fewer than 8 bytes.
        word: u32,
        /// The number of bytes from there to the end.
        left: u64,
    },
    /// The frame at `position` does not match its checksum: it was damaged, or no frame starts there.
    #[error(
        "checksum mismatch at byte {} of {file}: expected {expected:#010x}, got {got:#010x}",
        offset_of(*position)
    )]
    ChecksumMismatch {
        /// The file's name.
        file: Arc<str>,
        /// The position of the frame.
        position: Position,
        /// The checksum computed from the bytes there.
        expected: u32,
        /// The checksum stored with them.
        got: u32,
    },
    /// The frame at `position` is a control frame of the store, not data.
    #[error("the frame at byte {} of {file} is a control frame", offset_of(*position))]
    ControlFrame {
        /// The file's name.
        file: Arc<str>,
        /// The position of the frame.
        position: Position,
    },
    /// The file ends before data that is known to have been on the device.
    #[error(
        "{file} ends at byte {}, but was synced up to byte {}",
        offset_of(*end),
        offset_of(*expected)
    )]
    Truncated {
        /// The file's name.
        file: Arc<str>,
        /// The end of the file.
        end: Position,
        /// The position up to which data is known to have been there.
        expected: Position,
    },
    /// A sync failed: appends since the last one may or may not be durable. The store takes no more
    /// appends; reopen it to recover.
    #[error("syncing {file} failed")]
    SyncFailed {
        /// The file's name.
        file: Arc<str>,
        /// The error of the file system.
        source: Arc<io::Error>,
    },
    /// A write failed, and the part it left could not be removed: buffered appends may or may not be in
    /// the file. The store takes no more appends; reopen it to recover. But if the file system had no room to
    /// remove it, the kind is [`ErrorKind::DiskFull`]: what was dropped is not read any more, unless the process
    /// ends before there is room, and the store takes appends again once there is.
    #[error("{file} holds a part of a failed write that could not be removed")]
    WriteNotUndone {
        /// The file's name.
        file: Arc<str>,
        /// The error of the file system when it was to be removed.
        source: Arc<io::Error>,
    },
    /// An earlier failure ([`Error::SyncFailed`], [`Error::WriteNotUndone`]) stopped the store.
    /// Nothing was appended.
    #[error("the store is poisoned by an earlier failure")]
    Poisoned {
        /// The failure.
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
    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } | Self::WriteNotUndone { source, .. } if is_full(source) => {
                ErrorKind::DiskFull
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            },
            Self::Locked { .. } | Self::Forked { .. } => ErrorKind::Locked,
            Self::Unreadable { .. }
            | Self::EndUnreadable { .. }
            | Self::NotAStore { .. }
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
            Self::SyncFailed { .. } | Self::WriteNotUndone { .. } | Self::Poisoned { .. } => {
                ErrorKind::Poisoned
            }
            Self::Sealed { .. } | Self::Closed { .. } => ErrorKind::Closed,
        }
    }

    /// The outcome of an append that failed with this error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::SyncFailed { .. } | Self::WriteNotUndone { .. } => Outcome::Unknown,
            _ => Outcome::NotAppended,
        }
    }

    /// The error of a failed write that could not be undone because of this one, if it is of the file system.
    pub(crate) fn into_not_undone(self) -> Self {
        match self {
            Self::Io { file, source, .. } => Self::WriteNotUndone { file, source },
            error => error,
        }
    }

    /// The error for bytes after the end of the data, if it says that bytes cannot be read.
    pub(crate) fn of_end(self) -> Self {
        match self {
            Self::Unreadable { file, byte, source } => Self::EndUnreadable { file, byte, source },
            error => error,
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

/// A read that was to take no waiting for the device.
impl Error {
    /// The error where the bytes of `file` are not in memory.
    #[cold]
    pub(crate) fn would_block(file: &Arc<str>) -> Self {
        Self::io(Operation::Read, file, io::ErrorKind::WouldBlock.into())
    }

    /// Returns whether this is [`Error::would_block`].
    pub(crate) fn is_would_block(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Returns whether a call was refused for want of room alone.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The kind of an [`Error`], for callers that act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file system refused an operation.
    Io,
    /// The disk or a quota is full, or the file is at a limit on its size; appends work again once there is space.
    DiskFull,
    /// There is no such file.
    NotFound,
    /// Another handle or process has the store open.
    Locked,
    /// Stored data is damaged, or the device cannot read it.
    Corrupt,
    /// The file is of another version.
    Unsupported,
    /// An argument is invalid.
    InvalidInput,
    /// The position is past the end, or below the recovery point.
    OutOfRange,
    /// A failure stopped the store; reopen it to recover.
    Poisoned,
    /// The store is sealed or closed.
    Closed,
}

/// The outcome of a failed append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The append is not stored, and never will be.
    NotAppended,
    /// The append may or may not be stored; reopen the store to find out.
    Unknown,
}

/// An operation of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening or creating a file.
    Open,
    /// Locking or unlocking a file.
    Lock,
    /// Reading a file's length.
    Length,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Setting a file's length.
    SetLength,
    /// Syncing a file.
    Sync,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing a directory.
    List,
    /// Syncing a directory.
    SyncDirectory,
    /// Asking the operating system for random bytes.
    Random,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Length => "read the length of",
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
