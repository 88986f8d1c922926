//! Cutting a log: dropping all of it from some place on, and going on in a new segment.
//!
//! This serves three operations: [`truncate`](crate::Log::truncate) drops the newest records,
//! [`reset`](crate::Log::reset) drops all and jumps forward, and trimming a log down to nothing gives
//! the space of its active segment back. Each is done in these steps, of which every one is durable
//! before the next:
//!
//! 1. both slots of the checkpoint say where the log is cut, with the flag that it is being cut. From
//!    here on readers are shown what will be left, so that nobody begins to read what goes;
//! 2. segments from there on are removed, and the one that the place is in is cut;
//! 3. a new segment is made. What was dropped never stands beside what is appended: the new file has
//!    a new salt, by which frames of an old one are no frames;
//! 4. both slots of the checkpoint lose the flag. Only now records are appended.
//!
//! A crash in between finishes when the log is opened: from step 2 on, as often as it takes.

use std::sync::Arc;

use proglog_store::{Boundary, Storage};

use crate::engine::Shared;
use crate::engine::append::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::checkpoint::Truncation;
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::read::view::Place;
use crate::segment::{Segment, removal};

impl Shared {
    /// Drops the records at and after `offset`.
    pub(crate) fn truncate(&self, offset: Offset) -> Result<()> {
        let _trimming = self.trimming.lock();
        let _lead = self.lead();
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        let (start, end) = (self.reader.start_offset(), writer.next);
        if offset < start {
            return Err(Error::Trimmed { offset, start, end });
        }
        if offset > end {
            return Err(Error::OutOfRange { offset, start, end });
        }
        if offset == end {
            return Ok(());
        }
        self.seal_for_cut(writer)?;
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
        self.cut(writer, Truncation { to, start })
    }

    /// Drops all records; the next one gets the offset `next`.
    pub(crate) fn reset(&self, next: Offset) -> Result<()> {
        let _trimming = self.trimming.lock();
        let _lead = self.lead();
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        if next < writer.next {
            let end = writer.next;
            return Err(Error::ResetBelowEnd { next, end });
        }
        self.seal_for_cut(writer)?;
        self.empty(writer, next)
    }

    /// Drops all records and the files that held them, of a log whose active segment is sealed. The
    /// next record gets the offset `next`.
    pub(crate) fn empty(&self, writer: &mut Writer, next: Offset) -> Result<()> {
        let to = LogPosition::start_of(next);
        self.cut(writer, Truncation { to, start: next })
    }

    /// Seals the active segment, which brings the open group to its outcome, unless all of it is on the
    /// device anyway: then nothing has to be written, and a full device hinders nothing.
    pub(crate) fn seal_for_cut(&self, writer: &mut Writer) -> Result<()> {
        let synced = writer.active.store.recovery_point().frames;
        if writer.sealed || synced == writer.next.since(writer.active.base()) {
            return Ok(());
        }
        self.seal(writer)
    }

    /// Cuts the log, whose active segment is sealed, as `cut` says. Where that cannot be finished the
    /// log is stopped, since opening it again will finish it; but where only the new segment cannot be
    /// made, for want of room, say, the next append tries again.
    fn cut(&self, writer: &mut Writer, cut: Truncation) -> Result<()> {
        let dropped = self.start_cut(writer, cut).inspect_err(|error| {
            self.poison(error);
        })?;
        match self.next_segment(writer) {
            Err(error) if error.kind() == ErrorKind::DiskFull && !dropped.is_empty() => {
                // What is dropped keeps its room as long as someone has it open, and the writer has.
                for file in dropped {
                    drop(file.set_len(0));
                }
                self.next_segment(writer)
            }
            made => made,
        }
    }

    /// Does all that comes before the new segment. Returns the files of the active one, if that is dropped.
    fn start_cut(&self, writer: &mut Writer, cut: Truncation) -> Result<Vec<Arc<dyn Storage>>> {
        {
            let mut checkpoint = self.checkpoint.lock();
            let next = checkpoint.current().with_truncation(cut);
            checkpoint.write_twice(&next)?;
        }
        let segments = self.view.segments();
        let mut bases = segments
            .iter()
            .map(|segment| segment.base())
            .collect::<Vec<_>>();
        if writer.sealed {
            // A roll may have failed to make this one after all.
            bases.push(writer.next);
        }
        (writer.next, writer.sealed) = (cut.to.offset(), true);
        // Before any file is touched, so that nobody begins to read what goes. Who is reading it goes on
        // in the files that are open, and is told of the cut with the next record, or by a read that fails.
        let cut_segment = self.show_cut(&segments, cut);
        // What it holds is on the device already, or is dropped.
        writer.active.store.release()?;
        for segment in segments.iter().filter(|segment| cut.drops(segment.base())) {
            segment.release();
        }
        let active = writer.active.base();
        let dropped = if cut.drops(active) {
            removal::files(&*self.directory, active)
        } else {
            Vec::new()
        };
        removal::drop_segments(&*self.directory, cut, bases)?;
        if let Some(segment) = cut_segment {
            // It may have been opened before it was cut.
            segment.release();
            segment.check_index(cut.to.boundary.frames)?;
        }
        Ok(dropped)
    }

    /// Lets readers see what the cut leaves of `segments`. Returns the one that is cut itself, if one is:
    /// it is another from here on, with nothing of it in memory.
    fn show_cut(&self, segments: &[Arc<Segment>], cut: Truncation) -> Option<Arc<Segment>> {
        let mut kept = segments.to_vec();
        kept.retain(|segment| !cut.drops(segment.base()));
        let last = kept
            .last_mut()
            .filter(|last| last.base() == cut.to.segment_base);
        let cut_segment = last.map(|last| {
            *last = Arc::new(Segment::sealed(Arc::clone(&self.directory), last.base()));
            Arc::clone(last)
        });
        let end = Place {
            end: cut.to.offset(),
            base: cut.to.segment_base,
            position: cut.to.boundary.position,
        };
        self.view.cut(kept, cut.start, end);
        cut_segment
    }

    /// Notes that the log is cut no more, once its new segment, with base offset `base`, is there.
    /// Returns whether it was being cut.
    pub(crate) fn end_cut(&self, base: Offset) -> Result<bool> {
        let mut checkpoint = self.checkpoint.lock();
        let current = checkpoint.current().clone();
        let Some(truncation) = current.truncation() else {
            return Ok(false);
        };
        debug_assert_eq!(truncation.to.offset(), base);
        checkpoint.write_twice(&current.without_truncation(truncation))?;
        Ok(true)
    }
}
