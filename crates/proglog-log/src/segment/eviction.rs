//! Eviction: a bound on what lies in many places, each of which is read without searching for it.

use std::collections::VecDeque;

use crate::sync::Mutex;

/// A place that may hold something.
pub(crate) trait Place {
    type Held;

    /// Returns whether it was used since the last call.
    fn was_used(&self) -> bool;

    /// Takes out what it holds.
    fn take(&self) -> Option<Self::Held>;
}

/// The places that hold something. Once their sizes add up to more than a bound, those that were filled first are
/// emptied, but for those that were used since: these have to be used again the next time.
#[derive(Debug)]
pub(crate) struct Eviction<P> {
    max: usize,
    /// No place is locked that has a lock of its own for longer than it takes to move what it holds.
    filled: Mutex<Filled<P>>,
}

#[derive(Debug)]
struct Filled<P> {
    /// Places with the sizes of what they hold, in order.
    places: VecDeque<(P, usize)>,
    /// Sum of the sizes.
    size: usize,
}

impl<P: Place> Eviction<P> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            filled: Mutex::new(Filled {
                places: VecDeque::new(),
                size: 0,
            }),
        }
    }

    /// Notes that `place` was filled with something of this size, and empties others to make room for it. What is
    /// larger than the bound does not stay.
    pub(crate) fn filled(&self, place: P, size: usize) {
        if size > self.max {
            drop(place.take());
            return;
        }
        let mut evicted = Vec::new();
        let mut filled = self.filled.lock();
        let mut not_passed_over = filled.places.len();
        while filled.size + size > self.max
            && let Some((oldest, its_size)) = filled.places.pop_front()
        {
            if not_passed_over > 0 && oldest.was_used() {
                filled.places.push_back((oldest, its_size));
                not_passed_over -= 1;
            } else {
                filled.size -= its_size;
                evicted.push(oldest.take());
            }
        }
        filled.places.push_back((place, size));
        filled.size += size;
        // Dropped without the lock: it may take system calls.
        drop(filled);
        drop(evicted);
    }

    /// Empties all places.
    pub(crate) fn clear(&self) {
        let places = {
            let mut filled = self.filled.lock();
            filled.size = 0;
            std::mem::take(&mut filled.places)
        };
        for (place, _) in places {
            drop(place.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    /// Whether each number is held, and was used.
    type Numbers = Arc<Mutex<BTreeMap<u32, bool>>>;

    struct Number(u32, Numbers);

    impl Place for Number {
        type Held = bool;

        fn was_used(&self) -> bool {
            let mut numbers = self.1.lock();
            numbers.get_mut(&self.0).is_some_and(std::mem::take)
        }

        fn take(&self) -> Option<bool> {
            self.1.lock().remove(&self.0)
        }
    }

    fn fill(eviction: &Eviction<Number>, numbers: &Numbers, number: u32, size: usize) {
        numbers.lock().insert(number, false);
        eviction.filled(Number(number, Arc::clone(numbers)), size);
    }

    fn held(numbers: &Numbers) -> Vec<u32> {
        numbers.lock().keys().copied().collect()
    }

    #[test]
    fn what_came_first_goes_first_unless_it_was_used_since() {
        let (eviction, numbers) = (Eviction::new(3), Numbers::default());
        for number in 0..4 {
            fill(&eviction, &numbers, number, 1);
        }
        assert_eq!(held(&numbers), [1, 2, 3]);
        numbers.lock().insert(1, true);
        fill(&eviction, &numbers, 4, 1);
        assert_eq!(held(&numbers), [1, 3, 4]);
        // Not used again.
        fill(&eviction, &numbers, 5, 2);
        assert_eq!(held(&numbers), [4, 5]);
        fill(&eviction, &numbers, 6, 1);
        assert_eq!(held(&numbers), [5, 6]);
    }

    #[test]
    fn all_that_are_used_make_room_in_their_order() {
        let (eviction, numbers) = (Eviction::new(3), Numbers::default());
        for number in 0..5 {
            fill(&eviction, &numbers, number, 1);
            numbers.lock().values_mut().for_each(|used| *used = true);
        }
        assert_eq!(held(&numbers), [2, 3, 4]);
    }

    #[test]
    fn what_is_larger_than_the_bound_does_not_stay_and_evicts_nothing() {
        let (eviction, numbers) = (Eviction::new(3), Numbers::default());
        fill(&eviction, &numbers, 0, 3);
        fill(&eviction, &numbers, 1, 4);
        assert_eq!(held(&numbers), [0]);
        fill(&Eviction::new(0), &numbers, 2, 1);
        assert_eq!(held(&numbers), [0]);
    }

    #[test]
    fn all_places_are_emptied_at_once() {
        let (eviction, numbers) = (Eviction::new(3), Numbers::default());
        for number in 0..3 {
            fill(&eviction, &numbers, number, 1);
        }
        eviction.clear();
        assert!(held(&numbers).is_empty());
        for number in 3..6 {
            fill(&eviction, &numbers, number, 1);
        }
        assert_eq!(held(&numbers), [3, 4, 5]);
    }
}
