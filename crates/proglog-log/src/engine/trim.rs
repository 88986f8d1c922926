//! Trimming: dropping the oldest records, by hand or by the policy of retention.
//!
//! The start of the log is in the checkpoint. Both slots say it before any file goes, so that damage
//! to one of them never makes a log miss a segment that was trimmed. A file that is left behind by a
//! crash is removed when the log is opened.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Shared;
use crate::engine::group_commit::Commit;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::options::Visibility;
use crate::retention::Held;
use crate::runtime;
use crate::segment::Segment;
use crate::segment::files::OpenSegment;
use crate::sync::Ordering;

/// How long retention by age waits for its next look, at the least and at the most.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_hours(1);

/// Segments of which nothing is seen any more, and whose files could not be removed.
pub(crate) type Trimmed = Vec<Arc<Segment>>;

impl Shared {
    /// Drops the records below `start`.
    pub(crate) fn trim(&self, start: Offset) -> Result<()> {
        self.trim_in_turn(start, &mut self.trimming.lock())
    }

    /// `trimmed` is what `trimming` guards.
    fn trim_in_turn(&self, start: Offset, trimmed: &mut Trimmed) -> Result<()> {
        self.check_appendable()?;
        self.check_trimmable(start, self.reader.visibility())?;
        if start > self.reader.start_offset() {
            self.make_durable(start, trimmed)?;
            if !self.trim_all(start)? {
                self.raise_start(start)?;
            }
        }
        self.remove_trimmed(start, trimmed)
    }

    /// Whether there is nothing that is not seen below `start`.
    fn check_trimmable(&self, start: Offset, visibility: Visibility) -> Result<()> {
        match self.view.check_readable(start, visibility) {
            Err(Error::Trimmed { .. }) => Ok(()),
            readable => readable.map(drop),
        }
    }

    /// Puts what lies below `start` on the device, if it is not: or else the log might end below its
    /// start after a crash.
    fn make_durable(&self, start: Offset, trimmed: &mut Trimmed) -> Result<()> {
        let durable = self.durable_end();
        if start <= durable {
            return Ok(());
        }
        match self.commit(Commit::Sync) {
            Err(error)
                if error.kind() == ErrorKind::DiskFull && durable > self.reader.start_offset() =>
            {
                // What can go gives room for what has to be written.
                self.raise_start(durable)?;
                self.remove_trimmed(durable, trimmed)?;
                self.commit(Commit::Sync)?;
            }
            committed => committed?,
        }
        // What was appended there may have been given up.
        self.check_trimmable(start, Visibility::Acknowledged)
    }

    /// Up to where readers see, as far as it is on the device.
    fn durable_end(&self) -> Offset {
        let active = Arc::clone(&self.writer.lock().active);
        self.durable_in(&active).0
    }

    /// Up to where readers see in the active segment, as far as it is on the device: the offset, and how
    /// many bytes of that segment are there.
    fn durable_in(&self, active: &OpenSegment) -> (Offset, u64) {
        let point = active.store.recovery_point();
        let synced = active.base().plus(point.frames);
        let acknowledged = self.view.range(Visibility::Acknowledged).end;
        (synced.min(acknowledged), point.position.get())
    }

    /// Drops all records, if `start` is the end of all: then the space of the active segment is given
    /// back too. Returns whether it did.
    fn trim_all(&self, start: Offset) -> Result<bool> {
        let _lead = self.lead();
        let writer = &mut *self.writer.lock();
        // It may have been closed since, and whoever has opened it then must not be disturbed.
        self.view.check_open()?;
        // If it cannot be sealed for want of room, records go all the same.
        if start != writer.next || self.seal_for_cut(writer).is_err() {
            return Ok(false);
        }
        self.empty(writer, start)?;
        Ok(true)
    }

    fn raise_start(&self, start: Offset) -> Result<()> {
        let active = {
            let writer = self.writer.lock();
            // Where a cut is to be finished, the next segment may get the name of this one.
            (!writer.sealed).then(|| Arc::clone(&writer.active))
        };
        {
            let mut checkpoint = self.checkpoint.lock();
            // Under the lock: closing waits for it before others may open the log.
            self.view.check_open()?;
            let mut next = checkpoint.current().clone();
            if let Some(active) = active {
                // Damage to a record that is dropped is not to be taken for the end of the log.
                next = next.with_recovery_point(LogPosition {
                    segment_base: active.base(),
                    boundary: active.store.recovery_point(),
                });
            }
            next.start = start;
            checkpoint.write_twice(&next)?;
        }
        self.view.trim(start);
        Ok(())
    }

    /// Removes the segments that have only records below `start`. Tries once more those that could not be
    /// removed before, which was told then.
    fn remove_trimmed(&self, start: Offset, trimmed: &mut Trimmed) -> Result<()> {
        trimmed.retain(|segment| segment.remove().is_err());
        let Some(first) = self.view.segment_of(start) else {
            return Ok(());
        };
        let mut removed = Ok(());
        for segment in self.view.drop_before(first.base()) {
            if let Err(error) = segment.remove() {
                removed = Err(error);
                trimmed.push(segment);
            }
        }
        removed
    }

    /// Drops what the policy of retention lets go, and returns the start of the log.
    pub(crate) fn retain(&self) -> Result<Offset> {
        self.check_appendable()?;
        // Segments that are looked at here stay until then.
        let mut trimmed = self.trimming.lock();
        let policy = self.options.retention;
        let now = self.steady_clock.now();
        let held = self.held()?;
        let kept = policy.first_kept(&held, now);
        let end = held.last().map(|held| held.offsets.end);
        let start = kept.map(|held| held.offsets.start).or(end);
        let range = self.view.range(self.reader.visibility());
        // Readers may not see as far yet.
        if let Some(start) = start.map(|start| start.min(range.end))
            && start > range.start
        {
            self.trim_in_turn(start, &mut trimmed)?;
        }
        if let Some(delay) = policy.next_look(kept, now) {
            self.retain_after(delay.clamp(LOOK_MIN, LOOK_MAX));
        }
        Ok(self.reader.start_offset())
    }

    /// The segments, as retention sees them.
    fn held(&self) -> Result<Vec<Held>> {
        let (active, end, newest) = {
            let writer = self.writer.lock();
            // Where a next segment is to be made, the last one is sealed, or is gone.
            let active = (!writer.sealed).then(|| Arc::clone(&writer.active));
            (active, writer.next, writer.last_appended_at())
        };
        let start = self.reader.start_offset();
        let segments = self.view.segments();
        let sealed_end = active.as_ref().map_or(end, |active| active.base());
        let nexts = segments.iter().skip(1).map(|next| next.base());
        let sealed = segments.iter().zip(nexts.chain([sealed_end]));
        let mut held = Vec::new();
        // There may be others since.
        for (segment, next) in sealed.take_while(|(segment, _)| segment.base() < sealed_end) {
            let summary = segment.summary(next)?;
            let offsets = segment.base().max(start)..next.max(start);
            held.push(Held {
                records: offsets.end.since(offsets.start),
                offsets,
                bytes: summary.bytes,
                newest: summary.newest,
                is_active: false,
            });
        }
        let Some(active) = active else {
            return Ok(held);
        };
        let first = active.base().max(start);
        let (durable, bytes) = self.durable_in(&active);
        held.push(Held {
            offsets: first..end.max(first),
            records: durable.max(first).since(first),
            bytes,
            // An empty segment is never too old.
            newest: newest.filter(|_| first < end),
            is_active: true,
        });
        Ok(held)
    }

    /// Sees to it that the policy of retention is carried out soon, in the background.
    pub(crate) fn retain_later(&self) {
        if self.options.retention.is_unlimited() || self.retain_soon.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        runtime::spawn(move || {
            if let Some(shared) = this.upgrade() {
                shared.retain_soon.store(false, Ordering::Release);
                // What cannot be dropped now is dropped by a later look.
                drop(shared.retain());
            }
        });
    }

    /// Sees to it that there is a look after `delay`, unless there is one earlier: one that is
    /// scheduled never comes too late, since what is kept only grows younger.
    fn retain_after(&self, delay: Duration) {
        if self.retain_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.this.clone();
        runtime::spawn_after(delay, move || {
            if let Some(shared) = this.upgrade() {
                shared.retain_scheduled.store(false, Ordering::Release);
                if shared.retain().is_err() && shared.check_appendable().is_ok() {
                    shared.retain_after(LOOK_MAX);
                }
            }
        });
    }
}
