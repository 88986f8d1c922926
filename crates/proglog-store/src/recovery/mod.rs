//! Opening: where the data ends, what of it is known to be durable, and what was left unfinished.
//!
//! The recovery point is the newest sync mark, or what the owner knows, whichever is larger. Frames
//! are walked and verified from what the owner knows. At the first place that does not verify, the
//! rest of the file is searched for marks. If one claims more than that place, the place is
//! *corrupt*: it was on the device and is damaged, so it stays for reads to report, and the walk
//! goes on behind it. If none does, the place is the *torn* end of an unfinished write, and the data
//! ends with the last whole batch before it.
//!
//! Then, before the store is shown:
//!
//! 1. what is torn is copied to a file of its own, which is synced with its name;
//! 2. what is torn is overwritten with zeros, that is synced, and the file is cut;
//! 3. what lies above the recovery point is written [again], same bytes: an earlier process
//!    may have seen its sync fail, after which the kernel shows pages that the device does not have
//!    (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
//!
//! A crash at any point leaves a file on which this can run again.

pub(crate) mod doublewrite;
mod quarantine;

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use crate::error::{Error, Operation, Result};
use crate::format::{self, FRAME_HEADER_LEN, HEADER_LEN, Kind, MARK_FRAME_LEN, MARK_TYPE_END};
use crate::io::{Directory, Storage};
use crate::options::Options;
use crate::position::{Boundary, Position};
use crate::scan::{BLOCK_LEN, Fault, Scanner, Source, Verified, Verifier};

/// What opening a store found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The end of the data.
    pub end: Boundary,
    /// What was known to be on the device before recovery; all below `end` is now.
    pub recovery_point: Boundary,
    /// Whether the data ends with a mark that all before it was synced, and nothing but zeros lay behind
    /// it: the store was closed, or [marked](crate::Store::mark) when it was idle. A store without data
    /// is clean too.
    pub clean: bool,
    /// The first place below the recovery point that was found damaged. Only what was scanned
    /// counts: damage elsewhere shows when it is read.
    pub damaged: Option<Position>,
    /// What lay above the recovery point and is not a whole batch. It was most likely never synced:
    /// the end of an unfinished write. Only if what was synced last, with no mark behind it yet, was
    /// damaged afterwards, can it be more than that: nothing in the file can tell the two apart.
    pub set_aside: Option<SetAside>,
    /// How many bytes of zeros were cut from the end of the file, behind the data and behind what was
    /// set aside: space that was made ready for appends, or what a file system leaves after a crash.
    /// They hold nothing, so they are counted and not kept.
    pub zeros_cut: u64,
    /// Whether one copy of the header was damaged and was restored from the other.
    pub header_restored: bool,
    /// How many bytes of frames were read and verified.
    pub bytes_scanned: u64,
}

impl Recovery {
    /// What opening a store only to read it tells: nothing had to be done.
    pub(crate) fn of_sealed(end: Boundary) -> Self {
        Self {
            end,
            recovery_point: end,
            clean: true,
            damaged: None,
            set_aside: None,
            zeros_cut: 0,
            header_restored: false,
            bytes_scanned: 0,
        }
    }
}

/// The bytes that recovery dropped, kept in a file beside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// The name of the file that holds them, in the store's directory.
    pub file: String,
    /// Where they lay.
    pub position: Position,
    /// How many there are; zeros at the end are not kept.
    pub bytes: u64,
}

/// A file as a source of frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSource<'a> {
    pub(crate) file: &'a dyn Storage,
    pub(crate) name: &'a Arc<str>,
}

impl Source for FileSource<'_> {
    fn read(&self, position: Position, buffer: &mut [u8]) -> Result<usize> {
        self.file
            .read_full_at(buffer, HEADER_LEN.saturating_add(position.get()))
            .map_err(|error| Error::io(Operation::Read, self.name, error))
    }
}

/// What a walk over a file found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    recovery_point: Boundary,
    /// The end of the last whole batch.
    end: Boundary,
    /// The end of the file.
    file_end: Position,
    /// Whether the data ends with a closing mark.
    closed: bool,
    damaged: Option<Position>,
    bytes_scanned: u64,
}

/// Recovers the locked file and tells what was found and done.
pub(crate) fn recover(
    directory: &dyn Directory,
    source: FileSource<'_>,
    verifier: Verifier,
    options: &Options,
) -> Result<Recovery> {
    doublewrite::finish(directory, source, verifier.salt)?;
    let found = find_end(source, verifier, options.known_synced)?;
    let torn = torn(source, &found)?;
    let set_aside = mend(
        directory,
        source,
        &found,
        &torn,
        verifier.salt,
        options.set_aside_files_max,
    )?;
    Ok(Recovery {
        end: found.end,
        recovery_point: found.recovery_point,
        clean: found.closed || found.file_end == Position::ZERO,
        damaged: found.damaged,
        set_aside,
        zeros_cut: found.file_end.get() - torn.end.get(),
        header_restored: false,
        bytes_scanned: found.bytes_scanned,
    })
}

fn find_end(source: FileSource<'_>, verifier: Verifier, known: Boundary) -> Result<Found> {
    let file_len = source
        .file
        .len()
        .map_err(|error| Error::io(Operation::Length, source.name, error))?;
    let file_end = Position::new(file_len.saturating_sub(HEADER_LEN));
    if file_end < known.position {
        let file = Arc::clone(source.name);
        return Err(Error::Truncated {
            file,
            end: file_end,
            expected: known.position,
        });
    }
    if let Some(claim) = closing_mark(source, verifier, known.position, file_end)? {
        return Ok(Found {
            recovery_point: known.max(claim),
            end: Boundary {
                position: claim.position.plus(MARK_FRAME_LEN as u64),
                frames: claim.frames,
            },
            file_end,
            closed: true,
            damaged: None,
            bytes_scanned: MARK_FRAME_LEN as u64,
        });
    }
    let mut scanner = Scanner::new(verifier, known.position, file_end);
    let mut walk = Walk {
        recovery_point: known,
        end: known,
        frames: known.frames,
        damaged: None,
    };
    walk.run(&mut scanner, source, verifier, file_end)?;
    Ok(Found {
        recovery_point: walk.recovery_point,
        end: walk.end,
        file_end,
        closed: false,
        damaged: walk.damaged,
        bytes_scanned: scanner.position().get() - known.position.get(),
    })
}

/// What the last frame of the file claims, if it is a mark that closed the store. Only zeros may lie
/// behind it, and it ends at or after `known`.
fn closing_mark(
    source: FileSource<'_>,
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
    let last = last_nonzero_before(source, from, file_end)?;
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

/// What the mark claims that `bytes` start with and that is at `position`; `None` if it is none.
pub(crate) fn verify_mark(
    verifier: Verifier,
    bytes: &[u8],
    position: Position,
) -> Option<Boundary> {
    let header = verifier.header(bytes, bytes.len() as u64).ok()?;
    let frame = &bytes[..header.len()];
    verifier.verify(header, frame, position).ok()?;
    let payload = &frame[FRAME_HEADER_LEN..];
    (header.kind() == Kind::Control)
        .then(|| format::decode_mark(payload, position))
        .flatten()
}

/// What a walk from frame to frame has found so far.
struct Walk {
    recovery_point: Boundary,
    /// The end of the last whole batch.
    end: Boundary,
    /// Data frames below the scanner's position.
    frames: u64,
    damaged: Option<Position>,
}

impl Walk {
    fn run(
        &mut self,
        scanner: &mut Scanner,
        source: FileSource<'_>,
        verifier: Verifier,
        end: Position,
    ) -> Result<()> {
        while let Some(frame) = scanner.next(&source) {
            match frame {
                Ok(frame) => self.step(frame),
                Err(Fault::Read(error)) => return Err(*error),
                Err(_) => {
                    let place = scanner.position();
                    match newest_mark(source, verifier, place, end)? {
                        Some(claim) if claim.position > place => {
                            self.step_over(place, claim);
                            scanner.seek(claim.position);
                        }
                        _ => return Ok(()),
                    }
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, frame: Verified<'_>) {
        self.frames += u64::from(frame.kind != Kind::Control);
        if frame.kind != Kind::BatchGoesOn {
            self.end = Boundary {
                position: frame.end(),
                frames: self.frames,
            };
        }
        if let Some(claim) = frame.mark() {
            self.recovery_point = self.recovery_point.max(claim);
        }
    }

    /// `place` is damaged, and a later mark claims that it was on the device.
    fn step_over(&mut self, place: Position, claim: Boundary) {
        self.damaged.get_or_insert(place);
        self.recovery_point = claim;
        self.end = claim;
        self.frames = claim.frames;
    }
}

/// The largest claim of the marks in `from..end`, wherever they lie. Linear in the bytes, whatever
/// they are: the first word of a mark is searched for, and only 32 bytes are verified at each.
pub(crate) fn newest_mark(
    source: FileSource<'_>,
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

/// What lies behind the data, without the zeros at its end.
fn torn(source: FileSource<'_>, found: &Found) -> Result<Range<Position>> {
    if found.closed {
        return Ok(found.end.position..found.end.position);
    }
    let end = last_nonzero(source, found.end.position, found.file_end)?;
    Ok(found.end.position..end)
}

/// Makes the file what `found` says of it, without what is `torn`, all of it durable.
fn mend(
    directory: &dyn Directory,
    source: FileSource<'_>,
    found: &Found,
    torn: &Range<Position>,
    salt: u64,
    set_aside_files_max: usize,
) -> Result<Option<SetAside>> {
    let FileSource { file, name } = source;
    let set_aside = if torn.is_empty() {
        None
    } else {
        Some(quarantine::copy(
            directory,
            source,
            torn.clone(),
            set_aside_files_max,
        )?)
    };
    clear(source, torn.clone())?;
    let sync_failed = |error| Error::SyncFailed {
        file: Arc::clone(name),
        source: Arc::new(error),
    };
    if !torn.is_empty() {
        file.sync_data().map_err(sync_failed)?;
    }
    if found.end.position < found.file_end {
        file.set_len(HEADER_LEN + found.end.position.get())
            .map_err(|error| Error::io(Operation::SetLength, name, error))?;
        file.sync_all().map_err(sync_failed)?;
    }
    let unsure = found.recovery_point.position..found.end.position;
    let is_mark = found.closed && unsure.end == unsure.start.plus(MARK_FRAME_LEN as u64);
    if is_mark {
        doublewrite::write_mark_again(source, &unsure)?;
    } else if !unsure.is_empty() {
        doublewrite::write_again(directory, source, &unsure, salt)?;
    }
    doublewrite::forget(directory, name)?;
    Ok(set_aside)
}

/// Writes zeros over `range`.
fn clear(source: FileSource<'_>, range: Range<Position>) -> Result<()> {
    for_each_block(source, range, |position, block| {
        source
            .file
            .write_all_at(&vec![0; block.len()], HEADER_LEN + position.get())
            .map_err(|error| Error::io(Operation::Write, source.name, error))
    })
}

/// Where the last byte of `from..end` that is not zero ends; `from` if there is none.
fn last_nonzero(source: FileSource<'_>, from: Position, end: Position) -> Result<Position> {
    let mut last = from;
    for_each_block(source, from..end, |position, block| {
        let end = nonzero_end(block);
        if end > 0 {
            last = position.plus(end as u64);
        }
        Ok(())
    })?;
    Ok(last)
}

/// As [`last_nonzero`], but reads from the end on, and no more than it takes.
fn last_nonzero_before(source: FileSource<'_>, from: Position, end: Position) -> Result<Position> {
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

/// Where the last byte that is not zero ends; 0 if there is none.
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

pub(crate) fn for_each_block(
    source: FileSource<'_>,
    range: Range<Position>,
    mut visit: impl FnMut(Position, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut position = range.start;
    let mut block = Vec::new();
    while position < range.end {
        let left = usize::try_from(range.end.get() - position.get()).unwrap_or(usize::MAX);
        block.resize(left.min(BLOCK_LEN), 0);
        let read = source.read(position, &mut block)?;
        if read == 0 {
            break;
        }
        visit(position, &block[..read])?;
        position = position.plus(read as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
