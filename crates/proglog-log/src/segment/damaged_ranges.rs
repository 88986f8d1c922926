//! Damaged records of a segment, as far as scans of its store have found them missing.

use std::collections::BTreeMap;
use std::ops::Range;

use proglog_store::Position;

use crate::sync::{AtomicBool, Mutex, Ordering};

/// Most ranges that are kept for a segment.
const RANGES_MAX: usize = 4096;

/// Known damaged records of a segment, as ranges of their numbers, so that reading them fails without
/// another scan.
///
/// Ranges may be forgotten; then the store is scanned again.
#[derive(Debug)]
pub(crate) struct DamagedRanges {
    /// False while there are none, so that reads of an undamaged segment take no lock.
    may_exist: AtomicBool,
    /// First number to end (exclusive) and the position where the records must have been.
    ranges: Mutex<BTreeMap<u64, (u64, Position)>>,
}

impl DamagedRanges {
    pub(crate) fn new() -> Self {
        Self {
            may_exist: AtomicBool::new(false),
            ranges: Mutex::new(BTreeMap::new()),
        }
    }

    /// Adds the records `numbers`, which must have been at `position` and were not found.
    pub(crate) fn insert(&self, numbers: Range<u64>, position: Position) {
        if numbers.is_empty() {
            return;
        }
        let mut ranges = self.ranges.lock();
        if ranges.len() == RANGES_MAX {
            ranges.clear();
        }
        ranges.insert(numbers.start, (numbers.end, position));
        self.may_exist.store(true, Ordering::Release);
    }

    /// Forgets the records from `number` on.
    pub(crate) fn truncate(&self, number: u64) {
        let mut ranges = self.ranges.lock();
        drop(ranges.split_off(&number));
        if let Some((_, (end, _))) = ranges.iter_mut().next_back() {
            *end = number.min(*end);
        }
    }

    /// Returns the range that contains record `number`, and the position where its records must have been.
    pub(crate) fn containing(&self, number: u64) -> Option<(Range<u64>, Position)> {
        if !self.may_exist.load(Ordering::Acquire) {
            return None;
        }
        let ranges = self.ranges.lock();
        let (start, (end, position)) = ranges.range(..=number).next_back()?;
        (number < *end).then_some((*start..*end, *position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_ranges_are_found_and_their_neighbours_are_not() {
        let damage = DamagedRanges::new();
        damage.insert(5..5, Position::ZERO);
        assert_eq!(damage.containing(5), None);
        let [first, second] = [7, 9].map(Position::new);
        damage.insert(5..8, first);
        damage.insert(8..9, second);
        for number in 5..8 {
            assert_eq!(damage.containing(number), Some((5..8, first)));
        }
        assert_eq!(damage.containing(8), Some((8..9, second)));
        for number in [0, 4, 9, 10] {
            assert_eq!(damage.containing(number), None);
        }
    }

    #[test]
    fn ranges_end_where_they_are_truncated() {
        let damage = DamagedRanges::new();
        damage.insert(2..4, Position::ZERO);
        damage.insert(5..8, Position::ZERO);
        damage.insert(9..11, Position::ZERO);
        damage.truncate(7);
        assert_eq!(damage.containing(6), Some((5..7, Position::ZERO)));
        for number in 7..11 {
            assert_eq!(damage.containing(number), None);
        }
        assert_eq!(damage.containing(3), Some((2..4, Position::ZERO)));
    }

    #[test]
    fn the_newest_of_many_ranges_are_kept() {
        let damage = DamagedRanges::new();
        let count = RANGES_MAX as u64 + 1;
        for number in (0..count).map(|number| 2 * number) {
            damage.insert(number..number + 1, Position::ZERO);
            assert!(damage.containing(number).is_some());
        }
        assert!(damage.ranges.lock().len() <= RANGES_MAX);
    }
}
