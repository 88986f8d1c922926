//! A runtime that does background work on the thread of the test, at its request, so that each run makes the same
//! calls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use proglog_log::{Job, Runtime, RuntimeInUse, install_runtime};

thread_local! {
    /// The jobs of the logs of this thread.
    static JOBS: RefCell<VecDeque<Job>> = const { RefCell::new(VecDeque::new()) };
}

static INSTALLED: LazyLock<Result<(), RuntimeInUse>> = LazyLock::new(|| install_runtime(OnDemand));

struct OnDemand;

impl Runtime for OnDemand {
    fn spawn(&self, job: Job) {
        JOBS.with_borrow_mut(|jobs| jobs.push_back(job));
    }

    /// The tests end before it is time.
    fn spawn_after(&self, _delay: Duration, _job: Job) {}
}

/// Installs the runtime for all logs of this process, and drops the jobs left on this thread.
pub fn stop() {
    INSTALLED.expect("no log was opened before");
    JOBS.take();
}

/// Runs the jobs of the logs of this thread, and those that they add.
pub fn run() {
    while let Some(job) = JOBS.with_borrow_mut(VecDeque::pop_front) {
        job();
    }
}
