//! Report of an opening.

use std::sync::Arc;
use std::time::Duration;

use proglog_store::{Position, SetAside};

use crate::offset::{Offset, Offsets};

/// Report of what opening a log found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// True if all of the log was known to be synced: it was closed, or idle when its process ended. A log
    /// that was just created is clean too.
    pub clean: bool,
    /// Offsets of the log's records.
    pub records: Offsets,
    /// End offset (exclusive) of the records that were known to be on the device; all records are now.
    pub recovery_point: Offset,
    /// Torn bytes at the end of the newest segment, copied to a file. They are most likely a batch that was never
    /// acknowledged, but cannot be distinguished from damage to the newest acknowledged records.
    pub set_aside: Option<SetAside>,
    /// Bytes of zeros that were removed from the end of the newest segment: preallocated space, or space that
    /// the file system left after a crash.
    pub zeros_removed: u64,
    /// First damage below the recovery point: a segment's file name and the position in it. Only the part of
    /// the log that was scanned counts; other damage shows when it is read. Records elsewhere are readable.
    pub damaged: Option<(Arc<str>, Position)>,
    /// True if one copy of the newest segment's header was damaged, and was restored from the other.
    pub header_restored: bool,
    /// Number of segments whose index was missing or unusable, and was rebuilt.
    pub indexes_rebuilt: usize,
    /// Left-over temporary files. They hold no records.
    pub left_over: Vec<String>,
    /// Time that opening took.
    pub elapsed: Duration,
}
