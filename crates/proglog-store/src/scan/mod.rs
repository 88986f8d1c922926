//! Scanning: frames in order, each verified, from any [`Source`].

pub(crate) mod marks;
mod resync;
pub(crate) mod source;
pub(crate) mod verify;

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::format::{FRAME_HEADER_LEN, Kind};
use crate::position::Position;
use crate::scan::source::{BLOCK_LEN, Source};
use crate::scan::verify::{Fault, FrameHeader, Verified, Verifier};

/// Bytes that a scan reads at a time whose frames are lent.
const LENT_BLOCK_LEN: usize = 1 << 20;

/// Use of a block's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockUse {
    /// Slices of it are handed out, and may outlive the scan.
    Shared,
    /// Its frames are borrowed, and gone when the next block is read.
    Scratch,
}

/// A walk from frame to frame.
#[derive(Debug)]
pub(crate) struct Scanner {
    verifier: Verifier,
    /// Memory for what was read ahead, used again for the next block unless a slice of it is still
    /// in use.
    block: Bytes,
    /// What `block` was read for.
    block_use: BlockUse,
    /// How many bytes of `block` were read.
    filled: usize,
    /// Where in `block` the next frame is.
    at: usize,
    next: Position,
    /// Where the walk ends: a frame that begins there or behind is not walked over.
    stop: Position,
    /// Where the data ends.
    end: Position,
    /// How long the frame was that was passed last; 0 where none was, and once the end was told.
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

    /// The same walk, over the frames alone that begin before `stop`, which is not behind the end.
    pub(crate) fn before(self, stop: Position) -> Self {
        Self { stop, ..self }
    }

    /// Where the next frame is, or should be.
    pub(crate) fn position(&self) -> Position {
        self.next
    }

    /// Goes on from `position`.
    pub(crate) fn seek(&mut self, position: Position) {
        let at = (self.at as u64)
            .wrapping_add(position.get())
            .wrapping_sub(self.next.get());
        match usize::try_from(at) {
            Ok(at) if at <= self.filled => self.at = at,
            _ => (self.at, self.filled) = (0, 0),
        }
        // What lies before it was not passed as a frame.
        self.frame_len = 0;
        self.next = position;
    }

    /// The next frame; `None` at the end. An error leaves the position where it is.
    #[inline]
    pub(crate) fn next(&mut self, source: &impl Source) -> Option<Result<Verified<'_>, Fault>> {
        if self.next >= self.stop {
            return None;
        }
        Some(self.step(source))
    }

    /// As [`Scanner::next`], with a payload to be kept.
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
            .verify(header, &self.rest()[..len], position)?;
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

    /// Passes control frames and verifies the data frame behind them, for [`Scanner::take`]; `None` at
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

    #[inline]
    fn step(&mut self, source: &impl Source) -> Result<Verified<'_>, Fault> {
        let (kind, len) = self.read(source)?;
        Ok(self.take(kind, len))
    }

    /// The next frame, which was verified. Passes it.
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

    /// The payload of the frame that was passed last, as long as it is there.
    #[inline]
    pub(crate) fn passed(&self) -> Option<&[u8]> {
        let start = self.at.checked_sub(self.frame_len)?;
        self.block.get(start + FRAME_HEADER_LEN..self.at)
    }

    /// Verifies the next frame, and stays where it is.
    #[inline]
    fn read(&mut self, source: &impl Source) -> Result<(Kind, usize), Fault> {
        let header = self.frame_ahead(source, BlockUse::Scratch)?;
        let len = header.len();
        self.verifier
            .verify(header, &self.rest()[..len], self.next)?;
        Ok((header.kind(), len))
    }

    /// Reads the next frame ahead, all of it, and returns its header.
    #[inline]
    fn frame_ahead(
        &mut self,
        source: &impl Source,
        block_use: BlockUse,
    ) -> Result<FrameHeader, Fault> {
        let left = self.end.get() - self.next.get();
        self.read_ahead(source, FRAME_HEADER_LEN, block_use)?;
        let header = self.verifier.header(self.rest(), left)?;
        self.read_ahead(source, header.len(), block_use)?;
        let left = self.rest().len();
        if left < header.len() {
            let left = left as u64;
            return Err(Fault::Invalid { word: 0, left });
        }
        Ok(header)
    }

    /// What was read ahead, from the next frame on.
    #[inline]
    fn rest(&self) -> &[u8] {
        &self.block[self.at..self.filled]
    }

    /// Makes sure that `need` bytes from the next frame on are read ahead, if there are that many.
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
        // The first block is small: it may be all that is asked for.
        let block_use = if self.frame_len == 0 {
            BlockUse::Shared
        } else {
            block_use
        };
        let block_len = match block_use {
            BlockUse::Shared => BLOCK_LEN,
            BlockUse::Scratch => LENT_BLOCK_LEN,
        };
        // Of large frames the next one is read with the one behind it begun, to know its length.
        let ahead = block_len.max(self.frame_len + FRAME_HEADER_LEN);
        let want = until(self.end).min(need.max(ahead.min(until(self.stop))));
        let is_used_again = |block: &BytesMut| match block_use {
            BlockUse::Scratch => block.len() >= want,
            BlockUse::Shared => (want..=want.max(BLOCK_LEN)).contains(&block.len()),
        };
        let tail = self.at..self.filled;
        let tail_len = tail.len();
        let mut block = match std::mem::take(&mut self.block).try_into_mut() {
            Ok(mut block) if is_used_again(&block) => {
                block.copy_within(tail, 0);
                block
            }
            Ok(old) => copied(&old[tail], want),
            Err(old) => copied(&old[tail], want),
        };
        let read = match want.checked_sub(tail_len) {
            Some(1..) => {
                let from = self.next.plus(tail_len as u64);
                source.read(from, &mut block[tail_len..want])
            }
            _ => Ok(0),
        };
        self.block = block.freeze();
        self.block_use = block_use;
        self.at = 0;
        self.filled = tail_len + read.as_ref().map_or(0, |read| *read);
        Ok(read.map(drop)?)
    }
}

/// Memory of `len` bytes, at least, that starts with `bytes`.
fn copied(bytes: &[u8], len: usize) -> BytesMut {
    let mut copy = BytesMut::zeroed(len.max(bytes.len()));
    copy[..bytes.len()].copy_from_slice(bytes);
    copy
}
