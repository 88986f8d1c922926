//! Positions in a store.

use std::fmt;

/// A position in a store, in bytes from the end of the file's header: the first frame is at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// The position of the first frame.
    pub const ZERO: Self = Self(0);

    /// The position `bytes` bytes after the header.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes between the header and this position.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `bytes` bytes after this one, or the largest position if there is none.
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

/// A position between two batches, with the number of data frames below it.
///
/// The count allows frames to be numbered from here on without reading those below, even if some of
/// them are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Boundary {
    /// The end of the frames below (exclusive), and the start of the next.
    pub position: Position,
    /// The number of data frames below; control frames do not count.
    pub frames: u64,
}

impl Boundary {
    /// The start of every store.
    pub const START: Self = Self {
        position: Position::ZERO,
        frames: 0,
    };
}
