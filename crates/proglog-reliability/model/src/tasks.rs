//! The threads of an execution, and the background work of its log.

use std::time::Duration;

use proglog_log::{Job, Runtime};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, JoinHandle};

/// Runs background work on threads of the execution. What is to come after a while comes at any time; what is
/// to come after [`NEVER`] never does.
pub(crate) struct Tasks;

pub(crate) const NEVER: Duration = Duration::MAX;

impl Runtime for Tasks {
    fn spawn(&self, job: Job) {
        drop(thread::spawn(job));
    }

    fn spawn_after(&self, delay: Duration, job: Job) {
        if delay < NEVER {
            drop(thread::spawn(job));
        }
    }
}

/// Waits for threads.
pub(crate) fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let joined = threads.into_iter().map(JoinHandle::join);
    joined
        .map(|joined| joined.expect("a thread that panics ends all"))
        .collect()
}

/// One of this many ways, chosen by the scheduler.
pub(crate) fn choose(ways: u64) -> u64 {
    thread_rng().gen_range(0..ways)
}
