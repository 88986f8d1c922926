//! What a log does in the background for what it has acknowledged: syncs that nobody waits for, and coming
//! to rest.
//!
//! A log of weaker durability is synced at its interval, or after so many bytes. It is done without the
//! lead, so appends are acknowledged meanwhile; only what is acknowledged is claimed, since what is not
//! may still be given up. A log to which nothing was appended for a while is brought to rest, whatever its
//! durability: all of it is synced, with a mark that says so, and its memory is given back.

use std::sync::Arc;
use std::time::Duration;

use proglog_store::Boundary;

use crate::engine::Shared;
use crate::engine::group_commit::Commit;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use crate::runtime;
use crate::segment::files::OpenSegment;
use crate::sync::Ordering;

/// How long after a sync of an idle log has failed it is tried again, at the least.
const REST_AGAIN_MIN: Duration = Duration::from_secs(1);

/// How many bytes are appended before the checkpoint is written anew, at the most.
const CHECKPOINT_BYTES: u64 = 16 << 20;

impl Shared {
    /// Sees to it that what was flushed is synced once the interval has passed.
    pub(crate) fn sync_later(&self) {
        let Durability::Interval(interval) = self.options.durability else {
            return;
        };
        if self.sync_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        runtime::spawn_after(interval, move || {
            if let Some(shared) = this.upgrade() {
                shared.sync_scheduled.store(false, Ordering::Release);
                // A failure stops the log, which tells.
                drop(shared.sync_behind());
            }
        });
    }

    /// Sees to it that what was appended is synced soon, in the background, where nobody waits for it: so
    /// that there is little left to sync when the segment is full.
    pub(crate) fn sync_soon(&self) {
        let this = self.this.clone();
        runtime::spawn(move || {
            if let Some(shared) = this.upgrade() {
                drop(shared.sync_behind());
            }
        });
    }

    /// Syncs what is acknowledged in the active segment, without the lead: appends and their
    /// acknowledgements go on meanwhile.
    fn sync_behind(&self) -> Result<()> {
        let (segment, acknowledged, state) = {
            let writer = self.writer.lock();
            if writer.sealed {
                // All of it is on the device, or is dropped.
                return Ok(());
            }
            let segment = Arc::clone(&writer.active);
            (segment, self.view.acknowledged(), self.view.state())
        };
        if acknowledged.base != segment.base() {
            // It was made just now.
            return Ok(());
        }
        let to = Boundary {
            position: acknowledged.position,
            frames: acknowledged.end.since(acknowledged.base),
        };
        let synced = segment.store.sync_to(to).map_err(Error::from);
        if let Err(error) = synced {
            let error = error.of_poisoned_store();
            if error.kind() == ErrorKind::Poisoned {
                self.poison(&error);
            }
            return Err(error);
        }
        self.write_checkpoint_if_due(&segment, state);
        Ok(())
    }

    /// Sees to it that the log is brought to rest once nothing was appended for a while: it is synced,
    /// and a sync mark is written. Then damage to what was acknowledged last is known for what it is,
    /// even if the process is killed; and the store gives its buffers back.
    pub(crate) fn rest_when_idle(&self, end: Boundary) {
        self.look_whether_idle(self.options.idle_after, end);
    }

    /// Looks after `delay` whether the active segment still ends at `end`, unless there is a look to come.
    fn look_whether_idle(&self, delay: Duration, end: Boundary) {
        let scheduled = &self.rest_scheduled;
        if scheduled.load(Ordering::Acquire) || scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        runtime::spawn_after(delay, move || {
            let Some(shared) = this.upgrade() else {
                return;
            };
            // Before the look: an append that the look does not see asks for another.
            shared.rest_scheduled.store(false, Ordering::SeqCst);
            let active = Arc::clone(&shared.writer.lock().active);
            let now = active.store.end();
            if now != end {
                return shared.rest_when_idle(now);
            }
            if let Err(error) = shared.rest(&active, now)
                && !matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Closed)
            {
                // A device that is full may have room by then.
                let delay = shared.options.idle_after.max(REST_AGAIN_MIN);
                shared.look_whether_idle(delay, active.store.end());
            }
        });
    }

    /// Brings the log to rest, if the active segment still ends at `end` once it is synced.
    fn rest(&self, active: &OpenSegment, end: Boundary) -> Result<()> {
        self.commit(Commit::Sync)?;
        if active.store.recovery_point() == end {
            active.index.release_memory();
            self.writer.lock().release_memory();
            active.store.mark()?;
        }
        Ok(())
    }

    /// `state` is that of the view when this was the active segment.
    pub(crate) fn write_checkpoint_if_due(&self, segment: &OpenSegment, state: u64) {
        let point = segment.store.recovery_point();
        let last = self.checkpoint.lock().current().state.position();
        let is_due = last.is_none_or(|last| {
            let synced = point.position.get();
            last.segment_base != segment.base()
                || synced.saturating_sub(last.boundary.position.get()) >= CHECKPOINT_BYTES
        });
        if is_due {
            // It may lag behind: what matters is in the segments.
            drop(self.write_checkpoint(segment.base(), point, state));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use crate::offset::Offset;
    use crate::open;
    use crate::options::Options;
    use crate::record::Record;

    #[test]
    fn a_sync_that_was_overtaken_by_a_cut_leaves_the_checkpoint_alone() {
        let disk = SimDisk::new();
        let never = Options::new()
            .idle_after(Duration::MAX)
            .segment_bytes_max(1 << 10);
        let log = open::open(disk.directory(), &never).unwrap();
        for _ in 0..40 {
            log.append(&Record::new("a".repeat(100))).unwrap();
        }
        // What a background sync knows when it is done.
        let (segment, state) = (log.writer.lock().active.clone(), log.view.state());
        log.truncate(Offset::new(10)).unwrap();
        let before = log.checkpoint.lock().current().clone();
        log.write_checkpoint_if_due(&segment, state);
        assert_eq!(*log.checkpoint.lock().current(), before);
        log.close().unwrap();
        let log = open::open(disk.directory(), &never).unwrap();
        assert_eq!(log.reader.end_offset(), Offset::new(10));
    }

    #[test]
    fn the_checkpoint_is_written_again_once_much_was_synced() {
        let disk = SimDisk::new();
        let options = Options::new().idle_after(Duration::MAX);
        let log = open::open(disk.directory(), &options).unwrap();
        let record = Record::new(vec![7; 1 << 20]);
        let recovery_point = || {
            log.checkpoint
                .lock()
                .current()
                .recovery_point_in(Offset::ZERO)
                .frames
        };
        for appended in 1..=40 {
            log.append(&record).unwrap();
            // Every 16 MiB, of which each record has a little more than one.
            assert_eq!(recovery_point(), appended / 16 * 16, "after {appended}");
        }
    }
}
