//! Reading frames one after the other, each verified, from whatever holds their bytes.

mod resync;

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{Error, Result};
use crate::format::{self, FRAME_HEADER_LEN, Header, Kind, Word};
use crate::position::{Boundary, Position};

/// How many bytes a scan reads at a time, of which slices are handed out: as much as one of them may
/// keep in memory.
pub(crate) const BLOCK_LEN: usize = 256 << 10;

/// How many bytes a scan reads at a time whose frames are lent.
const LENT_BLOCK_LEN: usize = 1 << 20;

/// Where the bytes of frames come from.
pub(crate) trait Source {
    /// Copies what lies from `position` on into `buffer`, and returns how many bytes there were.
    /// Fewer than asked for only where the source changes from file to memory, which is between two
    /// frames, or at its end.
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize>;

    /// The bytes from `position` on, `want` of them or as many as [`Source::read`] finds.
    fn block(&self, position: Position, want: usize) -> Result<Vec<u8>> {
        let mut block = vec![0; want];
        let read = self.read(position, &mut block)?;
        block.truncate(read);
        Ok(block)
    }
}

/// What is wrong at a place, as long as nobody asked which file it is in.
#[derive(Debug)]
pub(crate) enum Fault {
    /// See [`Error::InvalidFrame`].
    Invalid { word: u32, left: u64 },
    /// See [`Error::ChecksumMismatch`].
    Checksum { expected: u32, got: u32 },
    /// The bytes could not be had.
    Read(Box<Error>),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Read(Box::new(error))
    }
}

impl Fault {
    /// The error to show, for a fault at `position` of the file `name`.
    #[cold]
    pub(crate) fn into_error(self, name: &Arc<str>, position: Position) -> Error {
        let file = Arc::clone(name);
        match self {
            Self::Invalid { word, left } => Error::InvalidFrame {
                file,
                position,
                word,
                left,
            },
            Self::Checksum { expected, got } => Error::ChecksumMismatch {
                file,
                position,
                expected,
                got,
            },
            Self::Read(error) => *error,
        }
    }
}

/// What it takes to verify a frame of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verifier {
    pub(crate) salt: u64,
    pub(crate) payload_len_max: u32,
}

/// What stands before a payload, with a length that is allowed and within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameHeader {
    word: Word,
    /// The word as it stands there.
    first: u32,
    check: u32,
}

impl FrameHeader {
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        self.word.kind
    }

    /// How long the frame is.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.word.frame_len()
    }
}

/// A frame that matches its checksum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified<'a> {
    pub(crate) position: Position,
    pub(crate) kind: Kind,
    bytes: &'a [u8],
}

impl<'a> Verified<'a> {
    /// The payload.
    #[inline]
    pub(crate) fn payload(&self) -> &'a [u8] {
        &self.bytes[FRAME_HEADER_LEN..]
    }

    /// Where the frame ends.
    #[inline]
    pub(crate) fn end(&self) -> Position {
        self.position.plus(self.bytes.len() as u64)
    }

    /// What stands before the payload.
    pub(crate) fn header(&self) -> [u8; FRAME_HEADER_LEN] {
        *self.bytes.first_chunk().expect("a frame has a header")
    }

    /// What this frame claims to be synced, if it is a mark.
    pub(crate) fn mark(&self) -> Option<Boundary> {
        (self.kind == Kind::Control)
            .then(|| format::decode_mark(&self.bytes[FRAME_HEADER_LEN..], self.position))
            .flatten()
    }
}

impl Verifier {
    pub(crate) fn of(header: &Header) -> Self {
        Self {
            salt: header.salt,
            payload_len_max: header.payload_len_max,
        }
    }

    /// The header of the frame whose first bytes are `bytes`, with its length checked against the limit
    /// and the `left` bytes from its position to the end.
    #[inline]
    pub(crate) fn header(&self, bytes: &[u8], left: u64) -> Result<FrameHeader, Fault> {
        let Some(header) = bytes.first_chunk::<FRAME_HEADER_LEN>() else {
            return Err(Fault::Invalid { word: 0, left });
        };
        let (first, check) = format::decode_frame_header(*header);
        match Word::decode(first) {
            Some(word)
                if word.len <= self.len_max(word.kind) && word.frame_len() as u64 <= left =>
            {
                Ok(FrameHeader { word, first, check })
            }
            _ => Err(Fault::Invalid { word: first, left }),
        }
    }

    /// Control frames are the store's own, and may be longer than the user's limit.
    #[inline]
    fn len_max(self, kind: Kind) -> u32 {
        if kind == Kind::Control {
            self.payload_len_max.max(64)
        } else {
            self.payload_len_max
        }
    }

    /// Verifies the frame at `position` that has this header: `frame` is all of it.
    #[expect(
        clippy::inline_always,
        reason = "a call costs a twentieth of a scan over small frames"
    )]
    #[inline(always)]
    pub(crate) fn verify(
        &self,
        header: FrameHeader,
        frame: &[u8],
        position: Position,
    ) -> Result<(), Fault> {
        let FrameHeader {
            first, check: got, ..
        } = header;
        let crc = format::crc32c(&frame[FRAME_HEADER_LEN..]);
        let expected = format::check(self.salt, position, first, crc);
        if got == expected {
            Ok(())
        } else {
            Err(Fault::Checksum { expected, got })
        }
    }

    /// Reads the frame at `position`, which is below `end`, with one read of `guess` bytes, and a
    /// second one only where it is longer. `end` is where the data ends.
    pub(crate) fn read(
        &self,
        source: &impl Source,
        position: Position,
        guess: usize,
        end: Position,
    ) -> Result<(Kind, Bytes), Fault> {
        let left = end.get() - position.get();
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(guess.max(FRAME_HEADER_LEN));
        let mut block = source.block(position, want)?;
        let header = self.header(&block, left)?;
        let len = header.len();
        if block.len() < len {
            // Fresh memory is zero without being written to, and what was read is short.
            let (start, mut whole) = (block.len(), vec![0; len]);
            whole[..start].copy_from_slice(&block);
            let read = source.read(position.plus(start as u64), &mut whole[start..])?;
            whole.truncate(start + read);
            block = whole;
        }
        if block.len() < len {
            let left = block.len() as u64;
            return Err(Fault::Invalid { word: 0, left });
        }
        block.truncate(len);
        self.verify(header, &block, position)?;
        let mut payload = Bytes::from(block);
        payload.advance(FRAME_HEADER_LEN);
        Ok((header.kind(), payload))
    }
}

/// What becomes of the frames of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Slices of it are handed out.
    Kept,
    /// All are done with when the next block is read.
    Lent,
}

/// A walk from frame to frame.
#[derive(Debug)]
pub(crate) struct Scanner {
    verifier: Verifier,
    /// Memory for what was read ahead, used again for the next block unless a slice of it is still
    /// in use.
    block: Bytes,
    /// What `block` was read for.
    block_use: Use,
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
            block_use: Use::Kept,
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
        let header = self.frame_ahead(source, Use::Kept)?;
        let len = header.len();
        let position = self.next;
        let payload = self.at + FRAME_HEADER_LEN..self.at + len;
        let payload = match self.block_use {
            Use::Kept => self.block.slice(payload),
            Use::Lent => self.copied(payload),
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
        let header = self.frame_ahead(source, Use::Lent)?;
        let len = header.len();
        self.verifier
            .verify(header, &self.rest()[..len], self.next)?;
        Ok((header.kind(), len))
    }

    /// Reads the next frame ahead, all of it, and returns its header.
    #[inline]
    fn frame_ahead(&mut self, source: &impl Source, block_use: Use) -> Result<FrameHeader, Fault> {
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
        block_use: Use,
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
        block_use: Use,
    ) -> Result<(), Fault> {
        let until =
            |end: Position| usize::try_from(end.get() - self.next.get()).unwrap_or(usize::MAX);
        // The first block is small: it may be all that is asked for.
        let block_use = if self.frame_len == 0 {
            Use::Kept
        } else {
            block_use
        };
        let block_len = match block_use {
            Use::Kept => BLOCK_LEN,
            Use::Lent => LENT_BLOCK_LEN,
        };
        // Of large frames the next one is read with the one behind it begun, to know its length.
        let ahead = block_len.max(self.frame_len + FRAME_HEADER_LEN);
        let want = until(self.end).min(need.max(ahead.min(until(self.stop))));
        let is_used_again = |block: &BytesMut| match block_use {
            Use::Lent => block.len() >= want,
            Use::Kept => (want..=want.max(BLOCK_LEN)).contains(&block.len()),
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
