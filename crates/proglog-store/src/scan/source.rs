//! Sources of frames: anything that has bytes at positions.

use std::cell::RefCell;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::offset_of;
use crate::io::named_file::NamedFile;
use crate::position::Position;

/// Bytes that a scan reads at a time, and of which it hands out slices: the most that one slice keeps in
/// memory.
pub(crate) const BLOCK_LEN: usize = 256 << 10;

/// A source of the bytes of frames.
pub(crate) trait Source {
    /// Copies the bytes from `position` on into `buffer`, and returns how many there were. Fewer than
    /// asked for only at the end of the source, where it continues in memory, which is between two
    /// frames, or before bytes that cannot be read; if the first one cannot, that is an error.
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize>;

    /// As [`Source::read`], but returns fewer than `need` bytes only at the end of the source.
    fn read_at_least(&self, need: usize, position: Position, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        loop {
            match self.read(position.plus(filled as u64), &mut buffer[filled..])? {
                0 => return Ok(filled),
                read => filled += read,
            }
            if filled >= need {
                return Ok(filled);
            }
        }
    }

    /// The bytes from `position` on, `want` of them unless the source ends before.
    fn block(&self, position: Position, want: usize) -> Result<Vec<u8>> {
        let mut block = vec![0; want];
        let read = self.read_at_least(want, position, &mut block)?;
        block.truncate(read);
        Ok(block)
    }
}

/// A store's file.
impl Source for NamedFile {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        self.read_readable_at(buffer, offset_of(position))
    }
}

/// The unit in which devices fail to read.
const SECTOR_LEN: u64 = 512;
/// The length of an unreadable range from which on it is tried in steps as long as itself, since every failure may take
/// a device seconds.
const STEPS_FROM: u64 = 4 * SECTOR_LEN;
/// The longest such step.
const STEP_MAX: u64 = 1 << 20;
/// The most unreadable ranges that are remembered.
const RANGES_MAX: usize = 1024;

/// A source with a filler in place of the bytes that cannot be read. They are remembered, and not tried again.
pub(crate) struct Around<'a, S> {
    source: &'a S,
    filler: u8,
    /// By position; no two overlap.
    unreadable: RefCell<Vec<UnreadableRange>>,
}

struct UnreadableRange {
    positions: Range<Position>,
    /// The error of the first read that failed.
    error: Error,
}

impl<'a, S: Source> Around<'a, S> {
    pub(crate) fn new(source: &'a S, filler: u8) -> Self {
        Self {
            source,
            filler,
            unreadable: RefCell::default(),
        }
    }

    /// Returns whether anything that was read could not be.
    pub(crate) fn has_filled(&self) -> bool {
        !self.unreadable.borrow().is_empty()
    }

    /// The error of reading what could not be read after `position`, if there was anything.
    pub(crate) fn error_after(&self, position: Position) -> Option<Error> {
        let unreadable = self.unreadable.borrow();
        let after = unreadable.get(index_at(&unreadable, position));
        after.map(|range| range.error.clone())
    }

    /// The first range that ends after `position`, of those that could not be read.
    fn known_at(&self, position: Position) -> Option<Range<Position>> {
        let unreadable = self.unreadable.borrow();
        let range = unreadable.get(index_at(&unreadable, position));
        range.map(|range| range.positions.clone())
    }

    /// Remembers that reading at `place` failed with `error`, and as much as cannot be read there.
    fn remember(&self, place: Position, error: Error) -> Result<()> {
        let mut unreadable = self.unreadable.borrow_mut();
        let at = index_at(&unreadable, place);
        if let Some(before) = at.checked_sub(1).map(|before| &mut unreadable[before])
            && before.positions.end == place
        {
            let len = place.get() - before.positions.start.get();
            before.positions.end = place.plus(self.unreadable_len(place, len)?);
            return Ok(());
        }
        let positions = place..place.plus(self.unreadable_len(place, 0)?);
        unreadable.insert(at, UnreadableRange { positions, error });
        if unreadable.len() > RANGES_MAX {
            // The last one shows whether everything up to the end was read.
            unreadable.remove(usize::from(at == 0));
        }
        Ok(())
    }

    /// The number of bytes from `place` on, the first of which cannot be read, up to one that may be readable.
    /// `before` of them right before `place` could not be read.
    fn unreadable_len(&self, place: Position, before: u64) -> Result<u64> {
        let step = if before < STEPS_FROM {
            SECTOR_LEN
        } else {
            before.min(STEP_MAX) / SECTOR_LEN * SECTOR_LEN
        };
        // The range may end within a sector, if files do not begin at the start of one.
        let len = step - offset_of(place) % SECTOR_LEN;
        let (mut unreadable, mut readable) = (0, len - 1);
        if !self.is_readable(place.plus(readable))? {
            return Ok(len);
        }
        while readable - unreadable > 1 {
            let middle = unreadable.midpoint(readable);
            if self.is_readable(place.plus(middle))? {
                readable = middle;
            } else {
                unreadable = middle;
            }
        }
        Ok(readable.max(1))
    }

    fn is_readable(&self, place: Position) -> Result<bool> {
        match self.source.read(place, &mut [0]) {
            Err(Error::Unreadable { .. }) => Ok(false),
            read => read.map(|_| true),
        }
    }
}

/// The index of the first range that ends after `position`.
fn index_at(unreadable: &[UnreadableRange], position: Position) -> usize {
    unreadable.partition_point(|range| range.positions.end <= position)
}

impl<S: Source> Source for Around<'_, S> {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let place = position.plus(filled as u64);
            let rest = &mut buffer[filled..];
            let up_to = |end: Position| {
                let len = usize::try_from(end.get() - place.get()).unwrap_or(usize::MAX);
                len.min(rest.len())
            };
            let readable = match self.known_at(place) {
                Some(known) if known.start <= place => {
                    let len = up_to(known.end);
                    rest[..len].fill(self.filler);
                    filled += len;
                    continue;
                }
                Some(known) => up_to(known.start),
                None => rest.len(),
            };
            match self.source.read(place, &mut rest[..readable]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error @ Error::Unreadable { .. }) => self.remember(place, error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
