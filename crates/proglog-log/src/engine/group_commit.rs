//! Group commit: makes submitted appends durable, visible and acknowledged.
//!
//! Every append joins the *open group*. A *leader* commits it: a thread that waits for the group, or a
//! background thread for tickets that are awaited or have a callback. There is one leader at a time. It closes
//! the open group, so that later appends join the next one, writes and syncs once for the whole group, and
//! wakes its waiters; appends continue meanwhile. A thread that waits for the next group then leads it. So one
//! writer alone pays for one sync an append on its own thread, and a hundred share one.
//!
//! A group lies in one segment: rolling syncs the old segment, which completes the open group.
//!
//! When a write fails, the group and all later appends are rolled back: the store is rewound to the start of
//! the group, and its offsets are used again, which is sound because no reader has seen them. A file system that
//! writes nothing in place may have no room to remove what was written of them; then their outcome is unknown, and
//! nothing is written until there is. When a sync fails the state of the device is unknown, and the log is poisoned.

use std::sync::Arc;

use crate::commit::shared_outcome::{Committer, SharedOutcome};
use crate::engine::Engine;
use crate::engine::writer::Writer;
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::layout::log_position::LogPosition;
use crate::options::Durability;
use crate::segment::files::SegmentFiles;
use crate::sync::MutexGuard;
use proglog_store::segment::StoreExt;

/// Durability that a commit gives its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Handed to the operating system.
    Flush,
    /// On the device.
    Sync,
}

/// A group that takes no more appends.
struct ClosedGroup {
    group: Arc<SharedOutcome>,
    segment: Arc<SegmentFiles>,
    start: LogPosition,
    end: LogPosition,
}

/// The lead. Threads that wait for a group sleep while another thread has it, so dropping this guard wakes the
/// next leader.
pub(crate) struct LeaderGuard<'a> {
    engine: &'a Engine,
    lead: Option<MutexGuard<'a, ()>>,
}

impl Drop for LeaderGuard<'_> {
    /// Wakes a thread that waits for the open group, to lead it. The writer's lock must not be held.
    fn drop(&mut self) {
        self.lead.take();
        self.engine.writer.lock().group.wake_next_leader();
    }
}

impl Committer for Engine {
    fn try_commit(&self, group: &SharedOutcome) {
        let Some(_leader) = self.try_lead() else {
            return;
        };
        if !group.is_complete() {
            self.commit_and_report();
        }
    }

    fn commit_in_background(&self) {
        self.tasks.commit.arm();
    }
}

impl Engine {
    /// Commits the open group as the durability of the log requires. The group reports a failure to its
    /// waiters. The caller has the lead.
    fn commit_and_report(&self) {
        let commit = match self.options.durability {
            Durability::Synced => Commit::Sync,
            Durability::Interval(_) | Durability::Buffered => Commit::Flush,
        };
        drop(self.commit_group(commit));
    }

    /// Waits for the lead and commits the open group as the durability of the log requires.
    pub(crate) fn commit_when_free(&self) {
        let _leader = self.lead();
        self.commit_and_report();
    }

    /// Waits for the lead and commits the open group.
    pub(crate) fn commit(&self, commit: Commit) -> Result<()> {
        let _leader = self.lead();
        self.commit_group(commit)
    }

    /// Commits all that was submitted before, down to the device.
    pub(crate) fn sync(&self) -> Result<()> {
        self.check_appendable()?;
        self.commit(Commit::Sync)
    }

    /// Waits for the lead.
    pub(crate) fn lead(&self) -> LeaderGuard<'_> {
        LeaderGuard {
            engine: self,
            lead: Some(self.lead.lock()),
        }
    }

    /// Takes the lead, if it is free.
    fn try_lead(&self) -> Option<LeaderGuard<'_>> {
        let lead = self.lead.try_lock()?;
        Some(LeaderGuard {
            engine: self,
            lead: Some(lead),
        })
    }

    /// Closes the open group, writes or syncs it, and completes it. The caller has the lead.
    pub(super) fn commit_group(&self, commit: Commit) -> Result<()> {
        let closed = {
            let mut writer = self.writer.lock();
            if writer.sealed {
                // All of it is on the device, and acknowledged.
                return Ok(());
            }
            ClosedGroup::close(&mut writer)
        };
        let store = &closed.segment.store;
        let committed = match commit {
            Commit::Flush => store.flush(),
            // Later appends may be written with the group, but are not claimed as durable: their own group may
            // still be rolled back.
            Commit::Sync => self.sync_segment(&closed.segment, closed.end.boundary),
        };
        if let Err(error) = committed {
            return self.fail(closed, error.into());
        }
        self.view.acknowledge(closed.end);
        closed.group.complete(Ok(()));
        let frames = closed.end.boundary.frames;
        closed.segment.index.write_full_pages(frames);
        match (commit, self.options.durability) {
            (Commit::Flush, Durability::Interval(interval)) => self.tasks.sync.arm_after(interval),
            (Commit::Flush, _) => {}
            // The log is not truncated while this thread has the lead.
            (Commit::Sync, _) => {
                self.write_checkpoint_if_due(&closed.segment, self.view.generation());
            }
        }
        Ok(())
    }

    /// Fails a group whose write or sync failed, and all later appends.
    fn fail(&self, closed: ClosedGroup, error: Reason) -> Result<()> {
        let ClosedGroup {
            group,
            segment,
            start,
            end,
        } = closed;
        let error = error.of_poisoned_store();
        let mut writer = self.writer.lock();
        if segment.store.recovery_point().frames >= end.boundary.frames {
            // A roll has synced it in the meantime.
            group.complete(Ok(()));
            return Ok(());
        }
        let rolled_back = if error.kind() == ErrorKind::Poisoned {
            Err(error.clone())
        } else if let Err(forked) = self.owner.check() {
            // The file is that of the parent.
            Err(forked)
        } else if self.options.durability == Durability::Buffered {
            // These appends are acknowledged, and stay in the buffer.
            return Err(error);
        } else {
            // Hide the failed appends from readers first.
            self.view.roll_back(start);
            segment
                .store
                .rewind(start.boundary)
                .map_err(|error| segment.not_rewound(error))
        };
        let later = writer.replace_group(start);
        let log = self.view.log();
        match rolled_back {
            Err(failure) if failure.kind() != ErrorKind::DiskFull => {
                self.poison(&failure);
                let error = log.error(failure.clone());
                group.complete(Err(error.clone()));
                later.complete(Err(error));
                Err(failure)
            }
            rolled_back => {
                writer.index = segment.index.truncate(start.boundary.frames);
                writer.next = start.offset();
                #[cfg(feature = "tracing")]
                tracing::warn!(
                    log_id = format_args!("{:032x}", self.log_id),
                    error = &self.view.log().error(error.clone()) as &dyn std::error::Error,
                    next_offset = writer.next.get(),
                    "appends rolled back"
                );
                let (own, others) = match rolled_back {
                    Ok(()) => {
                        let source = Arc::new(error.clone());
                        (error, Reason::GivenUp { source })
                    }
                    // There was no room to remove what was written: all may be back after a crash.
                    Err(in_doubt) => (in_doubt.clone(), in_doubt),
                };
                group.complete(Err(log.error(own.clone())));
                later.complete(Err(log.error(others)));
                Err(own)
            }
        }
    }
}

impl ClosedGroup {
    /// Closes the open group: later appends join the next one.
    fn close(writer: &mut Writer) -> Self {
        let segment = Arc::clone(&writer.active);
        let (start, end) = (writer.group_start, segment.end());
        Self {
            group: writer.replace_group(end),
            segment,
            start,
            end,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread;
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::options::LogOptions;
    use crate::record::Record;

    /// Commits as the log does, and sends a message after each try.
    struct Reporting(Arc<Engine>, Sender<()>);

    impl Committer for Reporting {
        fn try_commit(&self, group: &SharedOutcome) {
            self.0.try_commit(group);
            self.1.send(()).unwrap();
        }

        fn commit_in_background(&self) {
            self.0.commit_in_background();
        }
    }

    #[test]
    fn a_waiting_thread_leads_once_the_leader_is_done() {
        let disk = SimDisk::new();
        let never = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &never).unwrap();
        let leader = log.lead();
        let ticket = log.submit((&Record::new("a")).into(), None).unwrap();
        let group = Arc::clone(&log.writer.lock().group);
        let (tried, has_tried) = channel();
        let (done, is_done) = channel();
        let committer = Reporting(Arc::clone(&log), tried);
        thread::spawn(move || done.send(group.wait(&committer)));
        has_tried.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(is_done.try_recv().is_err(), "another thread has the lead");
        drop(leader);
        let outcome = is_done.recv_timeout(Duration::from_mins(1));
        outcome.expect("no thread leads").unwrap();
        assert_eq!(ticket.wait().unwrap().end, log.reader.end_offset());
    }
}
