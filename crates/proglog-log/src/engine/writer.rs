//! The writer: the active segment, the open group, and the memory that appending reuses.

use std::sync::Arc;

use proglog_store::segment::FRAME_OVERHEAD;
use proglog_store::segment::StoreExt;
use proglog_store::{Boundary, Position};

use crate::clock::{Clock, Passed};
use crate::commit::shared_outcome::SharedOutcome;
use crate::error::reason::Result;
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::record::Record;
use crate::record::encode::{HEAD_LEN_MAX, NUMBERS_LEN_MAX, Stored, Time};
use crate::record::fields::Fields;
use crate::runtime::RuntimeHandle;
use crate::segment::Segment;
use crate::segment::files::SegmentFiles;
use crate::segment::index::Appender;

/// Longest batch whose lengths are measured in memory that is kept.
const LENS_KEPT_MAX: usize = 1024;

/// State that appending changes, under one lock.
pub(crate) struct Writer {
    pub(crate) active: Arc<SegmentFiles>,
    pub(crate) segment: Arc<Segment>,
    /// Appends to the index of the active segment.
    pub(crate) index: Appender,
    /// Next offset to be assigned.
    pub(crate) next: Offset,
    /// The open group, which the next append joins.
    pub(crate) group: Arc<SharedOutcome>,
    /// The runtime of the callbacks of each group.
    runtime: RuntimeHandle,
    /// Start of the open group in the active segment.
    pub(crate) group_start: LogPosition,
    /// True once the active segment takes no more appends and its successor does not exist yet. The segment
    /// may even be closed and its files removed.
    pub(crate) sealed: bool,
    /// The truncation that has begun and has yet to remove files.
    pub(crate) truncating: Option<Truncating>,
    pub(crate) clock: Clock,
    /// First offset that this writer appends to the active segment.
    first_offset: Offset,
    /// Position in the active segment up to which a buffered log has requested a sync.
    pub(crate) sync_requested: u64,
    /// The time of the newest append, encoded.
    time: Time,
    /// Encoded length of each record of the current batch.
    lens: Vec<usize>,
    /// The encoded extras of the current record.
    extras: Vec<u8>,
}

/// A truncation that the checkpoint records and readers see, and whose files are still there.
pub(crate) struct Truncating {
    /// Base offsets of the segments that may have files.
    pub(crate) bases: Vec<Offset>,
    /// The segment that is itself truncated, if there is one.
    pub(crate) truncated: Option<Arc<Segment>>,
}

/// The result of one append to the active segment.
pub(crate) struct Appended {
    /// Offset of the first record.
    pub(crate) start: Offset,
    /// End of the active segment after the last record.
    pub(crate) end: LogPosition,
    /// True if the index has a full page, which can be written once its records are certain to stay.
    pub(crate) page_is_full: bool,
}

impl Writer {
    /// Returns a writer that appends to `segment`, whose files are `active`. Callbacks run on `runtime`.
    pub(crate) fn new(
        active: Arc<SegmentFiles>,
        segment: Arc<Segment>,
        clock: Clock,
        runtime: RuntimeHandle,
    ) -> Self {
        let end = active.end();
        Self {
            index: active.index.appender(),
            active,
            segment,
            next: end.offset(),
            group: SharedOutcome::new(runtime.clone()),
            runtime,
            group_start: end,
            sealed: false,
            truncating: None,
            clock,
            first_offset: end.offset(),
            sync_requested: end.boundary.position.get(),
            time: Time::default(),
            lens: Vec::new(),
            extras: Vec::new(),
        }
    }

    /// Returns whether the active segment has no records.
    #[inline]
    pub(crate) fn active_is_empty(&self) -> bool {
        self.next == self.active.base()
    }

    /// Returns the time of an append that happens now.
    #[inline]
    pub(crate) fn now(&mut self) -> Time {
        let now = self.clock.now();
        if self.time.micros() != now {
            self.time = Time::new(now);
        }
        self.time
    }

    /// Returns the time of the newest append to the active segment, if this writer has made one.
    pub(crate) fn newest_append(&self) -> Option<Passed> {
        let has_appended = self.next > self.first_offset;
        self.clock.newest_append().filter(|_| has_appended)
    }

    /// Returns when the newest record was appended, as far as this process knows.
    pub(crate) fn last_appended_at(&self) -> Option<i64> {
        Some(self.clock.last()).filter(|last| *last > 0)
    }

    /// Closes the open group, and opens one that starts at `start`. Returns the closed group.
    pub(crate) fn replace_group(&mut self, start: LogPosition) -> Arc<SharedOutcome> {
        self.group_start = start;
        std::mem::replace(&mut self.group, SharedOutcome::new(self.runtime.clone()))
    }

    /// Continues in the active segment, whose newest records were erased, with its index. All others are on the
    /// device.
    pub(crate) fn continue_erased(&mut self, index: Appender) {
        let end = self.active.end();
        self.index = index;
        (self.next, self.sealed) = (end.offset(), false);
        self.first_offset = self.first_offset.min(self.next);
        self.sync_requested = end.boundary.position.get();
        // What it has is on the device, or was dropped.
        self.replace_group(end).complete(Ok(()));
    }

    /// Continues in `segment`, which is empty and whose files are `active`.
    pub(crate) fn continue_in(&mut self, segment: Arc<Segment>, active: Arc<SegmentFiles>) {
        self.group_start = LogPosition::start_of(active.base());
        self.first_offset = active.base();
        (self.sync_requested, self.sealed) = (0, false);
        self.index = active.index.appender();
        (self.active, self.segment) = (active, segment);
    }

    /// Returns the encoded length of each of `records`, at the next offsets.
    #[inline]
    pub(crate) fn measure(&mut self, records: &[Record], time: &Time) -> Vec<usize> {
        let mut lens = std::mem::take(&mut self.lens);
        lens.clear();
        lens.extend(stored(records, self.next, time).map(|record| record.len()));
        lens
    }

    /// Takes back the memory that [`Writer::measure`] returned, unless it is large.
    #[inline]
    pub(crate) fn keep(&mut self, lens: Vec<usize>) {
        if lens.capacity() <= LENS_KEPT_MAX {
            self.lens = lens;
        }
    }

    /// Frees the memory kept for encoding records and for index entries.
    pub(crate) fn release_memory(&mut self) {
        self.index = self.active.index.release_memory();
        self.lens = Vec::new();
        self.extras = Vec::new();
    }

    /// Appends `record` to the active segment; returns `None` if that would become longer than `limit`.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    pub(crate) fn append_one(
        &mut self,
        record: Fields<'_>,
        time: &Time,
        limit: Position,
    ) -> Result<Option<Appended>> {
        let stored = Stored {
            record,
            offset: self.next,
            appended_at: time,
        };
        let (mut head, mut numbers) = ([0; HEAD_LEN_MAX], [0; NUMBERS_LEN_MAX]);
        let head_len = stored.encode_head(&mut head);
        let numbers_len = stored.encode_numbers(&mut numbers);
        let (head, numbers) = (&head[..head_len], &numbers[..numbers_len]);
        let store = &self.active.store;
        let appended = if record.has_extras() {
            self.extras.clear();
            record.put_extras(&mut self.extras);
            store.append_parts_within(limit, &[head, record.value, numbers, &self.extras])
        } else {
            store.append_parts_within(limit, &[head, record.value, numbers])
        };
        let Some(appended) = appended? else {
            return Ok(None);
        };
        let page_is_full = self.active.index.push(&mut self.index, appended.position);
        Ok(Some(self.advance(1, appended, page_is_full)))
    }

    /// Appends `records`, whose encoded lengths are `lens`, to the active segment; returns `None` if that
    /// would become longer than `limit`.
    #[inline]
    pub(crate) fn append_batch(
        &mut self,
        records: &[Record],
        (lens, time): (&[usize], &Time),
        limit: Position,
    ) -> Result<Option<Appended>> {
        let (start, active) = (self.next, &self.active);
        let mut stored = stored(records, start, time);
        let appended = active.store.append_within(limit, lens, |_, slot| {
            if let Some(record) = stored.next() {
                record.encode(slot);
            }
        })?;
        let Some(appended) = appended else {
            return Ok(None);
        };
        let page_is_full =
            active
                .index
                .push_batch(&mut self.index, appended.position, lens, FRAME_OVERHEAD);
        Ok(Some(self.advance(records.len(), appended, page_is_full)))
    }

    /// Moves on by `records`, which were `appended`.
    #[inline]
    fn advance(
        &mut self,
        records: usize,
        appended: proglog_store::Appended,
        page_is_full: bool,
    ) -> Appended {
        let (start, segment_base) = (self.next, self.active.base());
        self.next = start.saturating_add(records as u64);
        Appended {
            start,
            end: LogPosition {
                segment_base,
                boundary: Boundary {
                    position: appended.position.plus(appended.bytes_written),
                    frames: self.next.saturating_since(segment_base),
                },
            },
            page_is_full,
        }
    }
}

/// Pairs `records` with the offsets from `start` on.
#[inline]
fn stored<'a>(
    records: &'a [Record],
    start: Offset,
    appended_at: &'a Time,
) -> impl Iterator<Item = Stored<'a>> {
    // Records first in the zip: after the last one the range may be exhausted.
    let numbered = records.iter().zip(start.get()..);
    numbered.map(move |(record, offset)| Stored {
        record: record.into(),
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
    use crate::options::LogOptions;

    #[test]
    fn memory_to_measure_batches_is_kept_up_to_a_limit_and_released() {
        let disk = SimDisk::new();
        let never = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open::open(disk.directory(), &never).unwrap();
        let kept = || log.writer.lock().lens.capacity();
        let kept_after = |records: usize| {
            let batch = vec![Record::new("a"); records];
            log.submit_batch(&batch, None).unwrap().wait().unwrap();
            kept()
        };
        assert!((9..=LENS_KEPT_MAX).contains(&kept_after(9)));
        assert!(kept_after(LENS_KEPT_MAX + 1) <= LENS_KEPT_MAX);
        assert!(kept_after(9) >= 9);
        log.writer.lock().release_memory();
        assert_eq!(kept(), 0);
    }
}
