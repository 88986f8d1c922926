//! Truncation: dropping everything from a position on, and continuing in a new segment.
//!
//! Three operations use it: [`truncate`](crate::Log::truncate) drops the newest records,
//! [`reset`](crate::Log::reset) drops all and jumps forward, and trimming down to an empty log gives back the
//! space of the active segment. Each takes these steps, and each step is durable before the next:
//!
//! 1. Both slots of the checkpoint record the position and the truncation flag. From here on readers see the
//!    truncated log, so that none starts on records that are about to go.
//! 2. Segments after the position are removed, and the one that contains it is truncated.
//! 3. A new segment is created. Dropped records never lie in one file with new ones: the new file has a new
//!    salt, under which old frames are invalid.
//! 4. Both slots of the checkpoint clear the flag. Only now are records appended.
//!
//! Opening the log completes a truncation that a crash interrupted, from step 2 on, as often as needed.

use std::sync::Arc;

use proglog_store::Boundary;
use proglog_store::io::Storage;
use proglog_store::segment::StoreExt;

use crate::engine::Engine;
use crate::engine::writer::Writer;
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::{self, Truncation};
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::segment::{Segment, removal};

impl Engine {
    /// Drops the records at and after `offset`, and stores the application's data with that.
    pub(crate) fn truncate(&self, offset: Offset, data: Option<&[u8]>) -> Result<()> {
        checkpoint::check_data(data)?;
        let _trimming = self.trimming.lock();
        let _leader = self.lead();
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
        self.apply_truncation(writer, Truncation { to, start }, data)
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
        {
            let mut checkpoint = self.checkpoint.lock();
            let next = checkpoint.current().with_truncation(truncation);
            checkpoint.write_twice(&next.with_data(data))?;
        }
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
        #[cfg(feature = "tracing")]
        tracing::debug!(
            log_id = format_args!("{:032x}", self.log_id),
            start_offset = truncation.start.get(),
            end_offset = truncation.to.offset().get(),
            "log truncated"
        );
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
