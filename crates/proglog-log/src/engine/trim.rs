//! Trimming: dropping the oldest records.
//!
//! The start of the log is in the checkpoint, which has the new start in two copies before any file is removed, so
//! damage to one of them never makes a trimmed segment look missing. Opening the log removes files that a crash
//! left.

use std::sync::Arc;

use crate::engine::group_commit::Commit;
use crate::engine::{Engine, Trimmed};
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::checkpoint;
use crate::offset::Offset;
use crate::options::Visibility;
use crate::segment::files::SegmentFiles;

impl Engine {
    /// Drops the records below `start`, and stores the application's data with that.
    pub(crate) fn trim(&self, start: Offset, data: Option<&[u8]>) -> Result<()> {
        self.trim_locked(start, data, &mut self.trimming.lock())
    }

    /// As [`Engine::trim`]. The caller holds the lock that guards `trimmed`.
    pub(super) fn trim_locked(
        &self,
        start: Offset,
        data: Option<&[u8]>,
        trimmed: &mut Trimmed,
    ) -> Result<()> {
        checkpoint::check_data(data)?;
        self.check_appendable()?;
        self.check_directory()?;
        self.check_trimmable(start, self.reader.visibility())?;
        if start > self.reader.start_offset() {
            self.make_durable(start, data, trimmed)?;
            if !self.trim_all(start, data)? {
                self.raise_start(start, data)?;
            }
        } else if let Some(data) = data {
            self.set_application_data(data)?;
        }
        let removed = self.remove_trimmed(start, trimmed);
        let mut checkpoint = self.checkpoint.lock();
        // Under the lock: closing takes it before another process may open the log.
        if self.view.is_open() {
            // There may be room for it now.
            checkpoint.restore_reserve();
        }
        removed
    }

    /// Checks that `start` is not past the end at `visibility`.
    fn check_trimmable(&self, start: Offset, visibility: Visibility) -> Result<()> {
        match self.view.check_readable(start, visibility) {
            Err(Reason::Trimmed { .. }) => Ok(()),
            readable => readable.map(drop),
        }
    }

    /// Syncs everything below `start`: otherwise the log might end below its start after a crash.
    fn make_durable(
        &self,
        start: Offset,
        data: Option<&[u8]>,
        trimmed: &mut Trimmed,
    ) -> Result<()> {
        let durable = self.durable_end();
        if start <= durable {
            return Ok(());
        }
        match self.commit(Commit::Sync) {
            Err(error)
                if error.kind() == ErrorKind::DiskFull
                    && durable > self.reader.start_offset()
                    && data.is_none() =>
            {
                // Trimming durable records makes room for those that have to be written. No data goes with that.
                self.raise_start(durable, None)?;
                self.remove_trimmed(durable, trimmed)?;
                self.commit(Commit::Sync)?;
            }
            committed => committed?,
        }
        // Appends below it may have been rolled back.
        self.check_trimmable(start, Visibility::Acknowledged)
    }

    /// Returns the end of the records that are acknowledged and on the device.
    fn durable_end(&self) -> Offset {
        let active = Arc::clone(&self.writer.lock().active);
        self.durable_in(&active).0
    }

    /// Returns the end of the records that are acknowledged and on the device, and the bytes of the active segment
    /// that are on the device.
    pub(super) fn durable_in(&self, active: &SegmentFiles) -> (Offset, u64) {
        let synced = active.recovery_point();
        let acknowledged = self.view.range(Visibility::Acknowledged).end;
        let end = synced.offset().min(acknowledged);
        (end, synced.boundary.position.get())
    }

    /// Drops all records and gives back the space of the active segment too, if `start` is the end of the log.
    /// Returns whether it did.
    fn trim_all(&self, start: Offset, data: Option<&[u8]>) -> Result<bool> {
        let _leader = self.lead();
        let writer = &mut *self.writer.lock();
        // The log may have been closed since, and be open in another process.
        self.view.check_open()?;
        // If there is no room to seal the segment, its records are dropped all the same.
        if start != writer.next || self.seal_unless_durable(writer).is_err() {
            return Ok(false);
        }
        self.empty(writer, start, data)?;
        Ok(true)
    }

    /// Writes the new start to the checkpoint, with the application's data, and shows it to readers.
    fn raise_start(&self, start: Offset, data: Option<&[u8]>) -> Result<()> {
        let active = {
            let writer = self.writer.lock();
            // After a truncation the next segment may get the name of this one.
            (!writer.sealed).then(|| Arc::clone(&writer.active))
        };
        {
            let mut checkpoint = self.checkpoint.lock();
            // Under the lock: closing takes it before another process may open the log.
            self.view.check_open()?;
            let mut next = checkpoint.current().clone();
            if let Some(active) = active {
                // With it, damage to a dropped record is not taken for the end of the log.
                next = next.with_recovery_point(active.recovery_point());
            }
            next.start = start;
            checkpoint.write(next.with_data(data))?;
        }
        self.view.trim(start);
        Ok(())
    }

    /// Removes the segments that have only records below `start`. Retries those that could not be removed
    /// before, whose errors were returned then.
    fn remove_trimmed(&self, start: Offset, trimmed: &mut Trimmed) -> Result<()> {
        trimmed.retain(|segment| segment.remove().is_err());
        let Some(first) = self.view.segment_of(start) else {
            return Ok(());
        };
        let mut removed = Ok(());
        for segment in self.view.drop_before(first.base()) {
            if let Err(error) = segment.remove() {
                #[cfg(feature = "tracing")]
                tracing::warn!(
                    log_id = format_args!("{:032x}", self.log_id),
                    error = &self.view.log().error(error.clone()) as &dyn std::error::Error,
                    base_offset = segment.base().get(),
                    "trimmed segment not removed"
                );
                removed = Err(error);
                trimmed.push(segment);
            }
        }
        removed
    }
}
