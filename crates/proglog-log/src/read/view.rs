//! The view of a log that its readers share: its segments, where it starts and where it ends.
//!
//! Readers and the writer meet only here. Each lock is held to copy a few words, and never while a file is
//! read, written or synced.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;
use std::sync::Arc;

use proglog_store::Position;

use crate::error::reason::{Reason, Result};
use crate::error::{Error, LogName};
use crate::layout::log_position::LogPosition;
use crate::observer::Notices;
use crate::offset::Offset;
use crate::options::Visibility;
use crate::read::follow::Follow;
use crate::read::notify::Notify;
use crate::read::watermark::Watermark;
use crate::record::StoredRecord;
use crate::runtime::RuntimeHandle;
use crate::segment::Segment;
use crate::segment::files::SegmentFiles;
use crate::sync::{AtomicU64, Ordering, RwLock};

/// The segments and watermarks of a log.
///
/// Locks are taken in this order: `segments`, then the position of a watermark or those of a segment.
#[derive(Debug)]
pub(crate) struct View {
    /// The name of the log, for the errors of its readers.
    log: LogName,
    /// All segments by their base offsets; the last one is the active one. A roll adds to them, so that it costs the
    /// same however many there are.
    segments: RwLock<BTreeMap<Offset, Arc<Segment>>>,
    start: AtomicU64,
    /// True if appends are acknowledged at once. Then only the offset of `acknowledged` is kept up to date.
    at_once: bool,
    acknowledged: Watermark,
    /// End of the submitted records. In a log that acknowledges appends at once it is not kept up to date, and
    /// `acknowledged` is ahead.
    appended: Watermark,
    /// End of the records that the owner of the log has declared committed.
    high_watermark: AtomicU64,
    /// Bit 0: the log is closed. The other bits: the number of truncations and roll-backs.
    generation: AtomicU64,
    /// Notified after every change.
    changed: Notify,
    /// Reads for the streams of followers.
    runtime: RuntimeHandle,
    notices: Notices,
}

/// The bit of [`View::generation`] that a closed log has, and the step for each truncation or roll-back.
const CLOSED: u64 = 1;
const STEP: u64 = 2;

/// Most segments that are copied at a time, while the lock on them is held.
const COPIED_MAX: usize = 256;

/// The kind of an offset that is in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    /// A record.
    Record,
    /// The end of the log.
    End,
}

impl View {
    /// Returns the view of a log from `start` to `end`, all of it acknowledged and none of it committed.
    pub(crate) fn new(
        log: LogName,
        segments: Vec<Arc<Segment>>,
        start: Offset,
        end: LogPosition,
        runtime: RuntimeHandle,
    ) -> Self {
        Self {
            log,
            segments: RwLock::new(by_base(segments)),
            start: AtomicU64::new(start.get()),
            at_once: false,
            acknowledged: Watermark::new(end),
            appended: Watermark::new(end),
            high_watermark: AtomicU64::new(start.get()),
            generation: AtomicU64::new(0),
            changed: Notify::new(),
            runtime,
            notices: Notices::default(),
        }
    }

    /// The same view, whose readers report damage to `notices`.
    pub(crate) fn observed(self, notices: Notices) -> Self {
        Self { notices, ..self }
    }

    /// The same view of a log whose appends are acknowledged at once, by [`View::acknowledge_at_once`].
    pub(crate) fn at_once(self) -> Self {
        Self {
            at_once: true,
            ..self
        }
    }

    /// Returns the name of the log.
    pub(crate) fn log(&self) -> &LogName {
        &self.log
    }

    /// Returns a follower that yields what `next` returns, which is called again after every change.
    pub(crate) fn follow(
        &self,
        next: impl FnMut() -> Result<Option<StoredRecord>, Error> + Send + 'static,
    ) -> Follow {
        Follow::new(next, &self.changed).with_runtime(&self.runtime)
    }

    /// Returns the signal that is notified after every change.
    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }

    pub(crate) fn is_open(&self) -> bool {
        self.generation() & CLOSED == 0
    }

    /// Returns a number that changes when the log is closed or truncated, or appends are rolled back: results of
    /// an earlier generation must be looked up again.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_open() {
            Ok(())
        } else {
            Err(Reason::Closed)
        }
    }

    /// Closes the view; returns whether it was open.
    pub(crate) fn close(&self) -> bool {
        let was_open = self.generation.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0;
        self.changed.notify_waiters();
        was_open
    }

    /// Returns all segments, the oldest first, for an operation that looks at each of them. The caller keeps them from
    /// being dropped meanwhile.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        let mut all = Vec::<Arc<Segment>>::new();
        loop {
            let after = all.last().map_or(Unbounded, |last| Excluded(last.base()));
            let segments = self.segments.read();
            let more = segments.range((after, Unbounded)).take(COPIED_MAX);
            let copied = all.len();
            all.extend(more.map(|(_, segment)| Arc::clone(segment)));
            if all.len() < copied + COPIED_MAX {
                return all;
            }
        }
    }

    /// Returns the base offset of the newest segment.
    pub(crate) fn newest_base(&self) -> Option<Offset> {
        let segments = self.segments.read();
        segments.last_key_value().map(|(base, _)| *base)
    }

    /// Adds a segment at the end.
    pub(crate) fn push(&self, segment: &Arc<Segment>) {
        let mut segments = self.segments.write();
        segments.insert(segment.base(), Arc::clone(segment));
    }

    /// Drops the segments before the one with base offset `first`, and returns them.
    pub(crate) fn drop_before(&self, first: Offset) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let mut dropped = Vec::new();
        while let Some(oldest) = segments.first_entry()
            && *oldest.key() < first
        {
            dropped.push(oldest.remove());
        }
        dropped
    }

    /// Returns the offsets that are readable at `visibility`.
    pub(crate) fn range(&self, visibility: Visibility) -> Range<Offset> {
        // In this order: the start never passes an end that was read after it.
        let start = Offset::new(self.start.load(Ordering::Acquire));
        start..self.end(visibility).max(start)
    }

    fn end(&self, visibility: Visibility) -> Offset {
        match visibility {
            Visibility::Acknowledged => self.acknowledged.offset(),
            Visibility::Appended => self.appended.offset().max(self.acknowledged.offset()),
            Visibility::Committed => {
                let committed = Offset::new(self.high_watermark.load(Ordering::Acquire));
                committed.min(self.acknowledged.offset())
            }
        }
    }

    /// Returns the end of the acknowledged records.
    pub(crate) fn acknowledged(&self) -> LogPosition {
        self.acknowledged.position()
    }

    /// Makes acknowledged records up to `end` readable.
    #[inline]
    pub(crate) fn acknowledge(&self, end: LogPosition) {
        self.acknowledged.raise(end);
        self.changed.notify_waiters();
    }

    /// Makes records up to `end` readable, in a log whose appends are acknowledged at once. The caller has the
    /// writer's lock.
    #[inline]
    pub(crate) fn acknowledge_at_once(&self, end: Offset) {
        self.acknowledged.move_offset(end);
        self.changed.notify_after_seq_cst();
    }

    /// Makes submitted records up to `end` readable at [`Visibility::Appended`].
    #[inline]
    pub(crate) fn append(&self, end: LogPosition) {
        self.appended.set(end);
        self.changed.notify_waiters();
    }

    /// Hides the submitted records at and after `end`, and lowers the high watermark to it.
    pub(crate) fn roll_back(&self, end: LogPosition) {
        self.high_watermark
            .fetch_min(end.offset().get(), Ordering::AcqRel);
        self.appended.set(end);
        self.generation.fetch_add(STEP, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Raises the high watermark; has no effect if it is at or after `end`.
    pub(crate) fn raise_high_watermark(&self, end: Offset) {
        self.high_watermark.fetch_max(end.get(), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Raises the start; has no effect if it is at or after `start`.
    pub(crate) fn trim(&self, start: Offset) {
        self.start.fetch_max(start.get(), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Replaces segments, start and end, after a truncation or reset.
    pub(crate) fn replace(&self, segments: Vec<Arc<Segment>>, start: Offset, end: LogPosition) {
        // Dropped after the lock is released.
        let mut segments = by_base(segments);
        let mut current = self.segments.write();
        std::mem::swap(&mut *current, &mut segments);
        self.start.store(start.get(), Ordering::Release);
        self.set_end(end);
    }

    /// Lowers the end to `end`, which is in the newest segment, after a truncation there.
    pub(crate) fn truncate(&self, end: LogPosition) {
        // As when segments are replaced.
        let _segments = self.segments.write();
        self.set_end(end);
    }

    /// Moves the end to `end`, and starts a new generation.
    fn set_end(&self, end: LogPosition) {
        self.notices.truncated(end);
        self.acknowledged.set(end);
        self.appended.set(end);
        self.high_watermark
            .fetch_min(end.offset().get(), Ordering::AcqRel);
        self.generation.fetch_add(STEP, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Adds segments at the end, drops those with records below `start` only, and makes records up to `end` readable: of
    /// a log that another process writes.
    pub(crate) fn advance(&self, added: &[Arc<Segment>], start: Offset, end: LogPosition) {
        if !added.is_empty() {
            let added = by_base(added.to_vec());
            self.segments.write().extend(added);
        }
        if start.get() > self.start.load(Ordering::Acquire) {
            self.trim(start);
            let first = self.segment_of(start);
            drop(first.map(|first| self.drop_before(first.base())));
        }
        self.acknowledge(end);
    }

    /// Checks that `offset` is in range: a record, or the end.
    pub(crate) fn check_readable(
        &self,
        offset: Offset,
        visibility: Visibility,
    ) -> Result<Readable> {
        self.check_open()?;
        let Range { start, end } = self.range(visibility);
        if offset < start {
            Err(Reason::Trimmed { offset, start, end })
        } else if offset > end {
            Err(Reason::OutOfRange { offset, start, end })
        } else if offset == end {
            Ok(Readable::End)
        } else {
            Ok(Readable::Record)
        }
    }

    /// Returns the error for a record that was readable a moment ago and has no segment any more.
    pub(crate) fn gone(&self, offset: Offset, visibility: Visibility) -> Reason {
        match self.check_readable(offset, visibility) {
            Err(error) => error,
            Ok(_) => self.out_of_range(offset, visibility),
        }
    }

    /// Returns `reason`, or the reason why the record at `offset` has become unreadable in the meantime.
    pub(crate) fn or_gone(&self, reason: Reason, offset: Offset, visibility: Visibility) -> Reason {
        match self.check_readable(offset, visibility) {
            Ok(Readable::Record) => {
                self.report_damage(&reason);
                reason
            }
            Ok(Readable::End) => self.out_of_range(offset, visibility),
            Err(gone) => gone,
        }
    }

    fn report_damage(&self, reason: &Reason) {
        if let Reason::Corrupt {
            offset, file, byte, ..
        } = reason
        {
            let error = || self.log.error(reason.clone());
            self.notices.damaged(file, *byte, || Some(error()));
            #[cfg(feature = "tracing")]
            tracing::warn!(
                error = &error() as &dyn std::error::Error,
                offset = offset.get(),
                "damaged record"
            );
            #[cfg(not(feature = "tracing"))]
            let _ = offset;
        }
    }

    /// Returns the error for an offset that was at or past the end.
    pub(crate) fn out_of_range(&self, offset: Offset, visibility: Visibility) -> Reason {
        let range = self.range(visibility);
        Reason::OutOfRange {
            offset,
            start: range.start,
            // The end may have passed the offset since.
            end: range.end.min(offset),
        }
    }

    /// Returns whether `offset` is below the start.
    #[inline]
    pub(crate) fn is_trimmed(&self, offset: Offset) -> bool {
        offset.get() < self.start.load(Ordering::Acquire)
    }

    /// Returns the segment that holds the record at `offset`, if that is readable.
    pub(crate) fn segment_of(&self, offset: Offset) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let (_, segment) = segments.range(..=offset).next_back()?;
        Some(Arc::clone(segment))
    }

    /// Returns the files of the segment that holds the record at `offset`, and opens them if they are not open. `None`
    /// if there is no such segment.
    #[inline]
    pub(crate) fn files_of(&self, offset: Offset) -> Option<Result<Arc<SegmentFiles>>> {
        let segments = self.segments.read();
        let (_, segment) = segments.range(..=offset).next_back()?;
        if let Some(files) = segment.opened() {
            return Some(Ok(files));
        }
        let segment = Arc::clone(segment);
        drop(segments);
        Some(segment.open())
    }

    /// Returns the files of the segment that holds the record at `offset`, if they are open.
    #[inline]
    pub(crate) fn opened_files_of(&self, offset: Offset) -> Option<Arc<SegmentFiles>> {
        let segments = self.segments.read();
        let (_, segment) = segments.range(..=offset).next_back()?;
        segment.opened()
    }

    /// Returns the end of the readable part of the segment with base offset `base`: an offset (exclusive), and a
    /// position if bytes after it may not be read, since they may be replaced. `None` if no record in that segment
    /// is readable.
    pub(crate) fn bound_in(
        &self,
        base: Offset,
        visibility: Visibility,
    ) -> Option<(Offset, Option<Position>)> {
        let limit = (!self.at_once).then(|| self.position(visibility));
        let end = self.end(visibility);
        if let Some(limit) = limit.filter(|limit| limit.segment_base == base) {
            return Some((limit.offset().min(end), Some(limit.boundary.position)));
        }
        let segments = self.segments.read();
        let next = segments.range((Excluded(base), Unbounded)).next();
        // After a truncation there may be no next segment yet.
        let next = match (next, limit) {
            (Some((next, _)), _) => *next,
            (None, Some(limit)) => Some(limit.segment_base).filter(|limit| *limit > base)?,
            (None, None) => end,
        };
        Some((next.min(end), None))
    }

    /// Returns the position up to which bytes may be read ahead.
    fn position(&self, visibility: Visibility) -> LogPosition {
        let acknowledged = self.acknowledged.position();
        match visibility {
            Visibility::Acknowledged | Visibility::Committed => acknowledged,
            Visibility::Appended => {
                let appended = self.appended.position();
                if appended.offset() > acknowledged.offset() {
                    appended
                } else {
                    acknowledged
                }
            }
        }
    }
}

fn by_base(segments: Vec<Arc<Segment>>) -> BTreeMap<Offset, Arc<Segment>> {
    let by_base = |segment: Arc<Segment>| (segment.base(), segment);
    segments.into_iter().map(by_base).collect()
}

#[cfg(test)]
mod tests {
    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::segment::cache::Cache;

    fn segment(base: u64) -> Arc<Segment> {
        let (directory, cache) = (SimDisk::new().directory(), Cache::global());
        Arc::new(Segment::sealed(directory, cache, Offset::new(base)))
    }

    fn view() -> View {
        let log = LogName::of_directory(&*SimDisk::new().directory());
        let (start, end) = (Offset::ZERO, LogPosition::start_of(Offset::ZERO));
        View::new(log, vec![segment(0)], start, end, RuntimeHandle::default())
    }

    #[test]
    fn adding_a_segment_costs_the_same_however_many_there_are() {
        let view = view();
        let mut largest = 0;
        for base in 1..10_000 {
            let added = segment(base);
            let allocated = allocation_counter::measure(|| view.push(&added));
            largest = largest.max(allocated.bytes_total);
        }
        // A list of all would take 80,000.
        assert!(largest < 4000, "{largest} bytes");
    }

    #[test]
    fn all_segments_are_found_and_the_oldest_are_dropped() {
        let view = view();
        let last = 3 * COPIED_MAX as u64;
        (1..last).for_each(|base| view.push(&segment(base)));
        let bases = |segments: &[Arc<Segment>]| {
            let bases = segments.iter().map(|segment| segment.base().get());
            bases.collect::<Vec<_>>()
        };
        assert_eq!(bases(&view.segments()), (0..last).collect::<Vec<_>>());
        let first = Offset::new(last - 2);
        assert_eq!(
            bases(&view.drop_before(first)),
            (0..last - 2).collect::<Vec<_>>()
        );
        assert_eq!(bases(&view.segments()), [last - 2, last - 1]);
        assert_eq!(view.newest_base(), Some(Offset::new(last - 1)));
    }
}
