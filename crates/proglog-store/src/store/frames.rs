//! Iteration over the data frames of a store.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::format::Kind;
use crate::position::Position;
use crate::scan::Scanner;
use crate::scan::source::Source;
use crate::scan::verify::Fault;
use crate::store::inner::Inner;
use crate::store::reader::Cached;

/// A verified data frame.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The start of the frame.
    pub position: Position,
    /// The end of the frame (exclusive).
    pub end: Position,
    /// True if it is the last frame of its batch.
    pub ends_batch: bool,
    /// The bytes that were appended: a slice of a block of at most 256 KiB (more if this frame or one
    /// before it is longer). It keeps the block in memory; [`detach`](Frame::detach) copies it out.
    pub payload: Bytes,
}

impl Frame {
    /// Copies the payload out of its block.
    #[must_use]
    pub fn detach(&self) -> Bytes {
        Bytes::copy_from_slice(&self.payload)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("position", &self.position)
            .field("end", &self.end)
            .field("ends_batch", &self.ends_batch)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// A verified data frame whose payload is borrowed from the [`Frames`], which hold a block of up to 1 MiB,
/// or of one frame that is longer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameRef<'a> {
    /// The start of the frame.
    pub position: Position,
    /// The end of the frame (exclusive).
    pub end: Position,
    /// True if it is the last frame of its batch.
    pub ends_batch: bool,
    /// The bytes that were appended.
    pub payload: &'a [u8],
}

impl fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameRef")
            .field("position", &self.position)
            .field("end", &self.end)
            .field("ends_batch", &self.ends_batch)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// An iterator over the data frames of a store, made by [`Store::frames`](crate::Store::frames).
///
/// It owns what it needs and can be sent to another thread; it keeps the store open. It reads large
/// blocks and hands out slices of them. After an error it ends, unless it is [resumed](Frames::resume).
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Frames {
    contents: Contents,
    scanner: Scanner,
    failed: bool,
}

/// The bytes of a store, or those of them that are in memory.
struct Contents {
    store: Arc<Inner>,
    is_cached_only: bool,
}

impl Source for Contents {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        if self.is_cached_only {
            Cached(&self.store).read(position, buffer)
        } else {
            Source::read(&*self.store, position, buffer)
        }
    }
}

impl Frames {
    pub(crate) fn new(store: Arc<Inner>, scanner: Scanner) -> Self {
        let contents = Contents {
            store,
            is_cached_only: false,
        };
        Self {
            contents,
            scanner,
            failed: false,
        }
    }

    /// The same frames, up to the first one that is not in memory: that one fails.
    pub(crate) fn cached_only(mut self) -> Self {
        self.contents.is_cached_only = true;
        self
    }

    /// The position of the next frame; after an error, that of the frame that failed.
    #[must_use]
    pub fn position(&self) -> Position {
        self.scanner.position()
    }

    /// Resumes after a damaged frame: searches for the next position, after that of the frame that failed,
    /// at which a frame verifies, and returns it; `None` if there is none up to the end.
    ///
    /// A frame may start at any byte. To bound the work whatever the bytes are, the search also ends, with
    /// `None`, once it has checked 64 times as many bytes as it has skipped (and at least 64 MiB).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Closed`] once the store is closed.
    pub fn resume(&mut self) -> Result<Option<Position>> {
        if self.contents.store.data.is_closed() {
            return Err(self.closed());
        }
        let found = self.scanner.resync(&self.contents)?;
        self.failed = found.is_none();
        Ok(found)
    }

    /// Returns the next frame, as [`Iterator::next`], but borrowed. This is faster for small frames that are
    /// not kept, since no references to a block have to be counted.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proglog_store::{Store, StoreOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path().join("my.store"), &StoreOptions::new())?;
    /// store.append_batch(&[&b"one"[..], b"two"])?;
    /// let (mut frames, mut bytes) = (store.frames(..), 0);
    /// while let Some(frame) = frames.next_ref() {
    ///     bytes += frame?.payload.len();
    /// }
    /// assert_eq!(bytes, 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As the items of the iterator.
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<FrameRef<'_>>> {
        if self.failed {
            return None;
        }
        if self.contents.store.data.is_closed() {
            return Some(Err(self.closed()));
        }
        let Some(kind) = self.scanner.pass_ahead() else {
            return self.next_ref_slow();
        };
        Some(Ok(FrameRef {
            position: self.scanner.passed_position(),
            end: self.scanner.position(),
            ends_batch: kind == Kind::BatchEnd,
            payload: self.scanner.passed()?,
        }))
    }

    /// As [`Frames::next_ref`], if the next frame has to be read, or is no data frame.
    #[cold]
    #[inline(never)]
    fn next_ref_slow(&mut self) -> Option<Result<FrameRef<'_>>> {
        let (kind, len) = match self.scanner.find_data(&self.contents)? {
            Ok(found) => found,
            Err(fault) => return Some(Err(self.fail(fault))),
        };
        let frame = self.scanner.take(kind, len);
        Some(Ok(FrameRef {
            position: frame.position,
            end: frame.end(),
            ends_batch: kind == Kind::BatchEnd,
            payload: frame.payload(),
        }))
    }

    /// The payload of the frame that was yielded or [lent](Frames::next_ref) last, for a caller that could
    /// not keep the borrow. `None` before the first frame, at the end, and after an error.
    #[inline]
    #[must_use]
    pub fn lent(&self) -> Option<&[u8]> {
        if self.failed {
            None
        } else {
            self.scanner.passed()
        }
    }

    #[inline]
    fn step(&mut self) -> Option<Result<Frame>> {
        loop {
            if self.contents.store.data.is_closed() {
                return Some(Err(self.closed()));
            }
            let (position, kind, payload) = match self.scanner.next_kept(&self.contents)? {
                Ok(frame) => frame,
                Err(fault) => return Some(Err(self.fail(fault))),
            };
            if kind != Kind::Control {
                return Some(Ok(Frame {
                    position,
                    end: self.scanner.position(),
                    ends_batch: kind == Kind::BatchEnd,
                    payload,
                }));
            }
        }
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> Error {
        self.failed = true;
        fault.into_error(
            self.contents.store.data.file.name(),
            self.scanner.position(),
        )
    }

    #[cold]
    fn closed(&mut self) -> Error {
        self.failed = true;
        self.contents.store.data.closed_error()
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.step()
    }
}

impl FusedIterator for Frames {}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("position", &self.position())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
