//! The log's clocks: microseconds since 1970 that never go back, and that never jump ahead.

use std::time::{Instant, SystemTime};

/// Tells the time of appends, never less than it told before, whatever the system's clock does.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: i64,
}

impl Clock {
    /// A clock that has told `last` before.
    pub(crate) fn after(last: i64) -> Self {
        Self { last }
    }

    /// Now, in microseconds since 1970-01-01 00:00 UTC.
    pub(crate) fn now(&mut self) -> i64 {
        self.last = self.last.max(system_time());
        self.last
    }

    /// What it told last; 0 at first.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }
}

/// The system's time, in microseconds since 1970.
fn system_time() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // In words of 64 bits, which last for 500,000 years.
    let micros = since_1970.map_or(0, |since| {
        let seconds = since.as_secs().saturating_mul(1_000_000);
        seconds.saturating_add(since.subsec_micros().into())
    });
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Tells the time for judging how old something is: never more than has passed since the clock was
/// made, so that nothing grows old because the system's clock was set ahead.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    begun: i64,
    instant: Instant,
}

impl SteadyClock {
    pub(crate) fn new() -> Self {
        Self {
            begun: system_time(),
            instant: Instant::now(),
        }
    }

    /// Now, in microseconds since 1970-01-01 00:00 UTC.
    pub(crate) fn now(&self) -> i64 {
        let passed = i64::try_from(self.instant.elapsed().as_micros()).unwrap_or(i64::MAX);
        system_time().min(self.begun.saturating_add(passed))
    }
}
