//! Encoding of a batch: into the write buffer or, if it is too long for that, to the file in pieces.

use crate::error::{Error, Result};
use crate::format::{self, FRAME_HEADER_LEN, Kind, Word};
use crate::io::named_file::NamedFile;
use crate::position::{Boundary, Position};

/// The payloads of a batch.
pub(crate) trait Payloads {
    fn count(&self) -> usize;

    fn len(&self, index: usize) -> usize;

    /// Appends the payload `index` to the batch.
    fn push(&mut self, index: usize, kind: Kind, batch: &mut Batch<'_>);
}

/// One payload in memory, and its CRC-32C.
pub(crate) struct One<'a>(pub(crate) &'a [u8], pub(crate) u32);

impl Payloads for One<'_> {
    fn count(&self) -> usize {
        1
    }

    fn len(&self, _index: usize) -> usize {
        self.0.len()
    }

    fn push(&mut self, _index: usize, kind: Kind, batch: &mut Batch<'_>) {
        batch.push(kind, self.0, self.1);
    }
}

/// One payload, the concatenation of several parts.
pub(crate) struct Parts<'a>(pub(crate) &'a [&'a [u8]]);

impl Payloads for Parts<'_> {
    fn count(&self) -> usize {
        1
    }

    fn len(&self, _index: usize) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    fn push(&mut self, index: usize, kind: Kind, batch: &mut Batch<'_>) {
        batch.push_with(kind, self.len(index), |mut slot| {
            for part in self.0 {
                let (target, rest) = slot.split_at_mut(part.len());
                target.copy_from_slice(part);
                slot = rest;
            }
        });
    }
}

/// Payloads in memory.
pub(crate) struct Slices<'a>(pub(crate) &'a [&'a [u8]]);

impl Payloads for Slices<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn len(&self, index: usize) -> usize {
        self.0[index].len()
    }

    fn push(&mut self, index: usize, kind: Kind, batch: &mut Batch<'_>) {
        let payload = self.0[index];
        batch.push(kind, payload, format::crc32c(payload));
    }
}

/// Payloads of the given lengths, which a function writes into the buffer.
pub(crate) struct Filled<'a, F>(pub(crate) &'a [usize], pub(crate) F);

impl<F: FnMut(usize, &mut [u8])> Payloads for Filled<'_, F> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn len(&self, index: usize) -> usize {
        self.0[index]
    }

    #[inline]
    fn push(&mut self, index: usize, kind: Kind, batch: &mut Batch<'_>) {
        batch.push_with(kind, self.0[index], |slot| (self.1)(index, slot));
    }
}

/// A batch that is being encoded. Dropped before it is finished, it leaves nothing in the buffer; what it
/// left in the file is for the caller to remove.
pub(crate) struct Batch<'a> {
    salt: u64,
    bytes: &'a mut Vec<u8>,
    /// The position of `bytes`.
    bytes_start: Position,
    /// The start of the batch in `bytes`, as long as all of it is there.
    start: usize,
    frames: u64,
    file: Option<DirectFile<'a>>,
    finished: bool,
}

/// The file that a batch is written to while it is encoded.
struct DirectFile<'a> {
    file: &'a NamedFile,
    /// The bytes to gather before a write.
    gathered_max: usize,
    /// The failure of a write; nothing is written after it.
    error: Option<Error>,
}

impl<'a> Batch<'a> {
    /// A batch at the end of `bytes`, whose position is `bytes_start` and which have room for it.
    #[inline]
    pub(crate) fn in_memory(salt: u64, bytes_start: Position, bytes: &'a mut Vec<u8>) -> Self {
        Self {
            salt,
            start: bytes.len(),
            bytes,
            bytes_start,
            frames: 0,
            file: None,
            finished: false,
        }
    }

    /// A batch at `start`, written to `file` by way of `bytes`, after a mark if one is `due`.
    pub(crate) fn in_file(
        salt: u64,
        start: Position,
        bytes: &'a mut Vec<u8>,
        file: &'a NamedFile,
        due: Option<Boundary>,
    ) -> Self {
        if let Some(claim) = due {
            format::push_mark(bytes, salt, start, claim);
        }
        let file = DirectFile {
            file,
            gathered_max: bytes.capacity(),
            error: None,
        };
        let mut batch = Self::in_memory(salt, start, bytes);
        batch.file = Some(file);
        batch
    }

    /// Appends all payloads.
    #[inline]
    pub(crate) fn push_all(&mut self, payloads: &mut impl Payloads) {
        for index in 0..payloads.count() {
            let last = index + 1 == payloads.count();
            let kind = if last {
                Kind::BatchEnd
            } else {
                Kind::BatchContinues
            };
            payloads.push(index, kind, self);
            if self.file.as_ref().is_some_and(|file| file.error.is_some()) {
                break;
            }
        }
    }

    /// Appends a frame whose payload has the CRC-32C `crc`.
    #[inline]
    pub(crate) fn push(&mut self, kind: Kind, payload: &[u8], crc: u32) {
        let len = FRAME_HEADER_LEN + payload.len();
        self.frames += 1;
        if let Some(file) = &self.file {
            if len > file.gathered_max {
                return self.write_direct(kind, payload, crc);
            }
            self.make_room(len);
        }
        let position = self.position();
        format::push_frame(self.bytes, self.salt, position, kind, payload, crc);
    }

    /// Appends a frame with a payload of `len` bytes, which `fill` writes over zeros.
    #[inline]
    pub(crate) fn push_with(&mut self, kind: Kind, len: usize, fill: impl FnOnce(&mut [u8])) {
        self.frames += 1;
        self.make_room(FRAME_HEADER_LEN + len);
        let position = self.position();
        let start = self.bytes.len();
        self.bytes.resize(start + FRAME_HEADER_LEN + len, 0);
        let (header, payload) = self.bytes[start..].split_at_mut(FRAME_HEADER_LEN);
        fill(payload);
        let (word, crc) = (Word::new(kind, len), format::crc32c(payload));
        header.copy_from_slice(&format::encode_frame_header(self.salt, position, word, crc));
    }

    /// The position of the next frame.
    pub(crate) fn position(&self) -> Position {
        self.bytes_start.plus(self.bytes.len() as u64)
    }

    /// Writes what was gathered, if `len` more bytes are too many.
    #[inline]
    fn make_room(&mut self, len: usize) {
        if let Some(file) = &mut self.file
            && self.bytes.len() + len > file.gathered_max
        {
            self.bytes_start = file.write(self.bytes_start, self.bytes);
            self.bytes.clear();
        }
    }

    /// Writes a frame that is longer than what is gathered, its payload without a copy.
    #[cold]
    fn write_direct(&mut self, kind: Kind, payload: &[u8], crc: u32) {
        self.make_room(FRAME_HEADER_LEN);
        let word = Word::new(kind, payload.len());
        let header = format::encode_frame_header(self.salt, self.position(), word, crc);
        self.bytes.extend_from_slice(&header);
        if let Some(file) = &mut self.file {
            let start = file.write(self.bytes_start, self.bytes);
            self.bytes_start = file.write(start, payload);
            self.bytes.clear();
        }
    }

    /// Ends the batch, and returns the number of its frames and its end; fails if a write did.
    #[inline]
    pub(crate) fn finish(mut self) -> Result<(u64, Position)> {
        if let Some(mut file) = self.file.take() {
            self.bytes_start = file.write(self.bytes_start, self.bytes);
            self.bytes.clear();
            file.error.map_or(Ok(()), Err)?;
        }
        self.finished = true;
        Ok((self.frames, self.position()))
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.bytes.truncate(self.start);
        }
    }
}

impl DirectFile<'_> {
    /// Writes `bytes` at `position`, unless an earlier write failed, and returns their end.
    fn write(&mut self, position: Position, bytes: &[u8]) -> Position {
        if self.error.is_none() && !bytes.is_empty() {
            self.error = self.file.write_frames(bytes, position).err();
        }
        position.plus(bytes.len() as u64)
    }
}
