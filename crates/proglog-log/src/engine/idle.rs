//! Quiescing an idle log: once there has been no append for a while, the log is synced, with a sync mark that says
//! so, its memory is freed, and its directory is released. It keeps two files open: those that it has locked.

use std::sync::Arc;
use std::time::Duration;

use proglog_store::segment::StoreExt;

use crate::engine::Engine;
use crate::engine::group_commit::Commit;
use crate::error::kind::ErrorKind;
use crate::error::reason::Result;
use crate::layout::log_position::LogPosition;
use crate::segment::files::SegmentFiles;

/// Shortest delay before another try to quiesce a log that could not be synced.
const QUIESCE_RETRY_MIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Quiesces the log if it still ends at `end`; otherwise looks again later.
    pub(super) fn quiesce_if_idle(&self, end: LogPosition) {
        // If it has moved, what was appended is synced all the same.
        drop(self.check_directory());
        let active = Arc::clone(&self.writer.lock().active);
        let now = active.end();
        let idle_after = self.options.idle_after;
        if now != end {
            return self.tasks.quiesce.arm_after_with(idle_after, now);
        }
        if let Err(error) = self.quiesce(&active, now)
            && !matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Closed)
        {
            self.count_failure("idle log not synced", &error);
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
            self.writer.lock().release_memory();
            active.index.close_file();
            active.store.write_sync_mark()?;
            let _writer = self.writer.lock();
            // With the lock no append is under way, and one since has scheduled another run.
            if !self.tasks.quiesce.is_scheduled() {
                self.release_directory();
            }
        }
        Ok(())
    }
}
