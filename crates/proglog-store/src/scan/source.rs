//! Sources of frames: anything that has bytes at positions.

use crate::error::Result;
use crate::format::offset_of;
use crate::io::named_file::NamedFile;
use crate::position::Position;

/// Bytes that a scan reads at a time, and of which it hands out slices: the most that one slice keeps in
/// memory.
pub(crate) const BLOCK_LEN: usize = 256 << 10;

/// A source of the bytes of frames.
pub(crate) trait Source {
    /// Copies the bytes from `position` on into `buffer`, and returns how many there were. Fewer than
    /// asked for only at the end of the source, or where it continues in memory, which is between two
    /// frames.
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize>;

    /// The bytes from `position` on, `want` of them or as many as [`Source::read`] finds.
    fn block(&self, position: Position, want: usize) -> Result<Vec<u8>> {
        let mut block = vec![0; want];
        let read = self.read(position, &mut block)?;
        block.truncate(read);
        Ok(block)
    }
}

/// A store's file.
impl Source for NamedFile {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        self.read_at(buffer, offset_of(position))
    }
}
