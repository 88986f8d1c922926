//! The outcome that the appends of one commit group share, and those that wait for it.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::runtime::{self, RuntimeHandle};
use crate::sync::{Event, EventListener, Mutex, OnceLock, std_sync};

/// The outcome of a commit group: one sync makes its appends durable, or one failure fails them all.
///
/// Threads that wait for the outcome take turns as the leader, which commits the group for all of them.
/// Futures and callbacks never lead.
pub(crate) struct SharedOutcome {
    outcome: OnceLock<Result<()>>,
    /// Set to wake one waiting thread as the next leader; that thread clears it.
    leader_wanted: std_sync::Mutex<bool>,
    /// Wakes waiting threads: for the outcome, or to lead.
    threads: std_sync::Condvar,
    /// Wakes futures. They never lead, so a future that is not polled again delays nobody.
    futures: Event,
    callbacks: Mutex<Vec<Callback>>,
    /// Runs the callbacks.
    runtime: RuntimeHandle,
}

pub(crate) type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// Commits open groups. The log implements it.
pub(crate) trait Committer: Send + Sync {
    /// Commits the open group on this thread, or returns at once if another thread leads. That leader
    /// completes `group`, or wakes one of the threads waiting for it when it is done.
    fn try_commit(&self, group: &SharedOutcome);

    /// Schedules a commit of the open group on a background thread.
    fn commit_in_background(&self);
}

impl SharedOutcome {
    pub(crate) fn new(runtime: RuntimeHandle) -> Arc<Self> {
        Arc::new(Self {
            outcome: OnceLock::new(),
            leader_wanted: std_sync::Mutex::new(false),
            threads: std_sync::Condvar::new(),
            futures: Event::new(),
            callbacks: Mutex::new(Vec::new()),
            runtime,
        })
    }

    /// Sets the outcome of every append in this group, wakes the threads and futures that wait for it, and
    /// schedules the callbacks. Later calls have no effect.
    pub(crate) fn complete(&self, outcome: Result<()>) {
        if self.outcome.set(outcome.clone()).is_err() {
            return;
        }
        // A thread that saw no outcome under this lock is asleep by now.
        drop(self.lock_leader_wanted());
        self.threads.notify_all();
        self.futures.notify(usize::MAX);
        let callbacks = std::mem::take(&mut *self.callbacks.lock());
        if !callbacks.is_empty() {
            // On another thread: the caller holds locks, and a callback may use the log.
            self.runtime.spawn(move || {
                for callback in callbacks {
                    runtime::run(|| callback(outcome.clone()));
                }
            });
        }
    }

    pub(crate) fn outcome(&self) -> Option<&Result<()>> {
        self.outcome.get()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Wakes one thread that waits, or will wait, to lead.
    pub(crate) fn wake_next_leader(&self) {
        *self.lock_leader_wanted() = true;
        self.threads.notify_one();
    }

    /// Blocks until the outcome is set, leading the commit if no other thread does.
    pub(crate) fn wait(&self, committer: &dyn Committer) -> Result<()> {
        if let Some(outcome) = self.outcome.get() {
            return outcome.clone();
        }
        loop {
            committer.try_commit(self);
            let mut leader_wanted = self.lock_leader_wanted();
            loop {
                if let Some(outcome) = self.outcome.get() {
                    return outcome.clone();
                }
                if std::mem::take(&mut *leader_wanted) {
                    break;
                }
                let woken = self.threads.wait(leader_wanted);
                leader_wanted = woken.unwrap_or_else(std_sync::PoisonError::into_inner);
            }
        }
    }

    fn lock_leader_wanted(&self) -> std_sync::MutexGuard<'_, bool> {
        self.leader_wanted
            .lock()
            .unwrap_or_else(std_sync::PoisonError::into_inner)
    }

    /// Calls `callback` once the outcome is set, or at once if it is.
    pub(crate) fn add_callback(&self, callback: Callback) {
        self.callbacks.lock().push(callback);
        // The outcome may have been set, and the callbacks taken, before this one was pushed.
        if let Some(outcome) = self.outcome.get() {
            let callbacks = std::mem::take(&mut *self.callbacks.lock());
            for callback in callbacks {
                runtime::run(|| callback(outcome.clone()));
            }
        }
    }

    /// Returns a listener that is woken when the outcome is set after this call.
    pub(crate) fn listen(&self) -> EventListener {
        self.futures.listen()
    }
}

impl fmt::Debug for SharedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedOutcome")
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sync::{AtomicBool, Ordering};

    /// Cannot lead on the first try, and leads on the second.
    #[derive(Default)]
    struct BusyAtFirst(AtomicBool);

    impl Committer for BusyAtFirst {
        fn try_commit(&self, group: &SharedOutcome) {
            if self.0.swap(true, Ordering::Relaxed) {
                group.complete(Ok(()));
            }
        }

        fn commit_in_background(&self) {}
    }

    #[test]
    fn a_thread_woken_before_it_sleeps_leads_all_the_same() {
        let group = SharedOutcome::new(RuntimeHandle::default());
        group.wake_next_leader();
        let (sender, receiver) = channel();
        thread::spawn(move || sender.send(group.wait(&BusyAtFirst::default())));
        let outcome = receiver.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(outcome.is_ok());
    }
}
