//! Places in a store.

use std::fmt;

/// A byte place in a store, counted from the end of the file's header: the first frame is at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// The place of the first frame.
    pub const ZERO: Self = Self(0);

    /// The place `bytes` bytes after the header.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes lie between the header and this place.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place `bytes` bytes further on; saturates at the largest place.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place between two batches: its position, and how many data frames lie below it.
///
/// The count lets whoever numbers the frames go on from here without having read what lies below,
/// even where some of that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Boundary {
    /// The place: the end of the frames below (exclusive), the start of the next.
    pub position: Position,
    /// How many data frames lie below; control frames do not count.
    pub frames: u64,
}

impl Boundary {
    /// The start of every store.
    pub const START: Self = Self {
        position: Position::ZERO,
        frames: 0,
    };
}
