//! Events: those of `event_listener`, on which threads of the scheduler wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use event_listener::IntoNotification;
use futures::FutureExt;
use shuttle::rand::{Rng, thread_rng};
use shuttle_parking_lot::MutexGuard;

use crate::point;

/// As `event_listener`'s.
#[derive(Debug, Default)]
pub struct Event(event_listener::Event);

impl Event {
    /// An event without listeners.
    #[must_use]
    pub const fn new() -> Self {
        Self(event_listener::Event::new())
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        point();
        EventListener(self.0.listen())
    }

    /// Notifies this many listeners.
    pub fn notify(&self, listeners: impl IntoNotification<Tag = ()>) {
        point();
        self.0.notify(listeners);
    }
}

/// Listens from when it was made on.
#[derive(Debug)]
pub struct EventListener(event_listener::EventListener);

/// The operations of a thread on a listener.
pub trait Listener: Sized {
    /// Waits to be notified.
    fn wait(self);

    /// Waits to be notified, or for the time to come: it comes when it likes to. `None` if it came.
    fn wait_deadline(self, deadline: Instant) -> Option<()>;
}

impl Listener for EventListener {
    fn wait(self) {
        shuttle::future::block_on(self);
    }

    fn wait_deadline(mut self, _deadline: Instant) -> Option<()> {
        while (&mut self).now_or_never().is_none() {
            if thread_rng().gen_ratio(1, 3) {
                return None;
            }
            shuttle::thread::yield_now();
        }
        Some(())
    }
}

impl Future for EventListener {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        point();
        self.0.poll_unpin(context)
    }
}

/// As `parking_lot`'s.
#[derive(Debug, Default)]
pub struct Condvar(Event);

impl Condvar {
    /// A condition without waiters.
    #[must_use]
    pub const fn new() -> Self {
        Self(Event::new())
    }

    /// Wakes one that waits.
    pub fn notify_one(&self) {
        self.0.notify(1.additional());
    }

    /// Gives the lock up, and waits to be woken.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let listener = self.0.listen();
        MutexGuard::unlocked(guard, || listener.wait());
    }
}
