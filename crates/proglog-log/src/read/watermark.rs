//! Watermarks: log positions that one thread moves and others read.

use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// A log position that moves.
#[derive(Debug)]
pub(super) struct Watermark {
    position: Mutex<LogPosition>,
    /// Offset of `position`, for reads without the lock.
    offset: AtomicU64,
}

impl Watermark {
    pub(super) fn new(position: LogPosition) -> Self {
        Self {
            offset: AtomicU64::new(position.offset().get()),
            position: Mutex::new(position),
        }
    }

    #[inline]
    pub(super) fn offset(&self) -> Offset {
        Offset::new(self.offset.load(Ordering::Acquire))
    }

    pub(super) fn position(&self) -> LogPosition {
        *self.position.lock()
    }

    /// Moves the watermark, forwards or back.
    #[inline]
    pub(super) fn set(&self, to: LogPosition) {
        let mut position = self.position.lock();
        *position = to;
        self.offset.store(to.offset().get(), Ordering::Release);
    }

    /// Moves the watermark forwards; has no effect if it is at or after `to`.
    #[inline]
    pub(super) fn raise(&self, to: LogPosition) {
        let mut position = self.position.lock();
        if position.offset() < to.offset() {
            *position = to;
            self.offset.fetch_max(to.offset().get(), Ordering::AcqRel);
        }
    }

    /// Moves the offset forwards to `to`, and leaves the position where it is. No other thread may move the
    /// watermark meanwhile. Sequentially consistent.
    #[inline]
    pub(super) fn move_offset(&self, to: Offset) {
        self.offset.swap(to.get(), Ordering::SeqCst);
    }
}
