//! Truncation: dropping everything from a position on.
//!
//! Three operations use it: [`truncate`](crate::Log::truncate) drops the newest records,
//! [`reset`](crate::Log::reset) drops all and jumps forward, and trimming down to an empty log gives back the
//! space of the active segment. Each takes these steps, and each step is durable before the next:
//!
//! 1. The checkpoint records the position and the truncation flag. From here on readers see the truncated log, so
//!    that none starts on records that are about to go.
//! 2. The records are dropped, and so that none of them can come back beside new ones:
//!    - A few at the end of the active segment are *erased*: overwritten with zeros. The segment continues there.
//!    - Otherwise segments after the position are removed, the one that contains it is truncated, and a new
//!      segment is created, under whose salt old frames are invalid.
//! 3. The checkpoint clears the flag. Only now are records appended.
//!
//! Erasing takes three syncs, one for each step. Opening the log completes a truncation that a crash interrupted, from
//! step 2 on and always with a new segment, as often as needed.

use std::sync::Arc;

use proglog_store::Boundary;
use proglog_store::io::Storage;
use proglog_store::segment::StoreExt;

use crate::engine::Engine;
use crate::engine::group_commit::Commit;
use crate::engine::writer::Writer;
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::{self, Truncation};
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::options::Durability;
use crate::segment::{Segment, removal};

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
        if self.can_erase(writer, to) {
            match self.erase_truncated(writer, truncation, data) {
                // The file system writes zeros to another place, and truncates in any case.
                Err(error) if error.kind() == ErrorKind::DiskFull => {}
                erased => return erased.inspect_err(|error| self.poison(error)),
            }
        }
        self.apply_truncation(writer, truncation, data)
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

    /// Truncates the log as `truncation` says by erasing records at the end of the active segment.
    fn erase_truncated(
        &self,
        writer: &mut Writer,
        truncation: Truncation,
        data: Option<&[u8]>,
    ) -> Result<()> {
        let to = truncation.to;
        self.begin_truncation(truncation, data)?;
        // Sealed, unless all steps succeed.
        (writer.next, writer.sealed) = (to.offset(), true);
        // Before the file changes. A reader that finds zeros, or new records, looks up its next record again.
        self.view.truncate(to);
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

    /// Records in the checkpoint that the log is truncated, with the application's data.
    fn begin_truncation(&self, truncation: Truncation, data: Option<&[u8]>) -> Result<()> {
        let mut checkpoint = self.checkpoint.lock();
        let next = checkpoint.current().with_truncation(truncation);
        checkpoint.write(next.with_data(data))
    }

    /// Emits an event for a truncation whose records are dropped.
    #[cfg_attr(
        not(feature = "tracing"),
        expect(clippy::unused_self, reason = "there are no events")
    )]
    fn trace_truncated(&self, truncation: Truncation) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            log_id = format_args!("{:032x}", self.log_id),
            start_offset = truncation.start.get(),
            end_offset = truncation.to.offset().get(),
            "log truncated"
        );
        #[cfg(not(feature = "tracing"))]
        let _ = truncation;
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

    /// Truncates the log as `truncation` says. The active segment is durable, or sealed. A failure poisons the
    /// log, since opening it again completes the truncation; but if only the new segment cannot be created,
    /// for want of room, say, the next append tries again.
    fn apply_truncation(
        &self,
        writer: &mut Writer,
        truncation: Truncation,
        data: Option<&[u8]>,
    ) -> Result<()> {
        let dropped = self
            .drop_truncated(writer, truncation, data)
            .inspect_err(|error| self.poison(error))?;
        match self.next_segment(writer) {
            Err(error) if error.kind() == ErrorKind::DiskFull && !dropped.is_empty() => {
                // A removed file keeps its space as long as it is open, and the writer has it open.
                for file in dropped {
                    drop(file.set_len(0));
                }
                self.next_segment(writer)
            }
            created => created,
        }
    }

    /// Performs the steps before the new segment. Returns the files of the active segment, if it was dropped.
    fn drop_truncated(
        &self,
        writer: &mut Writer,
        truncation: Truncation,
        data: Option<&[u8]>,
    ) -> Result<Vec<Arc<dyn Storage>>> {
        self.begin_truncation(truncation, data)?;
        let segments = self.view.segments();
        let mut bases = segments
            .iter()
            .map(|segment| segment.base())
            .collect::<Vec<_>>();
        if writer.sealed {
            // A roll that failed may have created this one all the same.
            bases.push(writer.next);
        }
        writer.segment.set_newest_append(writer.newest_append());
        (writer.next, writer.sealed) = (truncation.to.offset(), true);
        // Before any file changes, so that no reader starts on records that are about to go. A reader in the
        // middle of them continues in the files it has open, and notices at its next record or failed read.
        let truncated = self.show_truncated(&segments, truncation);
        // Its records are on the device, or are dropped.
        writer.active.store.detach_writer()?;
        let drops = |segment: &&Arc<Segment>| truncation.drops(segment.base());
        for segment in segments.iter().filter(drops) {
            segment.release();
        }
        let active = writer.active.base();
        let dropped = if truncation.drops(active) {
            removal::open_files(&*self.directory, active)
        } else {
            Vec::new()
        };
        removal::truncate(&*self.directory, truncation, &bases)?;
        self.trace_truncated(truncation);
        if let Some(segment) = truncated {
            // A reader may have opened it before it was truncated.
            segment.release();
            segment.check_index(truncation.to.boundary.frames)?;
        }
        Ok(dropped)
    }

    /// Shows readers those of `segments` that the truncation leaves. Returns the segment that is itself truncated,
    /// if there is one: a new object, without the cached state of the old one.
    fn show_truncated(
        &self,
        segments: &[Arc<Segment>],
        truncation: Truncation,
    ) -> Option<Arc<Segment>> {
        let mut kept = segments.to_vec();
        kept.retain(|segment| !truncation.drops(segment.base()));
        let last = kept
            .last_mut()
            .filter(|last| last.base() == truncation.to.segment_base);
        let truncated = last.map(|last| {
            let segment = Segment::sealed(
                Arc::clone(&self.directory),
                self.options.cache_or_global(),
                last.base(),
            );
            segment.set_newest_append(last.newest_append());
            *last = Arc::new(segment.with_set_aside(last.set_aside().to_vec()));
            Arc::clone(last)
        });
        self.view.replace(kept, truncation.start, truncation.to);
        truncated
    }
}
