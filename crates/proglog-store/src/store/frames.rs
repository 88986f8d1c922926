//! Iterating over a store's data frames.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::format::Kind;
use crate::position::Position;
use crate::scan::{Fault, Scanner};
use crate::store::inner::Inner;

/// A data frame, verified.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Where it starts.
    pub position: Position,
    /// Where it ends (exclusive).
    pub end: Position,
    /// Whether it is the last frame of its batch.
    pub ends_batch: bool,
    /// What was appended. A slice of a block of at most 256 KiB (or as much as a longer frame takes, this
    /// one or one before it), which it keeps in memory; [`detach`](Frame::detach) copies it out.
    pub payload: Bytes,
}

impl Frame {
    /// The payload in memory of its own.
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

/// A data frame, verified, whose payload lies in the memory of the [`Frames`] that lend it: up to 1 MiB,
/// or one frame, if that is longer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameRef<'a> {
    /// Where it starts.
    pub position: Position,
    /// Where it ends (exclusive).
    pub end: Position,
    /// Whether it is the last frame of its batch.
    pub ends_batch: bool,
    /// What was appended.
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
/// blocks and hands out slices of them. It ends after an error.
#[must_use = "an iterator reads nothing until it is asked"]
pub struct Frames {
    store: Arc<Inner>,
    scanner: Scanner,
    failed: bool,
}

impl Frames {
    pub(crate) fn new(store: Arc<Inner>, scanner: Scanner) -> Self {
        Self {
            store,
            scanner,
            failed: false,
        }
    }

    /// Where the next frame is; after an error, where the frame is that it speaks of.
    #[must_use]
    pub fn position(&self) -> Position {
        self.scanner.position()
    }

    /// Goes on behind a damaged frame: looks for the next place, after the one that the error spoke
    /// of, where a frame verifies, and returns it; `None` if there is none up to the end.
    ///
    /// Every byte may be where a frame starts. To bound the work whatever the bytes are, the search
    /// also ends, with `None`, once it has checked 64 times as many bytes as it has passed over (and
    /// at least 64 MiB).
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Closed`], after which there is nothing to go on with.
    pub fn resume(&mut self) -> Result<Option<Position>> {
        if self.store.is_closed() {
            return Err(self.closed());
        }
        let found = self.scanner.resync(&*self.store)?;
        self.failed = found.is_none();
        Ok(found)
    }

    /// As the iterator yields it, but lent: for small frames that are looked at and not kept this is
    /// faster, since nothing has to be counted that refers to a block's memory.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proglog_store::{Options, Store};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = Store::open(directory.path().join("my.store"), &Options::new())?;
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
    /// As the iterator.
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<FrameRef<'_>>> {
        if self.failed {
            return None;
        }
        if self.store.is_closed() {
            return Some(Err(self.closed()));
        }
        let (kind, len) = match self.scanner.find_data(&*self.store)? {
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

    /// The payload of the frame that was yielded or [lent](Frames::next_ref) last, once more: for who
    /// could not hold on to it. `None` where there was none yet, at the end, and after an error.
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
            if self.store.is_closed() {
                return Some(Err(self.closed()));
            }
            let (position, kind, payload) = match self.scanner.next_kept(&*self.store)? {
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
        self.store.error_at(fault, self.scanner.position())
    }

    #[cold]
    fn closed(&mut self) -> Error {
        self.failed = true;
        self.store.closed_error()
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
