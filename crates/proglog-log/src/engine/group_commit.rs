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

use crate::commit::ticket::{Driver, Group};
use crate::engine::Shared;
use crate::engine::append::{Writer, place};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Offset;
use crate::options::Durability;
use crate::runtime;
use crate::segment::files::OpenSegment;
use crate::sync::{MutexGuard, Ordering};

/// What the leader's work makes sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Handed to the operating system.
    Flush,
    /// On the device.
    Sync,
}

/// A group that takes no more appends.
struct ClosedGroup {
    group: Arc<Group>,
    segment: Arc<OpenSegment>,
    /// Where the group begins: the offset, and the place in the segment.
    start: (Offset, Boundary),
    /// Where it ends (exclusive).
    end: (Offset, Boundary),
}

/// The lead, held by the one thread that brings groups to their outcome. Whoever waits for one in the
/// meantime sleeps; so when the lead is given up, it is passed on.
pub(crate) struct Lead<'a> {
    shared: &'a Shared,
    lead: Option<MutexGuard<'a, ()>>,
}

impl Drop for Lead<'_> {
    /// Wakes one that waits for the open group, to lead it. The writer's lock must not be held.
    fn drop(&mut self) {
        self.lead.take();
        self.shared.writer.lock().group.call_one();
    }
}

impl Driver for Shared {
    fn drive(&self, group: &Group) {
        let Some(_lead) = self.try_lead() else {
            return;
        };
        if !group.is_complete() {
            // A failure is told through the group.
            drop(self.commit_group(self.commit_for_durability()));
        }
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
        let _lead = self.lead();
        self.commit_group(commit)
    }

    /// Takes the lead, as soon as it is free.
    pub(crate) fn lead(&self) -> Lead<'_> {
        Lead {
            shared: self,
            lead: Some(self.lead.lock()),
        }
    }

    /// Takes the lead, if it is free.
    fn try_lead(&self) -> Option<Lead<'_>> {
        let lead = self.lead.try_lock()?;
        Some(Lead {
            shared: self,
            lead: Some(lead),
        })
    }

    /// Brings the open group to its outcome, and returns it. The caller has the lead.
    fn commit_group(&self, commit: Commit) -> Result<()> {
        let closed = {
            let mut writer = self.writer.lock();
            if writer.sealed {
                // All of it is on the device, and acknowledged.
                return Ok(());
            }
            Self::close_group(&mut writer)
        };
        let store = &closed.segment.store;
        let committed = match commit {
            Commit::Flush => store.flush(),
            // What was appended behind the group may be written with it, but is not claimed: its
            // own group may still have to be given up.
            Commit::Sync => store.sync_to(closed.end.1),
        };
        if let Err(error) = committed {
            return self.fail(closed, error.into());
        }
        self.view.acknowledge(place(&closed.segment, closed.end));
        closed.group.settle(Ok(()));
        closed.segment.index.write_full_pages(closed.end.1.frames);
        match commit {
            Commit::Flush => self.sync_later(),
            // Who has the lead knows that the log is not cut meanwhile.
            Commit::Sync => self.write_checkpoint_if_due(&closed.segment, self.view.state()),
        }
        if closed.start != closed.end {
            self.rest_when_idle(closed.end.1);
        }
        Ok(())
    }

    /// Closes the open group: from here on appends join the next one.
    fn close_group(writer: &mut Writer) -> ClosedGroup {
        let segment = Arc::clone(&writer.active);
        let end = (writer.next, segment.store.end());
        let start = std::mem::replace(&mut writer.group_start, end);
        let group = std::mem::replace(&mut writer.group, Group::new());
        ClosedGroup {
            group,
            segment,
            start,
            end,
        }
    }

    /// Fails a group whose write or sync failed, and all that was submitted behind it.
    fn fail(&self, closed: ClosedGroup, error: Error) -> Result<()> {
        let ClosedGroup {
            group,
            segment,
            start,
            end,
        } = closed;
        let error = error.of_poisoned_store();
        let mut writer = self.writer.lock();
        if segment.store.recovery_point().frames >= end.1.frames {
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
            // First of all nobody looks for them any more.
            self.view.take_back(place(&segment, start));
            segment
                .store
                .rewind(start.1)
                .map_err(|error| segment.not_rewound(error))
        };
        let behind = std::mem::replace(&mut writer.group, Group::new());
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
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread;
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::options::Options;
    use crate::record::Record;

    /// Drives groups as the log does, and tells each time that it has.
    struct Told(Arc<Shared>, Sender<()>);

    impl Driver for Told {
        fn drive(&self, group: &Group) {
            self.0.drive(group);
            self.1.send(()).unwrap();
        }

        fn drive_in_background(&self) {
            self.0.drive_in_background();
        }
    }

    #[test]
    fn one_who_waits_leads_once_the_lead_is_given_up() {
        let disk = SimDisk::new();
        let never = Options::new().idle_after(Duration::MAX);
        let log = open::open(disk.directory(), &never).unwrap();
        let lead = log.lead();
        let ticket = log.submit(&[Record::new("a")], None).unwrap();
        let group = Arc::clone(&log.writer.lock().group);
        let (tell, told) = channel();
        let (done, is_done) = channel();
        let driver = Told(Arc::clone(&log), tell);
        thread::spawn(move || done.send(group.wait(&driver)));
        told.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(is_done.try_recv().is_err(), "another has the lead");
        drop(lead);
        let outcome = is_done.recv_timeout(Duration::from_mins(1));
        outcome.expect("nobody leads").unwrap();
        assert_eq!(ticket.wait().unwrap().end, log.reader.end_offset());
    }
}
