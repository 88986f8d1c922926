//! Following a store that another process writes: how far its newest sync mark says that it is synced.
//!
//! Nothing is locked and nothing written. What lies below a mark's claim is on the device, and the writer
//! will never drop or change it; what lies above is walked in search of marks, and never shown. There the
//! writer may do whatever it does at any time: append, cut what a failed write left, drop what it gave up
//! and append something else, fill with zeros and cut them. So
//!
//! - a place where nothing verifies is where the walk goes on the next time: a write may be under way;
//! - before it goes on, the newest frame that was walked over must still be there. If it is not, the walk
//!   begins again at what is shown;
//! - a file whose length changed may end with a mark, which tells at once how far it is synced;
//! - if what does not verify is no zeros, marks are searched for behind it, up to where zeros begin. If it is
//!   zeros, then only where the file is longer behind it than a writer fills ahead.

use crate::error::{Error, Operation, Result};
use crate::format::{FRAME_HEADER_LEN, HEADER_LEN, MARK_FRAME_LEN};
use crate::position::{Boundary, Position};
use crate::recovery::{self, FileSource};
use crate::scan::{BLOCK_LEN, Fault, Scanner, Source, Verifier};
use crate::store::preallocation::STEP_MAX;

/// How far a file was followed.
#[derive(Debug)]
pub(crate) struct Follow {
    verifier: Verifier,
    /// The largest claim of a mark.
    shown: Boundary,
    /// All from `shown` up to here verified when it was walked over.
    walked: Position,
    /// The frame that ends at `walked`, if there is one above `shown`: where it is, and its header.
    last: Option<(Position, [u8; FRAME_HEADER_LEN])>,
    /// Where the file ended the last time.
    file_end: Position,
    /// Where the file ended when marks were last searched for behind zeros.
    searched_end: Position,
}

impl Follow {
    /// Follows from `known` on, which is synced.
    pub(crate) fn new(verifier: Verifier, known: Boundary) -> Self {
        Self {
            verifier,
            shown: known,
            walked: known.position,
            last: None,
            file_end: Position::ZERO,
            searched_end: Position::ZERO,
        }
    }

    /// Looks for newer marks, and returns what the newest one claims.
    pub(crate) fn refresh(&mut self, source: FileSource<'_>) -> Result<Boundary> {
        let len = source
            .file
            .len()
            .map_err(|error| Error::io(Operation::Length, source.name, error))?;
        let file_end = Position::new(len.saturating_sub(HEADER_LEN));
        if file_end < self.shown.position {
            return Err(Error::Truncated {
                file: source.name.clone(),
                end: file_end,
                expected: self.shown.position,
            });
        }
        if file_end != self.file_end {
            self.read_ending(source, file_end)?;
            self.file_end = file_end;
        }
        if !self.last_is_there(source)? {
            self.restart();
        }
        while self.walk(source)? {}
        Ok(self.shown)
    }

    /// Takes the claim of a mark that ends the file.
    fn read_ending(&mut self, source: FileSource<'_>, file_end: Position) -> Result<()> {
        let mark_len = MARK_FRAME_LEN as u64;
        let Some(position) = file_end.get().checked_sub(mark_len).map(Position::new) else {
            return Ok(());
        };
        let bytes = source.block(position, MARK_FRAME_LEN)?;
        if let Some(claim) = recovery::verify_mark(self.verifier, &bytes, position) {
            self.show(claim);
        }
        Ok(())
    }

    fn show(&mut self, claim: Boundary) {
        if claim > self.shown {
            self.shown = claim;
            if claim.position > self.walked {
                self.restart();
            }
        }
    }

    fn restart(&mut self) {
        (self.walked, self.last) = (self.shown.position, None);
    }

    fn last_is_there(&self, source: FileSource<'_>) -> Result<bool> {
        match self.last {
            Some((position, header)) => {
                Ok(self.walked <= self.file_end
                    && source.block(position, FRAME_HEADER_LEN)? == header)
            }
            None => Ok(true),
        }
    }

    /// Walks on as far as there is something that verifies. Returns whether a mark was found behind what
    /// does not, and there is a way on.
    fn walk(&mut self, source: FileSource<'_>) -> Result<bool> {
        let header = source.block(self.walked, FRAME_HEADER_LEN)?;
        if header.iter().all(|byte| *byte == 0) {
            return self.search_behind_zeros(source);
        }
        let mut scanner = Scanner::new(self.verifier, self.walked, self.file_end);
        while let Some(frame) = scanner.next(&source) {
            match frame {
                Ok(frame) => {
                    self.walked = frame.end();
                    self.last = Some((frame.position, frame.header()));
                    if let Some(claim) = frame.mark() {
                        self.show(claim);
                    }
                }
                Err(Fault::Read(error)) => return Err(*error),
                Err(Fault::Invalid { word: 0, .. }) => return self.search_behind_zeros(source),
                Err(_) => {
                    let end = self.zeros_start(source)?;
                    return self.search(source, end);
                }
            }
        }
        Ok(false)
    }

    /// Zeros are most likely what the writer filled ahead, and cost nothing then.
    fn search_behind_zeros(&mut self, source: FileSource<'_>) -> Result<bool> {
        let filled_max = self.walked.plus(STEP_MAX + BLOCK_LEN as u64);
        if self.file_end <= filled_max || self.file_end == self.searched_end {
            return Ok(false);
        }
        self.searched_end = self.file_end;
        self.search(source, self.file_end)
    }

    /// Searches for marks up to `end` that claim more than the place where nothing verifies.
    fn search(&mut self, source: FileSource<'_>, end: Position) -> Result<bool> {
        let claim = recovery::newest_mark(source, self.verifier, self.walked, end)?;
        let Some(claim) = claim.filter(|claim| claim.position > self.walked) else {
            return Ok(false);
        };
        self.show(claim);
        Ok(true)
    }

    /// Where the first block behind `walked` starts that is all zeros.
    fn zeros_start(&self, source: FileSource<'_>) -> Result<Position> {
        let mut position = self.walked;
        let mut block = vec![0; BLOCK_LEN];
        while position < self.file_end {
            let read = source.read(position, &mut block)?;
            if block[..read].iter().fold(0, |all, byte| all | byte) == 0 {
                break;
            }
            position = position.plus(read as u64);
        }
        Ok(position.min(self.file_end))
    }
}
