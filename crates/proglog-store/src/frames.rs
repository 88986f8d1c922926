//! Iterating over a store's data frames.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::format::Kind;
use crate::inner::Inner;
use crate::position::Position;
use crate::scan::{Fault, Scanner};

/// A data frame, verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it starts.
    pub position: Position,
    /// Where it ends (exclusive).
    pub end: Position,
    /// Whether it is the last frame of its batch.
    pub ends_batch: bool,
    /// What was appended. A slice of a block of at most 256 KiB (or of one frame, if that is
    /// longer), which it keeps in memory; [`detach`](Frame::detach) copies it out.
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

/// An iterator over the data frames of a store, made by [`Store::frames`](crate::Store::frames).
///
/// It owns what it needs and can be sent to another thread; it keeps the store open. It reads large
/// blocks and hands out slices of them. It ends after an error.
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
    /// [`Error::Io`].
    pub fn resume(&mut self) -> Result<Option<Position>> {
        let found = self.scanner.resync(&*self.store)?;
        self.failed = found.is_none();
        Ok(found)
    }

    /// Goes on to the next frame as the iterator does, for a caller that only looks at its payload, which
    /// `look` is given with its position: none of the block is kept for it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("my.store");
    /// use proglog_store::{Options, Store};
    ///
    /// let store = Store::open(path, &Options::new())?;
    /// store.append_batch(&[b"one", b"three"])?;
    /// let (mut frames, mut bytes) = (store.frames(..), 0);
    /// while let Some(len) = frames.look_at_next(|_position, payload| payload.len()) {
    ///     bytes += len?;
    /// }
    /// assert_eq!(bytes, 8);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As the iterator yields.
    #[inline]
    pub fn look_at_next<T>(
        &mut self,
        look: impl FnOnce(Position, &[u8]) -> T,
    ) -> Option<Result<T>> {
        if self.failed {
            return None;
        }
        loop {
            if self.store.is_closed() {
                return Some(Err(self.closed()));
            }
            let fault = match self.scanner.next(&*self.store)? {
                Ok(frame) if frame.kind == Kind::Control => continue,
                Ok(frame) => return Some(Ok(look(frame.position, frame.payload()))),
                Err(fault) => fault,
            };
            return Some(Err(self.fail(fault)));
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
