//! Jobs: pieces of background work.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A piece of background work. It may block on a file, and never panics.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs `job`, and catches a panic, which can only come from a user's callback.
pub(crate) fn run(job: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(job)));
}
