//! A page of an index in memory, in less than it takes in the file.
//!
//! In place of positions it has the distances between them, in as many bytes as the longest takes, and every
//! [`GROUP`] distances the position that they count from:
//!
//! ```text
//!  +----------+----------------------+----------+----------------------+---
//!  | position | 16 distances         | position | 16 distances         | ...
//!  | u32      | u8, u16 or u32 each  | u32      |                      |
//!  +----------+----------------------+----------+----------------------+---
//! ```

use std::sync::Arc;

use byteorder::{ByteOrder, LittleEndian};
use proglog_store::Position;

/// Entries that are counted from one position.
const GROUP: usize = 16;
const POSITION_LEN: usize = 4;

/// Place of a record, as an index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    /// Position of the next record, if known: this record ends there or before.
    pub(crate) next: Option<Position>,
}

impl Entry {
    pub(crate) fn of(entries: &[u32], at: usize) -> Option<Self> {
        let position = |at: usize| entries.get(at).map(|entry| Position::new((*entry).into()));
        Some(Self {
            position: position(at)?,
            next: position(at + 1),
        })
    }
}

/// The entries of a page. Clones share its memory.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    count: usize,
    /// Bytes of a distance.
    width: usize,
    groups: Arc<[u8]>,
}

impl Page {
    pub(super) fn new(entries: &[u32]) -> Self {
        // They wrap, so that positions in any order are kept.
        let distance = |at: usize| match entries.get(at + 1) {
            Some(next) => next.wrapping_sub(entries[at]),
            None => 0,
        };
        let longest = (0..entries.len()).map(distance).max();
        let width = match longest.unwrap_or(0) {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        let mut groups = vec![0; entries.len().div_ceil(GROUP) * (POSITION_LEN + GROUP * width)];
        let places = groups.chunks_exact_mut(POSITION_LEN + GROUP * width);
        for (group, first) in places.zip((0..entries.len()).step_by(GROUP)) {
            LittleEndian::write_u32(group, entries[first]);
            let slots = group[POSITION_LEN..].chunks_exact_mut(width);
            for (slot, at) in slots.zip(first..entries.len()) {
                LittleEndian::write_uint(slot, distance(at).into(), width);
            }
        }
        Self {
            count: entries.len(),
            width,
            groups: groups.into(),
        }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Returns the entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.count).filter_map(|at| self.get(at))
    }

    /// Returns the bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        self.groups.len()
    }

    /// Returns entry `at`.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<u32> {
        self.with_distance(at).map(|(position, _)| position)
    }

    /// Returns entry `at` as the place of a record.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> Option<Entry> {
        let (position, distance) = self.with_distance(at)?;
        let next = (at + 1 < self.count).then(|| position.wrapping_add(distance));
        Some(Entry {
            position: Position::new(position.into()),
            next: next.map(|next| Position::new(next.into())),
        })
    }

    /// Returns entry `at`, and its distance from the next.
    #[inline]
    fn with_distance(&self, at: usize) -> Option<(u32, u32)> {
        if at >= self.count {
            return None;
        }
        let start = at / GROUP * (POSITION_LEN + GROUP * self.width);
        let (position, distances) = self.groups[start..].split_at(POSITION_LEN);
        let before = LittleEndian::read_u32(position);
        Some(match self.width {
            1 => sum(before, at % GROUP, distances, |one: &[u8; 1]| one[0].into()),
            2 => sum(before, at % GROUP, distances, |two: &[u8; 2]| {
                LittleEndian::read_u16(two).into()
            }),
            _ => sum(before, at % GROUP, distances, |four: &[u8; 4]| {
                LittleEndian::read_u32(four)
            }),
        })
    }
}

/// Returns the sum of `first` and `count` distances, and the distance after them.
#[inline]
fn sum<const WIDTH: usize>(
    first: u32,
    count: usize,
    distances: &[u8],
    read: impl Fn(&[u8; WIDTH]) -> u32,
) -> (u32, u32) {
    let (distances, _) = distances.as_chunks();
    let before = distances[..count].iter().map(&read);
    (
        before.fold(first, u32::wrapping_add),
        read(&distances[count]),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_page_has_the_entries_that_it_was_made_of(
            (len_max, entries) in prop_oneof![Just(0xff), Just(0xffff), Just(u32::MAX)]
                .prop_flat_map(|max| (Just(max), prop::collection::vec(0..=max, 0..100))),
            first in any::<u32>(),
        ) {
            let mut position = first;
            let mut entries = entries;
            for entry in &mut entries {
                (*entry, position) = (position, position.wrapping_add(*entry));
            }
            let page = Page::new(&entries);
            prop_assert_eq!(page.len(), entries.len());
            let groups = entries.len().div_ceil(GROUP);
            let width = match len_max { 0xff => 1, 0xffff => 2, _ => 4 };
            prop_assert!(page.size() <= groups * (POSITION_LEN + GROUP * width));
            for at in 0..entries.len() + 20 {
                prop_assert_eq!(page.get(at), entries.get(at).copied());
                prop_assert_eq!(page.entry(at), Entry::of(&entries, at));
            }
        }
    }
}
