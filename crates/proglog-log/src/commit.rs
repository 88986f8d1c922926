//! Group commit: how submitted appends become durable, visible and acknowledged.
//!
//! Every append joins the *open group*. A group gets its outcome from a *leader*: a thread that waits
//! for it, or a background thread for those that cannot wait. There is one leader at a time. It closes
//! the open group, so that later appends join the next one, writes and syncs once for all of the
//! group, and wakes them; meanwhile appends go on. Whoever then waits for the next group leads it.
//! So one writer alone pays one sync an append on its own thread, and a hundred share one.
//!
//! A group lies in one segment: rolling syncs the old segment, which completes the open group.
//!
//! When a write fails, the group and all that was submitted behind it are given up: the store is
//! rewound to where the group began, and its offsets are used again, which is sound since nobody has
//! seen them. When a sync fails nothing is known, and the log is poisoned.

use std::sync::Arc;

use proglog_store::Boundary;

use crate::error::{Error, ErrorKind, Result};
use crate::offset::Offset;
use crate::options::Durability;
use crate::runtime;
use crate::segment::OpenSegment;
use crate::shared::{Shared, Visible, Writer};
use crate::sync::{MutexGuard, Ordering};
use crate::ticket::{Driver, Group};

/// How many bytes are appended before the checkpoint is written anew, at the most.
const CHECKPOINT_BYTES: u64 = 16 << 20;

/// What the leader's work makes sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Handed to the operating system.
    Flush,
    /// On the device.
    Sync,
}

/// A group that takes no more appends.
struct Closed {
    group: Arc<Group>,
    segment: Arc<OpenSegment>,
    /// Where the group begins: the offset, and the place in the segment.
    start: (Offset, Boundary),
    /// Where it ends (exclusive).
    end: (Offset, Boundary),
}

/// What a leader has done.
#[must_use]
pub(crate) struct Committed {
    outcome: Result<()>,
    /// Groups whose outcome is settled and whose callbacks have not run.
    settled: Vec<Arc<Group>>,
}

impl Committed {
    /// Runs the callbacks, which may use the log: the caller holds no lock.
    pub(crate) fn call_back(self) -> Result<()> {
        for group in self.settled {
            group.call_back();
        }
        self.outcome
    }
}

impl Driver for Shared {
    fn drive(&self, group: &Group) {
        let Some(lead) = self.lead.try_lock() else {
            return;
        };
        if group.is_complete() {
            drop(lead);
            return self.pass_lead_on();
        }
        // A failure is told through the group.
        drop(self.lead(lead, self.commit_for_durability()).call_back());
    }

    fn drive_in_background(&self) {
        if self.background_commit.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(shared) = self.this.upgrade() else {
            return;
        };
        runtime::spawn(move || {
            // Whoever submits from here on asks anew.
            shared.background_commit.store(false, Ordering::Release);
            // Those who wait are told of a failure through their group.
            drop(shared.commit(shared.commit_for_durability()));
        });
    }
}

impl Shared {
    fn commit_for_durability(&self) -> Commit {
        match self.options.durability {
            Durability::Synced => Commit::Sync,
            Durability::Interval(_) | Durability::Buffered => Commit::Flush,
        }
    }

    /// Takes the lead, as soon as it is free, and brings the open group to its outcome.
    pub(crate) fn commit(&self, commit: Commit) -> Result<()> {
        self.commit_quietly(commit).call_back()
    }

    /// As [`Shared::commit`], but leaves the callbacks to the caller.
    pub(crate) fn commit_quietly(&self, commit: Commit) -> Committed {
        self.lead(self.lead.lock(), commit)
    }

    /// Brings the open group to its outcome and gives up the lead.
    fn lead(&self, lead: MutexGuard<'_, ()>, commit: Commit) -> Committed {
        let mut settled = Vec::new();
        let outcome = self.commit_group(commit, &mut settled);
        drop(lead);
        self.pass_lead_on();
        Committed { outcome, settled }
    }

    /// Wakes one that waits for the open group, to lead it.
    fn pass_lead_on(&self) {
        self.writer.lock().group.wake_one();
    }

    /// Brings the open group to its outcome, and returns it. The caller has the lead, and calls back
    /// the groups that it finds in `settled` when it has given it up.
    fn commit_group(&self, commit: Commit, settled: &mut Vec<Arc<Group>>) -> Result<()> {
        let closed = Self::close_group(&mut self.writer.lock());
        let store = &closed.segment.store;
        let committed = match commit {
            Commit::Flush => store.flush(),
            Commit::Sync => store.sync(),
        };
        if let Err(error) = committed {
            return self.fail(closed, error.into(), settled);
        }
        self.show(&closed.segment, closed.end);
        closed.group.settle(Ok(()));
        settled.push(closed.group);
        closed.segment.index.write_full_pages(closed.end.1.frames);
        match commit {
            Commit::Flush => self.sync_later(),
            Commit::Sync => {
                self.write_checkpoint_if_due(&closed.segment);
                self.mark_when_idle();
            }
        }
        Ok(())
    }

    /// Closes the open group: from here on appends join the next one.
    fn close_group(writer: &mut Writer) -> Closed {
        let segment = Arc::clone(&writer.active);
        let end = (writer.next, segment.store.end());
        let start = std::mem::replace(&mut writer.group_start, end);
        let group = std::mem::replace(&mut writer.group, Group::new());
        Closed {
            group,
            segment,
            start,
            end,
        }
    }

    /// Lets readers see what lies below `end`, in this segment and those before it.
    pub(crate) fn show(&self, segment: &Arc<OpenSegment>, end: (Offset, Boundary)) {
        let mut visible = self.visible.lock();
        if visible.end < end.0 {
            *visible = Visible {
                end: end.0,
                base: segment.base(),
                position: end.1.position,
            };
            self.visible_end.store(end.0.get(), Ordering::Release);
        }
    }

    /// Fails a group whose write or sync failed, and all that was submitted behind it.
    fn fail(&self, closed: Closed, error: Error, settled: &mut Vec<Arc<Group>>) -> Result<()> {
        let Closed {
            group,
            segment,
            start,
            end,
        } = closed;
        let error = error.of_poisoned_store();
        let mut writer = self.writer.lock();
        settled.push(Arc::clone(&group));
        if segment.store.recovery_point() >= end.1 {
            // A roll has synced it in the meantime.
            group.settle(Ok(()));
            return Ok(());
        }
        let given_up = if error.kind() == ErrorKind::Poisoned {
            Err(error.clone())
        } else if self.options.durability == Durability::Buffered {
            // Nobody waits: these appends are acknowledged, and stay in the buffer.
            return Err(error);
        } else {
            segment.store.rewind(start.1).map_err(Error::from)
        };
        let behind = std::mem::replace(&mut writer.group, Group::new());
        settled.push(Arc::clone(&behind));
        match given_up {
            Ok(()) => {
                segment.index.truncate(start.1.frames);
                writer.next = start.0;
                writer.group_start = start;
                group.settle(Err(error.clone()));
                behind.settle(Err(Error::GivenUp {
                    source: Arc::new(error.clone()),
                }));
                Err(error)
            }
            Err(failure) => {
                self.poison(&failure);
                group.settle(Err(failure.clone()));
                behind.settle(Err(failure.clone()));
                Err(failure)
            }
        }
    }

    /// Sees to it that what was flushed is synced once the interval has passed.
    fn sync_later(&self) {
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
                // A failed sync poisons the log; a failed write is tried again with the next append.
                drop(shared.commit(Commit::Sync));
            }
        });
    }

    /// Sees to it that a sync mark is written once nothing was appended for a while: then damage to
    /// what was acknowledged last is known for what it is, even if the process is killed.
    fn mark_when_idle(&self) {
        if self.mark_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        runtime::spawn_after(self.options.idle_after, move || {
            if let Some(shared) = this.upgrade() {
                shared.mark_scheduled.store(false, Ordering::Release);
                let store = shared.writer.lock().active.store.clone();
                if store.recovery_point() == store.end() {
                    // A mark that cannot be written comes with the next append.
                    drop(store.mark());
                }
            }
        });
    }

    fn write_checkpoint_if_due(&self, segment: &OpenSegment) {
        let point = segment.store.recovery_point();
        let last = self.checkpoint.lock().current().clone();
        let appended = point
            .position
            .get()
            .saturating_sub(last.recovery_point.position.get());
        if last.segment_base != segment.base() || appended >= CHECKPOINT_BYTES {
            // It may lag behind: what matters is in the segments.
            drop(self.write_checkpoint(segment.base(), point));
        }
    }
}
