//! The log's clocks: microseconds since 1970 that never go back, and that never jump ahead.

use std::time::{Duration, Instant, SystemTime};

/// `time` in microseconds since 1970-01-01 00:00 UTC, rounded down, negative before; at most as far
/// from it as an `i64` counts.
pub(crate) fn micros(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => {
            let micros = before.duration().as_nanos().div_ceil(1000);
            i64::try_from(micros).map_or(i64::MIN, |micros| -micros)
        }
    }
}

/// The time `micros` microseconds after 1970-01-01 00:00 UTC, or before if it is negative; 1970 where
/// the system has no such time.
pub(crate) fn time(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The clock of appends: it never goes back, whatever the system's clock does.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: i64,
    is_coarse: bool,
}

impl Clock {
    /// A clock that starts no earlier than `last`. A coarse clock may be late by one tick of the system's, a
    /// few milliseconds, where that is cheaper: reading the exact time takes longer than copying a short
    /// record.
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

    /// The time that it returned last; 0 at first.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }
}

/// The system's time, in microseconds since 1970.
fn system_time() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // 64 bits last for 500,000 years.
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

/// The clock that ages are measured with. It advances no faster than time passes, so that nothing grows old
/// because the system's clock was set forward.
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

    #[test]
    fn times_are_exact_to_the_microsecond() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -1_700_000_000_123_456] {
            assert_eq!(super::micros(time(micros)), micros);
        }
        let nanos = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        assert_eq!(super::micros(nanos(1999)), 1);
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(super::micros(before), -1);
    }

    #[cfg(unix)]
    #[test]
    fn times_far_away_are_kept_or_saturate() {
        for micros in [i64::MIN + 1, i64::MAX] {
            assert_eq!(super::micros(time(micros)), micros);
        }
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(super::micros(far), i64::MAX);
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
