//! Search for the end of the data. Reads the file and changes nothing.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{Kind, MARK_FRAME_LEN};
use crate::io::named_file::NamedFile;
use crate::position::{Boundary, Position};
use crate::scan::Scanner;
use crate::scan::marks::{closing_mark, last_nonzero, newest_mark};
use crate::scan::source::Around;
use crate::scan::verify::{Fault, Verified, Verifier};

/// The state of a store's file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The boundary that the caller knows, or the largest claim of a mark.
    pub(crate) recovery_point: Boundary,
    /// The end of the last whole batch.
    pub(crate) end: Boundary,
    /// The bytes after the data, without the zeros at their end.
    pub(crate) torn: Range<Position>,
    /// The end of the file.
    pub(crate) file_end: Position,
    /// True if the data ends with a closing mark.
    pub(crate) closed: bool,
    /// The first position that is damaged.
    pub(crate) damaged: Option<Position>,
    pub(crate) bytes_scanned: u64,
}

/// Finds the end of the data. Everything below `known` is taken to be synced, and is not read. Fails with
/// [`Error::EndUnreadable`] unless all that was read after the end could be: a frame or a mark may be where it could not.
pub(crate) fn find_end(file: &NamedFile, verifier: Verifier, known: Boundary) -> Result<Found> {
    let file_end = file.end()?;
    if file_end < known.position {
        return Err(Error::Truncated {
            file: Arc::clone(file.name()),
            end: file_end,
            expected: known.position,
        });
    }
    // What cannot be read is taken for neither a mark nor zeros.
    let around = Around::new(file, u8::MAX);
    if let Some(claim) = closing_mark(&around, verifier, known.position, file_end)? {
        let end = claim.position.plus(MARK_FRAME_LEN as u64);
        return Ok(Found {
            recovery_point: known.max(claim),
            end: Boundary {
                position: end,
                frames: claim.frames,
            },
            torn: end..end,
            file_end,
            closed: true,
            damaged: None,
            bytes_scanned: MARK_FRAME_LEN as u64,
        });
    }
    let mut scanner = Scanner::new(verifier, known.position, file_end);
    let mut scan = Scan {
        recovery_point: known,
        end: known,
        frames: known.frames,
        damaged: None,
    };
    scan.run(&mut scanner, file, &around, verifier, file_end)?;
    let end = scan.end.position;
    let torn = end..last_nonzero(&around, end, file_end)?;
    if end < file_end
        && let Some(error) = around.error_after(end)
    {
        return Err(error.of_end());
    }
    Ok(Found {
        recovery_point: scan.recovery_point,
        end: scan.end,
        torn,
        file_end,
        closed: false,
        damaged: scan.damaged,
        bytes_scanned: scanner.position().get() - known.position.get(),
    })
}

/// The state of a scan that steps over damage below the claim of a later mark.
struct Scan {
    recovery_point: Boundary,
    /// The end of the last whole batch.
    end: Boundary,
    /// Data frames below the scanner's position.
    frames: u64,
    damaged: Option<Position>,
}

impl Scan {
    fn run(
        &mut self,
        scanner: &mut Scanner,
        file: &NamedFile,
        around: &Around<'_, NamedFile>,
        verifier: Verifier,
        file_end: Position,
    ) -> Result<()> {
        while let Some(frame) = scanner.next(file) {
            match frame {
                Ok(frame) => self.step(frame),
                Err(Fault::Read(error)) => return Err(*error),
                Err(fault) => {
                    let position = scanner.position();
                    match newest_mark(around, verifier, position, file_end)? {
                        Some(claim) if claim.position > position => {
                            self.step_over(position, claim);
                            scanner.seek(claim.position);
                        }
                        _ => {
                            return match fault {
                                Fault::Unreadable(error) => Err(error.of_end()),
                                _ => Ok(()),
                            };
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, frame: Verified<'_>) {
        self.frames += u64::from(frame.kind != Kind::Control);
        if frame.kind != Kind::BatchContinues {
            self.end = Boundary {
                position: frame.end(),
                frames: self.frames,
            };
        }
        if let Some(claim) = frame.mark() {
            self.recovery_point = self.recovery_point.max(claim);
        }
    }

    /// Continues at `claim`, of a mark beyond `position`, which is damaged.
    fn step_over(&mut self, position: Position, claim: Boundary) {
        self.damaged.get_or_insert(position);
        self.recovery_point = claim;
        self.end = claim;
        self.frames = claim.frames;
    }
}
