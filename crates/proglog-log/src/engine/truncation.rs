//! Truncation: the steps by which everything from a position on is dropped.
//!
//! Each step is durable before the next:
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
//! step 2 on and always with a new segment, as often as needed. So does the next append if a step after the first finds
//! no room. Any other failure of a step poisons the log, unless only the new segment could not be created.

use std::sync::Arc;

use proglog_store::io::Storage;
use proglog_store::segment::StoreExt;

use crate::engine::Engine;
use crate::engine::writer::{Truncating, Writer};
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint::Truncation;
use crate::segment::{Segment, removal};

impl Engine {
    /// Records in the checkpoint that the log is truncated, with the application's data. If there is no room for
    /// that, nothing has changed.
    pub(super) fn record_truncation(
        &self,
        truncation: Truncation,
        data: Option<&[u8]>,
    ) -> Result<()> {
        let recorded = {
            let mut checkpoint = self.checkpoint.lock();
            let next = checkpoint.current().with_truncation(truncation);
            checkpoint.begin(next.with_data(data))
        };
        recorded.inspect_err(|error| self.poison_unless_full(error))
    }

    /// Shows readers the log as `truncation`, which is recorded, leaves it. Files are yet to be removed.
    pub(super) fn show_truncation(
        &self,
        writer: &mut Writer,
        truncation: Truncation,
    ) -> Result<()> {
        let segments = self.view.segments();
        let last = writer.truncating.take();
        let mut bases = last.map(|last| last.bases).unwrap_or_default();
        bases.extend(segments.iter().map(|segment| segment.base()));
        if writer.sealed {
            // A roll that failed may have created this one all the same.
            bases.push(writer.next);
        }
        bases.sort_unstable();
        bases.dedup();
        writer.segment.set_newest_append(writer.newest_append());
        (writer.next, writer.sealed) = (truncation.to.offset(), true);
        // Before any file changes, so that no reader starts on records that are about to go. A reader in the
        // middle of them continues in the files it has open, and notices at its next record or failed read.
        let truncated = self.replace_truncated(&segments, truncation);
        writer.truncating = Some(Truncating { bases, truncated });
        // Its records are on the device, or are dropped.
        let detached = writer.active.store.detach_writer();
        detached
            .map_err(Reason::from)
            .inspect_err(|error| self.poison(error))?;
        let drops = |segment: &&Arc<Segment>| truncation.drops(segment.base());
        for segment in segments.iter().filter(drops) {
            segment.release();
        }
        Ok(())
    }

    /// Removes the files of a truncation that has begun, if there is one. Returns those of the active segment, still
    /// open, if it was dropped.
    pub(super) fn remove_truncated(&self, writer: &mut Writer) -> Result<Vec<Arc<dyn Storage>>> {
        let Some(truncating) = &writer.truncating else {
            return Ok(Vec::new());
        };
        let truncation = {
            let mut checkpoint = self.checkpoint.lock();
            let confirmed = checkpoint.confirm();
            confirmed.inspect_err(|error| self.poison_unless_full(error))?;
            let truncation = checkpoint.current().truncation();
            truncation.expect("the flag is cleared once the files are removed")
        };
        let removed = self.remove_files(writer, truncating, truncation);
        match &removed {
            Ok(_) => {
                writer.truncating = None;
                // Before the new segment takes the room.
                self.checkpoint.lock().restore_reserve();
            }
            Err(error) if error.is_want_of_room() => {}
            Err(error) => self.poison(error),
        }
        removed
    }

    fn remove_files(
        &self,
        writer: &Writer,
        truncating: &Truncating,
        truncation: Truncation,
    ) -> Result<Vec<Arc<dyn Storage>>> {
        let active = writer.active.base();
        let dropped = if truncation.drops(active) {
            removal::open_files(&*self.directory, active)
        } else {
            Vec::new()
        };
        removal::truncate(&*self.directory, truncation, &truncating.bases)?;
        self.trace_truncated(truncation);
        if let Some(segment) = &truncating.truncated {
            // A reader may have opened it before it was truncated.
            segment.release();
            segment.check_index(truncation.to.boundary.frames)?;
        }
        Ok(dropped)
    }

    /// Shows readers those of `segments` that the truncation leaves. Returns the segment that is itself truncated,
    /// if there is one: a new object, without the cached state of the old one.
    fn replace_truncated(
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

    /// Poisons the log because of `error`, of a write of the checkpoint, unless that found no room.
    fn poison_unless_full(&self, error: &Reason) {
        if error.kind() != ErrorKind::DiskFull {
            self.poison(error);
        }
    }

    /// Emits an event for a truncation whose records are dropped.
    #[cfg_attr(
        not(feature = "tracing"),
        expect(clippy::unused_self, reason = "there are no events")
    )]
    pub(super) fn trace_truncated(&self, truncation: Truncation) {
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
}
