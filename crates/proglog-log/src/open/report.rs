//! What opening a log found and did.

use std::sync::Arc;
use std::time::Duration;

use proglog_store::{Position, SetAside};

use crate::offset::{Offset, Offsets};

/// What opening a log found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the log ended with all of it known to be synced: it was closed, or it was idle when
    /// it ended. A log that was made just now is clean too.
    pub clean: bool,
    /// The records that the log has.
    pub records: Offsets,
    /// The end of what was known to be on the device before (exclusive); all records are now.
    pub recovery_point: Offset,
    /// What lay at the end of the newest segment and is not a whole batch, kept in a file of its
    /// own. Most likely it was never acknowledged. It is ambiguous, in that it cannot be told from
    /// damage to what was acknowledged last, just before the log ended without being closed.
    pub set_aside: Option<SetAside>,
    /// How many bytes of zeros were cut from the end of the newest segment: space that was made ready
    /// for appends, or what a file system leaves after a crash. They hold nothing, and are not kept.
    pub zeros_removed: u64,
    /// The first damage found below the recovery point: a segment's file name and the place in it.
    /// Records there are unreadable, all others are not. Only what was scanned counts: damage
    /// elsewhere shows when it is read.
    pub damaged: Option<(Arc<str>, Position)>,
    /// Whether one copy of the newest segment's header was damaged, and was restored from the other.
    pub header_restored: bool,
    /// How many segments had no usable index, and got a new one.
    pub indexes_rebuilt: usize,
    /// Files that were being made when the log ended. They hold nothing of it.
    pub left_over: Vec<String>,
    /// How long opening took.
    pub elapsed: Duration,
}
