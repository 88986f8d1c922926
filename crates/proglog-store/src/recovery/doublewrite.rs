//! Writing once more, in a way that a sync makes durable, what lies above the recovery point.
//!
//! Where an earlier process saw its sync fail, the kernel shows bytes that the device does not have. Writing
//! the same bytes in their place is not enough: a file system may have noted the blocks as not yet written,
//! when it gave them to the file, and not change that when the pages are written again (ext4 does so; a
//! sync then succeeds, and after a power cut they read as zeros). So the file is cut first, which gives the
//! blocks back. Lest a crash in between takes the bytes, they are copied before:
//!
//! 1. they are copied to the file `<store>.again`, which is synced with its name;
//! 2. the store's file is cut, and they are written to it anew, and synced;
//! 3. the copy is made void, and removed.
//!
//! Opening a store that has such a copy, and not the bytes, begins at 2. A copy is void before anything is
//! appended behind the bytes, and before they are dropped: it is never put back into a file that is longer.
//! A file of that name that is no copy is somebody else's: it is neither read further, nor replaced, nor
//! removed.
//!
//! ```text
//!  0       8       16         24       28    32
//!  +-------+-------+----------+--------+-----+-------+
//!  | magic | salt  | position | crc    | 0   | bytes |
//!  | u64   | u64   | u64      | u32    | u32 |       |
//!  +-------+-------+----------+--------+-----+-------+
//! ```
//!
//! Integers are big-endian. `salt` is that of the store, `position` the place of the bytes in it, and `crc`
//! the CRC-32C of the 24 bytes before it and of the bytes. A void copy begins with 32 zeros.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use crc_fast::{CrcAlgorithm, Digest};

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::{HEADER_LEN, MARK_FRAME_LEN};
use crate::io::atomic_file;
use crate::io::{Directory, OpenMode, Storage};
use crate::position::Position;
use crate::recovery::{FileSource, for_each_block};
use crate::scan::{BLOCK_LEN, Source};

const MAGIC: u64 = u64::from_be_bytes(*b"plAgain1");
const COPY_HEADER_LEN: usize = 32;
/// What the checksum covers before the bytes.
const FIELDS_LEN: usize = 24;

/// The copy of a store, open.
struct Copy {
    name: Arc<str>,
    file: Arc<dyn Storage>,
}

fn name_of(store: &str) -> String {
    format!("{store}.again")
}

/// Whether there is a copy of bytes of the store with this salt.
pub(crate) fn has_copy(directory: &dyn Directory, store: &str, salt: u64) -> Result<bool> {
    let copy = Copy::open(directory, store)?;
    Ok(copy.map_or(Ok(None), |copy| copy.range(salt))?.is_some())
}

/// Puts the bytes of an interrupted recovery back, if they are not in the file.
pub(crate) fn finish(directory: &dyn Directory, source: FileSource<'_>, salt: u64) -> Result<()> {
    match interrupted(directory, source, salt)? {
        // The name of a copy of what is in the file need not be durable; of one that was used, it is.
        Some((copy, range)) if !copy.is_in(source, &range)? => copy.put_back(source, &range),
        _ => Ok(()),
    }
}

/// Makes the bytes of an interrupted recovery durable in the file, so that no copy is needed any more, or
/// put back later: for who is about to drop some of them.
pub(crate) fn settle(directory: &dyn Directory, source: FileSource<'_>, salt: u64) -> Result<()> {
    if let Some((copy, range)) = interrupted(directory, source, salt)? {
        copy.put_back(source, &range)?;
    }
    forget(directory, source.name)
}

/// The copy that a recovery made which was interrupted before it was done with it, and what it holds.
fn interrupted(
    directory: &dyn Directory,
    source: FileSource<'_>,
    salt: u64,
) -> Result<Option<(Copy, Range<Position>)>> {
    let Some(copy) = Copy::open(directory, source.name)? else {
        return Ok(None);
    };
    let Some(range) = copy.range(salt)? else {
        return Ok(None);
    };
    let FileSource { file, name } = source;
    let len = file
        .len()
        .map_err(|error| Error::io(Operation::Length, name, error))?;
    let end = Position::new(len.saturating_sub(HEADER_LEN));
    if end < range.start {
        return Err(Error::Truncated {
            file: Arc::clone(name),
            end,
            expected: range.start,
        });
    }
    // The file ended with these bytes before it was cut, so a longer one is not as that recovery left it.
    Ok((end <= range.end).then_some((copy, range)))
}

/// Writes `range`, up to the end of the data, once more, and cuts what lies behind it; durable on return.
/// Without room for a copy, the bytes are written in their place.
pub(crate) fn write_again(
    directory: &dyn Directory,
    source: FileSource<'_>,
    range: &Range<Position>,
    salt: u64,
) -> Result<()> {
    match Copy::create(directory, source, range, salt) {
        Ok(copy) => copy.put_back(source, range),
        Err(error) if error.kind() == ErrorKind::DiskFull => {
            let FileSource { file, name } = source;
            for_each_block(source, range.clone(), |position, block| {
                file.write_all_at(block, HEADER_LEN + position.get())
                    .map_err(|error| Error::io(Operation::Write, name, error))
            })?;
            file.sync_data()
                .map_err(|error| Error::sync_failed(name, error))
        }
        Err(error) => Err(error),
    }
}

/// As [`write_again`], for a mark that closed the store and is all of `range`: if a crash takes it, no data
/// is lost, so it needs no copy.
pub(crate) fn write_mark_again(source: FileSource<'_>, range: &Range<Position>) -> Result<()> {
    let FileSource { file, name } = source;
    let mark = source.block(range.start, MARK_FRAME_LEN)?;
    let start = HEADER_LEN + range.start.get();
    file.set_len(start)
        .map_err(|error| Error::io(Operation::SetLength, name, error))?;
    file.write_all_at(&mark, start)
        .map_err(|error| Error::io(Operation::Write, name, error))?;
    file.sync_all()
        .map_err(|error| Error::sync_failed(name, error))
}

/// Makes a copy void, if there is one, and removes it: what it holds is durable in the store's file.
pub(crate) fn forget(directory: &dyn Directory, store: &Arc<str>) -> Result<()> {
    let Some(copy) = Copy::open(directory, store)? else {
        return Ok(());
    };
    if !copy.is_one()? {
        return Ok(());
    }
    let name = copy.name;
    let fail = |operation| {
        let name = &name;
        move |error| Error::io(operation, name, error)
    };
    let file = directory
        .open(&name, OpenMode::Write)
        .map_err(fail(Operation::Open))?;
    file.write_all_at(&[0; COPY_HEADER_LEN], 0)
        .map_err(fail(Operation::Write))?;
    file.sync_data()
        .map_err(|error| Error::sync_failed(&name, error))?;
    // If the name comes back after a crash, the copy is void all the same.
    directory.remove(&name).map_err(fail(Operation::Remove))
}

impl Copy {
    fn open(directory: &dyn Directory, store: &str) -> Result<Option<Self>> {
        let name: Arc<str> = name_of(store).into();
        match directory.open(&name, OpenMode::Read) {
            Ok(file) => Ok(Some(Self { name, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(Operation::Open, &name, error)),
        }
    }

    /// Whether the file is a copy of this kind, of whatever store, or a void one.
    fn is_one(&self) -> Result<bool> {
        let header = self.header()?;
        Ok(header.is_some_and(|header| {
            BigEndian::read_u64(&header) == MAGIC || header == [0; COPY_HEADER_LEN]
        }))
    }

    /// What the file begins with, if it is not shorter than that.
    fn header(&self) -> Result<Option<[u8; COPY_HEADER_LEN]>> {
        let mut header = [0; COPY_HEADER_LEN];
        let read = self.file.read_full_at(&mut header, 0);
        let read = read.map_err(|error| Error::io(Operation::Read, &self.name, error))?;
        Ok((read == COPY_HEADER_LEN).then_some(header))
    }

    /// A copy of `range`, durable with its name. It takes the place of an earlier one in one step.
    fn create(
        directory: &dyn Directory,
        source: FileSource<'_>,
        range: &Range<Position>,
        salt: u64,
    ) -> Result<Self> {
        if let Some(earlier) = Self::open(directory, source.name)?
            && !earlier.is_one()?
        {
            let error = io::ErrorKind::AlreadyExists.into();
            return Err(Error::io(Operation::Rename, &earlier.name, error));
        }
        let name: Arc<str> = name_of(source.name).into();
        let file = atomic_file::make(directory, &name, |file, file_name| {
            Self::write(file, file_name, source, range, salt)
        })?;
        Ok(Self { name, file })
    }

    /// Writes a copy of `range` to `file`, which has this name.
    fn write(
        file: &dyn Storage,
        name: &Arc<str>,
        source: FileSource<'_>,
        range: &Range<Position>,
        salt: u64,
    ) -> Result<()> {
        let write = |bytes: &[u8], at| {
            file.write_all_at(bytes, at)
                .map_err(|error| Error::io(Operation::Write, name, error))
        };
        let mut header = [0; COPY_HEADER_LEN];
        BigEndian::write_u64(&mut header, MAGIC);
        BigEndian::write_u64(&mut header[8..], salt);
        BigEndian::write_u64(&mut header[16..], range.start.get());
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&header[..FIELDS_LEN]);
        for_each_block(source, range.clone(), |position, block| {
            digest.update(block);
            let at = COPY_HEADER_LEN as u64 + (position.get() - range.start.get());
            write(block, at)
        })?;
        BigEndian::write_u32(&mut header[FIELDS_LEN..], finished(&digest));
        write(&header, 0)
    }

    /// Which bytes of the store with this salt it holds; `None` if it is void, damaged, or of another.
    fn range(&self, salt: u64) -> Result<Option<Range<Position>>> {
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        if BigEndian::read_u64(&header) != MAGIC || BigEndian::read_u64(&header[8..]) != salt {
            return Ok(None);
        }
        let start = Position::new(BigEndian::read_u64(&header[16..]));
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&header[..FIELDS_LEN]);
        let mut len = 0;
        self.for_each_block(|at, block| {
            digest.update(block);
            len = at + block.len() as u64;
            Ok(())
        })?;
        let is_whole = finished(&digest) == BigEndian::read_u32(&header[FIELDS_LEN..]);
        Ok((is_whole && len > 0).then(|| start..start.plus(len)))
    }

    /// Whether the store's file holds the bytes.
    fn is_in(&self, source: FileSource<'_>, range: &Range<Position>) -> Result<bool> {
        let mut equal = true;
        self.for_each_block(|at, block| {
            equal = equal && source.block(range.start.plus(at), block.len())? == block;
            Ok(())
        })?;
        Ok(equal)
    }

    fn put_back(&self, source: FileSource<'_>, range: &Range<Position>) -> Result<()> {
        let FileSource { file, name } = source;
        let start = HEADER_LEN + range.start.get();
        file.set_len(start)
            .map_err(|error| Error::io(Operation::SetLength, name, error))?;
        self.for_each_block(|at, block| {
            file.write_all_at(block, start + at)
                .map_err(|error| Error::io(Operation::Write, name, error))
        })?;
        file.sync_all()
            .map_err(|error| Error::sync_failed(name, error))
    }

    /// Visits the bytes, in blocks, each with how many come before it.
    fn for_each_block(&self, mut visit: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut block = vec![0; BLOCK_LEN];
        let mut at = 0;
        loop {
            let read = self
                .file
                .read_full_at(&mut block, COPY_HEADER_LEN as u64 + at)
                .map_err(|error| Error::io(Operation::Read, &self.name, error))?;
            if read == 0 {
                return Ok(());
            }
            visit(at, &block[..read])?;
            at += read as u64;
        }
    }
}

fn finished(digest: &Digest) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a CRC-32C has 32 bits")]
    let crc = digest.finalize() as u32;
    crc
}
