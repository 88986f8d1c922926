//! Retention policy: when old segments are deleted automatically.

use std::ops::Range;
use std::time::Duration;

use crate::offset::Offset;

/// The least that a log keeps. Older records are deleted, in whole segments.
///
/// Each limit that is set lets a segment go: [`age`](Retention::age) once all its records are older,
/// [`bytes`](Retention::bytes) and [`records`](Retention::records) once the later segments hold that much without
/// it. The policy is applied when the log is opened, when it rolls, and, if it has an age, in the background. The
/// default keeps everything.
///
/// Age counts from when the log appended a record, never from the user's timestamp. While the log is open it is
/// measured by a clock that runs no faster than time passes, so setting the system's clock ahead deletes nothing;
/// the system's time at opening is trusted.
///
/// ```
/// use std::time::Duration;
///
/// use proglog_log::{LogOptions, Retention};
///
/// let week = Duration::from_secs(7 * 24 * 60 * 60);
/// let options = LogOptions::new().retention(Retention::new().age(week).bytes(10 << 30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Retention {
    age: Option<Duration>,
    bytes: Option<u64>,
    records: Option<u64>,
}

/// Size and age of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentUsage {
    /// Offsets of its records that are not trimmed.
    pub(crate) offsets: Range<Offset>,
    /// Records among these that are on the device. Only they count as kept.
    pub(crate) records: u64,
    /// Bytes of frames on the device.
    pub(crate) bytes: u64,
    /// Time of the newest append, in microseconds since 1970, if it is known.
    pub(crate) newest: Option<i64>,
    /// True for the active segment, which only age lets go, together with all others.
    pub(crate) is_active: bool,
}

impl Retention {
    /// Creates a policy that keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps records younger than `age`. Default: no limit.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Keeps the newest records, up to `bytes` bytes in the segments' files. The log takes up to one segment
    /// more, and the active one. Default: no limit.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Keeps the newest `records` records. Default: no limit.
    pub fn records(mut self, records: u64) -> Self {
        self.records = Some(records);
        self
    }

    pub(crate) fn is_unlimited(self) -> bool {
        self == Self::default()
    }

    /// Returns the first of `segments`, which are consecutive, that stays at the time `now`; `None` if none
    /// does.
    pub(crate) fn first_kept(self, segments: &[SegmentUsage], now: i64) -> Option<&SegmentUsage> {
        let mut left = SegmentUsage::total(segments);
        segments.iter().find(|segment| {
            left.0 -= segment.records;
            left.1 -= segment.bytes;
            let enough = self.records.is_some_and(|records| left.0 >= records)
                || self.bytes.is_some_and(|bytes| left.1 >= bytes);
            let goes = (enough && !segment.is_active)
                || self.until(segment, now).is_some_and(|time| time.is_zero());
            !goes
        })
    }

    /// Returns how long after `now` the segment becomes too old; zero if it is.
    fn until(self, segment: &SegmentUsage, now: i64) -> Option<Duration> {
        let age = Duration::from_micros(now.saturating_sub(segment.newest?).max(0).unsigned_abs());
        Some(self.age?.saturating_sub(age))
    }

    /// Returns how long after `now` the policy must be applied again, if `first` is the first segment that
    /// stays; `None` if only an append can change anything.
    pub(crate) fn next_pass(self, first: Option<&SegmentUsage>, now: i64) -> Option<Duration> {
        let age = self.age?;
        Some(
            first
                .and_then(|segment| self.until(segment, now))
                .unwrap_or(age),
        )
    }
}

impl SegmentUsage {
    /// Returns the records and bytes that all segments have on the device.
    fn total(segments: &[Self]) -> (u64, u64) {
        let records = |segment: &Self| segment.records;
        let bytes = |segment: &Self| segment.bytes;
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
    fn segments() -> Vec<SegmentUsage> {
        let segment = |number: u64| SegmentUsage {
            offsets: Offset::new(number * 10)..Offset::new(number * 10 + 10),
            records: 10,
            bytes: 100,
            newest: Some(i64::try_from(number + 1).unwrap() * 1_000_000),
            is_active: number == 3,
        };
        (0..4).map(segment).collect()
    }

    fn kept_from(policy: Retention, now: i64) -> Option<u64> {
        let segments = segments();
        let first = policy.first_kept(&segments, now);
        first.map(|segment| segment.offsets.start.get())
    }

    #[test]
    fn without_a_limit_everything_stays() {
        assert_eq!(kept_from(Retention::new(), i64::MAX), Some(0));
    }

    #[test]
    fn a_segment_goes_once_later_ones_hold_enough() {
        for (records, first) in [(41, 0), (31, 0), (30, 10), (11, 20), (10, 30), (0, 30)] {
            assert_eq!(kept_from(Retention::new().records(records), 0), Some(first));
            let bytes = Retention::new().bytes(records * 10);
            assert_eq!(kept_from(bytes, 0), Some(first));
        }
    }

    #[test]
    fn records_that_are_not_on_the_device_do_not_count() {
        let mut segments = segments();
        (segments[3].records, segments[3].bytes) = (4, 40);
        for (records, first) in [(25, 0), (24, 10), (15, 10), (14, 20), (5, 20), (4, 30)] {
            let kept_from = |policy: Retention| {
                let first = policy.first_kept(&segments, 0);
                first.map(|segment| segment.offsets.start.get())
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
    fn the_policy_is_applied_again_when_the_oldest_segment_is_too_old() {
        let policy = Retention::new().age(Duration::from_secs(5));
        let segments = segments();
        let look = |first, now| policy.next_pass(first, now);
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
            Retention::new().bytes(1).next_pass(segments.first(), 0),
            None
        );
    }
}
