//! The log's clocks: microseconds since 1970 that never go back, and that never jump ahead.

use std::time::{Instant, SystemTime};

/// Tells the time of appends, never less than it told before, whatever the system's clock does.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: i64,
    is_coarse: bool,
}

impl Clock {
    /// A clock that has told `last` before. A coarse one may lag behind by a tick of the system's, a few
    /// milliseconds, where that can be had for less: reading the time exactly takes longer than copying
    /// a short record.
    pub(crate) fn after(last: i64, is_coarse: bool) -> Self {
        Self { last, is_coarse }
    }

    /// Now, in microseconds since 1970-01-01 00:00 UTC.
    #[inline]
    pub(crate) fn now(&mut self) -> i64 {
        let now = if self.is_coarse {
            coarse_system_time()
        } else {
            system_time()
        };
        self.last = self.last.max(now);
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

/// The system's time as it was at its last tick, in microseconds since 1970.
#[cfg(target_os = "linux")]
#[inline]
fn coarse_system_time() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    time.tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(time.tv_nsec / 1000)
        .max(0)
}

#[cfg(not(target_os = "linux"))]
fn coarse_system_time() -> i64 {
    system_time()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_clock_goes_back_or_runs_ahead() {
        for is_coarse in [false, true] {
            let mut clock = Clock::after(1, is_coarse);
            let first = clock.now();
            assert!(1 < first && first <= clock.now());
            assert!(first <= clock.last() && clock.last() <= system_time());
            let future = i64::MAX - 1;
            assert_eq!(Clock::after(future, is_coarse).now(), future);
            let steady = SteadyClock::new();
            assert!(first <= steady.now() && steady.now() <= system_time());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_coarse_time_is_that_of_the_last_tick_to_the_microsecond() {
        let tick = || {
            let tick = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
            let [seconds, nanos] = [tick.tv_sec, tick.tv_nsec].map(i128::from);
            (seconds * 1_000_000_000 + nanos) / 1000
        };
        let (before, told, after) = (tick(), coarse_system_time(), tick());
        assert!((before..=after).contains(&told.into()));
    }
}
