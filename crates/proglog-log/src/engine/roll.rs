//! Rolling: sealing the active segment and starting the next.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::group_commit::Commit;
use crate::engine::writer::Writer;
use crate::error::kind::ErrorKind;
use crate::error::reason::{Result, SegmentIdentity};
use crate::layout::log_position::LogPosition;
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::segment::Segment;
use proglog_store::segment::StoreExt;

impl Engine {
    /// Seals the active segment, unless it is sealed, and starts the next one.
    #[cold]
    pub(crate) fn roll(&self, writer: &mut Writer) -> Result<()> {
        self.check_directory()?;
        if !writer.sealed {
            self.seal(writer)?;
        }
        self.next_segment(writer)
            .map_err(|error| self.append_error(error))
    }

    /// Rolls to a new segment, unless the active one has no records, and returns the base offset of the active
    /// segment.
    pub(crate) fn roll_now(&self) -> Result<Offset> {
        // Most of the work, and what may fail an append, is done before the writer's lock is taken.
        self.commit(Commit::Sync)?;
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        if writer.sealed || writer.next != writer.active.base() {
            self.roll(writer)?;
        }
        Ok(writer.next)
    }

    /// Syncs the active segment, which completes the open group, and closes it for appends.
    fn seal(&self, writer: &mut Writer) -> Result<()> {
        let active = Arc::clone(&writer.active);
        let begun = self.notices.begin_sync();
        let sealed = active.store.seal();
        let synced = active.recovery_point();
        self.notices.synced(begun, active.base(), synced.boundary);
        if synced.offset() == writer.next {
            // The open group is durable, even if the mark that seals the store could not be written.
            self.view.acknowledge(synced);
            writer.replace_group(synced).complete(Ok(()));
        }
        sealed.map_err(|error| self.append_error(error))?;
        writer.segment.set_newest_append(writer.newest_append());
        writer.sealed = true;
        Ok(())
    }

    /// Seals the active segment, unless all of it is on the device: then nothing has to be written, so this
    /// works on a full device.
    pub(crate) fn seal_unless_durable(&self, writer: &mut Writer) -> Result<()> {
        if writer.sealed || writer.active.recovery_point().offset() == writer.next {
            return Ok(());
        }
        self.seal(writer)
    }

    /// Starts the segment after the active one, which takes no more appends. Completes a truncation that is
    /// recorded in the checkpoint.
    pub(crate) fn next_segment(&self, writer: &mut Writer) -> Result<()> {
        let truncates = writer.truncating.is_some();
        let dropped = self.remove_truncated(writer)?;
        match self.create_segment(writer) {
            Err(error) if truncates && error.kind() == ErrorKind::DiskFull => {
                // A removed file keeps its space as long as it is open: by the writer, and maybe by readers.
                for file in dropped {
                    drop(file.set_len(0));
                }
                writer.active = writer.segment.placeholder(&writer.active);
                self.create_segment(writer)
            }
            created => created,
        }
    }

    /// Creates the segment after the active one, and continues in it.
    fn create_segment(&self, writer: &mut Writer) -> Result<()> {
        let old = Arc::clone(&writer.active);
        let identity = SegmentIdentity {
            log_id: self.log_id,
            base_offset: writer.next,
        };
        let label = Label {
            identity,
            previous_base: self.view.newest_base(),
        };
        let (cache, options) = (self.options.cache_or_global(), self.options.store_options());
        let segment = Segment::create(&self.directory, cache, label, options)?;
        let segment = Arc::new(segment);
        if !self.clear_truncation(writer.next)? {
            // The index is a cache: if this fails it is rebuilt when it is needed.
            old.index.write_all(true);
        }
        let active = segment.open()?;
        self.view.push(&segment);
        writer.segment.release();
        // Readers of the old segment keep its files and not its lock: the log may be truncated there.
        drop(old.store.detach_writer());
        writer.continue_in(segment, active);
        // The checkpoint may lag: recovery reads the segments.
        let start = LogPosition::start_of(writer.next);
        if let Err(error) = self.write_checkpoint(start, self.view.generation()) {
            self.count_failure("checkpoint not written", &error);
        }
        self.notices.rolled(writer.next);
        #[cfg(feature = "tracing")]
        tracing::debug!(
            log_id = format_args!("{:032x}", self.log_id),
            base_offset = writer.next.get(),
            "segment created"
        );
        self.retain_soon();
        Ok(())
    }

    /// Schedules a retention pass, if the policy has a limit.
    pub(crate) fn retain_soon(&self) {
        if !self.retention.lock().is_unlimited() {
            self.tasks.retention.arm();
        }
    }

    /// Clears the truncation in the checkpoint, if there is one, now that the new segment, with base offset
    /// `base`, exists. Returns whether there was one.
    fn clear_truncation(&self, base: Offset) -> Result<bool> {
        let mut checkpoint = self.checkpoint.lock();
        let current = checkpoint.current().clone();
        let Some(truncation) = current.truncation() else {
            return Ok(false);
        };
        debug_assert_eq!(truncation.to.offset(), base);
        checkpoint.write(current.without_truncation(LogPosition::start_of(base)))?;
        Ok(true)
    }
}
