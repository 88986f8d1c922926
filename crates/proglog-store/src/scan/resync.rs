//! Searching behind damage for the next place where a frame verifies, in bounded time whatever the bytes are.

use super::{Fault, FrameHeader, Scanner, Source, Use};
use crate::error::Result;
use crate::format::{self, FRAME_HEADER_LEN};
use crate::position::Position;

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
        self.seek(from.plus(1));
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
                        Err(Fault::Read(error)) => return Err(*error),
                        Err(_) => {}
                    }
                }
            }
            self.seek(self.next.plus(1));
        }
        self.seek(self.end);
        Ok(None)
    }

    /// Goes on to the next byte that a frame can start with; `false` if there is none.
    fn skip_to_candidate(&mut self, source: &impl Source) -> Result<bool> {
        while self.next < self.end {
            self.peek(source)?;
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(false);
            }
            let left = usize::try_from(self.end.get() - self.next.get()).unwrap_or(usize::MAX);
            let rest = &rest[..rest.len().min(left)];
            let skip = rest.iter().position(|byte| format::may_start_frame(*byte));
            let passed = skip.unwrap_or(rest.len()) as u64;
            self.seek(self.next.plus(passed));
            if skip.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads ahead as much as tells a frame's length.
    fn peek(&mut self, source: &impl Source) -> Result<()> {
        match self.read_ahead(source, FRAME_HEADER_LEN, Use::Kept) {
            Err(Fault::Read(error)) => Err(*error),
            _ => Ok(()),
        }
    }

    /// How long the frame at the present place would be; `None` if there can be none.
    fn candidate_len(&mut self, source: &impl Source) -> Result<Option<usize>> {
        self.peek(source)?;
        let left = self.end.get() - self.next.get();
        Ok(self
            .verifier
            .header(self.rest(), left)
            .ok()
            .map(FrameHeader::len))
    }

    /// Whether what lies `len` bytes further on looks like some frames in a row too, or is the end.
    fn is_followed(&self, source: &impl Source, len: u64) -> Result<bool> {
        let mut position = self.next.plus(len);
        for _ in 0..RESYNC_FOLLOWING {
            let left = self.end.get() - position.get();
            if left == 0 {
                break;
            }
            let Some(len) = self.peek_len(source, position, left)? else {
                return Ok(false);
            };
            position = position.plus(len as u64);
        }
        Ok(true)
    }

    /// How long the frame at `position`, which lies further on, would be; `None` if there can be none.
    fn peek_len(
        &self,
        source: &impl Source,
        position: Position,
        left: u64,
    ) -> Result<Option<usize>> {
        let skip = usize::try_from(position.get() - self.next.get()).unwrap_or(usize::MAX);
        let header = skip..skip.saturating_add(FRAME_HEADER_LEN);
        if let Some(header) = self.rest().get(header) {
            return Ok(self
                .verifier
                .header(header, left)
                .ok()
                .map(FrameHeader::len));
        }
        let header = source.block(position, FRAME_HEADER_LEN)?;
        Ok(self
            .verifier
            .header(&header, left)
            .ok()
            .map(FrameHeader::len))
    }
}
