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
/// measured by a clock that cannot be set, so setting the system's clock ahead deletes nothing;
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
    /// Age of the newest record, if it is known.
    pub(crate) age: Option<Duration>,
    /// True for the active segment, which only age lets go, together with all others.
    pub(crate) is_active: bool,
}

impl Retention {
    /// Creates a policy that keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps records younger than `age`. Default: no limit.
    ///
    /// The age of a record that this process has appended is measured by a clock that cannot be set. That of a record
    /// that was there when the log was opened counts from [`appended_at`](crate::StoredRecord::appended_at), as the
    /// system's clock dates the opening; but from the opening itself if that date lies ahead of it, or before 2025,
    /// since the clock was wrong when the record was appended. A clock that is set back is followed at once, which
    /// makes records younger, and one that is set forward once it has stayed there for five minutes.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Keeps the newest records, up to `bytes` bytes in the segments' files. The log takes up to one segment
    /// more, and the active one. Torn bytes that openings [set aside](crate::SetAside) are no records, so they do not
    /// count, and are removed with the segment that they come from. Default: no limit.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Keeps the newest `records` records. Default: no limit.
    pub fn records(mut self, records: u64) -> Self {
        self.records = Some(records);
        self
    }

    pub(crate) fn has_age(self) -> bool {
        self.age.is_some()
    }

    pub(crate) fn is_unlimited(self) -> bool {
        self == Self::default()
    }

    /// Returns the first of `segments`, which are consecutive, that stays; `None` if none does.
    pub(crate) fn first_kept(self, segments: &[SegmentUsage]) -> Option<&SegmentUsage> {
        let mut left = SegmentUsage::total(segments);
        segments.iter().find(|segment| {
            left.0 -= segment.records;
            left.1 -= segment.bytes;
            let enough = self.records.is_some_and(|records| left.0 >= records)
                || self.bytes.is_some_and(|bytes| left.1 >= bytes);
            let goes = (enough && !segment.is_active)
                || self.until(segment).is_some_and(|time| time.is_zero());
            !goes
        })
    }

    /// Returns after how long the segment becomes too old; zero if it is.
    fn until(self, segment: &SegmentUsage) -> Option<Duration> {
        Some(self.age?.saturating_sub(segment.age?))
    }

    /// Returns after how long the policy must be applied again, if `first` is the first segment that
    /// stays; `None` if only an append can change anything.
    pub(crate) fn next_pass(self, first: Option<&SegmentUsage>) -> Option<Duration> {
        let age = self.age?;
        Some(first.and_then(|segment| self.until(segment)).unwrap_or(age))
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

    /// Segments of 10 records and 100 bytes each, whose newest records were appended 1, 2, 3 and 4 seconds after a beginning, as they are `passed`
    /// seconds after it.
    fn segments_after(passed: f64) -> Vec<SegmentUsage> {
        let segment = |number: u32| SegmentUsage {
            offsets: Offset::from(u64::from(number) * 10)
                ..Offset::from(u64::from(number) * 10 + 10),
            records: 10,
            bytes: 100,
            age: Some(Duration::from_secs_f64(
                (passed - f64::from(number + 1)).max(0.0),
            )),
            is_active: number == 3,
        };
        (0..4).map(segment).collect()
    }

    fn first_kept(policy: Retention, segments: &[SegmentUsage]) -> Option<u64> {
        let first = policy.first_kept(segments);
        first.map(|segment| segment.offsets.start.get())
    }

    fn kept_from(policy: Retention) -> Option<u64> {
        first_kept(policy, &segments_after(0.0))
    }

    #[test]
    fn without_a_limit_everything_stays() {
        assert_eq!(first_kept(Retention::new(), &segments_after(1e9)), Some(0));
    }

    #[test]
    fn a_segment_goes_once_later_ones_hold_enough() {
        for (records, first) in [(41, 0), (31, 0), (30, 10), (11, 20), (10, 30), (0, 30)] {
            assert_eq!(kept_from(Retention::new().records(records)), Some(first));
            let bytes = Retention::new().bytes(records * 10);
            assert_eq!(kept_from(bytes), Some(first));
        }
    }

    #[test]
    fn records_that_are_not_on_the_device_do_not_count() {
        let mut segments = segments_after(0.0);
        (segments[3].records, segments[3].bytes) = (4, 40);
        for (records, first) in [(25, 0), (24, 10), (15, 10), (14, 20), (5, 20), (4, 30)] {
            let kept_from = |policy: Retention| first_kept(policy, &segments);
            let policy = Retention::new();
            assert_eq!(kept_from(policy.records(records)), Some(first));
            assert_eq!(kept_from(policy.bytes(records * 10)), Some(first));
        }
    }

    #[test]
    fn a_segment_goes_once_its_newest_record_is_too_old() {
        let policy = Retention::new().age(Duration::from_secs(5));
        let after = |passed: f64| first_kept(policy, &segments_after(passed));
        assert_eq!(after(5.999), Some(0));
        assert_eq!(after(6.0), Some(10));
        assert_eq!(after(8.5), Some(30));
        assert_eq!(after(9.0), None, "the active one goes by age alone");
        let unknown = segments_after(9.0).into_iter().map(|segment| SegmentUsage {
            age: None,
            ..segment
        });
        assert_eq!(first_kept(policy, &unknown.collect::<Vec<_>>()), Some(0));
    }

    #[test]
    fn the_policy_is_applied_again_when_the_oldest_segment_is_too_old() {
        let policy = Retention::new().age(Duration::from_secs(5));
        let next_pass = |passed| policy.next_pass(segments_after(passed).first());
        assert_eq!(next_pass(1.0), Some(Duration::from_secs(5)));
        assert_eq!(next_pass(5.5), Some(Duration::from_millis(500)));
        assert_eq!(policy.next_pass(None), Some(Duration::from_secs(5)));
        let by_bytes = Retention::new().bytes(1);
        assert_eq!(by_bytes.next_pass(segments_after(1.0).first()), None);
    }
}
