//! Threads for calls that block.
//!
//! They are started as they are needed. Where the system gives no more, calls wait for those that there are; the first
//! is started with the pool and never ends, so no call is refused or lost.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The time after which a thread without calls ends, unless it is the last.
const IDLE_MAX: Duration = Duration::from_secs(10);

type Call = Box<dyn FnOnce() + Send>;

/// Up to a number of threads for calls that block. When this is dropped they end, after the calls that are left.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use proglog_broker::{Panicked, Threads};
///
/// let threads = Threads::start(4);
/// assert_eq!(threads.call(|| 6 * 7).await, Ok(42));
/// assert_eq!(threads.call(|| -> u8 { panic!("a bug") }).await, Err(Panicked));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Threads {
    shared: Arc<Shared>,
    threads_max: usize,
}

/// The error for a call that has panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a call has panicked")]
pub struct Panicked;

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
    /// Starts the first thread; if that is not possible, the first call tries again. More are started as they are
    /// needed, up to `threads_max`.
    #[must_use]
    pub fn start(threads_max: usize) -> Self {
        let shared = Arc::new(Shared::default());
        if let Err(error) = shared.start_thread(&mut shared.state.lock()) {
            tracing::warn!(%error, "no thread for calls that block");
        }
        Self {
            shared,
            threads_max,
        }
    }

    /// Runs `call` on one of the threads, in the context of the tokio runtime that this is called in, if there is one.
    /// The call is queued before this returns. It runs even if the future is dropped, which only brings its result.
    ///
    /// # Errors
    ///
    /// [`Panicked`] if the call panics.
    pub fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Panicked>> + Send + 'static {
        self.queue(call, false)
    }

    /// As [`Threads::call`], but if the future is dropped before the call begins, the call does not run.
    ///
    /// # Errors
    ///
    /// [`Panicked`] if the call panics.
    pub fn call_if_awaited<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Panicked>> + Send + 'static {
        self.queue(call, true)
    }

    fn queue<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
        only_if_awaited: bool,
    ) -> impl Future<Output = Result<T, Panicked>> + Send + 'static {
        let (sender, receiver) = oneshot::channel();
        let runtime = Handle::try_current().ok();
        self.run(Box::new(move || {
            if only_if_awaited && sender.is_closed() {
                return;
            }
            let _entered = runtime.as_ref().map(Handle::enter);
            let result = catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked);
            if result.is_err() {
                tracing::error!("a call has panicked");
            }
            // The future may be gone.
            _ = sender.send(result);
        }));
        async { receiver.await.unwrap_or(Err(Panicked)) }
    }

    /// Runs `call`, which never panics, on one of the threads, or on this one if there is none and none can be started.
    fn run(&self, call: Call) {
        let mut state = self.shared.state.lock();
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
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
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
        let mut state = self.state.lock();
        loop {
            if let Some(call) = state.calls.pop_front() {
                drop(state);
                call();
                state = self.state.lock();
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let timed_out = self.changed.wait_for(&mut state, IDLE_MAX).timed_out();
            state.idle -= 1;
            if timed_out && state.calls.is_empty() && state.threads > 1 {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_call_runs_though_its_future_is_dropped_unless_it_is_only_for_that() {
        let threads = Threads::start(1);
        let (release, held) = mpsc::channel::<()>();
        let (send, ran) = mpsc::channel();
        let first = threads.call(move || held.recv().is_ok());
        let sender = send.clone();
        drop(threads.call(move || sender.send("kept").unwrap()));
        drop(threads.call_if_awaited(move || send.send("dropped").unwrap()));
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(true));
        threads.call(|| ()).await.unwrap();
        assert_eq!(ran.iter().collect::<Vec<_>>(), ["kept"]);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_costs_no_thread() {
        let threads = Threads::start(1);
        for _ in 0..3 {
            assert_eq!(
                threads.call(|| -> u8 { panic!("a test") }).await,
                Err(Panicked)
            );
        }
        assert_eq!(threads.call(|| 1).await, Ok(1));
    }

    #[test]
    fn calls_that_are_left_run_after_the_pool_is_dropped() {
        let threads = Threads::start(2);
        let (send, ran) = mpsc::channel();
        for number in 0..100 {
            let send = send.clone();
            drop(threads.call(move || send.send(number).unwrap()));
        }
        drop((threads, send));
        assert_eq!(ran.iter().count(), 100);
    }
}
