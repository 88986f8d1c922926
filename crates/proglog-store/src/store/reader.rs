//! The reader half of a store: point reads, and its bytes wherever they are.

use bytes::{Buf, Bytes};

use crate::error::{Error, Result};
use crate::format::{FRAME_HEADER_LEN, Kind, offset_of};
use crate::position::Position;
use crate::scan::source::Source;
use crate::store::inner::Inner;
use crate::store::writer::Writer;
use crate::sync::Ordering;

/// The longest frame that a read expects. A longer one costs a second read, and little more by that.
const READ_LEN_HINT_MAX: usize = 64 << 10;

impl Inner {
    /// Reads a frame about whose length nothing is known but the lengths of others.
    pub(crate) fn read(&self, position: Position) -> Result<Bytes> {
        let hint = self.read_len_hint.load(Ordering::Relaxed);
        let frame = self.read_frame(position, hint)?;
        let len = frame.len();
        if len != hint {
            // Up at once, since a second read costs more than some extra bytes; down little by little.
            let next = if len > hint {
                len.min(READ_LEN_HINT_MAX)
            } else {
                hint - (hint - len).div_ceil(8)
            };
            self.read_len_hint.store(next, Ordering::Relaxed);
        }
        let mut payload = Bytes::from(frame);
        payload.advance(FRAME_HEADER_LEN);
        Ok(payload)
    }

    /// Reads all of a frame, of which the first read fetches `hint` bytes.
    pub(crate) fn read_frame(&self, position: Position, hint: usize) -> Result<Vec<u8>> {
        self.read_frame_of(self, position, hint)
    }

    /// As [`Inner::read_frame`]; `None` if the device would have to be waited for.
    pub(crate) fn try_read_frame(
        &self,
        position: Position,
        hint: usize,
    ) -> Result<Option<Vec<u8>>> {
        match self.read_frame_of(&Cached(self), position, hint) {
            Err(error) if error.is_would_block() => Ok(None),
            read => read.map(Some),
        }
    }

    fn read_frame_of(
        &self,
        source: &impl Source,
        position: Position,
        hint: usize,
    ) -> Result<Vec<u8>> {
        let written = self.data.written();
        // Below the end of the file no lock is needed; a frame never lies across it.
        let end = if position < written {
            written
        } else {
            self.end().position
        };
        if position >= end {
            return Err(self.data.out_of_range(position, end));
        }
        match self.data.verifier.read(source, position, hint, end) {
            Ok((Kind::Control, _)) => Err(Error::ControlFrame {
                file: self.data.name(),
                position,
            }),
            Ok((_, frame)) => Ok(frame),
            Err(fault) => Err(fault.into_error(self.data.file.name(), position)),
        }
    }
}

/// The file, and the buffers of the writer half.
impl Source for Inner {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        self.copy_or(position, buffer, |buffer| {
            self.data.file.read(position, buffer)
        })
    }
}

/// What of a store is in memory: in its own buffers, or in those of the system. Reading anything else fails with
/// [`Error::would_block`].
pub(crate) struct Cached<'a>(pub(crate) &'a Inner);

impl Source for Cached<'_> {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        let file = &self.0.data.file;
        self.0.copy_or(position, buffer, |buffer| {
            let read = file.try_read_at(buffer, offset_of(position))?;
            read.ok_or_else(|| Error::would_block(file.name()))
        })
    }
}

impl Inner {
    /// Copies bytes from the buffers of the writer half, or has `read` read as many as the file has.
    #[inline]
    fn copy_or(
        &self,
        position: Position,
        buffer: &mut [u8],
        read: impl Fn(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        loop {
            let written = self.data.written();
            if position < written {
                if let Some(copied) = self
                    .writer()
                    .and_then(|writer| writer.peek(position, buffer))
                {
                    return Ok(copied);
                }
                let left = usize::try_from(written.get() - position.get()).unwrap_or(usize::MAX);
                let len = buffer.len().min(left);
                return read(&mut buffer[..len]);
            }
            let Some(writer) = self.writer() else {
                return Ok(0);
            };
            if let Some(copied) = writer.copy_buffered(position, buffer) {
                return Ok(copied);
            }
        }
    }
}

impl Writer {
    /// Copies what is in the file and in memory too, if that takes no waiting.
    fn peek(&self, position: Position, target: &mut [u8]) -> Option<usize> {
        if position.get() < self.flushing_start.load(Ordering::Acquire) {
            return None;
        }
        let flushing = self.flushing.try_read()?.clone();
        flushing?.copy(position, target)
    }

    /// Copies what was not in the file; `None` if it was flushed in the meantime.
    fn copy_buffered(&self, position: Position, target: &mut [u8]) -> Option<usize> {
        let copied = self.buffer.lock().copy(position, target);
        if copied.is_some() {
            return copied;
        }
        let flushing = self.flushing.read().clone();
        flushing?.copy(position, target)
    }
}
