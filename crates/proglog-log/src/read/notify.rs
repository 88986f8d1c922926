//! Notification of followers.

use std::fmt;
use std::sync::Arc;

use crate::sync::{AtomicBool, Event, EventListener, Ordering, fence};

/// Wakes the followers of a log. Clones wake the same followers.
///
/// An implementation of [`CommitLog`](crate::CommitLog) notifies it whenever a follower may find something new:
/// a record, or an error.
#[derive(Clone, Default)]
pub struct Notify(Arc<Listeners>);

/// The followers that wait for a signal.
#[derive(Default)]
struct Listeners {
    event: Event,
    /// True once a follower has listened since all were last woken. An append that no follower waits for takes
    /// none of the locks of the event.
    is_awaited: AtomicBool,
}

impl Notify {
    /// Creates a signal that nothing waits for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes all followers that wait.
    #[inline]
    pub fn notify_waiters(&self) {
        // A follower that listened before this fence saw no change, and is seen here; one that listens after it
        // sees the change.
        fence(Ordering::SeqCst);
        if self.0.is_awaited.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// As [`Notify::notify_waiters`], after a change that was made by a sequentially consistent write: that orders
    /// the change before the check, at a fraction of the cost of a fence.
    #[inline]
    pub(crate) fn notify_after_seq_cst(&self) {
        if self.0.is_awaited.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Before waking: a follower that listens in between is at worst woken for nothing.
        self.0.is_awaited.swap(false, Ordering::AcqRel);
        self.0.event.notify(usize::MAX);
    }

    /// Returns a listener that any change after this call wakes.
    pub(crate) fn listen(&self) -> EventListener {
        let listener = self.0.event.listen();
        self.0.is_awaited.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        listener
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}
