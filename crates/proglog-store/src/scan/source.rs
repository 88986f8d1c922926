//! Sources of frames: anything that has bytes at positions.

use std::cell::Cell;

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
/// The unit in which file systems read. A longer unreadable range is tried once in each, since every failure may
/// take a device seconds.
const PAGE_LEN: u64 = 4 << 10;

/// A source with a filler in place of the bytes that cannot be read.
pub(crate) struct Around<'a, S> {
    source: &'a S,
    filler: u8,
    has_filled: Cell<bool>,
}

impl<'a, S: Source> Around<'a, S> {
    pub(crate) fn new(source: &'a S, filler: u8) -> Self {
        Self {
            source,
            filler,
            has_filled: Cell::new(false),
        }
    }

    /// Returns whether anything that was read could not be.
    pub(crate) fn has_filled(&self) -> bool {
        self.has_filled.get()
    }

    /// The number of bytes from `place` on, the first of which cannot be read, up to one that may be readable.
    /// `before` of them right before `place` could not be read.
    fn unreadable_len(&self, place: Position, before: u64) -> Result<u64> {
        let offset = offset_of(place);
        if before >= PAGE_LEN {
            return Ok(PAGE_LEN - offset % PAGE_LEN);
        }
        // The range may end within the sector, if files do not begin at the start of one.
        let len = SECTOR_LEN - offset % SECTOR_LEN;
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
        Ok(readable)
    }

    fn is_readable(&self, place: Position) -> Result<bool> {
        match self.source.read(place, &mut [0]) {
            Err(Error::Unreadable { .. }) => Ok(false),
            read => read.map(|_| true),
        }
    }
}

impl<S: Source> Source for Around<'_, S> {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        let (mut filled, mut unreadable) = (0, 0);
        while filled < buffer.len() {
            let place = position.plus(filled as u64);
            match self.source.read(place, &mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => (filled, unreadable) = (filled + read, 0),
                Err(Error::Unreadable { .. }) => {
                    let len = self.unreadable_len(place, unreadable)?;
                    let end = (filled as u64 + len).min(buffer.len() as u64);
                    let end = usize::try_from(end).unwrap_or(buffer.len());
                    buffer[filled..end].fill(self.filler);
                    (filled, unreadable) = (end, unreadable + len);
                    self.has_filled.set(true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
