//! Reasons: why an operation of a log failed, without the log's name.

use std::io;
use std::sync::Arc;

use proglog_store::{Operation, Outcome};

use crate::error::kind::{self, ErrorKind};
use crate::offset::Offset;

/// The result of what the handles of a log call. They add its name to a failure.
pub(crate) type Result<T, E = Reason> = std::result::Result<T, E>;

/// Why an operation of a log failed, with the facts.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// There is no such record yet: a read at or past the end that readers see, or another operation past the end
    /// of what was appended.
    #[error("offset {offset} is out of range: the log has {start}..{end}")]
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// The log's start (inclusive).
        start: Offset,
        /// The log's end (exclusive).
        end: Offset,
    },
    /// There is no such record any more: the offset is below the log's start.
    #[error("offset {offset} is below the log's start {start}")]
    Trimmed {
        /// The offset asked for.
        offset: Offset,
        /// The log's start (inclusive).
        start: Offset,
        /// The log's end (exclusive).
        end: Offset,
    },
    /// The record was stored, and what is in its place was damaged since, or the device cannot read it. Its
    /// neighbours are not affected.
    #[error("the record at offset {offset} is damaged, at byte {byte} of {file}")]
    Corrupt {
        /// The record's offset.
        offset: Offset,
        /// The segment's file name.
        file: Arc<str>,
        /// Its place, in bytes from the start of the file.
        byte: u64,
        /// What is wrong there, if there is anything at all; [`Unreadable`](proglog_store::Error::Unreadable) has
        /// the error of the device.
        source: Option<Arc<proglog_store::Error>>,
    },
    /// The record is over the log's limit. Nothing was appended.
    #[error("a record of {len} bytes is larger than the limit of {max}")]
    RecordTooLarge {
        /// Its size in bytes, as [`LogOptions::record_bytes_max`](crate::LogOptions::record_bytes_max) counts them.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The batch is over the log's limit. Nothing was appended.
    #[error("a batch of {len} bytes is larger than the limit of {max}")]
    BatchTooLarge {
        /// Its size in bytes, as [`LogOptions::batch_bytes_max`](crate::LogOptions::batch_bytes_max) counts them.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The expected offset is not the next one: another writer has appended, or the log ends before. Nothing was
    /// appended.
    #[error("expected to append at offset {expected}, but the log's end is {end}")]
    EndMoved {
        /// The offset that was expected to be the next.
        expected: Offset,
        /// The next offset to be assigned.
        end: Offset,
    },
    /// A log is reset to go on from its end or later, never from an offset that was assigned already.
    /// Nothing was changed.
    #[error("cannot go on from offset {next}: the log's end is {end}")]
    ResetBelowEnd {
        /// The offset asked for.
        next: Offset,
        /// The next offset to be assigned.
        end: Offset,
    },
    /// There are no offsets left for the batch. Nothing was appended.
    #[error("a batch of {records} records at offset {next} goes past the last offset")]
    OffsetsExhausted {
        /// The next offset to be assigned.
        next: Offset,
        /// How many records there are.
        records: usize,
    },
    /// The application's data does not fit in the checkpoint. Nothing was changed.
    #[error("application data of {len} bytes is larger than {max}")]
    ApplicationDataTooLarge {
        /// Its length in bytes.
        len: usize,
        /// The longest that fits.
        max: usize,
    },
    /// Another handle or process has the log open.
    #[error("the log is locked: another handle or process has it open")]
    Locked,
    /// Another process has opened the log, and this one was forked from it. Nothing was changed; open the log here
    /// once it is closed there.
    #[error("process {opened_by} has the log open, and a process forked from it cannot use it")]
    Forked {
        /// The id of the process that has opened it.
        opened_by: u32,
    },
    /// The directory holds no log. To be opened to append it may be empty, but hold nothing else, except for what
    /// systems make in directories by themselves, such as `lost+found`, `.DS_Store` or `Thumbs.db`. Nothing was changed.
    #[error("the directory holds no log: {}", found.as_deref().unwrap_or("it is empty"))]
    NotALog {
        /// One of the things found there; `None` if it is empty.
        found: Option<String>,
    },
    /// All copies of the checkpoint are damaged, or its file is missing, so the start of the log and its recovery
    /// point are unknown. `Log::repair` rebuilds it from the segments.
    #[error("the checkpoint of the log is lost: {problem}")]
    CheckpointLost {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The checkpoint is valid but does not fit the segments: a file was cut, or is of another time than the
    /// others. No segment was changed. `Log::repair` rebuilds the checkpoint from the segments.
    #[error("{file} does not fit the segments: {reason}")]
    CheckpointMismatch {
        /// The checkpoint's file name.
        file: Arc<str>,
        /// What does not fit.
        reason: CheckpointMismatch,
    },
    /// The checkpoint was written by a version that this code does not know. Nothing was changed.
    #[error("the checkpoint has format version {got}, only {known} is known")]
    UnsupportedCheckpoint {
        /// The version in the file.
        got: u16,
        /// The version of this code.
        known: u16,
    },
    /// A segment's file is not what its name says: it is of another log, was renamed, or is a copy
    /// of another segment. Nothing was changed.
    #[error("{file} holds {got} instead of {expected}")]
    WrongSegment {
        /// The file's name.
        file: Arc<str>,
        /// What it should hold.
        expected: SegmentIdentity,
        /// What its header says it holds.
        got: SegmentIdentity,
    },
    /// The header of a segment's file carries no segment's label: it is some other store.
    #[error("{file} is a store, but no segment of a log")]
    NotASegment {
        /// The file's name.
        file: Arc<str>,
    },
    /// A segment is missing that the checkpoint or a neighbour names: its file was removed or moved, and not by a trim.
    /// Nothing was changed. The records of the others can be read with [`ReadOnlyLog`](crate::ReadOnlyLog). If it is
    /// gone for good and was the oldest or the newest, `Log::repair` makes a log of the others.
    #[error("the segment with base offset {base_offset} is missing")]
    MissingSegment {
        /// The base offset of the missing segment, or where records of unknown segments begin to be missing.
        base_offset: Offset,
    },
    /// No thread could be started for what logs do in the background, without which an append that is
    /// awaited may never have an outcome. Nothing was opened.
    #[error("no thread can be started for the background work of logs")]
    NoThread {
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The options do not go together.
    #[error("invalid options")]
    Options(#[from] OptionsError),
    /// The file system failed on a file that is no store (the lock, the checkpoint or an index) or on the
    /// log's directory.
    #[error("cannot {operation} {file}")]
    Io {
        /// The operation that failed.
        operation: Operation,
        /// The file's name, or that of the log's directory.
        file: Arc<str>,
        /// The error of the file system.
        source: Arc<io::Error>,
    },
    /// The store of a segment failed.
    #[error(transparent)]
    Store(#[from] proglog_store::Error),
    /// The directory of the log was renamed, replaced or removed while the log was open, or its file `LOCK` was, so
    /// that another log may be at its path. The files of this log are still read.
    #[error(
        "the directory was renamed, replaced or removed, or its lock file was, while the log was open"
    )]
    DirectoryMoved,
    /// An earlier failure stopped the log: it takes no more appends. Reopen it to recover. This
    /// operation did nothing.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned {
        /// That failure.
        source: Arc<Reason>,
    },
    /// An append before this one could not be written, so this one was given up. It is not stored.
    #[error("not appended: an append before it failed")]
    GivenUp {
        /// The failure of that append.
        source: Arc<Reason>,
    },
    /// The [`Completion`](crate::Completion) of the append was dropped without an outcome, so the outcome is
    /// unknown. No append to a [`Log`](crate::Log) ends with this.
    #[error("append abandoned: outcome unknown")]
    Abandoned,
    /// A log of this kind cannot do that. Nothing was changed.
    #[error("this log cannot {operation}")]
    Unsupported {
        /// What was asked for, such as "change its retention".
        operation: &'static str,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Why a checkpoint does not fit the segments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointMismatch {
    /// The log would start after its end.
    #[error("the log starts at {start}, but its segments end at {end}")]
    StartPastEnd {
        /// The start of the log, by the checkpoint.
        start: Offset,
        /// Where the segments end (exclusive).
        end: Offset,
    },
    /// More of a segment would be durable than there is.
    #[error("{segment} is durable up to byte {recovery_point}, but its data ends at byte {end}")]
    RecoveryPointPastEnd {
        /// The segment's file name.
        segment: Arc<str>,
        /// The recovery point, by the checkpoint, in bytes from the start of the file.
        recovery_point: u64,
        /// The end of the segment's data, in bytes from the start of the file.
        end: u64,
    },
    /// The record at the recovery point has another offset.
    #[error("offset {expected} is at byte {byte} of {segment}, but {got} is")]
    RecoveryPointMoved {
        /// The segment's file name.
        segment: Arc<str>,
        /// The recovery point, in bytes from the start of the file.
        byte: u64,
        /// The offset there, by the checkpoint.
        expected: Offset,
        /// The offset of the record there.
        got: Offset,
    },
}

/// Identity of a segment, from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the segment of log {log_id:032x} with base offset {base_offset}")]
pub struct SegmentIdentity {
    /// The log's random id.
    pub log_id: u128,
    /// The offset of its first record.
    pub base_offset: Offset,
}

impl Reason {
    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfRange { .. } => ErrorKind::OutOfRange,
            Self::Trimmed { .. } => ErrorKind::Trimmed,
            Self::Corrupt { .. }
            | Self::CheckpointLost { .. }
            | Self::CheckpointMismatch { .. }
            | Self::WrongSegment { .. }
            | Self::NotASegment { .. }
            | Self::MissingSegment { .. } => ErrorKind::Corrupt,
            Self::UnsupportedCheckpoint { .. } => ErrorKind::Unsupported,
            Self::RecordTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::ApplicationDataTooLarge { .. } => ErrorKind::TooLarge,
            Self::EndMoved { .. } => ErrorKind::EndMoved,
            Self::Locked | Self::Forked { .. } => ErrorKind::Locked,
            Self::NotALog { .. } => ErrorKind::NotALog,
            Self::DirectoryMoved => ErrorKind::DirectoryMoved,
            Self::Options(_) | Self::ResetBelowEnd { .. } | Self::Unsupported { .. } => {
                ErrorKind::InvalidInput
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => ErrorKind::DiskFull,
                _ => ErrorKind::Io,
            },
            Self::Store(error) => kind::of_store(error.kind()),
            Self::OffsetsExhausted { .. } | Self::NoThread { .. } => ErrorKind::LimitReached,
            Self::Poisoned { .. } => ErrorKind::Poisoned,
            Self::GivenUp { source } => source.kind(),
            Self::Abandoned => ErrorKind::Abandoned,
            Self::Closed => ErrorKind::Closed,
        }
    }

    /// What became of an append that failed with this error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Store(error) => error.outcome(),
            Self::Abandoned => Outcome::Unknown,
            _ => Outcome::NotAppended,
        }
    }

    /// Returns whether an operation was refused for want of room alone, and can be tried again. After a failed sync it
    /// is unknown what is on the device, whatever the cause.
    pub(crate) fn is_want_of_room(&self) -> bool {
        let (Self::Io { operation, .. } | Self::Store(proglog_store::Error::Io { operation, .. })) =
            self
        else {
            return false;
        };
        let is_sync = matches!(operation, Operation::Sync | Operation::SyncDirectory);
        self.kind() == ErrorKind::DiskFull && !is_sync
    }

    /// The failure that poisoned the store, if this error only says that the store is poisoned: it has the
    /// outcome of the appends that were accepted before.
    pub(crate) fn of_poisoned_store(self) -> Self {
        match self {
            Self::Store(proglog_store::Error::Poisoned { source }) => {
                Self::Store((*source).clone())
            }
            error => error,
        }
    }

    pub(crate) fn io(operation: Operation, file: &str, source: io::Error) -> Self {
        Self::Io {
            operation,
            file: file.into(),
            source: Arc::new(source),
        }
    }
}

/// Options that are out of range or do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The limit on a segment is too small or too large.
    #[error("segment_bytes_max is {got}: at least {min} and at most {max} are possible")]
    SegmentBytes {
        /// The limit asked for.
        got: u64,
        /// The smallest limit.
        min: u64,
        /// The largest limit.
        max: u64,
    },
    /// The limit on a batch is too large.
    #[error("batch_bytes_max is {got}: at most {max} is possible")]
    BatchBytes {
        /// The limit asked for.
        got: usize,
        /// The largest limit.
        max: usize,
    },
    /// The limit on a record is larger than that on a batch.
    #[error("record_bytes_max is {got}: at most {max} is possible, the limit on a batch")]
    RecordBytes {
        /// The limit asked for.
        got: usize,
        /// The largest limit.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proglog_store::{Error as Store, Position};

    use super::*;

    #[test]
    fn a_stores_error_is_of_the_kind_of_that_name() {
        let file = || Arc::<str>::from("a.store");
        let io = |kind: io::ErrorKind| Reason::io(Operation::Write, "a.store", kind.into());
        let errors = [
            (io(io::ErrorKind::StorageFull), ErrorKind::DiskFull),
            (io(io::ErrorKind::FileTooLarge), ErrorKind::DiskFull),
            (io(io::ErrorKind::PermissionDenied), ErrorKind::Io),
            // Which segments there are the log knows: one that is gone is not what was asked for.
            (io(io::ErrorKind::NotFound), ErrorKind::Io),
            (Store::Locked { file: file() }.into(), ErrorKind::Locked),
            (
                Store::HeadersDiffer { file: file() }.into(),
                ErrorKind::Corrupt,
            ),
            (
                Store::UnsupportedFeatures {
                    file: file(),
                    bits: 1,
                }
                .into(),
                ErrorKind::Unsupported,
            ),
            (
                Store::PayloadTooLarge { len: 9, max: 8 }.into(),
                ErrorKind::InvalidInput,
            ),
            (
                Store::OutOfRange {
                    file: file(),
                    position: Position::ZERO,
                    end: Position::ZERO,
                }
                .into(),
                ErrorKind::Corrupt,
            ),
            (
                Store::Unreadable {
                    file: file(),
                    byte: 4096,
                    source: Arc::new(io::Error::from_raw_os_error(5)),
                }
                .into(),
                ErrorKind::Corrupt,
            ),
            (
                Store::SyncFailed {
                    file: file(),
                    source: Arc::new(io::Error::other("no")),
                }
                .into(),
                ErrorKind::Poisoned,
            ),
            (Store::Closed { file: file() }.into(), ErrorKind::Closed),
        ];
        for (error, kind) in errors {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}
