//! What a log does in the background, done when the test says so and on its thread: so that each run
//! makes the same calls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use proglog_log::{Job, Runtime, RuntimeInUse, install_runtime};

thread_local! {
    /// What the logs of this thread have asked for.
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

/// From here on the logs of this process do nothing by themselves. What those of this thread have left
/// over is forgotten.
pub(crate) fn stop() {
    INSTALLED.expect("no log was opened before");
    JOBS.take();
}

/// Does what the logs of this thread have asked for, and what they ask for meanwhile.
pub(crate) fn run() {
    while let Some(job) = JOBS.with_borrow_mut(VecDeque::pop_front) {
        job();
    }
}
