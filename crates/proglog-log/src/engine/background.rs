//! Background work on acknowledged records: syncs that no append waits for, and quiescing an idle log.
//!
//! A log of weaker durability is synced at its interval, or after a number of bytes. That happens without the
//! lead, so appends are acknowledged meanwhile; only acknowledged records are claimed as durable, since others
//! may still be rolled back. A log of any durability that has had no append for a while is quiesced: synced,
//! with a sync mark that says so, and its memory freed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::engine::group_commit::Commit;
use crate::engine::tasks::Task;
use crate::engine::{Engine, Tasks};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::log_position::LogPosition;
use crate::segment::files::SegmentFiles;
use proglog_store::segment::StoreExt;

/// Shortest delay before another try to quiesce a log that could not be synced.
const QUIESCE_RETRY_MIN: Duration = Duration::from_secs(1);

/// Returns the tasks of `engine`. Errors are dropped: a failure that matters poisons the log or is reported
/// through a commit group, and the rest is tried again later.
pub(crate) fn tasks(engine: &Weak<Engine>) -> Tasks {
    Tasks {
        commit: Task::new(engine, |engine, ()| engine.commit_when_free()),
        sync: Task::new(engine, |engine, ()| drop(engine.sync_acknowledged())),
        quiesce: Task::new(engine, Engine::quiesce_if_idle),
        retention: Task::new(engine, |engine, ()| _ = engine.retain_in_background()),
        retention_by_age: Task::new(engine, |engine, ()| engine.retain_by_age()),
    }
}

impl Engine {
    /// Syncs the acknowledged records of the active segment, without the lead.
    fn sync_acknowledged(&self) -> Result<()> {
        let (segment, acknowledged, generation) = {
            let writer = self.writer.lock();
            if writer.sealed {
                // All of it is on the device, or was dropped.
                return Ok(());
            }
            let segment = Arc::clone(&writer.active);
            (segment, self.view.acknowledged(), self.view.generation())
        };
        if acknowledged.segment_base != segment.base() {
            // The segment is new, and nothing in it is acknowledged.
            return Ok(());
        }
        let synced = segment.store.sync_to(acknowledged.boundary);
        if let Err(error) = synced.map_err(Error::from) {
            let error = error.of_poisoned_store();
            if error.kind() == ErrorKind::Poisoned {
                self.poison(&error);
            }
            return Err(error);
        }
        self.write_checkpoint_if_due(&segment, generation);
        Ok(())
    }

    /// Quiesces the log if it still ends at `end`; otherwise looks again later.
    fn quiesce_if_idle(&self, end: LogPosition) {
        let active = Arc::clone(&self.writer.lock().active);
        let now = active.end();
        let idle_after = self.options.idle_after;
        if now != end {
            return self.tasks.quiesce.arm_after_with(idle_after, now);
        }
        if let Err(error) = self.quiesce(&active, now)
            && !matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Closed)
        {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                log_id = format_args!("{:032x}", self.log_id),
                error = &error as &dyn std::error::Error,
                "idle log not synced"
            );
            // A full device may have room by then.
            let delay = idle_after.max(QUIESCE_RETRY_MIN);
            self.tasks.quiesce.arm_after_with(delay, active.end());
        }
    }

    /// Syncs the log. If the active segment still ends at `end` then, frees its memory and writes a sync mark:
    /// damage to the newest records is then detected as corruption, not mistaken for a torn write, even after
    /// the process was killed.
    fn quiesce(&self, active: &SegmentFiles, end: LogPosition) -> Result<()> {
        self.commit(Commit::Sync)?;
        if active.recovery_point() == end {
            active.index.release_memory();
            self.writer.lock().release_memory();
            active.store.write_sync_mark()?;
        }
        Ok(())
    }
}
