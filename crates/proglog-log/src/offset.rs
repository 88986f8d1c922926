//! Offsets: the numbers of records, and ranges of them.

use std::fmt;
use std::iter::Map;
use std::num::ParseIntError;
use std::ops::{
    Add, AddAssign, Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo,
    RangeToInclusive, Sub,
};
use std::str::FromStr;

/// The number of a record in its log.
///
/// Offsets are dense: each record has the offset of the record before it plus one. An offset never
/// names two values that anyone could have seen.
///
/// An offset compares with a `u64` and converts from and to one. `offset + n` is the offset `n`
/// records later, and `end - start` the number of records in `start..end`.
///
/// ```
/// use proglog_log::Offset;
///
/// let offset = Offset::new(7);
/// assert_eq!(offset + 3, 10);
/// assert_eq!(offset - Offset::new(2), 5);
/// assert!(offset < 8);
/// assert_eq!("7".parse(), Ok(offset));
/// assert_eq!(u64::from(offset), 7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Offset(u64);

impl Offset {
    /// The first offset of every log that was not created with another one.
    pub const ZERO: Self = Self(0);

    /// The largest offset. No record has it: it can only be the end of a log.
    pub const MAX: Self = Self(u64::MAX);

    /// The offset `number`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset `records` later, or `None` past [`Offset::MAX`].
    #[must_use]
    pub const fn checked_add(self, records: u64) -> Option<Self> {
        match self.0.checked_add(records) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The offset `records` earlier, or `None` below [`Offset::ZERO`].
    #[must_use]
    pub const fn checked_sub(self, records: u64) -> Option<Self> {
        match self.0.checked_sub(records) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The offset `records` later, at most [`Offset::MAX`].
    #[must_use]
    pub const fn saturating_add(self, records: u64) -> Self {
        Self(self.0.saturating_add(records))
    }

    /// The offset `records` earlier, at least [`Offset::ZERO`].
    ///
    /// ```
    /// use proglog_log::{Log, LogOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// log.append_batch(["a", "b", "c"])?;
    /// let newest = log.end_offset().saturating_sub(2); // the newest two
    /// assert_eq!(log.records(newest..).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn saturating_sub(self, records: u64) -> Self {
        Self(self.0.saturating_sub(records))
    }

    /// The number of records in `start..self`; 0 if `start` is past this offset.
    #[must_use]
    pub(crate) const fn saturating_since(self, start: Self) -> u64 {
        self.0.saturating_sub(start.0)
    }
}

/// The offset `records` later.
///
/// # Panics
///
/// Past [`Offset::MAX`], in every build profile.
impl Add<u64> for Offset {
    type Output = Self;

    #[inline]
    fn add(self, records: u64) -> Self {
        self.checked_add(records)
            .expect("overflow when adding to an offset")
    }
}

/// As `+`.
///
/// # Panics
///
/// Past [`Offset::MAX`], in every build profile.
impl AddAssign<u64> for Offset {
    #[inline]
    fn add_assign(&mut self, records: u64) {
        *self = *self + records;
    }
}

/// The number of records in `start..self`. [`Offsets::len`] is the same without a panic.
///
/// # Panics
///
/// If `start` is past this offset, in every build profile.
impl Sub for Offset {
    type Output = u64;

    #[inline]
    fn sub(self, start: Self) -> u64 {
        self.0
            .checked_sub(start.0)
            .expect("overflow when subtracting offsets")
    }
}

impl PartialEq<u64> for Offset {
    #[inline]
    fn eq(&self, number: &u64) -> bool {
        self.0 == *number
    }
}

impl PartialEq<Offset> for u64 {
    #[inline]
    fn eq(&self, offset: &Offset) -> bool {
        *self == offset.0
    }
}

impl PartialOrd<u64> for Offset {
    #[inline]
    fn partial_cmp(&self, number: &u64) -> Option<std::cmp::Ordering> {
        Some(self.0.cmp(number))
    }
}

impl PartialOrd<Offset> for u64 {
    #[inline]
    fn partial_cmp(&self, offset: &Offset) -> Option<std::cmp::Ordering> {
        Some(self.cmp(&offset.0))
    }
}

impl From<u64> for Offset {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Offset> for u64 {
    fn from(offset: Offset) -> Self {
        offset.0
    }
}

impl FromStr for Offset {
    type Err = ParseIntError;

    fn from_str(number: &str) -> Result<Self, Self::Err> {
        number.parse().map(Self)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open range of offsets: `start` is in it, `end` is not.
///
/// It is what a `Range<Offset>` would be if that could be iterated: `for offset in offsets` visits
/// each. It compares with, and converts from and to, ranges of `u64` and of [`Offset`]. A range whose
/// start is not below its end is empty.
///
/// ```
/// use proglog_log::{Offset, Offsets};
///
/// let offsets = Offsets::from(3..6);
/// assert_eq!(offsets, 3..6);
/// assert_eq!(offsets.len(), 3);
/// assert!(offsets.contains(5) && !offsets.contains(6));
/// assert_eq!(offsets.last(), Some(Offset::new(5)));
/// assert_eq!(offsets.clamp(5..), 5..6);
/// assert!(offsets.into_iter().rev().eq([5, 4, 3].map(Offset::new)));
/// assert_eq!(offsets.to_string(), "3..6");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Offsets {
    /// The first offset (inclusive).
    pub start: Offset,
    /// The end (exclusive).
    pub end: Offset,
}

impl Offsets {
    /// The range `start..end`.
    pub fn new(start: impl Into<Offset>, end: impl Into<Offset>) -> Self {
        Self {
            start: start.into(),
            end: end.into(),
        }
    }

    /// The number of offsets.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// True if there is no offset in the range.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// True if `offset` is in the range.
    pub fn contains(self, offset: impl Into<Offset>) -> bool {
        let offset = offset.into();
        self.start <= offset && offset < self.end
    }

    /// The first offset, or `None` if the range is empty.
    #[must_use]
    pub fn first(self) -> Option<Offset> {
        (!self.is_empty()).then_some(self.start)
    }

    /// The last offset, or `None` if the range is empty.
    #[must_use]
    pub fn last(self) -> Option<Offset> {
        (!self.is_empty()).then(|| self.end.saturating_sub(1))
    }

    /// The part of `range` that is in this range: empty, at one of the two ends, if none is.
    #[must_use]
    pub fn clamp(self, range: impl Into<OffsetBounds>) -> Self {
        let OffsetBounds { start, end } = range.into();
        let within = |offset: Offset| offset.max(self.start).min(self.end.max(self.start));
        let start = start.map_or(self.start, within);
        let end = end.map_or(self.end, within).max(start);
        Self { start, end }
    }
}

/// Visits each offset, from either end.
impl IntoIterator for Offsets {
    type Item = Offset;
    type IntoIter = Map<Range<u64>, fn(u64) -> Offset>;

    fn into_iter(self) -> Self::IntoIter {
        (self.start.0..self.end.0).map(Offset)
    }
}

impl RangeBounds<Offset> for Offsets {
    fn start_bound(&self) -> Bound<&Offset> {
        Bound::Included(&self.start)
    }

    fn end_bound(&self) -> Bound<&Offset> {
        Bound::Excluded(&self.end)
    }
}

impl<T: Into<Offset>> From<Range<T>> for Offsets {
    fn from(range: Range<T>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl<T: From<Offset>> From<Offsets> for Range<T> {
    fn from(offsets: Offsets) -> Self {
        offsets.start.into()..offsets.end.into()
    }
}

impl<T> PartialEq<Range<T>> for Offsets
where
    Offset: PartialEq<T>,
{
    fn eq(&self, range: &Range<T>) -> bool {
        self.start == range.start && self.end == range.end
    }
}

/// As `Range`: the start, two dots, the end.
impl fmt::Debug for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.start..self.end).fmt(f)
    }
}

/// The numbers, for example `3..6`.
impl fmt::Display for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// The bounds of records to read: any of Rust's ranges, of `u64` or of [`Offset`].
///
/// Operations that take `impl Into<OffsetBounds>` take `..`, `5..`, `..8`, `5..8`, `5..=7` and
/// [`Offsets`].
///
/// ```
/// use proglog_log::{Offset, OffsetBounds};
///
/// let bounds = OffsetBounds::from(5..=7);
/// assert_eq!(bounds.start, Some(Offset::new(5)));
/// assert_eq!(bounds.end, Some(Offset::new(8)));
/// assert_eq!(OffsetBounds::from(..), OffsetBounds::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OffsetBounds {
    /// The first offset (inclusive); `None` is the start of the log.
    pub start: Option<Offset>,
    /// The end (exclusive); `None` is the end of the log.
    pub end: Option<Offset>,
}

impl OffsetBounds {
    fn of<T: Copy + Into<Offset>>(range: &impl RangeBounds<T>) -> Self {
        let after = |offset: T| offset.into().saturating_add(1);
        let start = match range.start_bound() {
            Bound::Included(offset) => Some((*offset).into()),
            Bound::Excluded(offset) => Some(after(*offset)),
            Bound::Unbounded => None,
        };
        let end = match range.end_bound() {
            Bound::Included(offset) => Some(after(*offset)),
            Bound::Excluded(offset) => Some((*offset).into()),
            Bound::Unbounded => None,
        };
        Self { start, end }
    }
}

impl From<RangeFull> for OffsetBounds {
    fn from(_: RangeFull) -> Self {
        Self::default()
    }
}

impl From<Offsets> for OffsetBounds {
    fn from(offsets: Offsets) -> Self {
        Self::of(&offsets)
    }
}

macro_rules! bounds_from {
    ($($range:ident),*) => {$(
        impl<T: Copy + Into<Offset>> From<$range<T>> for OffsetBounds {
            fn from(range: $range<T>) -> Self {
                Self::of(&range)
            }
        }
    )*};
}

bounds_from!(Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive);

impl<T: Copy + Into<Offset>> From<(Bound<T>, Bound<T>)> for OffsetBounds {
    fn from(range: (Bound<T>, Bound<T>)) -> Self {
        Self::of(&range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = u64::MAX;

    #[test]
    fn an_offset_is_its_number() {
        let offset = Offset::from(7);
        assert_eq!((offset.get(), u64::from(offset)), (7, 7));
        assert_eq!(offset.to_string(), "7");
        assert_eq!("7".parse(), Ok(offset));
        assert!("-1".parse::<Offset>().is_err() && "".parse::<Offset>().is_err());
        assert!(offset == 7 && offset < 8 && offset > 6);
        assert!(7 == offset && 6 < offset && 8 > offset);
    }

    #[test]
    fn arithmetic_never_wraps() {
        let offset = Offset::new(7);
        let mut moved = offset;
        moved += 2;
        assert_eq!((offset + 2, moved), (Offset::new(9), Offset::new(9)));
        assert_eq!(offset - Offset::new(3), 4);
        assert_eq!(offset.checked_add(MAX - 7), Some(Offset::MAX));
        assert_eq!(offset.checked_add(MAX - 6), None);
        assert_eq!(offset.checked_sub(7), Some(Offset::ZERO));
        assert_eq!(offset.checked_sub(8), None);
        assert_eq!(offset.saturating_add(MAX), MAX);
        assert_eq!(offset.saturating_sub(8), 0);
    }

    #[test]
    #[should_panic(expected = "overflow when adding to an offset")]
    fn adding_past_the_largest_offset_panics() {
        _ = Offset::MAX + 1;
    }

    #[test]
    #[should_panic(expected = "overflow when subtracting offsets")]
    fn subtracting_a_larger_offset_panics() {
        _ = Offset::ZERO - Offset::new(1);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "it is empty, as it is in std")]
    fn a_range_whose_start_is_past_its_end_is_empty() {
        let offsets = Offsets::from(5..3);
        assert!(offsets.is_empty() && !offsets.contains(4));
        assert_eq!((offsets.first(), offsets.last()), (None, None));
        assert_eq!(offsets.into_iter().count(), 0);
        assert!(offsets.clamp(..).is_empty());
    }

    #[test]
    fn a_range_clamps_another_to_its_ends() {
        let offsets = Offsets::new(10, 20);
        for (range, clamped) in [
            (OffsetBounds::from(..), 10..20),
            ((12..).into(), 12..20),
            ((..12).into(), 10..12),
            ((5..=12).into(), 10..13),
            ((15..99).into(), 15..20),
            ((0..5).into(), 10..10),
            ((30..40).into(), 20..20),
            ((Bound::Excluded(11), Bound::Included(13)).into(), 12..14),
            (Offsets::new(0, MAX).into(), 10..20),
        ] {
            assert_eq!(offsets.clamp(range), clamped, "{range:?}");
        }
    }

    #[test]
    fn a_range_iterates_from_both_ends() {
        let range: Range<u64> = Offsets::new(3, 5).into();
        assert_eq!(range, 3..5);
        assert_eq!(Offsets::new(3, 5), Offset::new(3)..Offset::new(5));
        let mut offsets = Offsets::new(3, 5).into_iter();
        assert_eq!(offsets.next_back(), Some(Offset::new(4)));
        assert_eq!(offsets.next(), Some(Offset::new(3)));
        assert_eq!(offsets.next(), None);
        assert_eq!(format!("{:?}", Offsets::new(3, 5)), "Offset(3)..Offset(5)");
    }
}
