//! Which of its oldest records a log lets go of by itself.

use std::ops::Range;
use std::time::Duration;

use crate::offset::Offset;

/// What a log keeps at the least; what is older goes, by whole segments.
///
/// Each limit that is set lets a segment go: by [`age`](Retention::age) once all its records are older,
/// by [`bytes`](Retention::bytes) and [`records`](Retention::records) once the later segments hold that
/// much without it. The log looks when it is opened, whenever it rolls, and, where age counts, in the
/// background. By default everything is kept.
///
/// Age is counted from when the log took a record, never from a user's timestamp, and while the log is
/// open by a clock that does not run faster than time passes: setting the system's clock ahead then drops
/// nothing. What the clock says when the log is opened is believed.
///
/// ```
/// use std::time::Duration;
///
/// use proglog_log::{Options, Retention};
///
/// let week = Duration::from_secs(7 * 24 * 60 * 60);
/// let options = Options::new().retention(Retention::new().age(week).bytes(10 << 30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Retention {
    age: Option<Duration>,
    bytes: Option<u64>,
    records: Option<u64>,
}

/// A segment, as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its records that are not trimmed.
    pub(crate) offsets: Range<Offset>,
    /// How many of them are on the device: only they count as kept, whatever becomes of the others.
    pub(crate) records: u64,
    /// How many bytes of frames it has on the device.
    pub(crate) bytes: u64,
    /// When its newest record was appended, in microseconds since 1970, if that is known.
    pub(crate) newest: Option<i64>,
    /// Whether it takes appends. Such a segment goes only by age, with all others.
    pub(crate) is_active: bool,
}

impl Retention {
    /// Everything is kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records younger than `age` are kept. Default: all are.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// The newest records are kept that take so many bytes in the segments' files. The log takes up
    /// to a segment more than that, and the active one. Default: all are.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// So many of the newest records are kept. Default: all are.
    pub fn records(mut self, records: u64) -> Self {
        self.records = Some(records);
        self
    }

    pub(crate) fn is_unlimited(self) -> bool {
        self == Self::default()
    }

    /// The first of `segments`, which lie one behind the other, that stays at the time `now`; `None`
    /// if none does.
    pub(crate) fn first_kept(self, segments: &[Held], now: i64) -> Option<&Held> {
        let mut left = Held::total(segments);
        segments.iter().find(|held| {
            left.0 -= held.records;
            left.1 -= held.bytes;
            let enough = self.records.is_some_and(|records| left.0 >= records)
                || self.bytes.is_some_and(|bytes| left.1 >= bytes);
            let goes = (enough && !held.is_active)
                || self.until(held, now).is_some_and(|time| time.is_zero());
            !goes
        })
    }

    /// How long it takes from `now` until the segment is too old; zero if it is.
    fn until(self, held: &Held, now: i64) -> Option<Duration> {
        let age = Duration::from_micros(now.saturating_sub(held.newest?).max(0).unsigned_abs());
        Some(self.age?.saturating_sub(age))
    }

    /// After how long to look again, at `now`, if `first` is the first segment that is kept; `None` if
    /// only an append can change anything.
    pub(crate) fn next_look(self, first: Option<&Held>, now: i64) -> Option<Duration> {
        let age = self.age?;
        Some(first.and_then(|held| self.until(held, now)).unwrap_or(age))
    }
}

impl Held {
    /// How many records, and bytes, all have on the device.
    fn total(segments: &[Self]) -> (u64, u64) {
        let records = |held: &Self| held.records;
        let bytes = |held: &Self| held.bytes;
        (
            segments.iter().map(records).sum(),
            segments.iter().map(bytes).sum(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four segments of 10 records and 100 bytes, appended in the seconds 1 to 4.
    fn segments() -> Vec<Held> {
        let held = |number: u64| Held {
            offsets: Offset::new(number * 10)..Offset::new(number * 10 + 10),
            records: 10,
            bytes: 100,
            newest: Some(i64::try_from(number + 1).unwrap() * 1_000_000),
            is_active: number == 3,
        };
        (0..4).map(held).collect()
    }

    fn kept_from(policy: Retention, now: i64) -> Option<u64> {
        let segments = segments();
        let first = policy.first_kept(&segments, now);
        first.map(|held| held.offsets.start.get())
    }

    #[test]
    fn without_a_limit_everything_stays() {
        assert_eq!(kept_from(Retention::new(), i64::MAX), Some(0));
    }

    #[test]
    fn a_segment_goes_once_those_behind_it_hold_enough() {
        for (records, first) in [(41, 0), (31, 0), (30, 10), (11, 20), (10, 30), (0, 30)] {
            assert_eq!(kept_from(Retention::new().records(records), 0), Some(first));
            let bytes = Retention::new().bytes(records * 10);
            assert_eq!(kept_from(bytes, 0), Some(first));
        }
    }

    #[test]
    fn what_is_not_on_the_device_counts_for_nothing() {
        let mut segments = segments();
        (segments[3].records, segments[3].bytes) = (4, 40);
        for (records, first) in [(25, 0), (24, 10), (15, 10), (14, 20), (5, 20), (4, 30)] {
            let kept_from = |policy: Retention| {
                let first = policy.first_kept(&segments, 0);
                first.map(|held| held.offsets.start.get())
            };
            let policy = Retention::new();
            assert_eq!(kept_from(policy.records(records)), Some(first));
            assert_eq!(kept_from(policy.bytes(records * 10)), Some(first));
        }
    }

    #[test]
    fn a_segment_goes_once_its_newest_record_is_too_old() {
        let policy = Retention::new().age(Duration::from_secs(5));
        let at = |micros: i64| kept_from(policy, micros);
        assert_eq!(at(5_999_999), Some(0));
        assert_eq!(at(6_000_000), Some(10));
        assert_eq!(at(8_500_000), Some(30));
        assert_eq!(at(9_000_000), None, "the active one goes by age alone");
        assert_eq!(at(-9), Some(0), "a clock that is behind drops nothing");
    }

    #[test]
    fn the_next_look_comes_when_the_oldest_segment_is_too_old() {
        let policy = Retention::new().age(Duration::from_secs(5));
        let segments = segments();
        let look = |first, now| policy.next_look(first, now);
        assert_eq!(
            look(segments.first(), 1_000_000),
            Some(Duration::from_secs(5))
        );
        assert_eq!(
            look(segments.first(), 5_500_000),
            Some(Duration::from_millis(500))
        );
        assert_eq!(look(None, 0), Some(Duration::from_secs(5)));
        assert_eq!(
            Retention::new().bytes(1).next_look(segments.first(), 0),
            None
        );
    }
}
