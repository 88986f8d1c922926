//! The frames that are not in the file yet: one buffer being filled, one perhaps being written.
//!
//! Pure memory; whoever holds it does nothing but copy bytes. Frames are put in whole, and a buffer
//! is handed over whole, so the file's end always is a frame's end, and a batch's.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::{self, FRAME_HEADER_LEN, Kind, MARK_FRAME_LEN, Word};
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

    /// Starts a batch of data frames. It counts, and stays, once it is [finished](Batch::finish).
    pub(crate) fn start_batch(&mut self) -> Batch<'_> {
        if self.active.is_empty() {
            self.push_mark_if_due();
        }
        let start = self.active.len();
        Batch {
            buffers: self,
            start,
            frames: 0,
        }
    }

    fn push(&mut self, kind: Kind, payload: &[u8], crc: u32) {
        let word = Word::new(kind, payload.len());
        let header = format::encode_frame_header(self.salt, self.end().position, word, crc);
        self.active.extend_from_slice(&header);
        self.active.extend_from_slice(payload);
    }

    fn push_with(&mut self, kind: Kind, len: usize, fill: impl FnOnce(&mut [u8])) {
        let position = self.end().position;
        let start = self.active.len();
        self.active.resize(start + FRAME_HEADER_LEN + len, 0);
        let (header, payload) = self.active[start..].split_at_mut(FRAME_HEADER_LEN);
        fill(payload);
        let (word, crc) = (Word::new(kind, len), format::crc32c(payload));
        header.copy_from_slice(&format::encode_frame_header(self.salt, position, word, crc));
    }

    /// Appends a mark that claims what is synced, unless the newest one claims as much. A write
    /// that follows a sync carries one so: at its start, or at its end where the sync was not over
    /// when it was begun.
    pub(crate) fn push_mark_if_due(&mut self) {
        if self.synced > self.marked {
            self.push_mark(self.synced);
        }
    }

    fn push_mark(&mut self, claim: Boundary) {
        let mark = format::encode_mark(claim);
        self.push(Kind::Control, &mark, format::crc32c(&mark));
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

/// A batch that is being appended. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Batch<'a> {
    buffers: &'a mut Buffers,
    /// Where it starts in the active buffer.
    start: usize,
    frames: u64,
}

impl Batch<'_> {
    /// Appends a frame whose payload's CRC-32C is `crc`.
    pub(crate) fn push(&mut self, kind: Kind, payload: &[u8], crc: u32) {
        self.buffers.push(kind, payload, crc);
        self.frames += 1;
    }

    /// Appends a frame of `len` bytes, which `fill` writes over zeros.
    pub(crate) fn push_with(&mut self, kind: Kind, len: usize, fill: impl FnOnce(&mut [u8])) {
        self.buffers.push_with(kind, len, fill);
        self.frames += 1;
    }

    /// Ends the batch and returns where its first frame is.
    pub(crate) fn finish(mut self) -> Position {
        let position = self.buffers.active_start.plus(self.start as u64);
        self.buffers.frames += self.frames;
        self.start = self.buffers.active.len();
        position
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.buffers.active.truncate(self.start);
    }
}

/// What marks may add to one buffer: one at its start, one at its end.
pub(crate) const MARKS_LEN_MAX: usize = 2 * MARK_FRAME_LEN;
