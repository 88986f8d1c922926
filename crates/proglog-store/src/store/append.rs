//! Appends: into the write buffer, from there to the file, and back out by a rewind or an erasure.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{self, FRAME_HEADER_LEN, MARK_FRAME_LEN};
use crate::io::named_file::NamedFile;
use crate::position::{Boundary, Position};
use crate::store::batch_writer::{Batch, One, Parts, Payloads};
use crate::store::preallocation::Preallocator;
use crate::store::write_buffer::FlushingBuffer;
use crate::store::writer::{NOWHERE, Writer};
use crate::sync::Ordering;

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The length of the frames: 8 bytes more than each payload.
    pub bytes_written: u64,
    /// The position of the first frame.
    pub position: Position,
}

impl Writer {
    /// Appends one payload as a batch of its own.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    pub(crate) fn append_one(&self, payload: &[u8]) -> Result<Appended> {
        let max = self.data.verifier.payload_len_max;
        if payload.len() > max as usize {
            let len = payload.len();
            return Err(Error::PayloadTooLarge { len, max });
        }
        let crc = format::crc32c(payload);
        let pushed = self.buffer.lock().try_push(payload, crc);
        match pushed {
            Some(position) => Ok(Appended {
                bytes_written: (FRAME_HEADER_LEN + payload.len()) as u64,
                position,
            }),
            None => self.append_slow(payload, crc),
        }
    }

    /// As [`Writer::append_one`], if more has to be done than to copy the payload.
    #[cold]
    #[inline(never)]
    fn append_slow(&self, payload: &[u8], crc: u32) -> Result<Appended> {
        self.append(One(payload, crc))
    }

    /// Appends one payload, the concatenation of `parts`, as a batch of its own; `None` if it would end beyond
    /// `limit`.
    #[expect(
        clippy::inline_always,
        reason = "a result that goes through memory costs a fifth of a small append"
    )]
    #[inline(always)]
    pub(crate) fn append_parts_within(
        &self,
        limit: Position,
        parts: &[&[u8]],
    ) -> Result<Option<Appended>> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len <= self.data.verifier.payload_len_max as usize
            && let Some(position) = self.buffer.lock().try_push_parts(limit, parts, len)
        {
            return Ok(Some(Appended {
                bytes_written: (FRAME_HEADER_LEN + len) as u64,
                position,
            }));
        }
        self.append_parts_slow(limit, parts)
    }

    /// As [`Writer::append_parts_within`], if more has to be done than to copy the payload.
    #[cold]
    #[inline(never)]
    fn append_parts_slow(&self, limit: Position, parts: &[&[u8]]) -> Result<Option<Appended>> {
        self.append_within(limit, Parts(parts))
    }

    /// Appends payloads as a batch.
    pub(crate) fn append(&self, payloads: impl Payloads) -> Result<Appended> {
        let appended = self.append_within(Position::new(u64::MAX), payloads)?;
        Ok(appended.expect("nothing is beyond the last position"))
    }

    /// Appends payloads as a batch; `None` if it would end beyond `limit`.
    #[inline]
    pub(crate) fn append_within(
        &self,
        limit: Position,
        mut payloads: impl Payloads,
    ) -> Result<Option<Appended>> {
        let max = self.data.verifier.payload_len_max;
        let mut bytes = 0;
        for index in 0..payloads.count() {
            let len = payloads.len(index);
            if len > max as usize {
                return Err(Error::PayloadTooLarge { len, max });
            }
            bytes += FRAME_HEADER_LEN + len;
        }
        let position = if bytes == 0 {
            let buffer = self.buffer.lock();
            self.check_appendable()?;
            Some(buffer.end().position)
        } else {
            self.append_bytes(limit, &mut payloads, bytes)?
        };
        Ok(position.map(|position| Appended {
            bytes_written: bytes as u64,
            position,
        }))
    }

    /// Appends a batch whose frames are `bytes` long, and returns its position; `None` if it would end
    /// beyond `limit`.
    #[inline]
    fn append_bytes(
        &self,
        limit: Position,
        payloads: &mut impl Payloads,
        bytes: usize,
    ) -> Result<Option<Position>> {
        loop {
            let mut buffer = self.buffer.lock();
            // Checked under the lock, which sealing the store takes afterwards.
            self.check_appendable()?;
            if buffer.end().position.plus((MARK_FRAME_LEN + bytes) as u64) > limit {
                return Ok(None);
            }
            if !buffer.can_hold(bytes) {
                drop(buffer);
                return self.append_direct(payloads).map(Some);
            }
            if buffer.has_room(bytes) {
                let mut batch = buffer.start_batch();
                let position = batch.position();
                batch.push_all(payloads);
                let (frames, _) = batch.finish()?;
                buffer.finish_batch(frames);
                return Ok(Some(position));
            }
            drop(buffer);
            // Waits for a direct write, too.
            self.flush()?;
        }
    }

    /// Appends a batch that is too long for the buffer: writes it to the file before it returns.
    /// Readers see it once it is whole.
    fn append_direct(&self, payloads: &mut impl Payloads) -> Result<Position> {
        let mut writing = self.writing.lock();
        {
            let mut buffer = self.buffer.lock();
            self.check_appendable()?;
            buffer.start_direct_write();
        }
        let direct_write = DirectWrite(self);
        self.flush_locked(&mut writing)?;
        self.remove_remains(&mut writing)?;
        let (mut memory, start, due) = self.buffer.lock().lend_memory();
        let mut partial = PartialWrite {
            writer: self,
            writing: &mut writing,
            start,
            done: false,
        };
        let (salt, file) = (self.data.verifier.salt, &self.data.file);
        let mut batch = Batch::in_file(salt, start, &mut memory, file, due);
        let position = batch.position();
        batch.push_all(payloads);
        match batch.finish() {
            Ok((frames, end)) => {
                partial.done = true;
                let mut buffer = self.buffer.lock();
                let frames = buffer.end().frames + frames;
                let end = Boundary {
                    position: end,
                    frames,
                };
                buffer.finish_direct_write(end, due);
                buffer.return_memory(memory);
                self.data.set_written(end.position);
                drop(buffer);
                drop(direct_write);
                Ok(position)
            }
            Err(error) => Err(partial.remove().err().unwrap_or(error)),
        }
    }

    /// Returns the limit with which an append is only copied to the buffer.
    pub(crate) fn buffered_end_max(&self) -> Position {
        self.buffer.lock().end_max()
    }

    pub(crate) fn flush(&self) -> Result<Boundary> {
        self.flush_locked(&mut self.writing.lock())
    }

    /// As [`Writer::flush`], under the lock `writing`.
    pub(crate) fn flush_locked(&self, writing: &mut Preallocator) -> Result<Boundary> {
        self.check_process()?;
        self.check_sound()?;
        {
            let buffer = self.buffer.lock();
            if buffer.is_empty() {
                return Ok(buffer.end());
            }
        }
        self.remove_remains(writing)?;
        let flushing = self.start_flush();
        match self.data.file.write_frames(&flushing.bytes, flushing.start) {
            Ok(()) => {
                self.data.set_written(flushing.end.position);
                Ok(flushing.end)
            }
            Err(error) => Err(self.restore(writing, flushing, error)),
        }
    }

    /// Swaps the buffers: what was gathered is to be written and stays readable, and the memory of what
    /// was written last is used for what comes.
    fn start_flush(&self) -> Arc<FlushingBuffer> {
        let empty = match self.take_flushing().map(Arc::try_unwrap) {
            Some(Ok(flushing)) => {
                let mut bytes = flushing.bytes;
                bytes.clear();
                bytes
            }
            // There is none yet, or a reader is copying from it.
            _ => Vec::with_capacity(self.buffer_len),
        };
        let mut buffer = self.buffer.lock();
        let flushing = Arc::new(buffer.start_flush(empty));
        *self.flushing.write() = Some(Arc::clone(&flushing));
        self.flushing_start
            .store(flushing.start.get(), Ordering::Release);
        flushing
    }

    fn take_flushing(&self) -> Option<Arc<FlushingBuffer>> {
        self.flushing_start.store(NOWHERE, Ordering::Release);
        self.flushing.write().take()
    }

    /// Puts a buffer back whose write failed with `error`, and returns the error to report.
    fn restore(
        &self,
        writing: &mut Preallocator,
        flushing: Arc<FlushingBuffer>,
        error: Error,
    ) -> Error {
        let poisoned = self.truncate_or_defer(writing, flushing.start).err();
        {
            let mut buffer = self.buffer.lock();
            drop(self.take_flushing());
            let flushing = Arc::try_unwrap(flushing).unwrap_or_else(|shared| FlushingBuffer {
                bytes: shared.bytes.clone(),
                ..*shared
            });
            buffer.restore(flushing);
        }
        poisoned.unwrap_or(error)
    }

    /// Removes from the file, durably, what a failed write may have left at and after `position`,
    /// so that no later frame stands beside it. A file system that writes nothing in place may have no room to do so:
    /// then this fails with the kind [`ErrorKind::DiskFull`], and the next write has to begin with it.
    fn truncate(&self, writing: &mut Preallocator, position: Position) -> Result<()> {
        let _device = self.device.lock();
        self.check_sound()?;
        let file = &self.data.file;
        if let Err(error) = file.set_end(position) {
            if error.kind() != ErrorKind::DiskFull {
                return Err(self.poison(error.into_not_undone()));
            }
            writing.has_remains |= !file.is_clear_from(position);
            return if writing.has_remains {
                Err(error)
            } else {
                Ok(())
            };
        }
        file.sync_all().map_err(|error| self.poison(error))?;
        writing.truncated(position);
        writing.has_remains = false;
        Ok(())
    }

    /// Removes what failed writes have left after the data, if that is still to be done.
    pub(crate) fn remove_remains(&self, writing: &mut Preallocator) -> Result<()> {
        if writing.has_remains {
            self.truncate(writing, self.data.written())?;
        }
        Ok(())
    }

    /// As [`Writer::truncate`], where a want of room is no error: the next write tries again.
    fn truncate_or_defer(&self, writing: &mut Preallocator, position: Position) -> Result<()> {
        match self.truncate(writing, position) {
            Err(error) if error.kind() == ErrorKind::DiskFull => Ok(()),
            truncated => truncated,
        }
    }

    pub(crate) fn rewind(&self, to: Boundary) -> Result<()> {
        let _syncing = self.syncing.lock();
        let mut writing = self.writing.lock();
        let (synced, end) = {
            let buffer = self.buffer.lock();
            (buffer.synced(), buffer.end())
        };
        if to < synced {
            return Err(Error::BelowRecoveryPoint {
                file: self.data.name(),
                position: to.position,
                recovery_point: synced.position,
            });
        }
        if to > end {
            return Err(self.data.out_of_range(to.position, end.position));
        }
        let written = self.data.written();
        let mut removed = Ok(());
        if to.position < written || writing.has_remains {
            removed = self.truncate(&mut writing, to.position.min(written));
            match &removed {
                Err(error) if error.kind() != ErrorKind::DiskFull => return removed,
                _ => {}
            }
        }
        let mut buffer = self.buffer.lock();
        buffer.rewind(to);
        drop(self.take_flushing());
        self.data.lower_written(to.position);
        removed.map_err(Error::into_not_undone)
    }

    /// As [`Writer::rewind`], but also below the recovery point: overwrites what is in the file at and after `to`
    /// with zeros, after a mark that claims what is left.
    pub(crate) fn erase(&self, to: Boundary) -> Result<()> {
        let syncing = self.syncing.lock();
        self.check_appendable()?;
        let end = self.end();
        if to > end {
            return Err(self.data.out_of_range(to.position, end.position));
        }
        self.sync_locked(&syncing, None)?;
        let mut writing = self.writing.lock();
        // A mark among them would claim what is erased.
        self.remove_remains(&mut writing)?;
        self.data.file.clear(&(to.position..self.data.written()))?;
        writing.erased();
        {
            let mut buffer = self.buffer.lock();
            buffer.set_synced(to);
            buffer.rewind(to);
            buffer.push_mark_if_due();
            drop(self.take_flushing());
            self.data.lower_written(to.position);
        }
        self.flush_locked(&mut writing)?;
        self.sync_device(NamedFile::sync_data)
    }

    /// Frees the memory of buffers that are empty.
    pub(crate) fn free_memory(&self) {
        let mut buffer = self.buffer.lock();
        buffer.free_memory();
        if buffer.is_empty() {
            drop(self.take_flushing());
        }
    }
}

/// A direct write that is under way; dropped when it is done, or has failed.
struct DirectWrite<'a>(&'a Writer);

impl Drop for DirectWrite<'_> {
    fn drop(&mut self) {
        self.0.buffer.lock().end_direct_write();
    }
}

/// A guard of what a direct write may leave in the file until it is whole.
struct PartialWrite<'a> {
    writer: &'a Writer,
    writing: &'a mut Preallocator,
    start: Position,
    /// True if there is nothing to remove, or it was tried.
    done: bool,
}

impl PartialWrite<'_> {
    fn remove(&mut self) -> Result<()> {
        self.done = true;
        self.writer.truncate_or_defer(self.writing, self.start)
    }
}

impl Drop for PartialWrite<'_> {
    /// For a batch whose encoding panicked. If the file cannot be truncated, that has stopped the store.
    fn drop(&mut self) {
        if !self.done {
            drop(self.remove());
        }
    }
}
