//! Doublewrite of what lies above the recovery point: bytes are rewritten so that a sync makes them durable.
//!
//! If an earlier process saw its sync fail, the kernel may show bytes that the device does not have.
//! Overwriting them with the same bytes is not enough: a file system may have marked the blocks as
//! unwritten when it allocated them, and leave the mark when the pages are written again (ext4 does; the
//! sync then succeeds, and after a power failure the blocks read as zeros). So the file is truncated first,
//! which frees the blocks. Lest a crash in between loses the bytes, they are copied before:
//!
//! 1. they are copied to the file `<store>.again`, which is synced with its name;
//! 2. the store's file is truncated, the bytes are written to it and synced;
//! 3. the copy is voided, and removed.
//!
//! Opening a store that has such a copy, and not the bytes, resumes at 2. A copy is voided before anything
//! is appended after the bytes, and before they are dropped: it is never restored into a file that is
//! longer. Another file of that name, which is no such copy, is neither replaced nor removed.
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
use crate::format::{MARK_FRAME_LEN, offset_of};
use crate::io::named_file::{NamedFile, offsets_of};
use crate::io::{Directory, OpenMode, atomic_file};
use crate::position::Position;
use crate::scan::source::Source;

const MAGIC: u64 = u64::from_be_bytes(*b"plAgain1");
const COPY_HEADER_LEN: usize = 32;
/// The length of what the checksum covers before the bytes.
const FIELDS_LEN: usize = 24;
/// The offsets of the bytes in the copy.
const BYTES: Range<u64> = COPY_HEADER_LEN as u64..u64::MAX;

/// The copy beside a store, open.
struct Doublewrite(NamedFile);

/// Returns whether there is a copy of bytes of the store with this salt.
pub(crate) fn has_copy(directory: &dyn Directory, store: &str, salt: u64) -> Result<bool> {
    match Doublewrite::open(directory, store)? {
        Some(copy) => Ok(copy.range(salt)?.is_some()),
        None => Ok(false),
    }
}

/// Restores the bytes of an interrupted recovery, if they are not in the file.
pub(crate) fn resume(directory: &dyn Directory, store: &NamedFile, salt: u64) -> Result<()> {
    match interrupted(directory, store, salt)? {
        // The name of a copy of bytes that are in the file need not be durable; of one that was used,
        // it is.
        Some((copy, range)) if !copy.matches(store, &range)? => copy.restore(store, &range),
        _ => Ok(()),
    }
}

/// Makes the bytes of an interrupted recovery durable in the file, and discards the copy, so that it is
/// not restored after some of the bytes were dropped.
pub(crate) fn finish(directory: &dyn Directory, store: &NamedFile, salt: u64) -> Result<()> {
    if let Some((copy, range)) = interrupted(directory, store, salt)? {
        copy.restore(store, &range)?;
    }
    discard(directory, store.name())
}

/// The copy of a recovery that was interrupted while it needed the copy, and the range of its bytes.
fn interrupted(
    directory: &dyn Directory,
    store: &NamedFile,
    salt: u64,
) -> Result<Option<(Doublewrite, Range<Position>)>> {
    let Some(copy) = Doublewrite::open(directory, store.name())? else {
        return Ok(None);
    };
    let Some(range) = copy.range(salt)? else {
        return Ok(None);
    };
    let end = store.end()?;
    if end < range.start {
        return Err(Error::Truncated {
            file: Arc::clone(store.name()),
            end,
            expected: range.start,
        });
    }
    // The file ended with these bytes before it was truncated, so in a longer one the recovery was done.
    Ok((end <= range.end).then_some((copy, range)))
}

/// Rewrites `range`, up to the end of the file; durable on return. Where there is no space for a copy, the
/// bytes are overwritten in place.
pub(crate) fn rewrite(
    directory: &dyn Directory,
    store: &NamedFile,
    range: &Range<Position>,
    salt: u64,
) -> Result<()> {
    match Doublewrite::create(directory, store, range, salt) {
        Ok(copy) => copy.restore(store, range),
        Err(error) if error.kind() == ErrorKind::DiskFull => {
            store.copy_to(offsets_of(range), store, offset_of(range.start))?;
            store.sync_data()
        }
        Err(error) => Err(error),
    }
}

/// As [`rewrite`], for a range that is a closing mark: it needs no copy, since no data is lost with it.
pub(crate) fn rewrite_mark(store: &NamedFile, range: &Range<Position>) -> Result<()> {
    let mark = store.block(range.start, MARK_FRAME_LEN)?;
    store.set_end(range.start)?;
    store.write_frames(&mark, range.start)?;
    store.sync_all()
}

/// Voids and removes the copy, if there is one: its bytes are durable in the store's file.
pub(crate) fn discard(directory: &dyn Directory, store: &str) -> Result<()> {
    let Some(copy) = Doublewrite::open(directory, store)? else {
        return Ok(());
    };
    if !copy.is_copy()? {
        return Ok(());
    }
    let name = copy.0.name();
    let file = NamedFile::open(directory, name, OpenMode::Write)?;
    file.write_at(&[0; COPY_HEADER_LEN], 0)?;
    file.sync_data()?;
    // If the name reappears after a crash, the copy is void all the same.
    directory
        .remove(name)
        .map_err(|error| Error::io(Operation::Remove, name, error))
}

impl Doublewrite {
    fn open(directory: &dyn Directory, store: &str) -> Result<Option<Self>> {
        let file = NamedFile::open_if_exists(directory, &copy_name(store), OpenMode::Read)?;
        Ok(file.map(Self))
    }

    /// Returns whether the file is a copy, of any store, or a void one.
    fn is_copy(&self) -> Result<bool> {
        let header = self.header()?;
        Ok(header.is_some_and(|header| {
            BigEndian::read_u64(&header) == MAGIC || header == [0; COPY_HEADER_LEN]
        }))
    }

    /// The bytes of the header; `None` if the file is shorter.
    fn header(&self) -> Result<Option<[u8; COPY_HEADER_LEN]>> {
        let mut header = [0; COPY_HEADER_LEN];
        match self.0.read_at(&mut header, 0) {
            Ok(COPY_HEADER_LEN) => Ok(Some(header)),
            read => read.map(|_| None),
        }
    }

    /// Copies `range`, durable with its name. Replaces an earlier copy in one step.
    fn create(
        directory: &dyn Directory,
        store: &NamedFile,
        range: &Range<Position>,
        salt: u64,
    ) -> Result<Self> {
        if let Some(earlier) = Self::open(directory, store.name())?
            && !earlier.is_copy()?
        {
            let error = io::ErrorKind::AlreadyExists.into();
            return Err(Error::io(Operation::Rename, earlier.0.name(), error));
        }
        let name = copy_name(store.name());
        let file = atomic_file::replace(directory, &name, |file| {
            Self::write(file, store, range, salt)
        })?;
        Ok(Self(file))
    }

    /// Writes a copy of `range` to `file`.
    fn write(
        file: &NamedFile,
        store: &NamedFile,
        range: &Range<Position>,
        salt: u64,
    ) -> Result<()> {
        let mut header = [0; COPY_HEADER_LEN];
        BigEndian::write_u64(&mut header, MAGIC);
        BigEndian::write_u64(&mut header[8..], salt);
        BigEndian::write_u64(&mut header[16..], range.start.get());
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&header[..FIELDS_LEN]);
        store.for_each_block(offsets_of(range), |at, block| {
            digest.update(block);
            file.write_at(block, BYTES.start + at)
        })?;
        BigEndian::write_u32(&mut header[FIELDS_LEN..], finished(&digest));
        file.write_at(&header, 0)
    }

    /// The range that is copied of the store with this salt; `None` if the copy is void, damaged, or of
    /// another store. Fails if it cannot be read: it may have the only bytes that there are.
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
        self.0.for_each_block(BYTES, |at, block| {
            digest.update(block);
            len = at + block.len() as u64;
            Ok(())
        })?;
        let is_whole = finished(&digest) == BigEndian::read_u32(&header[FIELDS_LEN..]);
        Ok((is_whole && len > 0).then(|| start..start.plus(len)))
    }

    /// Returns whether the store's file holds the bytes at `range`.
    fn matches(&self, store: &NamedFile, range: &Range<Position>) -> Result<bool> {
        self.0.equals(BYTES, store, offset_of(range.start))
    }

    /// Replaces everything from the start of `range` on with the bytes; durable on return.
    fn restore(&self, store: &NamedFile, range: &Range<Position>) -> Result<()> {
        store.set_end(range.start)?;
        self.0.copy_to(BYTES, store, offset_of(range.start))?;
        store.sync_all()
    }
}

fn copy_name(store: &str) -> Arc<str> {
    format!("{store}.again").into()
}

fn finished(digest: &Digest) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a CRC-32C has 32 bits")]
    let crc = digest.finalize() as u32;
    crc
}
