//! The numbers of records.

use std::fmt;

/// A record's number in its log: dense, from 0. It never names two values that anyone could have
/// seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);

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

    /// The offset `records` further on; saturates at the largest offset.
    #[must_use]
    pub const fn plus(self, records: u64) -> Self {
        Self(self.0.saturating_add(records))
    }

    /// How many records lie from `start` (inclusive) up to this offset (exclusive); 0 if `start` is
    /// past it.
    #[must_use]
    pub const fn since(self, start: Self) -> u64 {
        self.0.saturating_sub(start.0)
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

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_its_number() {
        let offset = Offset::from(7);
        assert_eq!((offset.get(), u64::from(offset)), (7, 7));
        assert_eq!(offset.to_string(), "7");
        assert_eq!(offset.plus(2), Offset::new(9));
        assert_eq!(offset.plus(u64::MAX), Offset::new(u64::MAX));
        let since = [0, 6, 7, 8].map(|start| offset.since(Offset::new(start)));
        assert_eq!(since, [7, 1, 0, 0]);
    }
}
