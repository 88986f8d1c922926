//! The operations that [truncate](super::truncation): [`truncate`](crate::Log::truncate) drops the newest records,
//! [`reset`](crate::Log::reset) drops all and jumps forward, and trimming down to an empty log gives back the space of
//! the active segment.

use proglog_store::Boundary;

use crate::engine::Engine;
use crate::engine::group_commit::Commit;
use crate::engine::writer::Writer;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::{self, Truncation};
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::options::Durability;

/// Most bytes that are erased: with more, a new segment takes less time.
const ERASED_MAX: u64 = 1 << 20;

impl Engine {
    /// Drops the records at and after `offset`, and stores the application's data with that.
    pub(crate) fn truncate(&self, offset: Offset, data: Option<&[u8]>) -> Result<()> {
        checkpoint::check_data(data)?;
        let _trimming = self.trimming.lock();
        let _leader = self.lead();
        self.check_appendable()?;
        if self.options.durability == Durability::Synced {
            // Where all of the active segment is on the device, it need not be sealed.
            self.commit_group(Commit::Sync)?;
        }
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        self.check_directory()?;
        let (start, end) = (self.reader.start_offset(), writer.next);
        if offset < start {
            return Err(Reason::Trimmed { offset, start, end });
        }
        if offset > end {
            return Err(Reason::OutOfRange { offset, start, end });
        }
        if offset == end {
            return data.map_or(Ok(()), |data| self.set_application_data(data));
        }
        self.seal_unless_durable(writer)?;
        let segment = self.view.segment_of(offset);
        let segment = segment.expect("an offset from the start on is in a segment");
        let boundary = if offset == segment.base() {
            Boundary::START
        } else {
            segment.open()?.boundary_before(offset)?
        };
        let to = LogPosition {
            segment_base: segment.base(),
            boundary,
        };
        let truncation = Truncation { to, start };
        if !self.can_erase(writer, to) {
            return self.apply_truncation(writer, truncation, data);
        }
        self.record_truncation(truncation, data)?;
        match self.erase_truncated(writer, truncation) {
            // The file system writes zeros to another place, and truncates in any case.
            Err(error) if error.is_want_of_room() => self.continue_truncated(writer, truncation),
            erased => erased.inspect_err(|error| self.poison(error)),
        }
    }

    /// Returns whether what follows `to` can be erased. The active segment is durable, or sealed.
    fn can_erase(&self, writer: &Writer, to: LogPosition) -> bool {
        let active = &writer.active;
        let dropped = |from: u64| active.end().boundary.position.get().saturating_sub(from);
        // In a log of another durability a sync that is under way may claim what is dropped.
        self.options.durability == Durability::Synced
            && !writer.sealed
            && active.base() == to.segment_base
            && dropped(to.boundary.position.get()) <= ERASED_MAX
            && active.can_erase(to.boundary)
    }

    /// Erases the records that `truncation` drops, which is recorded, at the end of the active segment.
    fn erase_truncated(&self, writer: &mut Writer, truncation: Truncation) -> Result<()> {
        let to = truncation.to;
        // Sealed, unless all steps succeed.
        (writer.next, writer.sealed) = (to.offset(), true);
        // Before the file changes. A reader that finds zeros, or new records, looks up its next record again.
        self.view.truncate(to);
        self.checkpoint.lock().confirm()?;
        let index = writer.active.erase(to.boundary)?;
        {
            let mut checkpoint = self.checkpoint.lock();
            let done = checkpoint.current().without_truncation(to);
            checkpoint.write(done)?;
        }
        writer.continue_erased(index);
        self.trace_truncated(truncation);
        Ok(())
    }

    /// Drops all records, and stores the application's data with that; the next record gets the offset `next`.
    pub(crate) fn reset(&self, next: Offset, data: Option<&[u8]>) -> Result<()> {
        checkpoint::check_data(data)?;
        let _trimming = self.trimming.lock();
        let _leader = self.lead();
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        self.check_directory()?;
        if next < writer.next {
            let end = writer.next;
            return Err(Reason::ResetBelowEnd { next, end });
        }
        self.seal_unless_durable(writer)?;
        self.empty(writer, next, data)
    }

    /// Drops all records and their files; the next record gets the offset `next`. The active segment is
    /// durable, or sealed.
    pub(crate) fn empty(
        &self,
        writer: &mut Writer,
        next: Offset,
        data: Option<&[u8]>,
    ) -> Result<()> {
        let to = LogPosition::start_of(next);
        self.apply_truncation(writer, Truncation { to, start: next }, data)
    }

    /// Truncates the log as `truncation` says, and continues in a new segment. The active segment is durable, or sealed.
    fn apply_truncation(
        &self,
        writer: &mut Writer,
        truncation: Truncation,
        data: Option<&[u8]>,
    ) -> Result<()> {
        self.record_truncation(truncation, data)?;
        self.continue_truncated(writer, truncation)
    }

    /// Applies `truncation`, which is recorded, and continues in a new segment.
    fn continue_truncated(&self, writer: &mut Writer, truncation: Truncation) -> Result<()> {
        self.show_truncation(writer, truncation)?;
        self.next_segment(writer)
    }
}
