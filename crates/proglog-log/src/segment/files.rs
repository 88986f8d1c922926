//! The files of a segment: one store of records, and its index.
//!
//! The index is a cache: what it says is compared with the record found there, and where they do not
//! agree the store is walked.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use proglog_store::{Boundary, FRAME_OVERHEAD, Frame, Frames, Operation, Outcome, Position, Store};

use crate::error::{Error, ErrorKind, Result};
use crate::layout::names;
use crate::offset::Offset;
use crate::record::Record;
use crate::record::decode;
use crate::segment::Segment;
use crate::segment::damaged_ranges::Damage;
use crate::segment::index::{self, Entry, Index, PAGE_ENTRIES};

/// How many of the newest records are asked when the newest of all was appended.
const LAST_RECORDS: u64 = 1000;

/// What a read fetches when the index does not know where the record ends.
const READ_GUESS: u64 = 4 << 10;

/// The files of a segment.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    base: Offset,
    file: Arc<str>,
    pub(crate) store: Store,
    pub(crate) index: Index,
    /// Records that the store itself was searched for and does not have.
    damage: Damage,
}

impl OpenSegment {
    pub(crate) fn new(segment: &Segment, store: Store, pages_in_file: u64) -> Self {
        let base = segment.base();
        let index = Index::new(
            Arc::clone(segment.directory()),
            names::index(base),
            segment.id(),
            store.salt(),
            pages_in_file,
        );
        Self {
            base,
            file: names::store(base).into(),
            store,
            index,
            damage: Damage::new(),
        }
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// Reads the record at `offset`, which this segment has.
    pub(crate) fn read(&self, offset: Offset) -> Result<Record> {
        let number = offset.since(self.base);
        if let Some(entry) = self.index.entry(number) {
            match self.read_entry(entry, offset) {
                Err(error)
                    if error.kind() == ErrorKind::Corrupt && self.damage.of(number).is_none() => {}
                read => return read,
            }
        }
        // Either the record is damaged or the index is wrong: the store tells.
        self.read_entry(self.locate(number)?, offset)
    }

    /// As [`OpenSegment::read`], but takes the index at its word: a single read, also where much is
    /// damaged.
    pub(crate) fn read_as_indexed(&self, offset: Offset) -> Result<Record> {
        match self.index.entry(offset.since(self.base)) {
            Some(entry) => self.read_entry(entry, offset),
            None => Err(self.corrupt(offset, self.store.end().position, None)),
        }
    }

    /// When the newest record of this segment, which ends at `end`, was appended. A damaged record
    /// cannot tell, so then the one before is asked. `None` if none of the newest can be read.
    pub(crate) fn newest_appended_at(&self, end: Offset) -> Result<Option<i64>> {
        let first = end.get().saturating_sub(LAST_RECORDS).max(self.base.get());
        for offset in (first..end.get()).rev() {
            match self.read_as_indexed(Offset::new(offset)) {
                Ok(record) => return Ok(Some(record.appended_at)),
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn read_entry(&self, entry: Entry, offset: Offset) -> Result<Record> {
        let Entry { position, next } = entry;
        let len = next.map_or(READ_GUESS, |next| next.get().saturating_sub(position.get()));
        let payload_len_max = u64::from(self.store.payload_len_max());
        let guess =
            usize::try_from(len.min(payload_len_max + FRAME_OVERHEAD)).unwrap_or(usize::MAX);
        let payload = self
            .store
            .read_guessing(position, guess)
            .map_err(|error| self.corrupt_at(offset, position, error))?;
        self.decode(payload, offset, position)
    }

    /// The record in `payload`, which must have this offset.
    #[inline]
    pub(crate) fn decode(
        &self,
        payload: Bytes,
        offset: Offset,
        position: Position,
    ) -> Result<Record> {
        match decode::record(payload) {
            Ok(record) if record.offset == offset.get() => Ok(record),
            _ => Err(self.corrupt(offset, position, None)),
        }
    }

    /// The frames of the records at `offsets`, or, if `bytes_max` is given, of those first of them
    /// that the index knows to take no more bytes, but at least of one. `end` is a place that is not
    /// to be read beyond. Returns the offset behind the last of them, too.
    pub(crate) fn run(
        &self,
        offsets: Range<Offset>,
        end: Option<Position>,
        bytes_max: Option<usize>,
    ) -> Result<(Offset, Frames)> {
        let Range { start, end: last } = offsets;
        let number = start.since(self.base);
        if self.damage.of(number).is_some() {
            // Tells of it with a small read, where a run would fetch a block.
            self.read(start)?;
        }
        let entry = match self.index.entry(number) {
            Some(entry) => entry,
            None => self.locate(number)?,
        };
        let end = end.unwrap_or(Position::new(u64::MAX));
        let limited = bytes_max.and_then(|bytes| {
            self.index
                .limit(number..last.since(self.base), bytes as u64)
        });
        let (count, end) = match limited {
            Some((count, limit)) => (count, end.min(limit)),
            None => (last.since(start), end),
        };
        Ok((start.plus(count), self.store.frames(entry.position..end)))
    }

    /// The boundary before the record at `offset`, which this segment has: where a log can be cut.
    pub(crate) fn boundary_before(&self, offset: Offset) -> Result<Boundary> {
        let number = offset.since(self.base);
        let entry = match self.index.entry(number) {
            // Only a record found there shows that the index is right.
            Some(entry) if self.read_entry(entry, offset).is_ok() => entry,
            _ => self.locate(number)?,
        };
        Ok(Boundary {
            position: entry.position,
            frames: number,
        })
    }

    /// Finds record `number` by walking over the store, and restores its page of the index.
    fn locate(&self, number: u64) -> Result<Entry> {
        let (page, at) = index::place(number);
        let first = page * PAGE_ENTRIES as u64;
        let mut entries = Vec::new();
        let (from, start) = match (self.anchor(first), self.damage.of(number)) {
            (Some(anchor), _) => anchor,
            // A walk from further off would find no more than the one did that has missed it.
            (None, Some((_, position))) if position < self.store.end().position => {
                return Ok(Entry {
                    position,
                    next: None,
                });
            }
            (None, Some(_)) => return Err(self.not_found(number)),
            (None, None) => self.far_anchor(first),
        };
        self.walk(
            from,
            start..first + PAGE_ENTRIES as u64,
            |number, position| {
                if number >= first {
                    entries.extend(u32::try_from(position.get()));
                }
            },
        )?;
        self.index.restore_page(page, &entries);
        Entry::of(&entries, at).ok_or_else(|| self.not_found(number))
    }

    /// No record, nor any damage, is where record `number` should be.
    fn not_found(&self, number: u64) -> Error {
        self.corrupt(self.base.plus(number), self.store.end().position, None)
    }

    /// Where a walk to record `number` may start, and the number of the record there: the record
    /// before, if the index finds it. The segment's first record is where the segment starts.
    fn anchor(&self, number: u64) -> Option<(Position, u64)> {
        let Some(before) = number.checked_sub(1) else {
            return Some((Position::ZERO, 0));
        };
        let entry = self.index.entry(before)?;
        self.read_entry(entry, self.base.plus(before)).ok()?;
        Some((entry.position, before))
    }

    /// As [`OpenSegment::anchor`], where the record before is not found: the one before the damage that
    /// took it, or else the segment's first.
    fn far_anchor(&self, number: u64) -> (Position, u64) {
        let damaged = self.damage.of(number.saturating_sub(1));
        let before = damaged.and_then(|(numbers, _)| self.anchor(numbers.start));
        before.unwrap_or((Position::ZERO, 0))
    }

    /// Walks over the store from `from`, where record `numbers.start` is, and visits the position of
    /// each record of `numbers`. A record that is not found, because it was damaged, is visited with
    /// the place where it must have been; it is remembered, with all others that are missing there,
    /// also beyond `numbers`.
    fn walk(
        &self,
        from: Position,
        numbers: Range<u64>,
        mut visit: impl FnMut(u64, Position),
    ) -> Result<()> {
        let end = self.store.end();
        let mut frames = self.store.frames(from..end.position);
        let mut next = numbers.start;
        let mut damage = None;
        while next < numbers.end {
            match frames.next() {
                Some(Ok(frame)) => match self.number(&frame) {
                    Some(number) if number >= next => {
                        let missing = damage.take().unwrap_or(frame.position);
                        self.damage.note(next..number, missing);
                        (next..number.min(numbers.end)).for_each(|number| visit(number, missing));
                        if number >= numbers.end {
                            return Ok(());
                        }
                        visit(number, frame.position);
                        next = number + 1;
                    }
                    _ => drop(damage.get_or_insert(frame.position)),
                },
                Some(Err(error @ proglog_store::Error::Io { .. })) => return Err(error.into()),
                Some(Err(_)) => {
                    damage.get_or_insert(frames.position());
                    if frames.resume()?.is_none() {
                        break;
                    }
                }
                None => break,
            }
        }
        // Nothing beyond this place tells how many there should be; a sealed store counts none.
        if next < numbers.end {
            let count = if end.frames == 0 {
                u64::MAX
            } else {
                end.frames
            };
            self.damage
                .note(next..count, damage.unwrap_or(end.position));
        }
        if let Some(damage) = damage {
            (next..numbers.end).for_each(|number| visit(number, damage));
        }
        Ok(())
    }

    fn number(&self, frame: &Frame) -> Option<u64> {
        let (offset, _) = decode::offset_and_size(&frame.payload).ok()?;
        offset.checked_sub(self.base.get())
    }

    /// Brings the index of the active segment, which has `count` records, up to date. Returns
    /// whether it had to be made again as a whole.
    pub(crate) fn recover_index(&mut self, segment: &Segment, count: u64) -> Result<bool> {
        let (full_pages, tail) = index::place(count);
        if self.store.recovery().clean
            && let Some(page) = self.index.page(full_pages)
            && page.len() == tail
        {
            page.iter()
                .for_each(|entry| self.index.push(Position::new((*entry).into())));
            return Ok(false);
        }
        let first = full_pages * PAGE_ENTRIES as u64;
        let Some((from, start)) = self.anchor(first) else {
            self.rebuild_index(segment, count)?;
            return Ok(true);
        };
        self.walk(from, start..count, |number, position| {
            if number >= first {
                self.index.push(position);
            }
        })?;
        self.fill_index(count);
        Ok(false)
    }

    /// Makes the index of this segment, which has `count` records, again.
    pub(crate) fn rebuild_index(&mut self, segment: &Segment, count: u64) -> Result<()> {
        let end = self.store.end().position;
        // Each record takes more than a frame's header.
        if count > end.get() / FRAME_OVERHEAD {
            let expected = Position::new(count.saturating_mul(FRAME_OVERHEAD));
            let file = Arc::clone(&self.file);
            return Err(proglog_store::Error::Truncated {
                file,
                end,
                expected,
            }
            .into());
        }
        let name = names::index(self.base);
        match segment.directory().remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(Operation::Remove, &name, error));
            }
            _ => {}
        }
        *self = Self::new(segment, self.store.clone(), 0);
        let index = &self.index;
        self.walk(Position::ZERO, 0..count, |_, position| {
            index.push(position);
            index.write_full_pages(count);
        })?;
        self.fill_index(count);
        Ok(())
    }

    /// Records at the end that no walk found, with no frame behind them either, are missing there.
    fn fill_index(&self, count: u64) {
        while self.index.len() < count {
            self.index.push(self.store.end().position);
        }
    }

    #[cold]
    pub(crate) fn corrupt(
        &self,
        offset: Offset,
        position: Position,
        source: Option<proglog_store::Error>,
    ) -> Error {
        Error::Corrupt {
            offset,
            file: Arc::clone(&self.file),
            position,
            source: source.map(Arc::new),
        }
    }

    /// What a failed rewind means for the appends that it was to drop: nothing is known of them.
    pub(crate) fn not_rewound(&self, error: proglog_store::Error) -> Error {
        if error.outcome() == Outcome::Unknown {
            return error.into();
        }
        let source = Arc::new(io::Error::other(error));
        proglog_store::Error::WriteNotUndone {
            file: Arc::clone(&self.file),
            source,
        }
        .into()
    }

    /// What a failed read of the record at `offset` means.
    pub(crate) fn corrupt_at(
        &self,
        offset: Offset,
        position: Position,
        error: proglog_store::Error,
    ) -> Error {
        use proglog_store::ErrorKind as Store;
        match error.kind() {
            Store::Corrupt | Store::OutOfRange | Store::InvalidInput => {
                self.corrupt(offset, position, Some(error))
            }
            Store::Closed => Error::Closed,
            _ => error.into(),
        }
    }
}
