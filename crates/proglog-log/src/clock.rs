//! The log's clocks: of appends, which never goes back, and of ages, which never counts what has not passed.

#[cfg(any(test, feature = "testing"))]
use std::sync::Arc;
#[cfg(not(target_os = "linux"))]
use std::sync::LazyLock;
#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::{AtomicI64, Ordering};
#[cfg(not(target_os = "linux"))]
use std::time::Instant;
use std::time::{Duration, SystemTime};

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

/// Where times are read from: the two clocks of the system, or those of a test.
#[derive(Debug, Clone, Default)]
pub(crate) enum TimeSource {
    #[default]
    System,
    #[cfg(any(test, feature = "testing"))]
    Test(Arc<TestClock>),
}

impl TimeSource {
    /// The system's time, in microseconds since 1970. A coarse time may be late by one tick of the system's
    /// clock, a few milliseconds, where that is cheaper: reading the exact time takes longer than copying a
    /// short record.
    #[inline]
    pub(crate) fn system(&self, is_coarse: bool) -> i64 {
        match self {
            Self::System if is_coarse => coarse_system_time(),
            Self::System => system_time(),
            #[cfg(any(test, feature = "testing"))]
            Self::Test(clock) => clock.system.load(Ordering::SeqCst),
        }
    }

    /// Microseconds by a clock that cannot be set. A coarse time is late as that of [`TimeSource::system`] is.
    #[inline]
    fn monotonic(&self, is_coarse: bool) -> i64 {
        match self {
            Self::System => monotonic_time(is_coarse),
            #[cfg(any(test, feature = "testing"))]
            Self::Test(clock) => clock.monotonic.load(Ordering::SeqCst),
        }
    }
}

/// A clock that a test sets, for [`LogOptions::clock`](crate::LogOptions::clock).
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct TestClock {
    system: AtomicI64,
    monotonic: AtomicI64,
}

#[cfg(any(test, feature = "testing"))]
impl TestClock {
    /// A clock that shows `time`.
    #[must_use]
    pub fn new(time: SystemTime) -> Arc<Self> {
        let clock = Self::default();
        clock.set(time);
        Arc::new(clock)
    }

    /// Sets the clock to `time`, while no time passes.
    pub fn set(&self, time: SystemTime) {
        self.system.store(micros(time), Ordering::SeqCst);
    }

    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.system.fetch_add(micros, Ordering::SeqCst);
        self.monotonic.fetch_add(micros, Ordering::SeqCst);
    }
}

/// The clock of appends: it never goes back, whatever the system's clock does.
#[derive(Debug)]
pub(crate) struct Clock {
    source: TimeSource,
    is_coarse: bool,
    last: i64,
    /// The time of the newest append, by the clock that cannot be set.
    newest: Option<i64>,
}

impl Clock {
    /// A clock that starts no earlier than `last`.
    pub(crate) fn after(last: i64, source: TimeSource, is_coarse: bool) -> Self {
        Self {
            source,
            is_coarse,
            last,
            newest: None,
        }
    }

    /// The time of an append, in microseconds since 1970-01-01 00:00 UTC.
    #[inline]
    pub(crate) fn now(&mut self) -> i64 {
        let newest = Some(self.source.monotonic(self.is_coarse));
        // Between two ticks the system's coarse clock shows the same.
        if newest != self.newest || !self.is_coarse {
            self.newest = newest;
            self.last = self.last.max(self.source.system(self.is_coarse));
        }
        self.last
    }

    /// The time that it returned last; 0 at first.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// The time of the newest append; `None` before the first.
    pub(crate) fn newest_append(&self) -> Option<Passed> {
        self.newest.map(Passed)
    }
}

/// A time by the clock that cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed(i64);

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

/// Microseconds by the system's monotonic clock, as it was at its last tick if `is_coarse`.
#[cfg(target_os = "linux")]
#[inline]
fn monotonic_time(is_coarse: bool) -> i64 {
    use rustix::time::ClockId;
    let time = rustix::time::clock_gettime(if is_coarse {
        ClockId::MonotonicCoarse
    } else {
        ClockId::Monotonic
    });
    let micros = time.tv_sec.saturating_mul(SECOND);
    micros.saturating_add(time.tv_nsec / 1000)
}

#[cfg(not(target_os = "linux"))]
fn monotonic_time(_is_coarse: bool) -> i64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(BEGUN.elapsed().as_micros()).unwrap_or(i64::MAX)
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

/// Microseconds. A clock that is off by less is corrected without being set.
const SECOND: i64 = 1_000_000;

/// No record is older than this software: an earlier date is that of a clock that had not been set.
/// 2025-01-01 00:00 UTC.
const DATES_BEGIN: i64 = 1_735_689_600 * SECOND;

/// How long the system's clock must stay ahead, once it was set forward, until ages follow it.
pub(crate) const STEP_LASTS: Duration = Duration::from_mins(5);

/// The clock that ages are measured with, of one log while it is open.
///
/// The age of a record that was appended since is measured by the clock that cannot be set. That of a record that
/// was found at opening counts from its date, unless the date lies ahead of the opening, or is that of a clock
/// that had not been set: then it counts from the opening. When the system's clock is set back, ages follow at
/// once, since all become less; when it is set forward, only once it has stayed there for [`STEP_LASTS`].
#[derive(Debug)]
pub(crate) struct AgeClock {
    source: TimeSource,
    opened: Passed,
    /// The system's time when no time had passed.
    begun: i64,
    /// The same by a clock that is ahead, and since when it has been.
    ahead: Option<(i64, i64)>,
}

impl AgeClock {
    pub(crate) fn new(source: TimeSource) -> Self {
        let opened = source.monotonic(false);
        Self {
            begun: source.system(false).saturating_sub(opened),
            source,
            opened: Passed(opened),
            ahead: None,
        }
    }

    /// Looks at both clocks, and returns the ages of now.
    pub(crate) fn look(&mut self) -> Ages {
        let now = self.source.monotonic(false);
        let begun = self.source.system(false).saturating_sub(now);
        self.ahead = match self.ahead {
            // It was never set, or set back.
            _ if begun <= self.begun.saturating_add(SECOND) => {
                self.begun = begun;
                None
            }
            Some((ahead, since)) if ahead <= begun.saturating_add(SECOND) => {
                let lasted = Duration::from_micros(now.saturating_sub(since).max(0).unsigned_abs());
                if lasted >= STEP_LASTS {
                    self.begun = ahead;
                    None
                } else {
                    Some((ahead, since))
                }
            }
            _ => Some((begun, now)),
        };
        Ages {
            now: Passed(now),
            opened: self.opened,
            opened_at: self.begun.saturating_add(self.opened.0),
        }
    }

    /// Returns whether the system's clock was set forward, and is not followed yet.
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }
}

/// The ages of records at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ages {
    now: Passed,
    opened: Passed,
    /// When the log was opened, by the system's clock.
    opened_at: i64,
}

impl Ages {
    /// The age of a record that was appended at `time`, since the log was opened.
    pub(crate) fn since(self, time: Passed) -> Duration {
        Duration::from_micros(self.now.0.saturating_sub(time.0).max(0).unsigned_abs())
    }

    /// The age of a record that was found with the date `date`.
    pub(crate) fn of_found(self, date: i64) -> Duration {
        let before = if (DATES_BEGIN..self.opened_at).contains(&date) {
            self.opened_at.abs_diff(date)
        } else {
            0
        };
        self.since(self.opened) + Duration::from_micros(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn day(number: u32) -> SystemTime {
        time(DATES_BEGIN) + number * DAY
    }

    #[test]
    fn the_clock_of_appends_does_not_go_back() {
        for is_coarse in [false, true] {
            let mut clock = Clock::after(1, TimeSource::System, is_coarse);
            let first = clock.now();
            assert!(1 < first && first <= clock.now());
            assert!(first <= clock.last() && clock.last() <= system_time());
            let future = i64::MAX - 1;
            assert_eq!(
                Clock::after(future, TimeSource::System, is_coarse).now(),
                future
            );
        }
    }

    #[test]
    fn the_newest_append_is_timed_by_what_has_passed_however_the_clock_is_set() {
        let test = TestClock::new(day(100));
        let mut clock = Clock::after(0, TimeSource::Test(Arc::clone(&test)), false);
        let ages = AgeClock::new(TimeSource::Test(Arc::clone(&test))).look();
        for (number, shown) in [day(100), day(90), day(9000), day(100), day(100)]
            .into_iter()
            .enumerate()
        {
            test.set(shown);
            test.advance(DAY / 2);
            clock.now();
            let passed = DAY / 2 * u32::try_from(number + 1).unwrap();
            assert_eq!(
                u128::from(clock.newest_append().unwrap().0.unsigned_abs()),
                passed.as_micros()
            );
            assert_eq!(ages.since(clock.newest_append().unwrap()), Duration::ZERO);
        }
    }

    #[test]
    fn what_was_found_is_as_old_as_its_date_says_unless_that_cannot_be() {
        let test = TestClock::new(day(100));
        let mut clock = AgeClock::new(TimeSource::Test(Arc::clone(&test)));
        let mut age = |found| clock.look().of_found(micros(found));
        assert_eq!(age(day(97)), 3 * DAY);
        assert_eq!(age(day(101)), Duration::ZERO, "a date ahead");
        assert_eq!(
            age(SystemTime::UNIX_EPOCH),
            Duration::ZERO,
            "a clock that was not set"
        );
        test.advance(DAY);
        assert_eq!(age(day(97)), 4 * DAY);
        assert_eq!(age(day(101)), DAY);
        assert_eq!(age(SystemTime::UNIX_EPOCH), DAY);
    }

    #[test]
    fn ages_follow_a_clock_that_is_set_back_at_once_and_one_that_is_set_forward_if_that_lasts() {
        let test = TestClock::new(day(100));
        let mut clock = AgeClock::new(TimeSource::Test(Arc::clone(&test)));
        let found = micros(day(90));
        test.set(day(95));
        assert_eq!(clock.look().of_found(found), 5 * DAY);
        test.set(day(9000));
        assert_eq!(clock.look().of_found(found), 5 * DAY);
        assert!(clock.is_ahead());
        test.advance(STEP_LASTS / 2);
        test.set(day(95) + STEP_LASTS / 2);
        assert_eq!(
            clock.look().of_found(found),
            5 * DAY + STEP_LASTS / 2,
            "it is back"
        );
        assert!(!clock.is_ahead());
        test.set(day(100));
        assert_eq!(clock.look().of_found(found), 5 * DAY + STEP_LASTS / 2);
        test.advance(STEP_LASTS / 2);
        assert_eq!(clock.look().of_found(found), 5 * DAY + STEP_LASTS);
        assert!(clock.is_ahead(), "it may still be set back");
        test.advance(STEP_LASTS / 2);
        assert_eq!(clock.look().of_found(found), 10 * DAY + STEP_LASTS);
        assert!(!clock.is_ahead());
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
