//! The durable end of a store that another process writes: the claim of its newest sync mark.
//!
//! Nothing is locked and nothing is written. What lies below the claim of a mark is on the device, and the
//! writer neither drops nor changes it, except when its log erases records at the end; a reader then opens the
//! store again. What lies above is scanned for marks, and never shown. There the writer may do anything at any
//! time: append, remove what a failed write left, drop appends and append others, preallocate zeros and remove
//! them. Therefore
//!
//! - a position at which nothing verifies is where the scan continues the next time: a write may be under way;
//! - before it continues, the newest frame that was scanned must still be there. If it is not, the scan
//!   starts again at the end of what is shown;
//! - a file whose length changed may end with a mark, which claims at once all that is synced;
//! - if what does not verify is not zeros, it is searched for marks, up to where zeros begin. If it is zeros,
//!   only if the file is longer from there on than a writer preallocates.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{FRAME_HEADER_LEN, MARK_FRAME_LEN};
use crate::io::named_file::NamedFile;
use crate::position::{Boundary, Position};
use crate::scan::Scanner;
use crate::scan::marks::{newest_mark, verify_mark};
use crate::scan::source::{Around, BLOCK_LEN, Source};
use crate::scan::verify::{Fault, Verifier};
use crate::store::preallocation::STEP_MAX;

/// Sign that a refresh of a store that is [followed](crate::segment::open_following) may find something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// There is something after the newest frame that was seen, where the next write goes. Comes with every append.
    Appended,
    /// The newest frame that was seen is no longer there: appends were dropped, and others may have taken their place.
    Replaced,
    /// The length of the file has changed: by an append, or by zeros that are written ahead or removed.
    Length,
}

/// A scan for marks that continues from call to call.
#[derive(Debug)]
pub(crate) struct DurableEnd {
    verifier: Verifier,
    /// The largest claim of a mark: the end of what is shown.
    shown: Boundary,
    /// The end of the frames above `shown` that verified when they were scanned.
    scanned: Position,
    /// The position and the header of the frame that ends at `scanned`, if it lies above `shown`.
    last: Option<(Position, [u8; FRAME_HEADER_LEN])>,
    /// The end of the file at the last refresh.
    file_end: Position,
    /// The end of the file when zeros were last searched for marks after them.
    searched_end: Position,
}

impl DurableEnd {
    /// Starts at `known`, below which everything is synced.
    pub(crate) fn new(verifier: Verifier, known: Boundary) -> Self {
        Self {
            verifier,
            shown: known,
            scanned: known.position,
            last: None,
            file_end: Position::ZERO,
            searched_end: Position::ZERO,
        }
    }

    /// Returns whether a refresh may find anything new by this sign, which takes one read or less.
    pub(crate) fn has_changed(&self, file: &NamedFile, sign: Sign) -> Result<bool> {
        Ok(match sign {
            Sign::Appended => {
                let next = around(file).block(self.scanned, FRAME_HEADER_LEN)?;
                next.iter().any(|byte| *byte != 0)
            }
            Sign::Replaced => !self.last_is_there(file)?,
            Sign::Length => file.end()? != self.file_end,
        })
    }

    /// Searches for newer marks, and returns the claim of the newest.
    pub(crate) fn refresh(&mut self, file: &NamedFile) -> Result<Boundary> {
        let file_end = file.end()?;
        if file_end < self.shown.position {
            return Err(Error::Truncated {
                file: Arc::clone(file.name()),
                end: file_end,
                expected: self.shown.position,
            });
        }
        if file_end != self.file_end {
            self.read_last_mark(file, file_end)?;
            self.file_end = file_end;
        }
        if !self.last_is_there(file)? {
            self.restart();
        }
        while self.scan(file)? {}
        Ok(self.shown)
    }

    /// Shows what a mark at the end of the file claims.
    fn read_last_mark(&mut self, file: &NamedFile, file_end: Position) -> Result<()> {
        let mark_len = MARK_FRAME_LEN as u64;
        let Some(position) = file_end.get().checked_sub(mark_len).map(Position::new) else {
            return Ok(());
        };
        let bytes = around(file).block(position, MARK_FRAME_LEN)?;
        if let Some(claim) = verify_mark(self.verifier, &bytes, position) {
            self.show(claim);
        }
        Ok(())
    }

    fn show(&mut self, claim: Boundary) {
        if claim > self.shown {
            self.shown = claim;
            if claim.position > self.scanned {
                self.restart();
            }
        }
    }

    fn restart(&mut self) {
        (self.scanned, self.last) = (self.shown.position, None);
    }

    fn last_is_there(&self, file: &NamedFile) -> Result<bool> {
        match self.last {
            Some((position, header)) => Ok(self.scanned <= self.file_end
                && around(file).block(position, FRAME_HEADER_LEN)? == header),
            None => Ok(true),
        }
    }

    /// Scans as long as frames verify. Returns whether a mark was found after what does not, at whose claim
    /// the scan can continue.
    fn scan(&mut self, file: &NamedFile) -> Result<bool> {
        let header = around(file).block(self.scanned, FRAME_HEADER_LEN)?;
        if header.iter().all(|byte| *byte == 0) {
            return self.search_after_zeros(file);
        }
        let mut scanner = Scanner::new(self.verifier, self.scanned, self.file_end);
        while let Some(frame) = scanner.next(file) {
            match frame {
                Ok(frame) => {
                    self.scanned = frame.end();
                    self.last = Some((frame.position, frame.header()));
                    if let Some(claim) = frame.mark() {
                        self.show(claim);
                    }
                }
                Err(Fault::Read(error)) => return Err(*error),
                Err(Fault::Invalid { word: 0, .. }) => return self.search_after_zeros(file),
                Err(_) => {
                    let end = self.zeros_start(file)?;
                    return self.search(file, end);
                }
            }
        }
        Ok(false)
    }

    /// Zeros are most likely preallocated, and then cost nothing.
    fn search_after_zeros(&mut self, file: &NamedFile) -> Result<bool> {
        let preallocated_max = self.scanned.plus(STEP_MAX + BLOCK_LEN as u64);
        if self.file_end <= preallocated_max || self.file_end == self.searched_end {
            return Ok(false);
        }
        self.searched_end = self.file_end;
        self.search(file, self.file_end)
    }

    /// Searches for marks up to `end` that claim more than the position at which nothing verifies.
    fn search(&mut self, file: &NamedFile, end: Position) -> Result<bool> {
        let claim = newest_mark(&around(file), self.verifier, self.scanned, end)?;
        let Some(claim) = claim.filter(|claim| claim.position > self.scanned) else {
            return Ok(false);
        };
        self.show(claim);
        Ok(true)
    }

    /// The start of the first block after `scanned` that is all zeros.
    fn zeros_start(&self, file: &NamedFile) -> Result<Position> {
        let mut position = self.scanned;
        let mut block = vec![0; BLOCK_LEN];
        while position < self.file_end {
            let read = around(file).read(position, &mut block)?;
            if block[..read].iter().fold(0, |all, byte| all | byte) == 0 {
                break;
            }
            position = position.plus(read as u64);
        }
        Ok(position.min(self.file_end))
    }
}

/// The file, in which what cannot be read is taken for neither a frame nor zeros.
fn around(file: &NamedFile) -> Around<'_, NamedFile> {
    Around::new(file, u8::MAX)
}
