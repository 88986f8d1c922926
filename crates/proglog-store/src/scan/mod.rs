//! Scanning: frames in order, each verified, from any [`Source`].

pub(crate) mod marks;
mod resync;
pub(crate) mod source;
pub(crate) mod verify;

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::format::{self, FRAME_HEADER_LEN, Kind, Word};
use crate::position::Position;
use crate::scan::source::{BLOCK_LEN, Source};
use crate::scan::verify::{Fault, FrameHeader, Verified, Verifier};

/// Bytes read at a time by a scan whose frames are borrowed.
const LENT_BLOCK_LEN: usize = 1 << 20;

/// Use of a block's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockUse {
    /// Slices of it are handed out, and may outlive the scan.
    Shared,
    /// Its frames are borrowed, and gone when the next block is read.
    Scratch,
}

/// A scan, from frame to frame.
#[derive(Debug)]
pub(crate) struct Scanner {
    verifier: Verifier,
    /// The bytes read ahead. The memory is reused for the next block unless a slice of it is still in use.
    block: Bytes,
    /// The use that `block` was read for.
    block_use: BlockUse,
    /// The number of bytes of `block` that were read.
    filled: usize,
    /// The start of the next frame in `block`.
    at: usize,
    next: Position,
    /// The end of the scan: frames that start at or after it are not visited.
    stop: Position,
    /// The end of the data.
    end: Position,
    /// The length of the newest frame passed; 0 before the first, after a seek, and at the end.
    frame_len: usize,
}

impl Scanner {
    pub(crate) fn new(verifier: Verifier, from: Position, end: Position) -> Self {
        Self {
            verifier,
            block: Bytes::new(),
            block_use: BlockUse::Shared,
            filled: 0,
            at: 0,
            next: from,
            stop: end,
            end,
            frame_len: 0,
        }
    }

    /// Limits the scan to frames that start before `stop`, which is not after the end.
    pub(crate) fn before(self, stop: Position) -> Self {
        Self { stop, ..self }
    }

    /// The position of the next frame.
    pub(crate) fn position(&self) -> Position {
        self.next
    }

    /// Continues at `position`.
    pub(crate) fn seek(&mut self, position: Position) {
        let at = (self.at as u64)
            .wrapping_add(position.get())
            .wrapping_sub(self.next.get());
        match usize::try_from(at) {
            Ok(at) if at <= self.filled => self.at = at,
            _ => (self.at, self.filled) = (0, 0),
        }
        // No frame that ends here was passed.
        self.frame_len = 0;
        self.next = position;
    }

    /// The next frame; `None` at the end. An error leaves the position where it is.
    #[inline]
    pub(crate) fn next(&mut self, source: &impl Source) -> Option<Result<Verified<'_>, Fault>> {
        if self.next >= self.stop {
            return None;
        }
        let read = self.read(source);
        Some(read.map(|(kind, len)| self.take(kind, len)))
    }

    /// As [`Scanner::next`], with a payload that may be kept.
    #[inline]
    pub(crate) fn next_kept(
        &mut self,
        source: &impl Source,
    ) -> Option<Result<(Position, Kind, Bytes), Fault>> {
        if self.next >= self.stop {
            self.frame_len = 0;
            return None;
        }
        Some(self.step_kept(source))
    }

    #[inline]
    fn step_kept(&mut self, source: &impl Source) -> Result<(Position, Kind, Bytes), Fault> {
        let header = self.frame_ahead(source, BlockUse::Shared)?;
        let len = header.len();
        let position = self.next;
        let payload = self.at + FRAME_HEADER_LEN..self.at + len;
        let payload = match self.block_use {
            BlockUse::Shared => self.block.slice(payload),
            BlockUse::Scratch => self.copied(payload),
        };
        self.verifier
            .verify(header, &self.ahead()[..len], position)?;
        self.pass(len);
        Ok((position, header.kind(), payload))
    }

    #[cold]
    fn copied(&self, bytes: Range<usize>) -> Bytes {
        Bytes::copy_from_slice(&self.block[bytes])
    }

    #[inline]
    fn pass(&mut self, len: usize) {
        self.at += len;
        self.next = self.next.plus(len as u64);
        self.frame_len = len;
    }

    /// Passes the next frame, if it is a data frame, was read ahead and verifies. That is so for nearly all frames,
    /// and needs no result that goes through memory.
    #[inline]
    pub(crate) fn pass_ahead(&mut self) -> Option<Kind> {
        let ahead = self.ahead();
        let (first, got) = format::decode_frame_header(*ahead.first_chunk()?);
        let word = Word::decode(first)?;
        let (kind, len) = (word.kind, word.frame_len());
        let payload = ahead.get(FRAME_HEADER_LEN..len)?;
        let Verifier {
            salt,
            payload_len_max,
        } = self.verifier;
        if kind == Kind::Control || word.len > payload_len_max || self.next >= self.stop {
            return None;
        }
        if format::check(salt, self.next, first, format::crc32c(payload)) != got {
            return None;
        }
        self.pass(len);
        Some(kind)
    }

    /// Passes control frames and verifies the data frame after them, for [`Scanner::take`]; `None` at
    /// the end.
    #[inline]
    pub(crate) fn find_data(
        &mut self,
        source: &impl Source,
    ) -> Option<Result<(Kind, usize), Fault>> {
        while self.next < self.stop {
            match self.read(source) {
                Ok((Kind::Control, len)) => self.pass(len),
                found => return Some(found),
            }
        }
        self.frame_len = 0;
        None
    }

    /// Passes the next frame, which was verified, and returns it.
    #[inline]
    pub(crate) fn take(&mut self, kind: Kind, len: usize) -> Verified<'_> {
        let (start, position) = (self.at, self.next);
        self.pass(len);
        Verified {
            position,
            kind,
            bytes: &self.block[start..start + len],
        }
    }

    /// The payload of the newest frame passed, while it is in memory.
    #[inline]
    pub(crate) fn passed(&self) -> Option<&[u8]> {
        let start = self.at.checked_sub(self.frame_len)?;
        self.block.get(start + FRAME_HEADER_LEN..self.at)
    }

    /// The start of the newest frame passed.
    #[inline]
    pub(crate) fn passed_position(&self) -> Position {
        Position::new(self.next.get() - self.frame_len as u64)
    }

    /// Verifies the next frame without passing it.
    #[inline]
    fn read(&mut self, source: &impl Source) -> Result<(Kind, usize), Fault> {
        let header = self.frame_ahead(source, BlockUse::Scratch)?;
        let len = header.len();
        self.verifier
            .verify(header, &self.ahead()[..len], self.next)?;
        Ok((header.kind(), len))
    }

    /// Reads all of the next frame ahead, and returns its header.
    #[inline]
    fn frame_ahead(
        &mut self,
        source: &impl Source,
        block_use: BlockUse,
    ) -> Result<FrameHeader, Fault> {
        let left = self.end.get() - self.next.get();
        self.read_ahead(source, FRAME_HEADER_LEN, block_use)?;
        let header = self.verifier.header(self.ahead(), left)?;
        self.read_ahead(source, header.len(), block_use)?;
        let left = self.ahead().len();
        if left < header.len() {
            let left = left as u64;
            return Err(Fault::Invalid { word: 0, left });
        }
        Ok(header)
    }

    /// The bytes read ahead, from the next frame on.
    #[inline]
    fn ahead(&self) -> &[u8] {
        &self.block[self.at..self.filled]
    }

    /// Reads ahead until there are `need` bytes from the next frame on, or the source ends.
    #[inline]
    fn read_ahead(
        &mut self,
        source: &impl Source,
        need: usize,
        block_use: BlockUse,
    ) -> Result<(), Fault> {
        if self.filled - self.at >= need {
            return Ok(());
        }
        self.read_block(source, need, block_use)
    }

    #[cold]
    fn read_block(
        &mut self,
        source: &impl Source,
        need: usize,
        block_use: BlockUse,
    ) -> Result<(), Fault> {
        let until =
            |end: Position| usize::try_from(end.get() - self.next.get()).unwrap_or(usize::MAX);
        // The first block is small: it may be all that is needed.
        let block_use = if self.frame_len == 0 {
            BlockUse::Shared
        } else {
            block_use
        };
        let block_len = match block_use {
            BlockUse::Shared => BLOCK_LEN,
            BlockUse::Scratch => LENT_BLOCK_LEN,
        };
        // A large frame is read with the header of the frame after it.
        let block_len = block_len.max(self.frame_len + FRAME_HEADER_LEN);
        let want = until(self.end).min(need.max(block_len.min(until(self.stop))));
        let is_reusable = |block: &BytesMut| match block_use {
            BlockUse::Scratch => block.len() >= want,
            BlockUse::Shared => (want..=want.max(BLOCK_LEN)).contains(&block.len()),
        };
        let kept = self.at..self.filled;
        let kept_len = kept.len();
        let mut block = match std::mem::take(&mut self.block).try_into_mut() {
            Ok(mut block) if is_reusable(&block) => {
                block.copy_within(kept, 0);
                block
            }
            Ok(old) => copied(&old[kept], want),
            Err(old) => copied(&old[kept], want),
        };
        let read = match want.checked_sub(kept_len) {
            Some(1..) => {
                let from = self.next.plus(kept_len as u64);
                source.read_at_least(need - kept_len, from, &mut block[kept_len..want])
            }
            _ => Ok(0),
        };
        self.block = block.freeze();
        self.block_use = block_use;
        self.at = 0;
        self.filled = kept_len + read.as_ref().map_or(0, |read| *read);
        Ok(read.map(drop)?)
    }
}

/// Memory of at least `len` bytes that starts with `bytes`.
fn copied(bytes: &[u8], len: usize) -> BytesMut {
    let mut copy = BytesMut::zeroed(len.max(bytes.len()));
    copy[..bytes.len()].copy_from_slice(bytes);
    copy
}
