//! Appending: assigns offsets and encodes records into the active segment.
//!
//! Records are measured and encoded under the writer's lock, straight into the store's buffer, since the
//! checksum of each covers its offset and position. They then wait for [`group_commit`](super::group_commit).

use std::sync::Arc;
use std::time::Duration;

use crate::commit::append::{Append, Attempt};
use crate::commit::shared_outcome::SharedOutcome;
use crate::commit::ticket::Ticket;
use crate::engine::Engine;
use crate::engine::writer::{Appended, Writer};
use crate::error::reason::{Reason, Result};
use crate::error::{Error, Named};
use crate::offset::{Offset, Offsets};
use crate::options::Durability;
use crate::record::Record;
use crate::record::fields::Fields;
use crate::sync;
use proglog_store::segment::StoreExt;
use proglog_store::{Error as StoreError, Position};

/// Bytes that a buffered log appends before they are synced in the background.
const SYNC_BYTES: u64 = 8 << 20;

/// The longest time that an append which must not wait spends on the writer's lock.
const LOCK_WAIT_MAX: Duration = Duration::from_micros(50);

/// The result of assigning offsets to a batch.
struct Enqueued {
    /// Offset of the first record.
    start: Offset,
    /// The group that will have the outcome; `None` if the batch is acknowledged already.
    group: Option<Arc<SharedOutcome>>,
}

impl Engine {
    /// Appends one record and waits for the outcome, whose error names the log as those of tickets do.
    pub(crate) fn append(&self, record: Fields<'_>) -> Result<Offset, Error> {
        let enqueued = self.enqueue(record, None);
        let Enqueued { start, group } = enqueued.named(self.view.log())?;
        match group {
            Some(group) => group.wait(self).map(|()| start),
            None => Ok(start),
        }
    }

    /// Appends one record; if `expected` is given, only if that is the next offset to be assigned.
    pub(crate) fn submit(
        self: &Arc<Self>,
        record: Fields<'_>,
        expected: Option<Offset>,
    ) -> Result<Ticket> {
        let enqueued = self.enqueue(record, expected)?;
        Ok(self.ticket(enqueued, 1))
    }

    /// Appends `records` as a batch; if `expected` is given, only if that is the next offset to be assigned.
    pub(crate) fn submit_batch(
        self: &Arc<Self>,
        records: &[Record],
        expected: Option<Offset>,
    ) -> Result<Ticket> {
        let enqueued = match records {
            [record] => self.enqueue(record.into(), expected),
            _ => self.enqueue_batch(records, expected),
        }?;
        Ok(self.ticket(enqueued, records.len()))
    }

    /// Appends a batch, unless that would have to wait.
    pub(crate) fn try_submit(self: &Arc<Self>, mut append: Append) -> Result<Attempt> {
        append.mark();
        let records = append.batch.records();
        if let Some(enqueued) = self.try_enqueue(records, append.expected)? {
            return Ok(Attempt::Taken(self.ticket(enqueued, records.len())));
        }
        append.unmark();
        Ok(Attempt::Blocked(append))
    }

    fn ticket(self: &Arc<Self>, enqueued: Enqueued, records: usize) -> Ticket {
        let Enqueued { start, group } = enqueued;
        let offsets = Offsets::new(start, start.saturating_add(records as u64));
        match group {
            Some(group) => Ticket::pending(offsets, group, Arc::clone(self) as _),
            None => Ticket::ready(offsets),
        }
    }

    /// Appends `record` to the open group.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    fn enqueue(&self, record: Fields<'_>, expected: Option<Offset>) -> Result<Enqueued> {
        self.options.check_sizes(std::iter::once(record))?;
        let writer = &mut *self.writer.lock();
        self.check_submit(writer, 1, expected)?;
        let time = writer.now();
        let append = |writer: &mut Writer, limit| writer.append_one(record, &time, limit);
        let appended = self.append_or_roll(writer, append)?;
        Ok(self.after_append(writer, &appended))
    }

    /// Appends `records` to the open group.
    fn enqueue_batch(&self, records: &[Record], expected: Option<Offset>) -> Result<Enqueued> {
        self.options.check_sizes(records.iter().map(Fields::from))?;
        let writer = &mut *self.writer.lock();
        self.check_submit(writer, records.len(), expected)?;
        if records.is_empty() {
            let (start, group) = (writer.next, None);
            return Ok(Enqueued { start, group });
        }
        let time = writer.now();
        let lens = writer.measure(records, &time);
        let append =
            |writer: &mut Writer, limit| writer.append_batch(records, (&lens, &time), limit);
        let appended = self.append_or_roll(writer, append);
        writer.keep(lens);
        Ok(self.after_append(writer, &appended?))
    }

    /// Appends `records` to the open group, if the writer's lock is to be had soon and the buffer of the active segment
    /// has room for them.
    fn try_enqueue(
        &self,
        records: &[Record],
        expected: Option<Offset>,
    ) -> Result<Option<Enqueued>> {
        self.options.check_sizes(records.iter().map(Fields::from))?;
        let Some(mut writer) = sync::lock_within(&self.writer, LOCK_WAIT_MAX) else {
            return Ok(None);
        };
        let writer = &mut *writer;
        self.check_submit(writer, records.len(), expected)?;
        if records.is_empty() {
            let (start, group) = (writer.next, None);
            return Ok(Some(Enqueued { start, group }));
        }
        if writer.sealed {
            return Ok(None);
        }
        let limit = self.limit_of_active(writer);
        let limit = limit.min(writer.active.store.buffered_end_max());
        let time = writer.now();
        let lens = writer.measure(records, &time);
        let appended = writer.append_batch(records, (&lens, &time), limit);
        writer.keep(lens);
        match appended {
            Ok(appended) => Ok(appended.map(|appended| self.after_append(writer, &appended))),
            // The next segment takes it.
            Err(Reason::Store(StoreError::PayloadTooLarge { .. })) => Ok(None),
            Err(error) => Err(self.append_error(error)),
        }
    }

    /// Checks that the log takes appends, and that `records` records can get the offsets from the next one on.
    #[inline]
    fn check_submit(
        &self,
        writer: &Writer,
        records: usize,
        expected: Option<Offset>,
    ) -> Result<()> {
        self.check_appendable()?;
        if !self.tasks.quiesce.is_scheduled() {
            // The log is idle, so nothing has looked for a while.
            self.end_pause()?;
        }
        let next = writer.next;
        if let Some(expected) = expected.filter(|expected| *expected != next) {
            return Err(Reason::EndMoved {
                expected,
                end: next,
            });
        }
        if u64::MAX - next.get() < records as u64 {
            return Err(Reason::OffsetsExhausted { next, records });
        }
        Ok(())
    }

    /// Makes appended records visible if they are acknowledged at once; otherwise has them join the open group.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    fn after_append(&self, writer: &mut Writer, appended: &Appended) -> Enqueued {
        let (start, end) = (appended.start, appended.end);
        let group = if self.options.durability == Durability::Buffered {
            self.view.acknowledge_at_once(writer.next);
            self.after_buffered(writer, appended);
            None
        } else {
            self.view.append(end);
            Some(Arc::clone(&writer.group))
        };
        let idle_after = self.options.idle_after;
        self.tasks.quiesce.arm_after_with(idle_after, end);
        Enqueued { start, group }
    }

    /// Writes index pages, and schedules syncs, for a log whose appends are acknowledged at once.
    #[inline]
    fn after_buffered(&self, writer: &mut Writer, appended: &Appended) {
        let end = appended.end.boundary;
        if appended.page_is_full {
            writer.active.index.write_full_pages(end.frames);
        }
        if end.position.get() - writer.sync_requested >= SYNC_BYTES {
            writer.sync_requested = end.position.get();
            // Then there is little left to sync when the segment is full.
            self.tasks.sync.arm();
        }
    }

    /// Returns the limit on the length of the active segment. An empty one takes any batch, since its successor would
    /// have the same name.
    #[inline]
    fn limit_of_active(&self, writer: &Writer) -> Position {
        Position::new(if writer.active_is_empty() {
            u64::MAX
        } else {
            self.options.segment_bytes_max
        })
    }

    /// Calls `append` for the active segment, with a limit on its length, or for the next one: if the active one
    /// would become longer, or was made with a smaller limit on records.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    fn append_or_roll(
        &self,
        writer: &mut Writer,
        append: impl Fn(&mut Writer, Position) -> Result<Option<Appended>>,
    ) -> Result<Appended> {
        loop {
            if !writer.sealed {
                match append(writer, self.limit_of_active(writer)) {
                    Ok(Some(appended)) => return Ok(appended),
                    Ok(None) => {}
                    Err(Reason::Store(StoreError::PayloadTooLarge { .. }))
                        if !writer.active_is_empty() => {}
                    Err(error) => return Err(self.append_error(error)),
                }
            }
            self.roll(writer)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::options::LogOptions;

    #[test]
    fn an_append_that_is_tried_waits_for_no_thread_that_keeps_the_lock() {
        let disk = SimDisk::new();
        let never = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &never).unwrap();
        let append = Append::new(["a"]);
        let writer = log.writer.lock();
        let attempt = log.try_submit(append.clone()).unwrap();
        assert!(matches!(attempt, Attempt::Blocked(blocked) if blocked == append));
        drop(writer);
        let attempt = log.try_submit(append).unwrap();
        assert!(matches!(attempt, Attempt::Taken(_)));
    }
}
