//! Which records of a segment walks over its store did not find.

use std::collections::BTreeMap;
use std::ops::Range;

use proglog_store::Position;

use crate::sync::{AtomicBool, Mutex, Ordering};

/// How many ranges of damaged records of a segment are remembered.
const RANGES_MAX: usize = 4096;

/// The damaged records of a segment that are known, as ranges of their numbers: to be told of at once.
///
/// It may forget what it knew, and then the store is walked over again.
#[derive(Debug)]
pub(crate) struct Damage {
    /// Whether there may be any: who reads a segment that is whole takes no lock.
    is_known: AtomicBool,
    /// By the first number: the end (exclusive), and the place where they must have been.
    ranges: Mutex<BTreeMap<u64, (u64, Position)>>,
}

impl Damage {
    pub(crate) fn new() -> Self {
        Self {
            is_known: AtomicBool::new(false),
            ranges: Mutex::new(BTreeMap::new()),
        }
    }

    /// A walk did not find these records, which must have been at `position`.
    pub(crate) fn note(&self, numbers: Range<u64>, position: Position) {
        if numbers.is_empty() {
            return;
        }
        let mut ranges = self.ranges.lock();
        if ranges.len() == RANGES_MAX {
            ranges.clear();
        }
        ranges.insert(numbers.start, (numbers.end, position));
        self.is_known.store(true, Ordering::Release);
    }

    /// The range that record `number` is in, if it is known to be damaged, and where that must have been.
    pub(crate) fn of(&self, number: u64) -> Option<(Range<u64>, Position)> {
        if !self.is_known.load(Ordering::Acquire) {
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
    fn what_is_noted_is_known_and_no_neighbour() {
        let damage = Damage::new();
        damage.note(5..5, Position::ZERO);
        assert_eq!(damage.of(5), None);
        let [first, second] = [7, 9].map(Position::new);
        damage.note(5..8, first);
        damage.note(8..9, second);
        for number in 5..8 {
            assert_eq!(damage.of(number), Some((5..8, first)));
        }
        assert_eq!(damage.of(8), Some((8..9, second)));
        for number in [0, 4, 9, 10] {
            assert_eq!(damage.of(number), None);
        }
    }

    #[test]
    fn of_many_ranges_the_newest_are_known() {
        let damage = Damage::new();
        let count = RANGES_MAX as u64 + 1;
        for number in (0..count).map(|number| 2 * number) {
            damage.note(number..number + 1, Position::ZERO);
            assert!(damage.of(number).is_some());
        }
        assert!(damage.ranges.lock().len() <= RANGES_MAX);
    }
}
