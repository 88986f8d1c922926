//! Notification of followers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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

    /// Returns a future that completes once a change after this call is notified: a new record that can be read, a
    /// trim, a failure or the close of the log. Read, or look at the end, after this call and before waiting, so that
    /// nothing is missed.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proglog_log::{CommitLog, MemoryLog};
    ///
    /// let log = MemoryLog::new();
    /// let notified = log.changes().notified();
    /// assert!(log.is_empty()); // nothing to read yet
    /// log.append("news")?;
    /// assert!(futures::FutureExt::now_or_never(notified).is_some()); // in async code, `notified.await`
    /// assert_eq!(log.read(0)?.value, "news");
    /// # Ok(())
    /// # }
    /// ```
    pub fn notified(&self) -> Notified {
        Notified(self.listen())
    }

    /// Returns a listener that any change after this call wakes.
    pub(crate) fn listen(&self) -> EventListener {
        let listener = self.0.event.listen();
        self.0.is_awaited.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        listener
    }
}

/// A future that completes with the next change; made by [`Notify::notified`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Notified(EventListener);

impl Future for Notified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}
