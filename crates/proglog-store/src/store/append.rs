//! The way of a frame from the caller to the buffer and the file.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Operation, Result};
use crate::format::{self, FRAME_HEADER_LEN, HEADER_LEN, MARK_FRAME_LEN};
use crate::position::{Boundary, Position};
use crate::store::Appended;
use crate::store::batch_writer::{Batch, One, Payloads};
use crate::store::inner::{Inner, NOWHERE};
use crate::store::preallocation::Fill;
use crate::store::write_buffer::Chunk;
use crate::sync::Ordering;

impl Inner {
    /// Appends one payload as a batch of its own.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    pub(crate) fn append_one(&self, payload: &[u8]) -> Result<Appended> {
        let max = self.verifier.payload_len_max;
        if payload.len() > max as usize {
            let len = payload.len();
            return Err(Error::PayloadTooLarge { len, max });
        }
        let crc = format::crc32c(payload);
        let pushed = self.buffers.lock().try_push(payload, crc);
        match pushed {
            Some(position) => Ok(Appended {
                bytes_written: (FRAME_HEADER_LEN + payload.len()) as u64,
                position,
            }),
            None => self.append_first(payload, crc),
        }
    }

    /// As [`Inner::append_one`], where it takes more than copying the payload.
    #[cold]
    #[inline(never)]
    fn append_first(&self, payload: &[u8], crc: u32) -> Result<Appended> {
        self.append(One(payload, crc))
    }

    /// Appends payloads as a batch.
    pub(crate) fn append(&self, payloads: impl Payloads) -> Result<Appended> {
        let appended = self.append_within(Position::new(u64::MAX), payloads)?;
        Ok(appended.expect("nothing is beyond the last place"))
    }

    /// Appends payloads as a batch, unless it would end past `limit`.
    #[inline]
    pub(crate) fn append_within(
        &self,
        limit: Position,
        mut payloads: impl Payloads,
    ) -> Result<Option<Appended>> {
        let max = self.verifier.payload_len_max;
        let mut bytes = 0;
        for index in 0..payloads.count() {
            let len = payloads.len(index);
            if len > max as usize {
                return Err(Error::PayloadTooLarge { len, max });
            }
            bytes += FRAME_HEADER_LEN + len;
        }
        let position = if bytes == 0 {
            let buffers = self.buffers.lock();
            self.check_appendable()?;
            Some(buffers.end().position)
        } else {
            self.append_bytes(limit, &mut payloads, bytes)?
        };
        Ok(position.map(|position| Appended {
            bytes_written: bytes as u64,
            position,
        }))
    }

    /// Appends a batch of so many bytes, and returns where it starts, unless it would end past `limit`.
    #[inline]
    fn append_bytes(
        &self,
        limit: Position,
        payloads: &mut impl Payloads,
        bytes: usize,
    ) -> Result<Option<Position>> {
        loop {
            let mut buffers = self.buffers.lock();
            // Checked under the lock: whoever seals the store takes it afterwards.
            self.check_appendable()?;
            if buffers.end().position.plus((MARK_FRAME_LEN + bytes) as u64) > limit {
                return Ok(None);
            }
            if !buffers.can_hold(bytes) {
                drop(buffers);
                return self.append_past(payloads).map(Some);
            }
            if buffers.has_room(bytes) {
                let mut batch = buffers.start_batch();
                let position = batch.position();
                batch.push_all(payloads);
                let (frames, _) = batch
                    .finish()
                    .map_err(|error| Error::io(Operation::Write, &self.name, error))?;
                buffers.finish(frames);
                return Ok(Some(position));
            }
            drop(buffers);
            // Or waits for whoever writes past the buffer.
            self.flush()?;
        }
    }

    /// Appends a batch that is too long for the buffer: writes it to the file before it returns.
    /// Readers see it once it is whole.
    fn append_past(&self, payloads: &mut impl Payloads) -> Result<Position> {
        let mut turn = self.writing.lock();
        {
            let mut buffers = self.buffers.lock();
            self.check_appendable()?;
            buffers.start_passing();
        }
        let passing = Passing(self);
        self.flush_in_turn(&mut turn)?;
        let (mut memory, start, due) = self.buffers.lock().lend();
        let mut remains = Remains {
            store: self,
            turn: &mut turn,
            start,
            cut: false,
        };
        let mut batch = Batch::in_file(self.verifier.salt, start, &mut memory, &*self.file, due);
        let position = batch.position();
        batch.push_all(payloads);
        match batch.finish() {
            Ok((frames, end)) => {
                remains.cut = true;
                let mut buffers = self.buffers.lock();
                let frames = buffers.end().frames + frames;
                let end = Boundary {
                    position: end,
                    frames,
                };
                buffers.passed(end, due);
                buffers.give_back(memory);
                self.written.store(end.position.get(), Ordering::Release);
                drop(buffers);
                drop(passing);
                Ok(position)
            }
            Err(error) => Err(remains
                .cut()
                .err()
                .unwrap_or_else(|| Error::io(Operation::Write, &self.name, error))),
        }
    }

    pub(crate) fn mark(&self) -> Result<()> {
        let mut turn = self.writing.lock();
        {
            let mut buffers = self.buffers.lock();
            match self.check_appendable() {
                Err(Error::Sealed { .. }) => return Ok(()),
                appendable => appendable?,
            }
            buffers.push_mark_if_due();
        }
        let end = self.flush_in_turn(&mut turn)?;
        turn.give_back(&*self.file, end.position);
        self.release_memory();
        Ok(())
    }

    /// Gives back the memory of buffers that are empty.
    pub(crate) fn release_memory(&self) {
        let mut buffers = self.buffers.lock();
        buffers.release();
        if buffers.is_empty() {
            drop(self.take_recent());
        }
    }

    pub(crate) fn rewind(&self, to: Boundary) -> Result<()> {
        let _syncing = self.syncing.lock();
        let mut turn = self.writing.lock();
        let (synced, end) = {
            let buffers = self.buffers.lock();
            (buffers.synced(), buffers.end())
        };
        if to < synced {
            return Err(Error::BelowRecoveryPoint {
                file: Arc::clone(&self.name),
                position: to.position,
                recovery_point: synced.position,
            });
        }
        if to > end {
            return Err(self.out_of_range(to.position, end.position));
        }
        if to.position < self.written() {
            self.cut(&mut turn, to.position)?;
        }
        let mut buffers = self.buffers.lock();
        buffers.rewind(to);
        drop(self.take_recent());
        self.written.fetch_min(to.position.get(), Ordering::AcqRel);
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<Boundary> {
        self.flush_in_turn(&mut self.writing.lock())
    }

    /// Writes what was gathered. Takes what `writing` guards, as whatever writes the file does.
    pub(crate) fn flush_in_turn(&self, turn: &mut Fill) -> Result<Boundary> {
        self.check_sound()?;
        {
            let buffers = self.buffers.lock();
            if buffers.is_empty() {
                return Ok(buffers.end());
            }
        }
        let chunk = self.hand_over();
        let written = self
            .file
            .write_all_at(&chunk.bytes, HEADER_LEN + chunk.start.get());
        match written {
            Ok(()) => {
                let end = chunk.end;
                self.written.store(end.position.get(), Ordering::Release);
                Ok(end)
            }
            Err(error) => Err(self.take_back(turn, chunk, error)),
        }
    }

    /// Swaps the buffers: what was gathered is to be written and stays readable, and what was
    /// written last makes room for what comes.
    fn hand_over(&self) -> Arc<Chunk> {
        let empty = match self.take_recent().map(Arc::try_unwrap) {
            Some(Ok(chunk)) => {
                let mut bytes = chunk.bytes;
                bytes.clear();
                bytes
            }
            // None yet; or a reader is just copying from it.
            _ => Vec::with_capacity(self.buffer_len),
        };
        let mut buffers = self.buffers.lock();
        let chunk = Arc::new(buffers.take(empty));
        *self.recent.write() = Some(Arc::clone(&chunk));
        self.recent_start
            .store(chunk.start.get(), Ordering::Release);
        chunk
    }

    fn take_recent(&self) -> Option<Arc<Chunk>> {
        self.recent_start.store(NOWHERE, Ordering::Release);
        self.recent.write().take()
    }

    fn take_back(&self, turn: &mut Fill, chunk: Arc<Chunk>, error: io::Error) -> Error {
        let cut = self.cut(turn, chunk.start);
        {
            let mut buffers = self.buffers.lock();
            drop(self.take_recent());
            let chunk = Arc::try_unwrap(chunk).unwrap_or_else(|shared| Chunk {
                bytes: shared.bytes.clone(),
                ..*shared
            });
            buffers.take_back(chunk);
        }
        cut.err()
            .unwrap_or_else(|| Error::io(Operation::Write, &self.name, error))
    }

    /// Removes from the file, durably, what a failed write may have left at and after `position`,
    /// so that no later frame stands beside it.
    fn cut(&self, turn: &mut Fill, position: Position) -> Result<()> {
        let _device = self.device.lock();
        self.check_sound()?;
        self.file
            .set_len(HEADER_LEN + position.get())
            .and_then(|()| self.file.sync_all())
            .map_err(|error| {
                let file = Arc::clone(&self.name);
                self.poison(Error::WriteNotUndone {
                    file,
                    source: Arc::new(error),
                })
            })?;
        turn.was_cut(position);
        Ok(())
    }
}

/// A batch goes past the buffer; dropped when it is done, or when it came to nothing.
struct Passing<'a>(&'a Inner);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.buffers.lock().stop_passing();
    }
}

/// What a batch that goes past the buffer may leave in the file, until it is whole.
struct Remains<'a> {
    store: &'a Inner,
    turn: &'a mut Fill,
    start: Position,
    /// Whether there is nothing to remove, or it was tried.
    cut: bool,
}

impl Remains<'_> {
    fn cut(&mut self) -> Result<()> {
        self.cut = true;
        self.store.cut(self.turn, self.start)
    }
}

impl Drop for Remains<'_> {
    /// For a batch whose making panicked: if the file cannot be cut, that has stopped the store.
    fn drop(&mut self) {
        if !self.cut {
            drop(self.cut());
        }
    }
}
