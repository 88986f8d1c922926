//! Appending: assigns offsets and encodes records into the active segment.
//!
//! Records are measured and encoded under the writer's lock, straight into the store's buffer, since the
//! checksum of each covers its offset and position. They then wait for [`group_commit`](super::group_commit).

use std::sync::Arc;

use crate::commit::shared_outcome::SharedOutcome;
use crate::commit::ticket::Ticket;
use crate::engine::Engine;
use crate::engine::writer::{Appended, Writer};
use crate::error::reason::{Reason, Result};
use crate::error::{Error, Named};
use crate::offset::{Offset, Offsets};
use crate::options::Durability;
use crate::record::Record;
use crate::record::encode::{Stored, Time};

/// Bytes that a buffered log appends before they are synced in the background.
const SYNC_BYTES: u64 = 8 << 20;

/// The result of assigning offsets to a batch.
struct Enqueued {
    /// Offset of the first record.
    start: Offset,
    /// The group that will have the outcome; `None` if the batch is acknowledged already.
    group: Option<Arc<SharedOutcome>>,
}

impl Engine {
    /// Appends one record and waits for the outcome, whose error names the log as those of tickets do.
    pub(crate) fn append(&self, record: &Record) -> Result<Offset, Error> {
        let enqueued = self.enqueue(std::slice::from_ref(record), None);
        let Enqueued { start, group } = enqueued.named(self.view.log())?;
        match group {
            Some(group) => group.wait(self).map(|()| start),
            None => Ok(start),
        }
    }

    /// Appends `records` as a batch; if `expected` is given, only if that is the next offset to be assigned.
    pub(crate) fn submit(
        self: &Arc<Self>,
        records: &[Record],
        expected: Option<Offset>,
    ) -> Result<Ticket> {
        let Enqueued { start, group } = self.enqueue(records, expected)?;
        let offsets = Offsets::new(start, start.saturating_add(records.len() as u64));
        Ok(match group {
            Some(group) => Ticket::pending(offsets, group, Arc::clone(self) as _),
            None => Ticket::ready(offsets),
        })
    }

    /// Appends `records` to the open group.
    fn enqueue(&self, records: &[Record], expected: Option<Offset>) -> Result<Enqueued> {
        self.options.check_sizes(records)?;
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        if !self.tasks.quiesce.is_scheduled() {
            // The log is idle, so nothing has looked for a while.
            self.check_directory()?;
        }
        check_next(writer.next, records.len(), expected)?;
        if records.is_empty() {
            let (start, group) = (writer.next, None);
            return Ok(Enqueued { start, group });
        }
        let appended = self.encode(writer, records)?;
        let (start, end) = (appended.start, appended.end);
        let group = if self.options.durability == Durability::Buffered {
            self.view.acknowledge(end);
            self.after_buffered(writer, &appended);
            None
        } else {
            self.view.append(end);
            Some(Arc::clone(&writer.group))
        };
        let idle_after = self.options.idle_after;
        self.tasks.quiesce.arm_after_with(idle_after, end);
        Ok(Enqueued { start, group })
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

    /// Measures `records` and appends them.
    #[inline]
    fn encode(&self, writer: &mut Writer, records: &[Record]) -> Result<Appended> {
        let time = Time::new(writer.clock.now());
        if let [record] = records {
            let record = Stored {
                record,
                offset: writer.next,
                appended_at: &time,
            };
            return self.append_measured(writer, records, (&[record.len()], &time));
        }
        let lens = writer.measure(records, &time);
        let appended = self.append_measured(writer, records, (&lens, &time));
        writer.keep(lens);
        appended
    }

    /// Appends `records`, which were measured, to the active segment, or to the next one: if they would make
    /// the active one too long, or one of them exceeds the limit it was made with. An empty segment takes any
    /// batch, since its successor would have the same name.
    fn append_measured(
        &self,
        writer: &mut Writer,
        records: &[Record],
        measured: (&[usize], &Time),
    ) -> Result<Appended> {
        let (active, limit) = (&writer.active, self.options.segment_bytes_max);
        let payload_len_max = active.store.payload_len_max() as usize;
        let limit = if writer.next == active.base() {
            Some(u64::MAX)
        } else if measured.0.iter().any(|len| *len > payload_len_max) {
            None
        } else {
            Some(limit)
        };
        if let Some(limit) = limit.filter(|_| !writer.sealed) {
            match writer.append(records, measured, limit) {
                Ok(Some(appended)) => return Ok(appended),
                Ok(None) => {}
                Err(error) => return Err(self.append_error(error)),
            }
        }
        self.roll(writer)?;
        match writer.append(records, measured, u64::MAX) {
            Ok(appended) => Ok(appended.expect("a segment without a limit takes any batch")),
            Err(error) => Err(self.append_error(error)),
        }
    }
}

/// Checks that `records` records can get the offsets from `next` on.
#[inline]
fn check_next(next: Offset, records: usize, expected: Option<Offset>) -> Result<()> {
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
