//! An event with the interface of `event_listener`.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use shuttle::rand::{Rng, thread_rng};

use crate::point;

/// As `event_listener`'s: the next notification wakes all listeners.
#[derive(Debug, Default)]
pub struct Event(Arc<Mutex<Vec<Arc<Mutex<Listening>>>>>);

/// Listens from when it was made on.
#[derive(Debug)]
pub struct EventListener {
    event: Arc<Mutex<Vec<Arc<Mutex<Listening>>>>>,
    own: Arc<Mutex<Listening>>,
}

#[derive(Debug, Default)]
struct Listening {
    notified: bool,
    waker: Option<Waker>,
}

/// No thread is stopped while it holds one of these.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Event {
    /// An event without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        point();
        let own = Arc::new(Mutex::new(Listening::default()));
        locked(&self.0).push(Arc::clone(&own));
        EventListener {
            event: Arc::clone(&self.0),
            own,
        }
    }

    /// Notifies all: proglog never asks for fewer.
    ///
    /// # Panics
    ///
    /// If it is to notify fewer.
    pub fn notify(&self, number: usize) {
        assert_eq!(number, usize::MAX, "only all are notified");
        point();
        let all = mem::take(&mut *locked(&self.0));
        for one in all {
            let waker = {
                let mut listening = locked(&one);
                listening.notified = true;
                listening.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

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

    fn wait_deadline(self, _deadline: Instant) -> Option<()> {
        loop {
            point();
            if locked(&self.own).notified {
                return Some(());
            }
            if thread_rng().gen_ratio(1, 3) {
                return None;
            }
            shuttle::thread::yield_now();
        }
    }
}

impl Future for EventListener {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        point();
        let mut own = locked(&self.own);
        if own.notified {
            return Poll::Ready(());
        }
        own.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        locked(&self.event).retain(|other| !Arc::ptr_eq(other, &self.own));
    }
}
