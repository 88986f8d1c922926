//! Deterministic data.

use bytes::{Bytes, BytesMut};

/// The sizes of records, in bytes, with their names.
pub const SIZES: [(&str, usize); 5] = [
    ("16B", 16),
    ("128B", 128),
    ("1KiB", 1 << 10),
    ("16KiB", 16 << 10),
    ("1MiB", 1 << 20),
];

/// Formats `bytes` in the largest binary unit that divides it: `1 KiB`.
#[must_use]
pub fn size_name(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// Pseudorandom numbers, the same in every run (`SplitMix64`).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Creates the sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Shuffles `items`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            #[expect(clippy::cast_possible_truncation, reason = "no more than a length")]
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Returns `len` incompressible bytes, the same in every run.
#[must_use]
pub fn payload(len: usize) -> Bytes {
    let mut random = Random::new(len as u64);
    let mut bytes = BytesMut::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.number().to_be_bytes());
    }
    bytes.truncate(len);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_named_by_its_largest_unit() {
        let names = [16, 1 << 10, 1500, 16 << 10, 1 << 20, 10 << 30].map(size_name);
        assert_eq!(
            names,
            ["16 B", "1 KiB", "1500 B", "16 KiB", "1 MiB", "10 GiB"]
        );
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items = (0..100).collect::<Vec<_>>();
        Random::new(1).shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
