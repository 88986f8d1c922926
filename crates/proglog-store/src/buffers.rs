//! The frames that are not in the file yet: one buffer being filled, one perhaps being written.
//!
//! Pure memory; whoever holds it does nothing but copy bytes. Frames are put in whole, and a buffer
//! is handed over whole, so the file's end always is a frame's end, and a batch's.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::{self, FRAME_HEADER_LEN, Kind, MARK_FRAME_LEN};
use crate::position::{Boundary, Position};

/// What is appended but not yet in the file.
#[derive(Debug)]
pub(crate) struct Buffers {
    salt: u64,
    /// Frames being gathered; they start at `active_start`.
    active: Vec<u8>,
    active_start: Position,
    /// Frames being written, which end at `active_start`. Shared with the writing thread.
    writing: Option<Arc<Vec<u8>>>,
    /// An empty buffer kept for its memory.
    spare: Vec<u8>,
    /// Data frames below the end of `active`.
    frames: u64,
    /// What is known to be on the device.
    synced: Boundary,
    /// What the newest mark claims.
    marked: Boundary,
    /// Where the newest mark ends, if it closed the store: it claims all that lies before it.
    closed_at: Option<Position>,
}

/// Frames to be written, and where.
pub(crate) struct Chunk {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) start: Position,
    /// The end of the chunk.
    pub(crate) end: Boundary,
}

impl Buffers {
    /// Empty buffers of a store that ends at `end`, of which all is synced. `closed` tells whether
    /// it ends with a closing mark.
    pub(crate) fn new(salt: u64, capacity: usize, end: Boundary, closed: bool) -> Self {
        Self {
            salt,
            active: Vec::with_capacity(capacity),
            active_start: end.position,
            writing: None,
            spare: Vec::new(),
            frames: end.frames,
            synced: end,
            marked: if closed { end } else { Boundary::START },
            closed_at: closed.then_some(end.position),
        }
    }

    pub(crate) fn end(&self) -> Boundary {
        let position = self.active_start.plus(self.active.len() as u64);
        Boundary {
            position,
            frames: self.frames,
        }
    }

    pub(crate) fn synced(&self) -> Boundary {
        self.synced
    }

    pub(crate) fn set_synced(&mut self, synced: Boundary) {
        self.synced = synced;
    }

    /// How many bytes wait to be handed over.
    pub(crate) fn waiting(&self) -> usize {
        self.active.len()
    }

    /// Appends one batch and returns where its first frame is. Each payload comes with its CRC-32C.
    pub(crate) fn push_batch(&mut self, payloads: &[(&[u8], u32)]) -> Position {
        if self.active.is_empty() && !payloads.is_empty() {
            self.push_mark_if_due();
        }
        let first = self.end().position;
        for (index, (payload, crc)) in payloads.iter().enumerate() {
            let last = index + 1 == payloads.len();
            let kind = if last {
                Kind::BatchEnd
            } else {
                Kind::BatchGoesOn
            };
            let position = self.end().position;
            format::encode_frame(&mut self.active, self.salt, position, kind, payload, *crc);
        }
        self.frames += payloads.len() as u64;
        first
    }

    /// Appends a mark that claims what is synced, unless the newest one claims as much. A write
    /// that follows a sync carries one so: at its start, or at its end where the sync was not over
    /// when it was begun.
    fn push_mark_if_due(&mut self) {
        if self.synced > self.marked {
            self.push_mark(self.synced);
        }
    }

    fn push_mark(&mut self, claim: Boundary) {
        let mark = format::encode_mark(claim);
        let position = self.end().position;
        let crc = format::crc32c(&mark);
        format::encode_frame(
            &mut self.active,
            self.salt,
            position,
            Kind::Control,
            &mark,
            crc,
        );
        self.marked = claim;
    }

    /// Appends the mark that closes the store, where all is synced and no such mark ends it yet.
    /// Returns whether it did.
    pub(crate) fn push_closing_mark(&mut self) -> bool {
        let end = self.end();
        debug_assert_eq!(end, self.synced, "a store is closed after it was synced");
        if self.closed_at == Some(end.position) {
            return false;
        }
        self.push_mark(end);
        self.closed_at = Some(self.end().position);
        true
    }

    /// Hands over what was gathered, to be written; `None` if there is nothing. It stays readable
    /// until [`Buffers::written`] or [`Buffers::not_written`] is told of it.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        debug_assert!(self.writing.is_none(), "one writer at a time");
        if self.active.is_empty() {
            return None;
        }
        self.push_mark_if_due();
        let (start, end) = (self.active_start, self.end());
        let spare = std::mem::take(&mut self.spare);
        let bytes = Arc::new(std::mem::replace(&mut self.active, spare));
        self.active_start = end.position;
        self.writing = Some(Arc::clone(&bytes));
        Some(Chunk { bytes, start, end })
    }

    /// What was handed over is in the file.
    pub(crate) fn written(&mut self, chunk: Chunk, capacity: usize) {
        self.writing = None;
        if let Ok(mut bytes) = Arc::try_unwrap(chunk.bytes) {
            bytes.clear();
            bytes.shrink_to(capacity);
            self.spare = bytes;
        }
    }

    /// What was handed over is not in the file: it goes back before what came since.
    pub(crate) fn not_written(&mut self, chunk: Chunk) {
        self.writing = None;
        let mut bytes = Arc::try_unwrap(chunk.bytes).unwrap_or_else(|shared| (*shared).clone());
        bytes.append(&mut self.active);
        self.spare = std::mem::replace(&mut self.active, bytes);
        self.active_start = chunk.start;
    }

    /// Drops everything at and after `to`, which is not below what is synced. What was in the file
    /// above `to` must have been cut off.
    pub(crate) fn rewind(&mut self, to: Boundary) {
        debug_assert!(self.writing.is_none() && self.synced <= to && to <= self.end());
        let keep = to.position.get().saturating_sub(self.active_start.get());
        self.active
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.active_start = self.active_start.min(to.position);
        self.frames = to.frames;
        self.closed_at = None;
        // Marks that were dropped claimed no more than this.
        self.marked = Boundary::START;
    }

    /// Where the oldest frame is that is not in the file.
    pub(crate) fn start(&self) -> Position {
        let writing = self.writing.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Position::new(self.active_start.get() - writing)
    }

    /// A copy of up to `want` bytes from `position` on: none at the end, and `None` if `position`
    /// is in the file.
    pub(crate) fn copy(&self, position: Position, want: usize) -> Option<Bytes> {
        let (start, bytes) = if position >= self.active_start {
            (self.active_start, &self.active)
        } else {
            (self.start(), self.writing.as_deref()?)
        };
        let skip = usize::try_from(position.get().checked_sub(start.get())?).ok()?;
        let rest = bytes.get(skip..).unwrap_or_default();
        Some(Bytes::copy_from_slice(&rest[..want.min(rest.len())]))
    }
}

/// How many bytes a batch takes in a store.
pub(crate) fn batch_len(payloads: &[(&[u8], u32)]) -> usize {
    payloads
        .iter()
        .map(|(payload, _)| FRAME_HEADER_LEN + payload.len())
        .sum()
}

/// What marks may add to one buffer: one at its start, one at its end.
pub(crate) const MARKS_LEN_MAX: usize = 2 * MARK_FRAME_LEN;
