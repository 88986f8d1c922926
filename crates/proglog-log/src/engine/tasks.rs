//! Background tasks of which at most one run is scheduled at a time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::runtime::RuntimeHandle;
use crate::sync::{AtomicBool, Ordering};

/// A function of `T` that a background thread runs, with an argument given when it is armed.
///
/// Arming has no effect while a run is scheduled and has not begun. A run that begins sees everything that
/// happened before the calls of `arm` that had no effect. The task keeps no `T` alive: once that is dropped,
/// nothing runs.
pub(crate) struct Task<T, A = ()> {
    inner: Arc<Inner<T, A>>,
}

struct Inner<T, A> {
    owner: Weak<T>,
    runtime: RuntimeHandle,
    run: fn(&T, A),
    /// True from arming until the run begins.
    is_scheduled: AtomicBool,
}

impl<T, A> Task<T, A>
where
    T: Send + Sync + 'static,
    A: Send + 'static,
{
    pub(crate) fn new(owner: &Weak<T>, runtime: &RuntimeHandle, run: fn(&T, A)) -> Self {
        Self {
            inner: Arc::new(Inner {
                owner: owner.clone(),
                runtime: runtime.clone(),
                run,
                is_scheduled: AtomicBool::new(false),
            }),
        }
    }

    /// Returns a task of which no run is scheduled. A run of this one that is scheduled remains so.
    pub(crate) fn unscheduled(&self) -> Self {
        let Inner {
            owner,
            runtime,
            run,
            ..
        } = &*self.inner;
        Self::new(owner, runtime, *run)
    }

    /// Schedules a run once `delay` has passed, with `argument`. After a delay of [`Duration::MAX`] it never
    /// runs, and stays scheduled.
    #[inline]
    pub(crate) fn arm_after_with(&self, delay: Duration, argument: A) {
        if self.begin_scheduling() {
            let inner = Arc::clone(&self.inner);
            let run = move || inner.run(argument);
            self.inner.runtime.spawn_after(delay, run);
        }
    }

    /// Returns whether a run is scheduled and has not begun.
    #[inline]
    pub(crate) fn is_scheduled(&self) -> bool {
        self.inner.is_scheduled.load(Ordering::SeqCst)
    }

    /// Returns whether nothing was scheduled, which this changes.
    #[inline]
    fn begin_scheduling(&self) -> bool {
        // Loading first keeps the cache line shared, since most calls find a run scheduled.
        !self.is_scheduled() && !self.inner.is_scheduled.swap(true, Ordering::SeqCst)
    }
}

impl<T: Send + Sync + 'static> Task<T> {
    /// Schedules a run as soon as a background thread is free.
    pub(crate) fn arm(&self) {
        if self.begin_scheduling() {
            let inner = Arc::clone(&self.inner);
            self.inner.runtime.spawn(move || inner.run(()));
        }
    }

    /// Schedules a run once `delay` has passed.
    pub(crate) fn arm_after(&self, delay: Duration) {
        self.arm_after_with(delay, ());
    }
}

impl<T, A> Inner<T, A> {
    fn run(&self, argument: A) {
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        // Cleared before the run looks at anything, and sequentially consistent with the load in
        // `begin_scheduling`: either the run sees a change made before arming, or arming schedules another run.
        self.is_scheduled.store(false, Ordering::SeqCst);
        (self.run)(&owner, argument);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::sync::Mutex;

    const LONG: Duration = Duration::from_mins(1);

    /// Sends a message when a run begins, and ends the run when it receives one.
    struct Owner {
        begun: Mutex<Sender<u32>>,
        end: Mutex<Receiver<()>>,
        task: Task<Self, u32>,
    }

    fn owner() -> (Arc<Owner>, Receiver<u32>, Sender<()>) {
        let (begun, has_begun) = channel();
        let (ends, end) = channel();
        let owner = Arc::new_cyclic(|owner| Owner {
            begun: Mutex::new(begun),
            end: Mutex::new(end),
            task: Task::new(
                owner,
                &RuntimeHandle::default(),
                |owner: &Owner, argument| {
                    owner.begun.lock().send(argument).unwrap();
                    owner.end.lock().recv().unwrap();
                },
            ),
        });
        (owner, has_begun, ends)
    }

    #[test]
    fn one_run_is_scheduled_until_it_begins_and_then_another() {
        let (owner, has_begun, ends) = owner();
        let soon = Duration::from_millis(20);
        for argument in 0..3 {
            owner.task.arm_after_with(soon, argument);
        }
        assert_eq!(has_begun.recv_timeout(LONG), Ok(0));
        for argument in 3..6 {
            owner.task.arm_after_with(soon, argument);
        }
        ends.send(()).unwrap();
        ends.send(()).unwrap();
        assert_eq!(has_begun.recv_timeout(LONG), Ok(3));
        assert!(has_begun.recv_timeout(3 * soon).is_err());
    }

    #[test]
    fn nothing_runs_once_the_owner_is_dropped() {
        let (owner, has_begun, _ends) = owner();
        owner.task.arm_after_with(Duration::from_millis(10), 0);
        drop(owner);
        assert!(has_begun.recv_timeout(LONG).is_err(), "it has run");
    }
}
