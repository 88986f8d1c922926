//! The log's clock: microseconds since 1970 that never go back.

use std::time::SystemTime;

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
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = since_1970.map_or(0, |since| since.as_micros());
        self.last = self.last.max(i64::try_from(micros).unwrap_or(i64::MAX));
        self.last
    }
}
