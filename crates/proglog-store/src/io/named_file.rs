//! A file with its name: every call that fails says what was tried, and on which file.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::{HEADER_LEN, offset_of};
use crate::io::damage::is_damage;
use crate::io::storage::{Directory, OpenMode, Storage};
use crate::position::Position;

/// Bytes that [`NamedFile::for_each_block`] reads at a time.
const BLOCK_LEN: usize = 256 << 10;

/// An open file and its name. Clones share the handle.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    name: Arc<str>,
    file: Arc<dyn Storage>,
}

/// A file by byte offsets.
impl NamedFile {
    pub(crate) fn new(name: Arc<str>, file: Arc<dyn Storage>) -> Self {
        Self { name, file }
    }

    pub(crate) fn open(directory: &dyn Directory, name: &Arc<str>, mode: OpenMode) -> Result<Self> {
        match directory.open(name, mode) {
            Ok(file) => Ok(Self::new(Arc::clone(name), file)),
            Err(error) => Err(Error::io(Operation::Open, name, error)),
        }
    }

    /// As [`NamedFile::open`]; `None` if there is no such file.
    pub(crate) fn open_if_exists(
        directory: &dyn Directory,
        name: &Arc<str>,
        mode: OpenMode,
    ) -> Result<Option<Self>> {
        match Self::open(directory, name, mode) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The same file, which has got this name.
    pub(crate) fn renamed(&self, name: &Arc<str>) -> Self {
        Self::new(Arc::clone(name), Arc::clone(&self.file))
    }

    /// The file alone, for calls whose failure is no [`Error::Io`].
    #[inline]
    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.file
    }

    pub(crate) fn len(&self) -> Result<u64> {
        self.named(Operation::Length, self.file.len())
    }

    /// Fills `buffer` from `offset` on, and returns how many bytes there were: fewer than asked for
    /// only at the end of the file.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let (filled, result) = self.read_readable(buffer, offset);
        result.map(|()| filled)
    }

    /// As [`NamedFile::read_at`], but ends where a byte cannot be read, unless that is the first one.
    pub(crate) fn read_readable_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        match self.read_readable(buffer, offset) {
            (filled @ 1.., Err(Error::Unreadable { .. })) => Ok(filled),
            (filled, result) => result.map(|()| filled),
        }
    }

    /// As [`NamedFile::read_at`], but only from memory: `None` if the device would have to be waited for.
    pub(crate) fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> Result<Option<usize>> {
        let read = self.file.try_read_at(buffer, offset);
        read.map_err(|error| self.read_error(error, offset))
    }

    /// Fills `buffer` from `offset` on up to the end of the file, or up to an error. Bytes count as damaged only if
    /// reading them fails twice.
    fn read_readable(&self, buffer: &mut [u8], offset: u64) -> (usize, Result<()>) {
        let (mut filled, mut has_failed) = (0, false);
        while filled < buffer.len() {
            let byte = offset + filled as u64;
            match self.file.read_at(&mut buffer[filled..], byte) {
                Ok(0) => break,
                Ok(read) => (filled, has_failed) = (filled + read, false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_damage(&error) && !has_failed => has_failed = true,
                Err(error) => return (filled, Err(self.read_error(error, byte))),
            }
        }
        (filled, Ok(()))
    }

    #[cold]
    fn read_error(&self, error: io::Error, byte: u64) -> Error {
        if !is_damage(&error) {
            return Error::io(Operation::Read, &self.name, error);
        }
        Error::Unreadable {
            file: Arc::clone(&self.name),
            byte,
            source: Arc::new(error),
        }
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.named(Operation::Write, self.file.write_all_at(bytes, offset))
    }

    pub(crate) fn set_len(&self, len: u64) -> Result<()> {
        self.named(Operation::SetLength, self.file.set_len(len))
    }

    /// Puts the bytes on the device; fails with [`Error::SyncFailed`].
    pub(crate) fn sync_data(&self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|error| Error::sync_failed(&self.name, error))
    }

    /// Puts the bytes and the length on the device; fails with [`Error::SyncFailed`].
    pub(crate) fn sync_all(&self) -> Result<()> {
        let synced = self.file.sync_all();
        synced.map_err(|error| Error::sync_failed(&self.name, error))
    }

    /// As [`NamedFile::sync_all`], for a file that holds nothing of value yet: fails with
    /// [`Error::Io`], since some file systems report only here that they are full.
    pub(crate) fn sync_new(&self) -> Result<()> {
        self.named(Operation::Sync, self.file.sync_all())
    }

    /// Takes the exclusive lock; fails with [`Error::Locked`] at once if somebody else holds it.
    pub(crate) fn lock(&self) -> Result<()> {
        if self.named(Operation::Lock, self.file.try_lock())? {
            return Ok(());
        }
        Err(Error::Locked {
            file: Arc::clone(&self.name),
        })
    }

    pub(crate) fn unlock(&self) -> Result<()> {
        self.named(Operation::Lock, self.file.unlock())
    }

    /// Visits the bytes of `range`, as far as the file has them, in blocks; each with the number of
    /// bytes of the range before it.
    pub(crate) fn for_each_block(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut block = Vec::new();
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            block.resize(left.min(BLOCK_LEN), 0);
            let read = self.read_at(&mut block, offset)?;
            if read == 0 {
                break;
            }
            visit(offset - range.start, &block[..read])?;
            offset += read as u64;
        }
        Ok(())
    }

    /// Writes the bytes of `range` to `target` at `offset`.
    pub(crate) fn copy_to(&self, range: Range<u64>, target: &Self, offset: u64) -> Result<()> {
        self.for_each_block(range, |at, block| target.write_at(block, offset + at))
    }

    /// Returns whether `other` has the bytes of `range` at `offset`, and they can be read there.
    pub(crate) fn equals(&self, range: Range<u64>, other: &Self, offset: u64) -> Result<bool> {
        let (mut equal, mut found) = (true, Vec::new());
        self.for_each_block(range, |at, block| {
            found.resize(block.len(), 0);
            let read = match other.read_at(&mut found, offset + at) {
                Err(Error::Unreadable { .. }) => 0,
                read => read?,
            };
            equal = equal && read == block.len() && found == block;
            Ok(())
        })?;
        Ok(equal)
    }

    fn named<T>(&self, operation: Operation, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| Error::io(operation, &self.name, error))
    }
}

/// A store's file, by positions.
impl NamedFile {
    /// The end of what follows the header.
    pub(crate) fn end(&self) -> Result<Position> {
        Ok(Position::new(self.len()?.saturating_sub(HEADER_LEN)))
    }

    /// Writes all of `bytes` at `position`.
    pub(crate) fn write_frames(&self, bytes: &[u8], position: Position) -> Result<()> {
        self.write_at(bytes, offset_of(position))
    }

    /// Removes what lies at and after `end`, or extends the file with zeros up to there.
    pub(crate) fn set_end(&self, end: Position) -> Result<()> {
        self.set_len(offset_of(end))
    }

    /// Returns whether there are only zeros at and after `position`, or no bytes; `false` if they cannot be read.
    pub(crate) fn is_clear_from(&self, position: Position) -> bool {
        let mut is_clear = true;
        let visited = self.for_each_block(offset_of(position)..u64::MAX, |_, block| {
            is_clear &= block.iter().all(|byte| *byte == 0);
            Ok(())
        });
        visited.is_ok() && is_clear
    }

    /// Writes zeros over `range`.
    pub(crate) fn clear(&self, range: &Range<Position>) -> Result<()> {
        let zeros = vec![0; BLOCK_LEN];
        let Range { mut start, end } = offsets_of(range);
        while start < end {
            let len = usize::try_from(end - start).map_or(BLOCK_LEN, |left| left.min(BLOCK_LEN));
            self.write_at(&zeros[..len], start)?;
            start += len as u64;
        }
        Ok(())
    }
}

/// As [`offset_of`], for both ends of a range.
pub(crate) fn offsets_of(range: &Range<Position>) -> Range<u64> {
    offset_of(range.start)..offset_of(range.end)
}
