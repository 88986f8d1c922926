//! The write buffer: frames that are appended and not yet in the file.
//!
//! Memory only; under its lock nothing happens but copies of bytes. Frames are added whole, and a buffer is
//! flushed whole, so the file always ends with a whole frame, and a whole batch.

use crate::format::{self, Kind, MARK_FRAME_LEN, Word};
use crate::position::{Boundary, Position};
use crate::store::batch_writer::Batch;

/// The frames to be flushed next, and the boundaries of the store.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    salt: u64,
    /// The most bytes of frames to hold. Memory for them is allocated with the first frame.
    capacity: usize,
    /// The frames, from position `start` on.
    bytes: Vec<u8>,
    start: Position,
    /// The length up to which [`WriteBuffer::try_push`] may fill `bytes`: 0 while a check of the store's
    /// state has to come first, as before the first frame, when the store takes no appends, and during a
    /// direct write.
    fast_len_max: usize,
    /// Data frames below the end of `bytes`.
    frames: u64,
    /// The recovery point.
    synced: Boundary,
    /// The claim of the newest mark.
    marked: Boundary,
    /// The end of the newest mark, if it closed the store: it claims all that lies before it.
    closed_at: Option<Position>,
    /// True if a batch is being written directly to the file. Nothing else can be appended meanwhile.
    writing_direct: bool,
}

/// A buffer that is being written to the file, or was written last.
#[derive(Debug)]
pub(crate) struct FlushingBuffer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: Position,
    /// The end of the bytes.
    pub(crate) end: Boundary,
}

/// The bytes that marks may add to one buffer: one at its start, one at its end.
const MARKS_LEN_MAX: usize = 2 * MARK_FRAME_LEN;

/// The most memory that is kept, after a large payload, for the next one.
const DIRECT_MEMORY_KEPT_MAX: usize = 2 << 20;

impl WriteBuffer {
    /// An empty buffer of a store that ends at `end`, of which all is synced; `closed` if it ends with a
    /// closing mark.
    pub(crate) fn new(salt: u64, capacity: usize, end: Boundary, closed: bool) -> Self {
        Self {
            salt,
            capacity,
            bytes: Vec::new(),
            start: end.position,
            fast_len_max: 0,
            frames: end.frames,
            synced: end,
            marked: if closed { end } else { Boundary::START },
            closed_at: closed.then_some(end.position),
            writing_direct: false,
        }
    }

    #[inline]
    pub(crate) fn end(&self) -> Boundary {
        let position = self.start.plus(self.bytes.len() as u64);
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

    /// Returns whether there is nothing to flush.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether the buffer, when it is empty, can hold a batch of `len` bytes.
    #[inline]
    pub(crate) fn can_hold(&self, len: usize) -> bool {
        len.saturating_add(MARKS_LEN_MAX) <= self.capacity
    }

    /// Returns whether a batch of `len` bytes, which the buffer can hold, can be added now.
    #[inline]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        !self.writing_direct && self.can_hold(self.bytes.len().saturating_add(len))
    }

    /// Returns the position up to which the buffer has room for a batch, with a mark before it.
    pub(crate) fn end_max(&self) -> Position {
        if self.writing_direct {
            return Position::ZERO;
        }
        let len_max = self.capacity.saturating_sub(MARKS_LEN_MAX - MARK_FRAME_LEN);
        self.start.plus(len_max as u64)
    }

    /// Appends a frame as a batch of its own, and returns its position; `None` if more has to be done
    /// than to copy it.
    #[inline]
    pub(crate) fn try_push(&mut self, payload: &[u8], crc: u32) -> Option<Position> {
        let len = format::FRAME_HEADER_LEN + payload.len();
        if self.bytes.len() + len > self.fast_len_max {
            return None;
        }
        let position = self.start.plus(self.bytes.len() as u64);
        format::push_frame(
            &mut self.bytes,
            self.salt,
            position,
            Kind::BatchEnd,
            payload,
            crc,
        );
        self.frames += 1;
        Some(position)
    }

    /// Appends a frame whose payload is the concatenation of `parts`, as a batch of its own, and returns its
    /// position; `None` if more has to be done than to copy it, or it would end beyond `limit`.
    #[inline]
    pub(crate) fn try_push_parts(
        &mut self,
        limit: Position,
        parts: &[&[u8]],
        payload_len: usize,
    ) -> Option<Position> {
        let end = self.bytes.len() + format::FRAME_HEADER_LEN + payload_len;
        let limit = limit.get().saturating_sub(self.start.get());
        if end > self.fast_len_max || (end + MARK_FRAME_LEN) as u64 > limit {
            return None;
        }
        let position = self.start.plus(self.bytes.len() as u64);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; format::FRAME_HEADER_LEN]);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let (header, payload) = self.bytes[start..].split_at_mut(format::FRAME_HEADER_LEN);
        let word = Word::new(Kind::BatchEnd, payload_len);
        let crc = format::crc32c(payload);
        header.copy_from_slice(&format::encode_frame_header(self.salt, position, word, crc));
        self.frames += 1;
        Some(position)
    }

    /// Has the next append check the state of the store first.
    pub(crate) fn stop_fast_appends(&mut self) {
        self.fast_len_max = 0;
    }

    /// Starts a batch for which there is room. It is kept, and counted, by
    /// [`WriteBuffer::finish_batch`].
    #[inline]
    pub(crate) fn start_batch(&mut self) -> Batch<'_> {
        if self.bytes.is_empty() {
            self.push_mark_if_due();
        }
        self.reserve();
        Batch::in_memory(self.salt, self.start, &mut self.bytes)
    }

    /// Counts the frames of a whole batch.
    #[inline]
    pub(crate) fn finish_batch(&mut self, frames: u64) {
        self.frames += frames;
        self.fast_len_max = self.capacity.saturating_sub(MARK_FRAME_LEN);
    }

    #[inline]
    fn reserve(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(self.capacity);
        }
    }

    /// Appends a mark that claims what is synced, unless the newest one claims as much. So each write
    /// that follows a sync carries one: at its start, or at its end if the sync was still running when
    /// the buffer was started.
    #[inline]
    pub(crate) fn push_mark_if_due(&mut self) {
        if self.synced > self.marked {
            self.push_mark(self.synced);
        }
    }

    fn push_mark(&mut self, claim: Boundary) {
        self.reserve();
        let position = self.end().position;
        format::push_mark(&mut self.bytes, self.salt, position, claim);
        self.marked = claim;
    }

    /// Appends a closing mark to a store of which all is synced, unless it ends with one. Returns
    /// whether it did.
    pub(crate) fn push_closing_mark(&mut self) -> bool {
        let end = self.end();
        debug_assert_eq!(end, self.synced, "a store is synced before it is closed");
        if self.closed_at == Some(end.position) {
            return false;
        }
        self.push_mark(end);
        self.closed_at = Some(self.end().position);
        true
    }

    /// Hands over the bytes to be written, and continues with `empty` memory.
    pub(crate) fn start_flush(&mut self, empty: Vec<u8>) -> FlushingBuffer {
        debug_assert!(empty.is_empty() && !self.bytes.is_empty());
        self.push_mark_if_due();
        let (start, end) = (self.start, self.end());
        self.start = end.position;
        self.fast_len_max = 0;
        let bytes = std::mem::replace(&mut self.bytes, empty);
        FlushingBuffer { bytes, start, end }
    }

    /// Takes a buffer back whose write failed, and puts it before what was appended since.
    pub(crate) fn restore(&mut self, flushing: FlushingBuffer) {
        let mut bytes = flushing.bytes;
        bytes.append(&mut self.bytes);
        self.bytes = bytes;
        self.start = flushing.start;
        self.fast_len_max = 0;
    }

    /// Drops everything at and after `to`, not below the recovery point. The file must have been
    /// truncated there.
    pub(crate) fn rewind(&mut self, to: Boundary) {
        debug_assert!(!self.writing_direct && self.synced <= to && to <= self.end());
        let keep = to.position.get().saturating_sub(self.start.get());
        self.bytes
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.start = self.start.min(to.position);
        self.fast_len_max = 0;
        self.frames = to.frames;
        self.closed_at = None;
        // Marks that were dropped claimed no more than this.
        self.marked = Boundary::START;
    }

    /// Copies the bytes from `position` on into `target`, and returns how many there were: none at the
    /// end, and `None` if `position` is below the start.
    pub(crate) fn copy(&self, position: Position, target: &mut [u8]) -> Option<usize> {
        copy(&self.bytes, self.start, position, target)
    }

    /// Frees the memory, if the buffer is empty.
    pub(crate) fn free_memory(&mut self) {
        if self.bytes.is_empty() && !self.writing_direct {
            self.bytes = Vec::new();
            self.fast_len_max = 0;
        }
    }
}

/// A direct write: a batch that is too long for the buffer goes to the file. The buffer must be empty by
/// the time its frames are encoded.
impl WriteBuffer {
    /// Makes all other appends wait.
    pub(crate) fn start_direct_write(&mut self) {
        debug_assert!(!self.writing_direct, "one writer at a time");
        self.writing_direct = true;
        self.fast_len_max = 0;
    }

    /// The memory for the batch, its start, and the claim of a mark before it, if one is due.
    pub(crate) fn lend_memory(&mut self) -> (Vec<u8>, Position, Option<Boundary>) {
        debug_assert!(self.writing_direct && self.bytes.is_empty());
        self.reserve();
        let due = (self.synced > self.marked).then_some(self.synced);
        (std::mem::take(&mut self.bytes), self.start, due)
    }

    /// Takes the memory back, unless it is more than a buffer should keep.
    pub(crate) fn return_memory(&mut self, mut memory: Vec<u8>) {
        debug_assert!(self.bytes.is_empty());
        if memory.capacity() <= self.capacity.max(DIRECT_MEMORY_KEPT_MAX) {
            memory.clear();
            self.bytes = memory;
        }
    }

    /// Counts the batch, which is in the file and ends at `end`, and the mark before it.
    pub(crate) fn finish_direct_write(&mut self, end: Boundary, marked: Option<Boundary>) {
        (self.start, self.frames) = (end.position, end.frames);
        self.marked = marked.unwrap_or(self.marked);
    }

    /// Lets other appends continue.
    pub(crate) fn end_direct_write(&mut self) {
        self.writing_direct = false;
    }
}

impl FlushingBuffer {
    /// As [`WriteBuffer::copy`]; `None` if `position` is not in the buffer.
    pub(crate) fn copy(&self, position: Position, target: &mut [u8]) -> Option<usize> {
        copy(&self.bytes, self.start, position, target).filter(|copied| *copied > 0)
    }
}

fn copy(bytes: &[u8], start: Position, position: Position, target: &mut [u8]) -> Option<usize> {
    let skip = usize::try_from(position.get().checked_sub(start.get())?).ok()?;
    let rest = bytes.get(skip..).unwrap_or_default();
    let len = target.len().min(rest.len());
    target[..len].copy_from_slice(&rest[..len]);
    Some(len)
}
