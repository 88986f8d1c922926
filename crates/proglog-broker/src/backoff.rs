//! The delays until a log that has failed is opened again.

use std::time::Duration;

use tokio::time::Instant;

const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(30);

/// The time after which a log that was opened again counts as mended.
const MENDED_AFTER: Duration = Duration::from_mins(1);

/// The delays after the failures of one log: each twice the one before.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// The last delay, and when it was over.
    last: Option<(Duration, Instant)>,
}

impl Backoff {
    /// Returns the delay after a log has failed that was open.
    pub(crate) fn after_failure(&mut self, now: Instant) -> Duration {
        let delay = match self.last {
            Some((delay, over)) if now < over + MENDED_AFTER => (delay * 2).min(DELAY_MAX),
            _ => DELAY_MIN,
        };
        self.last = Some((delay, now + delay));
        delay
    }

    /// Returns the delay after a log could not be opened: the longest, unless it was open shortly before.
    pub(crate) fn after_opening(&mut self, now: Instant) -> Duration {
        match self.last {
            Some((_, over)) if now < over + MENDED_AFTER => self.after_failure(now),
            _ => DELAY_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_until_the_log_was_well_for_a_minute() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let delay = backoff.after_failure(now);
            assert_eq!(delay, seconds * SECOND);
            now += delay + 59 * SECOND;
        }
        assert_eq!(backoff.after_opening(now), 30 * SECOND);
        assert_eq!(backoff.after_failure(now + 90 * SECOND), SECOND);
    }

    #[test]
    fn a_log_that_was_never_open_has_the_longest_delay() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..2 {
            assert_eq!(backoff.after_opening(now), 30 * SECOND);
        }
        assert_eq!(backoff.after_failure(now), SECOND);
        assert_eq!(backoff.after_opening(now), 2 * SECOND);
    }
}
