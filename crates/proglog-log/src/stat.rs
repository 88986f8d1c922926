//! Figures of a log.

use crate::offset::{Offset, Offsets};

/// Figures of a log; see [`CommitLog::stat`](crate::CommitLog::stat). They are taken one after another, so under appends
/// they need not fit each other exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// The readable records.
    pub offsets: Offsets,
    /// The next offset to be assigned. Records between the readable end and this one were submitted and are not
    /// acknowledged.
    pub assigned_end: Offset,
    /// The end of the records that are on the device. In a log whose durability is weaker than synced it may be below
    /// the readable end.
    pub recovery_point: Offset,
    /// Bytes of the records in the files of the log, with what it adds to each.
    pub bytes: u64,
    /// The number of segments.
    pub segments: usize,
}

impl Stat {
    /// Returns the figures of a log without files, whose records are as durable as they will be.
    #[must_use]
    pub fn without_files(offsets: Offsets) -> Self {
        Self {
            offsets,
            assigned_end: offsets.end,
            recovery_point: offsets.end,
            bytes: 0,
            segments: 0,
        }
    }
}
