//! Failures of background work: counted, and kept for callers that ask.

use crate::error::Error;

/// Failures of a log's background work, from [`Log::background_failures`](crate::Log::background_failures).
///
/// Background work is retention, the syncs of interval and buffered logs and of idle ones, and the checkpoints that
/// follow syncs. It is tried again later, unless the log is poisoned.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackgroundFailures {
    /// The number of failures since the log was opened.
    pub count: u64,
    /// The newest one; `None` if there was none.
    pub last: Option<Error>,
}

impl BackgroundFailures {
    pub(crate) fn add(&mut self, error: Error) {
        self.count += 1;
        self.last = Some(error);
    }
}
