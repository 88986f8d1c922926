//! Closing a log.

use crate::engine::Engine;
use crate::engine::group_commit::Commit;
use crate::error::reason::Result;

impl Engine {
    /// Commits all that was submitted, closes the files and releases the lock. Has no effect on a closed log.
    ///
    /// Fails in a process that was forked from the one that opened the log: that one still has it open, and shares its
    /// lock and files. No lock is taken then, since a thread that is gone may hold it.
    pub(crate) fn close(&self) -> Result<()> {
        self.owner.check()?;
        // Held to the end: a second call returns once the log is closed.
        let mut lock = self.lock.lock();
        // A trim in progress is done with its files before another process may open the log.
        let _trimming = self.trimming.lock();
        {
            // Appends check it under this lock.
            let _writer = self.writer.lock();
            if !self.view.close() {
                return Ok(());
            }
        }
        let committed = self.commit(Commit::Sync);
        let closed = self.close_files();
        // Waits for a checkpoint that is being written; none begins any more.
        drop(self.checkpoint.lock());
        // No file is opened any more.
        self.release_directory();
        if let Some(lock) = lock.take() {
            // Dropping the handle releases the lock in any case.
            drop(lock.unlock());
        }
        committed.and(closed)
    }

    fn close_files(&self) -> Result<()> {
        let _leader = self.lead();
        let writer = self.writer.lock();
        let active = &writer.active;
        let closed = active.store.close();
        if closed.is_ok() && !writer.sealed {
            active.index.write_all(false);
            active.index.close_file();
        }
        for segment in &self.view.segments() {
            segment.release();
        }
        closed?;
        let mut checkpoint = self.checkpoint.lock();
        super::raise_recovery_point(&mut checkpoint, active.recovery_point())
    }
}
