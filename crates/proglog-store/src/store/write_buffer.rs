//! The frames that are not in the file yet: one buffer, being filled.
//!
//! Pure memory; whoever holds it does nothing but copy bytes. Frames are put in whole, and a buffer
//! is handed over whole, so the file's end always is a frame's end, and a batch's.

use crate::format::{self, Kind, MARK_FRAME_LEN};
use crate::position::{Boundary, Position};
use crate::store::batch_writer::Batch;

/// What is appended but not yet handed over to be written, and where the store stands.
#[derive(Debug)]
pub(crate) struct Buffers {
    salt: u64,
    /// How many bytes of frames are gathered. Memory for them is taken with the first frame.
    capacity: usize,
    /// Frames being gathered; they start at `active_start`.
    active: Vec<u8>,
    active_start: Position,
    /// How long `active` may grow without a further look at anything: 0 where there is something to
    /// look at, as there is before the first frame, when the store takes no appends, and while a
    /// batch goes past the buffer.
    room: usize,
    /// Data frames below the end of `active`.
    frames: u64,
    /// What is known to be on the device.
    synced: Boundary,
    /// What the newest mark claims.
    marked: Boundary,
    /// Where the newest mark ends, if it closed the store: it claims all that lies before it.
    closed_at: Option<Position>,
    /// A batch is being written past the buffer, and nothing can be appended before it is done.
    passing: bool,
}

/// Frames to be written, or written last, and where.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: Position,
    /// The end of the chunk.
    pub(crate) end: Boundary,
}

/// What marks may add to one buffer: one at its start, one at its end.
const MARKS_LEN_MAX: usize = 2 * MARK_FRAME_LEN;

impl Buffers {
    /// Empty buffers of a store that ends at `end`, of which all is synced. `closed` tells whether
    /// it ends with a closing mark.
    pub(crate) fn new(salt: u64, capacity: usize, end: Boundary, closed: bool) -> Self {
        Self {
            salt,
            capacity,
            active: Vec::new(),
            active_start: end.position,
            room: 0,
            frames: end.frames,
            synced: end,
            marked: if closed { end } else { Boundary::START },
            closed_at: closed.then_some(end.position),
            passing: false,
        }
    }

    #[inline]
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

    /// The file was found to be synced up to `to`, by somebody else who writes it.
    pub(crate) fn advance(&mut self, to: Boundary) {
        debug_assert!(self.active.is_empty(), "who follows appends nothing");
        (self.active_start, self.frames) = (to.position, to.frames);
        self.synced = to;
    }

    /// Whether nothing waits to be handed over.
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether the buffer, when it is empty, can hold a batch of so many bytes.
    #[inline]
    pub(crate) fn can_hold(&self, len: usize) -> bool {
        len.saturating_add(MARKS_LEN_MAX) <= self.capacity
    }

    /// Whether a batch of so many bytes, which the buffer can hold, can be put in now.
    #[inline]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        !self.passing && self.can_hold(self.active.len().saturating_add(len))
    }

    /// Puts in one frame that is a batch, and returns where it is; `None`, if that takes more than
    /// copying it.
    #[inline]
    pub(crate) fn try_push(&mut self, payload: &[u8], crc: u32) -> Option<Position> {
        let len = format::FRAME_HEADER_LEN + payload.len();
        if self.active.len() + len > self.room {
            return None;
        }
        let position = self.active_start.plus(self.active.len() as u64);
        format::push_frame(
            &mut self.active,
            self.salt,
            position,
            Kind::BatchEnd,
            payload,
            crc,
        );
        self.frames += 1;
        Some(position)
    }

    /// Has every append ask before it is put in, from now on until one was let in.
    pub(crate) fn stop(&mut self) {
        self.room = 0;
    }

    /// Starts a batch of data frames, for which there is room. It counts, and stays, once
    /// [`Buffers::finish`] is told that it is whole.
    #[inline]
    pub(crate) fn start_batch(&mut self) -> Batch<'_> {
        if self.active.is_empty() {
            self.push_mark_if_due();
        }
        self.reserve();
        Batch::in_memory(self.salt, self.active_start, &mut self.active)
    }

    /// Counts the frames of a batch that is whole.
    #[inline]
    pub(crate) fn finish(&mut self, frames: u64) {
        self.frames += frames;
        self.room = self.capacity.saturating_sub(MARK_FRAME_LEN);
    }

    #[inline]
    fn reserve(&mut self) {
        if self.active.capacity() == 0 {
            self.active.reserve_exact(self.capacity);
        }
    }

    /// Appends a mark that claims what is synced, unless the newest one claims as much. A write
    /// that follows a sync carries one so: at its start, or at its end where the sync was not over
    /// when it was begun.
    #[inline]
    pub(crate) fn push_mark_if_due(&mut self) {
        if self.synced > self.marked {
            self.push_mark(self.synced);
        }
    }

    fn push_mark(&mut self, claim: Boundary) {
        self.reserve();
        let position = self.end().position;
        format::push_mark(&mut self.active, self.salt, position, claim);
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

    /// Hands over what was gathered, to be written, and goes on with `empty` memory.
    pub(crate) fn take(&mut self, empty: Vec<u8>) -> Chunk {
        debug_assert!(empty.is_empty() && !self.active.is_empty());
        self.push_mark_if_due();
        let (start, end) = (self.active_start, self.end());
        self.active_start = end.position;
        self.room = 0;
        let bytes = std::mem::replace(&mut self.active, empty);
        Chunk { bytes, start, end }
    }

    /// What was handed over is not in the file: it goes back before what came since.
    pub(crate) fn take_back(&mut self, chunk: Chunk) {
        let mut bytes = chunk.bytes;
        bytes.append(&mut self.active);
        self.active = bytes;
        self.active_start = chunk.start;
        self.room = 0;
    }

    /// Drops everything at and after `to`, which is not below what is synced. What was in the file
    /// above `to` must have been cut off.
    pub(crate) fn rewind(&mut self, to: Boundary) {
        debug_assert!(!self.passing && self.synced <= to && to <= self.end());
        let keep = to.position.get().saturating_sub(self.active_start.get());
        self.active
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.active_start = self.active_start.min(to.position);
        self.room = 0;
        self.frames = to.frames;
        self.closed_at = None;
        // Marks that were dropped claimed no more than this.
        self.marked = Boundary::START;
    }

    /// Copies what lies from `position` on into `buffer`, and returns how many bytes there were:
    /// none at the end, and `None` if `position` was handed over.
    pub(crate) fn copy(&self, position: Position, buffer: &mut [u8]) -> Option<usize> {
        copy(&self.active, self.active_start, position, buffer)
    }

    /// Gives the memory back, if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.active.is_empty() && !self.passing {
            self.active = Vec::new();
            self.room = 0;
        }
    }
}

/// A batch goes past the buffer, which must be empty by the time that its frames are made.
impl Buffers {
    /// Has all other appends wait.
    pub(crate) fn start_passing(&mut self) {
        debug_assert!(!self.passing, "one writer at a time");
        self.passing = true;
        self.room = 0;
    }

    /// The memory for the batch, where it starts, and what a mark at its start claims, if one is due.
    pub(crate) fn lend(&mut self) -> (Vec<u8>, Position, Option<Boundary>) {
        debug_assert!(self.passing && self.active.is_empty());
        self.reserve();
        let due = (self.synced > self.marked).then_some(self.synced);
        (std::mem::take(&mut self.active), self.active_start, due)
    }

    /// Takes the memory back, if it is no more than a buffer should keep.
    pub(crate) fn give_back(&mut self, mut memory: Vec<u8>) {
        debug_assert!(self.active.is_empty());
        if memory.capacity() <= self.capacity.max(LENT_KEPT_MAX) {
            memory.clear();
            self.active = memory;
        }
    }

    /// The batch is in the file, and ends at `end`.
    pub(crate) fn passed(&mut self, end: Boundary, marked: Option<Boundary>) {
        (self.active_start, self.frames) = (end.position, end.frames);
        self.marked = marked.unwrap_or(self.marked);
    }

    pub(crate) fn stop_passing(&mut self) {
        self.passing = false;
    }
}

/// How much memory that a large payload took is kept for the next one.
const LENT_KEPT_MAX: usize = 2 << 20;

impl Chunk {
    /// As [`Buffers::copy`]; `None` if `position` is not in the chunk.
    pub(crate) fn copy(&self, position: Position, buffer: &mut [u8]) -> Option<usize> {
        copy(&self.bytes, self.start, position, buffer).filter(|copied| *copied > 0)
    }
}

fn copy(bytes: &[u8], start: Position, position: Position, buffer: &mut [u8]) -> Option<usize> {
    let skip = usize::try_from(position.get().checked_sub(start.get())?).ok()?;
    let rest = bytes.get(skip..).unwrap_or_default();
    let len = buffer.len().min(rest.len());
    buffer[..len].copy_from_slice(&rest[..len]);
    Some(len)
}
