//! Verification of a frame: its length against the limits, its payload against the checksum.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{self, FRAME_HEADER_LEN, Header, Kind, Word};
use crate::position::{Boundary, Position};
use crate::scan::source::Source;

/// A fault at a position, without the name of the file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// See [`Error::InvalidFrame`].
    Invalid { word: u32, left: u64 },
    /// See [`Error::ChecksumMismatch`].
    Checksum { expected: u32, got: u32 },
    /// See [`Error::Unreadable`].
    Unreadable(Box<Error>),
    /// The file system failed: nothing is known about the bytes.
    Read(Box<Error>),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreadable { .. } => Self::Unreadable(Box::new(error)),
            _ => Self::Read(Box::new(error)),
        }
    }
}

impl Fault {
    /// The error for this fault at `position` of the file `name`.
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
            Self::Unreadable(error) | Self::Read(error) => *error,
        }
    }
}

/// Verifies the frames of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verifier {
    pub(crate) salt: u64,
    pub(crate) payload_len_max: u32,
}

/// The header of a frame, whose length is within the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameHeader {
    word: Word,
    /// The encoded word.
    first: u32,
    check: u32,
}

impl FrameHeader {
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        self.word.kind
    }

    /// The length of the frame.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.word.frame_len()
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

    /// Reads all of the frame at `position`, below `end`, where the data ends. One read fetches `hint` bytes,
    /// and a second one the rest of a frame that is longer.
    pub(crate) fn read(
        &self,
        source: &impl Source,
        position: Position,
        hint: usize,
        end: Position,
    ) -> Result<(Kind, Vec<u8>), Fault> {
        let left = end.get() - position.get();
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(hint.max(FRAME_HEADER_LEN));
        let mut block = vec![0; want];
        let read = source.read_at_least(FRAME_HEADER_LEN, position, &mut block)?;
        block.truncate(read);
        let header = self.header(&block, left)?;
        let len = header.len();
        if block.len() < len {
            // Fresh memory is zero without being written to, and what was read is short.
            let (start, mut whole) = (block.len(), vec![0; len]);
            whole[..start].copy_from_slice(&block);
            let rest = position.plus(start as u64);
            let read = source.read_at_least(len - start, rest, &mut whole[start..])?;
            whole.truncate(start + read);
            block = whole;
        }
        if block.len() < len {
            let left = block.len() as u64;
            return Err(Fault::Invalid { word: 0, left });
        }
        block.truncate(len);
        self.verify(header, &block, position)?;
        Ok((header.kind(), block))
    }
}

/// A frame that matches its checksum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified<'a> {
    pub(crate) position: Position,
    pub(crate) kind: Kind,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Verified<'a> {
    /// The payload.
    #[inline]
    pub(crate) fn payload(&self) -> &'a [u8] {
        &self.bytes[FRAME_HEADER_LEN..]
    }

    /// The end of the frame (exclusive).
    #[inline]
    pub(crate) fn end(&self) -> Position {
        self.position.plus(self.bytes.len() as u64)
    }

    /// The encoded header.
    pub(crate) fn header(&self) -> [u8; FRAME_HEADER_LEN] {
        *self.bytes.first_chunk().expect("a frame has a header")
    }

    /// The claim of a sync mark; `None` for any other frame.
    pub(crate) fn mark(&self) -> Option<Boundary> {
        (self.kind == Kind::Control)
            .then(|| format::decode_mark(&self.bytes[FRAME_HEADER_LEN..], self.position))
            .flatten()
    }
}
