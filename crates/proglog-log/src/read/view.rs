//! What readers of a log see: which segments there are, where the log starts, and how far it goes.
//!
//! Readers and the writer meet here and nowhere else. Each lock is held for a few words' copy, and
//! never while a file is read, written or synced.

use std::ops::Range;
use std::sync::Arc;

use proglog_store::Position;

use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::options::Visibility;
use crate::read::follow::Signal;
use crate::segment::Segment;
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};

/// What readers of a log see.
///
/// Locks are taken in this order: `segments`, the place of an edge.
#[derive(Debug)]
pub(crate) struct View {
    /// All segments, the oldest first, the active one last. Replaced as a whole.
    segments: RwLock<Arc<[Arc<Segment>]>>,
    start: AtomicU64,
    acknowledged: Edge,
    /// Ahead of `acknowledged`, or behind it where an append is acknowledged at once.
    appended: Edge,
    published: AtomicU64,
    /// Whether it is closed (bit 0), and how often the log was cut or appends were taken back (the others).
    state: AtomicU64,
    /// Tells those who wait at the end that something changed.
    changed: Signal,
}

/// The bit of a view's state that says that it is closed, and what is added each time something of it goes.
const CLOSED: u64 = 1;
const CUT: u64 = 2;

/// How far something goes: the offset, and the place that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The offset behind the last record.
    pub(crate) end: Offset,
    /// The base offset of the segment that the end is in.
    pub(crate) base: Offset,
    /// Where the end is there.
    pub(crate) position: Position,
}

/// A place that moves.
#[derive(Debug)]
struct Edge {
    place: Mutex<Place>,
    /// The end in `place`, to be read without the lock.
    end: AtomicU64,
}

impl Edge {
    fn new(place: Place) -> Self {
        Self {
            end: AtomicU64::new(place.end.get()),
            place: Mutex::new(place),
        }
    }

    fn end(&self) -> Offset {
        Offset::new(self.end.load(Ordering::Acquire))
    }

    #[inline]
    fn set(&self, to: Place) {
        let mut place = self.place.lock();
        *place = to;
        self.end.store(to.end.get(), Ordering::Release);
    }

    /// Moves on to `to`, unless it is there already.
    #[inline]
    fn raise(&self, to: Place) {
        let mut place = self.place.lock();
        if place.end < to.end {
            *place = to;
            self.end.store(to.end.get(), Ordering::Release);
        }
    }
}

/// What is at an offset that is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    /// A record.
    Record,
    /// The end of the log.
    End,
}

impl View {
    /// The view of a log that starts at `start` and ends at `end`, all of it acknowledged and none of
    /// it published.
    pub(crate) fn new(segments: Vec<Arc<Segment>>, start: Offset, end: Place) -> Self {
        Self {
            segments: RwLock::new(segments.into()),
            start: AtomicU64::new(start.get()),
            acknowledged: Edge::new(end),
            appended: Edge::new(end),
            published: AtomicU64::new(start.get()),
            state: AtomicU64::new(0),
            changed: Signal::new(),
        }
    }

    pub(crate) fn changed(&self) -> &Signal {
        &self.changed
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state() & CLOSED == 0
    }

    /// Changes when the log is closed or cut, or appends are taken back: then what was found before is to be
    /// looked for anew.
    #[inline]
    pub(crate) fn state(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_open() {
            Ok(())
        } else {
            Err(Error::Closed)
        }
    }

    /// Closes the view; returns whether it was open.
    pub(crate) fn close(&self) -> bool {
        let was_open = self.state.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0;
        self.changed.notify();
        was_open
    }

    pub(crate) fn segments(&self) -> Arc<[Arc<Segment>]> {
        Arc::clone(&self.segments.read())
    }

    /// Adds the segment that comes next.
    pub(crate) fn push(&self, segment: &Arc<Segment>) {
        let mut segments = self.segments.write();
        let added = segments.iter().chain([segment]).cloned().collect();
        *segments = added;
    }

    /// Drops the segments before the one with base offset `first`, and returns them.
    pub(crate) fn drop_before(&self, first: Offset) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let dropped = segments.partition_point(|segment| segment.base() < first);
        let kept = segments[dropped..].into();
        let all = std::mem::replace(&mut *segments, kept);
        all[..dropped].to_vec()
    }

    /// What can be read.
    pub(crate) fn range(&self, visibility: Visibility) -> Range<Offset> {
        // In this order: the start never passes an end that was read after it.
        let start = Offset::new(self.start.load(Ordering::Acquire));
        start..self.end(visibility).max(start)
    }

    fn end(&self, visibility: Visibility) -> Offset {
        match visibility {
            Visibility::Acknowledged => self.acknowledged.end(),
            Visibility::Appended => self.appended.end().max(self.acknowledged.end()),
            Visibility::Published => {
                let published = Offset::new(self.published.load(Ordering::Acquire));
                published.min(self.acknowledged.end())
            }
        }
    }

    /// Up to where what was appended is acknowledged.
    pub(crate) fn acknowledged(&self) -> Place {
        *self.acknowledged.place.lock()
    }

    /// Lets readers see what is acknowledged up to `place`.
    #[inline]
    pub(crate) fn acknowledge(&self, place: Place) {
        self.acknowledged.raise(place);
        self.changed.notify();
    }

    /// Lets those see who want to see what is appended that it goes up to `place`.
    #[inline]
    pub(crate) fn append(&self, place: Place) {
        self.appended.set(place);
        self.changed.notify();
    }

    /// Takes back what was appended at and after `place`: those who see what is appended see it no more,
    /// and if it was published it is so no more.
    pub(crate) fn take_back(&self, place: Place) {
        self.published.fetch_min(place.end.get(), Ordering::AcqRel);
        self.appended.set(place);
        self.state.fetch_add(CUT, Ordering::AcqRel);
        self.changed.notify();
    }

    /// Lets those see who see what is published that it goes up to `end`; it never goes back.
    pub(crate) fn publish(&self, end: Offset) {
        self.published.fetch_max(end.get(), Ordering::AcqRel);
        self.changed.notify();
    }

    /// Raises the start.
    pub(crate) fn trim(&self, start: Offset) {
        self.start.fetch_max(start.get(), Ordering::AcqRel);
        self.changed.notify();
    }

    /// Makes the view that of a log that was cut at `end`, or emptied and started anew there, and has
    /// these segments.
    pub(crate) fn cut(&self, segments: Vec<Arc<Segment>>, start: Offset, end: Place) {
        let mut current = self.segments.write();
        *current = segments.into();
        self.start.store(start.get(), Ordering::Release);
        self.acknowledged.set(end);
        self.appended.set(end);
        self.published.fetch_min(end.end.get(), Ordering::AcqRel);
        self.state.fetch_add(CUT, Ordering::AcqRel);
        self.changed.notify();
    }

    /// Whether `offset` can be read, or is the end.
    pub(crate) fn check_readable(
        &self,
        offset: Offset,
        visibility: Visibility,
    ) -> Result<Readable> {
        self.check_open()?;
        let Range { start, end } = self.range(visibility);
        if offset < start {
            Err(Error::Trimmed { offset, start, end })
        } else if offset > end {
            Err(Error::OutOfRange { offset, start, end })
        } else if offset == end {
            Ok(Readable::End)
        } else {
            Ok(Readable::Record)
        }
    }

    /// Whether `offset` is below the start.
    #[inline]
    pub(crate) fn is_trimmed(&self, offset: Offset) -> bool {
        offset.get() < self.start.load(Ordering::Acquire)
    }

    /// The segment that has the record at `offset`, if it is readable.
    pub(crate) fn segment_of(&self, offset: Offset) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base() <= offset);
        segments.get(after.checked_sub(1)?).map(Arc::clone)
    }

    /// How far readers see in the segment with base offset `base`: up to this offset (exclusive), and
    /// up to this place if the segment goes on behind it. `None` if they do not see as far as that
    /// segment.
    pub(crate) fn bound_in(
        &self,
        base: Offset,
        visibility: Visibility,
    ) -> Option<(Offset, Option<Position>)> {
        let place = self.place(visibility);
        let end = self.end(visibility);
        if place.base == base {
            return Some((place.end.min(end), Some(place.position)));
        }
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base() <= base);
        // Where the log was cut there may be no next segment yet.
        let next = segments.get(after).map(|next| next.base());
        let next = next.or((place.base > base).then_some(place.base))?;
        Some((next.min(end), None))
    }

    /// Up to where bytes may be read ahead.
    fn place(&self, visibility: Visibility) -> Place {
        let acknowledged = *self.acknowledged.place.lock();
        match visibility {
            Visibility::Acknowledged | Visibility::Published => acknowledged,
            Visibility::Appended => {
                let appended = *self.appended.place.lock();
                if appended.end > acknowledged.end {
                    appended
                } else {
                    acknowledged
                }
            }
        }
    }
}
