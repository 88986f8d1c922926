//! Sync marks: reading one, finding the newest, and the one that closed a store. Searches are to get a source that
//! reads [around](crate::scan::source::Around) what cannot be read.

use memchr::memmem;

use crate::error::Result;
use crate::format::{self, MARK_FRAME_LEN, MARK_TYPE_END};
use crate::position::{Boundary, Position};
use crate::scan::source::{BLOCK_LEN, Source};
use crate::scan::verify::{Verified, Verifier};

/// The claim of the mark that `bytes`, found at `position`, start with; `None` if it is no valid mark.
pub(crate) fn verify_mark(
    verifier: Verifier,
    bytes: &[u8],
    position: Position,
) -> Option<Boundary> {
    let header = verifier.header(bytes, bytes.len() as u64).ok()?;
    let bytes = &bytes[..header.len()];
    verifier.verify(header, bytes, position).ok()?;
    let kind = header.kind();
    let frame = Verified {
        position,
        kind,
        bytes,
    };
    frame.mark()
}

/// The largest claim of the marks in `from..end`, wherever they lie. Linear in the bytes, whatever
/// they are: it searches for the first word of a mark, and verifies 32 bytes at each.
pub(crate) fn newest_mark(
    source: &impl Source,
    verifier: Verifier,
    from: Position,
    end: Position,
) -> Result<Option<Boundary>> {
    let finder = memmem::Finder::new(&format::mark_word()).into_owned();
    let mut newest = None;
    let mut start = from;
    while start < end {
        let left = usize::try_from(end.get() - start.get()).unwrap_or(usize::MAX);
        let block = source.block(start, left.min(BLOCK_LEN))?;
        for at in finder.find_iter(&block) {
            let mark = &block[at..block.len().min(at + MARK_FRAME_LEN)];
            newest = newest.max(verify_mark(verifier, mark, start.plus(at as u64)));
        }
        if block.len() < MARK_FRAME_LEN || block.len() == left {
            break;
        }
        start = start.plus((block.len() - (MARK_FRAME_LEN - 1)) as u64);
    }
    Ok(newest)
}

/// The claim of the mark that closed the store: its last frame, followed by nothing but zeros up to
/// `file_end`, that claims all before it. It ends at or after `known`.
pub(crate) fn closing_mark(
    source: &impl Source,
    verifier: Verifier,
    known: Position,
    file_end: Position,
) -> Result<Option<Boundary>> {
    let before = |end: Position, len: usize| Position::new(end.get().saturating_sub(len as u64));
    let position = before(file_end, MARK_FRAME_LEN);
    let bytes = source.block(position, MARK_FRAME_LEN)?;
    let claim = verify_mark(verifier, &bytes, position);
    if let Some(claim) = claim.filter(|claim| claim.position == position) {
        return Ok(Some(claim));
    }
    let from = before(known, MARK_FRAME_LEN);
    let last = last_nonzero(source, from, file_end)?;
    // The end of a mark may be zeros too, down to its type.
    let first = before(last, MARK_FRAME_LEN).max(from);
    let bytes = source.block(first, 2 * MARK_FRAME_LEN)?;
    let places = last
        .get()
        .saturating_sub(first.get() + MARK_TYPE_END as u64 - 1);
    for (at, place) in (0..bytes.len()).zip(0..places) {
        let position = first.plus(place);
        let claim = verify_mark(verifier, &bytes[at..], position);
        if let Some(claim) = claim.filter(|claim| claim.position == position) {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

/// The end of the last byte in `from..end` that is not zero; `from` if there is none. Reads
/// backward from `end`, and no further than that byte.
pub(crate) fn last_nonzero(
    source: &impl Source,
    from: Position,
    end: Position,
) -> Result<Position> {
    let mut end = end;
    let mut block = Vec::new();
    while end > from {
        let left = usize::try_from(end.get() - from.get()).unwrap_or(usize::MAX);
        block.resize(left.min(BLOCK_LEN), 0);
        let start = Position::new(end.get() - block.len() as u64);
        let read = source.read(start, &mut block)?;
        let nonzero = nonzero_end(&block[..read]);
        if nonzero > 0 {
            return Ok(start.plus(nonzero as u64));
        }
        end = start;
    }
    Ok(from)
}

/// The end of the last nonzero byte; 0 if there is none.
fn nonzero_end(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    for chunk in bytes.rchunks(256) {
        if chunk.iter().fold(0, |all, byte| all | byte) != 0 {
            let last = chunk.iter().rposition(|byte| *byte != 0);
            return end - chunk.len() + last.map_or(0, |last| last + 1);
        }
        end -= chunk.len();
    }
    0
}

#[cfg(test)]
mod tests;
