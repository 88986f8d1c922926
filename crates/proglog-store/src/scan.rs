//! Reading frames one after the other, each verified, from whatever holds their bytes.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::format::{self, FRAME_HEADER_LEN, Header, Kind, Word};
use crate::position::{Boundary, Position};

/// How many bytes a scan reads at a time.
pub(crate) const BLOCK_LEN: usize = 256 << 10;

/// Where the bytes of frames come from.
pub(crate) trait Source {
    /// Up to `want` bytes from `position` on. Fewer only where the source changes from file to
    /// memory, which is between two frames, or at its end.
    fn block(&self, position: Position, want: usize) -> Result<Bytes>;
}

/// What it takes to verify a frame of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verifier {
    pub(crate) salt: u64,
    pub(crate) payload_len_max: u32,
}

/// A frame that matches its checksum.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) position: Position,
    pub(crate) end: Position,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
}

impl Verified {
    fn new(position: Position, kind: Kind, payload: Bytes) -> Self {
        let end = position.plus((FRAME_HEADER_LEN + payload.len()) as u64);
        Self {
            position,
            end,
            kind,
            payload,
        }
    }

    /// What this frame claims to be synced, if it is a mark.
    pub(crate) fn mark(&self) -> Option<Boundary> {
        (self.kind == Kind::Control)
            .then(|| format::decode_mark(&self.payload, self.position))
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

    /// The length of the frame whose first bytes are `bytes`, checked against the limit and the
    /// `left` bytes from its position to the end.
    pub(crate) fn frame_len(&self, bytes: &[u8], position: Position, left: u64) -> Result<usize> {
        let Some(header) = bytes.first_chunk::<FRAME_HEADER_LEN>() else {
            return Err(Error::InvalidFrame {
                position,
                word: 0,
                left,
            });
        };
        let (first, _) = format::decode_frame_header(*header);
        match Word::decode(first) {
            Some(word)
                if word.len <= self.len_max(word.kind) && word.frame_len() as u64 <= left =>
            {
                Ok(word.frame_len())
            }
            _ => Err(Error::InvalidFrame {
                position,
                word: first,
                left,
            }),
        }
    }

    /// Control frames are the store's own, and may be longer than the user's limit.
    fn len_max(self, kind: Kind) -> u32 {
        if kind == Kind::Control {
            self.payload_len_max.max(64)
        } else {
            self.payload_len_max
        }
    }

    /// Verifies `frame`, which is as long as [`Verifier::frame_len`] told.
    pub(crate) fn verify(&self, frame: &[u8], position: Position) -> Result<Kind> {
        let (header, payload) = frame.split_first_chunk().expect("a frame has a header");
        let (first, got) = format::decode_frame_header(*header);
        let expected = format::check(self.salt, position, first, format::crc32c(payload));
        if got != expected {
            return Err(Error::ChecksumMismatch {
                position,
                expected,
                got,
            });
        }
        Ok(Word::decode(first).expect("a frame's length was told").kind)
    }

    /// Reads the frame at `position` with one read of `guess` bytes, and a second one only where it
    /// is longer. `end` is where the data ends.
    pub(crate) fn read(
        &self,
        source: &impl Source,
        position: Position,
        guess: usize,
        end: Position,
    ) -> Result<Verified> {
        let left = end.get().saturating_sub(position.get());
        if left == 0 {
            return Err(Error::OutOfRange { position, end });
        }
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(guess.max(FRAME_HEADER_LEN));
        let mut block = source.block(position, want)?;
        let len = self.frame_len(&block, position, left)?;
        if block.len() < len {
            block = source.block(position, len)?;
        }
        if block.len() < len {
            return Err(Error::InvalidFrame {
                position,
                word: 0,
                left: block.len() as u64,
            });
        }
        let kind = self.verify(&block[..len], position)?;
        Ok(Verified::new(
            position,
            kind,
            block.slice(FRAME_HEADER_LEN..len),
        ))
    }
}

/// A walk from frame to frame up to an end.
#[derive(Debug)]
pub(crate) struct Scanner {
    verifier: Verifier,
    /// Bytes read ahead; they start at `block_start`.
    block: Bytes,
    block_start: Position,
    next: Position,
    end: Position,
}

impl Scanner {
    pub(crate) fn new(verifier: Verifier, from: Position, end: Position) -> Self {
        Self {
            verifier,
            block: Bytes::new(),
            block_start: from,
            next: from,
            end,
        }
    }

    /// Where the next frame is, or should be.
    pub(crate) fn position(&self) -> Position {
        self.next
    }

    /// Goes on from `position`.
    pub(crate) fn seek(&mut self, position: Position) {
        self.next = position;
    }

    /// The next frame; `None` at the end. An error leaves the position where it is.
    pub(crate) fn next(&mut self, source: &impl Source) -> Option<Result<Verified>> {
        if self.next >= self.end {
            return None;
        }
        let frame = self.read(source);
        if let Ok(frame) = &frame {
            self.next = frame.end;
        }
        Some(frame)
    }

    fn read(&mut self, source: &impl Source) -> Result<Verified> {
        let left = self.end.get() - self.next.get();
        let rest = self.rest(source, FRAME_HEADER_LEN)?;
        let len = self
            .verifier
            .frame_len(&self.block[rest..], self.next, left)?;
        let rest = self.rest(source, len)?;
        let Some(frame) = self.block.get(rest..rest + len) else {
            let left = (self.block.len() - rest) as u64;
            return Err(Error::InvalidFrame {
                position: self.next,
                word: 0,
                left,
            });
        };
        let kind = self.verifier.verify(frame, self.next)?;
        let payload = self.block.slice(rest + FRAME_HEADER_LEN..rest + len);
        Ok(Verified::new(self.next, kind, payload))
    }

    /// Where in the block the next frame is, after making sure that `need` bytes from there on are
    /// read ahead, if there are that many.
    fn rest(&mut self, source: &impl Source, need: usize) -> Result<usize> {
        let skip = self.next.get().checked_sub(self.block_start.get());
        let skip = skip.and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = skip
            && self.block.len() >= skip.saturating_add(need)
        {
            return Ok(skip);
        }
        let left = usize::try_from(self.end.get() - self.next.get()).unwrap_or(usize::MAX);
        self.block = source.block(self.next, left.min(need.max(BLOCK_LEN)))?;
        self.block_start = self.next;
        Ok(0)
    }
}

/// How many bytes a search checks of places that look like a frame with others behind it, for each
/// byte that it passes over; and how many at least, of places that look like a frame at all.
const RESYNC_WORK_RATIO: u64 = 64;
const RESYNC_WORK_MIN: u64 = 64 << 20;
/// How many frames have to seem to follow.
const RESYNC_FOLLOWING: usize = 4;

impl Scanner {
    /// Looks for the first place after the present one where a frame verifies, and goes on from
    /// there. `None` if there is none up to the end, or none that bounded work can find.
    pub(crate) fn resync(&mut self, source: &impl Source) -> Result<Option<Position>> {
        let from = self.next;
        let (mut work, mut extra_work) = (0, 0);
        self.next = from.plus(1);
        while self.skip_to_candidate(source)? {
            let passed = self.next.get() - from.get();
            if work > RESYNC_WORK_MIN.max(passed.saturating_mul(RESYNC_WORK_RATIO)) {
                break;
            }
            if let Some(len) = self.candidate_len(source)? {
                let len = len as u64;
                // In random bytes many places look like a frame, but hardly one like several in a row.
                let followed = self.is_followed(source, len)?;
                let spent = if followed { &mut work } else { &mut extra_work };
                if followed || *spent <= RESYNC_WORK_MIN {
                    *spent += len;
                    match self.read(source) {
                        Ok(_) => return Ok(Some(self.next)),
                        Err(error @ Error::Io { .. }) => return Err(error),
                        Err(_) => {}
                    }
                }
            }
            self.next = self.next.plus(1);
        }
        self.next = self.end;
        Ok(None)
    }

    /// Goes on to the next byte that a frame can start with; `false` if there is none.
    fn skip_to_candidate(&mut self, source: &impl Source) -> Result<bool> {
        while self.next < self.end {
            let rest = self.rest(source, FRAME_HEADER_LEN)?;
            let rest = &self.block[rest..];
            if rest.is_empty() {
                return Ok(false);
            }
            let left = usize::try_from(self.end.get() - self.next.get()).unwrap_or(usize::MAX);
            let rest = &rest[..rest.len().min(left)];
            if let Some(skip) = rest.iter().position(|byte| format::may_start_frame(*byte)) {
                self.next = self.next.plus(skip as u64);
                return Ok(true);
            }
            self.next = self.next.plus(rest.len() as u64);
        }
        Ok(false)
    }

    /// How long the frame at the present place would be; `None` if there can be none.
    fn candidate_len(&mut self, source: &impl Source) -> Result<Option<usize>> {
        let rest = self.rest(source, FRAME_HEADER_LEN)?;
        let left = self.end.get() - self.next.get();
        Ok(self
            .verifier
            .frame_len(&self.block[rest..], self.next, left)
            .ok())
    }

    /// Whether what lies `len` bytes further on looks like some frames in a row too, or is the end.
    fn is_followed(&mut self, source: &impl Source, len: u64) -> Result<bool> {
        let mut position = self.next.plus(len);
        for _ in 0..RESYNC_FOLLOWING {
            let left = self.end.get() - position.get();
            if left == 0 {
                break;
            }
            let Ok(len) = self.peek_len(source, position, left)? else {
                return Ok(false);
            };
            position = position.plus(len as u64);
        }
        Ok(true)
    }

    /// How long the frame at `position`, which lies further on, would be.
    fn peek_len(
        &self,
        source: &impl Source,
        position: Position,
        left: u64,
    ) -> Result<Result<usize>> {
        let skip = usize::try_from(position.get() - self.block_start.get()).unwrap_or(usize::MAX);
        if let Some(header) = self.block.get(skip..skip.saturating_add(FRAME_HEADER_LEN)) {
            return Ok(self.verifier.frame_len(header, position, left));
        }
        let header = source.block(position, FRAME_HEADER_LEN)?;
        Ok(self.verifier.frame_len(&header, position, left))
    }
}
