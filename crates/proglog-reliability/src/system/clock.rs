//! A clock that all processes of a machine share.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since a fixed time. It never decreases, across all processes.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let [seconds, nanos] = [now.tv_sec, now.tv_nsec].map(u64::try_from);
    seconds.unwrap_or_default() * 1_000_000_000 + nanos.unwrap_or_default()
}
