//! Positions in a log.

use proglog_store::Boundary;

use crate::offset::Offset;

/// A point between two records: a segment, and a boundary in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogPosition {
    /// Base offset of the segment.
    pub(crate) segment_base: Offset,
    /// The point in that segment.
    pub(crate) boundary: Boundary,
}

impl LogPosition {
    /// Returns the start of the segment with base offset `segment_base`.
    pub(crate) fn start_of(segment_base: Offset) -> Self {
        Self {
            segment_base,
            boundary: Boundary::START,
        }
    }

    /// Returns the offset of the record that follows.
    #[inline]
    pub(crate) fn offset(self) -> Offset {
        self.segment_base.saturating_add(self.boundary.frames)
    }
}
