//! Appending: the writer's side of a log, and rolling from one segment to the next.
//!
//! Records are measured and encoded under the writer's lock, straight into the store's buffer, since the
//! checksum of each covers its offset and place. What is appended waits for [`commit`](crate::engine::group_commit).

use std::sync::Arc;

use proglog_store::{Boundary, FRAME_OVERHEAD, Position};

use crate::clock::Clock;
use crate::commit::ticket::{Group, Ticket};
use crate::engine::Shared;
use crate::error::{Error, ErrorKind, Result, SegmentIdentity};
use crate::layout::segment_label::Label;
use crate::offset::Offset;
use crate::options::Durability;
use crate::read::view::Place;
use crate::record::encode::{Stored, Time};
use crate::record::{self, Record};
use crate::segment::Segment;
use crate::segment::files::OpenSegment;

/// How much a buffered log appends before it has that synced in the background.
const SYNC_SOON_BYTES: u64 = 8 << 20;
/// How many records a log can measure in memory that it keeps: more take memory for a moment.
const LENS_KEPT_MAX: usize = 1024;

/// What appending changes.
pub(crate) struct Writer {
    pub(crate) active: Arc<OpenSegment>,
    pub(crate) segment: Arc<Segment>,
    /// The next offset to be assigned.
    pub(crate) next: Offset,
    /// What the next append joins.
    pub(crate) group: Arc<Group>,
    /// Where that group begins: the offset, and the place in the active segment.
    pub(crate) group_start: (Offset, Boundary),
    /// Where the last append ended in the active segment.
    end: Boundary,
    /// Whether the index has a full page, which can be written once its records are sure to stay.
    page_is_full: bool,
    /// Whether the active segment takes no more appends, though the next one could not be made yet.
    /// It may even be closed and its files removed.
    pub(crate) sealed: bool,
    clock: Clock,
    /// Up to where a sync of the active segment was asked for, in a buffered log.
    synced_soon: u64,
    /// How long the records of the batch at hand are: memory that is used again.
    lens: Vec<usize>,
}

impl Shared {
    /// Appends one record and waits for its outcome.
    pub(crate) fn append(&self, record: &Record) -> Result<Offset> {
        let mut offset = Offset::ZERO;
        let group = self.take(std::slice::from_ref(record), None, &mut offset)?;
        match group {
            Some(group) => group.wait(self).map(|()| offset),
            None => Ok(offset),
        }
    }

    /// Appends `records` as a batch; if `expected` is given, only where that is the next offset to be
    /// assigned.
    pub(crate) fn submit(&self, records: &[Record], expected: Option<Offset>) -> Result<Ticket> {
        let mut start = Offset::ZERO;
        let group = self.take(records, expected, &mut start)?;
        let offsets = start..start.plus(records.len() as u64);
        Ok(match group {
            Some(group) => {
                let driver = self.this.upgrade().expect("whoever appends holds the log");
                Ticket::pending(offsets, group, driver)
            }
            None => Ticket::ready(offsets),
        })
    }

    /// Appends `records` as [`Shared::submit`] does, and tells the offset of the first. Returns the group
    /// that their outcome is that of; `None` if they are acknowledged.
    fn take(
        &self,
        records: &[Record],
        expected: Option<Offset>,
        start: &mut Offset,
    ) -> Result<Option<Arc<Group>>> {
        record::validate(records, &self.options)?;
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        if let Some(expected) = expected
            && expected != writer.next
        {
            let end = writer.next;
            return Err(Error::EndMoved { expected, end });
        }
        *start = writer.next;
        if records.is_empty() {
            return Ok(None);
        }
        if u64::MAX - writer.next.get() < records.len() as u64 {
            return Err(Error::OffsetsExhausted {
                next: writer.next,
                records: records.len(),
            });
        }
        self.encode(writer, records)?;
        let end = writer.end;
        let place = place(&writer.active, (writer.next, end));
        if self.options.durability != Durability::Buffered {
            self.view.append(place);
            self.rest_when_idle(end);
            return Ok(Some(Arc::clone(&writer.group)));
        }
        self.view.acknowledge(place);
        if writer.page_is_full {
            writer.active.index.write_full_pages(end.frames);
        }
        if end.position.get() - writer.synced_soon >= SYNC_SOON_BYTES {
            writer.synced_soon = end.position.get();
            self.sync_soon();
        }
        self.rest_when_idle(end);
        Ok(None)
    }

    /// Measures `records` and puts them into the active segment.
    #[inline]
    fn encode(&self, writer: &mut Writer, records: &[Record]) -> Result<()> {
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

    /// Appends `records`, which were measured, to the active segment or, where they do not go into it
    /// any more, to the next one: they would make it too long, or one is too large for a segment made
    /// with smaller limits. An empty segment takes them all, since the next one would have its name.
    fn append_measured(
        &self,
        writer: &mut Writer,
        records: &[Record],
        measured: (&[usize], &Time),
    ) -> Result<()> {
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
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(self.refuse(error)),
            }
        }
        self.roll(writer)?;
        match writer.append(records, measured, u64::MAX) {
            Ok(appended) => {
                assert!(appended, "a segment without a limit takes all");
                Ok(())
            }
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// Seals the active segment, unless it is sealed, and makes the next one.
    #[cold]
    fn roll(&self, writer: &mut Writer) -> Result<()> {
        if !writer.sealed {
            self.seal(writer)?;
        }
        self.next_segment(writer)
            .map_err(|error| self.refuse(error))
    }

    /// Puts all of the active segment on the device, which acknowledges it, and lets it take no more
    /// appends.
    pub(crate) fn seal(&self, writer: &mut Writer) -> Result<()> {
        let active = Arc::clone(&writer.active);
        let sealed = active.store.seal();
        let synced = active.store.recovery_point();
        if synced.frames == writer.next.since(active.base()) {
            // The open group is durable, whatever became of the mark that seals the store.
            let end = (writer.next, synced);
            self.view.acknowledge(place(&active, end));
            writer.group_start = end;
            std::mem::replace(&mut writer.group, Group::new()).settle(Ok(()));
        }
        sealed.map_err(|error| self.refuse(error))?;
        writer.sealed = true;
        Ok(())
    }

    /// Makes the segment that comes after the active one, which is sealed.
    pub(crate) fn next_segment(&self, writer: &mut Writer) -> Result<()> {
        let old = Arc::clone(&writer.active);
        let identity = SegmentIdentity {
            log_id: self.log_id,
            base_offset: writer.next,
        };
        let label = Label {
            identity,
            previous_base: self.view.segments().last().map(|segment| segment.base()),
        };
        let segment = Arc::new(Segment::create(&self.directory, label, &self.options)?);
        if !self.end_cut(writer.next)? {
            // The index is a cache: one that cannot be written is made again when it is needed.
            old.index.write_all(true);
        }
        let active = segment.open()?;
        self.view.push(&segment);
        writer.segment.release();
        // Who still reads in it does not hold its lock: the log may be cut there.
        drop(old.store.release());
        (writer.group_start, writer.synced_soon) = ((writer.next, Boundary::START), 0);
        (writer.active, writer.segment, writer.sealed) = (active, segment, false);
        // It may lag behind: what matters is in the segments.
        drop(self.write_checkpoint(writer.next, Boundary::START, self.view.state()));
        self.retain_later();
        Ok(())
    }

    /// What to tell of an append that `error` has prevented. Stops the log if the store is stopped;
    /// what was appended before may have been affected then, but this append was not.
    #[cold]
    fn refuse(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        if error.kind() != ErrorKind::Poisoned {
            return error;
        }
        let failure = error.of_poisoned_store();
        self.poison(&failure);
        Error::Poisoned {
            source: Arc::new(failure),
        }
    }
}

impl Writer {
    /// Appends to `segment`, whose files are `active`.
    pub(crate) fn new(active: Arc<OpenSegment>, segment: Arc<Segment>, clock: Clock) -> Self {
        let boundary = active.store.end();
        let next = active.base().plus(boundary.frames);
        Self {
            active,
            segment,
            next,
            group: Group::new(),
            group_start: (next, boundary),
            end: boundary,
            page_is_full: false,
            sealed: false,
            clock,
            synced_soon: boundary.position.get(),
            lens: Vec::new(),
        }
    }

    /// When the newest record was appended, as far as this process knows.
    pub(crate) fn last_appended_at(&self) -> Option<i64> {
        Some(self.clock.last()).filter(|last| *last > 0)
    }

    /// How long each of `records` will be in the store, with the offsets that come next.
    #[inline]
    fn measure(&mut self, records: &[Record], time: &Time) -> Vec<usize> {
        let mut lens = std::mem::take(&mut self.lens);
        lens.clear();
        lens.extend(stored(records, self.next, time).map(|record| record.len()));
        lens
    }

    /// Keeps memory to measure the next batch with, if it is not too much.
    #[inline]
    fn keep(&mut self, lens: Vec<usize>) {
        if lens.capacity() <= LENS_KEPT_MAX {
            self.lens = lens;
        }
    }

    /// Gives back what it takes to measure a batch.
    pub(crate) fn release_memory(&mut self) {
        self.lens = Vec::new();
    }

    /// Appends `records`, which were measured, unless the active segment would get longer than `limit`:
    /// then it returns `false`.
    #[inline]
    fn append(
        &mut self,
        records: &[Record],
        (lens, time): (&[usize], &Time),
        limit: u64,
    ) -> Result<bool> {
        let (start, active) = (self.next, &self.active);
        let mut stored = stored(records, start, time);
        let limit = Position::new(limit);
        let appended = active.store.append_within(limit, lens, |_, slot| {
            if let Some(record) = stored.next() {
                record.encode(slot);
            }
        });
        let appended = match appended {
            Ok(Some(appended)) => appended,
            Ok(None) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.next = start.plus(records.len() as u64);
        self.end = Boundary {
            position: appended.position.plus(appended.bytes_written),
            frames: self.next.since(active.base()),
        };
        let index = &active.index;
        self.page_is_full = index.push_batch(appended.position, lens, FRAME_OVERHEAD);
        Ok(true)
    }
}

/// Where the boundary `end.1` of this segment is, which is before the record at `end.0`.
pub(crate) fn place(segment: &OpenSegment, end: (Offset, Boundary)) -> Place {
    Place {
        end: end.0,
        base: segment.base(),
        position: end.1.position,
    }
}

/// `records` as they are stored from offset `start` on.
#[inline]
fn stored<'a>(
    records: &'a [Record],
    start: Offset,
    appended_at: &'a Time,
) -> impl Iterator<Item = Stored<'a>> {
    // The records first: behind the last of them there may be no number.
    let numbered = records.iter().zip(start.get()..);
    numbered.map(move |(record, offset)| Stored {
        record,
        offset: Offset::new(offset),
        appended_at,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::open;
    use crate::options::Options;

    #[test]
    fn memory_to_measure_batches_with_is_kept_up_to_a_limit_and_given_back() {
        let disk = SimDisk::new();
        let never = Options::new().idle_after(Duration::MAX);
        let log = open::open(disk.directory(), &never).unwrap();
        let kept = || log.writer.lock().lens.capacity();
        let kept_after = |records: usize| {
            let batch = vec![Record::new("a"); records];
            log.submit(&batch, None).unwrap().wait().unwrap();
            kept()
        };
        assert!((9..=LENS_KEPT_MAX).contains(&kept_after(9)));
        assert!(kept_after(LENS_KEPT_MAX + 1) <= LENS_KEPT_MAX);
        assert!(kept_after(9) >= 9);
        log.writer.lock().release_memory();
        assert_eq!(kept(), 0);
    }
}
