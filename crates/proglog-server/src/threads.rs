//! Threads for calls into the log, which block.
//!
//! They are started as they are needed. Where the system gives no more, calls wait for those that there are; the first
//! is started with the pool and never ends, so no call is refused or lost.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A call. It never panics.
pub(crate) type Call = Box<dyn FnOnce() + Send>;

/// The time after which a thread without calls ends, unless it is the last.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Up to a number of threads. When this is dropped they end, after the calls that are left.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    threads_max: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Call>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Threads {
    /// Starts the first thread; if that is not possible, the first call tries again.
    pub(crate) fn start(threads_max: usize) -> Self {
        let shared = Arc::new(Shared::default());
        if let Err(error) = shared.start_thread(&mut shared.lock()) {
            tracing::warn!(%error, "no thread for calls into the log");
        }
        Self {
            shared,
            threads_max,
        }
    }

    /// Runs `call` on one of the threads, or on this one if there is none and none can be started.
    pub(crate) fn run(&self, call: Call) {
        let mut state = self.shared.lock();
        state.calls.push_back(call);
        let needs_thread = state.calls.len() > state.idle && state.threads < self.threads_max;
        if needs_thread && self.shared.start_thread(&mut state).is_ok() {
            return;
        }
        if state.threads > 0 {
            self.shared.changed.notify_one();
            return;
        }
        let call = state.calls.pop_back();
        drop(state);
        if let Some(call) = call {
            call();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts and counts a thread.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new()
            .name("log-calls".to_owned())
            .spawn(move || shared.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(call) = state.calls.pop_front() {
                drop(state);
                call();
                state = self.lock();
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, IDLE_MAX);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.calls.is_empty() && state.threads > 1 {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("threads_max", &self.threads_max)
            .finish_non_exhaustive()
    }
}
